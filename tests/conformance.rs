//! The varlink protocol, byte by byte, against the real service.

mod common;

use common::{Daemon, error, invalid_parameter};
use serde_json::json;

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
        assert_eq!(
            reply["parameters"]["interfaces"],
            json!(["io.globstash", "org.varlink.service"])
        );
    }
}

#[test]
fn a_typo_in_a_parameter_is_named_and_changes_nothing() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let reply = peer.call("io.globstash.Set", json!({"key": "foo", "vaule": "bar"}));
    assert_eq!(reply, invalid_parameter("vaule"));
    let reply = peer.call(
        "org.varlink.service.GetInterfaceDescription",
        json!({"interface": "a.b"}),
    );
    assert_eq!(
        reply,
        error(
            "org.varlink.service.InterfaceNotFound",
            json!({"interface": "a.b"})
        )
    );
    assert_eq!(
        peer.ask("io.globstash.Get", json!({"key": "foo"}))["revision"],
        0
    );
}
