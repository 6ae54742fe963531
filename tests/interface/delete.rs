//! Delete.

use serde_json::{Value, json};

use crate::scene::{ALICE, BOB, Scene, Way, invalid_parameter, no, revision};

proofs! {
    variables_are_deleted {
        "Delete": "Delete variables.",
        "Delete": "To delete what is not there is no error.",
        "Delete.key": "The key of the one variable to delete, taken literally.",
        "Delete.patterns": "Delete the variables that match one of these patterns.",
        "Delete().count": "How many variables were deleted.",
        "Delete().revision": "The revision of this change; the current revision if nothing was deleted.",
    }
    either_key_or_patterns (not by client: "it has a verb for each") {
        "Delete": "Either 'key' or 'patterns' must be set.",
        "Delete.condition": "With 'key' only: what the variable must be like; otherwise the call fails with ConditionFailed.",
    }
    a_condition_must_hold {
        "Delete.condition": "With 'key' only: what the variable must be like; otherwise the call fails with ConditionFailed.",
    }
    so_many_go_together {
        "Delete": "With patterns up to 4096 variables are deleted by one call, together and with one revision, in the order of their keys; if 'count' is 4096, call again for the rest.",
    }
    if_one_is_protected_nothing_is_deleted {
        "Delete": "If one of them is protected against the caller, nothing is deleted.",
    }
}

fn counted(reply: &Value) -> (u64, u64) {
    (reply["count"].as_u64().expect("a count"), revision(reply))
}

fn variables_are_deleted(scene: &Scene) {
    for key in ["a", "b", "c", "*"] {
        scene.set(key, "1");
    }
    let delete = |parameters| counted(&scene.ask("Delete", parameters));
    assert_eq!(delete(json!({ "key": "none" })), (0, 4));
    assert_eq!(delete(json!({ "patterns": ["none*"] })), (0, 4));
    assert_eq!(delete(json!({ "key": "*" })), (1, 5));
    assert_eq!(delete(json!({ "key": "*" })), (0, 5));
    assert_eq!(delete(json!({ "patterns": ["a", "[bx]", "?y"] })), (2, 6));
    assert_eq!(scene.matching("**"), ["c"]);
}

fn either_key_or_patterns(scene: &Scene) {
    scene.set("a", "1");
    let refuse = |parameters| scene.refuse("Delete", parameters);
    assert_eq!(refuse(json!({})), invalid_parameter("key"));
    let both = json!({ "key": "a", "patterns": ["a"] });
    assert_eq!(refuse(both), invalid_parameter("patterns"));
    let condition = json!({ "patterns": ["a"], "condition": { "defined": true } });
    assert_eq!(refuse(condition), invalid_parameter("condition"));
    assert!(scene.value("a").is_some());
}

fn a_condition_must_hold(scene: &Scene) {
    let at = scene.set("a", "1");
    let delete = |value: &str| json!({ "key": "a", "condition": { "value": value } });
    let told = json!({ "key": "a", "revision": at });
    assert_eq!(
        scene.refuse("Delete", delete("2")),
        no("ConditionFailed", told)
    );
    assert!(scene.value("a").is_some());
    assert_eq!(counted(&scene.ask("Delete", delete("1"))), (1, at + 1));
    let told = json!({ "key": "a", "revision": 0 });
    assert_eq!(
        scene.refuse("Delete", delete("1")),
        no("ConditionFailed", told)
    );
}

fn so_many_go_together(scene: &Scene) {
    const COUNT: usize = 5000;
    let mut peer = scene.daemon.connect();
    let key = |n: usize| format!("k/{n:04}");
    // In no order, so that only that of the keys can be theirs.
    let keys = (0..COUNT).map(|n| key(n * 7 % COUNT));
    let sets = keys.map(|key| json!({ "key": key, "value": "" }));
    peer.send_calls("io.globstash.Set", sets);
    (0..COUNT).for_each(|_| drop(peer.receive()));
    let mut watch = scene.watch(json!({ "patterns": ["k/"] }));
    let deleted = counted(&scene.ask("Delete", json!({ "patterns": ["k/"] })));
    let at = COUNT as u64 + 1;
    match scene.way {
        // It calls again by itself.
        Way::Client => assert_eq!(deleted, (COUNT as u64, at + 1)),
        Way::Varlinkctl => {
            assert_eq!(deleted, (4096, at));
            assert_eq!(scene.matching("k/").first(), Some(&key(4096)));
            let rest = scene.ask("Delete", json!({ "patterns": ["k/"] }));
            assert_eq!(counted(&rest), (COUNT as u64 - 4096, at + 1));
        }
    }
    for n in 0..COUNT {
        let event = watch.event();
        let expected = (json!(key(n)), at + u64::from(n >= 4096));
        assert_eq!((event["key"].clone(), revision(&event)), expected);
    }
}

fn if_one_is_protected_nothing_is_deleted(scene: &Scene) {
    scene.user(BOB).set("a", "1");
    scene.user(ALICE).ask(
        "Set",
        json!({ "key": "b", "value": "1", "protected": true }),
    );
    let all = json!({ "patterns": ["?"] });
    let refusal = scene.user(BOB).refuse("Delete", all.clone());
    assert_eq!(refusal, no("PermissionDenied", json!({ "key": "b" })));
    assert_eq!(scene.matching("?"), ["a", "b"]);
    assert_eq!(scene.user(ALICE).ask("Delete", all)["count"], 2);
}
