//! What the shells make of a tab: real ones, on terminals, with the scripts that are installed.
#![cfg(all(feature = "command", feature = "service"))]

mod common;

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use common::Daemon;

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

#[test]
fn a_tab_completes_commands_options_keys_and_values() {
    let daemon = Daemon::start();
    set(&daemon, "player/volume", "0.5");
    set(&daemon, "player/status", "playing");
    set(&daemon, "a", "x y");
    for (shell, script) in SHELLS {
        let files = type_into(
            &daemon,
            shell,
            script,
            &[
                "globstash get player/v\t > out1",
                "globstash exis\tplayer/st\t && echo yes > out2",
                "globstash list --key\tplayer/st\t > out3",
                "globstash set a \t; globstash get a > out4",
                "globstash env player/ -- tou\tout5",
            ],
        );
        let expected = [
            ("out1", "0.5\n"),
            ("out2", "yes\n"),
            ("out3", "player/status\n"),
            ("out4", "x y\n"),
            ("out5", ""),
        ];
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (&**name, &**text))
            .collect();
        assert_eq!(files, expected, "{shell}");
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
        let files = type_into(
            &daemon,
            shell,
            script,
            &[
                "globstash get on\t > out1",
                "globstash get tw\t > out2",
                "globstash get three:a:\t > out3",
                "globstash get \"thr\t > out4",
                "globstash get 'one\t > out5",
                "globstash get \"fou\t > out6",
                "globstash get fü\t > out7",
                "globstash get six/\t\ta > out8",
            ],
        );
        let expected = ["1\n", "2\n", "3\n", "3\n", "1\n", "4\n", "5\n"];
        let (last, files) = files.split_last().unwrap();
        let files: Vec<_> = files.iter().map(|(_, text)| &**text).collect();
        assert_eq!(files, expected, "{shell}");
        assert_eq!(last.0, "out8", "{shell}");
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
        let files = type_into(
            &daemon,
            shell,
            script,
            &[
                "true \"; touch executed; \"; rm -f executed",
                "globstash get \"one\t > out1",
                "globstash get \"two\t > out2",
                "globstash get 'one\t > out3",
                "globstash get one\t > out4",
            ],
        );
        let files: Vec<_> = files.iter().map(|(_, text)| &**text).collect();
        assert_eq!(files, ["1\n", "2\n", "1\n", "1\n"], "{shell}");
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

#[test]
fn keys_are_shown_with_their_values() {
    let daemon = Daemon::start();
    set(&daemon, "a*b", "1\t2\n");
    set(&daemon, "a/long", &"x".repeat(100));
    let told = complete(&daemon.socket(), &["zsh", "--", "globstash", "get", "a"]);
    let long = "x".repeat(60);
    assert_eq!(told, format!("words\na*b\t1\\t2\\n\na/long\t{long}…\n"));
    let told = complete(&daemon.socket(), &["zsh", "--", "globstash", "list", "a*"]);
    assert_eq!(told, "words\n");
    let told = complete(&daemon.socket(), &["zsh", "--", "globstash", "list", ""]);
    assert!(told.starts_with("words\na\\*b\t"), "{told}");
    let breaks = " \t\n\"'@><=;|&(:";
    let told = complete(
        &daemon.socket(),
        &["bash", "--", breaks, "globstash get a*"],
    );
    assert_eq!(told, "words\na\\*b\t1\\t2\\n\n");
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
        assert_eq!(complete(&daemon.socket(), &line), told, "{words:?}");
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
    let told = complete(&daemon.socket(), &["zsh", "--", "globstash", "get", "a"]);
    assert_eq!(
        told,
        format!("words\na/60\t{shown}\na/61\t{shown}…\na/many\t{shown}…\n")
    );
    for (key, value) in [("a/60", &*shown), ("a/61", ""), ("a/many", "")] {
        let line = ["zsh", "--", "globstash", "set", key, ""];
        let told = complete(&daemon.socket(), &line);
        let expected = match value {
            "" => "words\n".to_owned(),
            value => format!("words\n{value}\tthe present value\n"),
        };
        assert_eq!(told, expected);
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
    let told = complete(
        &daemon.socket(),
        &["fish", "--", "globstash", "get", "many/"],
    );
    assert_eq!(told, "folders\nmany/0/\t\nmany/1/\t\nmany/2/\t\n");
    let told = complete(
        &daemon.socket(),
        &["fish", "--", "globstash", "get", "many/1/10"],
    );
    assert!(
        told.starts_with("words\nmany/1/10\tv\nmany/1/100\tv\n"),
        "{told}"
    );
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
