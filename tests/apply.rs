//! Apply: several changes that are made together or not at all, against the real service.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Daemon, Peer, call, error, frame, invalid_parameter};
use globstash::{Batch, Change, Condition, Error, Fields, Start, Terms};
use serde_json::{Value, json};

const APPLY: &str = "io.globstash.Apply";
const SET: &str = "io.globstash.Set";
const GET: &str = "io.globstash.Get";
const STATUS: &str = "io.globstash.GetStatus";

fn watch(daemon: &Daemon) -> Peer {
    let mut peer = daemon.connect();
    peer.send(&json!({ "method": "io.globstash.Watch", "more": true }));
    peer.receive();
    peer
}

fn told(peer: &mut Peer) -> Value {
    peer.receive()["parameters"]["events"].take()
}

fn value(peer: &mut Peer, key: &str) -> Value {
    let get = peer.ask(GET, json!({ "key": key }));
    if get["defined"] == true {
        get["value"].clone()
    } else {
        Value::Null
    }
}

fn set(key: &str, value: &str) -> Value {
    json!({ "action": "set", "key": key, "value": value })
}

fn delete(key: &str) -> Value {
    json!({ "action": "delete", "key": key })
}

fn increment(key: &str, by: &str) -> Value {
    json!({ "action": "increment", "key": key, "by": by })
}

#[test]
fn all_changes_get_one_revision_and_come_in_one_reply() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask(SET, json!({ "key": "gone", "value": "old" }));
    let mut watcher = watch(&daemon);
    let operations = [
        set("b", "2"),
        set("a", "1"),
        delete("gone"),
        increment("n", "0.5"),
    ];
    let reply = peer.ask(APPLY, json!({ "operations": operations }));
    assert_eq!(reply, json!({ "revision": 2 }));
    let expected = json!([
        { "change": "set", "key": "a", "value": "1", "revision": 2 },
        { "change": "set", "key": "b", "value": "2", "revision": 2 },
        { "change": "deleted", "key": "gone", "value": "old", "revision": 2 },
        { "change": "set", "key": "n", "value": "0.5", "revision": 2 },
    ]);
    assert_eq!(told(&mut watcher), expected);
    for (key, expected) in [("a", json!("1")), ("b", json!("2")), ("gone", json!(null))] {
        assert_eq!(value(&mut peer, key), expected);
    }
}

#[test]
fn each_step_sees_those_before_it() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let mut watcher = watch(&daemon);
    let operations = [
        set("n", "40"),
        increment("n", "1"),
        json!({ "action": "increment", "key": "n" }),
        set("passing", "x"),
        delete("passing"),
        set("again", "1"),
        delete("again"),
        set("again", "2"),
    ];
    peer.ask(APPLY, json!({ "operations": operations }));
    let events = told(&mut watcher);
    let expected = json!([
        { "change": "set", "key": "again", "value": "2", "revision": 1 },
        { "change": "set", "key": "n", "value": "42", "revision": 1 },
    ]);
    assert_eq!(events, expected, "what came and went has never been");
    peer.ask(
        APPLY,
        json!({ "operations": [delete("n"), increment("n", "-1")] }),
    );
    assert_eq!(value(&mut peer, "n"), "-1");
    assert_eq!(peer.ask(STATUS, json!({}))["variables"], 2);
}

#[test]
fn when_nothing_changes_the_revision_is_the_current_one() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask(SET, json!({ "key": "a", "value": "1" }));
    for operations in [
        vec![],
        vec![delete("none")],
        vec![set("passing", "x"), delete("passing"), delete("passing")],
    ] {
        let reply = peer.ask(APPLY, json!({ "operations": operations }));
        assert_eq!(reply, json!({ "revision": 1 }));
    }
    let checks = [json!({ "key": "a", "condition": { "value": "1" } })];
    let reply = peer.ask(APPLY, json!({ "checks": checks, "operations": [] }));
    assert_eq!(reply, json!({ "revision": 1 }), "checks alone read");
}

