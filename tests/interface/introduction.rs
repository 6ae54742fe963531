//! What stands before everything else: keys, values, revisions.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common;
use crate::scene::{ALICE, BOB, Scene, Way, invalid_parameter, no};

proofs! {
    each_process_of_each_user_has_the_same_variables {
        "io.globstash": "Global variables for every process on a Linux machine.",
        "io.globstash": "A variable is a key with a value.",
    }
    a_key_is_what_the_interface_says {
        "io.globstash": "A key is 1 to 255 bytes of UTF-8 without control characters (Unicode category Cc), without Unicode noncharacters and without '='.",
    }
    a_value_is_so_long_at_most {
        "io.globstash": "A value is a string of up to GetStatus().maximumValueSize bytes.",
    }
    variables_survive_their_writer_and_end_with_the_service {
        "io.globstash": "Variables live in memory, survive the process that wrote them, and are gone when the service is stopped.",
    }
    each_change_has_the_next_revision {
        "io.globstash": "Every change gets the next revision, a number that only grows while the service instance lives.",
    }
    revision_0_is_not_defined {
        "io.globstash": "Revision 0 means \"not defined\".",
    }
    values_are_text_or_data {
        "io.globstash": "Wherever a value is passed there are two fields: 'value' for text (UTF-8 without NUL and without Unicode noncharacters; anything else in 'value' is refused with InvalidValue), and 'data' for anything, encoded in Base64.",
        "io.globstash": "Callers set at most one of them (both: InvalidParameter 'data'; Base64 is that of RFC 4648 section 4 with padding, anything else is InvalidParameter 'data'); replies carry 'data' only if the value cannot be told as text.",
    }
    what_is_no_text_is_no_value (not by either: "both encode it, or refuse it themselves") {
        "io.globstash": "Wherever a value is passed there are two fields: 'value' for text (UTF-8 without NUL and without Unicode noncharacters; anything else in 'value' is refused with InvalidValue), and 'data' for anything, encoded in Base64.",
    }
    two_values_and_other_encodings_are_refused (not by client: "it has one type of value, and encodes it itself") {
        "io.globstash": "Callers set at most one of them (both: InvalidParameter 'data'; Base64 is that of RFC 4648 section 4 with padding, anything else is InvalidParameter 'data'); replies carry 'data' only if the value cannot be told as text.",
    }
    every_method_refuses_a_key_that_is_none {
        "io.globstash": "A key that cannot be one is InvalidKey in every method.",
    }
}

fn each_process_of_each_user_has_the_same_variables(scene: &Scene) {
    scene.user(ALICE).set("player/volume", "0.5");
    for caller in [scene.user(ALICE), scene.user(BOB), scene.caller()] {
        assert_eq!(caller.value("player/volume").as_deref(), Some("0.5"));
    }
    scene.user(BOB).set("player/volume", "0.6");
    let value = scene.user(ALICE).value("player/volume");
    assert_eq!(value.as_deref(), Some("0.6"));
}

fn a_key_is_what_the_interface_says(scene: &Scene) {
    let longest = "x".repeat(255);
    let widest = format!("{}x", "é".repeat(127));
    for key in [
        "a",
        " ",
        "a b",
        "*",
        "/",
        "日本/🌍",
        "\u{a0}",
        &longest,
        &widest,
    ] {
        scene.set(key, "1");
        assert_eq!(scene.value(key).as_deref(), Some("1"), "{key:?}");
    }
    let too_wide = "é".repeat(128);
    let too_long = "x".repeat(256);
    let mut none = vec![
        "", "=", "a=b", "\n", "a\t", "\u{1b}[m", "\u{7f}", "\u{80}", "\u{9f}",
    ];
    none.extend([&*too_long, &too_wide]);
    // varlinkctl sends no such character: its own parser takes none.
    if scene.way == Way::Client {
        none.extend([
            "\0",
            "\u{fffe}",
            "\u{ffff}",
            "\u{fdd0}",
            "\u{fdef}",
            "\u{10ffff}",
        ]);
    }
    for key in none {
        let refusal = scene.refuse("Set", json!({ "key": key, "value": "1" }));
        assert_eq!(refusal.name, "InvalidKey", "{key:?}");
    }
}

