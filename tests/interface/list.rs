//! List.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::{Value, json};

use crate::common;
use crate::scene::{Scene, no, revision};
use crate::varlinkctl;

proofs! {
    variables_are_listed_in_the_order_of_their_keys {
        "List": "[Supports 'more' flag]",
        "List": "List variables, in the order of their keys (by bytes).",
        "List.patterns": "List only variables that match one of these patterns.",
        "List.patterns": "Defaults to all.",
        "List().entries": "The entries.",
    }
    fields_come_if_asked_for {
        "List.keysOnly": "Leave out the values.",
        "List.keysOnly": "Defaults to false.",
        "List.metadata": "Fill in the optional fields of each entry.",
        "List.metadata": "Defaults to false.",
    }
    one_reply_is_true_at_its_revision (not by client: "it asks for several replies") {
        "List": "Without the 'more' flag there is one reply, true at its revision, or the error ReplyTooLarge.",
        "List().revision": "The revision at which this reply is true.",
    }
    what_is_there_all_the_time_is_told_once {
        "List": "With it the entries come in several replies of moderate size, each true at its own revision; a variable that is there all the time is told exactly once.",
    }
    replies_are_of_moderate_size (not by client: "it tells entries, not replies") {
        "List": "With it the entries come in several replies of moderate size, each true at its own revision; a variable that is there all the time is told exactly once.",
    }
    a_watch_goes_on_from_its_state {
        "List": "To get a state and follow it from there, use Watch() with 'initial'.",
    }
}

fn variables_are_listed_in_the_order_of_their_keys(scene: &Scene) {
    let keys = ["b", "a", "é", "a/b", "a.b", "B", "日", "a b", "~", "🌍"];
    for key in keys {
        scene.set(key, key);
    }
    let mut sorted = keys;
    sorted.sort_unstable_by_key(|key| key.as_bytes());
    let listed = scene.list(json!({})).expect("a list");
    let told: Vec<_> = listed
        .iter()
        .map(|entry| (&entry["key"], &entry["value"]))
        .collect();
    let expected: Vec<Value> = sorted.map(Value::from).to_vec();
    assert_eq!(told, expected.iter().zip(&expected).collect::<Vec<_>>());
    let some = json!({ "patterns": ["a*", "B", "a*"], "keysOnly": true });
    let some = scene.list(some).expect("a list");
    let keys: Vec<_> = some.iter().map(|entry| &entry["key"]).collect();
    assert_eq!(keys, ["B", "a", "a b", "a.b"]);
}

fn fields_come_if_asked_for(scene: &Scene) {
    scene.set("a", "1");
    let fields = |parameters| {
        let listed = scene.list(parameters).expect("a list");
        let fields = listed[0].as_object().expect("an entry").keys().cloned();
        fields.collect::<Vec<String>>()
    };
    let full = [
        "key",
        "modifiedUSec",
        "ownerUid",
        "protected",
        "revision",
        "value",
        "writer",
    ];
    let sorted = |fields: Vec<String>| {
        let mut fields = fields;
        fields.sort_unstable();
        fields
    };
    assert_eq!(sorted(fields(json!({}))), ["key", "revision", "value"]);
    let off = json!({ "keysOnly": false, "metadata": false });
    assert_eq!(sorted(fields(off)), ["key", "revision", "value"]);
    assert_eq!(
        sorted(fields(json!({ "keysOnly": true }))),
        ["key", "revision"]
    );
    assert_eq!(sorted(fields(json!({ "metadata": true }))), full);
    let both = sorted(fields(json!({ "keysOnly": true, "metadata": true })));
    assert!(!both.contains(&"value".to_owned()) && both.contains(&"writer".to_owned()));
}

