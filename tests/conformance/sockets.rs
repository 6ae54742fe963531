//! Sockets that the service does not make itself: passed by a manager, or standard input and output.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{Daemon, Peer, call, fails, frame};

/// Makes `command` a service that finds `socket` as descriptor 3. The shell knows its own process
/// ID before it becomes the service, which nobody else does.
fn pass(command: &mut Command, socket: impl Into<OwnedFd>, environment: &str) {
    let service = command.get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        &format!("{environment} exec \"$0\" \"$@\" 3<&0 </dev/null"),
    ]);
    shell.arg(service).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell.stdin(Stdio::from(socket.into()));
    *command = shell;
}

const FOR_US: &str = "LISTEN_PID=$$ LISTEN_FDS=1";

fn launch_with(socket: impl Into<OwnedFd>, environment: &str) -> Daemon {
    Daemon::launch(|command, folder| {
        pass(command, socket, environment);
        command.stderr(std::fs::File::create(folder.join("log")).expect("a log"));
    })
}

fn listener() -> (tempfile::TempDir, UnixListener) {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = UnixListener::bind(folder.path().join("passed")).expect("a socket");
    (folder, listener)
}

#[test]
fn a_passed_listener_is_served_with_and_without_a_name() {
    for names in [
        "",
        "LISTEN_FDNAMES=varlink",
        "LISTEN_FDNAMES=unknown",
        "LISTEN_FDNAMES=globstashd.socket",
    ] {
        let (folder, listener) = listener();
        listener.set_nonblocking(true).expect("a socket");
        let path = folder.path().join("passed");
        let mut daemon = launch_with(listener, &format!("{FOR_US} {names}"));
        Peer::connect(&path).ask("io.globstash.GetStatus", json!({}));
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.wait().code(), Some(0));
        assert!(path.exists(), "it is not ours to remove");
    }
}

/// Not every manager passes sockets that do not block. Such a one held up the service: it accepted
/// until there was nothing more to accept, and waited for that.
#[test]
fn a_passed_listener_may_be_one_that_blocks() {
    let (folder, listener) = listener();
    let path = folder.path().join("passed");
    let _daemon = launch_with(listener, FOR_US);
    let mut peer = Peer::connect(&path);
    peer.ask("io.globstash.GetStatus", json!({}));
    peer.ask("io.globstash.GetStatus", json!({}));
}

