//! What a crash of the service leaves to the next process, and what others cannot do to it.
//!
//! Without systemd: a few lines hold the socket and keep descriptors in its place.

mod common;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::thread;

use common::manager::Manager;
use common::{client, error, fails};
use rustix::fs::{
    FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags, fallocate, fchmod, fchown,
    fcntl_add_seals, ftruncate, memfd_create,
};
use rustix::process::{Signal, geteuid};
use rustix::thread::{Uid, set_thread_uid};
use serde_json::json;

/// A user that nobody is.
const STRANGER: u32 = 54_321;

/// What the service answers for a key.
fn get(manager: &Manager, key: &str) -> serde_json::Value {
    let mut reply = manager
        .connect()
        .ask("io.globstash.Get", json!({"key": key}));
    reply["value"].take()
}

fn set(manager: &Manager, key: &str, value: &str) {
    let parameters = json!({"key": key, "value": value});
    manager.connect().ask("io.globstash.Set", parameters);
}

#[test]
fn a_crash_loses_nothing() {
    let mut manager = Manager::start();
    for n in 0..20 {
        let value = n.to_string();
        set(&manager, "a", &value);
        let before = manager.connect().ask("io.globstash.GetStatus", json!({}));
        manager.crash();
        assert_eq!(get(&manager, "a"), value);
        let after = manager.connect().ask("io.globstash.GetStatus", json!({}));
        for field in ["instance", "startedUSec", "variables", "bytes", "revision"] {
            assert_eq!(before[field], after[field], "{field}");
        }
    }
}

#[test]
fn after_an_end_in_good_order_nothing_is_left() {
    let mut manager = Manager::start();
    set(&manager, "a", "b");
    manager.crash();
    manager.signal(Signal::TERM);
    assert_eq!(manager.wait().code(), Some(0));
    assert!(manager.kept.is_empty(), "{:?}", manager.kept);
    manager.start_again();
    assert_eq!(get(&manager, "a"), "");
}

// ---- counters and limits ----

/// What the service says of its map.
fn status(manager: &Manager) -> Vec<serde_json::Value> {
    let mut status = manager.connect().ask("io.globstash.GetStatus", json!({}));
    let fields = [
        "instance",
        "startedUSec",
        "variables",
        "bytes",
        "revision",
        "maximumVariables",
        "maximumBytes",
    ];
    fields.map(|field| status[field].take()).into()
}

/// The answer to one more variable, with so many bytes.
fn one_more(manager: &Manager, key: &str, bytes: usize) -> serde_json::Value {
    let parameters = json!({"key": key, "value": "x".repeat(bytes)});
    manager.connect().call("io.globstash.Set", parameters)
}

#[test]
fn a_full_map_is_as_full_after_a_crash() {
    for (arguments, limit, maximum) in [
        (["--maximum-variables", "100"], "maximumVariables", 100),
        (["--maximum-bytes", "10000"], "maximumBytes", 10_000),
    ] {
        let mut manager = Manager::start_with(&arguments);
        let full = error(
            "io.globstash.LimitExceeded",
            json!({"limit": limit, "maximum": maximum}),
        );
        // Some come and go, some change: so that there is something to count wrongly.
        for n in 0..100 {
            for (key, bytes) in [
                ("same".to_owned(), n),
                (format!("key/{n:03}"), 50),
                (format!("key/{n:03}"), 92),
            ] {
                one_more(&manager, &key, bytes);
            }
        }
        let mut peer = manager.connect();
        peer.ask("io.globstash.Delete", json!({"key": "key/003"}));
        drop(peer);
        let is_refused = |n: &i32| one_more(&manager, &format!("fill/{n}"), 93) == full;
        let filled = (0..200).find(is_refused);
        assert!(filled.is_some(), "there is a limit");
        let before = status(&manager);
        for _ in 0..3 {
            manager.crash();
            assert_eq!(status(&manager), before);
            assert_eq!(one_more(&manager, "one more", 93), full);
        }
        manager.signal(Signal::HUP);
        manager.heed_until("READY=1");
        assert_eq!(status(&manager), before);
        assert_eq!(one_more(&manager, "one more", 93), full);

        // Room for one, and for no other.
        let mut peer = manager.connect();
        peer.ask("io.globstash.Delete", json!({"key": "key/050"}));
        drop(peer);
        manager.crash();
        let reply = one_more(&manager, "key/051", 92);
        assert!(reply.get("error").is_none(), "{reply}");
        let reply = one_more(&manager, "key/999", 92);
        assert!(reply.get("error").is_none(), "{reply}");
        manager.crash();
        assert_eq!(one_more(&manager, "one more", 93), full);
    }
}

