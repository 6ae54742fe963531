//! What the shells make of a tab: real ones, on terminals, with the scripts that are installed.
#![cfg(all(feature = "command", feature = "service"))]

mod common;

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use common::{Daemon, eventually};

/// The shells, and how each gets its script; tests/prepare sees to it that they are there.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "source <(globstash completions bash)"),
    (
        "zsh",
        "autoload -Uz compinit; compinit -u -D; source <(globstash completions zsh)",
    ),
    ("fish", "globstash completions fish | source"),
];

fn set(daemon: &Daemon, key: &str, value: &str) {
    let status = daemon.command(["set", key, value]).status();
    assert!(status.unwrap().success());
}

/// Types lines into a shell, in a new folder; what the files are that it wrote there.
fn type_into(daemon: &Daemon, shell: &str, script: &str, lines: &[&str]) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/type.py");
    let command = Path::new(env!("CARGO_BIN_EXE_globstash")).parent().unwrap();
    let path = format!("{}:{}", command.display(), std::env::var("PATH").unwrap());
    let output = common::python()
        .arg(program)
        .args([shell, script])
        .args(lines)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .env("XDG_DATA_HOME", folder.path())
        .env("GLOBSTASH_ADDRESS", daemon.socket())
        .current_dir(folder.path())
        .output()
        .unwrap();
    // Shown when the test fails.
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(
        output.status.success(),
        "{shell}: run tests/prepare: {output:?}"
    );
    let files = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = files
        .filter(|file| file.path().is_file())
        .map(|file| {
            let text = fs::read_to_string(file.path()).unwrap_or_default();
            (file.file_name().into_string().unwrap(), text)
        })
        .filter(|(name, _)| name.starts_with("out") || name == "executed")
        .collect();
    files.sort();
    files
}

/// Types lines into a shell, after which there are just the files `out1` and so on, with these texts.
///
/// A service that does not answer at once is not waited for, and then nothing is completed. That may be
/// so on a machine where much goes on, so it is tried again; but nothing that is typed may ever execute
/// what it should not.
fn expect_typed(daemon: &Daemon, shell: (&str, &str), lines: &[&str], texts: &[&str]) {
    let named = (1..).map(|n| format!("out{n}"));
    let expected: Vec<_> = named
        .zip(texts.iter().map(|&text| text.to_owned()))
        .collect();
    let is_right = |_| {
        let files = type_into(daemon, shell.0, shell.1, lines);
        println!("{files:?}");
        assert!(
            files.iter().all(|(name, _)| name != "executed"),
            "{files:?}"
        );
        files == expected
    };
    assert!((0..5).any(is_right), "{}: not {expected:?}", shell.0);
}

#[test]
fn a_tab_completes_commands_options_keys_and_values() {
    let daemon = Daemon::start();
    set(&daemon, "player/volume", "0.5");
    set(&daemon, "player/status", "playing");
    set(&daemon, "a", "x y");
    for (shell, script) in SHELLS {
        expect_typed(
            &daemon,
            (shell, script),
            &[
                "globstash get player/v\t > out1",
                "globstash exis\tplayer/st\t && echo yes > out2",
                "globstash list --key\tplayer/st\t > out3",
                "globstash set a \t; globstash get a > out4",
                "globstash env player/ -- tou\tout5",
            ],
            &["0.5\n", "yes\n", "player/status\n", "x y\n", ""],
        );
    }
}

#[test]
fn hostile_keys_are_completed_and_never_run() {
    let daemon = Daemon::start();
    for (key, value) in [
        ("one:key $(touch executed);touch executed", "1"),
        ("two'`touch executed`\"", "2"),
        ("three:a:b c", "3"),
        ("four\"$(touch executed)", "4"),
        ("fünf (touch executed)", "5"),
    ] {
        set(&daemon, key, value);
    }
    // Descriptions are shown.
    set(
        &daemon,
        "six/a",
        "$(touch executed)\n`touch executed`;touch executed\t#",
    );
    set(&daemon, "six/b", "\x1b]0;x\x07");
    for (shell, script) in SHELLS {
        expect_typed(
            &daemon,
            (shell, script),
            &[
                "globstash get on\t > out1",
                "globstash get tw\t > out2",
                "globstash get three:a:\t > out3",
                "globstash get \"thr\t > out4",
                "globstash get 'one\t > out5",
                "globstash get \"fou\t > out6",
                "globstash get fü\t > out7",
                // Only to have it shown what there is.
                "globstash get six/\t\ta > out8; echo > out8",
            ],
            &["1\n", "2\n", "3\n", "3\n", "1\n", "4\n", "5\n", "\n"],
        );
    }
}

/// In double quotes bash puts what was typed earlier in the place of `!word`, quotes and all: a key
/// that was completed there chose what was run.
#[test]
fn no_key_brings_back_what_was_typed_before() {
    let daemon = Daemon::start();
    set(&daemon, "one!true x", "1");
    set(&daemon, "two\\!\"!$", "2");
    for (shell, script) in SHELLS {
        expect_typed(
            &daemon,
            (shell, script),
            &[
                "true \"; touch executed; \"; rm -f executed",
                "globstash get \"one\t > out1",
                "globstash get \"two\t > out2",
                "globstash get 'one\t > out3",
                "globstash get one\t > out4",
            ],
            &["1\n", "2\n", "1\n", "1\n"],
        );
    }
}

