//! Variables that end by themselves: each sentence of the interface about it, against the real
//! service.

mod common;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::sleepers::Sleepers;
use common::{Daemon, Peer, error, eventually, invalid_parameter};
use globstash::{Change, Condition, Error, Fields, Start, Terms, Until};
use rustix::process::Signal;
use serde_json::{Value, json};

const SET: &str = "io.globstash.Set";
const GET: &str = "io.globstash.Get";
const EXPIRE: &str = "io.globstash.Expire";
const INCREMENT: &str = "io.globstash.Increment";
const WAIT: &str = "io.globstash.Wait";
const STATUS: &str = "io.globstash.GetStatus";

/// Longer than any test.
const HOUR: i64 = 3_600_000_000;

/// Begins to watch everything; what the first reply says is left out.
fn watch(daemon: &Daemon) -> Peer {
    let mut peer = daemon.connect();
    let parameters = json!({ "metadata": true });
    peer.send(&json!({ "method": "io.globstash.Watch", "parameters": parameters, "more": true }));
    peer.receive();
    peer
}

/// The next events that a watcher is told.
fn events(peer: &mut Peer) -> Value {
    peer.receive()["parameters"]["events"].take()
}

fn expires(peer: &mut Peer, key: &str) -> Value {
    peer.ask(GET, json!({ "key": key, "metadata": true }))["entry"]["expiresUSec"].take()
}

fn calendar() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is later").as_micros() as i64
}

// ---- time to live ----

#[test]
fn a_variable_is_deleted_when_its_time_has_run_out_and_nobody_looks() {
    let daemon = Daemon::start();
    let mut watcher = watch(&daemon);
    let mut peer = daemon.connect();
    let begun = Instant::now();
    peer.ask(
        SET,
        json!({ "key": "a", "value": "last", "ttlUSec": 50_000 }),
    );
    let set = events(&mut watcher);
    assert_eq!(set[0]["change"], "set");
    let told = events(&mut watcher);
    assert!(begun.elapsed() >= Duration::from_millis(50));
    let expired = json!([{ "change": "expired", "key": "a", "value": "last", "revision": 2 }]);
    assert_eq!(told, expired, "and nobody made that change");
    let read = peer.ask(GET, json!({ "key": "a" }));
    assert_eq!(
        read,
        json!({ "defined": false, "value": "", "revision": 0 })
    );
    assert_eq!(peer.ask(STATUS, json!({}))["revision"], 2);
}

#[test]
fn a_variable_that_is_set_again_lives_on() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for again in [
        json!({ "key": "a", "value": "2" }),
        json!({ "key": "a", "value": "2", "ttlUSec": null }),
    ] {
        peer.ask(SET, json!({ "key": "a", "value": "1", "ttlUSec": HOUR }));
        assert!(expires(&mut peer, "a").is_i64());
        peer.ask(SET, again);
        assert_eq!(expires(&mut peer, "a"), Value::Null);
    }
}

#[test]
fn a_call_that_fails_leaves_the_time_to_live_as_it_is() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask(SET, json!({ "key": "a", "value": "1", "ttlUSec": HOUR }));
    for wrong in [
        json!({ "key": "a", "value": "2", "condition": { "revision": 9 } }),
        json!({ "key": "a", "value": "2", "ttlUSec": -1 }),
        json!({ "key": "a", "value": "2", "data": "Mg==", "ttlUSec": 1 }),
    ] {
        assert!(
            peer.call(SET, wrong.clone()).get("error").is_some(),
            "{wrong}"
        );
        assert!(expires(&mut peer, "a").is_i64(), "{wrong}");
    }
    assert_eq!(peer.ask(GET, json!({ "key": "a" }))["revision"], 1);
}

#[test]
fn an_entry_tells_when_it_expires() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let is_right = |_| {
        let earliest = calendar() + HOUR;
        peer.ask(SET, json!({ "key": "a", "value": "", "ttlUSec": HOUR }));
        let latest = calendar() + HOUR;
        let told = expires(&mut peer, "a").as_i64().expect("a time");
        println!("{told} is between {earliest} and {latest}");
        (earliest - 1000..=latest + 1000).contains(&told)
    };
    // Two clocks cannot be read at the same time, and somebody else may have a turn between them.
    assert!((0..10).any(is_right));
    let list = peer.ask("io.globstash.List", json!({ "metadata": true }));
    assert!(list["entries"][0]["expiresUSec"].is_i64());
    let list = peer.ask("io.globstash.List", json!({}));
    assert_eq!(list["entries"][0].get("expiresUSec"), None);
}

