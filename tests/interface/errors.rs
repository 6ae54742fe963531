//! The errors, with their parameters.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::common::eventually;
use crate::common::sleepers::Sleepers;
use crate::scene::{ALICE, BOB, Refusal, Scene, no};
use crate::set::process;

proofs! {
    keys_patterns_and_values_are_told_with_what_is_wrong {
        "InvalidKey": "The key cannot be the key of a variable.",
        "InvalidKey.key": "The key.",
        "InvalidKey.reason": "What is wrong with it.",
        "InvalidPattern": "The pattern is malformed or too complicated.",
        "InvalidPattern.pattern": "The pattern.",
        "InvalidPattern.reason": "What is wrong with it.",
        "ValueTooLarge": "The value is longer than values can be.",
        "ValueTooLarge.key": "The key.",
        "ValueTooLarge.size": "How many bytes the value has.",
        "ValueTooLarge.maximum": "How many bytes it can have.",
    }
    a_value_that_is_no_text_is_told (not by either: "both encode it, or refuse it themselves") {
        "InvalidValue": "The value cannot be the value of this variable.",
        "InvalidValue.key": "The key.",
        "InvalidValue.reason": "What is wrong with the value.",
    }
    a_reply_that_is_too_large_is_refused (not by client: "it asks for several replies") {
        "ReplyTooLarge": "The reply would be larger than one reply may be.",
        "ReplyTooLarge": "Ask again with the 'more' flag, or for less.",
        "ReplyTooLarge.maximum": "How many bytes one reply may have (8 MiB).",
    }
    a_limit_is_told_by_its_name {
        "LimitExceeded": "There is no room for the change.",
        "LimitExceeded.maximum": "Its value.",
    }
    keys_that_are_chosen_to_be_alike_are_refused {
        "LimitExceeded.limit": "The limit that would be exceeded: the name of a field of GetStatus(), or 'memory' for the bytes of memory that the variables can take, or 'similarKeys' for how many keys can be so much alike that the service could not find them quickly: then another key will do; 'connections', or 'processes' for how many processes variables can belong to.",
    }
    the_memory_can_be_less_than_the_limits {
        "LimitExceeded.limit": "The limit that would be exceeded: the name of a field of GetStatus(), or 'memory' for the bytes of memory that the variables can take, or 'similarKeys' for how many keys can be so much alike that the service could not find them quickly: then another key will do; 'connections', or 'processes' for how many processes variables can belong to.",
    }
    the_limit_of_a_user_may_be_told {
        "LimitExceeded.limit": "The limit that would be exceeded: the name of a field of GetStatus(), or 'memory' for the bytes of memory that the variables can take, or 'similarKeys' for how many keys can be so much alike that the service could not find them quickly: then another key will do; 'connections', or 'processes' for how many processes variables can belong to.",
        "LimitExceeded.limit": "For these two the maximum may be that of the caller's user.",
    }
    who_may_not_is_told_so {
        "PermissionDenied": "The variable is protected and belongs to another user.",
        "PermissionDenied.key": "The key.",
    }
    a_process_that_is_none_is_told {
        "NoSuchProcess": "There is no process with this ID, or it has ended.",
        "NoSuchProcess.pid": "The process ID.",
    }
    a_condition_that_does_not_hold_is_told {
        "ConditionFailed": "The variable is not as the caller said it must be.",
        "ConditionFailed": "Nothing was changed.",
        "ConditionFailed.key": "The key.",
        "ConditionFailed.revision": "The revision that the variable has, 0 if it is not defined.",
    }
    numbers_that_are_none_are_told {
        "NotNumeric": "The variable does not hold a number that can be added to.",
        "NotNumeric.key": "The key.",
        "NumberOverflow": "The sum has more digits than can be kept.",
        "NumberOverflow.key": "The key.",
    }
    a_wait_in_vain_is_told {
        "TimedOut": "What was waited for did not come in time.",
        "TimedOut.key": "The key.",
    }
}

fn keys_patterns_and_values_are_told_with_what_is_wrong(scene: &Scene) {
    let refusal = scene.refuse("Get", json!({ "key": "a=b" }));
    let told = json!({ "key": "a=b", "reason": "a key cannot contain '='" });
    assert_eq!(refusal, no("InvalidKey", told));
    for (pattern, part) in [
        ("[a", "bracket"),
        ("{a", "brace"),
        ("[b-a]", "range"),
        ("\\", "backslash"),
    ] {
        let refusal = scene
            .list(json!({ "patterns": [pattern] }))
            .expect_err("malformed");
        let reason = refusal.parameters["reason"].as_str().expect("a sentence");
        assert!(reason.contains(part), "{reason}");
        assert_eq!(refusal.parameters["pattern"], pattern);
    }
    let size = (1 << 20) + 1;
    let refusal = scene.refuse("Set", json!({ "key": "a", "value": "x".repeat(size) }));
    let told = json!({ "key": "a", "size": size, "maximum": 1 << 20 });
    assert_eq!(refusal, no("ValueTooLarge", told));
}