/// The manager keeps the socket when we close ours: the poller went on to tell of it, and a service
/// that was ending went round in circles when somebody connected.
#[test]
fn a_passed_listener_is_not_listened_to_while_ending() {
    let (folder, listener) = listener();
    let path = folder.path().join("passed");
    let kept = listener.try_clone().expect("a descriptor");
    let mut daemon = launch_with(listener, FOR_US);
    let mut peer = Peer::connect(&path);
    let value = "x".repeat(1 << 20);
    peer.ask("io.globstash.Set", json!({"key": "a", "value": value}));
    // It does not take its answer, so that the end takes as long as it may.
    peer.send(&call("io.globstash.Get", json!({"key": "a"})));
    assert!(peer.wait_for_bytes());
    daemon.signal(Signal::TERM);
    assert!(daemon.hear().contains("STOPPING=1"));
    let _late = UnixStream::connect(&path).expect("the manager keeps it open");
    let before = daemon.cpu_time();
    let mut taken = 0;
    while let (None, Some(now)) = (
        daemon.child().try_wait().expect("a child"),
        daemon.cpu_time(),
    ) {
        taken = now - before.expect("it lives");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(taken < 50_000_000, "{taken} ns of at most 500,000,000");
    drop(kept);
}

#[test]
fn who_called_before_the_service_was_there_is_answered() {
    let (folder, listener) = listener();
    listener.set_nonblocking(true).expect("a socket");
    let mut early = Peer::connect(&folder.path().join("passed"));
    early.send(&call("io.globstash.GetStatus", json!({})));
    let _daemon = launch_with(listener, FOR_US);
    assert!(early.receive()["parameters"]["instance"].is_string());
}

#[test]
fn a_passed_connection_is_served_until_it_ends_and_so_does_the_service() {
    for names in ["", "LISTEN_FDNAMES=varlink"] {
        let (ours, theirs) = UnixStream::pair().expect("two sockets");
        let mut daemon = launch_with(theirs, &format!("{FOR_US} {names}"));
        let mut peer = Peer::new(ours);
        peer.ask("io.globstash.Set", json!({"key": "a", "value": "b"}));
        let get = peer.ask("io.globstash.Get", json!({"key": "a"}));
        assert_eq!(get["value"], "b");
        drop(peer);
        assert_eq!(daemon.wait().code(), Some(0));
    }
}

#[test]
fn what_is_passed_to_another_process_is_left_alone() {
    let (folder, listener) = listener();
    let path = folder.path().join("own");
    let daemon = Daemon::launch(|command, log| {
        command.arg("--address").arg(&path);
        pass(command, listener, "LISTEN_PID=1 LISTEN_FDS=1");
        command.stderr(std::fs::File::create(log.join("log")).expect("a log"));
    });
    Peer::connect(&path).ask("io.globstash.GetStatus", json!({}));
    let mut other = UnixStream::connect(folder.path().join("passed")).expect("it is open");
    other.set_nonblocking(true).expect("a socket");
    Peer::connect(&path).ask("io.globstash.GetStatus", json!({}));
    assert!(other.read(&mut [0]).is_err(), "nobody accepts it");
    drop(daemon);
}

#[test]
fn what_cannot_be_served_is_said() {
    let null = || std::fs::File::open("/dev/null").expect("there is one");
    for environment in [
        FOR_US,
        "LISTEN_PID=$$ LISTEN_FDS=x",
        "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=varlink",
    ] {
        let (status, message) = fails(|command| {
            pass(command, null(), environment);
            command.stderr(Stdio::piped());
        });
        assert_eq!(status.code(), Some(1), "{message}");
        assert!(message.contains("globstashd: "), "{message}");
    }
    let (udp, _) = std::os::unix::net::UnixDatagram::pair().expect("two sockets");
    let (status, message) = fails(|command| {
        pass(command, udp, FOR_US);
        command.stderr(Stdio::piped());
    });
    assert_eq!(status.code(), Some(1), "{message}");
    assert!(message.contains("no UNIX stream socket"), "{message}");
}

#[test]
fn the_address_may_come_from_the_environment() {
    let daemon = Daemon::launch(|command, folder| {
        command.env("SYSTEMD_VARLINK_LISTEN", folder.join("socket"));
    });
    daemon.ask("io.globstash.GetStatus", json!({}));
    let daemon = Daemon::launch(|command, folder| {
        let path = folder.join("socket");
        command.env("SYSTEMD_VARLINK_LISTEN", format!("unix:{}", path.display()));
    });
    daemon.ask("io.globstash.GetStatus", json!({}));
}

fn launch_on_pipes() -> Daemon {
    Daemon::launch(|command, _| {
        command
            .env("SYSTEMD_VARLINK_LISTEN", "-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
    })
}

#[test]
fn standard_input_and_output_can_be_the_connection() {
    let mut daemon = launch_on_pipes();
    let mut input = daemon.child().stdin.take().expect("a pipe");
    let mut output = daemon.child().stdout.take().expect("a pipe");
    for n in 1..=3 {
        let set = call("io.globstash.Set", json!({"key": "a", "value": "b"}));
        input.write_all(&frame(&set)).expect("it reads");
        let mut reply = [0; 64];
        let length = output.read(&mut reply).expect("an answer");
        let reply: Value = serde_json::from_slice(&reply[..length - 1]).expect("JSON");
        assert_eq!(reply, json!({"parameters": {"revision": n}}));
    }
    // The last answers go out, however long they are, before the service ends with its input.
    let value = "x".repeat(1 << 20);
    let set = call("io.globstash.Set", json!({"key": "a", "value": value}));
    input.write_all(&frame(&set)).expect("it reads");
    let get = call("io.globstash.Get", json!({"key": "a"}));
    input.write_all(&frame(&get).repeat(3)).expect("it reads");
    drop(input);
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).expect("answers");
    assert!(rest.len() > 3 << 20);
    assert_eq!(daemon.wait().code(), Some(0));
}

/// The thread that writes to standard output was waited for without end.
#[test]
fn who_does_not_read_standard_output_does_not_keep_it_from_ending() {
    let mut daemon = launch_on_pipes();
    let mut input = daemon.child().stdin.take().expect("a pipe");
    let mut output = daemon.child().stdout.take().expect("a pipe");
    let value = "x".repeat(1 << 20);
    let set = call("io.globstash.Set", json!({"key": "a", "value": value}));
    input.write_all(&frame(&set)).expect("it reads");
    let get = call("io.globstash.Get", json!({"key": "a"}));
    input.write_all(&frame(&get)).expect("it reads");
    output
        .read_exact(&mut [0; 100])
        .expect("the beginning of the answers");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    drop(output);
}
