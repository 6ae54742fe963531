//! Set.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::scene::{ALICE, BOB, Scene, Way, invalid_parameter, no, revision};

proofs! {
    a_variable_is_defined_or_its_value_replaced {
        "Set": "Define a variable or replace its value.",
        "Set.key": "The key.",
        "Set.value": "The value, as text.",
        "Set.data": "The value, in Base64.",
        "Set().revision": "The revision of this change.",
    }
    without_a_value_it_deletes (not by client: "it deletes by Delete alone") {
        "Set": "If both 'value' and 'data' are unset or null, the variable is deleted, as if by Delete(), and the fields below are ignored except 'condition'.",
    }
    a_call_that_fails_changes_nothing {
        "Set": "A call that fails changes nothing.",
        "Set.condition": "What the variable must be like before; otherwise the call fails with ConditionFailed.",
    }
    an_end_is_gone_unless_set_again_and_protection_stays {
        "Set": "A time to live or a process that the variable had is gone unless set again; protection and owner stay.",
        "Set.protected": "Unset or null leaves it as it is; a new variable is not protected.",
    }
    time_to_live_ends_it_at_once {
        "Set.ttlUSec": "Time to live in µs; 0 as in Expire(), negative is InvalidParameter, more than can be counted is never.",
        "Set.ttlUSec": "When it has run out the variable is deleted, at once and not when someone next looks.",
        "Set.ttlUSec": "Time goes on while the machine sleeps.",
    }
    negative_numbers_are_refused (not by client: "its times and processes are never negative") {
        "Set.ttlUSec": "Time to live in µs; 0 as in Expire(), negative is InvalidParameter, more than can be counted is never.",
        "Set.pid": "Negative is InvalidParameter.",
    }
    the_end_of_a_process_deletes_it {
        "Set.pid": "Delete the variable when this process ends: the ID of any process in the name space of the service, or 0 for the caller, that is the process that connected.",
    }
    protection_is_for_owner_and_root {
        "Set.protected": "Whether only the owner and root may change or delete the variable from now on.",
        "Set.protected": "Setting it to true makes the caller the owner.",
        "Set.protected": "Only the owner and root may change it for a protected variable.",
    }
}

fn a_variable_is_defined_or_its_value_replaced(scene: &Scene) {
    for (parameters, value) in [
        (json!({ "key": "a", "value": "1" }), "1"),
        (json!({ "key": "a", "value": "" }), ""),
        (json!({ "key": "a", "data": "Mg==" }), "2"),
    ] {
        let set = scene.ask("Set", parameters);
        assert_eq!(scene.value("a").as_deref(), Some(value));
        let get = scene.ask("Get", json!({ "key": "a" }));
        assert_eq!(
            (revision(&set), revision(&set)),
            (revision(&get), scene.revision())
        );
    }
}

fn without_a_value_it_deletes(scene: &Scene) {
    for mut parameters in [
        json!({}),
        json!({ "value": null }),
        json!({ "value": null, "data": null }),
    ] {
        scene.set("a", "1");
        let mut watch = scene.watch(json!({}));
        parameters["key"] = json!("a");
        parameters["condition"] = json!({ "value": "2" });
        assert_eq!(
            scene.refuse("Set", parameters.clone()).name,
            "ConditionFailed"
        );
        parameters["condition"] = json!({ "value": "1" });
        // All of these would be refused if they were not ignored.
        parameters["ttlUSec"] = json!(-1);
        parameters["pid"] = json!(-1);
        parameters["protected"] = json!(true);
        let at = revision(&scene.ask("Set", parameters));
        assert_eq!(scene.value("a"), None);
        let event = watch.event();
        assert_eq!(
            (&event["change"], revision(&event)),
            (&json!("deleted"), at)
        );
        // As if by Delete: what is not there is no error, and no change.
        assert_eq!(revision(&scene.ask("Set", json!({ "key": "a" }))), at);
    }
    scene.user(ALICE).ask(
        "Set",
        json!({ "key": "a", "value": "1", "protected": true }),
    );
    let refusal = scene.user(BOB).refuse("Set", json!({ "key": "a" }));
    assert_eq!(refusal.name, "PermissionDenied");
}

