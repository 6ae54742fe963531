//! GetStatus.

use rustix::process::{Signal, geteuid};
use serde_json::{Value, json};

use crate::scene::{ALICE, BOB, Scene};
use crate::types::calendar;

proofs! {
    it_tells_how_the_service_is_doing {
        "GetStatus": "Tell how the service is doing.",
        "GetStatus().version": "The version of the service.",
        "GetStatus().revision": "The current revision.",
        "GetStatus().variables": "How many variables there are.",
        "GetStatus().bytes": "How many bytes keys and values take: the sum of their lengths.",
    }
    an_instance_lives_as_long_as_its_map {
        "GetStatus().instance": "32 hexadecimal digits, new whenever the service begins with a new map.",
        "GetStatus().startedUSec": "When this instance began, in µs since the UNIX epoch.",
    }
    limits_are_told_and_kept {
        "GetStatus().maximumVariables": "The most variables that there can be.",
        "GetStatus().maximumBytes": "The most bytes that keys and values can take.",
        "GetStatus().maximumValueSize": "The most bytes that one value can have.",
    }
    shares_are_those_of_the_caller {
        "GetStatus().userVariables": "How many variables were last set by the caller's user.",
        "GetStatus().userBytes": "How many bytes their keys and values take.",
        "GetStatus().maximumUserVariables": "The most variables that the caller's user can hold: a quarter of all, or all for root and for the user that the service runs as.",
        "GetStatus().maximumUserBytes": "The most bytes that the caller's user can hold, likewise.",
    }
    what_goes_on_is_counted {
        "GetStatus().connections": "How many connections are open.",
        "GetStatus().watches": "How many watches are active.",
        "GetStatus().calls": "How many calls were answered.",
        "GetStatus().errors": "How many of them ended with an error.",
        "GetStatus().skippedEvents": "How many changes watchers missed because they did not keep up.",
    }
}

pub fn status(scene: &Scene) -> Value {
    scene.ask("GetStatus", json!({}))
}

fn it_tells_how_the_service_is_doing(scene: &Scene) {
    let holds = |revision: u64, variables: u64, bytes: u64| {
        let status = status(scene);
        let told = ["revision", "variables", "bytes"].map(|name| status[name].as_u64());
        assert_eq!(told, [revision, variables, bytes].map(Some));
        assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    };
    holds(0, 0, 0);
    scene.set("key", "value");
    scene.set("é", "");
    holds(2, 2, 3 + 5 + 2);
    scene.ask("Set", json!({ "key": "key", "data": "AP8=" }));
    holds(3, 2, 3 + 2 + 2);
    scene.ask("Delete", json!({ "key": "key" }));
    holds(4, 1, 2);
}

fn an_instance_lives_as_long_as_its_map(scene: &mut Scene) {
    let first = status(scene);
    let instance = first["instance"].as_str().expect("text").to_owned();
    assert!(instance.len() == 32 && instance.chars().all(|digit| digit.is_ascii_hexdigit()));
    let started = first["startedUSec"].as_u64().expect("a time");
    assert!((calendar() - 60_000_000..=calendar()).contains(&started));
    scene.daemon.crash();
    scene.open();
    let second = status(scene);
    assert_eq!(
        (&second["instance"], &second["startedUSec"]),
        (&first["instance"], &first["startedUSec"])
    );
    scene.daemon.signal(Signal::TERM);
    scene.daemon.restart();
    scene.open();
    let third = status(scene);
    assert_ne!(third["instance"], first["instance"]);
    assert!(third["startedUSec"].as_u64() > Some(started));
}