// ---- in the midst of something ----

/// A message that is almost as long as messages can be, and sets a variable.
fn long_message(key: &str) -> Vec<u8> {
    let spaces = " ".repeat(15 << 20);
    let call = json!({"method": "io.globstash.Set", "parameters": {"key": key, "value": "b"}});
    let mut message = format!("{spaces}{call}").into_bytes();
    message.push(0);
    message
}

#[test]
fn half_a_message_is_nothing_over_a_crash_and_over_a_reload() {
    let mut manager = Manager::start();
    let message = long_message("a");
    let (half, rest) = message.split_at(message.len() - 10);
    for signal in [Signal::KILL, Signal::HUP] {
        let mut peer = manager.connect();
        peer.send_bytes(half);
        match signal {
            Signal::KILL => manager.crash(),
            _ => {
                manager.signal(signal);
                manager.heed_until("READY=1");
            }
        }
        assert!(!peer.receives_all());
        assert_eq!(get(&manager, "a"), "");
        // Who sends it again is heard.
        let mut peer = manager.connect();
        peer.send_bytes(half);
        peer.send_bytes(rest);
        assert!(peer.receives_all());
        assert_eq!(get(&manager, "a"), "b");
        manager
            .connect()
            .ask("io.globstash.Delete", json!({"key": "a"}));
    }
}

#[test]
fn a_watch_that_was_cut_off_in_the_midst_of_an_event_goes_on() {
    let mut manager = Manager::start();
    let mut client = client(&manager.socket());
    for signal in [Signal::KILL, Signal::HUP] {
        let mut watch = client.watch("k/").expect("it serves");
        watch.catch_up().expect("there is little to tell");
        // More than the socket takes, so that the last event that was sent is there in part.
        for n in 0..20 {
            let value = format!("{n:04}").repeat(50_000);
            client
                .set(&format!("k/{}", n % 3), value)
                .expect("it serves");
        }
        match signal {
            Signal::KILL => manager.crash(),
            _ => {
                manager.signal(signal);
                manager.heed_until("READY=1");
            }
        }
        client.set("k/last", "").expect("it serves");
        let mut state = BTreeMap::new();
        let mut last = globstash::Revision::UNDEFINED;
        while !state.contains_key("k/last") {
            let event = watch.next().expect("it has no end").expect("it goes on");
            assert!(event.revision > last, "in order, and once");
            last = event.revision;
            state.insert(event.key, event.value.expect("nothing is deleted"));
        }
        for (n, key) in [(18, "k/0"), (19, "k/1"), (17, "k/2")] {
            assert_eq!(state[key], format!("{n:04}").repeat(50_000).as_str());
        }
        client.delete_matching("k/").expect("it serves");
    }
}

// ---- what others could do ----