#[test]
fn a_negative_time_is_refused_and_one_that_cannot_be_counted_is_never() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let negative = peer.call(SET, json!({ "key": "a", "value": "", "ttlUSec": -1 }));
    assert_eq!(negative, invalid_parameter("ttlUSec"));
    assert_eq!(peer.ask(GET, json!({ "key": "a" }))["defined"], false);
    for endless in [i64::MAX, i64::MAX - 1] {
        peer.ask(SET, json!({ "key": "a", "value": "", "ttlUSec": endless }));
        assert_eq!(expires(&mut peer, "a"), Value::Null);
        peer.ask(EXPIRE, json!({ "key": "a", "ttlUSec": endless }));
        assert_eq!(expires(&mut peer, "a"), Value::Null);
    }
    let centuries = 500 * 365 * 24 * HOUR;
    peer.ask(
        SET,
        json!({ "key": "a", "value": "", "ttlUSec": centuries }),
    );
    assert!(expires(&mut peer, "a").as_i64() > Some(centuries));
    assert_eq!(
        peer.call(EXPIRE, json!({ "key": "a", "ttlUSec": -1 })),
        invalid_parameter("ttlUSec")
    );
    assert!(expires(&mut peer, "a").as_i64() > Some(centuries));
}

#[test]
fn no_time_at_all_is_a_variable_that_comes_and_goes() {
    let daemon = Daemon::start();
    let mut watcher = watch(&daemon);
    let mut peer = daemon.connect();
    let set = peer.ask(SET, json!({ "key": "a", "value": "v", "ttlUSec": 0 }));
    assert_eq!(set["revision"], 1);
    assert_eq!(peer.ask(GET, json!({ "key": "a" }))["defined"], false);
    let told = events(&mut watcher);
    assert_eq!(
        (&told[0]["change"], &told[0]["revision"]),
        (&json!("set"), &json!(1))
    );
    let told = events(&mut watcher);
    assert_eq!(
        (&told[0]["change"], &told[0]["revision"]),
        (&json!("expired"), &json!(2))
    );
}

#[test]
fn what_deletes_takes_no_notice_of_a_time_to_live() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask(SET, json!({ "key": "a", "value": "1" }));
    peer.ask(SET, json!({ "key": "a", "ttlUSec": -1 }));
    assert_eq!(peer.ask(GET, json!({ "key": "a" }))["defined"], false);
}

#[test]
fn who_waits_for_a_variable_to_go_hears_that_it_has_expired() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let short = Terms::new().ttl(Duration::from_millis(20));
    client.set_with("a", "1", short).unwrap();
    assert_eq!(client.wait_until("a", Until::undefined()).unwrap(), None);
}

// ---- Expire ----

#[test]
fn expire_gives_new_time_or_none_and_is_no_change() {
    let daemon = Daemon::start();
    let mut watcher = watch(&daemon);
    let mut peer = daemon.connect();
    peer.ask(SET, json!({ "key": "a", "value": "v" }));
    assert_eq!(events(&mut watcher)[0]["revision"], 1);
    let before = peer.ask(GET, json!({ "key": "a", "metadata": true }));
    let defined = json!({ "defined": true });
    assert_eq!(
        peer.ask(EXPIRE, json!({ "key": "a", "ttlUSec": HOUR })),
        defined
    );
    assert!(expires(&mut peer, "a").is_i64());
    for endless in [
        json!({ "key": "a" }),
        json!({ "key": "a", "ttlUSec": null }),
    ] {
        peer.ask(EXPIRE, json!({ "key": "a", "ttlUSec": HOUR }));
        assert_eq!(peer.ask(EXPIRE, endless), defined);
        let after = peer.ask(GET, json!({ "key": "a", "metadata": true }));
        assert_eq!(after, before, "value, revision and writer are as they were");
    }
    assert_eq!(peer.ask(STATUS, json!({}))["revision"], 1);
    peer.ask(SET, json!({ "key": "b", "value": "v" }));
    assert_eq!(
        events(&mut watcher)[0]["key"],
        "b",
        "nothing was told before"
    );
}

