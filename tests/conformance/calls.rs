//! What a call may look like, and what answers it.

use serde_json::{Value, json};

use crate::common::{Daemon, Peer, error, invalid_parameter};

#[test]
fn parameters_may_be_absent_null_or_empty() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for request in [
        json!({"method": "org.varlink.service.GetInfo"}),
        json!({"method": "org.varlink.service.GetInfo", "parameters": null}),
        json!({"method": "org.varlink.service.GetInfo", "parameters": {}}),
    ] {
        peer.send(&request);
        let reply = peer.receive();
        let interfaces = json!(["io.globstash", "org.varlink.service"]);
        assert_eq!(reply["parameters"]["interfaces"], interfaces);
    }
}

#[test]
fn a_typo_in_a_parameter_is_named_and_changes_nothing() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let reply = peer.call("io.globstash.Set", json!({"key": "foo", "vaule": "bar"}));
    assert_eq!(reply, invalid_parameter("vaule"));
    let get = peer.ask("io.globstash.Get", json!({"key": "foo"}));
    assert_eq!(get["revision"], 0);
}

#[test]
fn a_reply_has_parameters_and_nothing_that_says_nothing() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for (method, parameters) in [
        ("io.globstash.GetStatus", json!({})),
        ("io.globstash.Set", json!({"key": "a", "value": "1"})),
        ("io.globstash.Delete", json!({"key": "a"})),
        ("io.globstash.List", json!({})),
    ] {
        let reply = peer.call(method, parameters);
        let members: Vec<_> = reply.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["parameters"], "{method}");
        assert!(reply["parameters"].is_object(), "{method}");
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let no_interface = |name: &str| {
        let name = json!({"interface": name});
        error("org.varlink.service.InterfaceNotFound", name)
    };
    let no_method = |name: &str| {
        let name = json!({"method": name});
        error("org.varlink.service.MethodNotFound", name)
    };
    for (method, expected) in [
        ("a.b.Get", no_interface("a.b")),
        ("io.globstash.more.Get", no_interface("io.globstash.more")),
        ("Get", no_interface("Get")),
        ("io.globstash", no_interface("io")),
        ("", no_interface("")),
        (".", no_interface("")),
        ("io.globstash.get", no_method("io.globstash.get")),
        ("io.globstash.", no_method("io.globstash.")),
        (
            "org.varlink.service.Get",
            no_method("org.varlink.service.Get"),
        ),
    ] {
        assert_eq!(peer.call(method, json!({})), expected, "{method:?}");
    }
    let description = "org.varlink.service.GetInterfaceDescription";
    let reply = peer.call(description, json!({"interface": "a.b"}));
    assert_eq!(reply, no_interface("a.b"));
}

#[test]
fn what_the_caller_sent_is_told_back_in_part_and_as_text() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let hostile = "\0\u{fffe}\u{fdd0}ä".repeat(100_000);
    let safe = "\u{fffd}\u{fffd}\u{fffd}ä".repeat(100);
    let told = |reply: &Value, field: &str, limit: usize| {
        let told = reply["parameters"][field].as_str().expect("a string");
        assert!(safe.starts_with(told), "{told:?}");
        assert!((limit - 3..=limit).contains(&told.len()), "{}", told.len());
    };
    let reply = peer.call(&hostile, json!({}));
    told(&reply, "interface", 255);
    let reply = peer.call(&format!("io.globstash.{hostile}"), json!({}));
    let method = reply["parameters"]["method"].as_str().expect("a string");
    assert!(method.starts_with("io.globstash.\u{fffd}") && method.len() <= 255);
    let reply = peer.call("io.globstash.Get", json!({"key": hostile}));
    told(&reply, "key", 255);
    let reply = peer.call("io.globstash.Get", json!({"key": "a", &hostile: 0}));
    told(&reply, "parameter", 255);
    let reply = peer.call("io.globstash.List", json!({"patterns": [hostile]}));
    told(&reply, "pattern", 1024);
    let reply = peer.call(
        "org.varlink.service.GetInterfaceDescription",
        json!({"interface": hostile}),
    );
    told(&reply, "interface", 255);
}

