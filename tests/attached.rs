//! Reading through what `Client::attach` gives: the same answers as the client's own, with the map
//! and without it.

mod common;

use std::thread;

use globstash::{Attached, Batch, Client, Error, Revision};
use rustix::process::Signal;

use common::Daemon;

fn keys(entries: &[globstash::Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

/// A client, and both ways to read: with the map, and over what passes no descriptors.
fn both_ways(daemon: &Daemon) -> (Client, [Attached; 2]) {
    let client = daemon.client();
    let mapped = client.attach().unwrap();
    assert!(mapped.is_mapped() && mapped.is_served());
    let asked = common::client(&daemon.relay()).attach().unwrap();
    assert!(!asked.is_mapped() && asked.is_served());
    (client, [mapped, asked])
}

#[test]
fn what_is_set_is_read() {
    let daemon = Daemon::start();
    let (mut client, ways) = both_ways(&daemon);
    for stash in ways {
        let mut value = b"before".to_vec();
        assert_eq!(stash.get("a/b").unwrap(), None);
        assert_eq!(stash.get_into("a/b", &mut value).unwrap(), None);
        assert_eq!(value, b"");
        for wanted in [&b""[..], b"v", b"\xff\0", &[7; 1 << 20]] {
            let revision = client.set("a/b", wanted).unwrap();
            assert_eq!(stash.get("a/b").unwrap(), Some(wanted.into()));
            assert_eq!(stash.get_into("a/b", &mut value).unwrap(), Some(revision));
            assert_eq!(value, wanted);
        }
        client.delete("a/b").unwrap();
        assert_eq!(stash.get("a/b").unwrap(), None);
    }
}

#[test]
fn what_cannot_be_a_key_is_refused() {
    let daemon = Daemon::start();
    let (_client, ways) = both_ways(&daemon);
    for stash in ways {
        let long = "k".repeat(256);
        for key in ["", "a=b", "a\nb", "\u{fdd0}", &long] {
            let refused = |result| matches!(result, Err(Error::InvalidKey { .. }));
            assert!(refused(stash.get(key).map(drop)), "{key:?}");
            assert!(refused(stash.get_into(key, &mut Vec::new()).map(drop)));
            let mut handle = stash.handle(key);
            assert!(refused(handle.changed().map(drop)), "{key:?}");
            assert!(refused(handle.get().map(drop)), "{key:?}");
        }
        let refused = stash.scan("[a");
        assert!(matches!(refused, Err(Error::InvalidPattern { .. })));
    }
}

#[test]
fn a_handle_tells_what_has_changed_since_it_was_asked() {
    let daemon = Daemon::start();
    let (mut client, ways) = both_ways(&daemon);
    for stash in ways {
        let mut handle = stash.handle("k");
        assert!(!handle.changed().unwrap());
        assert_eq!(handle.get().unwrap(), None);
        assert_eq!(handle.revision(), Revision::UNDEFINED);

        let revision = client.set("k", "1").unwrap();
        assert!(handle.changed().unwrap());
        assert!(!handle.changed().unwrap());
        assert_eq!(handle.get().unwrap(), Some(&b"1"[..]));
        assert_eq!(handle.revision(), revision);
        assert!(!handle.changed().unwrap());

        client.set("other", "2").unwrap();
        assert!(!handle.changed().unwrap());
        // The same value again is a change as well.
        let revision = client.set("k", "1").unwrap();
        assert_eq!(handle.get().unwrap(), Some(&b"1"[..]));
        assert_eq!(handle.revision(), revision);
        assert!(!handle.changed().unwrap());

        client.delete("k").unwrap();
        assert!(handle.changed().unwrap());
        assert_eq!(handle.get().unwrap(), None);
        assert_eq!(stash.handle("k").revision(), Revision::UNDEFINED);
    }
}

#[test]
fn a_scan_finds_what_a_list_finds() {
    let daemon = Daemon::start();
    let (mut client, ways) = both_ways(&daemon);
    for stash in ways {
        for n in 0..500 {
            client.set(&format!("n/{n}"), vec![n as u8; n]).unwrap();
        }
        client.set("{a,b}", "literal").unwrap();
        for pattern in ["**", "n/1*", "n/", "n/{1,2}?", "[!n]*", "none", ""] {
            let list: Vec<_> = client.list(pattern).unwrap().map(Result::unwrap).collect();
            assert_eq!(stash.scan(pattern).unwrap(), list, "{pattern}");
        }
        let literal = globstash::Patterns::keys(["{a,b}"]);
        assert_eq!(keys(&stash.scan(literal).unwrap()), ["{a,b}"]);
        assert_eq!(stash.scan(globstash::Patterns::all()).unwrap().len(), 501);
    }
}

/// Two variables that always change together are equal in each scan, or there is none.
#[test]
fn a_scan_is_of_one_moment() {
    let daemon = Daemon::start();
    let (mut client, ways) = both_ways(&daemon);
    for stash in ways {
        // More than one reply holds, between them.
        for n in 0..200 {
            client.set(&format!("m/{n}"), vec![b'v'; 10_000]).unwrap();
        }
        let both = |n: u32| Batch::new().set("a", n.to_string()).set("z", n.to_string());
        client.apply(both(0)).unwrap();
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 1..300 {
                    client.apply(both(n)).unwrap();
                }
            });
            while !writer.is_finished() {
                match stash.scan(globstash::Patterns::all()) {
                    Ok(entries) => {
                        assert_eq!(entries.len(), 202);
                        let value =
                            |key| entries.iter().find(|e| e.key == key).unwrap().value.clone();
                        assert_eq!(value("a"), value("z"));
                    }
                    Err(Error::Busy) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        assert_eq!(stash.scan("{a,z}").unwrap().len(), 2);
    }
}

#[test]
fn threads_share_it() {
    let daemon = Daemon::start();
    let (mut client, ways) = both_ways(&daemon);
    for stash in ways {
        fn shared<T: Send + Sync + Clone>(_: &T) {}
        fn sent<T: Send>(_: &T) {}
        shared(&stash);
        sent(&stash.handle("k"));
        client.set("k", "v").unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        assert_eq!(stash.get("k").unwrap(), Some("v".into()));
                    }
                });
            }
        });
    }
}

/// Who holds a lock that others wait for must know before a read whether it would wait.
#[test]
fn what_cannot_be_read_at_once_says_so() {
    let mut daemon = Daemon::start();
    let (mut client, [mapped, over_socket]) = both_ways(&daemon);
    let mut value = Vec::new();
    let revision = client.set("k", "v").unwrap();
    assert_eq!(over_socket.get_at_once("k", &mut value), None);

    // Also to a thread that has never read.
    thread::scope(|scope| {
        let other = scope.spawn(|| mapped.get_at_once("k", &mut Vec::new()));
        assert_eq!(other.join().unwrap(), Some(Some(revision)));
    });
    assert_eq!(mapped.get_at_once("k", &mut value), Some(Some(revision)));
    assert_eq!(value, b"v");
    assert_eq!(mapped.get_at_once("other", &mut value), Some(None));
    assert_eq!(value, b"");
    // Why not, is for `get` to say.
    assert_eq!(mapped.get_at_once("a=b", &mut value), None);

    let mut handle = mapped.handle("k");
    assert!(!handle.is_current());
    handle.get().unwrap();
    assert!(handle.is_current());
    client.set("k", "w").unwrap();
    assert!(!handle.is_current());
    handle.get().unwrap();
    assert!(handle.is_current());

    daemon.signal(Signal::KILL);
    daemon.wait();
    assert_eq!(mapped.get_at_once("k", &mut value), None);
    assert!(!handle.is_current());
}
