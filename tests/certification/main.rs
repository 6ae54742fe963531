//! The event loop certified: it serves the interface that implementations of varlink are tested
//! with, to the client that the varlink project certifies with.

#[path = "../common/mod.rs"]
mod common;
mod service;

use common::{Peer, error, python};
use globstash::daemon::mounted;
use serde_json::json;
use service::{Certification, DESCRIPTION, NAME};

/// Starts the service; its address.
fn start() -> String {
    let mut certification = Certification::default();
    mounted::start(NAME, DESCRIPTION, move |call| certification.answer(call))
}

#[test]
fn the_python_client_certifies_the_event_loop() {
    let output = python()
        .args(["-m", "varlink.tests.test_certification", "--client"])
        .arg(format!("--varlink={}", start()))
        .output()
        .expect("python can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.ends_with("Certification passed\n"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// That the client passes means little if nothing could fail.
#[test]
fn calls_that_are_not_as_they_must_be_are_not_certified() {
    let address = start();
    let mut peer = Peer::connect_abstract(address.strip_prefix("unix:@").expect("it is abstract"));
    let [begin, first, second] = ["Start", "Test01", "Test02"].map(|name| format!("{NAME}.{name}"));
    let refused = format!("{NAME}.CertificationError");

    let stranger = peer.call(&first, json!({ "client_id": "nobody" }));
    assert_eq!(stranger, error(&format!("{NAME}.ClientIdError"), json!({})));

    let id = peer.ask(&begin, json!({}))["client_id"].take();
    let parameters = json!({ "client_id": id });
    let early = peer.call(&second, json!({ "client_id": id, "bool": true }));
    assert_eq!(early["error"], *refused);
    peer.send(&json!({ "method": first, "parameters": parameters, "oneway": true }));
    let with_more = peer.call_more(&first, parameters.clone());
    assert_eq!(with_more.len(), 1);
    assert_eq!(with_more[0]["error"], *refused);

    assert_eq!(peer.ask(&first, parameters), json!({ "bool": true }));
    let wrong = peer.call(&second, json!({ "client_id": id, "bool": 1 }));
    assert_eq!(wrong["error"], *refused);
    let wants = &wrong["parameters"]["wants"];
    assert_eq!(wants["parameters"], json!({ "bool": true }));
}