fn a_value_that_is_no_text_is_told(scene: &Scene) {
    let set = json!({ "key": "a", "value": "\0" });
    let reply = scene.daemon.call("io.globstash.Set", set);
    assert_eq!(reply["error"], "io.globstash.InvalidValue");
    assert_eq!(reply["parameters"]["key"], "a");
    let reason = reply["parameters"]["reason"].as_str().expect("a sentence");
    assert!(
        reason.contains("NUL") && reason.contains("'data'"),
        "{reason}"
    );
}

fn a_reply_that_is_too_large_is_refused(scene: &Scene) {
    let value = "x".repeat(1 << 20);
    for n in 0..9 {
        scene.set(&format!("k/{n}"), &value);
    }
    let told = no("ReplyTooLarge", json!({ "maximum": 8 << 20 }));
    assert_eq!(scene.refuse("List", json!({})), told);
    assert_eq!(scene.list(json!({})).map(|entries| entries.len()), Ok(9));
    assert!(
        scene
            .call("List", json!({ "patterns": ["k/[0-5]"] }))
            .is_ok()
    );
}

fn exceeded(limit: &str, maximum: u64) -> Refusal {
    no(
        "LimitExceeded",
        json!({ "limit": limit, "maximum": maximum }),
    )
}

fn a_limit_is_told_by_its_name(scene: &Scene) {
    let scene = scene.another(&["--maximum-variables", "4", "--maximum-bytes", "100"]);
    let alice = scene.user(ALICE);
    let set = |key: &str, length: usize| json!({ "key": key, "value": "x".repeat(length) });
    alice.ask("Set", set("a", 0));
    assert_eq!(
        alice.refuse("Set", set("b", 0)),
        exceeded("maximumUserVariables", 1)
    );
    assert_eq!(
        alice.refuse("Set", set("a", 25)),
        exceeded("maximumUserBytes", 25)
    );
    for n in 0..3 {
        scene.set(&n.to_string(), "");
    }
    assert_eq!(
        scene.refuse("Set", set("b", 0)),
        exceeded("maximumVariables", 4)
    );
    assert_eq!(
        scene.refuse("Set", set("0", 100)),
        exceeded("maximumBytes", 100)
    );
}

/// So many keys that the search for all of them begins at the same place of the present table. Who may
/// read the map can find them.
fn keys_that_are_alike(scene: &Scene, name: &str) -> Vec<String> {
    const ALIKE: usize = 460;
    // The place is said by the first bits of a hash: by fewer of them in a smaller table.
    const BITS: u32 = 9;
    let map = File::from(scene.daemon.open_map());
    let word = |place: u64| {
        let mut word = [0; 8];
        map.read_exact_at(&mut word, place).expect("a word");
        u64::from_le_bytes(word)
    };
    let root = word(0x40);
    assert!((root & 0xff) as u32 <= BITS, "the table is small");
    let seed = word((root >> 8 & 0xff_ffff) << 12);
    let keys = (0..).map(|n| format!("{name}/{n}"));
    keys.filter(|key| xxh3_64_with_seed(key.as_bytes(), seed) >> (64 - BITS) == 5)
        .take(ALIKE)
        .collect()
}

fn keys_that_are_chosen_to_be_alike_are_refused(scene: &Scene) {
    let set = |key: &String| json!({ "action": "set", "key": key, "value": "" });
    let attack = |name| {
        let sets: Vec<_> = keys_that_are_alike(scene, name).iter().map(set).collect();
        scene.call("Apply", json!({ "operations": sets }))
    };
    // The table is made anew, so that they are not alike any more; but not as often as one likes.
    attack("first").expect("there is room");
    assert_eq!(attack("second"), Err(exceeded("similarKeys", 448)));
    let other = keys_that_are_alike(scene, "others");
    scene.set("another", "1");
    scene.set(&other[0], "");
    let status = scene.ask("GetStatus", json!({}));
    assert_eq!(status["variables"], 460 + 2, "nothing of the second");
}

