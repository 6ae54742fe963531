//! The service under a real systemd: its units, its life, its users, and what `varlinkctl` sees.
//!
//! Each test boots a container of its own and plays one scenario of `tests/systemd/` in it, a
//! script that reads as a list of sentences. `tests/systemd/box` does the booting; it needs root
//! and what `tests/prepare` installs, and the tests fail where these are missing.

use std::path::Path;
use std::process::Command;

/// What the container gets, and where an installation would put it.
const INSTALLED: [(&str, &str); 8] = [
    (env!("CARGO_BIN_EXE_globstash"), "/usr/bin/globstash"),
    (env!("CARGO_BIN_EXE_globstashd"), "/usr/bin/globstashd"),
    (
        "systemd/globstashd.socket",
        "/usr/lib/systemd/system/globstashd.socket",
    ),
    (
        "systemd/globstashd.service",
        "/usr/lib/systemd/system/globstashd.service",
    ),
    ("systemd/user", "/usr/lib/systemd/user"),
    ("systemd/sysusers.d", "/usr/lib/sysusers.d"),
    // Not installed: the scenarios compare with them.
    ("io.globstash.varlink", "/test/io.globstash.varlink"),
    ("README.md", "/test/README.md"),
];

/// Plays a scenario of some seconds, which may take minutes on a machine with much else to do; fails with all that it printed.
fn play(scenario: &str) {
    play_within(600, scenario, &[]);
}

/// The same of one that may take so many seconds, with arguments.
fn play_within(seconds: u32, scenario: &str, arguments: &[&str]) {
    play_in(&[], seconds, scenario, arguments);
}

/// The same in another kind of box.
fn play_in(options: &[&str], seconds: u32, scenario: &str, arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("tests/systemd/box"));
    command.current_dir(root).args(options);
    for (from, to) in INSTALLED {
        command.args(["--copy", &format!("{from}:{to}")]);
    }
    let output = command
        .args(["--timeout", &seconds.to_string()])
        .arg(format!("{scenario}.sh"))
        .args(arguments)
        .output()
        .expect("tests/systemd/box is part of the project");
    // Shown when the test fails, or with `cargo test -- --nocapture`.
    print!("{}", String::from_utf8_lossy(&output.stdout));
    print!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{scenario}.sh: {}", output.status);
}

#[test]
fn the_first_call_starts_the_service() {
    play("first-use");
}

#[test]
fn the_service_describes_itself_to_varlinkctl() {
    play("self-description");
}

#[test]
fn the_examples_for_systemd_and_varlinkctl_do_what_they_say() {
    play("examples");
}

#[test]
fn completion_never_starts_the_service() {
    play("completion");
}

#[test]
fn a_lock_ends_with_its_holder_and_not_with_the_service() {
    play("lock");
}

#[test]
fn a_stop_forgets_and_a_restart_turns_nobody_away() {
    play("life");
}

#[test]
fn a_service_that_crashes_is_back_for_the_next_call() {
    play("crash");
}

#[test]
fn each_event_leaves_what_was_promised() {
    play("table");
}

#[test]
fn what_cannot_be_taken_over_is_set_aside() {
    play("damaged");
}

#[test]
fn killed_at_random_moments_it_loses_nothing() {
    // `make soak` kills it more often.
    let count = std::env::var("GLOBSTASH_KILLS").unwrap_or_else(|_| "500".to_owned());
    let seconds = 600 + count.parse::<u32>().expect("a number of kills");
    play_within(seconds, "kills", &[&count]);
}

#[test]
fn a_reload_puts_in_another_program_and_loses_nothing() {
    play("reload");
}

#[test]
fn variables_end_by_themselves() {
    play("lifetimes");
}

#[test]
fn what_comes_together_loses_nothing_either() {
    play("together");
}

#[test]
fn users_share_variables_unless_they_keep_them() {
    play("users");
}

#[test]
fn the_units_are_valid_closed_and_discreet() {
    play("units");
}

#[test]
fn a_service_that_hangs_is_started_anew() {
    play("watchdog");
}

#[test]
fn without_systemd_the_commands_start_the_service() {
    play_in(&["--plain"], 900, "plain", &[]);
}