/// What a script is told.
fn complete(address: &Path, arguments: &[&str]) -> String {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_globstash"))
        .arg("complete")
        .args(arguments)
        .env("GLOBSTASH_ADDRESS", address)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
    String::from_utf8(output.stdout).unwrap()
}

/// A script is told this: all of it, at the latest when it asks again. At once it may be less, if the
/// service does not answer so soon: no keys, or keys without values.
fn expect_told(daemon: &Daemon, arguments: &[&str], expected: &str) {
    let is_less = |(told, expected): (&str, &str)| {
        told == expected || told.ends_with('\t') && expected.starts_with(told)
    };
    eventually("all is told", || {
        let told = complete(&daemon.socket(), arguments);
        let lines = || told.lines().zip(expected.lines());
        let is_part = told.lines().count() == expected.lines().count() && lines().all(is_less);
        assert!(is_part || told == "words\n", "{arguments:?}: {told}");
        told == expected
    });
}

#[test]
fn keys_are_shown_with_their_values() {
    let daemon = Daemon::start();
    set(&daemon, "a*b", "1\t2\n");
    set(&daemon, "a/long", &"x".repeat(100));
    let long = "x".repeat(60);
    let both = format!("words\na*b\t1\\t2\\n\na/long\t{long}…\n");
    expect_told(&daemon, &["zsh", "--", "globstash", "get", "a"], &both);
    let told = complete(&daemon.socket(), &["zsh", "--", "globstash", "list", "a*"]);
    assert_eq!(told, "words\n");
    let both = both.replace('*', r"\*");
    expect_told(&daemon, &["zsh", "--", "globstash", "list", ""], &both);
    let breaks = " \t\n\"'@><=;|&(:";
    let line = ["bash", "--", breaks, "globstash get a*"];
    expect_told(&daemon, &line, "words\na\\*b\t1\\t2\\n\n");
}

/// A key that looks like an option was put where it is one.
#[test]
fn a_key_that_begins_with_a_dash_is_told_where_it_is_a_key() {
    let daemon = Daemon::start();
    for key in ["--raw", "-d", "a"] {
        let mut peer = daemon.connect();
        peer.ask("io.globstash.Set", json!({ "key": key, "value": "v" }));
    }
    for (words, told) in [
        (&["get"][..], "words\na\tv\n"),
        (&["list", "a"], "words\na\tv\n"),
        (&["get", "--"], "words\n--raw\tv\n-d\tv\na\tv\n"),
        (&["list", "--", "a"], "words\n--raw\tv\n-d\tv\na\tv\n"),
    ] {
        let line = [&["zsh", "--", "globstash"], words, &[""]].concat();
        expect_told(&daemon, &line, told);
    }
}

/// No more of a value is taken than it needs to know what to show.
#[test]
fn of_a_large_value_the_beginning_is_shown() {
    let daemon = Daemon::start();
    let character = "\u{1f600}";
    for (key, count) in [("a/60", 60), ("a/61", 61), ("a/many", 1000)] {
        let mut peer = daemon.connect();
        let value = character.repeat(count);
        peer.ask("io.globstash.Set", json!({ "key": key, "value": value }));
    }
    let shown = character.repeat(60);
    let all = format!("words\na/60\t{shown}\na/61\t{shown}…\na/many\t{shown}…\n");
    expect_told(&daemon, &["zsh", "--", "globstash", "get", "a"], &all);
    for (key, value) in [("a/60", &*shown), ("a/61", ""), ("a/many", "")] {
        let line = ["zsh", "--", "globstash", "set", key, ""];
        let expected = match value {
            "" => "words\n".to_owned(),
            value => format!("words\n{value}\tthe present value\n"),
        };
        expect_told(&daemon, &line, &expected);
    }
}

#[test]
fn of_many_keys_the_folders_are_told() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for key in 0..1500 {
        let key = format!("many/{}/{key}", key % 3);
        peer.ask("io.globstash.Set", json!({ "key": key, "value": "v" }));
    }
    let folders = "folders\nmany/0/\t\nmany/1/\t\nmany/2/\t\n";
    let line = ["fish", "--", "globstash", "get", "many/"];
    expect_told(&daemon, &line, folders);
    let mut keys: Vec<String> = (0..1500)
        .filter(|key| key % 3 == 1 && key.to_string().starts_with("10"))
        .map(|key| format!("many/1/{key}\tv\n"))
        .collect();
    keys.sort();
    let line = ["fish", "--", "globstash", "get", "many/1/10"];
    expect_told(&daemon, &line, &format!("words\n{}", keys.concat()));
}

#[test]
fn without_a_service_that_answers_there_are_no_keys_and_no_complaints() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let line = ["fish", "--", "globstash", "get", ""];
    assert_eq!(complete(&socket, &line), "words\n");
    // One that takes connections and says nothing: it is not waited for.
    let _listener = UnixListener::bind(&socket).unwrap();
    assert_eq!(complete(&socket, &line), "words\n");
    for nonsense in [&["bash", "--"][..], &["zsh"], &["bash", "--", " ", "'"]] {
        complete(&socket, nonsense);
    }
}
