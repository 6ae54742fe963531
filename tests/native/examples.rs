//! The examples in each language, doing what they say: the same in all.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::build::{Mode, compile, done, folder, run, source, target};
use crate::common::{Daemon, eventually, wheel};

/// What runs an example, and gives up after some time.
fn program(example: &str) -> Command {
    let file = Path::new(example);
    match file.extension().and_then(|it| it.to_str()) {
        Some("rs") => run(&rust(file), Mode::Plain),
        Some("py") => {
            let mut python = wheel::python();
            python.arg(source(example));
            python
        }
        _ => run(&compile(example, Mode::Plain), Mode::Plain),
    }
}

/// The program that cargo has made of an example.
fn rust(file: &Path) -> PathBuf {
    static ALL: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--locked", "--examples"])
            .env("CARGO_TARGET_DIR", target());
        done(&mut cargo);
        target().join("debug/examples")
    });
    ALL.join(file.file_stem().expect("it has a name"))
}

/// An example that runs. Dropping it ends it.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(daemon: &Daemon, example: &str, argument: Option<&str>) -> Running {
        let mut command = program(example);
        let command = command
            .args(argument)
            .env("GLOBSTASH_ADDRESS", daemon.socket());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Running { child, lines }
    }

    fn line(&mut self) -> String {
        let line = self.lines.next().expect("it prints more");
        line.expect("text")
    }

    /// Waits for its end, which must be a success, without another line.
    fn ends(mut self) {
        assert!(self.lines.next().is_none());
        assert!(self.child.wait().expect("a child").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already. What limits its time passes this signal on.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn set(daemon: &Daemon, key: &str, value: &str) {
    daemon.ask("io.globstash.Set", json!({ "key": key, "value": value }));
}

/// The value; that of what is not defined is empty.
fn get(daemon: &Daemon, key: &str) -> String {
    let reply = daemon.ask("io.globstash.Get", json!({ "key": key }));
    reply["value"].as_str().expect("text").to_owned()
}

fn hello(example: &str) {
    let daemon = Daemon::start();
    let said = done(program(example).env("GLOBSTASH_ADDRESS", daemon.socket()));
    assert_eq!(said, "the volume is 0.5\n");
    assert_eq!(get(&daemon, "player/volume"), "0.5");
}

fn poller(example: &str) {
    let daemon = Daemon::start();
    set(&daemon, "machine/axis-7", "1.5");
    let mut poller = Running::start(&daemon, example, None);
    assert_eq!(poller.line(), "axis 7 is at 1.5");
    set(&daemon, "machine/axis-19", "-2");
    assert_eq!(poller.line(), "axis 19 is at -2");
    set(&daemon, "machine/axis-7", "1.25");
    assert_eq!(poller.line(), "axis 7 is at 1.25");
    drop(poller);
    let mut poller = Running::start(&daemon, example, Some("2"));
    assert_eq!(poller.line(), "axis 7 is at 1.25");
    assert_eq!(poller.line(), "axis 19 is at -2");
    poller.ends();
}

fn follower(example: &str) {
    let daemon = Daemon::start();
    set(&daemon, "player/volume", "0.5");
    let mut follower = Running::start(&daemon, example, Some("player/"));
    assert_eq!(follower.line(), "player/volume=0.5");
    set(&daemon, "other", "1");
    set(&daemon, "player/volume", "0.75");
    assert_eq!(follower.line(), "player/volume=0.75");
    daemon.ask("io.globstash.Delete", json!({ "key": "player/volume" }));
    assert_eq!(follower.line(), "player/volume is gone");
    drop(follower.child.stdin.take());
    follower.ends();
}

fn worker(example: &str) {
    let daemon = Daemon::start();
    let mut worker = Running::start(&daemon, example, None);
    eventually("it waits", || get(&daemon, "worker/state") == "waiting");
    set(&daemon, "worker/flag", "invoices");
    assert_eq!(worker.line(), "invoices: done");
    eventually("the flag is down", || {
        get(&daemon, "worker/flag").is_empty()
    });
    set(&daemon, "worker/flag", "stop");
    worker.ends();
    eventually("its state is gone", || {
        get(&daemon, "worker/state").is_empty()
    });
}

/// Without a service they say so, in one way, and end with 1.
fn says_what_is_wrong(example: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(example);
    command.env("GLOBSTASH_ADDRESS", folder.path().join("none"));
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let name = Path::new(example).file_stem().unwrap().display();
    assert!(
        said.starts_with(&format!("{name}: no service at ")),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty());
}

/// Ctrl-C is no accident for a program in Python, with some lines about it.
#[test]
fn a_poller_in_python_can_be_interrupted() {
    let daemon = Daemon::start();
    set(&daemon, "machine/axis-3", "20.5");
    let mut poller = Running::start(&daemon, "examples/python/poller.py", None);
    assert_eq!(poller.line(), "axis 3 is at 20.5");
    // timeout(1) passes it on, once.
    kill_process(Pid::from_child(&poller.child), Signal::INT).unwrap();
    poller.ends();
}

/// The example of a language in the README, in a program that prints what it has read.
fn readme(language: &str, file: &str, print: &str) {
    let readme = fs::read_to_string(source("README.md")).unwrap();
    let (_, rest) = readme
        .split_once(&format!("```{language}\n"))
        .expect("an example");
    let (code, _) = rest.split_once("```").expect("its end");
    let is_include = |line: &&str| line.starts_with("#include");
    let (includes, code): (Vec<_>, Vec<_>) = code.lines().partition(is_include);
    let (includes, code) = (includes.join("\n"), code.join("\n"));
    let program = folder().join(file);
    let text = format!("{includes}\nint main(void)\n{{\n{code}\n{print}\nreturn 0;\n}}\n");
    fs::write(&program, text).unwrap();
    let daemon = Daemon::start();
    let mut command = run(
        &compile(program.to_str().expect("text"), Mode::Plain),
        Mode::Plain,
    );
    let said = done(command.env("GLOBSTASH_ADDRESS", daemon.socket()));
    assert_eq!(said, "0.5\n");
}

/// What somebody sees first who opens the header.
#[test]
fn the_program_that_the_header_begins_with_is_right() {
    let header = fs::read_to_string(source("include/globstash.h")).unwrap();
    let lines = header.lines().map_while(|line| line.split_once('*'));
    let code = lines.filter_map(|(_, line)| line.strip_prefix("     "));
    let code: Vec<_> = code.collect();
    assert_eq!(code.len(), 10, "{code:#?}");
    let file = folder().join("header.c");
    fs::write(&file, code.join("\n") + "\n").unwrap();
    let daemon = Daemon::start();
    let mut command = program(file.to_str().expect("text"));
    command.env("GLOBSTASH_ADDRESS", daemon.socket());
    assert_eq!(done(&mut command), "0.5\n");
}

#[test]
fn the_readme_is_right_in_c() {
    readme("c", "readme.c", "puts(volume);");
}

#[test]
fn the_readme_is_right_in_cpp() {
    readme("cpp", "readme.cpp", "puts(volume.c_str());");
}

macro_rules! examples {
    ($($name:ident,)*) => {
        $(mod $name {
            fn in_language(folder: &str, extension: &str) {
                let name = stringify!($name);
                let example = format!("examples/{folder}/{name}.{extension}");
                super::$name(&example);
                super::says_what_is_wrong(&example);
            }

            #[test]
            fn in_c() {
                in_language("c", "c");
            }

            #[test]
            fn in_cpp() {
                in_language("cpp", "cpp");
            }

            #[test]
            fn in_rust() {
                in_language("rust", "rs");
            }

            #[test]
            fn in_python() {
                in_language("python", "py");
            }
        })*
    };
}

examples! {
    hello,
    poller,
    follower,
    worker,
}
