//! Messages as bytes: in pieces, in heaps, malformed, too long.

use std::io::Write;
use std::thread;

use serde_json::json;

use crate::common::{Daemon, call, frame};

/// Largest message that the service reads.
const MESSAGE_MAX: usize = 16 << 20;

/// A request with spaces behind it, so many that it has `length` bytes without its NUL.
fn padded(length: usize) -> Vec<u8> {
    let mut message = serde_json::to_vec(&call("io.globstash.GetStatus", json!({}))).expect("JSON");
    message.resize(length, b' ');
    message.push(0);
    message
}

#[test]
fn a_hundred_thousand_calls_in_one_write_are_answered_in_order() {
    const COUNT: u64 = 100_000;
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let set = frame(&call("io.globstash.Set", json!({"key": "a", "value": "b"})));
    let calls = set.repeat(COUNT as usize);
    let mut writer = peer.stream().try_clone().expect("a descriptor");
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&calls).expect("the service reads"));
        for revision in 1..=COUNT {
            assert_eq!(peer.receive()["parameters"]["revision"], revision);
        }
    });
}

#[test]
fn a_message_may_come_byte_by_byte() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for _ in 0..3 {
        for byte in frame(&call("io.globstash.Get", json!({"key": "ä"}))) {
            peer.send_bytes(&[byte]);
        }
        assert_eq!(peer.receive()["parameters"]["defined"], false);
    }
}

#[test]
fn a_message_may_end_anywhere_in_what_is_read_at_once() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for length in (65_530..65_540).chain([131_071, 131_072, 300_000]) {
        peer.send_bytes(&[padded(length), padded(100)].concat());
        for _ in 0..2 {
            assert!(peer.receive()["parameters"]["instance"].is_string());
        }
    }
}

#[test]
fn space_around_a_message_means_nothing() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.send_bytes(
        b" \t\r\n{\n\t\"method\" :\r\n \"io.globstash.GetStatus\" , \"parameters\" : { } }\n\n\0",
    );
    assert!(peer.receive()["parameters"]["instance"].is_string());
}

#[test]
fn who_sends_what_is_no_request_is_disconnected_and_nobody_else() {
    let daemon = Daemon::start();
    let mut other = daemon.connect();
    other.send_bytes(b"{\"method\":\"io.globstash.");
    let malformed: &[&[u8]] = &[
        b"",
        b" ",
        b"x",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"\"io.globstash.GetStatus\"",
        b"{\"method\":\"io.globstash.GetStatus\"",
        b"{\"method\":\"io.globstash.GetStatus\"}}",
        b"{\"method\":\"io.globstash.GetStatus\"} {}",
        b"{\"method\":\"io.globstash.GetStatus\",}",
        b"{'method':'io.globstash.GetStatus'}",
        b"\xef\xbb\xbf{\"method\":\"io.globstash.GetStatus\"}",
        b"{\"method\":\"io.globstash.GetStatus\xff\"}",
        b"{\"method\":\"io.globstash.GetStatus\xed\xa0\x80\"}",
        b"{\"method\":\"\\ud800\"}",
        b"{\"method\":\"a\nb\"}",
        b"{\"method\":null}",
        b"{\"method\":1}",
        b"{\"parameters\":{}}",
        b"[null,null,null,\"io.globstash.GetStatus\",null]",
        b"{\"method\":\"io.globstash.Get\",\"parameters\":[\"a\"]}",
        b"{\"method\":\"io.globstash.Get\",\"parameters\":\"a\"}",
        b"{\"method\":\"io.globstash.Get\",\"parameters\":true}",
        b"{\"method\":\"io.globstash.Get\",\"parameters\":{\"key\":}}",
        b"{\"method\":\"io.globstash.GetStatus\",\"method\":\"io.globstash.GetStatus\"}",
        b"{\"method\":\"io.globstash.GetStatus\",\"parameters\":{},\"parameters\":{}}",
        b"{\"method\":\"io.globstash.GetStatus\",\"more\":true,\"more\":true}",
        b"{\"method\":\"io.globstash.GetStatus\",\"more\":true,\"oneway\":true}",
        b"{\"method\":\"io.globstash.GetStatus\",\"more\":null}",
        b"{\"method\":\"io.globstash.GetStatus\",\"more\":1}",
        b"{\"method\":\"io.globstash.GetStatus\",\"oneway\":\"true\"}",
        b"{\"method\":\"io.globstash.GetStatus\",\"upgrade\":{}}",
        b"{\"method\":\"io.globstash.GetStatus\",\"prameters\":{}}",
        b"{\"method\":\"io.globstash.GetStatus\",\"error\":null}",
    ];
    for message in malformed {
        let mut peer = daemon.connect();
        peer.ask("io.globstash.GetStatus", json!({}));
        // Not even what follows is answered: nobody knows what the peer believes to have said.
        let rest = frame(&call("io.globstash.GetStatus", json!({})));
        peer.send_bytes(&[*message, b"\0", &rest].concat());
        let answer = peer.receive_bytes();
        assert_eq!(answer, None, "{}", String::from_utf8_lossy(message));
    }
    other.send_bytes(b"GetStatus\"}\0");
    let status = &other.receive()["parameters"];
    assert_eq!(status["connections"], 1, "the others are gone");
}

