//! OpenMap.

use rustix::fs::{OFlags, SealFlags, fcntl_get_seals, fcntl_getfl, fstat};
use serde_json::{Value, json};

use crate::common::{Peer, call};
use crate::scene::Scene;

proofs! {
    variables_are_read_without_asking (not by varlinkctl: "it takes no descriptor, and reads no variables itself") {
        "OpenMap": "Get the memory that holds all variables, to read them without asking the service.",
    }
    it_is_told_what_to_map (not by client: "it shows no reply of it") {
        "OpenMap().size": "How many bytes to map.",
        "OpenMap().layout": "The version of the layout, a private detail of one release.",
        "OpenMap().instance": "The running instance.",
    }
    a_descriptor_for_reading_comes_along (not by either: "neither shows a descriptor") {
        "OpenMap": "The reply comes with a file descriptor of a sealed memory file that the caller can map for reading only.",
        "OpenMap().mapFileDescriptor": "The index of the file descriptor among those that came with the reply.",
        "OpenMap().size": "How many bytes to map.",
    }
    it_comes_alone_or_not_at_all (not by either: "neither shows a descriptor") {
        "OpenMap": "It comes alone with the first byte of the reply, and not at all if the connection passes none, or if the caller has not yet taken what it was sent before along with such a descriptor: then ask the service for each variable instead.",
    }
}

const LONGEST: usize = 4096;

fn ask_for_it(peer: &Peer) {
    peer.send(&call("io.globstash.OpenMap", json!({})));
}

/// The parameters of a whole reply.
fn parameters(reply: &[u8]) -> Value {
    let reply = reply.strip_suffix(b"\0").expect("a whole reply");
    let mut reply: Value = serde_json::from_slice(reply).expect("JSON");
    reply["parameters"].take()
}

fn variables_are_read_without_asking(scene: &Scene) {
    let calls = || scene.ask("GetStatus", json!({}))["calls"].as_u64();
    scene.set("a", "1");
    scene.with_client(|client| {
        let attached = client.attach().expect("the service is there");
        assert!(attached.is_mapped());
        let before = calls();
        for value in ["2", "3"] {
            assert!(attached.get("a").expect("it can be read").is_some());
            scene.set("a", value);
            assert_eq!(
                attached.get("a").expect("it can be read"),
                Some(value.into())
            );
        }
        assert_eq!(attached.get("b").expect("it can be read"), None);
        // Two were made here, and the question itself.
        assert_eq!(calls(), before.map(|before| before + 3));
    });
}

fn it_is_told_what_to_map(scene: &mut Scene) {
    let status = scene.ask("GetStatus", json!({}));
    let told = scene.ask("OpenMap", json!({}));
    assert_eq!(told["instance"], status["instance"]);
    assert_eq!(told["layout"], 2);
    // Room for the most that there can be: the same however much is in it, and after a crash.
    let room = told["size"].as_u64().expect("a number");
    assert!(room > status["maximumBytes"].as_u64().expect("a number"));
    scene.set("a", &"1".repeat(1 << 20));
    assert_eq!(scene.ask("OpenMap", json!({})), told);
    scene.daemon.crash();
    scene.open();
    assert_eq!(scene.ask("OpenMap", json!({})), told);
}

fn a_descriptor_for_reading_comes_along(scene: &Scene) {
    let peer = scene.daemon.connect();
    ask_for_it(&peer);
    let (reply, descriptors) = peer.receive_with(LONGEST);
    let told = parameters(&reply);
    let index = told["mapFileDescriptor"].as_u64().expect("an index");
    let map = &descriptors[usize::try_from(index).expect("a small one")];
    assert_eq!(told["size"], fstat(map).expect("a file").st_size);
    let flags = fcntl_getfl(map).expect("it is open");
    assert_eq!(flags & OFlags::RWMODE, OFlags::RDONLY);
    let seals = fcntl_get_seals(map).expect("a memory file");
    assert!(seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL));
}

fn it_comes_alone_or_not_at_all(scene: &Scene) {
    let peer = scene.daemon.connect();
    ask_for_it(&peer);
    let (first, descriptors) = peer.receive_with(1);
    assert_eq!((&*first, descriptors.len()), (&b"{"[..], 1));
    // The rest was not taken.
    ask_for_it(&peer);
    scene.revision();
    let (mut rest, descriptors) = peer.receive_with(LONGEST);
    assert_eq!(descriptors.len(), 0);
    while rest.iter().filter(|byte| **byte == 0).count() < 2 {
        let (more, descriptors) = peer.receive_with(LONGEST);
        assert_eq!(descriptors.len(), 0);
        rest.extend(more);
    }
    // Now it was.
    ask_for_it(&peer);
    assert_eq!(peer.receive_with(LONGEST).1.len(), 1);

    let peer = scene.daemon.connect();
    let has_refused = peer.refuse_descriptors();
    ask_for_it(&peer);
    let (reply, descriptors) = peer.receive_with(LONGEST);
    assert_eq!(parameters(&reply)["layout"], 2);
    assert_eq!(descriptors.is_empty(), has_refused);
}
