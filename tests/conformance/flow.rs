//! Who reads slowly, stops early or asks for too much harms nobody else.

use std::net::Shutdown;

use serde_json::json;

use crate::common::{Daemon, Peer, call, eventually, frame, listed};

const MEBIBYTE: usize = 1 << 20;

/// A service with so many variables of this size; its keys.
fn filled(count: usize, size: usize) -> (Daemon, Vec<String>) {
    let daemon = Daemon::start();
    let keys: Vec<String> = (0..count).map(|n| format!("key {n:06}")).collect();
    fill(&daemon, &keys, &"x".repeat(size));
    (daemon, keys)
}

fn fill(daemon: &Daemon, keys: &[String], value: &str) {
    let mut peer = daemon.connect();
    for keys in keys.chunks(1000) {
        let sets = keys.iter().map(|key| json!({"key": key, "value": value}));
        peer.send_calls("io.globstash.Set", sets);
        for _ in keys {
            assert!(peer.receive()["parameters"]["revision"].is_u64());
        }
    }
}

/// Enough turns of the loop for the service to do whatever it can without its other peers.
fn serve_another(daemon: &Daemon) {
    let mut other = daemon.connect();
    for _ in 0..300 {
        other.ask("io.globstash.GetStatus", json!({}));
    }
}

fn has_received(peer: &Peer) -> bool {
    peer.stream().set_nonblocking(true).expect("a socket");
    let mut byte = [0];
    let result = rustix::net::recv(peer.stream(), &mut byte, rustix::net::RecvFlags::PEEK);
    peer.stream().set_nonblocking(false).expect("a socket");
    result.is_ok()
}

// ---- half-close ----

#[test]
fn who_has_asked_and_says_nothing_more_is_still_answered() {
    let daemon = Daemon::start();
    for count in [1, 100] {
        let mut peer = daemon.connect();
        peer.send_calls("io.globstash.Get", vec![json!({"key": "a"}); count]);
        peer.stream().shutdown(Shutdown::Write).expect("a socket");
        for _ in 0..count {
            assert_eq!(peer.receive()["parameters"]["defined"], false);
        }
        peer.expect_closed();
    }
}

#[test]
fn who_says_nothing_at_all_is_let_go() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.stream().shutdown(Shutdown::Write).expect("a socket");
    peer.expect_closed();
    let mut peer = daemon.connect();
    peer.send_bytes(b"{\"method\":");
    peer.stream().shutdown(Shutdown::Write).expect("a socket");
    peer.expect_closed();
}

#[test]
fn a_long_list_is_told_to_its_end_after_a_half_close() {
    let (daemon, keys) = filled(4000, 1000);
    let mut peer = daemon.connect();
    let list = json!({"method": "io.globstash.List", "more": true});
    let last = call("io.globstash.GetStatus", json!({}));
    peer.send_bytes(&[frame(&list), frame(&last)].concat());
    peer.stream().shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(listed(&peer.receive_all()), keys);
    assert_eq!(peer.receive()["parameters"]["variables"], 4000);
    peer.expect_closed();
}

#[test]
fn who_leaves_in_the_middle_of_an_answer_leaves_nothing_behind() {
    let (daemon, _) = filled(8, MEBIBYTE);
    for _ in 0..20 {
        let mut peer = daemon.connect();
        peer.send(&json!({"method": "io.globstash.List", "more": true}));
        peer.send(&call(
            "io.globstash.Set",
            json!({"key": "last", "value": "will"}),
        ));
        assert!(peer.wait_for_bytes());
    }
    let mut other = daemon.connect();
    eventually("the connections are gone", || {
        other.ask("io.globstash.GetStatus", json!({}))["connections"] == 1
    });
}

// ---- back-pressure ----

#[test]
fn a_list_for_a_slow_reader_takes_no_memory_and_misses_nothing() {
    let (daemon, keys) = filled(40, MEBIBYTE);
    let mut slow = daemon.connect();
    let taken = daemon.memory_taken_by(|| {
        slow.send(&json!({"method": "io.globstash.List", "more": true}));
        assert!(slow.wait_for_bytes());
        serve_another(&daemon);
    });
    assert!(taken < 8 << 10, "{taken} KiB");
    // The values themselves are not looked at: 40 MiB of JSON take a while.
    let mut told = Vec::new();
    let mut ends = false;
    while !ends {
        let reply = slow.receive_bytes().expect("a reply");
        ends = !reply.ends_with(b",\"continues\":true}");
        let text = String::from_utf8(reply).expect("text");
        told.extend(
            text.split("\"key\":\"")
                .skip(1)
                .map(|key| key[..10].to_owned()),
        );
    }
    assert_eq!(told, keys);
}

#[test]
fn answers_that_nobody_takes_are_not_made() {
    let (daemon, _) = filled(1, MEBIBYTE);
    let mut peer = daemon.connect();
    let taken = daemon.memory_taken_by(|| {
        peer.send_calls("io.globstash.Get", vec![json!({"key": "key 000000"}); 1000]);
        assert!(peer.wait_for_bytes());
        serve_another(&daemon);
    });
    assert!(taken < 8 << 10, "{taken} KiB");
    for _ in 0..10 {
        let reply = peer.receive_bytes().expect("a reply");
        assert!(reply.len() > MEBIBYTE);
    }
}

