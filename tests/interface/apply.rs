//! Apply.

use serde_json::{Value, json};

use crate::scene::{ALICE, BOB, Scene, invalid_parameter, revision};

proofs! {
    all_is_done_or_nothing {
        "Apply": "Make several changes at once: all of them or, if a check does not hold or an operation cannot be done, none.",
        "Apply.operations": "All changes get one revision.",
        "Apply().revision": "The revision of this change; the current revision if nothing changed.",
    }
    checks_come_before_operations {
        "Apply": "All checks are made before the first operation.",
        "Apply.operations": "What to do, in this order, each step seeing those before it; at most 4096 (more: InvalidParameter 'operations').",
    }
    set_works_as_set {
        "Apply": "'set' without a value is InvalidParameter and otherwise works as Set().",
    }
    set_wants_a_value (not by client: "its 'set' has one") {
        "Apply": "'set' without a value is InvalidParameter and otherwise works as Set().",
    }
    watchers_are_told_the_end {
        "Apply": "Watchers are told what has become of each variable in the end.",
    }
    there_are_so_many_at_most {
        "Apply.checks": "What must hold; at most 4096 (more: InvalidParameter 'checks').",
        "Apply.operations": "What to do, in this order, each step seeing those before it; at most 4096 (more: InvalidParameter 'operations').",
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

fn all_is_done_or_nothing(scene: &Scene) {
    scene.set("old", "text");
    let apply = |operations: &[Value]| json!({ "operations": operations });
    let at = revision(&scene.ask(
        "Apply",
        apply(&[set("a", "1"), set("b", "1"), delete("old")]),
    ));
    assert_eq!(at, 2);
    for key in ["a", "b"] {
        assert_eq!(revision(&scene.ask("Get", json!({ "key": key }))), at);
    }
    scene.set("old", "text");
    scene.user(ALICE).ask(
        "Set",
        json!({ "key": "kept", "value": "1", "protected": true }),
    );
    let at = scene.revision();
    let too_long = "x".repeat((1 << 20) + 1);
    for (impossible, error) in [
        (increment("old", "1"), "NotNumeric"),
        (set("kept", "2"), "PermissionDenied"),
        (delete("kept"), "PermissionDenied"),
        (set("a=b", "2"), "InvalidKey"),
        (set("long", &too_long), "ValueTooLarge"),
    ] {
        let operations = apply(&[set("a", "2"), delete("b"), impossible, set("c", "2")]);
        assert_eq!(scene.user(BOB).refuse("Apply", operations).name, error);
    }
    let check = json!([{ "key": "b", "condition": { "defined": false } }]);
    let checked = json!({ "checks": check, "operations": [set("a", "2")] });
    assert_eq!(scene.refuse("Apply", checked).name, "ConditionFailed");
    assert_eq!(scene.revision(), at);
    assert_eq!(scene.matching("**"), ["a", "b", "kept", "old"]);
    assert_eq!(scene.value("a").as_deref(), Some("1"));
    for nothing in [
        apply(&[]),
        apply(&[delete("none")]),
        apply(&[set("new", "1"), delete("new")]),
    ] {
        assert_eq!(revision(&scene.ask("Apply", nothing)), at);
    }
}

fn checks_come_before_operations(scene: &Scene) {
    scene.set("a", "1");
    let check = |value: &str| json!([{ "key": "a", "condition": { "value": value } }]);
    let operations = json!([
        set("a", "2"),
        increment("a", "3"),
        delete("b"),
        increment("b", "1"),
        increment("b", "1")
    ]);
    let apply = |value: &str| json!({ "checks": check(value), "operations": operations });
    // True only after the first operation.
    assert_eq!(scene.refuse("Apply", apply("2")).name, "ConditionFailed");
    scene.ask("Apply", apply("1"));
    assert_eq!(scene.value("a").as_deref(), Some("5"));
    assert_eq!(scene.value("b").as_deref(), Some("2"));
}

fn set_works_as_set(scene: &Scene) {
    let own = std::process::id();
    let ttl = 3_600_000_000_u64;
    scene.ask(
        "Set",
        json!({ "key": "a", "value": "1", "ttlUSec": ttl, "pid": own, "protected": true }),
    );
    scene.ask("Apply", json!({ "operations": [set("a", "2")] }));
    let entry = scene.entry("a");
    let ends = ["expiresUSec", "pid"].map(|name| entry.get(name));
    assert_eq!((ends, &entry["protected"]), ([None, None], &json!(true)));
    let mut watch = scene.watch(json!({ "patterns": ["b"] }));
    let brief = json!({ "action": "set", "key": "b", "value": "1", "ttlUSec": 0 });
    scene.ask("Apply", json!({ "operations": [brief] }));
    let told = [watch.event(), watch.event()].map(|mut event| event["change"].take());
    assert_eq!(told, [json!("set"), json!("expired")]);
    let data = json!({ "action": "set", "key": "c", "data": "YQ==" });
    scene.ask("Apply", json!({ "operations": [data] }));
    assert_eq!(scene.value("c").as_deref(), Some("a"));
}

fn set_wants_a_value(scene: &Scene) {
    scene.set("a", "1");
    for operation in [
        json!({ "action": "set", "key": "a" }),
        json!({ "action": "set", "key": "a", "value": null, "data": null }),
        json!({ "action": "set", "key": "a", "value": "1", "data": "MQ==" }),
        json!({ "action": "set", "key": "a", "value": "1", "ttlUSec": -1 }),
        json!({ "action": "set", "key": "a", "data": "MQ" }),
    ] {
        let refusal = scene.refuse("Apply", json!({ "operations": [operation] }));
        assert_eq!(refusal, invalid_parameter("operations"), "{operation}");
    }
    assert_eq!(scene.value("a").as_deref(), Some("1"));
}

fn watchers_are_told_the_end(scene: &Scene) {
    scene.set("gone", "1");
    let mut watch = scene.watch(json!({}));
    let operations = json!([
        set("a", "1"),
        set("a", "2"),
        increment("a", "1"),
        set("came and went", "1"),
        delete("came and went"),
        set("gone", "2"),
        delete("gone"),
        delete("back"),
        set("back", "1"),
    ]);
    let at = revision(&scene.ask("Apply", json!({ "operations": operations })));
    let mut told: Vec<(String, String, Value)> = (0..3)
        .map(|_| watch.event())
        .inspect(|event| assert_eq!(revision(event), at))
        .map(|event| {
            (
                event["key"].to_string(),
                event["change"].to_string(),
                event["value"].clone(),
            )
        })
        .collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    let events = told
        .iter()
        .map(|(key, change, value)| (&**key, &**change, value));
    assert_eq!(
        events.collect::<Vec<_>>(),
        [
            ("\"a\"", "\"set\"", &json!("3")),
            ("\"back\"", "\"set\"", &json!("1")),
            ("\"gone\"", "\"deleted\"", &json!("1")),
        ]
    );
    scene.set("next", "1");
    assert_eq!(watch.event()["key"], "next");
}

fn there_are_so_many_at_most(scene: &Scene) {
    let checks =
        |count: usize| vec![json!({ "key": "a", "condition": { "defined": false } }); count];
    let operations = |count: usize| vec![increment("n", "1"); count];
    scene.ask(
        "Apply",
        json!({ "checks": checks(4096), "operations": operations(4096) }),
    );
    assert_eq!(scene.value("n").as_deref(), Some("4096"));
    let refusal = scene.refuse("Apply", json!({ "checks": checks(4097), "operations": [] }));
    assert_eq!(refusal, invalid_parameter("checks"));
    let refusal = scene.refuse("Apply", json!({ "operations": operations(4097) }));
    assert_eq!(refusal, invalid_parameter("operations"));
    assert_eq!(scene.value("n").as_deref(), Some("4096"));
}