#[test]
fn expire_can_make_time_shorter_and_end_it() {
    let daemon = Daemon::start();
    let mut watcher = watch(&daemon);
    let mut peer = daemon.connect();
    for ttl in [20_000, 0] {
        peer.ask(SET, json!({ "key": "a", "value": "v", "ttlUSec": HOUR }));
        assert_eq!(events(&mut watcher)[0]["change"], "set");
        let reply = peer.ask(EXPIRE, json!({ "key": "a", "ttlUSec": ttl }));
        assert_eq!(reply, json!({ "defined": true }));
        let told = events(&mut watcher);
        assert_eq!(
            (&told[0]["change"], &told[0]["value"]),
            (&json!("expired"), &json!("v"))
        );
    }
}

#[test]
fn what_is_not_there_cannot_expire_and_that_is_no_error() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    for ttl in [json!(null), json!(0), json!(HOUR)] {
        let reply = peer.ask(EXPIRE, json!({ "key": "a", "ttlUSec": ttl }));
        assert_eq!(reply, json!({ "defined": false }));
    }
    for ttl in [json!(null), json!(0), json!(HOUR)] {
        let reply = peer.call(EXPIRE, json!({ "key": "a=b", "ttlUSec": ttl }));
        assert_eq!(reply["error"], "io.globstash.InvalidKey");
    }
    assert_eq!(peer.ask(STATUS, json!({}))["revision"], 0);
}

#[test]
fn a_number_that_is_added_to_keeps_its_time() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask(SET, json!({ "key": "n", "value": "1", "ttlUSec": HOUR }));
    // Told by the calendar, which is read beside the clock that counts.
    let mut told = || expires(&mut peer, "n").as_i64().expect("a time");
    let before: Vec<i64> = (0..10).map(|_| told()).collect();
    assert_eq!(peer.ask(INCREMENT, json!({ "key": "n" }))["value"], "2");
    let mut told = || expires(&mut peer, "n").as_i64().expect("a time");
    let after: Vec<i64> = (0..10).map(|_| told()).collect();
    let is_near = |one: &i64| before.iter().any(|other| one.abs_diff(*other) < 1000);
    assert!(after.iter().any(is_near), "{before:?}, then {after:?}");
}

// ---- processes ----

/// A process that lives until it is killed.
struct Process(Child);

