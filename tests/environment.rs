//! What `globstash env` prints is run by shells, and what it hands to commands steers them. Others
//! choose keys and values, so here they are as hostile as they can be.
#![cfg(all(feature = "command", feature = "service"))]

mod common;

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use base64::prelude::{BASE64_STANDARD, Engine};
use rustix::thread::{Uid, set_thread_uid};
use serde_json::json;

use common::{Daemon, Peer};

/// What tests/prepare sees to that there is; each reads what `env` prints with its own `eval`.
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "zsh", "fish"];
/// Some user who is neither root nor us.
const STRANGER: u32 = 4711;

/// Values that a careless quoting would run. HERE is where they would leave a trace.
fn hostile(here: &Path) -> Vec<Vec<u8>> {
    let trace = format!("touch {}", here.join("executed").display());
    let words = [
        "$(TRACE)",
        "`TRACE`",
        "';TRACE;'",
        "\";TRACE;\"",
        "'\"';TRACE;'\"'",
        "a\nTRACE\n",
        "\n';TRACE\n'",
        "\\';TRACE;\\'",
        "\\';TRACE #",
        "\\",
        "'",
        "''",
        "'''';TRACE;'",
        "x'; TRACE; export y='",
        "${IFS}$(TRACE)",
        "(TRACE)",
        "$'\\x27;TRACE'",
        "a\r\nTRACE",
        "!TRACE",
        "~",
        "*",
        "-n",
        " ",
        "\u{201c};TRACE;\u{201d}",
    ];
    let mut values: Vec<Vec<u8>> = words
        .iter()
        .map(|word| word.replace("TRACE", &trace).into_bytes())
        .collect();
    let bytes = (1..=255).collect();
    let cut_short = [b"\xe2\x80';", trace.as_bytes(), b";'\xc3"].concat();
    values.extend([bytes, cut_short]);
    values
}

/// Runs a script in a shell that finds the command first.
fn run(daemon: &Daemon, shell: &str, script: &str) -> Output {
    let folder = Path::new(env!("CARGO_BIN_EXE_globstash")).parent().unwrap();
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut command = Command::new(shell);
    if shell == "fish" {
        command.arg("--no-config");
    }
    command
        .args(["-c", script])
        .env("PATH", path)
        .env("GLOBSTASH_ADDRESS", daemon.socket())
        .env("HOME", daemon.folder())
        // A locale that this machine does not have would be complained about.
        .env("LC_ALL", "C.UTF-8")
        .current_dir(daemon.folder())
        .output()
        .unwrap_or_else(|error| panic!("{shell}: {error}: run tests/prepare"))
}

#[test]
fn no_shell_runs_a_value_and_all_read_it_as_it_is() {
    let daemon = Daemon::start();
    let values = hostile(daemon.folder());
    for (index, value) in values.iter().enumerate() {
        let key = format!("app/v{index}");
        let status = daemon
            .command(["set", &key])
            .arg(OsStr::from_bytes(value))
            .status();
        assert!(status.unwrap().success());
    }
    for shell in SHELLS {
        let eval = match shell {
            "fish" => "eval (globstash env app/ | string collect)",
            _ => "eval \"$(globstash env app/)\"",
        };
        let output = run(&daemon, shell, &format!("{eval}; env -0"));
        assert!(output.status.success(), "{shell}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}");
        for (index, value) in values.iter().enumerate() {
            let variable = [format!("APP_V{index}=").as_bytes(), value].concat();
            let mut variables = output.stdout.split(|byte| *byte == 0);
            assert!(
                variables.any(|it| it == variable),
                "{shell} does not have {:?}",
                String::from_utf8_lossy(&variable)
            );
        }
    }
    let output = run(&daemon, "sh", "globstash env app/ -- env -0");
    for (index, value) in values.iter().enumerate() {
        let variable = [format!("APP_V{index}=").as_bytes(), value].concat();
        assert!(
            output
                .stdout
                .split(|byte| *byte == 0)
                .any(|it| it == variable)
        );
    }
    assert!(!daemon.folder().join("executed").exists());
}

#[test]
fn no_key_makes_a_name_that_is_more_than_a_name() {
    let daemon = Daemon::start();
    for key in [
        "app/x;touch executed;y",
        "app/$(touch executed)",
        "app/`touch executed`",
        "app/a b",
        "app/'",
        "app/ü\u{2028}",
        "app/--help",
    ] {
        assert!(
            daemon
                .command(["set", key, "v"])
                .status()
                .unwrap()
                .success()
        );
    }
    for shell in SHELLS {
        let script = "globstash env app/";
        let output = run(&daemon, shell, script);
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(lines.lines().count(), 7);
        for line in lines.lines() {
            let name = line.strip_prefix("export ").unwrap();
            let name = name.strip_suffix("='v'").unwrap();
            let is_fine = |char| matches!(char, 'A'..='Z' | '0'..='9' | '_');
            assert!(
                name.starts_with("APP_") && name.chars().all(is_fine),
                "{name}"
            );
        }
    }
    assert!(!daemon.folder().join("executed").exists());
}

