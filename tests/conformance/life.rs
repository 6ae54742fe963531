//! A service begins, tells its manager how it is doing, and ends.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::common::{Daemon, eventually, fails, listed};

// ---- the end ----

#[test]
fn asked_to_end_it_answers_what_it_was_asked() {
    let mut daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask("io.globstash.GetStatus", json!({}));
    peer.send_calls("io.globstash.Get", vec![json!({"key": "a"}); 200]);
    daemon.signal(Signal::TERM);
    for _ in 0..200 {
        assert_eq!(peer.receive()["parameters"]["defined"], false);
    }
    peer.expect_closed();
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!daemon.socket().exists());
}

#[test]
fn asked_to_end_it_finishes_the_lists_that_it_has_begun() {
    let mut daemon = Daemon::start();
    let mut peer = daemon.connect();
    let value = "x".repeat(64 << 10);
    let keys: Vec<String> = (10..26).map(|n| n.to_string()).collect();
    for key in &keys {
        peer.ask("io.globstash.Set", json!({"key": key, "value": value}));
    }
    peer.send(&json!({"method": "io.globstash.List", "more": true}));
    assert!(peer.wait_for_bytes());
    daemon.signal(Signal::TERM);
    assert_eq!(listed(&peer.receive_all()), keys);
    peer.expect_closed();
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn who_takes_no_answers_does_not_keep_it_from_ending() {
    let mut daemon = Daemon::start();
    let mut peer = daemon.connect();
    let value = "x".repeat(1 << 20);
    peer.ask("io.globstash.Set", json!({"key": "a", "value": value}));
    peer.send_calls("io.globstash.Get", vec![json!({"key": "a"}); 100]);
    assert!(peer.wait_for_bytes());
    let idle = daemon.connect();
    idle.send_bytes(b"{\"method\":");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!daemon.socket().exists());
}

#[test]
fn an_interrupt_ends_it() {
    let mut daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask("io.globstash.GetStatus", json!({}));
    daemon.signal(Signal::INT);
    peer.expect_closed();
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn after_a_hangup_the_program_goes_on_as_a_new_one_with_all_variables() {
    let mut daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask("io.globstash.Set", json!({"key": "a", "value": "b"}));
    let before = peer.ask("io.globstash.GetStatus", json!({}));
    for _ in 0..3 {
        daemon.signal(Signal::HUP);
        peer.expect_closed();
        daemon.expect_ready();
        peer = daemon.connect();
        let value = peer.ask("io.globstash.Get", json!({"key": "a"}));
        assert_eq!(
            (&value["value"], &value["revision"]),
            (&json!("b"), &json!(1))
        );
        let after = peer.ask("io.globstash.GetStatus", json!({}));
        for field in ["instance", "startedUSec", "variables", "bytes", "revision"] {
            assert_eq!(before[field], after[field], "{field}");
        }
        assert_eq!(after["calls"], 1, "it is another one");
    }
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(
        !daemon.socket().exists(),
        "the last one takes its address away"
    );
}

#[test]
fn after_an_end_there_is_a_new_and_empty_instance() {
    let mut daemon = Daemon::start();
    daemon.ask("io.globstash.Set", json!({"key": "a", "value": "b"}));
    let before = daemon.ask("io.globstash.GetStatus", json!({}));
    daemon.signal(Signal::TERM);
    daemon.restart();
    let after = daemon.ask("io.globstash.GetStatus", json!({}));
    assert_eq!(
        (&after["variables"], &after["revision"]),
        (&json!(0), &json!(0))
    );
    assert_ne!(after["instance"], before["instance"]);
    let instance = after["instance"].as_str().expect("a string");
    assert!(instance.len() == 32 && instance.bytes().all(|digit| digit.is_ascii_hexdigit()));
}

// ---- the place ----

#[test]
fn a_socket_that_a_killed_service_left_is_taken_over() {
    let mut daemon = Daemon::start();
    daemon.signal(Signal::KILL);
    daemon.wait();
    assert!(daemon.socket().exists());
    daemon.restart();
    daemon.ask("io.globstash.GetStatus", json!({}));
}

#[test]
fn a_second_service_at_the_same_place_fails_and_the_first_goes_on() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let socket = daemon.socket();
    let (status, message) = fails(|command| {
        command.arg("--address").arg(&socket);
    });
    assert_eq!(status.code(), Some(1));
    let expected = format!(
        "cannot listen at {}: another service is listening there",
        socket.display()
    );
    assert!(message.contains(&expected), "{message}");
    peer.ask("io.globstash.GetStatus", json!({}));
    daemon.ask("io.globstash.GetStatus", json!({}));
}