fn a_call_that_fails_changes_nothing(scene: &Scene) {
    let alice = scene.user(ALICE);
    let own = std::process::id();
    let ttl = 3_600_000_000_u64;
    alice.ask(
        "Set",
        json!({ "key": "a", "value": "1", "ttlUSec": ttl, "pid": own, "protected": true }),
    );
    // When it expires is told by the calendar, which a µs more or less may separate from the clock.
    let known = || {
        let mut entry = scene.entry("a");
        let expires = entry["expiresUSec"].take();
        (entry, expires.is_u64())
    };
    let (before, at) = (known(), scene.revision());
    let mut watch = scene.watch(json!({}));
    let too_long = "x".repeat((1 << 20) + 1);
    let set = |fields: Value| {
        let mut parameters = fields;
        parameters["key"] = json!("a");
        parameters
    };
    assert_eq!(
        alice
            .refuse(
                "Set",
                set(json!({ "value": "2", "condition": { "defined": false } }))
            )
            .name,
        "ConditionFailed"
    );
    assert_eq!(
        alice
            .refuse("Set", set(json!({ "value": too_long, "protected": false })))
            .name,
        "ValueTooLarge"
    );
    assert_eq!(
        alice
            .refuse(
                "Set",
                set(json!({ "value": "2", "pid": 4_000_000_000_u32 }))
            )
            .name,
        "NoSuchProcess"
    );
    assert_eq!(
        scene
            .user(BOB)
            .refuse("Set", set(json!({ "value": "2" })))
            .name,
        "PermissionDenied"
    );
    assert_eq!((known(), scene.revision()), (before, at));
    assert_eq!(scene.value("a").as_deref(), Some("1"));
    scene.set("b", "1");
    assert_eq!(watch.event()["key"], "b");
}

fn an_end_is_gone_unless_set_again_and_protection_stays(scene: &Scene) {
    let (alice, own) = (scene.user(ALICE), std::process::id());
    let ttl = 3_600_000_000_u64;
    scene.set("new", "1");
    assert_eq!(scene.entry("new")["protected"], false);
    let full = json!({ "key": "a", "value": "1", "ttlUSec": ttl, "pid": own, "protected": true });
    alice.ask("Set", full.clone());
    let ends = |entry: &Value| ["expiresUSec", "pid"].map(|name| entry.get(name).is_some());
    assert_eq!(ends(&scene.entry("a")), [true, true]);
    alice.ask(
        "Set",
        json!({ "key": "a", "value": "2", "protected": null }),
    );
    let entry = scene.entry("a");
    assert_eq!(ends(&entry), [false, false]);
    assert_eq!(
        (&entry["protected"], &entry["ownerUid"]),
        (&json!(true), &json!(ALICE))
    );
    alice.ask("Set", full);
    alice.ask("Set", json!({ "key": "a", "value": "2", "ttlUSec": ttl }));
    assert_eq!(ends(&scene.entry("a")), [true, false]);
    // Also if root sets it.
    scene.set("a", "3");
    let entry = scene.entry("a");
    assert_eq!(
        (&entry["protected"], &entry["ownerUid"]),
        (&json!(true), &json!(ALICE))
    );
}