#[test]
fn all_checks_are_made_before_the_first_operation() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask(SET, json!({ "key": "a", "value": "1" }));
    let check = |key: &str, condition: Value| json!({ "key": key, "condition": condition });
    let checks = [
        check("a", json!({ "value": "1", "revision": 1, "defined": true })),
        check("b", json!({ "defined": false })),
        check("b", json!({ "revision": 0 })),
        check("a", json!({ "data": "MQ==" })),
        check("b", json!({})),
    ];
    let both = [set("b", "1"), delete("a")];
    peer.ask(APPLY, json!({ "checks": checks, "operations": both }));
    for (key, failing, revision) in [
        ("a", json!({ "defined": true }), 0),
        ("b", json!({ "revision": 7 }), 2),
        ("b", json!({ "value": "2" }), 2),
    ] {
        let checks = [check("b", json!({ "value": "1" })), check(key, failing)];
        let parameters = json!({ "checks": checks, "operations": [set("a", "x"), delete("b")] });
        let failed = json!({ "key": key, "revision": revision });
        let expected = error("io.globstash.ConditionFailed", failed);
        assert_eq!(peer.call(APPLY, parameters), expected);
    }
    assert_eq!(
        (value(&mut peer, "a"), value(&mut peer, "b")),
        (json!(null), json!("1"))
    );
}

#[test]
fn an_operation_that_cannot_be_done_undoes_all() {
    let daemon = Daemon::start_with(|command| {
        command.args(["--maximum-variables", "3", "--maximum-bytes", "2000000"]);
    });
    let mut peer = daemon.connect();
    peer.ask(
        SET,
        json!({ "key": "word", "value": "word", "ttlUSec": 3_600_000_000_i64 }),
    );
    let long = "9".repeat(18);
    let (large, too_large) = ("x".repeat(1 << 20), "x".repeat((1 << 20) + 1));
    let before = peer.ask(GET, json!({ "key": "word", "metadata": true }));
    for (last, error) in [
        (vec![increment("word", "1")], "io.globstash.NotNumeric"),
        (
            vec![set("n", "x"), increment("n", "1")],
            "io.globstash.NotNumeric",
        ),
        (
            vec![set("n", &long), increment("n", "1")],
            "io.globstash.NumberOverflow",
        ),
        (vec![set("a=b", "")], "io.globstash.InvalidKey"),
        (vec![delete("")], "io.globstash.InvalidKey"),
        (vec![set("n", "\0")], "io.globstash.InvalidValue"),
        (vec![set("n", &too_large)], "io.globstash.ValueTooLarge"),
        (
            vec![set("n", &large), set("m", &large)],
            "io.globstash.LimitExceeded",
        ),
        (
            vec![set("1", ""), set("2", ""), set("3", "")],
            "io.globstash.LimitExceeded",
        ),
    ] {
        let operations = [
            vec![set("first", "1"), delete("word"), set("word", "w")],
            last,
        ]
        .concat();
        let reply = peer.call(APPLY, json!({ "operations": operations }));
        assert_eq!(reply["error"], error, "{reply}");
        assert_eq!(value(&mut peer, "first"), json!(null));
        let after = peer.ask(GET, json!({ "key": "word", "metadata": true }));
        // The calendar is told anew each time.
        assert_eq!(
            (&after["value"], &after["revision"]),
            (&before["value"], &before["revision"])
        );
        assert!(after["entry"]["expiresUSec"].is_i64());
    }
    // What is too much in between, and not in the end, is done.
    let swap = [delete("word"), set("1", &large), set("2", ""), set("3", "")];
    peer.ask(APPLY, json!({ "operations": swap }));
    assert_eq!(peer.ask(STATUS, json!({}))["variables"], 3);
}

