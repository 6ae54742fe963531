//! The types that methods share.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::scene::{ALICE, BOB, Scene, Way, invalid_parameter, revision};

proofs! {
    events_tell_what_happened {
        "Change": "What happened to a variable.",
        "Change.set": "The variable was created or was given a value.",
        "Change.deleted": "The variable was deleted by a caller.",
        "Change.expired": "The variable was deleted because its time to live ran out.",
        "Change.released": "The variable was deleted because the process that it belonged to is gone.",
        "Event": "One change of one variable.",
        "Event.change": "What happened.",
        "Event.key": "The key.",
        "Event.value": "The new value if it is text; on anything but 'set', the last value that the variable had, where the service still has it.",
        "Event.data": "The same in Base64, if it is not text.",
        "Event.revision": "The revision of this change.",
        "Event.writer": "The process that made the change.",
        "Event.writer": "Set only if metadata was asked for, and on nothing but 'set' and 'deleted'.",
    }
    large_values_of_what_is_gone_are_not_kept {
        "Event.value": "The new value if it is text; on anything but 'set', the last value that the variable had, where the service still has it.",
    }
    operations_do_what_they_are_called {
        "Action": "What an operation of Apply() does.",
        "Action.set": "Define the variable or replace its value.",
        "Action.delete": "Delete the variable; succeeds also if it is not defined.",
        "Action.increment": "Add to the number that the variable holds.",
        "Operation": "One step of Apply().",
        "Operation.action": "What to do.",
        "Operation.key": "The key.",
        "Operation.value": "For 'set': the value, as text.",
        "Operation.data": "For 'set': the value, in Base64.",
        "Operation.by": "For 'increment': the decimal number to add, see Increment().",
        "Operation.ttlUSec": "For 'set': the time to live, see Set().",
    }
    a_field_for_another_action_is_refused (not by client: "its operations have only their own fields") {
        "Operation": "A field that is for another action is InvalidParameter.",
    }
    writers_are_who_connected {
        "Writer": "The process that last changed a variable, as the kernel reported it when that process connected.",
        "Writer.uid": "The numeric UNIX user ID.",
        "Writer.pid": "The process ID, in the name space of the service.",
        "Entry.writer": "The process that last changed it.",
    }
    entries_tell_what_is_known {
        "Entry": "One variable.",
        "Entry.key": "The key.",
        "Entry.value": "The value, if it is text.",
        "Entry.data": "The value in Base64, if it is not text.",
        "Entry.revision": "The revision of the last change.",
        "Entry.modifiedUSec": "When the variable was last changed, in µs since the UNIX epoch, exact to some milliseconds.",
        "Entry.expiresUSec": "When the variable expires, in µs since the UNIX epoch.",
        "Entry.expiresUSec": "Unset if it does not.",
        "Entry.pid": "The process whose end deletes the variable.",
        "Entry.pid": "Unset if none.",
        "Entry.protected": "Whether only its owner and root may change or delete the variable.",
    }
    the_owner_is_who_created_or_protected {
        "Entry.ownerUid": "The user that owns the variable: the one that created it, or the one that protected it.",
    }
    every_field_of_a_condition_must_hold {
        "Condition": "What a variable must be like.",
        "Condition": "Every field that is set must hold.",
        "Condition.defined": "Whether the variable must be defined (true) or must not be (false).",
        "Condition.revision": "The revision that the variable must have; 0 means that it must not be defined.",
        "Condition.value": "The value that it must have, as text.",
        "Condition.data": "The value that it must have, in Base64.",
    }
    checks_are_conditions_on_one_variable {
        "Check": "A condition on one variable, for Apply().",
        "Check.key": "The key.",
        "Check.condition": "What the variable must be like.",
    }
}

/// µs since the UNIX epoch.
pub fn calendar() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is later").as_micros() as u64
}

fn events_tell_what_happened(scene: &Scene) {
    let mut watch = scene.watch(json!({ "patterns": ["a"], "metadata": true }));
    let mut plain = scene.watch(json!({ "patterns": ["a"] }));
    let mut expect = |at: u64, change: &str, value: Value, has_writer: bool| {
        for (watch, is_full) in [(&mut watch, true), (&mut plain, false)] {
            let event = watch.event();
            let told = (&event["change"], &event["key"], revision(&event));
            assert_eq!(told, (&json!(change), &json!("a"), at));
            let field = if value == json!("/w==") {
                "data"
            } else {
                "value"
            };
            assert_eq!(event[field], value, "{event}");
            let writer = event.get("writer").map(|writer| &writer["uid"]);
            assert_eq!(
                writer,
                (is_full && has_writer).then_some(&json!(0)),
                "{event}"
            );
        }
    };
    expect(scene.set("a", "1"), "set", json!("1"), true);
    expect(scene.set("a", "2"), "set", json!("2"), true);
    let deleted = scene.ask("Delete", json!({ "key": "a" }));
    expect(revision(&deleted), "deleted", json!("2"), true);
    let data = scene.ask("Set", json!({ "key": "a", "data": "/w==" }));
    expect(revision(&data), "set", json!("/w=="), true);
    scene.ask("Expire", json!({ "key": "a", "ttlUSec": 0 }));
    expect(revision(&data) + 1, "expired", json!("/w=="), false);
    let mut process = Command::new("sleep")
        .arg("1000")
        .spawn()
        .expect("it starts");
    let set = scene.ask(
        "Set",
        json!({ "key": "a", "value": "3", "pid": process.id() }),
    );
    expect(revision(&set), "set", json!("3"), true);
    process.kill().expect("it lives");
    process.wait().expect("it ends");
    expect(revision(&set) + 1, "released", json!("3"), false);
}

