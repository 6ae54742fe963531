//! Watch, Wait and Increment of the real service.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Shutdown;
use std::thread;

use base64::prelude::{BASE64_STANDARD, Engine};
use common::{Daemon, Peer, error, eventually, invalid_parameter};
use rustix::process::Signal;
use serde_json::{Value, json};

const SET: &str = "io.globstash.Set";
const GET: &str = "io.globstash.Get";
const DELETE: &str = "io.globstash.Delete";
const WATCH: &str = "io.globstash.Watch";
const WAIT: &str = "io.globstash.Wait";
const INCREMENT: &str = "io.globstash.Increment";
const STATUS: &str = "io.globstash.GetStatus";

/// Begins to watch; the connection, and what the first reply says.
fn watch(daemon: &Daemon, parameters: Value) -> (Peer, Value) {
    let mut peer = daemon.connect();
    peer.send(&json!({ "method": WATCH, "parameters": parameters, "more": true }));
    let first = told(&mut peer);
    (peer, first)
}

/// The parameters of the next reply, which others must follow.
fn told(peer: &mut Peer) -> Value {
    let mut reply = peer.receive();
    assert_eq!(reply["continues"], true, "{reply}");
    reply["parameters"].take()
}

fn set(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": value })
}

fn is_watched_by(daemon: &Daemon, count: u64) -> bool {
    daemon.ask(STATUS, json!({}))["watches"] == count
}

// ---- Watch ----

#[test]
fn the_first_reply_comes_at_once_and_says_from_where_on() {
    let daemon = Daemon::start();
    daemon.ask(SET, set("a", "1"));
    let (_peer, first) = watch(&daemon, json!({}));
    let instance = daemon.ask(STATUS, json!({}))["instance"].take();
    let expected = json!({ "events": [], "revision": 1, "instance": instance, "upToDate": true });
    assert_eq!(first, expected);
}

#[test]
fn a_change_is_told_with_its_value() {
    let daemon = Daemon::start();
    let (mut peer, _) = watch(&daemon, json!({ "patterns": ["player/"] }));
    daemon.ask(SET, set("other", "x"));
    daemon.ask(SET, set("player/volume", "0.5"));
    daemon.ask(DELETE, json!({ "key": "player/volume" }));
    let event = |change, revision| json!({ "change": change, "key": "player/volume", "value": "0.5", "revision": revision });
    for (change, revision) in [("set", 2), ("deleted", 3)] {
        let expected =
            json!({ "events": [event(change, revision)], "revision": revision, "upToDate": true });
        assert_eq!(told(&mut peer), expected);
    }
}

#[test]
fn the_present_state_comes_first_if_asked_for() {
    let daemon = Daemon::start();
    for (key, value) in [("b", "1"), ("a", "2"), ("b", "3"), ("c", "4")] {
        daemon.ask(SET, set(key, value));
    }
    daemon.ask(DELETE, json!({ "key": "c" }));
    let (_peer, first) = watch(&daemon, json!({ "initial": true }));
    let events = json!([
        { "change": "set", "key": "a", "value": "2", "revision": 2 },
        { "change": "set", "key": "b", "value": "3", "revision": 3 },
    ]);
    assert_eq!(first["events"], events, "in the order of the last changes");
    assert_eq!(
        (&first["revision"], &first["upToDate"]),
        (&json!(5), &json!(true))
    );
}

#[test]
fn values_can_be_left_out_and_writers_told() {
    let daemon = Daemon::start();
    let (mut peer, _) = watch(&daemon, json!({ "keysOnly": true, "metadata": true }));
    daemon.ask(SET, set("a", "1"));
    daemon.ask(DELETE, json!({ "key": "a" }));
    let uid = rustix::process::getuid().as_raw();
    let writer = json!({ "uid": uid, "pid": std::process::id() });
    for (change, revision) in [("set", 1), ("deleted", 2)] {
        let event = json!({ "change": change, "key": "a", "revision": revision, "writer": writer });
        assert_eq!(told(&mut peer)["events"], json!([event]));
    }
}

