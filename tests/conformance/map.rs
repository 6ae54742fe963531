//! The memory of the variables, as it is given to those who want to read it themselves.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

use rustix::fs::{SealFlags, fcntl_get_seals, fcntl_getfl, fstat};
use serde_json::{Value, json};

use crate::common::{Daemon, call, frame};

fn open_map() -> Value {
    call("io.globstash.OpenMap", json!({}))
}

/// Asks for the map on a connection of its own.
fn opened(daemon: &Daemon) -> (Value, OwnedFd) {
    let peer = daemon.connect();
    peer.send(&open_map());
    let (reply, mut descriptors) = peer.receive_with(4096);
    assert_eq!(reply.last(), Some(&0), "the reply is whole");
    assert_eq!(descriptors.len(), 1);
    let reply: Value = serde_json::from_slice(&reply[..reply.len() - 1]).expect("JSON");
    (reply["parameters"].clone(), descriptors.remove(0))
}

#[test]
fn the_map_comes_as_a_descriptor_for_reading() {
    let daemon = Daemon::start();
    daemon.ask(
        "io.globstash.Set",
        json!({"key": "the/key", "value": "its value"}),
    );
    let (reply, map) = opened(&daemon);
    let status = daemon.ask("io.globstash.GetStatus", json!({}));
    assert_eq!(reply["instance"], status["instance"]);
    assert_eq!(reply["mapFileDescriptor"], 0);
    assert_eq!(reply["size"], fstat(&map).expect("a file").st_size);
    let flags = fcntl_getfl(&map).expect("a descriptor");
    assert_eq!(
        flags & rustix::fs::OFlags::RWMODE,
        rustix::fs::OFlags::RDONLY
    );
    let seals = fcntl_get_seals(&map).expect("a memory file");
    assert!(seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL));
    // It is what the variables stand in.
    let mut beginning = vec![0; 1 << 20];
    let mut map = File::from(map);
    map.read_exact(&mut beginning).expect("so much is there");
    assert_eq!(&beginning[..8], b"GLOBST1\0");
    assert_eq!(reply["layout"], beginning[12]);
    let has = |text: &[u8]| beginning.windows(text.len()).any(|some| some == text);
    assert!(has(b"the/key") && has(b"its value"));
}

#[test]
fn a_descriptor_comes_with_its_own_message() {
    let daemon = Daemon::start();
    let peer = daemon.connect();
    let status = call("io.globstash.GetStatus", json!({}));
    let calls = [&status, &open_map(), &status].map(frame).concat();
    peer.send_bytes(&calls);
    let mut seen: Vec<u8> = Vec::new();
    let mut messages = 0;
    let mut with = Vec::new();
    while messages < 3 {
        // Byte by byte: the kernel would give what came before the descriptor together with it.
        let (byte, descriptors) = peer.receive_with(1);
        if !descriptors.is_empty() {
            with.push((messages, seen.len(), descriptors.len()));
        }
        seen.extend(&byte);
        if byte == [0] {
            messages += 1;
            seen.clear();
        }
    }
    assert_eq!(with, [(1, 0, 1)]);
}

#[test]
fn a_peer_that_looks_for_no_descriptor_gets_the_reply() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for _ in 0..3 {
        assert_eq!(peer.ask("io.globstash.OpenMap", json!({}))["layout"], 2);
    }
    assert_eq!(peer.ask("io.globstash.GetStatus", json!({}))["calls"], 3);
}

/// As newer versions of `varlinkctl` are: a socket can refuse descriptors, and then nothing that has
/// one along can be sent to it. The service took that for the end of the connection.
#[test]
fn a_peer_that_refuses_descriptors_gets_the_reply() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    if !peer.refuse_descriptors() {
        eprintln!("this kernel has no socket that refuses descriptors");
        return;
    }
    for _ in 0..3 {
        assert_eq!(peer.ask("io.globstash.OpenMap", json!({}))["layout"], 2);
    }
}

#[test]
fn one_descriptor_is_under_way_to_a_peer() {
    let daemon = Daemon::start();
    let peer = daemon.connect();
    let both = [frame(&open_map()), frame(&open_map())].concat();
    peer.send_bytes(&both);
    // The second was answered before the first was taken.
    daemon.ask("io.globstash.GetStatus", json!({}));
    let (first, descriptors) = peer.receive_with(4096);
    assert_eq!(descriptors.len(), 1);
    let (second, descriptors) = match first.iter().filter(|byte| **byte == 0).count() {
        1 => peer.receive_with(4096),
        _ => (Vec::new(), Vec::new()),
    };
    assert_eq!(descriptors.len(), 0, "{}", String::from_utf8_lossy(&second));
    // It was: there may be another.
    peer.send(&open_map());
    assert_eq!(peer.receive_with(4096).1.len(), 1);
}

#[test]
fn who_wants_no_reply_gets_no_descriptor() {
    let daemon = Daemon::start();
    let peer = daemon.connect();
    let mut oneway = open_map();
    oneway["oneway"] = json!(true);
    let calls = [oneway, call("io.globstash.GetStatus", json!({}))];
    peer.send_bytes(&calls.iter().flat_map(frame).collect::<Vec<_>>());
    let (reply, descriptors) = peer.receive_with(4096);
    assert!(String::from_utf8_lossy(&reply).contains("maximumBytes"));
    assert!(descriptors.is_empty());
}