#[test]
fn calls_of_a_peer_that_takes_no_answers_are_not_read_without_end() {
    let (daemon, _) = filled(1, MEBIBYTE);
    let peer = daemon.connect();
    let get = frame(&call("io.globstash.Get", json!({"key": "key 000000"})));
    peer.stream().set_nonblocking(true).expect("a socket");
    let taken = daemon.memory_taken_by(|| {
        let calls = get.repeat(1000);
        for _ in 0..100 {
            // The socket fills up; then the other's calls are turns for the service to read more.
            match rustix::net::send(peer.stream(), &calls, rustix::net::SendFlags::NOSIGNAL) {
                Ok(_) => {}
                Err(error) => assert_eq!(error, rustix::io::Errno::AGAIN),
            }
            daemon.ask("io.globstash.GetStatus", json!({}));
        }
    });
    assert!(taken < 8 << 10, "{taken} KiB");
}

/// What was sent already stayed in the buffer until half of it was, and the buffer as large as it
/// had been: 16 MiB could be held for a peer that had all but a little of its answer.
#[test]
fn the_end_of_an_answer_does_not_keep_the_memory_of_all_of_it() {
    let (daemon, _) = filled(7, MEBIBYTE);
    let mut peers = Vec::new();
    let taken = daemon.memory_taken_by(|| {
        for _ in 0..12 {
            let mut peer = daemon.connect();
            peer.send_calls("io.globstash.List", [json!({})]);
            peer.receive_exactly(6 * MEBIBYTE + MEBIBYTE / 2);
            peers.push(peer);
        }
    });
    assert!(taken < 40 << 10, "{taken} KiB");
}

/// A call over many variables waited until the peer had taken all answers before, for as long as
/// that liked; and for as long, every new key was noted for it.
#[test]
fn a_change_does_not_wait_for_its_caller_to_take_other_answers() {
    let daemon = Daemon::start();
    // More than the service goes through at once.
    let keys: Vec<String> = (0..8000).map(|n| format!("key {n:06}")).collect();
    fill(&daemon, &keys, "");
    fill(&daemon, &["large".to_owned()], &"x".repeat(MEBIBYTE));
    let silent = daemon.connect();
    silent.send_calls("io.globstash.Get", [json!({"key": "large"})]);
    silent.send_calls("io.globstash.Delete", [json!({"patterns": ["*7999"]})]);
    let mut other = daemon.connect();
    eventually("the variable is deleted", || {
        other.ask("io.globstash.Get", json!({"key": keys[7999]}))["defined"] == false
    });
}

// ---- too much asked for ----

#[test]
fn a_list_without_more_has_an_end() {
    let (daemon, keys) = filled(9, MEBIBYTE);
    let mut peer = daemon.connect();
    let reply = peer.call("io.globstash.List", json!({}));
    assert_eq!(reply["error"], "io.globstash.ReplyTooLarge");
    assert_eq!(reply["parameters"], json!({"maximum": 8 << 20}));
    let names = peer.call("io.globstash.List", json!({"keysOnly": true}));
    assert_eq!(listed(&[names]), keys);
    let some = peer.call("io.globstash.List", json!({"patterns": keys[..7]}));
    assert_eq!(listed(&[some]), keys[..7]);
}

#[test]
fn many_short_entries_are_too_much_for_one_reply_too() {
    let daemon = Daemon::start();
    let keys: Vec<String> = (0..40_000).map(|n| format!("{n:0>200}")).collect();
    fill(&daemon, &keys, "");
    let mut peer = daemon.connect();
    let reply = peer.call("io.globstash.List", json!({"keysOnly": true}));
    assert_eq!(reply["error"], "io.globstash.ReplyTooLarge");
    let replies = peer.call_more("io.globstash.List", json!({"keysOnly": true}));
    assert_eq!(listed(&replies), keys);
}

#[test]
fn patterns_that_take_for_ever_hold_up_nobody() {
    let daemon = Daemon::start();
    let keys: Vec<String> = (0..20_000).map(|n| format!("{n:a>40}")).collect();
    fill(&daemon, &keys, "");
    let worst = format!("{}b", "*[a-y]*{a,?}".repeat(4)) + &"*a".repeat(400);
    let hostile = daemon.connect();
    hostile.send(&json!({
        "method": "io.globstash.List",
        "parameters": {"patterns": vec![worst.as_str(); 64]},
        "more": true,
    }));
    let mut other = daemon.connect();
    for _ in 0..100 {
        assert!(other.ask("io.globstash.Get", json!({"key": keys[0]}))["defined"] == true);
    }
    assert!(!has_received(&hostile), "it is not that much work at all");
}

/// A compiled pattern takes several times its length, and a call has 64: all the time that an
/// answer is not taken, they are kept, and were charged to nobody.
#[test]
fn what_is_kept_to_go_on_with_a_call_counts_too() {
    let (daemon, _) = filled(100, 32 << 10);
    let mut patterns = vec!["[ab]".repeat(256); 63];
    patterns.push("**".to_owned());
    let mut peers = Vec::new();
    let taken = daemon.memory_taken_by(|| {
        for _ in 0..100 {
            let mut peer = daemon.connect();
            peer.send(&json!({
                "method": "io.globstash.List",
                "parameters": {"patterns": patterns},
                "more": true,
            }));
            // Or it is closed, when too much is kept.
            peer.wait_for_bytes();
            peers.push(peer);
        }
    });
    assert!(taken < 64 << 10, "{taken} KiB");
}