fn a_value_is_so_long_at_most(scene: &Scene) {
    let maximum = &scene.ask("GetStatus", json!({}))["maximumValueSize"];
    let maximum = maximum.as_u64().expect("a number") as usize;
    let longest = "x".repeat(maximum);
    scene.set("a", &longest);
    assert_eq!(scene.value("a"), Some(longest));
    let too_long = "x".repeat(maximum + 1);
    let told = json!({ "key": "a", "size": maximum + 1, "maximum": maximum });
    let refusal = scene.refuse("Set", json!({ "key": "a", "value": too_long }));
    assert_eq!(refusal, no("ValueTooLarge", told));
}

fn variables_survive_their_writer_and_end_with_the_service(scene: &mut Scene) {
    match scene.way {
        // A process of its own that ends: the command, which is made of the client.
        Way::Client => {
            let status = scene.daemon.command(["set", "a", "1"]).status();
            assert!(status.expect("it starts").success());
        }
        Way::Varlinkctl => drop(scene.set("a", "1")),
    }
    assert_eq!(scene.value("a").as_deref(), Some("1"));
    let writer = scene.entry("a")["writer"]["pid"].as_u64();
    let writer = writer.expect("a process ID").to_string();
    assert!(!std::path::Path::new("/proc").join(writer).exists());
    let folder = format!("/proc/{}/fd", scene.daemon.pid());
    let files = std::fs::read_dir(folder).expect("it lives");
    let files = files.map(|file| file.expect("a descriptor").path());
    let targets: Vec<_> = files.flat_map(std::fs::read_link).collect();
    let is_memory = |path: &&std::path::PathBuf| path.starts_with("/memfd:globstash (deleted)");
    assert!(targets.iter().any(|path| is_memory(&path)), "{targets:?}");
    scene.daemon.signal(Signal::TERM);
    scene.daemon.restart();
    scene.open();
    assert_eq!(scene.value("a"), None);
}

fn each_change_has_the_next_revision(scene: &mut Scene) {
    assert_eq!(scene.revision(), 0);
    assert_eq!(scene.set("a", "1"), 1);
    assert_eq!(scene.set("a", "1"), 2);
    let next = |method, parameters| crate::scene::revision(&scene.ask(method, parameters));
    assert_eq!(next("Increment", json!({ "key": "a" })), 3);
    let operations = json!([
        { "action": "set", "key": "b", "value": "1" },
        { "action": "set", "key": "c", "value": "1" },
    ]);
    assert_eq!(next("Apply", json!({ "operations": operations })), 4);
    assert_eq!(next("Delete", json!({ "patterns": ["[bc]"] })), 5);
    let condition = json!({ "revision": 77 });
    scene.refuse(
        "Set",
        json!({ "key": "a", "value": "", "condition": condition }),
    );
    assert_eq!(next("Delete", json!({ "key": "a" })), 6);
    let instance = scene.ask("GetStatus", json!({}))["instance"].take();
    scene.daemon.crash();
    scene.open();
    assert_eq!(scene.ask("GetStatus", json!({}))["instance"], instance);
    assert_eq!(scene.set("a", "1"), 7);
}

fn revision_0_is_not_defined(scene: &Scene) {
    assert_eq!(scene.ask("Get", json!({ "key": "a" }))["revision"], 0);
    let undefined = json!({ "key": "a", "value": "1", "condition": { "revision": 0 } });
    scene.ask("Set", undefined.clone());
    assert_ne!(scene.ask("Get", json!({ "key": "a" }))["revision"], 0);
    assert_eq!(scene.refuse("Set", undefined).name, "ConditionFailed");
}

