//! A foreign client: the implementation of varlink for Python.

mod common;

use std::path::Path;
use std::process::Command;

use common::Daemon;

#[test]
fn the_python_client_calls_every_method() {
    // Where `tests/prepare` puts it: beside what cargo builds.
    let target = Path::new(env!("CARGO_BIN_EXE_globstashd"))
        .ancestors()
        .nth(2);
    let python = target
        .expect("cargo builds in target/PROFILE")
        .join("python/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run tests/prepare",
        python.display()
    );

    let daemon = Daemon::start();
    let output = Command::new(python)
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
