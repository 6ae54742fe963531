//! What users may do to each other's variables, and how much each may hold: two users and root,
//! against the real service.
//!
//! Each is a thread of this test that has become that user before it connected, so root has to run
//! it.

mod common;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::thread;

use common::{Daemon, Peer, error};
use rustix::process::{Uid, geteuid};
use rustix::thread::set_thread_res_uid;
use serde_json::{Value, json};

const SET: &str = "io.globstash.Set";
const GET: &str = "io.globstash.Get";
const DELETE: &str = "io.globstash.Delete";
const EXPIRE: &str = "io.globstash.Expire";
const INCREMENT: &str = "io.globstash.Increment";
const APPLY: &str = "io.globstash.Apply";
const STATUS: &str = "io.globstash.GetStatus";

const ROOT: u32 = 0;
const ALICE: u32 = 20_001;
const BOB: u32 = 20_002;

/// A service that everybody can call.
fn start(arguments: &[&str]) -> Daemon {
    assert!(geteuid().is_root(), "only root can be others");
    let daemon = Daemon::start_with(|command| {
        command.args(arguments);
    });
    open(&daemon);
    daemon
}

fn open(daemon: &Daemon) {
    let allow = |path, mode| set_permissions(path, Permissions::from_mode(mode));
    allow(daemon.folder(), 0o755).expect("it is ours");
    allow(&daemon.socket(), 0o666).expect("it is ours");
}

/// A connection of this user.
fn connect(daemon: &Daemon, uid: u32) -> Peer {
    let socket = daemon.socket();
    let connect = move || {
        let uid = Uid::from_raw(uid);
        set_thread_res_uid(uid, uid, uid).expect("we are root");
        UnixStream::connect(socket).expect("the service listens")
    };
    Peer::new(thread::spawn(connect).join().expect("it connects"))
}

fn denied(key: &str) -> Value {
    error("io.globstash.PermissionDenied", json!({ "key": key }))
}

fn exceeded(limit: &str, maximum: u64) -> Value {
    let parameters = json!({ "limit": limit, "maximum": maximum });
    error("io.globstash.LimitExceeded", parameters)
}

/// Whether it is protected, and its owner.
fn protection(peer: &mut Peer, key: &str) -> (Value, Value) {
    let mut entry = peer.ask(GET, json!({ "key": key, "metadata": true }))["entry"].take();
    (entry["protected"].take(), entry["ownerUid"].take())
}

fn operations(operations: Value) -> Value {
    json!({ "operations": operations })
}

// ---- protection ----

#[test]
fn everybody_may_change_what_is_not_protected_and_the_owner_stays() {
    let daemon = start(&[]);
    let (mut alice, mut bob) = (connect(&daemon, ALICE), connect(&daemon, BOB));
    alice.ask(SET, json!({ "key": "a", "value": "1" }));
    assert_eq!(protection(&mut bob, "a"), (json!(false), json!(ALICE)));
    bob.ask(SET, json!({ "key": "a", "value": "2" }));
    bob.ask(SET, json!({ "key": "a", "value": "3", "protected": null }));
    bob.ask(SET, json!({ "key": "a", "value": "3", "protected": false }));
    bob.ask(INCREMENT, json!({ "key": "a" }));
    bob.ask(
        APPLY,
        operations(json!([{ "action": "set", "key": "a", "value": "5" }])),
    );
    assert_eq!(protection(&mut alice, "a"), (json!(false), json!(ALICE)));
    bob.ask(DELETE, json!({ "key": "a" }));
    bob.ask(SET, json!({ "key": "a", "value": "6" }));
    assert_eq!(
        protection(&mut alice, "a"),
        (json!(false), json!(BOB)),
        "it is another now"
    );
}