#[test]
fn a_change_of_many_variables_is_told_in_one_reply() {
    let daemon = Daemon::start();
    let mut writer = daemon.connect();
    for n in 0..100 {
        writer.ask(SET, set(&format!("session/{n}"), "x"));
    }
    let (mut peer, _) = watch(&daemon, json!({ "patterns": ["session/1*", "other"] }));
    writer.ask(DELETE, json!({ "patterns": ["session/"] }));
    let reply = told(&mut peer);
    assert_eq!(
        reply["events"].as_array().map(Vec::len),
        Some(11),
        "1 and 10 to 19"
    );
    assert_eq!(
        (&reply["revision"], &reply["upToDate"]),
        (&json!(101), &json!(true))
    );
}

#[test]
fn a_change_of_more_variables_than_are_told_at_once_comes_whole_all_the_same() {
    let daemon = Daemon::start();
    let writer = daemon.connect();
    let keys = (0..3000).map(|n| set(&format!("k/{n}"), "x"));
    let mut writer = writer;
    writer.send_calls(SET, keys);
    (0..3000).for_each(|_| drop(writer.receive()));
    let mut watchers: Vec<Peer> = (0..3).map(|_| watch(&daemon, json!({})).0).collect();
    writer.ask(DELETE, json!({ "patterns": ["**"] }));
    for peer in &mut watchers {
        let reply = told(peer);
        assert_eq!(reply["events"].as_array().map(Vec::len), Some(3000));
        assert_eq!(reply["upToDate"], true);
        assert_eq!(reply.get("skipped"), None);
    }
}

#[test]
fn a_watch_resumes_from_the_revision_it_missed() {
    let daemon = Daemon::start();
    let (peer, first) = watch(&daemon, json!({}));
    drop(peer);
    daemon.ask(SET, set("a", "1"));
    daemon.ask(SET, set("a", "2"));
    daemon.ask(SET, set("b", "3"));
    daemon.ask(DELETE, json!({ "key": "b" }));
    let resume = |revision: i64, instance: &Value| {
        watch(
            &daemon,
            json!({ "afterRevision": revision, "instance": instance }),
        )
        .1
    };
    let reply = resume(0, &first["instance"]);
    let events = json!([
        { "change": "set", "key": "a", "value": "2", "revision": 2 },
        { "change": "deleted", "key": "b", "value": "3", "revision": 4 },
    ]);
    assert_eq!((&reply["events"], reply.get("reset")), (&events, None));
    assert_eq!(reply.get("skipped"), None, "it is not known");
    assert_eq!(resume(4, &first["instance"])["events"], json!([]));

    for (revision, instance) in [(5, first["instance"].clone()), (4, json!("another"))] {
        let reply = resume(revision, &instance);
        assert_eq!(reply["reset"], true);
        let events = json!([{ "change": "set", "key": "a", "value": "2", "revision": 2 }]);
        assert_eq!(reply["events"], events, "the whole present state");
    }
}

#[test]
fn a_watch_needs_more_and_a_revision_that_can_be_one() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let expected_more = error("org.varlink.service.ExpectedMore", json!({}));
    assert_eq!(peer.call(WATCH, json!({})), expected_more);
    peer.send(&json!({ "method": WATCH, "parameters": { "afterRevision": -1 }, "more": true }));
    assert_eq!(peer.receive(), invalid_parameter("afterRevision"));
    peer.ask(GET, json!({ "key": "a" }));
}

#[test]
fn a_watcher_that_leaves_is_forgotten() {
    let daemon = Daemon::start();
    // Answered, so that what was open only to say that it is ready is closed.
    daemon.ask(STATUS, json!({}));
    let descriptors = daemon.descriptors();
    let (one, _) = watch(&daemon, json!({}));
    let (two, _) = watch(&daemon, json!({}));
    assert!(is_watched_by(&daemon, 2));
    drop(one);
    // Who says nothing more does not want to hear anything more either.
    two.stream().shutdown(Shutdown::Write).unwrap();
    eventually("both are gone", || is_watched_by(&daemon, 0));
    eventually("with their descriptors", || {
        daemon.descriptors() <= descriptors + 1
    });
}

