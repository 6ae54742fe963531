//! Any bytes can be a value, and whatever is stored, no reader is harmed by it.

use serde_json::{Value, json};

use crate::common::{Daemon, error, listed};

/// Whether every parser takes this reply: no control character and no DEL as they are, and no
/// noncharacter or NUL in whatever way.
fn is_harmless(reply: &[u8]) -> bool {
    let text = std::str::from_utf8(reply).expect("UTF-8");
    let is_noncharacter = |code: u32| (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE;
    let plain = |text: &str| {
        text.chars()
            .all(|one| one != '\0' && !is_noncharacter(one.into()))
    };
    fn strings(value: &Value, all: &mut Vec<String>) {
        match value {
            Value::String(text) => all.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| strings(item, all)),
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                all.push(name.clone());
                strings(value, all);
            }),
            _ => {}
        }
    }
    let mut all = Vec::new();
    strings(&serde_json::from_str(text).expect("JSON"), &mut all);
    let raw = text.bytes().all(|byte| byte >= 0x20 && byte != 0x7F);
    raw && all.iter().all(|text| plain(text))
}

#[test]
fn a_text_that_some_parser_refuses_is_refused_as_text() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for (value, flaw) in [
        ("\0", "NUL"),
        ("a\0b", "NUL"),
        ("\u{fdd0}", "noncharacter"),
        ("\u{fffe}", "noncharacter"),
        ("\u{1ffff}", "noncharacter"),
        ("\u{10ffff}", "noncharacter"),
    ] {
        for parameters in [
            json!({"key": "a", "value": value}),
            json!({"key": "a", "value": "b", "condition": {"value": value}}),
        ] {
            let reply = peer.call("io.globstash.Set", parameters);
            assert_eq!(reply["error"], "io.globstash.InvalidValue");
            assert_eq!(reply["parameters"]["key"], "a");
            let reason = reply["parameters"]["reason"].as_str().expect("a reason");
            assert!(
                reason.contains(flaw) && reason.contains("'data'"),
                "{reason}"
            );
        }
    }
    assert_eq!(peer.ask("io.globstash.GetStatus", json!({}))["revision"], 0);
}

#[test]
fn half_a_character_is_no_text() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for name in ["key", "value", "data"] {
        let message = format!(
            "{{\"method\":\"io.globstash.Set\",\"parameters\":{{\"{name}\":\"\\ud800\"}}}}\0"
        );
        peer.send_bytes(message.as_bytes());
        assert_eq!(peer.receive(), crate::common::invalid_parameter(name));
    }
}

#[test]
fn what_is_stored_can_be_read_by_everyone() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    // As text, as data, and what comes back: text if it can be told so.
    let cases = [
        (json!({"value": ""}), json!({"value": ""})),
        (
            json!({"value": "\u{1}\u{1b}\u{7f}\n\"\\"}),
            json!({"value": "\u{1}\u{1b}\u{7f}\n\"\\"}),
        ),
        (
            json!({"value": "\u{80}\u{feff}\u{fffd}🦀"}),
            json!({"value": "\u{80}\u{feff}\u{fffd}🦀"}),
        ),
        (json!({"data": ""}), json!({"value": ""})),
        (json!({"data": "fw=="}), json!({"value": "\u{7f}"})),
        (json!({"data": "AA=="}), json!({"data": "AA=="})),
        (json!({"data": "77++"}), json!({"data": "77++"})),
        (json!({"data": "/w=="}), json!({"data": "/w=="})),
        (json!({"data": "7aCA"}), json!({"data": "7aCA"})),
    ];
    for (index, (given, _)) in cases.iter().enumerate() {
        let mut set = given.clone();
        set["key"] = json!(format!("{index} ~\u{a0}é"));
        peer.ask("io.globstash.Set", set);
    }
    peer.send(
        &json!({"method": "io.globstash.List", "parameters": {"metadata": true}, "more": true}),
    );
    let bytes = peer.receive_bytes().expect("a reply");
    assert!(is_harmless(&bytes), "{}", String::from_utf8_lossy(&bytes));
    let reply: Value = serde_json::from_slice(&bytes).expect("JSON");
    let entries = reply["parameters"]["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), cases.len());
    for (entry, (_, told)) in entries.iter().zip(&cases) {
        assert_eq!(entry.get("value"), told.get("value"), "{entry}");
        assert_eq!(entry.get("data"), told.get("data"), "{entry}");
        let get = peer.ask("io.globstash.Get", json!({"key": entry["key"]}));
        assert_eq!(
            (get.get("value"), get.get("data")),
            (told.get("value"), told.get("data"))
        );
    }
}

