//! A foreign client: the implementation of varlink for Python.

mod common;

use std::path::Path;

use common::{Daemon, python};

#[test]
fn the_python_client_calls_every_method() {
    let daemon = Daemon::start();
    let output = python()
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/client.py"))
        .arg(format!("unix:{}", daemon.socket().display()))
        .output()
        .expect("python can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
