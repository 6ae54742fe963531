//! Wait.

use serde_json::{Value, json};

use crate::scene::{Scene, no, revision};

proofs! {
    it_returns_the_variable_at_once_or_when_it_is_so {
        "Wait": "Wait until a variable is as wanted, then return it.",
        "Wait": "Returns at once if it is so already.",
        "Wait.key": "The key.",
        "Wait.condition": "Wait until the variable is like this.",
        "Wait().defined": "Whether the variable is defined.",
        "Wait().value": "Its value, if it is text; the empty string if the variable is not defined.",
        "Wait().data": "Its value in Base64, if it is not text.",
        "Wait().revision": "Its revision, 0 if it is not defined.",
    }
    every_field_must_hold {
        "Wait": "Every field that is set must hold.",
        "Wait.changedFrom": "Wait until the variable has another revision than this, also if by deletion.",
    }
    without_any_field_it_waits_until_it_is_defined {
        "Wait": "Without any field, waits until the variable is defined.",
    }
    it_is_judged_after_each_single_change {
        "Wait": "Judged after each single change.",
    }
    it_gives_up_when_told_to {
        "Wait.timeoutUSec": "Give up after this many µs, with the error TimedOut.",
        "Wait.timeoutUSec": "Defaults to never.",
    }
}

fn it_returns_the_variable_at_once_or_when_it_is_so(scene: &Scene) {
    let at = scene.set("a", "1");
    let one = json!({ "key": "a", "condition": { "value": "1" } });
    let told = json!({ "defined": true, "value": "1", "revision": at });
    assert_eq!(scene.ask("Wait", one), told);
    let binary = json!({ "key": "a", "condition": { "data": "/w==" } });
    let waiting = scene.meanwhile("Wait", binary);
    scene.set("a", "2");
    let set = scene.ask("Set", json!({ "key": "a", "data": "/w==" }));
    let told = json!({ "defined": true, "data": "/w==", "revision": revision(&set) });
    assert_eq!(waiting.join().expect("it ends"), Ok(told));
    let gone = scene.meanwhile(
        "Wait",
        json!({ "key": "a", "condition": { "defined": false } }),
    );
    scene.ask("Delete", json!({ "key": "a" }));
    let told = json!({ "defined": false, "value": "", "revision": 0 });
    assert_eq!(gone.join().expect("it ends"), Ok(told));
}

fn every_field_must_hold(scene: &Scene) {
    let at = scene.set("a", "1");
    let give_up = |parameters: Value| {
        let mut parameters = parameters;
        parameters["key"] = json!("a");
        parameters["timeoutUSec"] = json!(1000);
        scene.call("Wait", parameters).is_err()
    };
    assert!(give_up(json!({ "changedFrom": at })));
    assert!(!give_up(json!({ "changedFrom": at - 1 })));
    let value = json!({ "value": "1" });
    assert!(give_up(json!({ "changedFrom": at, "condition": value })));
    assert!(!give_up(
        json!({ "changedFrom": at + 1, "condition": value })
    ));
    assert!(give_up(
        json!({ "changedFrom": at + 1, "condition": { "value": "2" } })
    ));
    let waiting = scene.meanwhile("Wait", json!({ "key": "a", "changedFrom": at }));
    scene.ask("Delete", json!({ "key": "a" }));
    let told = waiting
        .join()
        .expect("it ends")
        .expect("a deletion is a change");
    assert_eq!((&told["defined"], revision(&told)), (&json!(false), 0));
}

fn without_any_field_it_waits_until_it_is_defined(scene: &Scene) {
    let waiting = scene.meanwhile("Wait", json!({ "key": "a" }));
    scene.set("b", "1");
    let at = scene.set("a", "");
    let told = json!({ "defined": true, "value": "", "revision": at });
    assert_eq!(waiting.join().expect("it ends"), Ok(told.clone()));
    assert_eq!(scene.ask("Wait", json!({ "key": "a" })), told);
}

fn it_is_judged_after_each_single_change(scene: &Scene) {
    let mut peer = scene.daemon.connect();
    let wanted = json!({ "key": "a", "condition": { "value": "wanted" } });
    let waiting = scene.meanwhile("Wait", wanted);
    // Each time it is as wanted for one change only, and all of these come in one piece.
    while !waiting.is_finished() {
        let values = ["no", "wanted", "no"];
        let sets = values.map(|value| json!({ "key": "a", "value": value }));
        peer.send_calls("io.globstash.Set", sets);
        values.iter().for_each(|_| drop(peer.receive()));
    }
    let told = waiting.join().expect("it ends").expect("it was so");
    // Never but at such a change: 2, 5, 8, ...
    assert_eq!((&told["value"], revision(&told) % 3), (&json!("wanted"), 2));
}

fn it_gives_up_when_told_to(scene: &Scene) {
    for timeout in [0, 1, 20_000] {
        let refusal = scene.refuse("Wait", json!({ "key": "a", "timeoutUSec": timeout }));
        assert_eq!(refusal, no("TimedOut", json!({ "key": "a" })));
    }
    let ever = scene.meanwhile("Wait", json!({ "key": "a" }));
    let longer = scene.meanwhile("Wait", json!({ "key": "a", "timeoutUSec": 50_000_000 }));
    // What is over first is not the one that never is.
    scene.refuse("Wait", json!({ "key": "a", "timeoutUSec": 100_000 }));
    assert!(!ever.is_finished() && !longer.is_finished());
    scene.set("a", "1");
    assert!(ever.join().expect("it ends").is_ok() && longer.join().expect("it ends").is_ok());
}