fn large_values_of_what_is_gone_are_not_kept(scene: &Scene) {
    let large = "x".repeat(100_000);
    let mut stopped = scene.watch(json!({ "patterns": ["b"] }));
    let after = scene.watch(json!({ "patterns": ["a"] }));
    let (position, instance) = (after.revision(), after.instance());
    drop(after);
    scene.set("a", &large);
    scene.ask("Delete", json!({ "key": "a" }));
    scene.set("b", "1");
    assert_eq!(stopped.event()["value"], "1");
    let from = json!({ "patterns": ["a"], "afterRevision": position, "instance": instance });
    let missed = scene.watch(from).catch_up();
    assert_eq!((missed.len(), &missed[0]["change"]), (1, &json!("deleted")));
    assert_eq!(missed[0].get("value"), None);
}

fn operations_do_what_they_are_called(scene: &Scene) {
    scene.set("gone", "x");
    scene.set("old", "x");
    let operations = json!([
        { "action": "set", "key": "new", "value": "1" },
        { "action": "set", "key": "old", "data": "/w==" },
        { "action": "set", "key": "brief", "value": "1", "ttlUSec": 3_600_000_000_u64 },
        { "action": "delete", "key": "gone" },
        { "action": "delete", "key": "never" },
        { "action": "increment", "key": "new", "by": "0.5" },
        { "action": "increment", "key": "count", "by": "-2" },
    ]);
    scene.ask("Apply", json!({ "operations": operations }));
    for (key, value) in [
        ("new", Some("1.5")),
        ("gone", None),
        ("never", None),
        ("count", Some("-2")),
    ] {
        assert_eq!(scene.value(key).as_deref(), value, "{key}");
    }
    assert_eq!(scene.ask("Get", json!({ "key": "old" }))["data"], "/w==");
    assert!(scene.entry("brief")["expiresUSec"].is_u64());
}

fn a_field_for_another_action_is_refused(scene: &Scene) {
    for operation in [
        json!({ "action": "set", "key": "a", "value": "1", "by": "1" }),
        json!({ "action": "delete", "key": "a", "value": "1" }),
        json!({ "action": "delete", "key": "a", "data": "YQ==" }),
        json!({ "action": "delete", "key": "a", "ttlUSec": 1 }),
        json!({ "action": "delete", "key": "a", "by": "1" }),
        json!({ "action": "increment", "key": "a", "value": "1" }),
        json!({ "action": "increment", "key": "a", "data": "YQ==" }),
        json!({ "action": "increment", "key": "a", "ttlUSec": 0 }),
    ] {
        let refusal = scene.refuse("Apply", json!({ "operations": [operation] }));
        assert_eq!(refusal, invalid_parameter("operations"), "{operation}");
    }
    assert_eq!(scene.revision(), 0);
}

fn writers_are_who_connected(scene: &Scene) {
    let alice = scene.user(ALICE);
    alice.set("a", "1");
    let writer = scene.entry("a")["writer"].take();
    assert_eq!(writer["uid"], ALICE);
    let own = json!(std::process::id());
    match scene.way {
        Way::Client => assert_eq!(writer["pid"], own),
        Way::Varlinkctl => assert_ne!(writer["pid"], own),
    }
    scene.user(BOB).ask("Increment", json!({ "key": "a" }));
    assert_eq!(scene.entry("a")["writer"]["uid"], BOB);
    // Not who reads, nor who gives it time.
    scene.ask("Expire", json!({ "key": "a" }));
    assert_eq!(scene.entry("a")["writer"]["uid"], BOB);
}