#[test]
fn parameters_that_make_no_sense_are_named() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for wrong in [
        json!({ "action": "set", "key": "a" }),
        json!({ "action": "set", "key": "a", "value": null }),
        json!({ "action": "set", "key": "a", "value": "1", "data": "MQ==" }),
        json!({ "action": "set", "key": "a", "data": "MQ" }),
        json!({ "action": "set", "key": "a", "value": "1", "ttlUSec": -1 }),
        json!({ "action": "set", "key": "a", "value": "1", "by": "1" }),
        json!({ "action": "delete", "key": "a", "value": "1" }),
        json!({ "action": "delete", "key": "a", "by": "1" }),
        json!({ "action": "delete", "key": "a", "ttlUSec": 1 }),
        json!({ "action": "increment", "key": "a", "data": "MQ==" }),
        json!({ "action": "increment", "key": "a", "by": "one" }),
        json!({ "action": "increment", "key": "a", "by": "1", "ttlUSec": 1 }),
        json!({ "action": "rename", "key": "a" }),
        json!({ "action": 0, "key": "a" }),
        json!({ "key": "a", "value": "1" }),
        json!({ "action": "set", "value": "1" }),
        json!({ "action": "set", "key": "a", "value": "1", "pid": 0 }),
    ] {
        let operations = [set("b", "1"), wrong.clone()];
        let reply = peer.call(APPLY, json!({ "operations": operations }));
        assert_eq!(reply, invalid_parameter("operations"), "{wrong}");
    }
    for wrong in [
        json!({ "key": "a" }),
        json!({ "key": "a", "condition": null }),
        json!({ "key": "a", "condition": { "value": "", "data": "" } }),
        json!({ "key": "a", "condition": { "vaule": "" } }),
    ] {
        let parameters = json!({ "checks": [wrong], "operations": [set("b", "1")] });
        assert_eq!(peer.call(APPLY, parameters), invalid_parameter("checks"));
    }
    assert_eq!(peer.ask(STATUS, json!({}))["revision"], 0);
}

#[test]
fn there_are_so_many_operations_and_checks_at_most() {
    const MOST: usize = 4096;
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let sets = |count| {
        (0..count)
            .map(|n| set(&format!("k/{n}"), "x"))
            .collect::<Vec<_>>()
    };
    let reply = peer.ask(APPLY, json!({ "operations": sets(MOST) }));
    assert_eq!(reply, json!({ "revision": 1 }));
    assert_eq!(peer.ask(STATUS, json!({}))["variables"], MOST);
    let too_many = peer.call(APPLY, json!({ "operations": sets(MOST + 1) }));
    assert_eq!(too_many, invalid_parameter("operations"));
    let checks = vec![json!({ "key": "k/1", "condition": {} }); MOST + 1];
    let too_many = peer.call(APPLY, json!({ "checks": checks, "operations": [] }));
    assert_eq!(too_many, invalid_parameter("checks"));
    assert_eq!(peer.ask(STATUS, json!({}))["revision"], 1);
}