#[test]
fn errors_about_hostile_words_harm_nobody() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for word in ["\u{7f}", "\0", "\u{fffe}", "\u{1}\"\\", "[\0", "{\u{7f}"] {
        for (method, parameters) in [
            ("io.globstash.Get".to_owned(), json!({"key": word})),
            (
                "io.globstash.Set".to_owned(),
                json!({"key": word, "value": "a"}),
            ),
            ("io.globstash.Get".to_owned(), json!({"key": "a", word: 1})),
            ("io.globstash.List".to_owned(), json!({"patterns": [word]})),
            (word.to_owned(), json!({})),
            (format!("{word}.Get"), json!({})),
            (format!("io.globstash.{word}"), json!({})),
        ] {
            peer.send(&json!({"method": method, "parameters": parameters}));
            let reply = peer.receive_bytes().expect("a reply");
            assert!(is_harmless(&reply), "{}", String::from_utf8_lossy(&reply));
        }
    }
}

#[test]
fn a_key_is_one_line_of_text() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let longest = "x".repeat(255);
    for key in ["a", "*", "[x]", " ", "\u{a0}", &longest] {
        peer.ask("io.globstash.Set", json!({"key": key, "value": "1"}));
    }
    let too_long = "x".repeat(256);
    for key in [
        "", "a=b", "a\nb", "\u{7f}", "\u{85}", "\0", "\u{fffe}", &too_long,
    ] {
        for (method, parameters) in [
            ("io.globstash.Get", json!({"key": key})),
            ("io.globstash.Set", json!({"key": key, "value": "1"})),
            ("io.globstash.Set", json!({"key": key})),
            ("io.globstash.Delete", json!({"key": key})),
        ] {
            let reply = peer.call(method, parameters);
            assert_eq!(reply["error"], "io.globstash.InvalidKey", "{key:?}");
        }
    }
    assert_eq!(
        listed(&[peer.call("io.globstash.List", json!({}))]).len(),
        6
    );
}

#[test]
fn a_value_of_one_mebibyte_fits_and_one_byte_more_does_not() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let largest = "\u{1}".repeat(1 << 20);
    peer.ask("io.globstash.Set", json!({"key": "a", "value": largest}));
    let get = peer.ask("io.globstash.Get", json!({"key": "a"}));
    assert_eq!(get["value"], *largest);
    let reply = peer.call(
        "io.globstash.Set",
        json!({"key": "a", "value": largest + "x"}),
    );
    let too_large = json!({"key": "a", "size": (1 << 20) + 1, "maximum": 1 << 20});
    assert_eq!(reply, error("io.globstash.ValueTooLarge", too_large));
}

#[test]
fn what_does_not_fit_is_refused_by_the_name_of_the_limit_and_fits_after_a_delete() {
    let daemon = Daemon::start_with(|command| {
        command.args(["--maximum-variables", "2", "--maximum-bytes", "20"]);
    });
    let mut peer = daemon.connect();
    let full = |limit, maximum| {
        error(
            "io.globstash.LimitExceeded",
            json!({"limit": limit, "maximum": maximum}),
        )
    };
    peer.ask(
        "io.globstash.Set",
        json!({"key": "a", "value": "123456789"}),
    );
    let reply = peer.call(
        "io.globstash.Set",
        json!({"key": "b", "value": "1234567890"}),
    );
    assert_eq!(reply, full("maximumBytes", 20));
    peer.ask(
        "io.globstash.Set",
        json!({"key": "b", "value": "123456789"}),
    );
    let reply = peer.call(
        "io.globstash.Set",
        json!({"key": "a", "value": "1234567890"}),
    );
    assert_eq!(reply, full("maximumBytes", 20));
    peer.ask("io.globstash.Set", json!({"key": "a", "value": ""}));
    let reply = peer.call("io.globstash.Set", json!({"key": "c", "value": ""}));
    assert_eq!(reply, full("maximumVariables", 2));
    peer.ask("io.globstash.Set", json!({"key": "b"}));
    peer.ask("io.globstash.Set", json!({"key": "c", "value": "123"}));
    let status = peer.ask("io.globstash.GetStatus", json!({}));
    assert_eq!(
        (&status["variables"], &status["bytes"]),
        (&json!(2), &json!(5))
    );
}