#[test]
fn only_owner_and_root_may_change_what_is_protected() {
    let mut daemon = start(&[]);
    connect(&daemon, ALICE).ask(SET, json!({ "key": "a", "value": "1", "protected": true }));
    for round in 0..2 {
        let mut bob = connect(&daemon, BOB);
        assert_eq!(protection(&mut bob, "a"), (json!(true), json!(ALICE)));
        for (method, parameters) in [
            (SET, json!({ "key": "a", "value": "2" })),
            (SET, json!({ "key": "a", "value": "2", "protected": true })),
            (SET, json!({ "key": "a", "value": "2", "protected": false })),
            (SET, json!({ "key": "a", "value": "2", "ttlUSec": 0 })),
            (
                SET,
                json!({ "key": "a", "value": "2", "condition": { "value": "1" } }),
            ),
            (SET, json!({ "key": "a" })),
            (DELETE, json!({ "key": "a" })),
            (DELETE, json!({ "patterns": ["**"] })),
            (EXPIRE, json!({ "key": "a", "ttlUSec": 1 })),
            (EXPIRE, json!({ "key": "a", "ttlUSec": 0 })),
            (EXPIRE, json!({ "key": "a" })),
            (INCREMENT, json!({ "key": "a" })),
            (
                APPLY,
                operations(json!([{ "action": "set", "key": "a", "value": "" }])),
            ),
            (
                APPLY,
                operations(json!([{ "action": "delete", "key": "a" }])),
            ),
            (
                APPLY,
                operations(json!([{ "action": "increment", "key": "a" }])),
            ),
            (
                APPLY,
                operations(json!([
                    { "action": "set", "key": "0", "value": "" },
                    { "action": "delete", "key": "a" },
                    { "action": "set", "key": "a", "value": "mine" },
                ])),
            ),
        ] {
            assert_eq!(
                bob.call(method, parameters.clone()),
                denied("a"),
                "{parameters}"
            );
            let get = bob.ask(GET, json!({ "key": "a" }));
            assert_eq!((&get["value"], &get["revision"]), (&json!("1"), &json!(1)));
        }
        assert_eq!(bob.ask(STATUS, json!({}))["variables"], 1);
        // A condition that does not hold is what the caller hears of first: it was asked for.
        let lock = json!({ "key": "a", "value": "2", "condition": { "defined": false } });
        assert_eq!(bob.call(SET, lock)["error"], "io.globstash.ConditionFailed");
        if round == 0 {
            daemon.crash();
            open(&daemon);
        }
    }
    let mut root = connect(&daemon, ROOT);
    root.ask(SET, json!({ "key": "a", "value": "2" }));
    assert_eq!(
        protection(&mut root, "a"),
        (json!(true), json!(ALICE)),
        "both stay"
    );
    connect(&daemon, ALICE).ask(DELETE, json!({ "patterns": ["a"] }));
}

#[test]
fn who_protects_becomes_the_owner() {
    let daemon = start(&[]);
    let (mut alice, mut bob) = (connect(&daemon, ALICE), connect(&daemon, BOB));
    alice.ask(SET, json!({ "key": "a", "value": "1" }));
    bob.ask(SET, json!({ "key": "a", "value": "2", "protected": true }));
    assert_eq!(protection(&mut alice, "a"), (json!(true), json!(BOB)));
    assert_eq!(
        alice.call(SET, json!({ "key": "a", "value": "3" })),
        denied("a")
    );
    bob.ask(SET, json!({ "key": "a", "value": "3", "protected": false }));
    alice.ask(SET, json!({ "key": "a", "value": "4" }));
    assert_eq!(protection(&mut alice, "a"), (json!(false), json!(BOB)));
    let mut root = connect(&daemon, ROOT);
    alice.ask(SET, json!({ "key": "a", "value": "5", "protected": true }));
    root.ask(SET, json!({ "key": "a", "value": "6", "protected": true }));
    assert_eq!(protection(&mut alice, "a"), (json!(true), json!(ROOT)));
    assert_eq!(alice.call(DELETE, json!({ "key": "a" })), denied("a"));
}

#[test]
fn if_one_of_many_is_protected_nothing_is_deleted() {
    let daemon = start(&[]);
    let (mut alice, mut bob) = (connect(&daemon, ALICE), connect(&daemon, BOB));
    for key in ["k/1", "k/3"] {
        bob.ask(SET, json!({ "key": key, "value": "" }));
    }
    alice.ask(SET, json!({ "key": "k/2", "value": "", "protected": true }));
    assert_eq!(
        bob.call(DELETE, json!({ "patterns": ["k/"] })),
        denied("k/2")
    );
    assert_eq!(bob.ask(STATUS, json!({}))["variables"], 3);
    let deleted = bob.ask(DELETE, json!({ "patterns": ["k/[13]"] }));
    assert_eq!(deleted["count"], 2);
}

#[test]
fn what_is_protected_ends_like_all_else() {
    let daemon = start(&[]);
    let (mut alice, mut bob) = (connect(&daemon, ALICE), connect(&daemon, BOB));
    alice.ask(
        SET,
        json!({ "key": "a", "value": "1", "protected": true, "ttlUSec": 10_000 }),
    );
    let condition = json!({ "defined": false });
    bob.ask(
        "io.globstash.Wait",
        json!({ "key": "a", "condition": condition }),
    );
    bob.ask(SET, json!({ "key": "a", "value": "2" }));
}

// ---- shares ----