/// All events of a change came in one reply to those who were up to date, however large that was.
/// systemd's clients take 16 MiB, so one call could end all their watches.
#[test]
fn a_change_that_no_reply_can_hold_is_spread_over_several() {
    let daemon = Daemon::start();
    let (mut peer, _) = watch(&daemon, json!({}));
    let (mut short, _) = watch(&daemon, json!({ "keysOnly": true }));
    // Given in Base64 they fit in a message; told as text, each of these characters has six.
    let data = BASE64_STANDARD.encode([1; 1 << 20]);
    let set = |n: usize| json!({ "action": "set", "key": n.to_string(), "data": data });
    let operations: Vec<Value> = (0..4).map(set).collect();
    let applied = daemon.ask("io.globstash.Apply", json!({ "operations": operations }));
    let count = |reply: &Value| reply["events"].as_array().map_or(0, Vec::len);
    assert_eq!(count(&told(&mut short)), 4, "without values it fits");

    let (mut events, mut seen) = (0, json!(0));
    while seen != applied["revision"] {
        let reply = peer.receive_bytes().expect("the watch goes on");
        assert!(reply.len() < 16 << 20, "{} bytes", reply.len());
        let reply: Value = serde_json::from_slice(&reply).expect("JSON");
        events += count(&reply["parameters"]);
        seen = reply["parameters"]["revision"].clone();
        assert_eq!(seen == applied["revision"], events == 4);
        assert_eq!(reply["parameters"].get("skipped"), None);
    }
    daemon.ask(SET, self::set("next", "1"));
    assert_eq!(told(&mut peer)["events"][0]["key"], "next");
}

/// Somebody who was told a part of a change was taken for somebody who knows nothing of it: what
/// was in that part, and then deleted, was never told to be gone.
#[test]
fn what_is_deleted_in_the_middle_of_a_large_change_is_told() {
    let daemon = Daemon::start();
    // While this one catches up, it is noted when variables are created.
    for n in 0..10 {
        daemon.ask(SET, set(&format!("blob/{n}"), &"x".repeat(1 << 20)));
    }
    let (_slow, _) = watch(&daemon, json!({ "patterns": ["blob/"], "initial": true }));
    let (mut peer, _) = watch(&daemon, json!({ "patterns": ["large/"] }));
    let data = BASE64_STANDARD.encode([1; 1 << 20]);
    let set = |n: usize, data: &str| json!({ "action": "set", "key": format!("large/{n}"), "data": data });
    let operations = [set(0, &data), set(1, &data), set(2, "")];
    daemon.ask("io.globstash.Apply", json!({ "operations": operations }));
    // The first part is under way, and not taken, so that there is no other yet.
    assert!(peer.wait_for_bytes());
    daemon.ask(DELETE, json!({ "key": "large/0" }));
    let mut reply = told(&mut peer);
    assert_eq!(reply["events"][0]["key"], "large/0");

    let mut known = BTreeSet::new();
    loop {
        for event in reply["events"].as_array().expect("events") {
            let key = event["key"].to_string();
            match event["change"] == "set" {
                true => drop(known.insert(key)),
                false => drop(known.remove(&key)),
            }
        }
        if reply["upToDate"] == true {
            break;
        }
        reply = told(&mut peer);
    }
    let keys: Vec<_> = known.into_iter().collect();
    assert_eq!(keys, ["\"large/1\"", "\"large/2\""]);
}

/// A watcher that takes nothing costs no memory, and the service does not wait for it. When it
/// takes something again, it is told the last value, and exactly how many it missed.
#[test]
fn a_stopped_watcher_misses_values_but_not_the_last_and_costs_nothing() {
    const CHANGES: usize = 1_000_000;

    let daemon = Daemon::start();
    let (mut stopped, _) = watch(&daemon, json!({ "patterns": ["hot"] }));
    let (mut other, _) = watch(&daemon, json!({ "patterns": ["cold"] }));
    let mut writer = daemon.connect();
    let batch = |from: usize| {
        let calls = (from..from + 1000).map(|n| {
            let parameters = set("hot", &n.to_string());
            common::frame(&json!({ "method": SET, "parameters": parameters, "oneway": true }))
        });
        calls.flatten().collect::<Vec<u8>>()
    };
    let taken = daemon.memory_taken_by(|| {
        for from in (0..CHANGES).step_by(1000) {
            writer.send_bytes(&batch(from));
        }
        assert_eq!(
            writer.ask(GET, json!({ "key": "hot" }))["revision"],
            CHANGES
        );
    });
    assert!(taken < 4 << 10, "{taken} KiB");
    writer.ask(SET, set("cold", "x"));
    assert_eq!(
        told(&mut other)["events"][0]["key"],
        "cold",
        "others are served"
    );

    let (mut count, mut reply) = (0, json!({}));
    while reply.get("skipped").is_none() {
        reply = told(&mut stopped);
        count += reply["events"].as_array().map_or(0, Vec::len);
    }
    let last = reply["events"]
        .as_array()
        .and_then(|events| events.last())
        .unwrap();
    assert_eq!(last["value"], (CHANGES - 1).to_string());
    assert_eq!(reply["upToDate"], true);
    assert_eq!(reply["skipped"].as_u64().unwrap() as usize + count, CHANGES);
    assert_eq!(
        daemon.ask(STATUS, json!({}))["skippedEvents"],
        reply["skipped"]
    );
}

