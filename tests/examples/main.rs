//! Every example runs: those of the README, of the help, and of the manual pages.
//!
//! What each needs and what comes of it is in `cases`; what needs a systemd or `varlinkctl`, in
//! `tests/systemd/examples.sh`; and what needs a machine without systemd, in `plain.sh` there. An example that stands in neither fails the test, and so does a
//! case that is an example no more.
#![cfg(all(feature = "command", feature = "service"))]

mod cases;
mod collect;
#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use cases::{CASES, Case, Ends};
use common::surroundings::write_program;
use common::{Daemon, eventually};

/// Programs that stand in for others, which a machine may lack or should not run: they tell how
/// they were called.
const STAND_INS: [&str; 4] = ["systemctl", "notify-send", "make", "server"];

/// A bash that finds the command, and a service for it, in a folder with some files.
struct Place {
    daemon: Daemon,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for name in STAND_INS {
            let script = format!("#!/bin/sh\necho {name} \"$@\"\n");
            write_program(&bin.join(name), &script);
        }
        write_program(
            &folder.path().join("server"),
            "#!/bin/sh\necho \"server of $APP_HOST\"\n",
        );
        fs::write(folder.path().join("motd.txt"), "Welcome\n").unwrap();
        fs::write(folder.path().join("logo.png"), b"\x89PNG\r\n\0").unwrap();
        Place {
            daemon: Daemon::start(),
            folder,
        }
    }

    fn bash(&self, script: &str) -> Command {
        let command = Path::new(env!("CARGO_BIN_EXE_globstash")).parent().unwrap();
        let path = format!(
            "{}:{}:{}",
            self.folder.path().join("bin").display(),
            command.display(),
            std::env::var("PATH").unwrap()
        );
        let mut bash = Command::new("timeout");
        bash.args([
            common::WATCHDOG.as_secs().to_string().as_str(),
            "bash",
            "-c",
            script,
        ])
        .env("PATH", path)
        // A locale that this machine does not have would be complained about.
        .env("LC_ALL", "C.UTF-8")
        .env("GLOBSTASH_ADDRESS", self.daemon.socket())
        .env_remove("XDG_RUNTIME_DIR")
        .current_dir(self.folder.path())
        .stdin(Stdio::null());
        bash
    }

    /// Runs a script, which must say nothing on standard error; what it printed.
    fn run(&self, script: &str) -> String {
        let output = self.bash(script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "", "{script}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn play(case: &Case) {
    let place = Place::new();
    let Case { line, given, .. } = case;
    place.run(given);
    match case.ends {
        Ends::With(status) => {
            let after = case.then;
            let printed = place.run(&format!("{line}\necho \"[$?]\"\n{after}"));
            let expected = match printed.split_once(&format!("[{status}]\n")) {
                Some((before, after)) => format!("{before}{after}"),
                None => panic!("{line}: not status {status}: {printed}"),
            };
            compare(line, &expected, case.prints);
        }
        Ends::Never(first) => watch(&place, case, first),
    }
}

/// Plays one that does not end by itself: at first it prints something, then what is due to what
/// happens meanwhile.
fn watch(place: &Place, case: &Case, first: &str) {
    let mut child = place
        .bash(&format!("exec {}", case.line))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut expect = |expected: &str| {
        let mut printed = String::new();
        for _ in expected.lines() {
            lines.read_line(&mut printed).unwrap();
        }
        compare(case.line, &printed, expected);
    };
    expect(first);
    eventually("it watches", || {
        place.daemon.ask("io.globstash.GetStatus", json!({}))["watches"] == 1
    });
    place.run(case.then);
    expect(case.prints);
    stop(&mut child);
}

/// Ends what was started by way of timeout(1), which passes the signal on.
fn stop(child: &mut Child) {
    kill_process(Pid::from_child(child), Signal::TERM).unwrap();
    child.wait().unwrap();
}

/// What was printed is as expected, where `..` stands for anything on a line, and a last line `...`
/// for any lines.
fn compare(line: &str, printed: &str, expected: &str) {
    let (expected, is_all) = match expected.strip_suffix("...\n") {
        Some(expected) => (expected, false),
        None => (expected, true),
    };
    let is_like = |printed: &str, expected: &str| match expected.split_once("..") {
        Some((start, end)) => printed.starts_with(start) && printed.ends_with(end),
        None => printed == expected,
    };
    let (has, needs) = (printed.lines().count(), expected.lines().count());
    let same = (has == needs || !is_all && has > needs)
        && printed
            .lines()
            .zip(expected.lines())
            .all(|(a, b)| is_like(a, b));
    assert!(same, "{line}\nprinted:\n{printed}expected:\n{expected}");
}

/// Whether an example needs what only the scenario has.
fn is_of_scenario(line: &str) -> bool {
    ["varlinkctl ", "systemctl ", "globstashd "]
        .iter()
        .any(|program| line.starts_with(program))
}

#[test]
fn every_example_does_what_it_says() {
    for case in CASES {
        play(case);
    }
}

#[test]
fn every_example_is_run_by_somebody() {
    let scenarios = ["examples", "plain"];
    let scenarios = scenarios.map(|name| collect::read(&format!("tests/systemd/{name}.sh")));
    let examples = collect::all();
    assert!(examples.len() > 50, "{examples:?}");
    for line in &examples {
        let is_run = match is_of_scenario(line) {
            true => scenarios
                .iter()
                .flat_map(|all| all.lines())
                .any(|it| it == line),
            false => CASES.iter().any(|case| case.line == line),
        };
        assert!(is_run, "nobody runs this example: {line}");
    }
    for case in CASES {
        assert!(
            examples.iter().any(|it| it == case.line),
            "no example any more: {}",
            case.line
        );
    }
}

#[test]
fn the_example_with_the_package_for_python_runs() {
    let [program, _] = &collect::blocks("python")[..] else {
        panic!("two examples");
    };
    let daemon = Daemon::start();
    let mut python = common::wheel::python()
        .args(["-u", "-c", program])
        .env("GLOBSTASH_ADDRESS", daemon.socket())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(python.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "player/volume is 0.5");
    stop(&mut python);
}

#[test]
fn the_example_in_python_runs() {
    let [_, program] = &collect::blocks("python")[..] else {
        panic!("two examples");
    };
    let daemon = Daemon::start();
    let address = format!("unix:{}", daemon.socket().display());
    assert!(program.contains("\"unix:/run/globstash\""));
    let program = program.replace("unix:/run/globstash", &address);
    let mut python = common::python()
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input.write_all(program.as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0.5\n");
}

/// They run in `tests/native/examples.rs`.
#[test]
fn the_examples_in_rust_are_lines_of_those_in_the_folder() {
    let blocks = collect::blocks("rust");
    let examples = ["hello", "poller"];
    assert_eq!(blocks.len(), examples.len());
    for (block, name) in blocks.iter().zip(examples) {
        let program = collect::read(&format!("examples/rust/{name}.rs"));
        let trimmed = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.trim().to_owned()).collect()
        };
        let (program, block) = (trimmed(&program), trimmed(block));
        assert!(
            program.windows(block.len()).any(|part| part == block),
            "the README has other lines than examples/rust/{name}.rs"
        );
    }
}