#[test]
fn deeply_nested_json_harms_nobody() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
    for name in ["key", "metadata", "unheardOf"] {
        let message = format!(
            "{{\"method\":\"io.globstash.Get\",\"parameters\":{{{}:{deep}}}}}\0",
            json!(name)
        );
        peer.send_bytes(message.as_bytes());
        assert_eq!(
            peer.receive(),
            crate::common::invalid_parameter(name),
            "the connection stays"
        );
    }
    daemon.ask("io.globstash.GetStatus", json!({}));
}

#[test]
fn a_message_of_sixteen_mebibytes_is_read() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.send_bytes(&padded(MESSAGE_MAX));
    assert!(peer.receive()["parameters"]["instance"].is_string());
    peer.send_bytes(&padded(100));
    assert!(peer.receive()["parameters"]["instance"].is_string());
    let mut peer = daemon.connect();
    // The service may close before it has taken all.
    let _ = peer.stream().write_all(&padded(MESSAGE_MAX + 1));
    peer.expect_closed();
}

#[test]
fn a_message_that_never_ends_costs_no_more_than_the_longest_that_does() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let taken = daemon.memory_taken_by(|| {
        let endless = vec![b' '; 64 << 20];
        peer.stream()
            .write_all(&endless)
            .expect_err("the service stops to read");
        peer.expect_closed();
    });
    assert!(taken < 40 << 10, "{taken} KiB");
    daemon.ask("io.globstash.GetStatus", json!({}));
}

/// The buffer for a message grows with it, and was given back only when nothing at all was left in
/// it: a single byte of the next message kept 16 MiB, and counted as one.
#[test]
fn the_beginning_of_a_message_does_not_keep_the_memory_of_the_one_before() {
    let daemon = Daemon::start();
    let long = [padded(MESSAGE_MAX), b"{".to_vec()].concat();
    let mut peers = Vec::new();
    let taken = daemon.memory_taken_by(|| {
        for _ in 0..8 {
            let mut peer = daemon.connect();
            peer.send_bytes(&long);
            peer.receive();
            peers.push(peer);
        }
    });
    assert!(taken < 64 << 10, "{taken} KiB");
}

/// What was wrong with a request was told with all that was wrong: 16 MiB of it, in the log.
#[test]
fn what_a_peer_sends_does_not_fill_the_log() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let long = "x".repeat(1 << 20);
    peer.send(&json!({"method": "io.globstash.GetStatus", "more": long}));
    peer.expect_closed();
    assert!(daemon.log().len() < 4096, "{} bytes", daemon.log().len());
}