/// What a reader should not be able to do with the descriptor that it was given, and is.
fn trespasses(view: BorrowedFd<'_>) -> Vec<&'static str> {
    let path = format!("/proc/self/fd/{}", view.as_raw_fd());
    let open = |flags| rustix::fs::open(&path, flags, Mode::empty()).is_ok();
    let all = [
        ("open it for writing", open(OFlags::RDWR)),
        ("open it anew", open(OFlags::RDONLY)),
        ("write", rustix::io::pwrite(view, b"x", 0).is_ok()),
        ("make it longer", ftruncate(view, 1 << 40).is_ok()),
        ("make it shorter", ftruncate(view, 0).is_ok()),
        (
            "reserve memory",
            fallocate(view, FallocateFlags::empty(), 0, 4096).is_ok(),
        ),
        ("change its mode", fchmod(view, Mode::RWXU).is_ok()),
        ("seal it", fcntl_add_seals(view, SealFlags::WRITE).is_ok()),
    ];
    let done = all.into_iter().filter(|(_, is_done)| *is_done);
    done.map(|(what, _)| what).collect()
}

#[test]
fn readers_can_read_and_do_nothing_else() {
    assert!(
        geteuid().is_root(),
        "this test needs a second user: run it as root"
    );
    let manager = Manager::start();
    set(&manager, "a", "b");
    let view = manager.kept("view");
    thread::scope(|scope| {
        let stranger = scope.spawn(|| {
            set_thread_uid(Uid::from_raw(STRANGER)).expect("we are root");
            let mut bytes = [0; 8];
            assert_eq!(rustix::io::pread(view, &mut bytes, 0), Ok(8));
            assert!(bytes.starts_with(b"GLOBST"), "it is the map");
            trespasses(view)
        });
        let trespasses = stranger.join().expect("a stranger");
        assert_eq!(trespasses, [""; 0]);
    });
    // Even we, who may open it again, cannot change its length, nor what is sealed.
    for length in [0, 1 << 40] {
        assert!(ftruncate(manager.kept("map"), length).is_err());
    }
    assert!(fcntl_add_seals(manager.kept("map"), SealFlags::WRITE).is_err());
}

/// The three protections are worth nothing without one another: where one is missing, somebody may
/// have changed the map, or may do so while it is used.
#[test]
fn a_memory_file_without_all_its_protections_is_set_aside() {
    assert!(
        geteuid().is_root(),
        "this test needs a second user: run it as root"
    );
    type Act = fn(BorrowedFd<'_>);
    let cases: [(&str, Act, Act); 3] = [
        (
            "others may open it",
            |map| fchmod(map, Mode::RUSR | Mode::WUSR).expect("it is ours"),
            |map| fchmod(map, Mode::RUSR).expect("it is ours"),
        ),
        (
            "others may open it",
            |map| fchmod(map, Mode::RUSR | Mode::ROTH).expect("it is ours"),
            |map| fchmod(map, Mode::RUSR).expect("it is ours"),
        ),
        (
            "it belongs to user 54321",
            |map| fchown(map, Some(Uid::from_raw(STRANGER)), None).expect("we are root"),
            |map| fchown(map, Some(Uid::ROOT), None).expect("we are root"),
        ),
    ];
    for (sentence, take_away, give_back) in cases {
        let mut manager = Manager::start();
        set(&manager, "a", "b");
        take_away(manager.kept("map"));
        // Another program must not be put in now: it would begin without variables.
        let (status, said) = fails(|command| {
            command
                .arg("--check")
                .env("MAINPID", manager.pid().to_string());
        });
        assert_eq!(status.code(), Some(1));
        assert!(said.contains(sentence), "{said}");
        manager.crash();
        assert_eq!(get(&manager, "a"), "", "{sentence}");
        assert!(manager.log().contains(sentence), "{}", manager.log());

        // It is all there.
        let kept = std::mem::take(&mut manager.kept);
        let find = |name| {
            kept.iter()
                .find(|(kept, _)| kept == name)
                .expect("it is kept")
        };
        let damaged = find("damaged").1.try_clone().expect("a descriptor");
        give_back(damaged.as_fd());
        manager.kept = vec![("map".to_owned(), damaged)];
        manager.crash();
        assert_eq!(get(&manager, "a"), "b", "{sentence}");
    }
}

#[test]
fn what_is_no_map_is_set_aside() {
    let memory = |seals| {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = memfd_create("globstash", flags).expect("memory");
        fchmod(&memory, Mode::RUSR).expect("it is ours");
        ftruncate(&memory, 1 << 20).expect("it is ours");
        fcntl_add_seals(&memory, seals).expect("it has no seals yet");
        memory
    };
    let mut manager = Manager::start();
    for (seals, sentence) in [
        (SealFlags::empty(), "it is no sealed memory file"),
        (
            SealFlags::SHRINK | SealFlags::GROW,
            "it is no sealed memory file",
        ),
        (
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
            "no map of variables",
        ),
    ] {
        manager.kill();
        manager.kept = vec![("map".to_owned(), memory(seals))];
        manager.start_again();
        assert!(manager.log().contains(sentence), "{}", manager.log());
        set(&manager, "a", "b");
        manager.crash();
        assert_eq!(get(&manager, "a"), "b");
    }
}
