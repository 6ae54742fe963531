//! The package for Python: its own tests, and its types and those of the examples, with the wheel
//! installed. What the examples do is looked at in `tests/native/examples.rs`.
#![cfg(feature = "service")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::wheel;

/// How long all of its tests may take on a machine with much else to do. Each has a watchdog.
const TESTS: Duration = Duration::from_secs(900);

fn here(place: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(place)
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}:\n{said}{told}");
}

#[test]
fn its_tests_pass() {
    succeeds(
        wheel::python_within(TESTS)
            .args(["-m", "unittest", "discover", "--start-directory"])
            .arg(here("python/tests"))
            .env("GLOBSTASHD", env!("CARGO_BIN_EXE_globstashd")),
    );
}

/// The package, and the examples as programs of those who use it, with all that mypy can find.
#[test]
fn its_types_are_right() {
    let mypy = |folder: &Path| {
        let mut mypy = Command::new(wheel::tool("python"));
        mypy.current_dir(folder);
        mypy
    };
    let folder = tempfile::tempdir().unwrap();
    let python = wheel::executable();
    let examples = std::fs::read_dir(here("examples/python")).unwrap();
    let examples = examples.map(|example| example.unwrap().path());
    succeeds(
        mypy(folder.path())
            .args(["-m", "mypy", "--strict", "--explicit-package-bases"])
            .arg("--python-executable")
            .arg(&python)
            .args(examples),
    );
    let packages = wheel::packages();
    succeeds(
        mypy(folder.path())
            .args(["-m", "mypy", "--strict", "--package", "globstash"])
            .env("MYPYPATH", &packages),
    );
    // What the stubs say is what there is.
    succeeds(
        mypy(folder.path())
            .args(["-m", "mypy.stubtest", "globstash._native"])
            .env("MYPYPATH", &packages)
            .env("PYTHONPATH", &packages),
    );
}