#[test]
fn a_user_can_hold_a_quarter_and_root_all() {
    let mut daemon = start(&["--maximum-variables", "16", "--maximum-bytes", "400"]);
    let own = |peer: &mut Peer| {
        let status = peer.ask(STATUS, json!({}));
        [
            "userVariables",
            "userBytes",
            "maximumUserVariables",
            "maximumUserBytes",
        ]
        .map(|field| status[field].as_u64().expect("a number"))
    };
    let (mut alice, mut bob) = (connect(&daemon, ALICE), connect(&daemon, BOB));
    let set = |key: &str, len| json!({ "key": key, "value": "x".repeat(len) });
    for key in ["1", "2", "3", "4"] {
        alice.ask(SET, set(key, 9));
    }
    assert_eq!(own(&mut alice), [4, 40, 4, 100]);
    assert_eq!(own(&mut bob), [0, 0, 4, 100]);
    let too_many = exceeded("maximumUserVariables", 4);
    assert_eq!(alice.call(SET, set("5", 0)), too_many);
    assert_eq!(alice.call(INCREMENT, json!({ "key": "5" })), too_many);
    let batch = operations(json!([{ "action": "set", "key": "5", "value": "" }]));
    assert_eq!(alice.call(APPLY, batch), too_many);
    assert_eq!(
        alice.call(SET, set("1", 99)),
        exceeded("maximumUserBytes", 100)
    );
    alice.ask(SET, set("1", 69));
    assert_eq!(own(&mut alice), [4, 100, 4, 100]);
    // One for another is no more than before.
    let swap = json!([
        { "action": "set", "key": "5", "value": "x".repeat(9) },
        { "action": "delete", "key": "4" },
    ]);
    alice.ask(APPLY, operations(swap));
    alice.ask(SET, set("1", 0));

    // Whoever sets a variable is charged for it, and whoever set it before is not any more.
    bob.ask(SET, set("2", 0));
    assert_eq!(
        (own(&mut alice), own(&mut bob)),
        ([3, 21, 4, 100], [1, 1, 4, 100])
    );
    alice.ask(SET, set("6", 0));
    assert_eq!(
        alice.call(SET, set("2", 0)),
        too_many,
        "it would be hers again"
    );

    let counts = (own(&mut alice), own(&mut bob));
    daemon.crash();
    open(&daemon);
    let (mut alice, mut bob) = (connect(&daemon, ALICE), connect(&daemon, BOB));
    // What was given on the command line before, this one does not know.
    let [variables, bytes, ..] = own(&mut alice);
    assert_eq!([variables, bytes], counts.0[..2]);
    let [variables, bytes, ..] = own(&mut bob);
    assert_eq!([variables, bytes], counts.1[..2]);
}

#[test]
fn root_meets_the_limits_of_all() {
    let daemon = start(&["--maximum-variables", "8", "--maximum-bytes", "80"]);
    let mut root = connect(&daemon, ROOT);
    let status = root.ask(STATUS, json!({}));
    assert_eq!(
        (&status["maximumUserVariables"], &status["maximumUserBytes"]),
        (&json!(8), &json!(80))
    );
    for n in 0..8 {
        root.ask(SET, json!({ "key": n.to_string(), "value": "" }));
    }
    let ninth = root.call(SET, json!({ "key": "8", "value": "" }));
    assert_eq!(ninth, exceeded("maximumVariables", 8));
    // What others cannot have because of it is not their share's fault.
    let mut alice = connect(&daemon, ALICE);
    let ninth = alice.call(SET, json!({ "key": "8", "value": "" }));
    assert_eq!(ninth, exceeded("maximumVariables", 8));
    alice.ask(SET, json!({ "key": "1", "value": "" }));
}

#[test]
fn the_user_that_the_service_runs_as_can_hold_all() {
    use std::os::unix::process::CommandExt;

    // Not in a folder that only root can write to.
    let name = format!("globstash-users-{}", std::process::id());
    let daemon = Daemon::launch(|command, folder| {
        let allow = |path, mode| set_permissions(path, Permissions::from_mode(mode));
        allow(folder, 0o755).expect("it is ours");
        allow(&folder.join("notify"), 0o666).expect("it is ours");
        command
            .args([
                "--address",
                &format!("unix:@{name}"),
                "--maximum-variables",
                "8",
            ])
            .uid(ALICE);
    });
    let connect = |uid: u32| {
        let name = name.clone();
        let become_and_connect = move || {
            let uid = Uid::from_raw(uid);
            set_thread_res_uid(uid, uid, uid).expect("we are root");
            Peer::connect_abstract(&name)
        };
        thread::spawn(become_and_connect)
            .join()
            .expect("it connects")
    };
    let (mut alice, mut bob) = (connect(ALICE), connect(BOB));
    for n in 0..8 {
        alice.ask(SET, json!({ "key": n.to_string(), "value": "" }));
    }
    assert_eq!(alice.ask(STATUS, json!({}))["maximumUserVariables"], 8);
    for key in ["0", "1"] {
        bob.ask(SET, json!({ "key": key, "value": "" }));
    }
    let third = bob.call(SET, json!({ "key": "2", "value": "" }));
    assert_eq!(third, exceeded("maximumUserVariables", 2));
    drop(daemon);
}
