//! The house has floors: what stands on one uses what stands below it, and nothing else.
//!
//! Reads the `use` lines, and the paths in the code, of every file in `src`, and compares them
//! with the table below, which `src/lib.rs` explains.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and those that it may use.
const ROOMS: [(&str, &[&str]); 7] = [
    ("capi", &["client"]),
    ("cli", &["client", "wire", "sys"]),
    ("client", &["map", "wire", "sys"]),
    ("daemon", &["map", "wire", "sys"]),
    ("map", &["sys"]),
    ("wire", &["sys"]),
    ("sys", &[]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("so can its entries").path());
    let files = paths.flat_map(|path| {
        if path.is_dir() {
            sources(&path)
        } else {
            vec![path]
        }
    });
    files.collect()
}

/// The rooms that code names: what follows `crate::`, also in `use crate::{a, b::{c, d}}`.
fn named(code: &str) -> BTreeSet<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let first_word = |text: &'_ str| text.find(|c| !is_word(c)).unwrap_or(text.len());
    let mut rooms = BTreeSet::new();
    for (position, path) in code.match_indices("crate::") {
        if code[..position].ends_with(is_word) {
            continue;
        }
        let rest = &code[position + path.len()..];
        if !rest.starts_with('{') {
            rooms.insert(&rest[..first_word(rest)]);
            continue;
        }
        let mut depth = 0;
        for (index, c) in rest.char_indices() {
            if (c == '{' && depth == 0) || (c == ',' && depth == 1) {
                let name = rest[index + 1..].trim_start();
                rooms.insert(&name[..first_word(name)]);
            }
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 {
                break;
            }
        }
    }
    rooms.remove("");
    rooms
}

#[test]
fn imports_go_down_only() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for path in sources(&source) {
        let place = path.strip_prefix(&source).expect("it lies there");
        let first = place
            .iter()
            .next()
            .expect("it has a name")
            .to_str()
            .expect("in UTF-8");
        let room = first.trim_end_matches(".rs");
        let Some((_, below)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert!(
                ["lib", "bin"].contains(&room),
                "{room} is no room of the house"
            );
            continue;
        };
        seen.insert(room.to_owned());
        let text = fs::read_to_string(&path).expect("sources are text");
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        for name in named(&code) {
            if name != room && !below.contains(&name) {
                wrong.push(format!("{}: {room} uses {name}", place.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports that go up or sideways:\n{}",
        wrong.join("\n")
    );
    assert_eq!(seen.len(), ROOMS.len(), "rooms that are gone: {seen:?}");
}

#[test]
fn code_names_its_rooms() {
    assert_eq!(named("use crate::map::Map;"), ["map"].into());
    assert_eq!(
        named("use crate::{\n    map::{Key, Map},\n    wire,\n};"),
        ["map", "wire"].into()
    );
    assert_eq!(
        named("pub(crate) fn f() -> crate::sys::Peer"),
        ["sys"].into()
    );
    assert_eq!(named("pub(crate) use self::table::Kind;"), [].into());
    assert_eq!(named("mycrate::map"), [].into());
}

#[test]
fn unsafe_code_lives_in_few_rooms() {
    const ROOMS: [&str; 3] = ["sys", "map/segment.rs", "capi"];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = fs::read_to_string(source.join("lib.rs")).expect("there is a root");
    assert!(root.contains("#![deny(unsafe_code)]"));
    for path in sources(&source) {
        let place = path
            .strip_prefix(&source)
            .expect("it lies there")
            .to_owned();
        let text = fs::read_to_string(&path).expect("sources are text");
        let opens_the_door = text.contains("allow(unsafe_code)");
        let may = ROOMS.iter().any(|room| place.starts_with(room));
        assert!(
            may || !opens_the_door,
            "{} allows unsafe code",
            place.display()
        );
    }
}
