//! Expire.

use serde_json::json;

use crate::scene::{ALICE, BOB, Scene, no};
use crate::types::calendar;

proofs! {
    time_is_given_and_taken_and_nobody_is_told {
        "Expire": "Give a variable a new time to live, or none, and leave its value as it is.",
        "Expire": "This is no change: it has no revision and watchers do not see it, unless the variable expires at once.",
        "Expire.key": "The key.",
        "Expire.ttlUSec": "Time to live in µs, from now; 0 expires the variable at once.",
        "Expire.ttlUSec": "Unset or null to let the variable live on.",
    }
    it_changes_the_variable_where_that_is_protected {
        "Expire": "It changes the variable all the same, where that is protected.",
    }
    it_tells_whether_there_is_such_a_variable {
        "Expire().defined": "Whether the variable is defined, or was, if it has expired at once.",
    }
}

fn time_is_given_and_taken_and_nobody_is_told(scene: &Scene) {
    let at = scene.set("a", "1");
    let mut watch = scene.watch(json!({}));
    let hour = 3_600_000_000_u64;
    let before = calendar();
    scene.ask("Expire", json!({ "key": "a", "ttlUSec": hour }));
    let entry = scene.entry("a");
    let expires = entry["expiresUSec"].as_u64().expect("a time");
    assert!((before + hour - 100_000..=calendar() + hour + 100_000).contains(&expires));
    assert_eq!((scene.revision(), &entry["revision"]), (at, &json!(at)));
    assert_eq!(scene.value("a").as_deref(), Some("1"));
    scene.ask("Expire", json!({ "key": "a" }));
    assert_eq!(scene.entry("a").get("expiresUSec"), None);
    assert_eq!(scene.revision(), at);
    scene.ask("Expire", json!({ "key": "a", "ttlUSec": hour }));
    scene.ask("Expire", json!({ "key": "a", "ttlUSec": null }));
    assert_eq!(scene.entry("a").get("expiresUSec"), None);
    scene.ask("Expire", json!({ "key": "a", "ttlUSec": 0 }));
    assert_eq!(scene.value("a"), None);
    assert_eq!(scene.revision(), at + 1);
    // The first that is told since.
    let event = watch.event();
    assert_eq!(
        (&event["change"], &event["revision"]),
        (&json!("expired"), &json!(at + 1))
    );
    // From now, not from when it was set.
    scene.ask("Set", json!({ "key": "b", "value": "1", "ttlUSec": hour }));
    scene.ask("Expire", json!({ "key": "b", "ttlUSec": 10_000 }));
    assert_eq!(watch.event()["change"], "set");
    assert_eq!(watch.event()["change"], "expired");
}

fn it_changes_the_variable_where_that_is_protected(scene: &Scene) {
    let alice = scene.user(ALICE);
    alice.ask(
        "Set",
        json!({ "key": "a", "value": "1", "protected": true }),
    );
    for ttl in [json!(0), json!(1000), json!(null)] {
        let refusal = scene
            .user(BOB)
            .refuse("Expire", json!({ "key": "a", "ttlUSec": ttl }));
        assert_eq!(refusal, no("PermissionDenied", json!({ "key": "a" })));
    }
    assert_eq!(scene.entry("a").get("expiresUSec"), None);
    alice.ask(
        "Expire",
        json!({ "key": "a", "ttlUSec": 3_600_000_000_u64 }),
    );
    assert!(scene.entry("a").get("expiresUSec").is_some());
}

fn it_tells_whether_there_is_such_a_variable(scene: &Scene) {
    let expire = |ttl| scene.ask("Expire", json!({ "key": "a", "ttlUSec": ttl }))["defined"].take();
    assert_eq!(expire(json!(0)), false);
    assert_eq!(expire(json!(1000)), false);
    scene.set("a", "1");
    assert_eq!(expire(json!(3_600_000_000_u64)), true);
    assert_eq!(expire(json!(null)), true);
    assert_eq!(expire(json!(0)), true);
    assert_eq!(expire(json!(0)), false);
}