impl Process {
    fn start() -> Self {
        let child = Command::new("sleep").arg("600").spawn();
        Process(child.expect("it starts"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// It has ended, and its ID can be another's.
    fn end(mut self) -> u32 {
        self.0.kill().expect("it lives");
        self.0.wait().expect("it has ended");
        self.pid()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn no_such_process(pid: i64) -> Value {
    error("io.globstash.NoSuchProcess", json!({ "pid": pid }))
}

fn belongs(peer: &mut Peer, key: &str) -> Value {
    peer.ask(GET, json!({ "key": key, "metadata": true }))["entry"]["pid"].take()
}

/// Waits until a variable is gone.
fn expect_gone(peer: &mut Peer, key: &str) {
    let condition = json!({ "defined": false });
    peer.ask(WAIT, json!({ "key": key, "condition": condition }));
}

#[test]
fn a_variable_of_a_process_is_deleted_when_that_ends() {
    let daemon = Daemon::start();
    let mut watcher = watch(&daemon);
    let mut peer = daemon.connect();
    let (one, other) = (Process::start(), Process::start());
    for (key, pid) in [("a", one.pid()), ("b", other.pid())] {
        peer.ask(SET, json!({ "key": key, "value": key, "pid": pid }));
        assert_eq!(belongs(&mut peer, key), pid);
        assert_eq!(events(&mut watcher)[0]["change"], "set");
    }
    one.end();
    let released = json!([{ "change": "released", "key": "a", "value": "a", "revision": 3 }]);
    assert_eq!(
        events(&mut watcher),
        released,
        "and nobody made that change"
    );
    assert_eq!(peer.ask(GET, json!({ "key": "a" }))["defined"], false);
    assert_eq!(peer.ask(GET, json!({ "key": "b" }))["defined"], true);
}

#[test]
fn a_process_that_is_none_is_refused_and_nothing_is_changed() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let ended = Process::start().end();
    let mut zombie = Process::start();
    zombie.0.kill().expect("it lives");
    let is_zombie = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", zombie.pid()));
        stat.is_ok_and(|stat| stat.contains(") Z "))
    };
    eventually("it has ended, and nobody has waited for it", is_zombie);
    peer.ask(SET, json!({ "key": "a", "value": "1", "ttlUSec": HOUR }));
    let numbers = [
        ended.into(),
        zombie.pid().into(),
        1 << 30,
        i64::from(u32::MAX),
        i64::MAX,
    ];
    for pid in numbers {
        let set = peer.call(SET, json!({ "key": "a", "value": "2", "pid": pid }));
        assert_eq!(set, no_such_process(pid));
    }
    let set = peer.call(SET, json!({ "key": "a", "value": "2", "pid": -1 }));
    assert_eq!(set, invalid_parameter("pid"));
    assert_eq!(peer.ask(GET, json!({ "key": "a" }))["revision"], 1);
    assert!(expires(&mut peer, "a").is_i64());
    peer.ask(SET, json!({ "key": "a", "pid": 1 << 30 }));
    assert_eq!(
        peer.ask(GET, json!({ "key": "a" }))["defined"],
        false,
        "it was to be deleted"
    );
}

#[test]
fn a_thread_is_no_process() {
    let daemon = Daemon::start();
    let pid = std::thread::spawn(|| rustix::thread::gettid().as_raw_pid());
    let set = daemon.call(
        SET,
        json!({ "key": "a", "value": "", "pid": pid.join().unwrap() }),
    );
    assert_eq!(set["error"], "io.globstash.NoSuchProcess");
}

#[test]
fn zero_is_the_caller() {
    let daemon = Daemon::start();
    let binary = std::env::current_exe().expect("this test");
    let mut caller = Command::new(binary)
        .args([
            "--ignored",
            "--exact",
            "a_process_that_sets_a_variable_of_its_own",
        ])
        .env("SETTER_SOCKET", daemon.socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut peer = daemon.connect();
    peer.ask(WAIT, json!({ "key": "a" }));
    assert_eq!(belongs(&mut peer, "a"), caller.id());
    drop(caller.stdin.take());
    expect_gone(&mut peer, "a");
    caller.wait().expect("it has ended");
}

/// Run by the test above as a process of its own, which lives until its input ends.
#[test]
#[ignore = "it helps another test"]
fn a_process_that_sets_a_variable_of_its_own() {
    let Some(socket) = std::env::var_os("SETTER_SOCKET") else {
        return;
    };
    let mut client = common::client(socket.as_ref());
    client
        .set_with("a", "", Terms::new().own_process())
        .unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn who_is_set_again_belongs_to_nobody_unless_it_is_said_again() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let (one, other) = (Process::start(), Process::start());
    peer.ask(SET, json!({ "key": "a", "value": "", "pid": one.pid() }));
    peer.ask(SET, json!({ "key": "a", "value": "", "pid": other.pid() }));
    peer.ask(SET, json!({ "key": "b", "value": "", "pid": one.pid() }));
    peer.ask(SET, json!({ "key": "b", "value": "", "pid": null }));
    peer.ask(SET, json!({ "key": "c", "value": "", "pid": one.pid() }));
    assert_eq!(belongs(&mut peer, "b"), Value::Null);
    one.end();
    expect_gone(&mut peer, "c");
    assert_eq!(belongs(&mut peer, "a"), other.pid());
    assert_eq!(peer.ask(GET, json!({ "key": "b" }))["defined"], true);
    other.end();
    expect_gone(&mut peer, "a");
}

#[test]
fn a_number_that_is_added_to_keeps_its_process() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let process = Process::start();
    peer.ask(
        SET,
        json!({ "key": "n", "value": "1", "pid": process.pid() }),
    );
    peer.ask(INCREMENT, json!({ "key": "n" }));
    peer.ask(EXPIRE, json!({ "key": "n", "ttlUSec": HOUR }));
    peer.ask(EXPIRE, json!({ "key": "n" }));
    assert_eq!(belongs(&mut peer, "n"), process.pid());
    process.end();
    expect_gone(&mut peer, "n");
}

#[test]
fn a_descriptor_is_kept_for_each_process_while_variables_belong_to_it() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let process = Process::start();
    let set = |key| json!({ "key": key, "value": "", "pid": process.pid() });
    // Answered, so that the connection is there, and what was open only to say that it is ready is not.
    peer.ask(STATUS, json!({}));
    let before = daemon.descriptors();
    peer.ask(SET, set("a"));
    peer.ask(SET, set("b"));
    assert_eq!(daemon.descriptors(), before + 1);
    peer.ask("io.globstash.Delete", json!({ "key": "a" }));
    assert_eq!(daemon.descriptors(), before + 1);
    peer.ask(SET, json!({ "key": "b", "value": "" }));
    assert_eq!(daemon.descriptors(), before);
    let refused =
        json!({ "key": "a", "value": "", "pid": process.pid(), "condition": { "defined": true } });
    assert_eq!(
        peer.call(SET, refused)["error"],
        "io.globstash.ConditionFailed"
    );
    assert_eq!(daemon.descriptors(), before);
    peer.ask(SET, set("a"));
    process.end();
    expect_gone(&mut peer, "a");
    assert_eq!(daemon.descriptors(), before);
}

#[test]
fn a_user_can_have_variables_of_so_many_processes() {
    const MOST: usize = 1024;
    let daemon = Daemon::start();
    let processes = Sleepers::start(MOST + 1);
    let mut peer = daemon.connect();
    let set = |n: usize| json!({ "key": format!("k/{n}"), "value": "", "pid": processes.pid(n) });
    for n in 0..MOST {
        peer.ask(SET, set(n));
    }
    let exceeded = error(
        "io.globstash.LimitExceeded",
        json!({ "limit": "processes", "maximum": MOST }),
    );
    let descriptors = daemon.descriptors();
    assert_eq!(peer.call(SET, set(MOST)), exceeded);
    assert_eq!(daemon.descriptors(), descriptors);
    assert_eq!(peer.ask(STATUS, json!({}))["variables"], MOST);
    peer.ask(
        SET,
        json!({ "key": "more", "value": "", "pid": processes.pid(0) }),
    );
    peer.ask(SET, json!({ "key": "k/1", "value": "" }));
    peer.ask(SET, set(MOST));
    drop(processes);
    eventually("all but one are gone", || {
        peer.ask(STATUS, json!({}))["variables"] == 1
    });
}

#[test]
fn all_that_belongs_to_a_process_is_released() {
    const COUNT: usize = 3000;
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let process = Process::start();
    let set = |n| json!({ "key": format!("k/{n}"), "value": "", "pid": process.pid() });
    peer.send_calls(SET, (0..COUNT).map(set));
    for _ in 0..COUNT {
        assert!(peer.receive().get("error").is_none());
    }
    process.end();
    eventually("all are gone", || {
        peer.ask(STATUS, json!({}))["variables"] == 0
    });
}

// ---- many, and none ----

#[test]
fn without_deadlines_there_is_no_timer() {
    let daemon = Daemon::start();
    let armed = || {
        let folder = format!("/proc/{}/fdinfo", daemon.pid());
        let infos = std::fs::read_dir(folder).expect("it lives");
        let texts = infos.filter_map(|info| std::fs::read_to_string(info.ok()?.path()).ok());
        let timers = texts.filter(|text| text.contains("clockid: 7"));
        let timers: Vec<String> = timers.collect();
        assert_eq!(
            timers.len(),
            1,
            "one timer, on the clock that counts while it sleeps"
        );
        !timers[0].contains("it_value: (0, 0)")
    };
    let mut peer = daemon.connect();
    assert!(!armed());
    peer.ask(SET, json!({ "key": "a", "value": "", "ttlUSec": HOUR }));
    assert!(armed());
    peer.ask(EXPIRE, json!({ "key": "a" }));
    assert!(!armed());
    peer.ask(SET, json!({ "key": "a", "value": "", "ttlUSec": 1 }));
    eventually("the timer goes off and is not set again", || !armed());
    peer.ask(SET, json!({ "key": "a", "value": "", "ttlUSec": HOUR }));
    peer.ask("io.globstash.Delete", json!({ "key": "a" }));
    assert!(!armed());
}

#[test]
fn all_that_expires_at_the_same_moment_is_told() {
    const COUNT: usize = 5000;
    let daemon = Daemon::start();
    let mut watcher = watch(&daemon);
    let mut peer = daemon.connect();
    // They are set while the first expire: what is told of each is the same.
    let set = |n| json!({ "key": format!("k/{n}"), "value": "", "ttlUSec": 300_000 });
    peer.send_calls(SET, (0..COUNT).map(set));
    for _ in 0..COUNT {
        peer.receive();
    }
    let mut expired = 0;
    while expired < COUNT {
        let told = events(&mut watcher);
        let told = told.as_array().expect("events");
        expired += told
            .iter()
            .filter(|event| event["change"] == "expired")
            .count();
    }
    assert_eq!(peer.ask(STATUS, json!({}))["variables"], 0);
}

// ---- over the end of the service ----

/// A variable with a deadline that is near, one with a far one, and one that has none any more.
fn three(daemon: &Daemon) {
    let mut peer = daemon.connect();
    for (key, ttl) in [("near", 1_000_000), ("far", HOUR), ("none", HOUR)] {
        peer.ask(SET, json!({ "key": key, "value": "v", "ttlUSec": ttl }));
    }
    peer.ask(EXPIRE, json!({ "key": "none" }));
}

fn expect_three(daemon: &Daemon) {
    let mut peer = daemon.connect();
    let far = expires(&mut peer, "far").as_i64().expect("a time");
    assert!(far <= calendar() + HOUR);
    assert_eq!(expires(&mut peer, "none"), Value::Null);
    let condition = json!({ "defined": false });
    peer.ask(
        "io.globstash.Wait",
        json!({ "key": "near", "condition": condition }),
    );
    assert_eq!(peer.ask(GET, json!({ "key": "none" }))["defined"], true);
    assert_eq!(peer.ask(STATUS, json!({}))["variables"], 2);
}

#[test]
fn deadlines_hold_across_a_crash() {
    let mut daemon = Daemon::start();
    three(&daemon);
    daemon.crash();
    expect_three(&daemon);
}

#[test]
fn deadlines_hold_across_a_reload() {
    let daemon = Daemon::start();
    three(&daemon);
    daemon.signal(Signal::HUP);
    daemon.expect_ready();
    expect_three(&daemon);
}

#[test]
fn what_expires_while_there_is_no_service_is_gone_when_there_is_one() {
    let mut daemon = Daemon::start();
    let mut peer = daemon.connect();
    peer.ask(SET, json!({ "key": "a", "value": "v", "ttlUSec": 1000 }));
    peer.ask(SET, json!({ "key": "b", "value": "v" }));
    daemon.crash();
    let mut peer = daemon.connect();
    let condition = json!({ "defined": false });
    peer.ask(
        "io.globstash.Wait",
        json!({ "key": "a", "condition": condition }),
    );
    assert_eq!(peer.ask(GET, json!({ "key": "b" }))["defined"], true);
}

#[test]
fn processes_are_known_again_after_a_crash_and_a_reload() {
    let mut daemon = Daemon::start();
    let (one, other) = (Process::start(), Process::start());
    let set = |key, process: &Process| json!({ "key": key, "value": "", "pid": process.pid() });
    daemon.ask(SET, set("a", &one));
    daemon.ask(SET, set("b", &other));
    daemon.crash();
    let mut peer = daemon.connect();
    assert_eq!(belongs(&mut peer, "a"), one.pid());
    one.end();
    expect_gone(&mut peer, "a");
    daemon.signal(Signal::HUP);
    daemon.expect_ready();
    let mut peer = daemon.connect();
    assert_eq!(belongs(&mut peer, "b"), other.pid());
    other.end();
    expect_gone(&mut peer, "b");
}

// ---- the library ----

#[test]
fn the_library_sets_expires_and_hears_of_it() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let fields = Fields::VALUES.and_metadata();
    let mut watch = client.watch_with("a", Start::Now, fields).unwrap();
    let terms = Terms::new().ttl(Duration::from_secs(3600));
    client.set_with("a", "v", terms.clone()).unwrap();
    let expires = client.entry("a").unwrap().unwrap().expires.expect("a time");
    assert!(expires > SystemTime::now() + Duration::from_secs(3500));
    assert!(client.expire("a", None).unwrap());
    assert_eq!(client.entry("a").unwrap().unwrap().expires, None);
    assert!(client.expire("a", Duration::ZERO).unwrap());
    assert_eq!(watch.next().unwrap().unwrap().change, Change::Set);
    let gone = watch.next().unwrap().unwrap();
    assert_eq!((gone.change, gone.writer), (Change::Expired, None));
    assert_eq!(gone.value, Some("v".into()));

    let process = Process::start();
    client
        .set_with("a", "v", Terms::new().process(process.pid()))
        .unwrap();
    assert_eq!(client.entry("a").unwrap().unwrap().pid, Some(process.pid()));
    let pid = process.end();
    assert_eq!(watch.next().unwrap().unwrap().change, Change::Set);
    let gone = watch.next().unwrap().unwrap();
    assert_eq!((gone.change, gone.writer), (Change::Released, None));
    let refused = client.set_with("a", "v", Terms::new().process(pid));
    assert!(matches!(refused, Err(Error::NoSuchProcess { pid: told }) if told == i64::from(pid)));

    let taken = terms.only_if(Condition::defined());
    let refused = client.set_with("a", "v", taken);
    assert!(matches!(refused, Err(Error::ConditionFailed { .. })));
    assert_eq!(client.get("a").unwrap(), None);
}
