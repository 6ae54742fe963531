//! What a program takes along that only talks to the service or reads the map.

use std::collections::BTreeSet;
use std::process::Command;

/// Every crate that `default-features = false` builds for the program itself: `rustix` for system
/// calls, `serde` and `serde_json` with theirs, `varlink` for the types with what it brings,
/// `base64` and `memchr` for values and messages, `xxhash-rust` for the map. (`tempfile`, and what
/// only that needs, come with `varlink`.)
const CRATES: [&str; 24] = [
    "base64",
    "bitflags",
    "cfg-if",
    "fastrand",
    "getrandom",
    "itoa",
    "libc",
    "linux-raw-sys",
    "memchr",
    "once_cell",
    "proc-macro2",
    "quote",
    "rustix",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "syn",
    "tempfile",
    "unicode-ident",
    "varlink",
    "xxhash-rust",
    "zmij",
    "globstash",
];

#[test]
fn a_reading_program_takes_little_along() {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--offline", "--no-default-features"])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = tree.output().expect("cargo runs");
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}");
    let told = String::from_utf8(output.stdout).expect("text");
    let crates: BTreeSet<&str> = told
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(crates, BTreeSet::from(CRATES));
}