#[test]
fn a_thousand_watchers_of_one_key_all_hear_of_it() {
    let daemon = Daemon::start();
    let mut watchers: Vec<Peer> = (0..1000)
        .map(|_| watch(&daemon, json!({ "patterns": ["flag"] })).0)
        .collect();
    daemon.ask(SET, set("other", "x"));
    daemon.ask(SET, set("flag", "up"));
    for peer in &mut watchers {
        let events = told(peer)["events"].take();
        let event = json!({ "change": "set", "key": "flag", "value": "up", "revision": 2 });
        assert_eq!(events, json!([event]));
    }
}

/// What a watcher had not taken yet was a copy of its own, and charged as such: a value that was not
/// small filled the share of its user, and even the one who had set it was cut off.
#[test]
fn a_large_value_is_kept_once_for_all_who_take_it_slowly() {
    let daemon = Daemon::start();
    let mut watchers: Vec<Peer> = (0..200)
        .map(|_| watch(&daemon, json!({ "patterns": ["blob"] })).0)
        .collect();
    let value = "x".repeat(1 << 20);
    let taken = daemon.memory_taken_by(|| drop(daemon.ask(SET, set("blob", &value))));
    assert!(taken < 16 << 10, "{taken} KiB");
    assert!(is_watched_by(&daemon, 200));
    for peer in &mut watchers {
        assert_eq!(told(peer)["events"][0]["value"], value);
    }
    daemon.ask(SET, set("blob", "small"));
    for peer in &mut watchers {
        assert_eq!(told(peer)["events"][0]["value"], "small");
    }
}

/// The same of those who had only just caught up.
#[test]
fn a_large_value_is_not_kept_for_those_who_have_more_to_take() {
    let daemon = Daemon::start();
    let value = "x".repeat(256 << 10);
    daemon.ask(SET, set("blob", &value));
    let mut watchers = begin_with_the_state(&daemon, 50);
    assert!(watchers.iter_mut().all(Peer::wait_for_bytes));
    let value = "y".repeat(1 << 20);
    let taken = daemon.memory_taken_by(|| drop(daemon.ask(SET, set("blob", &value))));
    assert!(taken < 16 << 10, "{taken} KiB");
    for mut peer in watchers {
        assert_eq!(
            told(&mut peer)["events"][0]["value"].as_str().map(str::len),
            Some(256 << 10)
        );
        assert_eq!(told(&mut peer)["events"][0]["value"], value);
    }
}

/// A watcher that wants the present state, `n` of them.
fn begin_with_the_state(daemon: &Daemon, n: usize) -> Vec<Peer> {
    let watchers = (0..n).map(|_| {
        let peer = daemon.connect();
        let parameters = json!({ "patterns": ["blob"], "initial": true });
        peer.send(&json!({ "method": WATCH, "parameters": parameters, "more": true }));
        peer
    });
    watchers.collect()
}

/// All who began to watch at the same time had their own copy of what they had not taken yet. That
/// was more than a user may have, and some of them were cut off though they took it.
#[test]
fn many_can_begin_with_large_values_at_the_same_time() {
    let daemon = Daemon::start();
    let value = "x".repeat(1 << 20);
    daemon.ask(SET, set("blob", &value));
    let watchers = begin_with_the_state(&daemon, 100);
    eventually("all watch", || is_watched_by(&daemon, 100));
    thread::scope(|scope| {
        for mut peer in watchers {
            let value = &value;
            scope.spawn(move || assert_eq!(told(&mut peer)["events"][0]["value"], **value));
        }
    });
}