fn values_are_text_or_data(scene: &Scene) {
    let told = |key: &str| {
        let mut reply = scene.ask("Get", json!({ "key": key }));
        (reply["value"].take(), reply["data"].take())
    };
    for text in [
        "",
        "line\nline\t\u{7f}",
        "日本 🌍",
        "\u{feff}",
        "\u{1b}[31m",
    ] {
        scene.set("a", text);
        assert_eq!(told("a"), (json!(text), Value::Null));
    }
    // What is text is told as such, however it was given.
    scene.ask("Set", json!({ "key": "a", "data": "YWI=" }));
    assert_eq!(told("a"), (json!("ab"), Value::Null));
    // Bytes that are no UTF-8, a NUL, and the noncharacter U+FFFE.
    for data in ["/w==", "AA==", "77++"] {
        scene.ask("Set", json!({ "key": "a", "data": data }));
        assert_eq!(told("a"), (Value::Null, json!(data)));
    }
    let condition = json!({ "data": "77++" });
    scene.ask(
        "Set",
        json!({ "key": "a", "value": "b", "condition": condition }),
    );
    let operation = json!({ "action": "set", "key": "a", "data": "/w==" });
    scene.ask("Apply", json!({ "operations": [operation] }));
    assert_eq!(told("a"), (Value::Null, json!("/w==")));
}

fn what_is_no_text_is_no_value(scene: &Scene) {
    let mut peer = scene.daemon.connect();
    for value in ["\0", "a\0b", "\u{fffe}", "\u{1ffff}", "\u{fdd0}"] {
        let condition = json!({ "value": value });
        for (method, parameters) in [
            ("Set", json!({ "key": "a", "value": value })),
            (
                "Set",
                json!({ "key": "a", "value": "", "condition": condition }),
            ),
            ("Wait", json!({ "key": "a", "condition": condition })),
            ("Delete", json!({ "key": "a", "condition": condition })),
            (
                "Apply",
                json!({ "operations": [{ "action": "set", "key": "a", "value": value }] }),
            ),
            (
                "Apply",
                json!({ "operations": [], "checks": [{ "key": "a", "condition": condition }] }),
            ),
        ] {
            let reply = peer.call(&format!("io.globstash.{method}"), parameters);
            assert_eq!(
                reply["error"], "io.globstash.InvalidValue",
                "{method} {value:?}"
            );
        }
    }
    peer.send_bytes(
        b"{\"method\":\"io.globstash.Set\",\"parameters\":{\"key\":\"a\",\"value\":\"\xff\"}}\0",
    );
    peer.expect_closed();
    assert_eq!(
        common::listed(
            &scene
                .daemon
                .connect()
                .call_more("io.globstash.List", json!({}))
        )
        .len(),
        0
    );
}

fn two_values_and_other_encodings_are_refused(scene: &Scene) {
    let set = |fields: Value| {
        let mut parameters = fields;
        parameters["key"] = json!("a");
        scene.refuse("Set", parameters)
    };
    let refusal = set(json!({ "value": "a", "data": "YQ==" }));
    assert_eq!(refusal, invalid_parameter("data"));
    for data in [
        "YQ", "YQ=", "YQ===", "_w==", "-w==", "YQ==\n", " YQ==", "?", "=", "Y",
    ] {
        let refusal = set(json!({ "data": data }));
        assert_eq!(refusal, invalid_parameter("data"), "{data:?}");
    }
    assert_eq!(scene.value("a"), None);
}

fn every_method_refuses_a_key_that_is_none(scene: &Scene) {
    let defined = json!({ "defined": true });
    let calls = [
        ("Set", json!({ "key": "a=b", "value": "1" })),
        ("Get", json!({ "key": "a=b" })),
        ("Get", json!({ "key": "a=b", "metadata": true })),
        ("Delete", json!({ "key": "a=b" })),
        ("Expire", json!({ "key": "a=b" })),
        ("Expire", json!({ "key": "a=b", "ttlUSec": 0 })),
        ("Wait", json!({ "key": "a=b" })),
        ("Increment", json!({ "key": "a=b" })),
        (
            "Apply",
            json!({ "checks": [{ "key": "a=b", "condition": defined }], "operations": [] }),
        ),
        (
            "Apply",
            json!({ "operations": [{ "action": "set", "key": "a=b", "value": "" }] }),
        ),
        (
            "Apply",
            json!({ "operations": [{ "action": "delete", "key": "a=b" }] }),
        ),
        (
            "Apply",
            json!({ "operations": [{ "action": "increment", "key": "a=b", "by": "1" }] }),
        ),
    ];
    for (method, parameters) in calls {
        let refusal = scene.refuse(method, parameters);
        assert_eq!(
            (&*refusal.name, &refusal.parameters["key"]),
            ("InvalidKey", &json!("a=b"))
        );
    }
}