#[test]
fn a_value_with_nul_is_refused_before_anything_is_printed() {
    let daemon = Daemon::start();
    assert!(
        daemon
            .command(["set", "app/a", "1"])
            .status()
            .unwrap()
            .success()
    );
    let value = json!({ "key": "app/nul", "data": "YQBi" });
    daemon.connect().ask("io.globstash.Set", value);
    let output = daemon.command(["env", "app/"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(output.stdout, b"");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "globstash: the value of app/nul has a NUL, which an environment cannot hold\n  \
         leave it out with other patterns\n"
    );
    let command = ["env", "app/", "--", "touch", "executed"];
    let output = daemon
        .command(command)
        .current_dir(daemon.folder())
        .output();
    assert_eq!(output.unwrap().status.code(), Some(125));
    assert!(!daemon.folder().join("executed").exists());
}

#[test]
fn what_others_set_last_is_left_out() {
    // An abstract name, because others cannot get into the folder.
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().to_str().unwrap().to_owned();
    let daemon = Daemon::start_with(|command| {
        command.env("SYSTEMD_VARLINK_LISTEN", format!("unix:@{name}"));
    });
    let set = |key: &str, value: &str| {
        let status = daemon.command(["set", key, value]).status();
        assert!(status.unwrap().success());
    };
    set("app/host", "mine");
    set("app/port", "1");
    let stranger = thread::spawn(move || {
        // Only this thread: the user of a connection is that of the thread that makes it.
        set_thread_uid(Uid::from_raw(STRANGER)).expect("the tests run as root");
        let mut peer = Peer::connect_abstract(&name);
        for key in ["app/host", "app/ld", "app/PORT"] {
            let value = json!({ "key": key, "value": "theirs" });
            peer.ask("io.globstash.Set", value);
        }
    });
    stranger.join().unwrap();
    let env = |arguments: &[&str]| {
        let output = daemon.command(["env"].iter().chain(arguments)).output();
        let output = output.unwrap();
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    // Nor do they get in our way: app/PORT would have the same name.
    let (printed, said) = env(&["app/"]);
    assert_eq!(printed, "export APP_PORT='1'\n");
    assert_eq!(
        said,
        "globstash: left out what others set last: app/PORT (uid 4711), and 2 more\n  \
         to take it all the same: --any-writer\n"
    );
    let (printed, said) = env(&["--any-writer", "app/host"]);
    assert_eq!((&*printed, &*said), ("export APP_HOST='theirs'\n", ""));
    set("app/host", "mine again");
    let (printed, said) = env(&["app/h*"]);
    assert_eq!((&*printed, &*said), ("export APP_HOST='mine again'\n", ""));
}

/// Imports a file; exit status, and what it said.
fn import(daemon: &Daemon, lines: &[u8], options: &[&str]) -> (Option<i32>, String) {
    let file = daemon.folder().join("saved");
    std::fs::write(&file, lines).unwrap();
    let mut command = daemon.command(["import"].iter().chain(options));
    let output = command.stdin(File::open(file).unwrap()).output().unwrap();
    assert_eq!(output.stdout, b"");
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

fn export(daemon: &Daemon) -> Vec<u8> {
    let output = daemon.command(["export"]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

const FINE: (Option<i32>, String) = (Some(0), String::new());

#[test]
fn what_was_exported_is_imported_byte_for_byte() {
    let one = Daemon::start();
    let mut values = hostile(one.folder());
    values.extend([(0..=255).collect(), Vec::new(), b"\0".repeat(1 << 20)]);
    let mut peer = one.connect();
    for (index, value) in values.iter().enumerate() {
        let key = format!("k \\n\u{202e} {index}");
        let data = BASE64_STANDARD.encode(value);
        peer.ask("io.globstash.Set", json!({ "key": key, "data": data }));
    }
    let lines = export(&one);
    let two = Daemon::start();
    assert_eq!(import(&two, &lines, &[]), FINE);
    assert_eq!(export(&two), lines);
    let list = |daemon: &Daemon| daemon.command(["list", "-0"]).output().unwrap().stdout;
    assert_eq!(list(&one), list(&two));
}

#[test]
fn an_import_is_one_change_unless_it_is_wanted_in_parts() {
    let daemon = Daemon::start();
    let lines = |count: usize| -> Vec<u8> {
        let lines: String = (0..count).map(|key| format!("k/{key:05}=v\n")).collect();
        lines.into_bytes()
    };
    assert_eq!(import(&daemon, &lines(4096), &[]), FINE);
    let status = daemon.ask("io.globstash.GetStatus", json!({}));
    assert_eq!(
        (&status["variables"], &status["revision"]),
        (&json!(4096), &json!(1))
    );
    let refused = "globstash: this is too much for one change, which can have 4096 variables and 8 MiB\n  \
                   to make several: globstash import --in-parts\n";
    let many = lines(10_000);
    assert_eq!(import(&daemon, &many, &[]), (Some(4), refused.to_owned()));
    let status = daemon.ask("io.globstash.GetStatus", json!({}));
    assert_eq!(status["revision"], 1, "nothing was changed");
    assert_eq!(import(&daemon, &many, &["--in-parts"]), FINE);
    assert_eq!(export(&daemon), many);

    // In a message each of these bytes takes six.
    let mut large = Vec::new();
    for key in 0..3 {
        large.extend(format!("large/{key}=").into_bytes());
        large.extend(b"\\x01".repeat(1 << 20));
        large.push(b'\n');
    }
    assert_eq!(import(&daemon, &large, &[]), (Some(4), refused.to_owned()));
    assert_eq!(import(&daemon, &large, &["--in-parts"]), FINE);
    let output = daemon.command(["export", "large/"]).output().unwrap();
    assert!(output.stdout == large);
}

#[test]
fn an_import_in_parts_that_breaks_off_tells_how_far_it_came() {
    let daemon = Daemon::start_with(|command| {
        command.args(["--maximum-variables", "4097"]);
    });
    let mut lines: String = (0..4096).map(|key| format!("k/{key:05}=v\n")).collect();
    lines += "a=1\nb=2\n";
    let (status, said) = import(&daemon, lines.as_bytes(), &["--in-parts"]);
    assert_eq!(status, Some(4));
    let how_far = "\n  the variables before line 4097 (a) are set, the others are not\n";
    assert!(said.ends_with(how_far), "{said}");
    let status = daemon.ask("io.globstash.GetStatus", json!({}));
    assert_eq!(status["variables"], 4096);
}

#[test]
fn what_no_variable_can_be_is_told_with_its_line_before_anything_is_changed() {
    let daemon = Daemon::start();
    let many: String = (0..4096).map(|key| format!("k/{key:05}=v\n")).collect();
    let long = "v".repeat((1 << 20) + 1);
    for (line, what) in [
        (
            "=3".to_owned(),
            "has a key that cannot be one: a key has at least one character",
        ),
        (
            format!("{}=1", "k".repeat(256)),
            "has a key that cannot be one: the key has 256 bytes, it can have at most 255",
        ),
        (
            "a\\nb=1".to_owned(),
            "has a key that cannot be one: a key cannot contain control characters",
        ),
        (
            format!("a={long}"),
            "has a value of 1048577 bytes, 1048576 are allowed",
        ),
        ("a=1\r".to_owned(), "ends with CR LF, not with LF alone"),
        (
            format!("a={}", "\\x01".repeat(2 << 20)),
            "is longer than a variable can be",
        ),
    ] {
        let lines = format!("{many}{line}\nb=2\n");
        let (status, said) = import(&daemon, lines.as_bytes(), &["--in-parts"]);
        assert_eq!(status, Some(4), "{said}");
        let told = format!("globstash: line 4097 {what}");
        assert!(said.starts_with(&told), "{said}");
        assert!(said.contains("; nothing was changed"), "{said}");
    }
    let (status, said) = import(&daemon, b"\xef\xbb\xbfa=1\n", &[]);
    assert_eq!(status, Some(4));
    assert_eq!(
        said,
        "globstash: line 1 begins with a byte order mark, which has to be taken off; \
         nothing was changed\n"
    );
    let status = daemon.ask("io.globstash.GetStatus", json!({}));
    assert_eq!(
        (&status["variables"], &status["revision"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn what_is_exported_never_begins_with_a_byte_order_mark() {
    let daemon = Daemon::start();
    daemon.ask(
        "io.globstash.Set",
        json!({ "key": "\u{feff}k", "value": "1\r" }),
    );
    assert_eq!(export(&daemon), b"\\xef\\xbb\\xbfk=1\\r\n");
    assert_eq!(import(&daemon, b"\\xef\\xbb\\xbfk=1\\r\n", &[]), FINE);
}

/// What one change cannot have, or no line, is not read to its end, which may never come.
#[test]
fn an_import_is_not_read_further_than_it_can_be_used() {
    let daemon = Daemon::start();
    let feed = |piece: Vec<u8>, options: &[&str]| {
        let mut command = daemon.command(["import"].iter().chain(options));
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut written = 0;
        // Were all of it read it would be refused only after that.
        while written < 512 << 20 && input.write_all(&piece).is_ok() {
            written += piece.len();
        }
        drop(input);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(written < 64 << 20, "{written}: {said}");
        assert_eq!(output.status.code(), Some(4), "{said}");
        said
    };
    let too_long = "globstash: line 1 is longer than a variable can be; nothing was changed\n";
    assert_eq!(feed(vec![0; 1 << 20], &[]), too_long);
    assert_eq!(feed(vec![0; 1 << 20], &["--in-parts"]), too_long);
    let said = feed(b"a=1\n".repeat(1 << 18), &[]);
    assert!(
        said.starts_with("globstash: this is too much for one change"),
        "{said}"
    );
}