/// Those who take nothing must not hold up the others for ever.
#[test]
fn who_takes_nothing_goes_when_others_wait_for_the_room() {
    let daemon = Daemon::start();
    let value = "x".repeat(1 << 20);
    daemon.ask(SET, set("blob", &value));
    let stopped = begin_with_the_state(&daemon, 20);
    eventually("all watch", || is_watched_by(&daemon, 20));
    let mut another = begin_with_the_state(&daemon, 1).remove(0);
    assert_eq!(told(&mut another)["events"][0]["value"], value);
    drop(stopped);
}

#[test]
fn a_thousand_watchers_of_a_thousand_keys_hear_of_their_own() {
    let daemon = Daemon::start();
    let mut watchers: Vec<Peer> = (0..1000)
        .map(|n| watch(&daemon, json!({ "patterns": [format!("key/{n}")] })).0)
        .collect();
    let mut writer = daemon.connect();
    writer.send_calls(
        SET,
        (0..1000)
            .rev()
            .map(|n| set(&format!("key/{n}"), &n.to_string())),
    );
    (0..1000).for_each(|_| drop(writer.receive()));
    for (n, peer) in watchers.iter_mut().enumerate() {
        let events = told(peer)["events"].take();
        assert_eq!(events.as_array().map(Vec::len), Some(1));
        assert_eq!(events[0]["value"], n.to_string());
    }
}

/// Writers on many connections, watchers that come and go and resume: at the end each one that
/// followed knows what there is.
#[test]
fn what_watchers_are_told_adds_up_to_the_present() {
    let daemon = Daemon::start();
    let writers: Vec<_> = (0..4)
        .map(|seed| {
            let mut writer = daemon.connect();
            thread::spawn(move || {
                let mut rng = random(seed);
                for n in 0..2000 {
                    let key = format!("{}/{}", rng() % 3, rng() % 5);
                    match rng() % 10 {
                        0 => writer.ask(DELETE, json!({ "patterns": [format!("{}/", rng() % 3)] })),
                        1 | 2 => writer.ask(DELETE, json!({ "key": key })),
                        _ => writer.ask(SET, set(&key, &format!("{seed}-{n}"))),
                    };
                }
            })
        })
        .collect();
    let followers: Vec<_> = (0..4)
        .map(|seed| {
            let socket = daemon.socket();
            thread::spawn(move || follow(&socket, random(100 + seed)))
        })
        .collect();
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
    daemon.ask(SET, set("end", "now"));
    let listed = daemon.ask("io.globstash.List", json!({}));
    let entries = listed["entries"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let present: BTreeMap<String, String> = entries
        .iter()
        .map(|entry| (text(&entry["key"]), text(&entry["value"])))
        .collect();
    for follower in followers {
        assert_eq!(follower.join().unwrap(), present);
    }
}

/// Follows everything until "end" is set, with a connection that breaks now and then.
fn follow(socket: &std::path::Path, mut rng: impl FnMut() -> u64) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    let (mut seen, mut instance) = (None, Value::Null);
    loop {
        let mut peer = Peer::connect(socket);
        let parameters = match seen {
            None => json!({ "initial": true }),
            Some(revision) => json!({ "afterRevision": revision, "instance": instance }),
        };
        peer.send(&json!({ "method": WATCH, "parameters": parameters, "more": true }));
        for _ in 0..rng() % 300 {
            let reply = told(&mut peer);
            if reply["reset"] == true {
                state.clear();
            }
            if let Some(first) = reply.get("instance") {
                instance = first.clone();
            }
            for event in reply["events"].as_array().unwrap() {
                let key = event["key"].as_str().unwrap().to_owned();
                assert!(event["revision"].as_u64() > seen, "in order, and once");
                match event["change"] == "set" {
                    true => state.insert(key, event["value"].as_str().unwrap().to_owned()),
                    false => state.remove(&key),
                };
            }
            seen = reply["revision"].as_u64();
            if state.contains_key("end") && reply["upToDate"] == true {
                return state;
            }
        }
    }
}

/// Numbers as random as their seed: SplitMix64, by Sebastiano Vigna.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

// ---- Wait ----

