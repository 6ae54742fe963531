//! What is set in one language is read in every other: each writer with each reader.
#![cfg(all(feature = "command", feature = "service"))]

#[path = "../native/build.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod build;
#[path = "../common/mod.rs"]
mod common;
mod speakers;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use common::{Daemon, wheel};
use speakers::{Event, Program, Rust, Shell, Speaker, Varlink, taken};

/// Long enough that what is set for so long can be read before.
const LONG: Duration = Duration::from_secs(3600);
/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(10);

/// All who speak, each by the name of its language.
fn everybody(daemon: &Daemon) -> Vec<(&'static str, Box<dyn Speaker + '_>)> {
    vec![
        ("rust", Box::new(Rust::new(daemon))),
        ("python", Box::new(Program::start(daemon, python()))),
        ("c", Box::new(Program::start(daemon, native(&C)))),
        ("cpp", Box::new(Program::start(daemon, native(&CPP)))),
        ("shell", Box::new(Shell::new(daemon))),
        ("varlink", Box::new(Varlink::new(daemon))),
    ]
}

/// How long one may speak, in s: to all others, also on a machine with much else to do.
const LIMIT: &str = "1800";

fn python() -> Command {
    let mut python = Command::new("timeout");
    python.arg(LIMIT).arg(wheel::executable()).arg("-I");
    python.arg(build::source("tests/languages/speaker.py"));
    python
}

static C: LazyLock<PathBuf> = LazyLock::new(|| compiled("speaker.c"));
static CPP: LazyLock<PathBuf> = LazyLock::new(|| compiled("speaker.cpp"));

fn compiled(source: &str) -> PathBuf {
    build::compile(&format!("tests/languages/{source}"), build::Mode::Plain)
}

/// One of these, with the library.
fn native(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg(LIMIT).arg(program);
    command.env("LD_LIBRARY_PATH", build::libraries());
    command
}

/// Does something with each writer and each reader, and a key that is theirs.
fn with_each_pair(act: impl Fn(&mut dyn Speaker, &mut dyn Speaker, &str)) {
    // What is to be built is built before anybody's time runs.
    let _ = (wheel::executable(), &*C, &*CPP);
    let daemon = Daemon::start();
    let (mut writers, mut readers) = (everybody(&daemon), everybody(&daemon));
    for (writer_name, writer) in &mut writers {
        for (reader_name, reader) in &mut readers {
            let key = format!("{writer_name}/{reader_name}");
            // Says who it was if this fails.
            println!("{key}");
            act(writer.as_mut(), reader.as_mut(), &key);
        }
    }
}

/// What values can be like: text, nothing, lines, bytes that no text has, and as long as can be.
fn values() -> Vec<Vec<u8>> {
    let all_bytes: Vec<u8> = (0..=255).collect();
    vec![
        b"0.5".to_vec(),
        "Gr\u{fc}\u{df}e \u{1f600} \\ \" ' =".into(),
        b"two\nlines\n".to_vec(),
        b"".to_vec(),
        b"a\0b".to_vec(),
        b"\xff\xfe".to_vec(),
        "\u{fffe}\u{7f}".into(),
        all_bytes.clone(),
        // 1 MiB.
        all_bytes.repeat(4096),
    ]
}

#[test]
fn a_value_is_read_as_it_was_set() {
    with_each_pair(|writer, reader, key| {
        assert_eq!(reader.get(key), None);
        for value in values() {
            writer.set(key, &value);
            // Of a long one that differs nobody wants to see all.
            assert!(reader.get(key) == Some(value.clone()), "{value:.80?}");
        }
    });
}

#[test]
fn a_watch_tells_what_is_set_deleted_and_expires() {
    with_each_pair(|writer, reader, key| {
        reader.watch(key);
        for value in values() {
            writer.set(key, &value);
            assert!(
                reader.next(key) == Event::Set(value.clone()),
                "{value:.80?}"
            );
        }
        writer.delete(key);
        assert_eq!(reader.next(key), Event::Deleted);
        writer.set_for(key, b"soon gone", SHORT);
        assert_eq!(reader.next(key), Event::Set(b"soon gone".to_vec()));
        assert_eq!(reader.next(key), Event::Expired);
        assert_eq!(reader.get(key), None);
    });
}

#[test]
fn what_is_deleted_is_gone() {
    with_each_pair(|writer, reader, key| {
        reader.set(key, b"1");
        assert_eq!(writer.get(key), Some(b"1".to_vec()));
        writer.delete(key);
        assert_eq!(reader.get(key), None);
        assert_eq!(writer.get(key), None);
        reader.set(key, b"2");
        assert_eq!(writer.get(key), Some(b"2".to_vec()));
    });
}

#[test]
fn several_changes_are_made_together_or_not_at_all() {
    with_each_pair(|writer, reader, key| {
        let (open, taken) = (b"a\0b".to_vec(), taken(key));
        reader.set(key, &open);
        let Some(is_done) = writer.take(key, b"closed") else {
            return;
        };
        assert!(!is_done);
        assert_eq!(reader.get(key), Some(open.clone()));
        assert_eq!(reader.get(&taken), None);
        assert_eq!(writer.take(key, &open), Some(true));
        assert_eq!(reader.get(key), None);
        assert_eq!(reader.get(&taken), Some(open));
    });
}

#[test]
fn what_expires_is_gone() {
    with_each_pair(|writer, reader, key| {
        writer.set_for(key, b"later", LONG);
        assert_eq!(reader.get(key), Some(b"later".to_vec()));
        writer.set_for(key, b"soon", SHORT);
        common::eventually("it is gone", || reader.get(key).is_none());
    });
}