fn time_to_live_ends_it_at_once(scene: &Scene) {
    let mut watch = scene.watch(json!({}));
    let mut expect = |key: &str, change: &str| {
        let event = watch.event();
        assert_eq!(
            (&event["key"], &event["change"]),
            (&json!(key), &json!(change))
        );
    };
    scene.ask(
        "Set",
        json!({ "key": "a", "value": "1", "ttlUSec": 20_000 }),
    );
    expect("a", "set");
    // Nobody looks at it; the news comes by itself.
    expect("a", "expired");
    scene.ask("Set", json!({ "key": "b", "value": "1", "ttlUSec": 0 }));
    expect("b", "set");
    expect("b", "expired");
    scene.ask(
        "Set",
        json!({ "key": "c", "value": "1", "ttlUSec": i64::MAX }),
    );
    assert_eq!(scene.entry("c").get("expiresUSec"), None);
    // The clock that goes on while the machine sleeps has the number 7: timerfd_create(2).
    scene.ask(
        "Set",
        json!({ "key": "d", "value": "1", "ttlUSec": 3_600_000_000_u64 }),
    );
    let folder = format!("/proc/{}/fdinfo", scene.daemon.pid());
    let files = std::fs::read_dir(folder).expect("it lives");
    // A connection may be closed while we look.
    let infos = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
    let infos: Vec<String> = infos.collect();
    assert!(
        infos.iter().any(|info| info.contains("clockid: 7")),
        "{infos:?}"
    );
}

fn negative_numbers_are_refused(scene: &Scene) {
    for name in ["ttlUSec", "pid"] {
        for number in [-1, i64::MIN] {
            let mut parameters = json!({ "key": "a", "value": "1" });
            parameters[name] = json!(number);
            assert_eq!(scene.refuse("Set", parameters), invalid_parameter(name));
        }
    }
    assert_eq!(scene.value("a"), None);
}

/// A process that lives until it is killed.
pub fn process() -> Child {
    let mut command = Command::new("sleep");
    let spawned = command.arg("1000").stdout(Stdio::null()).spawn();
    spawned.expect("it starts")
}

fn the_end_of_a_process_deletes_it(scene: &Scene) {
    let mut watch = scene.watch(json!({ "patterns": ["a"] }));
    let mut other = process();
    scene.ask(
        "Set",
        json!({ "key": "a", "value": "1", "pid": other.id() }),
    );
    assert_eq!(scene.entry("a")["pid"], other.id());
    other.kill().expect("it lives");
    assert_eq!(watch.event()["change"], "set");
    // It has ended, though nobody has waited for it.
    assert_eq!(watch.event()["change"], "released");
    other.wait().expect("it ends");
    let refusal = scene.refuse(
        "Set",
        json!({ "key": "a", "value": "1", "pid": other.id() }),
    );
    assert_eq!(refusal, no("NoSuchProcess", json!({ "pid": other.id() })));
    // Of another user's process as well.
    let init = json!({ "key": "init", "value": "1", "pid": 1 });
    scene.user(ALICE).ask("Set", init);
    assert_eq!(scene.entry("init")["pid"], 1);

    scene.ask("Set", json!({ "key": "a", "value": "1", "pid": 0 }));
    match scene.way {
        Way::Client => assert_eq!(scene.entry("a")["pid"], std::process::id()),
        // It has ended already.
        Way::Varlinkctl => scene.until_gone("a"),
    }
}

fn protection_is_for_owner_and_root(scene: &Scene) {
    let (alice, bob) = (scene.user(ALICE), scene.user(BOB));
    let set = |value: &str, protected: bool| json!({ "key": "a", "value": value, "protected": protected });
    bob.set("a", "0");
    alice.ask("Set", set("1", true));
    assert_eq!(scene.entry("a")["ownerUid"], ALICE);
    let denied = no("PermissionDenied", json!({ "key": "a" }));
    for (method, parameters) in [
        ("Set", json!({ "key": "a", "value": "2" })),
        ("Set", set("2", false)),
        ("Set", set("2", true)),
        ("Delete", json!({ "key": "a" })),
    ] {
        assert_eq!(bob.refuse(method, parameters), denied);
    }
    assert_eq!(bob.value("a").as_deref(), Some("1"));
    alice.set("a", "2");
    // Root may do all of it, and becomes the owner by protecting it.
    scene.ask("Set", set("3", false));
    scene.ask("Set", set("3", true));
    assert_eq!(scene.entry("a")["ownerUid"], 0);
    assert_eq!(alice.refuse("Set", set("4", false)), denied);
    scene.ask("Set", set("5", false));
    bob.set("a", "6");
}
