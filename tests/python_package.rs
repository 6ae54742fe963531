//! The package for Python: its own tests, its types, and the examples, with the wheel installed.
#![cfg(feature = "service")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use common::{Daemon, eventually, wheel};

/// How long all of its tests may take on a machine with much else to do. Each has a watchdog.
const TESTS: Duration = Duration::from_secs(900);

fn here(place: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(place)
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}:\n{said}{told}");
}

#[test]
fn its_tests_pass() {
    succeeds(
        wheel::python_within(TESTS)
            .args(["-m", "unittest", "discover", "--start-directory"])
            .arg(here("python/tests"))
            .env("GLOBSTASHD", env!("CARGO_BIN_EXE_globstashd")),
    );
}

/// The package, and the examples as programs of those who use it, with all that mypy can find.
#[test]
fn its_types_are_right() {
    let mypy = |folder: &Path| {
        let mut mypy = Command::new(wheel::tool("python"));
        mypy.current_dir(folder);
        mypy
    };
    let folder = tempfile::tempdir().unwrap();
    let python = wheel::executable();
    let examples = std::fs::read_dir(here("examples/python")).unwrap();
    let examples = examples.map(|example| example.unwrap().path());
    succeeds(
        mypy(folder.path())
            .args(["-m", "mypy", "--strict", "--explicit-package-bases"])
            .arg("--python-executable")
            .arg(&python)
            .args(examples),
    );
    let packages = wheel::packages();
    succeeds(
        mypy(folder.path())
            .args(["-m", "mypy", "--strict", "--package", "globstash"])
            .env("MYPYPATH", &packages),
    );
    // What the stubs say is what there is.
    succeeds(
        mypy(folder.path())
            .args(["-m", "mypy.stubtest", "globstash._native"])
            .env("MYPYPATH", &packages)
            .env("PYTHONPATH", &packages),
    );
}

/// An example at work.
struct Example {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Example {
    fn start(name: &str, daemon: &Daemon) -> Example {
        let mut child = wheel::python()
            .arg(here("examples/python").join(name))
            .env("GLOBSTASH_ADDRESS", daemon.socket())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Example { child, lines }
    }

    fn says(&mut self, line: &str) {
        let mut said = String::new();
        self.lines.read_line(&mut said).unwrap();
        assert_eq!(said, format!("{line}\n"));
    }

    /// What else it says until its end, which must be a good one.
    fn ends(mut self) -> String {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

fn set(daemon: &Daemon, key: &str, value: &str) {
    let set = daemon.command(["set", key, value]).status();
    assert!(set.unwrap().success());
}

#[test]
fn hello_says_so() {
    let daemon = Daemon::start();
    assert_eq!(Example::start("hello.py", &daemon).ends(), "Hello, world\n");
}

#[test]
fn the_poller_sees_changes() {
    let daemon = Daemon::start();
    set(&daemon, "sensor/3", "20.5");
    let mut poller = Example::start("poller.py", &daemon);
    poller.says("sensor/3 20.5");
    set(&daemon, "sensor/19", "7");
    poller.says("sensor/19 7");
    let deleted = daemon.command(["delete", "sensor/3"]).status();
    assert!(deleted.unwrap().success());
    poller.says("sensor/3 is gone");
    // timeout(1) passes it on, once.
    kill_process(Pid::from_child(&poller.child), Signal::INT).unwrap();
    let rest = poller.ends();
    assert!(rest.starts_with("looked "), "{rest}");
}

#[test]
fn the_follower_follows() {
    let daemon = Daemon::start();
    set(&daemon, "player/volume", "0.5");
    let mut follower = Example::start("follower.py", &daemon);
    follower.says("player/volume is '0.5'");
    set(&daemon, "player/title", "Air");
    follower.says("player/title is 'Air'");
    let deleted = daemon.command(["delete", "player/title"]).status();
    assert!(deleted.unwrap().success());
    follower.says("player/title is gone");
    set(&daemon, "player/state", "stopped");
    assert_eq!(follower.ends(), "player/state is 'stopped'\n");
}

#[test]
fn the_worker_waits_for_its_flag() {
    let daemon = Daemon::start();
    let mut worker = Example::start("worker.py", &daemon);
    let get = |key: &str| {
        let output = daemon.command(["get", key]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    eventually("the worker is there", || !get("worker/pid").is_empty());
    set(&daemon, "worker/job", "the dishes");
    worker.says("working on the dishes");
    worker.ends();
    assert_eq!(get("worker/done"), "the dishes\n");
    eventually("the worker is gone", || get("worker/pid").is_empty());
}