/// A service that takes over from one with lower limits goes on with the memory that this one made.
fn the_memory_can_be_less_than_the_limits(scene: &Scene) {
    let mut scene = scene.another(&["--maximum-variables", "10", "--maximum-bytes", "1000"]);
    scene.daemon.crash();
    scene.open();
    let value = "x".repeat(1 << 20);
    let set = |n: u32| scene.call("Set", json!({ "key": n.to_string(), "value": value }));
    let refused = (0..).find_map(|n| Some((n, set(n).err()?)));
    let (last, refusal) = refused.expect("an end");
    assert_eq!(refusal.parameters["limit"], "memory", "{refusal:?}");
    let told = refusal.parameters["maximum"].as_u64().expect("a number");
    assert!(told > u64::from(last) << 20, "{refusal:?} at {last}");
    let size = File::from(scene.daemon.open_map())
        .metadata()
        .expect("a file")
        .len();
    assert!(told <= size, "{refusal:?} of {size}");
    scene.set("a", "there is room for less");
    assert_eq!(scene.ask("Delete", json!({ "key": "0" }))["count"], 1);
    scene.set("0", &value);
}

fn the_limit_of_a_user_may_be_told(scene: &Scene) {
    let connections: Vec<_> = (0..1024).map(|_| scene.daemon.connect()).collect();
    let too_many = scene.refuse("Get", json!({ "key": "a" }));
    assert_eq!(too_many, exceeded("connections", 1024));
    assert_eq!(scene.user(ALICE).value("a"), None, "others do not notice");
    drop(connections);
    eventually("they are gone", || {
        scene.call("Get", json!({ "key": "a" })).is_ok()
    });

    let processes = Sleepers::start(1025);
    let set = |n: usize| json!({ "key": n.to_string(), "value": "", "pid": processes.pid(n) });
    let mut peer = scene.daemon.connect();
    peer.send_calls("io.globstash.Set", (0..1024).map(set));
    (0..1024).for_each(|_| assert!(peer.receive().get("error").is_none()));
    assert_eq!(scene.refuse("Set", set(1024)), exceeded("processes", 1024));
    scene.user(ALICE).ask("Set", set(1024));
}

fn who_may_not_is_told_so(scene: &Scene) {
    scene.user(ALICE).ask(
        "Set",
        json!({ "key": "a", "value": "1", "protected": true }),
    );
    let denied = no("PermissionDenied", json!({ "key": "a" }));
    assert_eq!(
        scene.user(BOB).refuse("Delete", json!({ "key": "a" })),
        denied
    );
    assert_eq!(scene.ask("Delete", json!({ "key": "a" }))["count"], 1);
}

fn a_process_that_is_none_is_told(scene: &Scene) {
    let mut ended = process();
    ended.kill().expect("it lives");
    ended.wait().expect("it ends");
    for pid in [ended.id(), 4_194_305, u32::MAX] {
        let refusal = scene.refuse("Set", json!({ "key": "a", "value": "1", "pid": pid }));
        assert_eq!(refusal, no("NoSuchProcess", json!({ "pid": pid })));
    }
    assert_eq!(scene.value("a"), None);
}

fn a_condition_that_does_not_hold_is_told(scene: &Scene) {
    let at = scene.set("a", "1");
    let refuse = |method: &str, parameters: Value| scene.refuse(method, parameters);
    let told = |key: &str, at: u64| no("ConditionFailed", json!({ "key": key, "revision": at }));
    let condition = json!({ "value": "2" });
    assert_eq!(
        refuse(
            "Set",
            json!({ "key": "a", "value": "3", "condition": condition })
        ),
        told("a", at)
    );
    assert_eq!(
        refuse("Delete", json!({ "key": "a", "condition": condition })),
        told("a", at)
    );
    assert_eq!(
        refuse("Delete", json!({ "key": "b", "condition": condition })),
        told("b", 0)
    );
    let checks = json!([{ "key": "b", "condition": condition }]);
    assert_eq!(
        refuse("Apply", json!({ "checks": checks, "operations": [] })),
        told("b", 0)
    );
    assert_eq!(
        (scene.revision(), scene.value("a").as_deref()),
        (at, Some("1"))
    );
}

fn numbers_that_are_none_are_told(scene: &Scene) {
    scene.set("a", "one");
    scene.set("b", "999999999999999999");
    let one = |key: &str| scene.refuse("Increment", json!({ "key": key }));
    assert_eq!(one("a"), no("NotNumeric", json!({ "key": "a" })));
    assert_eq!(one("b"), no("NumberOverflow", json!({ "key": "b" })));
    assert_eq!(scene.value("b").as_deref(), Some("999999999999999999"));
}

fn a_wait_in_vain_is_told(scene: &Scene) {
    let refusal = scene.refuse("Wait", json!({ "key": "a", "timeoutUSec": 1000 }));
    assert_eq!(refusal, no("TimedOut", json!({ "key": "a" })));
}