#[test]
fn a_wait_is_over_at_once_if_all_is_as_wanted() {
    let daemon = Daemon::start();
    daemon.ask(SET, set("a", "1"));
    for parameters in [
        json!({ "key": "a" }),
        json!({ "key": "a", "condition": { "value": "1" } }),
        json!({ "key": "a", "changedFrom": 0 }),
        json!({ "key": "a", "condition": { "revision": 1 }, "changedFrom": 7, "timeoutUSec": 0 }),
    ] {
        let reply = daemon.ask(WAIT, parameters);
        assert_eq!(
            reply,
            json!({ "defined": true, "value": "1", "revision": 1 })
        );
    }
    let gone = daemon.ask(
        WAIT,
        json!({ "key": "b", "condition": { "defined": false } }),
    );
    assert_eq!(
        gone,
        json!({ "defined": false, "value": "", "revision": 0 })
    );
}

#[test]
fn a_wait_ends_with_the_change_that_it_waits_for() {
    let daemon = Daemon::start();
    daemon.ask(SET, set("a", "1"));
    let cases = [
        (
            json!({ "key": "a", "condition": { "value": "3" } }),
            json!(3),
        ),
        (json!({ "key": "a", "changedFrom": 1 }), json!(2)),
        (
            json!({ "key": "a", "condition": { "defined": false } }),
            json!(0),
        ),
        (json!({ "key": "b" }), json!(5)),
    ];
    let mut waiting: Vec<(Peer, Value)> = Vec::new();
    for (parameters, revision) in cases {
        let peer = daemon.connect();
        // What is asked meanwhile waits its turn.
        peer.send_calls(WAIT, [parameters]);
        peer.send_calls(STATUS, [json!({})]);
        waiting.push((peer, revision));
    }
    eventually("all of them wait", || {
        daemon.ask(STATUS, json!({}))["connections"] == 5
    });
    let mut writer = daemon.connect();
    writer.ask(SET, set("a", "2"));
    writer.ask(SET, set("a", "3"));
    writer.ask(DELETE, json!({ "key": "a" }));
    writer.ask(SET, set("b", "x"));
    for (mut peer, revision) in waiting {
        assert_eq!(
            peer.receive()["parameters"]["revision"],
            revision,
            "judged change by change"
        );
        assert!(peer.receive()["parameters"]["calls"].is_u64());
    }
}

#[test]
fn a_wait_gives_up_when_its_time_is_over() {
    let daemon = Daemon::start();
    let timed_out = error("io.globstash.TimedOut", json!({ "key": "a" }));
    for timeout in [0, 1, 20_000] {
        let mut peer = daemon.connect();
        let reply = peer.call(WAIT, json!({ "key": "a", "timeoutUSec": timeout }));
        assert_eq!(reply, timed_out);
        peer.ask(GET, json!({ "key": "a" }));
    }
    let mut peer = daemon.connect();
    let negative = peer.call(WAIT, json!({ "key": "a", "timeoutUSec": -1 }));
    assert_eq!(negative, invalid_parameter("timeoutUSec"));
    peer.send_calls(WAIT, [json!({ "key": "a", "timeoutUSec": i64::MAX })]);
    daemon.ask(SET, set("a", "x"));
    assert_eq!(
        peer.receive()["parameters"]["value"],
        "x",
        "for ever is long enough"
    );
}

#[test]
fn who_stops_waiting_is_forgotten() {
    let daemon = Daemon::start();
    let peer = daemon.connect();
    peer.send_calls(WAIT, [json!({ "key": "a" })]);
    peer.stream().shutdown(Shutdown::Write).unwrap();
    let mut peer = peer;
    peer.expect_closed();
    eventually("only the asker is there", || {
        daemon.ask(STATUS, json!({}))["connections"] == 1
    });
}

#[test]
fn a_stop_does_not_wait_for_those_who_listen() {
    let mut daemon = Daemon::start();
    let (mut watcher, _) = watch(&daemon, json!({}));
    let mut waiter = daemon.connect();
    waiter.send_calls(WAIT, [json!({ "key": "a" })]);
    daemon.signal(Signal::TERM);
    watcher.expect_closed();
    waiter.expect_closed();
    assert!(daemon.wait().success());
}

// ---- Increment ----

