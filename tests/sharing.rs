//! Many who write and read the same variables at the same time: what each may rely on.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::random::Random;
use common::{Daemon, Peer, call, frame, listed};
use serde_json::{Value, json};

#[test]
fn what_was_acknowledged_to_one_is_seen_by_all_others_at_once() {
    let daemon = Daemon::start();
    let (mut one, mut other) = (daemon.connect(), daemon.connect());
    for n in 0..3000 {
        let value = n.to_string();
        let set = one.ask("io.globstash.Set", json!({"key": "a", "value": value}));
        let get = other.ask("io.globstash.Get", json!({"key": "a"}));
        assert_eq!(
            (&get["value"], &get["revision"]),
            (&json!(value), &set["revision"])
        );
        std::mem::swap(&mut one, &mut other);
    }
}

#[test]
fn what_another_process_was_acknowledged_is_seen_at_once() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let binary = std::env::current_exe().expect("this test");
    for n in 0..20 {
        let status = std::process::Command::new(&binary)
            .args([
                "--ignored",
                "--exact",
                "one_more_process_that_sets_a_variable",
            ])
            .env("SETTER_SOCKET", daemon.socket())
            .env("SETTER_VALUE", n.to_string())
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.expect("it starts").success());
        let get = peer.ask("io.globstash.Get", json!({"key": "a"}));
        assert_eq!(get["value"], n.to_string());
    }
}

/// Run by the test above as a process of its own.
#[test]
#[ignore = "it helps another test"]
fn one_more_process_that_sets_a_variable() {
    let Some(socket) = std::env::var_os("SETTER_SOCKET") else {
        return;
    };
    let value = std::env::var("SETTER_VALUE").expect("a value");
    let mut peer = Peer::connect(socket.as_ref());
    peer.ask("io.globstash.Set", json!({"key": "a", "value": value}));
}

#[test]
fn a_thousand_clients_at_once_are_not_mixed_up() {
    let daemon = Daemon::start();
    let clients = |range: std::ops::Range<usize>| {
        let mut peers: Vec<_> = range.map(|n| (n, daemon.connect())).collect();
        for round in 0..5 {
            for (n, peer) in &peers {
                let (key, value) = (format!("client {n}"), format!("{n} in {round}"));
                let set = call("io.globstash.Set", json!({"key": key, "value": value}));
                let get = call("io.globstash.Get", json!({"key": key}));
                peer.send_bytes(&[frame(&set), frame(&get)].concat());
            }
            for (n, peer) in &mut peers {
                let revision = peer.receive()["parameters"]["revision"].clone();
                let get = &peer.receive()["parameters"];
                assert_eq!(get["value"], format!("{n} in {round}"));
                assert_eq!(get["revision"], revision);
            }
        }
    };
    thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || clients(part * 250..(part + 1) * 250));
        }
    });
    let status = daemon.ask("io.globstash.GetStatus", json!({}));
    assert_eq!(
        (&status["variables"], &status["revision"]),
        (&json!(1000), &json!(5000))
    );
}

#[test]
fn a_large_value_in_many_small_writes_is_one_value() {
    let daemon = Daemon::start();
    let (peer, mut other) = (daemon.connect(), daemon.connect());
    let mut random = Random(1);
    let value: String = (0..1 << 20)
        .map(|_| char::from(b'a' + random.below(26) as u8))
        .collect();
    let message = frame(&call(
        "io.globstash.Set",
        json!({"key": "a", "value": value}),
    ));
    let (mut rest, mut writer) = (&message[..], peer);
    while !rest.is_empty() {
        let length = (1 + random.below(2000) as usize).min(rest.len());
        let (piece, after) = rest.split_at(length);
        writer.send_bytes(piece);
        rest = after;
        if rest.len() % 16 == 0 && !rest.is_empty() {
            let get = other.ask("io.globstash.Get", json!({"key": "a"}));
            assert_eq!(get["defined"], false, "it is not there in part");
        }
    }
    assert_eq!(writer.receive()["parameters"]["revision"], 1);
    assert_eq!(
        other.ask("io.globstash.Get", json!({"key": "a"}))["value"],
        value
    );
}

// ---- lists while others write ----

/// How many keys there can be. Even ones of the list test below are always there.
const KEYS: u64 = 2000;

fn key(n: u64) -> String {
    format!("k{n:04}")
}

/// What a pattern means.
type Test = fn(&str) -> bool;

/// Patterns that take the service many pieces to go through all keys with, and what they mean.
const PATTERNS: [(&str, Test); 4] = [
    ("**", |_| true),
    ("k*[0-9]*[0-9]*[0-4]", |key| {
        key.ends_with(['0', '1', '2', '3', '4'])
    }),
    ("k*[0-9]*[0-9]*{2,[78]}", |key| {
        key.ends_with(['2', '7', '8'])
    }),
    ("k[01]*[0-9]*5", |key| {
        key.starts_with(['k']) && key < "k2" && key.ends_with('5')
    }),
];