#[test]
fn oneway_calls_are_done_and_never_answered() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let oneway = |method: &str, parameters: Value| json!({"method": method, "parameters": parameters, "oneway": true});
    peer.send(&oneway(
        "io.globstash.Set",
        json!({"key": "a", "value": "1"}),
    ));
    peer.send(&oneway("io.globstash.Set", json!({"key": "a=b"})));
    peer.send(&oneway("io.globstash.Set", json!({"vaule": "1"})));
    peer.send(&oneway("io.globstash.List", json!({})));
    peer.send(&oneway("io.globstash.Delete", json!({"patterns": ["x/"]})));
    peer.send(&oneway("io.globstash.Nothing", json!({})));
    peer.send(&oneway("a.b.Nothing", json!({})));
    let get = peer.ask("io.globstash.Get", json!({"key": "a"}));
    assert_eq!(get["value"], "1");
    let status = peer.ask("io.globstash.GetStatus", json!({}));
    assert_eq!(
        (&status["calls"], &status["errors"]),
        (&json!(8), &json!(4))
    );
}

#[test]
fn a_method_with_one_reply_gives_one_also_if_more_are_taken() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let replies = peer.call_more("io.globstash.GetStatus", json!({}));
    assert_eq!(replies.len(), 1);
    let replies = peer.call_more("io.globstash.Get", json!({"key": ""}));
    assert_eq!(replies[0]["error"], "io.globstash.InvalidKey");
    assert_eq!(replies.len(), 1);
    peer.ask("io.globstash.GetStatus", json!({}));
}

#[test]
fn an_upgrade_is_answered_as_if_it_were_not_asked_for() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for upgrade in [true, false] {
        let parameters = json!({"key": "a"});
        peer.send(
            &json!({"method": "io.globstash.Get", "parameters": parameters, "upgrade": upgrade}),
        );
        assert_eq!(peer.receive()["parameters"]["defined"], false);
    }
}

#[test]
fn list_with_more_ends_with_a_reply_that_does_not_continue() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let value = "x".repeat(1000);
    let keys: Vec<String> = (1000..1500).map(|n| format!("key {n}")).collect();
    peer.send_calls(
        "io.globstash.Set",
        keys.iter().map(|key| json!({"key": key, "value": value})),
    );
    keys.iter().for_each(|_| drop(peer.receive()));
    let replies = peer.call_more("io.globstash.List", json!({}));
    let (last, before) = replies.split_last().expect("replies");
    assert!(!before.is_empty(), "half a megabyte comes in several");
    assert_eq!(last.get("continues"), None);
    assert_eq!(crate::common::listed(&replies), keys);
    let nothing = peer.call_more("io.globstash.List", json!({"patterns": []}));
    assert_eq!(
        nothing,
        [json!({"parameters": {"entries": [], "revision": 500}})]
    );
}

#[test]
fn calls_on_one_connection_wait_for_the_one_before() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let send = |peer: &Peer, key: &str| {
        peer.send(&json!({"method": "io.globstash.Set", "parameters": {"key": key, "value": ""}}));
        peer.send(&json!({"method": "io.globstash.List", "parameters": {}}));
        peer.send(&json!({"method": "io.globstash.Delete", "parameters": {"patterns": ["**"]}}));
    };
    (0..100).for_each(|n| send(&peer, &format!("{n}")));
    for n in 0..100 {
        assert_eq!(peer.receive()["parameters"]["revision"], 2 * n + 1);
        assert_eq!(crate::common::listed(&[peer.receive()]), [n.to_string()]);
        assert_eq!(peer.receive()["parameters"]["count"], 1);
    }
}