#[test]
fn sums_are_exact() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for n in 1..=10 {
        let sum = peer.ask(INCREMENT, json!({ "key": "volume", "by": "0.1" }));
        let expected = if n == 10 {
            "1".to_owned()
        } else {
            format!("0.{n}")
        };
        assert_eq!(sum, json!({ "value": expected, "revision": n }));
    }
    assert_eq!(
        peer.ask(INCREMENT, json!({ "key": "hits" }))["value"],
        "1",
        "1 if not said"
    );
    assert_eq!(
        peer.ask(INCREMENT, json!({ "key": "hits", "by": "-1" }))["value"],
        "0"
    );
}

#[test]
fn sums_stay_between_their_limits() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let mut add = |by: &str| {
        let parameters = json!({ "key": "v", "by": by, "minimum": "-1", "maximum": "1.50" });
        peer.ask(INCREMENT, parameters)["value"].take()
    };
    assert_eq!(
        (add("5"), add("-0.25"), add("-999999999999999999")),
        (json!("1.5"), json!("1.25"), json!("-1"))
    );
    let reply = daemon.call(
        INCREMENT,
        json!({ "key": "v", "minimum": "2", "maximum": "1" }),
    );
    assert_eq!(reply, invalid_parameter("minimum"));
}

#[test]
fn what_is_no_number_is_not_added_to() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask(SET, set("text", "one"));
    peer.ask(SET, set("large", "999999999999999999"));
    let not_numeric = error("io.globstash.NotNumeric", json!({ "key": "text" }));
    assert_eq!(peer.call(INCREMENT, json!({ "key": "text" })), not_numeric);
    let overflow = error("io.globstash.NumberOverflow", json!({ "key": "large" }));
    assert_eq!(peer.call(INCREMENT, json!({ "key": "large" })), overflow);
    for name in ["by", "minimum", "maximum"] {
        for wrong in ["", "1e3", "+1", " 1", "0.1.2", "1.", "NaN"] {
            let reply = peer.call(INCREMENT, json!({ "key": "x", name: wrong }));
            assert_eq!(reply, invalid_parameter(name), "{wrong:?}");
        }
    }
    assert_eq!(
        peer.ask(GET, json!({ "key": "large" }))["revision"],
        2,
        "nothing was changed"
    );
    assert_eq!(peer.ask(STATUS, json!({}))["revision"], 2);
}

#[test]
fn an_increment_is_told_as_a_change() {
    let daemon = Daemon::start();
    let (mut peer, _) = watch(&daemon, json!({}));
    daemon.ask(INCREMENT, json!({ "key": "n", "by": "0.5" }));
    let event = json!({ "change": "set", "key": "n", "value": "0.5", "revision": 1 });
    assert_eq!(told(&mut peer)["events"], json!([event]));
}

// ---- what went wrong once ----

/// The tombstones of a change were dropped before those who listen were told of it.
#[test]
fn a_change_of_more_than_is_remembered_is_told_whole() {
    const COUNT: usize = 4000;

    let daemon = Daemon::start();
    let mut writer = daemon.connect();
    let key = |n: usize| format!("{n:0>200}");
    writer.send_calls(SET, (0..COUNT).map(|n| set(&key(n), &"v".repeat(100))));
    (0..COUNT).for_each(|_| drop(writer.receive()));
    let (mut peer, _) = watch(&daemon, json!({}));
    let waiter = daemon.connect();
    let gone = json!({ "key": key(0), "condition": { "defined": false } });
    waiter.send_calls(WAIT, [gone]);
    eventually("it waits", || {
        daemon.ask(STATUS, json!({}))["connections"] == 4
    });
    writer.ask(DELETE, json!({ "patterns": ["**"] }));
    let reply = told(&mut peer);
    assert_eq!(reply["events"].as_array().map(Vec::len), Some(COUNT));
    assert_eq!(reply["upToDate"], true);
    let mut waiter = waiter;
    assert_eq!(waiter.receive()["parameters"]["defined"], false);
}