#[test]
fn a_list_in_pieces_tells_what_is_there_all_the_time_exactly_once() {
    let daemon = Daemon::start();
    let mut reader = daemon.connect();
    let always: BTreeSet<String> = (0..KEYS).step_by(2).map(key).collect();
    reader.send_calls(
        "io.globstash.Set",
        always.iter().map(|key| json!({"key": key, "value": ""})),
    );
    always.iter().for_each(|_| drop(reader.receive()));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in 1..=2 {
            let (daemon, done) = (&daemon, &done);
            scope.spawn(move || {
                let (mut peer, mut random) = (daemon.connect(), Random(seed));
                while !done.load(Ordering::Relaxed) {
                    let n = random.below(KEYS);
                    let value = json!("x".repeat(random.below(200) as usize));
                    let value = if n % 2 == 1 && random.below(2) == 0 {
                        Value::Null
                    } else {
                        value
                    };
                    peer.ask("io.globstash.Set", json!({"key": key(n), "value": value}));
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for n in 0..40 {
                let (pattern, matches) = PATTERNS[n % PATTERNS.len()];
                let replies = reader.call_more("io.globstash.List", json!({"patterns": [pattern]}));
                let keys = listed(&replies);
                assert!(
                    keys.is_sorted_by(|one, next| one < next),
                    "in order, and once"
                );
                assert!(keys.iter().all(|key| matches(key)));
                let told: BTreeSet<String> = keys.into_iter().collect();
                let missed = always
                    .iter()
                    .find(|key| matches(key) && !told.contains(*key));
                assert_eq!(missed, None, "by {pattern}");
            }
        }));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

/// What one client did or was told, and the revision that came with it.
enum Event {
    Set {
        key: String,
        value: String,
    },
    Unset {
        key: String,
        count: u64,
    },
    Delete {
        pattern: usize,
        count: u64,
    },
    List {
        pattern: usize,
        entries: Vec<(String, String, u64)>,
    },
}

/// One client at random, for as long as its list of events grows to `count`.
fn play(daemon: &Daemon, seed: u64, count: usize) -> Vec<(u64, Event)> {
    let (mut peer, mut random) = (daemon.connect(), Random(seed));
    let mut events = Vec::new();
    while events.len() < count {
        let key = key(random.below(KEYS));
        let pattern = random.below(PATTERNS.len() as u64) as usize;
        let patterns = json!({"patterns": [PATTERNS[pattern].0]});
        let (reply, event) = match random.below(200) {
            0 => {
                let reply = peer.ask("io.globstash.Delete", patterns);
                let count = reply["count"].as_u64().expect("a number");
                (reply, Event::Delete { pattern, count })
            }
            1..5 => {
                let mut reply = peer.ask("io.globstash.List", patterns);
                let entries = reply["entries"].take();
                let entries = entries
                    .as_array()
                    .expect("entries")
                    .iter()
                    .map(read_entry)
                    .collect();
                (reply, Event::List { pattern, entries })
            }
            5..40 => {
                let reply = peer.ask("io.globstash.Delete", json!({"key": key}));
                let count = reply["count"].as_u64().expect("a number");
                (reply, Event::Unset { key, count })
            }
            _ => {
                let value = format!("{seed} {}", events.len());
                let reply = peer.ask("io.globstash.Set", json!({"key": key, "value": value}));
                (reply, Event::Set { key, value })
            }
        };
        events.push((reply["revision"].as_u64().expect("a revision"), event));
    }
    events
}

fn read_entry(entry: &Value) -> (String, String, u64) {
    let text = |name: &str| entry[name].as_str().expect("a string").to_owned();
    (
        text("key"),
        text("value"),
        entry["revision"].as_u64().expect("a revision"),
    )
}

/// Everything that clients were told at once fits one history: each change has its revision, none
/// is left out, and a list or a delete by patterns is true at the revision that it tells.
#[test]
fn there_is_one_history_and_every_reply_is_a_moment_of_it() {
    let daemon = Daemon::start();
    let mut events: Vec<(u64, Event)> = thread::scope(|scope| {
        let daemon = &daemon;
        let players: Vec<_> = (1..=4)
            .map(|seed| scope.spawn(move || play(daemon, seed, 2500)))
            .collect();
        players
            .into_iter()
            .flat_map(|player| player.join().expect("a player"))
            .collect()
    });
    let is_change = |event: &Event| match event {
        Event::Set { .. } => true,
        Event::Unset { count, .. } | Event::Delete { count, .. } => *count > 0,
        Event::List { .. } => false,
    };
    // A change comes before what was only seen at its revision.
    events.sort_by_key(|(revision, event)| (*revision, !is_change(event)));
    let mut variables: BTreeMap<String, (String, u64)> = BTreeMap::new();
    let mut now = 0;
    let (mut lists, mut deletes) = (0, 0);
    for (revision, event) in events {
        now += u64::from(is_change(&event));
        assert_eq!(
            revision, now,
            "each change has a revision of its own, without a gap"
        );
        match event {
            Event::Set { key, value } => drop(variables.insert(key, (value, revision))),
            Event::Unset { key, count } => {
                assert_eq!(count, u64::from(variables.remove(&key).is_some()), "{key}");
            }
            Event::Delete { pattern, count } => {
                let before = variables.len();
                variables.retain(|key, _| !PATTERNS[pattern].1(key));
                assert_eq!(count, (before - variables.len()) as u64);
                deletes += u64::from(count > 1);
            }
            Event::List { pattern, entries } => {
                let matching = variables.iter().filter(|(key, _)| PATTERNS[pattern].1(key));
                let expected: Vec<_> = matching
                    .map(|(key, (value, revision))| (key.clone(), value.clone(), *revision))
                    .collect();
                assert!(
                    entries == expected,
                    "the list by {} at {revision}",
                    PATTERNS[pattern].0
                );
                lists += u64::from(!entries.is_empty());
            }
        }
    }
    assert!(
        lists > 50 && deletes > 5,
        "{lists} lists, {deletes} deletes"
    );
    let status = daemon.ask("io.globstash.GetStatus", json!({}));
    assert_eq!(status["revision"], now);
    assert_eq!(status["variables"], variables.len());
}