fn one_reply_is_true_at_its_revision(scene: &Scene) {
    // Two variables that come and go together: what is true at one moment has both, or none. Between
    // them are so many that others have their turn before all are gone through.
    fill(scene, (1..3999).map(|n| format!("k{n:04}")));
    let (begun, caller) = (scene.revision(), scene.caller());
    let mut writer = scene.daemon.connect();
    let is_done = AtomicBool::new(false);
    let replies = std::thread::scope(|scope| {
        scope.spawn(|| {
            for action in ["set", "delete"].into_iter().cycle() {
                let operation = |key: &str| match action {
                    "set" => json!({ "action": action, "key": key, "value": "" }),
                    _ => json!({ "action": action, "key": key }),
                };
                let both = ["k0000", "k3999"].map(operation);
                writer.ask("io.globstash.Apply", json!({ "operations": both }));
                if is_done.load(Relaxed) {
                    break;
                }
            }
        });
        let list = json!({ "patterns": ["k*[0-9]*[0-9]*{00,99}"], "keysOnly": true });
        // One that panics must not leave the other alone for ever.
        let list = || caller.ask("List", list.clone());
        let replies: Vec<_> = (0..20)
            .map(|_| catch_unwind(AssertUnwindSafe(list)))
            .collect();
        is_done.store(true, Relaxed);
        replies
    });
    let mut seen = BTreeSet::new();
    for reply in replies {
        let reply = reply.unwrap_or_else(|panic| resume_unwind(panic));
        let keys: Vec<_> = common::listed(&[json!({ "parameters": reply })]);
        let has = |key: &str| keys.iter().any(|it| it == key);
        let are_there = (revision(&reply) - begun) % 2 == 1;
        assert_eq!((has("k0000"), has("k3999")), (are_there, are_there));
        assert_eq!(keys.len(), if are_there { 80 } else { 78 });
        seen.insert(revision(&reply));
    }
    assert!(seen.len() > 1, "nothing was changed meanwhile");
    scene.ask("Delete", json!({ "patterns": ["**"] }));
    let megabyte = "x".repeat(1 << 20);
    for n in 0..8 {
        scene.set(&format!("large/{n}"), &megabyte);
    }
    let told = json!({ "maximum": 8 << 20 });
    assert_eq!(scene.refuse("List", json!({})), no("ReplyTooLarge", told));
    assert!(scene.call("List", json!({ "keysOnly": true })).is_ok());
}

/// Sets many variables of a hundred bytes.
fn fill(scene: &Scene, keys: impl Iterator<Item = String>) {
    let mut peer = scene.daemon.connect();
    let value = "x".repeat(100);
    let calls: Vec<Value> = keys
        .map(|key| json!({ "key": key, "value": value }))
        .collect();
    let count = calls.len();
    peer.send_calls("io.globstash.Set", calls);
    (0..count).for_each(|_| drop(peer.receive()));
}

fn what_is_there_all_the_time_is_told_once(scene: &Scene) {
    fill(scene, (0..5000).map(|n| format!("stays/{n:04}")));
    let is_done = AtomicBool::new(false);
    let listed = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = scene.daemon.connect();
            while !is_done.load(Relaxed) {
                // Some come and go before and after each of the others, which change meanwhile.
                for key in ["a", "stays/0000+", "stays/2500+", "z"] {
                    peer.ask("io.globstash.Set", json!({ "key": key, "value": "" }));
                    peer.ask("io.globstash.Delete", json!({ "key": key }));
                }
                peer.ask(
                    "io.globstash.Set",
                    json!({ "key": "stays/2500", "value": "" }),
                );
            }
        });
        // One that panics must not leave the other alone for ever.
        let list = || scene.list(json!({}));
        let listed: Vec<_> = (0..5)
            .map(|_| catch_unwind(AssertUnwindSafe(list)))
            .collect();
        is_done.store(true, Relaxed);
        listed
    });
    for listed in listed {
        let mut count = BTreeMap::new();
        let listed = listed.unwrap_or_else(|panic| resume_unwind(panic));
        for entry in listed.expect("a list") {
            *count.entry(entry["key"].to_string()).or_insert(0) += 1;
        }
        count.retain(|key, _| key.starts_with("\"stays") && !key.ends_with("+\""));
        assert_eq!(count.len(), 5000);
        assert!(count.values().all(|times| *times == 1));
    }
}

fn replies_are_of_moderate_size(scene: &Scene) {
    fill(scene, (0..5000).map(|n| format!("k/{n:04}")));
    let replies = varlinkctl::call_more(&scene.socket, None, "List", &json!({}));
    let replies = replies.expect("a list");
    assert!(replies.len() > 3, "{}", replies.len());
    for reply in &replies {
        assert!(reply.to_string().len() < 200_000);
        assert_eq!(revision(reply), 5000);
    }
    let whole = json!({ "parameters": { "entries": replies.iter().flat_map(|reply| reply["entries"].as_array().cloned().unwrap_or_default()).collect::<Vec<_>>() } });
    assert_eq!(common::listed(&[whole]).len(), 5000);
}

fn a_watch_goes_on_from_its_state(scene: &Scene) {
    scene.set("a", "1");
    let mut watch = scene.watch(json!({ "initial": true }));
    scene.set("b", "1");
    let listed = scene.list(json!({})).expect("a list");
    let told = [watch.event(), watch.event()];
    for (event, entry) in told.iter().zip(&listed) {
        assert_eq!(
            (&event["key"], &event["value"]),
            (&entry["key"], &entry["value"])
        );
    }
}