/// What a watcher was told again after a reset was counted twice, which ended the service.
#[test]
fn a_reset_in_the_middle_of_catching_up_is_survived() {
    let daemon = Daemon::start();
    let (mut slow, _) = watch(&daemon, json!({ "patterns": ["slow/"] }));
    let mut writer = daemon.connect();
    writer.send_calls(
        SET,
        (0..8000).map(|n| set(&format!("slow/{n}"), &"v".repeat(100))),
    );
    (0..8000).for_each(|_| drop(writer.receive()));
    // It takes a part of what it missed, and then nothing again.
    for _ in 0..1000 {
        let reply = told(&mut slow);
        if reply["events"].as_array().map_or(0, Vec::len) > 1 {
            break;
        }
    }
    for n in 0..12_000 {
        let key = format!("other/{n}");
        writer.send_calls(SET, [set(&key, "x")]);
        writer.send_calls(DELETE, [json!({ "key": key })]);
        (0..2).for_each(|_| drop(writer.receive()));
    }
    let mut state = BTreeSet::new();
    loop {
        let reply = told(&mut slow);
        if reply["reset"] == true {
            state.clear();
        }
        for event in reply["events"].as_array().unwrap() {
            state.insert(event["key"].as_str().unwrap().to_owned());
        }
        if reply["upToDate"] == true && state.contains("slow/7999") {
            break;
        }
    }
    daemon.ask(STATUS, json!({}));
}

/// A caller that was gone still counted as one that waits, and the end of its Wait ended what it
/// had asked for after that.
#[test]
fn what_is_asked_after_a_wait_is_done_though_the_caller_is_gone() {
    let daemon = Daemon::start();
    let mut writer = daemon.connect();
    writer.send_calls(SET, (0..3000).map(|n| set(&format!("k/{n}"), "x")));
    (0..3000).for_each(|_| drop(writer.receive()));
    let peer = daemon.connect();
    peer.send_calls(WAIT, [json!({ "key": "flag" })]);
    // Patterns that take long, so that the variable is set while they are looked at.
    let patterns = [vec!["k/".to_owned()], vec!["*[!q]".repeat(60); 4]].concat();
    peer.send_calls(DELETE, [json!({ "patterns": patterns })]);
    drop(peer);
    writer.ask(SET, set("flag", "up"));
    eventually("all are deleted", || {
        daemon.ask(STATUS, json!({}))["variables"] == 1
    });
}

/// The value that a Wait waits for was kept and charged to nobody.
#[test]
fn what_a_wait_keeps_counts_as_waiting() {
    let daemon = Daemon::start();
    let value = "x".repeat(1 << 20);
    let waiting: Vec<Peer> = (0..40)
        .map(|_| {
            let peer = daemon.connect();
            peer.send_calls(
                WAIT,
                [json!({ "key": "k", "condition": { "value": value } })],
            );
            peer
        })
        .collect();
    eventually("some are closed", || {
        let connections = daemon.ask(STATUS, json!({}))["connections"].as_u64();
        connections.is_some_and(|count| count < 40)
    });
    drop(waiting);
}

/// A caller that sends all it has to ask and says so lost the answers to what came after a Wait.
#[test]
fn what_is_asked_after_a_wait_is_answered_though_nothing_more_is_said() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.send_calls(WAIT, [json!({ "key": "flag" })]);
    peer.send_calls(SET, [set("seen", "yes")]);
    peer.send_calls(WAIT, [json!({ "key": "seen", "changedFrom": 2 })]);
    peer.send_calls(GET, [json!({ "key": "flag" })]);
    peer.stream().shutdown(Shutdown::Write).unwrap();
    for key in ["flag", "seen"] {
        // Whoever asks after the end of what a peer says is answered after that was noticed.
        (0..3).for_each(|_| drop(daemon.ask(GET, json!({ "key": key }))));
        daemon.ask(SET, set(key, "now"));
    }
    let mut answer = |field: &str| peer.receive()["parameters"][field].take();
    assert_eq!(answer("value"), "now");
    assert_eq!(answer("revision"), 2);
    assert_eq!(answer("revision"), 3);
    assert_eq!(answer("value"), "now");
    peer.expect_closed();
}

/// What was asked after a Watch was done if its caller hung up, and not if it said no more.
#[test]
fn what_is_asked_after_a_watch_is_done_when_nothing_more_is_said() {
    let daemon = Daemon::start();
    let (mut peer, _) = watch(&daemon, json!({}));
    peer.send_calls(SET, [set("a", "1")]);
    peer.stream().shutdown(Shutdown::Write).unwrap();
    peer.expect_closed();
    assert_eq!(daemon.ask(GET, json!({ "key": "a" }))["value"], "1");
}
