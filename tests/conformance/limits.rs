//! How much one user may take of the service, and what a service does that has run out itself.
//!
//! The other user is a thread that takes on another user ID while it connects; that needs root.

use std::io::IoSlice;
use std::os::fd::AsFd;
use std::thread;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, Resource, Rlimit, geteuid, prlimit};
use rustix::thread::{Uid, set_thread_uid};
use serde_json::json;

use crate::common::{Daemon, Peer, call, error, eventually, frame};

/// Most connections of one user.
const USER_CONNECTIONS_MAX: usize = 1024;
/// A user that nobody is.
const STRANGER: u32 = 54_321;

/// A service that every user can reach.
struct Open {
    daemon: Daemon,
    name: String,
}

impl Open {
    fn start() -> Self {
        assert!(
            geteuid().is_root(),
            "this test needs a second user: run it as root"
        );
        let folder = tempfile::tempdir().expect("a name that nobody has");
        let name = folder.path().to_str().expect("text").to_owned();
        let address = format!("unix:@{name}");
        let daemon = Daemon::start_with(|command| {
            command.env("SYSTEMD_VARLINK_LISTEN", address);
        });
        Open { daemon, name }
    }

    /// Connections of the other user.
    fn connect_strangers(&self, count: usize) -> Vec<Peer> {
        let connect = || {
            set_thread_uid(Uid::from_raw(STRANGER)).expect("we are root");
            let connect = || Peer::connect_abstract(&self.name);
            (0..count).map(|_| connect()).collect()
        };
        thread::scope(|scope| scope.spawn(connect).join().expect("connections"))
    }
}

#[test]
fn a_user_has_as_many_connections_as_allowed_and_others_do_not_notice() {
    let open = Open::start();
    let mut root = open.daemon.connect();
    let mut strangers = open.connect_strangers(USER_CONNECTIONS_MAX);
    for peer in &mut strangers {
        peer.ask("io.globstash.GetStatus", json!({}));
    }
    let too_many = error(
        "io.globstash.LimitExceeded",
        json!({"limit": "connections", "maximum": USER_CONNECTIONS_MAX}),
    );
    for mut peer in open.connect_strangers(3) {
        // Whatever it is that it calls first.
        peer.send_calls("io.globstash.Set", [json!({"key": "a", "value": "b"})]);
        assert_eq!(peer.receive(), too_many);
        peer.expect_closed();
    }
    let get = root.ask("io.globstash.Get", json!({"key": "a"}));
    assert_eq!(get["defined"], false, "nothing was changed");
    open.daemon.ask("io.globstash.GetStatus", json!({}));

    drop(strangers.pop());
    eventually("the service notices", || {
        let status = root.ask("io.globstash.GetStatus", json!({}));
        status["connections"] == USER_CONNECTIONS_MAX as u64
    });
    let mut back = open.connect_strangers(1);
    back[0].ask("io.globstash.GetStatus", json!({}));
}

#[test]
fn one_connection_too_many_need_not_say_anything_to_be_let_go() {
    let open = Open::start();
    let _all = open.connect_strangers(USER_CONNECTIONS_MAX);
    for peer in open.connect_strangers(200) {
        drop(peer);
    }
    let mut root = open.daemon.connect();
    // A descriptor for each connection that counts, and some that the service has anyway.
    eventually("those that were refused are closed", || {
        root.ask("io.globstash.GetStatus", json!({}));
        open.daemon.descriptors() < USER_CONNECTIONS_MAX + 32
    });
}