#[test]
fn what_is_no_socket_is_not_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").expect("a file");
    for (place, problem) in [
        (file.clone(), "there is a file that is no socket"),
        (
            folder.path().to_owned(),
            "there is a file that is no socket",
        ),
        (folder.path().join("a/b"), "No such file or directory"),
        (file.join("b"), "Not a directory"),
    ] {
        let (status, message) = fails(|command| {
            command.arg("--address").arg(&place);
        });
        assert_eq!(status.code(), Some(1), "{message}");
        let expected = format!("cannot listen at {}: {problem}", place.display());
        assert!(message.contains(&expected), "{message}");
    }
    assert_eq!(
        std::fs::read_to_string(&file).expect("it is there"),
        "precious"
    );
}

#[test]
fn what_is_no_address_is_refused() {
    for (address, problem) in [
        (
            "globstash",
            "an address is unix:/path, /path, or unix:@name",
        ),
        (
            "tcp:localhost:1",
            "an address is unix:/path, /path, or unix:@name",
        ),
        (
            "/run/x;mode=0666",
            "';' and NUL cannot be part of an address",
        ),
        (
            &*format!("/{}", "x".repeat(200)),
            "it is longer than 107 bytes",
        ),
    ] {
        let (status, message) = fails(|command| {
            command.args(["--address", address]);
        });
        assert_eq!(status.code(), Some(2), "{message}");
        assert!(message.contains(problem), "{message}");
        let (status, message) = fails(|command| {
            command.env("SYSTEMD_VARLINK_LISTEN", address);
        });
        assert_eq!(status.code(), Some(1), "{message}");
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn without_a_place_it_says_how_it_is_started() {
    let (status, message) = fails(|_| ());
    assert_eq!(status.code(), Some(1));
    assert!(
        message.contains("systemctl start globstashd.socket"),
        "{message}"
    );
}

#[test]
fn an_abstract_name_is_a_place_too() {
    let folder = tempfile::tempdir().expect("a name that nobody has");
    let name = folder.path().to_str().expect("text");
    let daemon = Daemon::launch(|command, _| {
        command.arg("--address").arg(format!("unix:@{name}"));
    });
    let mut peer = crate::common::Peer::connect_abstract(name);
    peer.ask("io.globstash.GetStatus", json!({}));
    drop(daemon);
}

// ---- the manager ----

#[test]
fn the_manager_hears_what_it_does_and_that_it_ends() {
    // That it is ready was heard by the fixture.
    let mut daemon = Daemon::start();
    daemon.signal(Signal::TERM);
    let message = daemon.hear();
    assert!(
        message.lines().any(|line| line == "STOPPING=1"),
        "{message}"
    );
    assert!(
        message.lines().any(|line| line.starts_with("STATUS=")),
        "{message}"
    );
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn the_manager_hears_that_it_is_alive_if_it_wants_to() {
    let daemon = Daemon::start_with(|command| {
        command.env("WATCHDOG_USEC", "20000");
    });
    for _ in 0..5 {
        assert_eq!(daemon.hear().trim_end(), "WATCHDOG=1");
    }
}

#[test]
fn a_manager_that_is_gone_is_no_reason_to_fail() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("socket");
    let mut child = Command::new(env!("CARGO_BIN_EXE_globstashd"))
        .arg("--address")
        .arg(&socket)
        .env("NOTIFY_SOCKET", folder.path().join("nobody"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the service starts");
    eventually("it listens", || {
        std::os::unix::net::UnixStream::connect(&socket).is_ok()
    });
    crate::common::Peer::connect(&socket).ask("io.globstash.GetStatus", json!({}));
    child.kill().expect("it lives");
    child.wait().expect("it ends");
}

#[test]
fn an_idle_service_sleeps() {
    let daemon = Daemon::start();
    let mut peers: Vec<_> = (0..10).map(|_| daemon.connect()).collect();
    for peer in &mut peers {
        peer.ask("io.globstash.Set", json!({"key": "a", "value": "b"}));
    }
    let switches = || daemon.status("voluntary_ctxt_switches");
    // That nothing happens can only be seen in a while in which it could. It may begin before the last
    // turn is over: also a process that the kernel calls sleeping may have a step to go until it is.
    let sleeps = |_| {
        let before = switches();
        std::thread::sleep(Duration::from_millis(300));
        switches() == before
    };
    assert!((0..3).any(sleeps), "it wakes up for nothing");
}

// ---- standard error ----

#[test]
fn values_are_not_in_the_log_and_keys_do_not_break_its_lines() {
    let mut daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask("io.globstash.Set", json!({"key": "a", "value": "secret"}));
    peer.call(
        "io.globstash.Set",
        json!({"key": "b\nc", "value": "secret"}),
    );
    peer.stream()
        .write_all(b"{\"method\":\"a\nb\",\"secret\":1}\0")
        .expect("it reads");
    peer.expect_closed();
    daemon.signal(Signal::TERM);
    daemon.wait();
    let log = daemon.log();
    assert!(!log.contains("secret"), "{log}");
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
}
