//! `watch` and `wait` against a real service, where a session on paper is not enough: changes while
//! they run, pipes that are closed, services that end. The sessions are in `tests/cli`.
#![cfg(all(feature = "command", feature = "service"))]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use common::{Daemon, eventually};

/// A command that runs, and what it prints. Dropping it kills it.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn start(daemon: &Daemon, arguments: &[&str]) -> Running {
        let mut child = daemon
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Running { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.strip_suffix('\n').expect("it goes on").to_owned()
    }

    /// Waits until it ends: its exit status, and what it said on standard error.
    fn end(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set(daemon: &Daemon, key: &str, value: &str) {
    daemon.ask("io.globstash.Set", json!({"key": key, "value": value}));
}

fn delete(daemon: &Daemon, key: &str) {
    daemon.ask("io.globstash.Delete", json!({ "key": key }));
}

fn watches(daemon: &Daemon) -> i64 {
    daemon.ask("io.globstash.GetStatus", json!({}))["watches"]
        .as_i64()
        .unwrap()
}

#[test]
fn each_change_is_a_line() {
    let daemon = Daemon::start();
    set(&daemon, "p/a", "1");
    set(&daemon, "other", "1");
    let mut watch = Running::start(&daemon, &["watch", "p/"]);
    assert_eq!(watch.line(), "p/a=1");
    set(&daemon, "p/b", "two\nlines");
    assert_eq!(watch.line(), r"p/b=two\nlines");
    set(&daemon, "other", "2");
    delete(&daemon, "p/a");
    assert_eq!(watch.line(), "p/a");
    daemon.ask("io.globstash.Delete", json!({"patterns": ["**"]}));
    assert_eq!(watch.line(), "p/b");
}

#[test]
fn only_changes_are_told_if_only_they_are_wanted() {
    let daemon = Daemon::start();
    set(&daemon, "k", "1");
    let mut watch = Running::start(&daemon, &["watch", "--changes", "--json", "k"]);
    eventually("it watches", || watches(&daemon) == 1);
    set(&daemon, "k", "2");
    assert_eq!(
        watch.line(),
        r#"{"change":"set","key":"k","value":"2","revision":2}"#
    );
    delete(&daemon, "k");
    assert_eq!(
        watch.line(),
        r#"{"change":"deleted","key":"k","value":"2","revision":3}"#
    );
}

#[test]
fn values_alone_are_lines_and_a_deletion_an_empty_one() {
    let daemon = Daemon::start();
    set(&daemon, "k", "a=b");
    let mut watch = Running::start(&daemon, &["watch", "--values", "k"]);
    assert_eq!(watch.line(), "a=b");
    delete(&daemon, "k");
    assert_eq!(watch.line(), "");
    set(&daemon, "k", "c");
    assert_eq!(watch.line(), "c");
}

#[test]
fn records_hold_any_bytes() {
    let daemon = Daemon::start();
    set(&daemon, "k", "a\nb");
    let mut watch = Running::start(&daemon, &["watch", "-0"]);
    let mut record = || {
        let mut record = Vec::new();
        watch.lines.read_until(0, &mut record).unwrap();
        record
    };
    assert_eq!(record(), b"k\na\nb\0");
    delete(&daemon, "k");
    assert_eq!(record(), b"k\0");
}

#[test]
fn a_watch_ends_when_nobody_reads_it_also_if_nothing_changes() {
    let daemon = Daemon::start();
    set(&daemon, "k", "1");
    let (pipe, into_pipe) = std::io::pipe().unwrap();
    let (socket, into_socket) = UnixStream::pair().unwrap();
    let ends: [(Box<dyn Read>, Stdio); 2] = [
        (Box::new(pipe), into_pipe.into()),
        (Box::new(socket), OwnedFd::from(into_socket).into()),
    ];
    for (reader, stdout) in ends {
        let mut watch = daemon.command(["watch"]).stdout(stdout).spawn().unwrap();
        let mut reader = BufReader::new(reader);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "k=1\n");
        drop(reader);
        assert_eq!(watch.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_line_comes_through_a_pipe_at_once_and_head_ends_the_watch() {
    let daemon = Daemon::start();
    let watch = daemon.command(["watch", "--changes"]);
    let program = watch.get_program().to_str().unwrap();
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "\"$0\" watch --changes | grep --line-buffered k | head -1",
        ])
        .arg(program)
        .env("GLOBSTASH_ADDRESS", daemon.socket())
        .stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    eventually("it watches", || watches(&daemon) == 1);
    set(&daemon, "k", "1");
    // Nothing follows this line, and still it comes, and the watch ends.
    let mut lines = BufReader::new(shell.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "k=1\n");
    // grep(1) ends with what it prints when head(1) has ended, which may be a moment after that line.
    eventually("all have ended", || {
        set(&daemon, "k", "2");
        shell.try_wait().unwrap().is_some()
    });
    assert!(shell.wait().unwrap().success());
    eventually("nobody watches any more", || watches(&daemon) == 0);
}

#[test]
fn a_watch_that_was_stopped_tells_the_last_value() {
    const CHANGES: usize = 100_000;

    let daemon = Daemon::start();
    let mut watch = Running::start(&daemon, &["watch", "hot"]);
    eventually("it watches", || watches(&daemon) == 1);
    let pid = Pid::from_child(&watch.child);
    kill_process(pid, Signal::STOP).unwrap();
    let mut peer = daemon.connect();
    let taken = daemon.memory_taken_by(|| {
        for first in (0..CHANGES).step_by(1000) {
            let values =
                (first..first + 1000).map(|n| json!({"key": "hot", "value": n.to_string()}));
            peer.send_calls("io.globstash.Set", values);
            (0..1000).for_each(|_| drop(peer.receive()));
        }
    });
    assert!(taken < 4 << 10, "{taken} KiB");
    kill_process(pid, Signal::CONT).unwrap();
    let last = format!("hot={}", CHANGES - 1);
    let mut count = 1;
    while watch.line() != last {
        count += 1;
    }
    assert!(
        count < CHANGES,
        "values that newer ones replaced were left out"
    );
}

#[test]
fn ctrl_c_ends_a_watch_by_the_signal() {
    let daemon = Daemon::start();
    let watch = Running::start(&daemon, &["watch"]);
    eventually("it watches", || watches(&daemon) == 1);
    kill_process(Pid::from_child(&watch.child), Signal::INT).unwrap();
    let (status, said) = watch.end();
    assert_eq!((status.signal(), &*said), (Some(2), ""));
}

#[test]
fn a_watch_outlives_the_service_and_tells_what_is_gone() {
    let mut daemon = Daemon::start();
    set(&daemon, "p/a", "1");
    set(&daemon, "p/b", "1");
    let mut watch = Running::start(&daemon, &["watch", "p/"]);
    assert_eq!(watch.line(), "p/a=1");
    assert_eq!(watch.line(), "p/b=1");
    daemon.signal(Signal::KILL);
    daemon.restart();
    assert_eq!(watch.line(), "p/a");
    assert_eq!(watch.line(), "p/b");
    set(&daemon, "p/b", "2");
    assert_eq!(watch.line(), "p/b=2");
}

#[test]
fn a_watch_gives_up_on_a_service_that_stays_away() {
    let mut daemon = Daemon::start();
    let watch = Running::start(&daemon, &["watch"]);
    eventually("it watches", || watches(&daemon) == 1);
    daemon.signal(Signal::TERM);
    daemon.wait();
    let (status, said) = watch.end();
    assert_eq!(status.code(), Some(3));
    assert!(said.starts_with("globstash: no service at "), "{said}");
}

#[test]
fn a_command_is_told_the_last_change_of_each_key_in_their_order() {
    let daemon = Daemon::start();
    set(&daemon, "p/a", "0");
    // The first run lasts until the test has made its changes.
    let gate = daemon.folder().join("gate");
    let script =
        "echo $GLOBSTASH_CHANGE $GLOBSTASH_KEY ${GLOBSTASH_VALUE-none} $(cat); cat gate 2>&- || :";
    rustix::fs::mkfifoat(rustix::fs::CWD, &gate, rustix::fs::Mode::RWXU).unwrap();
    let script = script.replace("gate", gate.to_str().unwrap());
    let mut watch = Running::start(&daemon, &["watch", "p/", "--", "sh", "-c", &script]);
    assert_eq!(watch.line(), "set p/a 0 0");
    for (key, value) in [("p/a", "1"), ("p/b", "1"), ("p/c", "1"), ("p/a", "2")] {
        set(&daemon, key, value);
    }
    delete(&daemon, "p/b");
    let writer = fs::OpenOptions::new().write(true).open(&gate).unwrap();
    fs::remove_file(&gate).unwrap();
    drop(writer);
    assert_eq!(watch.line(), "set p/c 1 1");
    assert_eq!(watch.line(), "set p/a 2 2");
    assert_eq!(watch.line(), "deleted p/b none 1");
}

#[test]
fn a_value_that_no_environment_can_hold_is_on_standard_input() {
    let daemon = Daemon::start();
    daemon.ask("io.globstash.Set", json!({"key": "nul", "data": "YQBi"}));
    set(&daemon, "long", &"v".repeat(1 << 20));
    for (key, length) in [("nul", "3"), ("long", "1048576")] {
        let script = "echo ${GLOBSTASH_VALUE-none}; wc -c";
        let mut watch =
            Running::start(&daemon, &["watch", "--once", key, "--", "sh", "-c", script]);
        assert_eq!(watch.line(), "none");
        assert_eq!(watch.line(), length);
        assert_eq!(watch.end().0.code(), Some(0));
    }
}

#[test]
fn a_wait_ends_with_the_change_that_it_waits_for() {
    let mut daemon = Daemon::start();
    let mut wait = Running::start(&daemon, &["wait", "--value", "yes", "db/ready"]);
    eventually("it waits", || {
        daemon.ask("io.globstash.GetStatus", json!({}))["connections"] == 2
    });
    set(&daemon, "db/ready", "no");
    // It goes on waiting with the next service.
    daemon.signal(Signal::KILL);
    daemon.restart();
    set(&daemon, "db/ready", "yes");
    assert_eq!(wait.line(), "yes");
    assert_eq!(wait.end().0.code(), Some(0));
}

/// It was given less than five seconds, and waited five for the service to come back, and then told
/// that there is none.
#[test]
fn a_wait_ends_in_time_also_while_the_service_is_away() {
    let mut daemon = Daemon::start();
    let wait = Running::start(&daemon, &["wait", "-t", "4s", "k"]);
    eventually("it waits", || {
        daemon.ask("io.globstash.GetStatus", json!({}))["connections"] == 2
    });
    daemon.signal(Signal::KILL);
    daemon.wait();
    assert_eq!(wait.end().0.code(), Some(124));
}

/// The service is stopped, not gone: connecting succeeds, and no answer ever comes.
#[test]
fn a_wait_ends_in_time_also_if_the_service_says_nothing() {
    let daemon = Daemon::start();
    daemon.signal(Signal::STOP);
    let wait = Running::start(&daemon, &["wait", "-t", "100ms", "k"]);
    assert_eq!(wait.end().0.code(), Some(124));
    daemon.signal(Signal::CONT);
}
