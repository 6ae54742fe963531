//! Locks among many, through the end of commands and through crashes of the service.
#![cfg(all(feature = "command", feature = "service"))]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use common::{Daemon, Peer, eventually};

/// A command that says on a pipe that it holds the lock, and ends with its standard input.
fn hold(daemon: &Daemon, key: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = daemon
        .command(["lock", key, "--", "sh", "-c", "echo mine; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn expect_mine(out: &mut impl BufRead) {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "mine\n");
}

#[test]
fn one_of_many_holds_it_at_a_time() {
    let daemon = Daemon::start();
    let file = daemon.folder().join("counter");
    fs::write(&file, "0").unwrap();
    // Each reads, yields, and writes one more: together they would lose some without the lock.
    let script = "n=$(cat counter); n=$((n + 1)); sh -c :; echo $n > counter";
    let children: Vec<Child> = (0..20)
        .map(|_| {
            daemon
                .command(["lock", "counter", "-t", "60s", "--", "sh", "-c", script])
                .current_dir(daemon.folder())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "20\n");
    eventually("the last one releases it", || !is_held(&daemon, "counter"));
}

fn is_held(daemon: &Daemon, key: &str) -> bool {
    daemon.ask("io.globstash.Get", json!({ "key": key }))["defined"] == true
}

#[test]
fn who_waits_gets_it_when_the_holder_is_killed() {
    let daemon = Daemon::start();
    let (mut first, mut out) = hold(&daemon, "k");
    expect_mine(&mut out);
    let (mut second, mut out) = hold(&daemon, "k");
    // That the process which holds it is the command itself.
    let value = daemon.ask("io.globstash.Get", json!({ "key": "k" }))["value"].clone();
    assert_eq!(value, first.id().to_string());
    kill_process(Pid::from_child(&first), Signal::KILL).unwrap();
    first.wait().unwrap();
    expect_mine(&mut out);
    drop(second.stdin.take());
    assert!(second.wait().unwrap().success());
    eventually("it is released", || !is_held(&daemon, "k"));
}

#[test]
fn who_waits_and_is_told_to_end_never_holds_it() {
    let daemon = Daemon::start();
    let (mut holder, mut out) = hold(&daemon, "k");
    expect_mine(&mut out);
    let (mut waiter, _) = hold(&daemon, "k");
    kill_process(Pid::from_child(&waiter), Signal::TERM).unwrap();
    assert!(!waiter.wait().unwrap().success());
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    eventually("it is released", || !is_held(&daemon, "k"));
}

/// A service between the command and the real one, which dies once after it has passed a Set on: it
/// keeps the answer for itself.
fn lose_an_answer(daemon: &Daemon) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let real = daemon.socket();
    thread::spawn(move || {
        let mut is_lost = false;
        for client in listener.incoming() {
            let client = client.unwrap();
            let mut calls = BufReader::new(&client);
            let mut service = Peer::connect(&real);
            loop {
                let mut call = Vec::new();
                if calls.read_until(0, &mut call).unwrap() == 0 {
                    break;
                }
                // What the service sees is this process, so the test says whose it is.
                let mut message: serde_json::Value =
                    serde_json::from_slice(&call[..call.len() - 1]).unwrap();
                if message["method"] == "io.globstash.Set" {
                    message["parameters"]["pid"] = message["parameters"]["value"]
                        .as_str()
                        .unwrap()
                        .parse::<i64>()
                        .unwrap()
                        .into();
                }
                service.send(&message);
                let answer = service.receive_bytes().unwrap();
                if message["method"] == "io.globstash.Set" && !is_lost {
                    is_lost = true;
                    break;
                }
                (&client).write_all(&[&answer[..], b"\0"].concat()).unwrap();
            }
        }
    });
    folder
}

#[test]
fn a_lock_whose_answer_was_lost_is_known_to_be_ours() {
    let daemon = Daemon::start();
    let folder = lose_an_answer(&daemon);
    let output = Command::new(env!("CARGO_BIN_EXE_globstash"))
        .args(["lock", "k", "-t", "60s", "--", "globstash-test-sh"])
        .env("GLOBSTASH_ADDRESS", folder.path().join("s"))
        .output();
    // It came to executing the command: it holds the lock.
    assert_eq!(output.unwrap().status.code(), Some(127));
    eventually("its end releases it", || !is_held(&daemon, "k"));
}

/// The service is stopped, not gone: connecting succeeds, and no answer ever comes.
#[test]
fn a_lock_ends_in_time_also_if_the_service_says_nothing() {
    let daemon = Daemon::start();
    daemon.signal(Signal::STOP);
    let output = daemon
        .command(["lock", "-t", "100ms", "k", "--", "globstash-test-sh"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(124));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "globstash: not in time: the service at {} does not answer\n",
            daemon.socket().display()
        )
    );
    daemon.signal(Signal::CONT);
    eventually("it is not held", || !is_held(&daemon, "k"));
}