fn limits_are_told_and_kept(scene: &Scene) {
    let scene = scene.another(&["--maximum-variables", "3", "--maximum-bytes", "2000000"]);
    let told = status(&scene);
    let limits = ["maximumVariables", "maximumBytes", "maximumValueSize"].map(|name| &told[name]);
    assert_eq!(limits, [&json!(3), &json!(2_000_000), &json!(1 << 20)]);
    let refuse = |key: &str, value: &str| {
        let refusal = scene.refuse("Set", json!({ "key": key, "value": value }));
        (
            refusal.name,
            refusal.parameters["limit"].clone(),
            refusal.parameters["maximum"].clone(),
        )
    };
    for n in 0..3 {
        scene.set(&n.to_string(), "");
    }
    let exceeded = "LimitExceeded".to_owned();
    assert_eq!(
        refuse("3", ""),
        (exceeded.clone(), json!("maximumVariables"), json!(3))
    );
    let half = "x".repeat(999_999);
    scene.set("0", &half);
    // Four bytes are left for what has one byte of key already.
    scene.set("1", &half[..999_998]);
    assert_eq!(status(&scene)["bytes"], 2_000_000);
    assert_eq!(
        refuse("2", "x"),
        (exceeded, json!("maximumBytes"), json!(2_000_000))
    );
    assert_eq!(refuse("2", &"x".repeat((1 << 20) + 1)).0, "ValueTooLarge");
}

fn shares_are_those_of_the_caller(scene: &Scene) {
    let scene = scene.another(&["--maximum-variables", "10", "--maximum-bytes", "1001"]);
    let share = |uid: Option<u32>| {
        let caller = uid.map_or_else(|| scene.caller(), |uid| scene.user(uid));
        let status = caller.ask("GetStatus", json!({}));
        let names = [
            "userVariables",
            "userBytes",
            "maximumUserVariables",
            "maximumUserBytes",
        ];
        names.map(|name| status[name].as_u64().expect("a number"))
    };
    assert!(geteuid().is_root(), "only root can be others");
    scene.user(ALICE).set("a", "22");
    scene.user(ALICE).set("b", "1");
    scene.user(BOB).ask("Increment", json!({ "key": "b" }));
    scene.set("c", "");
    // A quarter, rounded up, for others; all for root, who is also who the service runs as.
    assert_eq!(share(Some(ALICE)), [1, 3, 3, 251]);
    assert_eq!(share(Some(BOB)), [1, 2, 3, 251]);
    assert_eq!(share(None), [1, 1, 10, 1001]);
    scene.user(ALICE).set("d", "");
    scene.user(ALICE).set("e", "");
    let refusal = scene
        .user(ALICE)
        .refuse("Set", json!({ "key": "f", "value": "" }));
    let told = (&refusal.parameters["limit"], &refusal.parameters["maximum"]);
    assert_eq!(told, (&json!("maximumUserVariables"), &json!(3)));
    let refusal = scene
        .user(ALICE)
        .refuse("Set", json!({ "key": "a", "value": "x".repeat(250) }));
    let told = (&refusal.parameters["limit"], &refusal.parameters["maximum"]);
    assert_eq!(told, (&json!("maximumUserBytes"), &json!(251)));
}

fn what_goes_on_is_counted(scene: &Scene) {
    let counted = |name: &str| status(scene)[name].as_u64().expect("a number");
    // Whoever asks is connected.
    crate::common::eventually("the others have left", || counted("connections") == 1);
    let idle: Vec<_> = (0..3).map(|_| scene.daemon.connect()).collect();
    assert_eq!((counted("connections"), counted("watches")), (4, 0));
    let watch = scene.watch(json!({}));
    assert_eq!((counted("connections"), counted("watches")), (5, 1));
    drop((watch, idle));
    crate::common::eventually("all have left", || {
        counted("watches") == 0 && counted("connections") == 1
    });
    let before = (counted("calls"), counted("errors"));
    scene.ask("Expire", json!({ "key": "a" }));
    scene.refuse("Increment", json!({ "key": "a", "by": "x" }));
    scene.refuse("Wait", json!({ "key": "a", "timeoutUSec": 0 }));
    // The two questions before and after are calls as well; the second was not answered yet.
    let after = status(scene);
    assert_eq!(after["calls"], before.0 + 5);
    assert_eq!(after["errors"], before.1 + 2);
    assert_eq!(after["skippedEvents"], 0);
}