fn entries_tell_what_is_known(scene: &Scene) {
    let before = calendar();
    let set = scene.ask("Set", json!({ "key": "b", "data": "/w==" }));
    let hour = Duration::from_secs(3600).as_micros() as u64;
    let own = std::process::id();
    scene.ask(
        "Set",
        json!({ "key": "a", "value": "1", "ttlUSec": hour, "pid": own, "protected": true }),
    );
    let after = calendar();
    let listed = scene.list(json!({ "metadata": true })).expect("a list");
    let [a, b] = listed.as_slice() else {
        panic!("{listed:?}");
    };
    assert_eq!(
        (&a["key"], &a["value"], a.get("data")),
        (&json!("a"), &json!("1"), None)
    );
    assert_eq!(
        (&b["key"], b.get("value"), &b["data"]),
        (&json!("b"), None, &json!("/w=="))
    );
    assert_eq!(revision(b), revision(&set));
    let modified = a["modifiedUSec"].as_u64().expect("a time");
    // The kernel's clock ticks at least a hundred times a second.
    assert!((before - 20_000..=after).contains(&modified));
    let expires = a["expiresUSec"].as_u64().expect("a time");
    // Two clocks are read, one after the other, and either may be set meanwhile.
    assert!((before + hour - 100_000..=after + hour + 100_000).contains(&expires));
    assert_eq!((&a["pid"], &a["protected"]), (&json!(own), &json!(true)));
    assert_eq!((b.get("expiresUSec"), b.get("pid")), (None, None));
    assert_eq!(b["protected"], false);
}

fn the_owner_is_who_created_or_protected(scene: &Scene) {
    let owner = || scene.entry("a")["ownerUid"].take();
    scene.user(ALICE).set("a", "1");
    scene.user(BOB).set("a", "2");
    assert_eq!(owner(), ALICE);
    scene.user(BOB).ask(
        "Set",
        json!({ "key": "a", "value": "3", "protected": true }),
    );
    assert_eq!(owner(), BOB);
}

fn every_field_of_a_condition_must_hold(scene: &Scene) {
    scene.set("a", "1");
    let at = scene.set("a", "2");
    scene.ask("Set", json!({ "key": "d", "data": "/w==" }));
    for (key, condition, holds) in [
        ("a", json!({ "defined": true }), true),
        ("a", json!({ "defined": false }), false),
        ("none", json!({ "defined": true }), false),
        ("none", json!({ "defined": false }), true),
        ("a", json!({ "revision": at }), true),
        ("a", json!({ "revision": at - 1 }), false),
        ("a", json!({ "revision": 0 }), false),
        ("none", json!({ "revision": 0 }), true),
        ("none", json!({ "revision": 1 }), false),
        ("a", json!({ "value": "2" }), true),
        ("a", json!({ "value": "1" }), false),
        ("none", json!({ "value": "" }), false),
        ("a", json!({ "data": "Mg==" }), true),
        ("d", json!({ "data": "/w==" }), true),
        ("d", json!({ "data": "/g==" }), false),
        (
            "a",
            json!({ "defined": true, "revision": at, "value": "2" }),
            true,
        ),
        (
            "a",
            json!({ "defined": true, "revision": at, "value": "1" }),
            false,
        ),
        (
            "a",
            json!({ "defined": true, "revision": at - 1, "value": "2" }),
            false,
        ),
        (
            "a",
            json!({ "defined": false, "revision": at, "value": "2" }),
            false,
        ),
    ] {
        // Judged without changing anything, and by a change.
        let operations = json!([{ "action": "delete", "key": "no such" }]);
        let checks = json!([{ "key": key, "condition": condition }]);
        let apply = scene.call(
            "Apply",
            json!({ "checks": checks, "operations": operations }),
        );
        assert_eq!(apply.is_ok(), holds, "{key} {condition}");
        let timeout = json!({ "key": key, "condition": condition, "timeoutUSec": 0 });
        let wait = scene.call("Wait", timeout);
        assert_eq!(wait.is_ok(), holds, "{key} {condition}");
        if !holds {
            let set = json!({ "key": key, "value": "3", "condition": condition });
            assert_eq!(scene.refuse("Set", set).name, "ConditionFailed");
        }
    }
}

fn checks_are_conditions_on_one_variable(scene: &Scene) {
    scene.set("a", "1");
    scene.set("b", "1");
    let apply = |a: &str, b: &str| {
        let checks = json!([
            { "key": "a", "condition": { "value": a } },
            { "key": "b", "condition": { "value": b } },
        ]);
        let operations = json!([{ "action": "set", "key": "c", "value": "1" }]);
        scene.call(
            "Apply",
            json!({ "checks": checks, "operations": operations }),
        )
    };
    assert!(apply("1", "1").is_ok());
    for (a, b, key) in [("2", "1", "a"), ("1", "2", "b"), ("2", "2", "a")] {
        let refusal = apply(a, b).expect_err("one does not hold");
        assert_eq!(
            (&*refusal.name, &refusal.parameters["key"]),
            ("ConditionFailed", &json!(key))
        );
    }
}