#[test]
fn of_a_user_for_whom_too_much_waits_the_greediest_connection_is_closed() {
    let open = Open::start();
    let mut root = open.daemon.connect();
    let value = "x".repeat(1 << 20);
    for key in 1..=7 {
        root.ask(
            "io.globstash.Set",
            json!({"key": key.to_string(), "value": value}),
        );
    }
    let all = json!({"patterns": ["[1-7]"]});
    let some = json!({"patterns": ["[1-5]"]});
    root.send(&call("io.globstash.List", all.clone()));
    assert!(root.wait_for_bytes());

    let mut strangers = open.connect_strangers(7);
    strangers[0].send(&call("io.globstash.List", all));
    assert!(strangers[0].wait_for_bytes());
    for peer in &mut strangers[1..] {
        peer.send(&call("io.globstash.List", some.clone()));
        assert!(peer.wait_for_bytes());
    }
    // More than 32 MiB would wait for them now.
    assert!(!strangers[0].receives_all(), "the greediest had to go");
    assert_eq!(
        root.receive()["parameters"]["entries"]
            .as_array()
            .map(Vec::len),
        Some(7)
    );
    for peer in &mut strangers[1..] {
        assert!(peer.receives_all());
        peer.ask("io.globstash.GetStatus", json!({}));
    }
}

#[test]
fn ten_thousand_calls_leave_no_descriptor_behind() {
    let daemon = Daemon::start();
    // Answered, so that what was open only to say that it is ready is closed.
    let mut first = daemon.connect();
    first.ask("io.globstash.GetStatus", json!({}));
    let before = daemon.descriptors();
    for _ in 0..100 {
        let mut peer = daemon.connect();
        peer.send_calls("io.globstash.Get", vec![json!({"key": "a"}); 100]);
        for _ in 0..100 {
            peer.receive();
        }
    }
    eventually("all are closed", || daemon.descriptors() == before);
}

#[test]
fn descriptors_that_a_peer_sends_are_not_kept() {
    /// As many as one message can carry.
    const MOST: usize = 253;

    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask("io.globstash.GetStatus", json!({}));
    let before = daemon.descriptors();
    let null = std::fs::File::open("/dev/null").expect("there is one");
    let descriptors = [null.as_fd(); MOST];
    let request = frame(&call("io.globstash.GetStatus", json!({})));
    for _ in 0..20 {
        let mut space = vec![std::mem::MaybeUninit::uninit(); 4096];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let bytes = [IoSlice::new(&request)];
        let sent = sendmsg(peer.stream(), &bytes, &mut ancillary, SendFlags::NOSIGNAL);
        assert_eq!(sent, Ok(request.len()));
        assert!(peer.receive()["parameters"]["instance"].is_string());
    }
    assert_eq!(daemon.descriptors(), before);
}

#[test]
fn a_service_without_descriptors_left_waits_for_one_and_goes_on() {
    /// Some are opened only when needed.
    const ROOM: usize = 8;

    let daemon = Daemon::start();
    let mut old = daemon.connect();
    old.ask("io.globstash.GetStatus", json!({}));
    let limit = (daemon.descriptors() + ROOM) as u64;
    let pid = Pid::from_raw(daemon.pid() as i32);
    let few = Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    prlimit(pid, Resource::Nofile, few).expect("it is our child");
    let mut peers: Vec<Peer> = (0..2 * ROOM).map(|_| daemon.connect()).collect();
    eventually("the service has none left", || {
        daemon.log().contains("cannot accept connections")
    });

    // That nothing happens can only be seen in a while in which it could: half of the pause that
    // the service makes. One that goes round in circles takes far more of it.
    let before = daemon.cpu_time();
    thread::sleep(std::time::Duration::from_millis(500));
    let taken = daemon.cpu_time().expect("it lives") - before.expect("it lives");
    assert!(taken < 25_000_000, "{taken} ns of 500,000,000");
    old.ask("io.globstash.GetStatus", json!({}));

    // Each that is closed makes room for one that waits.
    let waiting = peers.split_off(ROOM);
    for peer in &mut peers {
        peer.ask("io.globstash.GetStatus", json!({}));
    }
    drop(peers);
    for mut peer in waiting {
        peer.ask("io.globstash.GetStatus", json!({}));
    }
}