#[test]
fn set_works_as_set_does() {
    const SHORT: Duration = Duration::from_millis(50);
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let mut watcher = watch(&daemon);
    let with_ttl = |key: &str, ttl: i64| json!({ "action": "set", "key": key, "data": "/w==", "ttlUSec": ttl });
    let hour = 3_600_000_000;
    let operations = [
        with_ttl("long", hour),
        with_ttl("now", 0),
        with_ttl("short", SHORT.as_micros() as i64),
    ];
    let begun = Instant::now();
    peer.ask(APPLY, json!({ "operations": operations }));
    let keys = |events: &Value| {
        let events = events.as_array().expect("events").iter();
        events
            .map(|event| format!("{} {}", event["change"], event["key"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&told(&mut watcher)),
        ["set long", "set now", "set short"]
    );
    // One reply tells both where the service has slept for so long between the two.
    let mut expired = keys(&told(&mut watcher));
    if expired == ["expired now"] {
        expired.extend(keys(&told(&mut watcher)));
    }
    assert_eq!(expired, ["expired now", "expired short"]);
    assert!(begun.elapsed() >= SHORT);
    let entry =
        |peer: &mut Peer| peer.ask(GET, json!({ "key": "long", "metadata": true }))["entry"].take();
    assert!(entry(&mut peer)["expiresUSec"].is_i64());
    let kept = [
        json!({ "action": "set", "key": "n", "value": "1", "ttlUSec": hour }),
        increment("n", "1"),
    ];
    peer.ask(APPLY, json!({ "operations": kept }));
    let get = peer.ask(GET, json!({ "key": "n", "metadata": true }));
    assert!(
        get["entry"]["expiresUSec"].is_i64(),
        "a number that is added to keeps it"
    );
    // Whoever is set again in the same batch is not over.
    let saved = [with_ttl("long", 0), set("long", "saved")];
    peer.ask(APPLY, json!({ "operations": saved }));
    assert_eq!(value(&mut peer, "long"), "saved");
    assert_eq!(entry(&mut peer).get("expiresUSec"), None);
}

#[test]
fn batches_of_others_are_seen_as_a_whole() {
    let daemon = Daemon::start();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers = ["x", "y"].map(|text| {
            let mut peer = daemon.connect();
            scope.spawn(move || {
                for _ in 0..300 {
                    let operations: Vec<Value> =
                        (0..8).map(|n| set(&n.to_string(), text)).collect();
                    peer.ask(APPLY, json!({ "operations": operations }));
                }
            })
        });
        let (mut peer, is_over) = (daemon.connect(), &is_over);
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let list = peer.ask("io.globstash.List", json!({}));
                let entries = list["entries"].as_array().expect("entries");
                let first = entries.first();
                assert!(entries.iter().all(|entry| {
                    first.is_some_and(|first| {
                        (&entry["value"], &entry["revision"])
                            == (&first["value"], &first["revision"])
                    })
                }));
                assert!(entries.is_empty() || entries.len() == 8);
            }
        });
        for writer in writers {
            writer.join().expect("it writes");
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Batches are sent without waiting for answers, and the service is killed in the middle of them.
#[test]
fn a_crash_leaves_all_of_a_batch_or_nothing() {
    let mut daemon = Daemon::start();
    let keys: Vec<String> = (0..50).map(|n| format!("k/{n}")).collect();
    for round in 0..20 {
        let batch = |n: usize| {
            let text = format!("{round}/{n}");
            let sets = keys.iter().map(|key| set(key, &text));
            call(APPLY, json!({ "operations": sets.collect::<Vec<_>>() }))
        };
        let calls: Vec<u8> = (0..100).flat_map(|n| frame(&batch(n))).collect();
        let mut peer = daemon.connect();
        let mut stream = peer.stream().try_clone().expect("a copy");
        let sender = thread::spawn(move || {
            // The service may be dead before it has read all.
            let _ = std::io::Write::write_all(&mut stream, &calls);
        });
        for _ in 0..round * 4 {
            peer.receive();
        }
        daemon.crash();
        sender.join().expect("it sends");
        let list = daemon.ask("io.globstash.List", json!({}));
        let entries = list["entries"].as_array().expect("entries");
        assert!(entries.len() == keys.len() || entries.is_empty() && round == 0);
        for entry in entries {
            let first = &entries[0];
            assert_eq!(
                (&entry["value"], &entry["revision"]),
                (&first["value"], &first["revision"])
            );
        }
    }
}

// ---- the library ----

#[test]
fn the_library_applies_batches() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    client.set_with("old", "1", Terms::new()).unwrap();
    let mut watch = client.watch_with("**", Start::Now, Fields::VALUES).unwrap();
    let batch = Batch::new()
        .check("old", Condition::value("1"))
        .delete("old")
        .set("bytes", b"\xff")
        .set_for("short", "s", Duration::from_secs(3600))
        .increment("n", "0.25")
        .increment("n", -1);
    let revision = client.apply(batch.clone()).unwrap();
    let events: Vec<_> = (0..4).map(|_| watch.next().unwrap().unwrap()).collect();
    assert!(events.iter().all(|event| event.revision == revision));
    assert_eq!(events[2].change, Change::Deleted);
    assert_eq!(client.get("n").unwrap(), Some("-0.75".into()));
    assert_eq!(client.get("bytes").unwrap(), Some(b"\xff".into()));
    assert!(client.entry("short").unwrap().unwrap().expires.is_some());
    assert_eq!(client.apply(Batch::new()).unwrap(), revision);

    let again = client.apply(batch);
    assert!(matches!(again, Err(Error::ConditionFailed { key, .. }) if key == "old"));
    let wrong = client.apply(Batch::new().increment("n", "one"));
    assert!(
        matches!(wrong, Err(Error::InvalidParameter { parameter }) if parameter == "operations")
    );
}

#[test]
fn what_no_message_can_hold_is_not_sent() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let megabyte = "x".repeat(1 << 20);
    let batch = |count: usize| {
        (0..count).fold(Batch::new(), |batch, n| {
            batch.set(n.to_string(), megabyte.as_str())
        })
    };
    assert!(client.apply(batch(15)).is_ok());
    let refused = client.apply(batch(16));
    assert!(
        matches!(refused, Err(Error::RequestTooLarge { .. })),
        "{refused:?}"
    );
    let refused = client.apply(Batch::new().set("a", "x".repeat(3 << 20)));
    assert!(matches!(refused, Err(Error::ValueTooLarge { .. })));
    assert_eq!(
        client
            .get("14")
            .unwrap()
            .map(|value| value.as_bytes().len()),
        Some(1 << 20)
    );
}
