//! The client against services that lose connections, are silent, or say strange things.
//!
//! Each service is a thread that follows a script: it accepts one connection after the other, and
//! on each reads what it expects and says what it is told to.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::resume_unwind;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::shutdown;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::*;

/// How long a test may take that takes no time at all.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A service that does what is written. Dropping it waits until it has done so.
struct Fake {
    folder: TempDir,
    script: Option<JoinHandle<()>>,
}

/// The service's end of a connection.
struct Caller(BufReader<UnixStream>);

impl Fake {
    fn new(script: impl FnOnce(UnixListener) + Send + 'static) -> Fake {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let again = listener.try_clone().unwrap();
        let script = Some(thread::spawn(move || {
            script(listener);
            shutdown(&again, rustix::net::Shutdown::Both).unwrap();
        }));
        Fake { folder, script }
    }

    fn client(&self) -> Client {
        self.client_with(Options::new().timeout(WATCHDOG))
    }

    fn client_with(&self, options: Options) -> Client {
        options.at(&*self.folder.path().join("s")).unwrap()
    }

    /// Ends [`serve_all`].
    fn end(&self) {
        drop(self.client());
    }
}

impl Drop for Caller {
    /// To close it would not be enough: a process that another test begins at this moment has it open
    /// as well.
    fn drop(&mut self) {
        // The client may be gone.
        let _ = shutdown(self.0.get_ref(), rustix::net::Shutdown::Both);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // A test that has failed may never come to what its script waits for.
        if thread::panicking() {
            return;
        }
        if let Err(panic) = self.script.take().unwrap().join() {
            resume_unwind(panic);
        }
    }
}

/// Serves one connection after the other alike, up to so many, or until one says nothing.
fn serve_all(listener: &UnixListener, count: usize, serve: impl Fn(&mut Caller)) {
    for _ in 0..count {
        let mut caller = accept(listener);
        if caller.0.fill_buf().unwrap().is_empty() {
            return;
        }
        serve(&mut caller);
    }
}

/// The next connection.
fn accept(listener: &UnixListener) -> Caller {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(WATCHDOG)).unwrap();
    Caller(BufReader::new(stream))
}

impl Caller {
    fn message(&mut self) -> Json {
        let mut message = Vec::new();
        self.0.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "the client has hung up");
        serde_json::from_slice(&message).unwrap()
    }

    fn hears_anything(&mut self) -> &mut Caller {
        self.message();
        self
    }

    fn hears(&mut self, method: &str, parameters: Json) -> &mut Caller {
        let message = self.message();
        assert_eq!(message["method"], format!("io.globstash.{method}"));
        assert_eq!(message["parameters"], parameters);
        self
    }

    /// The client sends nothing more.
    fn hears_the_end(&mut self) {
        assert_eq!(self.0.fill_buf().unwrap(), b"");
    }

    fn says_bytes(&mut self, bytes: &[u8]) -> &mut Caller {
        self.0.get_mut().write_all(bytes).unwrap();
        self
    }

    fn says(&mut self, message: Json) -> &mut Caller {
        self.says_bytes(format!("{message}\0").as_bytes())
    }

    fn replies(&mut self, parameters: Json) -> &mut Caller {
        self.says(json!({ "parameters": parameters }))
    }

    fn tells(&mut self, parameters: Json) -> &mut Caller {
        self.says(json!({ "parameters": parameters, "continues": true }))
    }
}

fn variable(value: &str) -> Json {
    json!({"defined": true, "value": value, "revision": 1})
}

#[test]
fn one_connection_does_for_many_calls() {
    let fake = Fake::new(|listener| {
        let mut caller = accept(&listener);
        caller
            .hears("Set", json!({"key": "k", "value": "v"}))
            .replies(json!({"revision": 7}))
            .hears("Set", json!({"key": "k", "data": "/w=="}))
            .says(json!({"error": "io.globstash.ConditionFailed",
                "parameters": {"key": "k", "revision": 8}}))
            .hears("Get", json!({"key": "k"}))
            .replies(json!({"defined": true, "data": "/w==", "revision": 8}))
            .hears("Get", json!({"key": "l"}))
            .replies(json!({"defined": false, "value": "", "revision": 0}))
            .hears_the_end();
    });
    let mut client = fake.client();
    assert_eq!(client.set("k", "v").unwrap(), Revision(7));
    match client.set("k", b"\xff") {
        Err(Error::ConditionFailed { revision, .. }) => assert_eq!(revision, Revision(8)),
        result => panic!("{result:?}"),
    }
    assert_eq!(client.get("k").unwrap(), Some(b"\xff".into()));
    assert_eq!(client.get("l").unwrap(), None);
}

#[test]
fn a_read_whose_answer_is_lost_is_repeated_once() {
    let fake = Fake::new(|listener| {
        accept(&listener).hears("Get", json!({"key": "k"}));
        accept(&listener)
            .hears("Get", json!({"key": "k"}))
            .replies(variable("v"));
        accept(&listener).hears("Get", json!({"key": "l"}));
        accept(&listener)
            .hears("Get", json!({"key": "l"}))
            .says_bytes(b"{\"parameters\":{\"defi");
    });
    let mut client = fake.client();
    assert_eq!(client.get("k").unwrap(), Some("v".into()));
    client.idle = None;
    assert!(matches!(client.get("l"), Err(Error::Lost { .. })));
}

#[test]
fn a_change_whose_answer_is_lost_is_never_repeated() {
    let fake = Fake::new(|listener| {
        accept(&listener).hears("Set", json!({"key": "k", "value": "v"}));
        accept(&listener)
            .hears("Get", json!({"key": "k"}))
            .replies(variable("v"));
    });
    let mut client = fake.client();
    match client.set("k", "v") {
        Err(Error::OutcomeUnknown(what)) => assert!(matches!(*what, Error::Lost { .. })),
        result => panic!("{result:?}"),
    }
    // What it can do is look.
    assert_eq!(client.get("k").unwrap(), Some("v".into()));
}

#[test]
fn a_change_of_which_nothing_was_heard_is_repeated() {
    let (closed, is_closed) = channel();
    let fake = Fake::new(move |listener| {
        accept(&listener)
            .hears("Get", json!({"key": "k"}))
            .replies(variable("v"));
        closed.send(()).unwrap();
        accept(&listener)
            .hears("Set", json!({"key": "k", "value": "w"}))
            .replies(json!({"revision": 2}));
    });
    let mut client = fake.client();
    client.get("k").unwrap();
    is_closed.recv().unwrap();
    assert_eq!(client.set("k", "w").unwrap(), Revision(2));
}

#[test]
fn a_service_that_never_comes_to_an_end_is_given_up() {
    let fake = Fake::new(|listener| {
        let mut slow = accept(&listener);
        slow.hears("Get", json!({"key": "k"}));
        // Never silent for long, until nobody listens any more.
        while slow.0.get_mut().write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let mut client = fake.client_with(Options::new().timeout(Duration::from_millis(20)));
    assert!(matches!(client.get("k"), Err(Error::Silent { .. })));
}

#[cfg(feature = "command")]
#[test]
fn a_service_that_is_started_in_vain_is_given_up() {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static STARTS: AtomicUsize = AtomicUsize::new(0);
    let starter = Starter {
        place: crate::sys::place::Place::User,
        start: |_| {
            STARTS.fetch_add(1, Relaxed);
            Ok(true)
        },
    };
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new().timeout(Duration::from_millis(500));
    let started = options
        .starting(Some(starter))
        .at(&*folder.path().join("s"));
    let error = started.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(STARTS.load(Relaxed) > 1, "it was tried again");
}

/// On a machine where much goes on it may take longer than the caller would else wait. Then there was a
/// service, and the caller was told that there is none.
#[cfg(feature = "command")]
#[test]
fn a_service_that_takes_long_to_start_is_called() {
    use std::sync::OnceLock;
    static SOCKET: OnceLock<std::path::PathBuf> = OnceLock::new();
    const PATIENCE: Duration = Duration::from_millis(1);
    let starter = Starter {
        place: crate::sys::place::Place::User,
        start: |_| {
            let begun = Instant::now();
            // It is no service before the caller's patience has ended.
            while begun.elapsed() <= PATIENCE {
                thread::yield_now();
            }
            let listener = UnixListener::bind(SOCKET.get().unwrap()).unwrap();
            // It listens for as long as this process lives.
            std::mem::forget(listener);
            Ok(true)
        },
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = SOCKET.get_or_init(|| folder.path().join("s"));
    let options = Options::new().timeout(PATIENCE);
    options.starting(Some(starter)).at(&**socket).unwrap();
}

#[test]
fn a_silent_service_is_given_up() {
    let (asked_again, is_asked_again) = channel();
    let fake = Fake::new(move |listener| {
        let mut silent = accept(&listener);
        silent.hears("Set", json!({"key": "k", "value": "v"}));
        // What comes too late is not taken for the answer to something else.
        let mut other = accept(&listener);
        other.hears("Get", json!({"key": "k"}));
        let _ = silent.0.get_mut().write_all(b"{\"parameters\":{}}\0");
        is_asked_again.recv().unwrap();
    });
    let mut client = fake.client_with(Options::new().timeout(Duration::from_millis(20)));
    match client.set("k", "v") {
        Err(Error::OutcomeUnknown(what)) => assert!(matches!(*what, Error::Silent { .. })),
        result => panic!("{result:?}"),
    }
    assert!(matches!(client.get("k"), Err(Error::Silent { .. })));
    asked_again.send(()).unwrap();
}

#[test]
fn nonsense_is_told_and_not_believed_again() {
    let fake = Fake::new(|listener| {
        for nonsense in [
            &b"hello\0"[..],
            b"{}\0",
            b"{\"parameters\":{\"defined\":true,\"revision\":1}}\0",
            b"{\"parameters\":{\"defined\":true,\"revision\":1,\"data\":\"?\"}}\0",
        ] {
            accept(&listener)
                .hears("Get", json!({"key": "k"}))
                .says_bytes(nonsense);
        }
    });
    let mut client = fake.client();
    for _ in 0..4 {
        assert!(matches!(client.get("k"), Err(Error::Nonsense { .. })));
        client.idle = None;
    }
}

#[test]
fn an_answer_that_takes_longer_than_a_spin_is_waited_for() {
    let fake = Fake::new(|listener| {
        let mut caller = accept(&listener);
        for _ in 0..20 {
            caller.hears("Get", json!({"key": "k"}));
            thread::sleep(Duration::from_millis(1));
            caller.replies(variable("v"));
        }
        for _ in 0..20 {
            caller
                .hears("Get", json!({"key": "k"}))
                .replies(variable("v"));
        }
    });
    let mut client = fake.client();
    for _ in 0..40 {
        assert_eq!(client.get("k").unwrap(), Some("v".into()));
    }
}

#[test]
fn spinning_can_be_left_out() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Get", json!({"key": "k"}))
            .replies(variable("v"));
    });
    let options = Options::new().timeout(WATCHDOG).without_spinning();
    assert_eq!(
        fake.client_with(options).get("k").unwrap(),
        Some("v".into())
    );
}

#[test]
fn a_long_answer_comes_whole() {
    let long = "v".repeat(1 << 20);
    let reply = variable(&long);
    let fake = Fake::new(move |listener| {
        accept(&listener)
            .hears("Get", json!({"key": "k"}))
            .replies(reply);
    });
    assert_eq!(fake.client().get("k").unwrap(), Some(long.into()));
}

/// To tell whether a variable is defined, all of its value was fetched.
#[test]
fn a_revision_is_asked_for_without_the_value() {
    let fake = Fake::new(|listener| {
        let list = |pattern| json!({"patterns": [pattern], "keysOnly": true});
        accept(&listener)
            .hears("List", list(r"a\*\/"))
            .replies(json!({"entries": [{"key": "a*/", "revision": 7}], "revision": 9}))
            .hears("List", list("l"))
            .replies(json!({"entries": [], "revision": 9}))
            .hears("Get", json!({"key": "l"}))
            .replies(json!({"defined": false, "value": "", "revision": 0}))
            .hears("List", list("m"))
            .says(json!({"error": "io.globstash.InvalidPattern",
                "parameters": {"pattern": "m", "reason": "r"}}))
            .hears("Get", json!({"key": "m"}))
            .says(json!({"error": "io.globstash.InvalidKey",
                "parameters": {"key": "m", "reason": "r"}}))
            .hears_the_end();
    });
    let mut client = fake.client();
    assert_eq!(client.revision("a*/").unwrap(), Revision(7));
    assert_eq!(client.revision("l").unwrap(), Revision::UNDEFINED);
    assert!(matches!(
        client.revision("m"),
        Err(Error::InvalidKey { .. })
    ));
}

#[test]
fn a_list_comes_in_pieces_and_lets_the_client_go_on() {
    let fake = Fake::new(|listener| {
        let entry = |key| json!({"key": key, "value": "v", "revision": 1});
        let mut list = accept(&listener);
        list.hears("List", json!({"patterns": ["p/"]}))
            .tells(json!({"entries": [entry("a"), entry("b")], "revision": 1}));
        accept(&listener)
            .hears("Get", json!({"key": "k"}))
            .replies(variable("v"));
        list.tells(json!({"entries": [], "revision": 1}))
            .replies(json!({"entries": [entry("c")], "revision": 2}));
    });
    let mut client = fake.client();
    let list = client.list("p/").unwrap();
    client.get("k").unwrap();
    let keys: Vec<String> = list.map(|entry| entry.unwrap().key).collect();
    assert_eq!(keys, ["a", "b", "c"]);
}

#[test]
fn a_list_that_is_lost_half_way_ends_with_an_error() {
    let fake = Fake::new(|listener| {
        let entry = json!({"key": "a", "value": "v", "revision": 1});
        accept(&listener)
            .hears("List", json!({"keysOnly": true, "metadata": true}))
            .tells(json!({"entries": [entry], "revision": 1}));
    });
    let fields = Fields::KEYS.and_metadata();
    let mut list = fake.client().list_with(Patterns::all(), fields).unwrap();
    assert!(list.next().unwrap().is_ok());
    assert!(matches!(list.next(), Some(Err(Error::Lost { .. }))));
    assert!(list.next().is_none());
}

#[test]
fn everything_that_matches_is_deleted_however_many_calls_it_takes() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Delete", json!({"patterns": ["**"]}))
            .replies(json!({"count": 4096, "revision": 1}))
            .hears("Delete", json!({"patterns": ["**"]}))
            .replies(json!({"count": 4, "revision": 2}));
    });
    let deleted = fake.client().delete_matching(Patterns::all()).unwrap();
    assert_eq!((deleted.count, deleted.revision), (4100, Revision(2)));
}

#[test]
fn a_wait_outlives_the_service() {
    let fake = Fake::new(|listener| {
        let condition = json!({"defined": true, "revision": null, "value": null, "data": null});
        let parameters = json!({"key": "k", "condition": condition});
        accept(&listener).hears("Wait", parameters.clone());
        accept(&listener).hears("Wait", parameters.clone());
        accept(&listener)
            .hears("Wait", parameters)
            .replies(variable("v"));
    });
    assert_eq!(fake.client().wait("k").unwrap(), "v");
}

#[test]
fn a_wait_ends_when_the_service_says_so() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("GetStatus", json!({}))
            .replies(json!({"instance": "one"}))
            .hears(
                "Wait",
                json!({"key": "k", "changedFrom": 7, "timeoutUSec": 0}),
            )
            .says(json!({"error": "io.globstash.TimedOut", "parameters": {"key": "k"}}))
            .hears("GetStatus", json!({}))
            .replies(json!({"instance": "one"}))
            .hears("Wait", json!({"key": "k", "changedFrom": 7}))
            .replies(json!({"defined": false, "value": "", "revision": 0}));
    });
    let mut client = fake.client();
    let until = Until::changed_from(Revision(7));
    let result = client.wait_until("k", until.clone().within(Duration::ZERO));
    assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
    assert_eq!(client.wait_until("k", until).unwrap(), None);
}

/// A wait that has no time left asks the service that came back all the same: it may be there only
/// to be found on a connection that has died meanwhile. But it asks once.
#[test]
fn a_wait_without_time_asks_a_service_that_is_back_once() {
    let parameters = json!({"key": "k", "changedFrom": 0, "timeoutUSec": 0});
    let until = Until::changed_from(Revision::UNDEFINED).within(Duration::ZERO);
    let heard = parameters.clone();
    let fake = Fake::new(move |listener| {
        accept(&listener).hears("Wait", heard.clone());
        accept(&listener)
            .hears("Wait", heard)
            .replies(variable("v"));
    });
    let entry = fake.client().wait_until("k", until.clone()).unwrap();
    assert_eq!(entry.unwrap().value.unwrap(), "v");

    let fake = Fake::new(move |listener| {
        accept(&listener).hears("Wait", parameters.clone());
        accept(&listener).hears("Wait", parameters);
    });
    let result = fake.client().wait_until("k", until);
    assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
}

/// The queue of the listener is full, so that connecting takes as long as it may.
#[test]
fn a_wait_ends_in_time_also_if_nobody_accepts() {
    let (end, has_ended) = channel();
    let fake = Fake::new(move |listener| {
        let mut caller = accept(&listener);
        caller.hears(
            "Wait",
            json!({"key": "k", "changedFrom": 0, "timeoutUSec": 0}),
        );
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let _other = UnixStream::connect_addr(&address).unwrap();
        drop(caller);
        has_ended.recv().unwrap();
    });
    let until = Until::changed_from(Revision::UNDEFINED).within(Duration::ZERO);
    let mut client = fake.client_with(Options::new().timeout(2 * WATCHDOG));
    let started = Instant::now();
    let result = client.wait_until("k", until);
    end.send(()).unwrap();
    assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
    assert!(started.elapsed() < WATCHDOG);
}

/// A service that was stopped in a debugger accepts and says nothing. The wait went on for as long
/// as any answer may take, beyond the time that it was given, and then told that there is no service.
#[test]
fn a_wait_ends_in_time_also_if_nobody_answers() {
    for until in [Until::defined(), Until::changed_from(Revision(7))] {
        let fake = Fake::new(|listener| {
            accept(&listener).hears_anything().hears_the_end();
        });
        let mut client = fake.client_with(Options::new().timeout(2 * WATCHDOG));
        let started = Instant::now();
        let result = client.wait_until("k", until.within(Duration::from_millis(1)));
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
        assert!(started.elapsed() < WATCHDOG);
    }
}

impl Caller {
    /// Is the service for one that waits for a change of `k`, which has this revision. Whether it
    /// has changed for the caller; if not, nothing is said.
    fn has_changed(&mut self, instance: &str, revision: i64) -> bool {
        loop {
            let message = self.message();
            let method = message["method"].as_str().unwrap();
            if method == "io.globstash.GetStatus" {
                self.replies(json!({"instance": instance}));
                continue;
            }
            assert_eq!(method, "io.globstash.Wait");
            assert_eq!(message["parameters"]["condition"]["defined"], true);
            let has_changed = message["parameters"]["changedFrom"] != revision;
            if has_changed {
                self.replies(json!({"defined": true, "value": "v", "revision": revision}));
            }
            return has_changed;
        }
    }
}

fn changed_and_defined(revision: u64) -> Until {
    Until::changed_from(Revision(revision)).and(Condition::defined())
}

/// The variable was changed seven times, forgotten with the service, and changed seven times again.
/// A wait for its next change slept on.
#[test]
fn a_wait_for_a_change_takes_another_instance_for_one() {
    let fake = Fake::new(|listener| {
        assert!(!accept(&listener).has_changed("one", 7));
        assert!(accept(&listener).has_changed("two", 7));
    });
    let entry = fake.client().wait_until("k", changed_and_defined(7));
    assert_eq!(entry.unwrap().unwrap().revision, Revision(7));
}

#[test]
fn a_wait_for_a_change_takes_the_same_instance_for_none() {
    let fake = Fake::new(|listener| {
        assert!(!accept(&listener).has_changed("one", 7));
        assert!(!accept(&listener).has_changed("one", 7));
        assert!(accept(&listener).has_changed("one", 8));
    });
    let entry = fake.client().wait_until("k", changed_and_defined(7));
    assert_eq!(entry.unwrap().unwrap().revision, Revision(8));
}

#[test]
fn a_wait_for_a_century_is_possible() {
    let fake = Fake::new(|listener| {
        let century = 1_000_000 * i64::from(u32::MAX);
        accept(&listener)
            .hears(
                "Wait",
                json!({"key": "k", "changedFrom": 0, "timeoutUSec": century}),
            )
            .replies(variable("v"));
    });
    let until = Until::changed_from(Revision::UNDEFINED).within(Duration::MAX);
    fake.client().wait_until("k", until).unwrap();
}

/// `key=value@revision`, or `key@revision` for a deletion.
fn told(event: Option<Result<Event, Error>>) -> String {
    let event = event.unwrap().unwrap();
    let value = event.value.filter(|_| event.change == Change::Set);
    let value = value.map_or(String::new(), |value| {
        format!("={}", value.as_str().unwrap())
    });
    format!("{}{value}@{}", event.key, event.revision)
}

fn set(key: &str, value: &str, revision: i64) -> Json {
    json!({"change": "set", "key": key, "value": value, "revision": revision})
}

fn deleted(key: &str, revision: i64) -> Json {
    json!({"change": "deleted", "key": key, "value": "last", "revision": revision})
}

#[test]
fn a_watch_tells_the_present_state_and_then_changes() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"patterns": ["a", "b"], "initial": true}))
            .tells(json!({"events": [], "revision": 0, "instance": "one"}))
            .tells(json!({"events": [set("a", "1", 3)], "revision": 3}))
            .tells(json!({"events": [set("b", "2", 5)], "revision": 6, "upToDate": true}))
            .tells(
                json!({"events": [set("b", "3", 9), deleted("a", 10)], "revision": 10,
                "upToDate": true, "skipped": 2}),
            )
            .tells(json!({"events": [set("b", "4", 11)], "revision": 11, "skipped": 1}))
            .hears_the_end();
    });
    let mut watch = fake.client().watch(["a", "b"]).unwrap();
    assert!(!watch.is_up_to_date());
    let state = watch.catch_up().unwrap();
    let keys: Vec<&str> = state.iter().map(|event| &*event.key).collect();
    assert_eq!(keys, ["a", "b"]);
    assert!(watch.is_up_to_date());
    assert_eq!(watch.skipped(), 0);

    assert_eq!(told(watch.next()), "b=3@9");
    assert!(!watch.is_up_to_date(), "there is one more");
    assert_eq!(told(watch.next()), "a@10");
    assert!(watch.is_up_to_date());
    assert_eq!(told(watch.next()), "b=4@11");
    assert!(!watch.is_up_to_date());
    assert_eq!(watch.skipped(), 3);
}

#[test]
fn a_watch_can_be_asked_without_waiting() {
    let (go, is_told) = channel();
    let fake = Fake::new(move |listener| {
        let mut caller = accept(&listener);
        caller
            .hears("Watch", json!({}))
            .tells(json!({"events": [], "revision": 7, "instance": "one", "upToDate": true}));
        is_told.recv().unwrap();
        caller
            .tells(json!({"events": [set("a", "1", 8)], "revision": 8, "upToDate": true}))
            .hears_the_end();
    });
    let mut watch = fake
        .client()
        .watch_with(Patterns::all(), Start::Now, Fields::VALUES)
        .unwrap();
    assert!(watch.try_next().is_none());
    go.send(()).unwrap();
    let mut readable = [rustix::event::PollFd::new(
        &watch,
        rustix::event::PollFlags::IN,
    )];
    rustix::event::poll(&mut readable, None).unwrap();
    assert_eq!(told(watch.try_next()), "a=1@8");
    assert!(watch.try_next().is_none());
}

/// Waits for the descriptor again and again, until there is something to tell.
fn told_in_a_loop(watch: &mut Watch) -> Result<Event, Error> {
    loop {
        if let Some(event) = watch.try_next() {
            return event;
        }
        let flags = rustix::event::PollFlags::IN;
        let mut readable = [rustix::event::PollFd::new(watch, flags)];
        rustix::event::poll(&mut readable, None).unwrap();
    }
}

/// It slept until the service was back, up to five seconds, in a loop that had other things to do.
#[test]
fn a_watch_in_a_loop_does_not_sleep_while_the_service_is_away() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({}))
            .tells(json!({"events": [], "revision": 7, "instance": "one", "upToDate": true}));
    });
    let mut watch = fake
        .client()
        .watch_with(Patterns::all(), Start::Now, Fields::VALUES)
        .unwrap();
    // Its last act.
    drop(fake);
    assert!(watch.try_next().is_none());
    let event = told_in_a_loop(&mut watch);
    assert!(matches!(event, Err(Error::Unreachable { .. })), "{event:?}");
    assert!(watch.try_next().is_none());
}

#[test]
fn a_watch_in_a_loop_resumes_where_it_was() {
    let again = json!({"afterRevision": 7, "instance": "one"});
    let fake = Fake::new(move |listener| {
        accept(&listener)
            .hears("Watch", json!({}))
            .tells(json!({"events": [], "revision": 7, "instance": "one", "upToDate": true}));
        // It is back, and goes again; then it has no room yet.
        drop(accept(&listener));
        accept(&listener)
            .hears("Watch", again.clone())
            .says(json!({"error": "io.globstash.LimitExceeded",
                "parameters": {"limit": "watches", "maximum": 1}}));
        accept(&listener)
            .hears("Watch", again)
            .tells(json!({"events": [set("a", "1", 8)], "revision": 8, "upToDate": true}))
            .tells(json!({"events": [set("a", "2", 9)], "revision": 9, "upToDate": true}))
            .hears_the_end();
    });
    let mut watch = fake
        .client()
        .watch_with(Patterns::all(), Start::Now, Fields::VALUES)
        .unwrap();
    for expected in ["a=1@8", "a=2@9"] {
        assert_eq!(told(Some(told_in_a_loop(&mut watch))), expected);
    }
}

/// The time limit was counted from the question, also while the answer was coming in.
#[test]
fn a_watch_in_a_loop_waits_for_an_answer_that_keeps_coming() {
    const LIMIT: Duration = Duration::from_secs(1);
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({}))
            .tells(json!({"events": [], "revision": 7, "instance": "one", "upToDate": true}));
        let mut caller = accept(&listener);
        caller.hears_anything();
        let event = set("a", &"v".repeat(100), 8);
        let reply = json!({"parameters": {"events": [event], "revision": 8, "upToDate": true},
            "continues": true});
        let reply = format!("{reply}\0");
        for piece in reply.as_bytes().chunks(reply.len() / 8) {
            caller.says_bytes(piece);
            // So slow it is; nobody waits for it.
            thread::sleep(LIMIT / 5);
        }
        caller.hears_the_end();
    });
    let mut watch = fake
        .client_with(Options::new().timeout(LIMIT))
        .watch_with(Patterns::all(), Start::Now, Fields::VALUES)
        .unwrap();
    let event = told(Some(told_in_a_loop(&mut watch)));
    assert_eq!(event, format!("a={}@8", "v".repeat(100)));
}

/// How often this thread has slept.
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = |line: &str| {
        Some(
            line.strip_prefix("voluntary_ctxt_switches:")?
                .trim()
                .parse(),
        )
    };
    status.lines().find_map(line).unwrap().unwrap()
}

/// It slept until the next tick of the kernel's clock, some milliseconds each time.
#[test]
fn who_does_not_wait_for_a_connection_does_not_sleep() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let (address, options) = (folder.path().join("s"), Options::new());
    let address = Address::try_from(&*address).unwrap();
    let route = Route { address, options };
    route.connect(Duration::ZERO).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let in_vain = |_| {
        let before = sleeps();
        let result = route.connect(Duration::ZERO);
        let slept = sleeps() - before;
        assert!(matches!(result, Err(Error::Silent { .. })), "{result:?}");
        slept
    };
    // This thread may have to wait for something else now and then.
    assert_eq!((0..20).map(in_vain).min(), Some(0));
}

#[test]
fn a_watch_resumes_where_it_was() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"patterns": ["p/"], "initial": true}))
            .tells(json!({"events": [set("p/a", "1", 3)], "revision": 5,
                "instance": "one", "upToDate": true}));
        let resumed = json!({"patterns": ["p/"], "afterRevision": 5, "instance": "one"});
        // The service may hang up more than once.
        accept(&listener).hears("Watch", resumed.clone());
        accept(&listener)
            .hears("Watch", resumed)
            .tells(json!({"events": [set("p/a", "2", 7), deleted("p/b", 8)],
                "revision": 8, "instance": "one", "upToDate": true}))
            .hears_the_end();
    });
    let mut watch = fake.client().watch("p/").unwrap();
    assert_eq!(told(watch.next()), "p/a=1@3");
    assert_eq!(told(watch.next()), "p/a=2@7");
    assert_eq!(told(watch.next()), "p/b@8");
}

#[test]
fn after_a_reset_only_what_differs_is_told() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"initial": true}))
            .tells(
                json!({"events": [set("a", "1", 1), set("b", "2", 2), set("c", "3", 3)],
                "revision": 3, "instance": "one", "upToDate": true}),
            )
            .tells(json!({"events": [deleted("c", 4)], "revision": 4, "upToDate": true}));
        // It is lost again in the middle of the present state.
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 4, "instance": "one"}))
            .tells(json!({"events": [set("b", "2", 2)], "revision": 2,
                "instance": "one", "reset": true}));
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 2, "instance": "one"}))
            .tells(
                json!({"events": [set("d", "5", 7)], "revision": 8, "instance": "one",
                "upToDate": true}),
            )
            .tells(json!({"events": [set("a", "6", 9)], "revision": 9, "upToDate": true}))
            .hears_the_end();
    });
    let mut watch = fake.client().watch(Patterns::all()).unwrap();
    for expected in [
        "a=1@1", "b=2@2", "c=3@3", "c@4", // and then the reset
        "d=5@7", "a@8", "a=6@9",
    ] {
        assert_eq!(told(watch.next()), expected);
    }
}

#[test]
fn another_instance_begins_anew() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"initial": true}))
            .tells(
                json!({"events": [set("a", "1", 100), set("b", "2", 200)], "revision": 200,
                "instance": "one", "upToDate": true}),
            );
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 200, "instance": "one"}))
            .tells(json!({"events": [], "revision": 0, "instance": "two", "reset": true}))
            .tells(json!({"events": [set("b", "3", 1)], "revision": 1, "upToDate": true}))
            .tells(json!({"events": [set("a", "4", 2)], "revision": 2, "upToDate": true}))
            .hears_the_end();
    });
    let mut watch = fake.client().watch(Patterns::all()).unwrap();
    for expected in ["a=1@100", "b=2@200", "b=3@1", "a@1", "a=4@2"] {
        assert_eq!(told(watch.next()), expected);
    }
}

/// What a watch that did not begin with the present state can know, and what it cannot.
#[test]
fn a_watch_from_now_on_tells_what_is_gone_if_it_has_heard_of_it() {
    let fake = Fake::new(|listener| {
        // There are a, b and c.
        accept(&listener)
            .hears("Watch", json!({}))
            .tells(json!({"events": [], "revision": 7, "instance": "one", "upToDate": true}))
            .tells(json!({"events": [set("a", "1", 8)], "revision": 8, "upToDate": true}));
        // Now a and b are gone, and d is new. Of b it has not heard.
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 8, "instance": "one"}))
            .tells(
                json!({"events": [set("c", "1", 3), set("d", "1", 11)], "revision": 11,
                "instance": "one", "reset": true, "upToDate": true}),
            );
        // Of c it has, though there was nothing to tell.
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 11, "instance": "one"}))
            .tells(json!({"events": [], "revision": 0,
                "instance": "two", "reset": true, "upToDate": true}))
            .hears_the_end();
    });
    let mut watch = fake
        .client()
        .watch_with(Patterns::all(), Start::Now, Fields::VALUES)
        .unwrap();
    for expected in ["a=1@8", "d=1@11", "a@11", "c@0", "d@0"] {
        assert_eq!(told(watch.next()), expected);
    }
}

fn at(revision: u64, instance: &str) -> Position {
    Position {
        revision: Revision(revision),
        instance: instance.to_owned(),
    }
}

#[test]
fn a_position_is_between_two_changes() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"initial": true}))
            .tells(
                json!({"events": [set("a", "1", 3), set("b", "1", 5), set("c", "1", 5),
                set("d", "1", 6)], "revision": 7, "instance": "one", "upToDate": true}),
            )
            .tells(json!({"events": [], "revision": 9, "upToDate": true}))
            .tells(json!({"events": [set("a", "2", 10)], "revision": 10}))
            .hears_the_end();
    });
    let mut watch = fake.client().watch(Patterns::all()).unwrap();
    assert_eq!(watch.position(), at(0, ""));
    for (event, position) in [
        ("a=1@3", 3),
        ("b=1@5", 3),
        ("c=1@5", 5),
        ("d=1@6", 7),
        ("a=2@10", 10),
    ] {
        assert_eq!(told(watch.next()), event);
        assert_eq!(watch.position(), at(position, "one"), "after {event}");
    }
}

#[test]
fn a_watch_goes_on_where_an_earlier_one_was() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 7, "instance": "one"}))
            .tells(
                json!({"events": [deleted("a", 8), set("b", "2", 9)], "revision": 9,
                "instance": "one", "upToDate": true}),
            );
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 9, "instance": "one"}))
            .tells(json!({"events": [set("c", "1", 2)], "revision": 3,
                "instance": "one", "reset": true}))
            .tells(json!({"events": [set("e", "1", 11)], "revision": 12, "upToDate": true}))
            .hears_the_end();
    });
    let start = Start::After {
        position: at(7, "one"),
        keys: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
    };
    let mut client = fake.client();
    let mut watch = client
        .watch_with(Patterns::all(), start, Fields::VALUES)
        .unwrap();
    assert_eq!(watch.position(), at(7, "one"));
    // From "e" on it is told the present state, which adds up when it is known what is gone.
    for (event, position) in [
        ("a@8", 8),
        ("b=2@9", 9),
        ("e=1@11", 9),
        ("b@12", 9),
        ("d@12", 12),
    ] {
        assert_eq!(told(watch.next()), event);
        assert_eq!(watch.position(), at(position, "one"), "after {event}");
    }
}

#[test]
fn a_watch_that_goes_on_in_another_instance_begins_anew() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 7, "instance": "one"}))
            .tells(
                json!({"events": [set("b", "1", 2), set("c", "1", 3)], "revision": 3,
                "instance": "two", "reset": true, "upToDate": true}),
            )
            .hears_the_end();
    });
    let start = Start::After {
        position: at(7, "one"),
        keys: vec!["a".to_owned(), "b".to_owned()],
    };
    let mut client = fake.client();
    let mut watch = client
        .watch_with(Patterns::all(), start, Fields::VALUES)
        .unwrap();
    for (event, position) in [
        ("b=1@2", at(7, "one")),
        ("c=1@3", at(7, "one")),
        ("a@3", at(3, "two")),
    ] {
        assert_eq!(told(watch.next()), event);
        assert_eq!(watch.position(), position, "after {event}");
    }
}

/// What a program has kept of an earlier watch may be damaged.
#[test]
fn a_watch_that_goes_on_where_nobody_was_is_told_all() {
    for known_at_once in [true, false] {
        let fake = Fake::new(move |listener| {
            let all = json!([set("a", "1", 2), set("b", "1", 3)]);
            let mut caller = accept(&listener);
            caller.hears("Watch", json!({"afterRevision": 7, "instance": "one"}));
            if known_at_once {
                caller.tells(json!({"events": all, "revision": 4, "instance": "one",
                    "reset": true, "upToDate": true}));
            } else {
                caller
                    .tells(json!({"events": [], "revision": 0, "instance": "one", "reset": true}));
                accept(&listener)
                    .hears("GetStatus", json!({}))
                    .replies(json!({"revision": 4}));
                caller.tells(json!({"events": all, "revision": 4, "upToDate": true}));
            }
            caller.hears_the_end();
        });
        let start = Start::After {
            position: at(7, "one"),
            keys: vec!["a".to_owned(), "c".to_owned()],
        };
        let mut client = fake.client();
        let mut watch = client
            .watch_with(Patterns::all(), start, Fields::VALUES)
            .unwrap();
        for event in ["a=1@2", "b=1@3", "c@4"] {
            assert_eq!(told(watch.next()), event);
        }
        assert_eq!(watch.position(), at(4, "one"));
    }
}

#[test]
fn a_watch_that_goes_on_after_what_the_service_remembers_tells_what_differs() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 7, "instance": "one"}))
            .tells(
                json!({"events": [set("b", "1", 7), set("c", "1", 8)], "revision": 9,
                "instance": "one", "reset": true, "upToDate": true}),
            )
            .hears_the_end();
    });
    let start = Start::After {
        position: at(7, "one"),
        keys: vec!["a".to_owned(), "b".to_owned()],
    };
    let mut client = fake.client();
    let mut watch = client
        .watch_with(Patterns::all(), start, Fields::VALUES)
        .unwrap();
    assert_eq!(told(watch.next()), "c=1@8");
    assert_eq!(told(watch.next()), "a@9");
    assert_eq!(watch.position(), at(9, "one"));
}

#[test]
fn what_was_not_given_because_of_an_error_is_not_behind_the_position() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 7, "instance": "one"}))
            .tells(json!({"events": [set("a", "1", 8)], "revision": 8, "instance": "one"}))
            .says_bytes(b"hello\0");
    });
    let start = Start::After {
        position: at(7, "one"),
        keys: Vec::new(),
    };
    let mut client = fake.client();
    let mut watch = client
        .watch_with(Patterns::all(), start, Fields::VALUES)
        .unwrap();
    assert!(matches!(watch.catch_up(), Err(Error::Nonsense { .. })));
    assert_eq!(watch.position(), at(7, "one"));
}

#[test]
fn kinds_of_changes_that_nobody_knows_yet_end_a_variable() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"initial": true}))
            .tells(json!({"events": [
            {"change": "expired", "key": "a", "revision": 3}], "revision": 3, "instance": "one"}))
            .hears_the_end();
    });
    let mut watch = fake.client().watch(Patterns::all()).unwrap();
    assert_eq!(told(watch.next()), "a@3");
}

#[test]
fn a_watch_that_is_refused_does_not_begin() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"patterns": ["[a"], "initial": true}))
            .says(json!({"error": "io.globstash.InvalidPattern",
                "parameters": {"pattern": "[a", "reason": "it is open"}}));
    });
    let watch = fake.client().watch("[a");
    assert!(matches!(watch, Err(Error::InvalidPattern { .. })));
}

fn limit_exceeded(limit: &str) -> Json {
    json!({"error": "io.globstash.LimitExceeded", "parameters": {"limit": limit, "maximum": 1}})
}

/// A service that hung up after each answer was asked again every 2 ms, for ever: with each answer
/// it seemed to be back.
#[test]
fn a_watch_gives_up_on_a_service_that_answers_and_hangs_up() {
    /// More than there can be in five seconds with growing pauses.
    const ATTEMPTS: usize = 1000;

    let fake = Fake::new(|listener| {
        serve_all(&listener, ATTEMPTS, |caller| {
            caller
                .hears_anything()
                .tells(json!({"events": [], "revision": 3, "instance": "one", "upToDate": true}));
        });
        // From here on nobody is there to hang up.
    });
    let mut watch = fake.client().watch(Patterns::all()).unwrap();
    let event = watch.next();
    assert!(matches!(event, Some(Err(Error::Lost { .. }))), "{event:?}");
    fake.end();
}

/// A service that was killed again and again, five seconds long, ended a watch although it went on
/// each time.
#[test]
fn a_watch_does_not_give_up_on_a_service_that_gets_on() {
    /// More than there can be in five seconds if pauses grow.
    const ATTEMPTS: u64 = 200;

    let fake = Fake::new(|listener| {
        for revision in 1..=ATTEMPTS {
            let event = json!({"change": "set", "key": "k", "value": "v", "revision": revision});
            accept(&listener).hears_anything().tells(json!({
                "events": [event], "revision": revision, "instance": "one", "upToDate": true
            }));
        }
    });
    let mut watch = fake.client().watch(Patterns::all()).unwrap();
    for _ in 0..ATTEMPTS {
        let event = watch.next().unwrap();
        assert!(event.is_ok(), "{event:?}");
    }
}

#[test]
fn a_wait_that_is_refused_for_lack_of_room_asks_again() {
    let fake = Fake::new(|listener| {
        let undefined = json!({"defined": false, "revision": null, "value": null, "data": null});
        let parameters = json!({"key": "k", "condition": undefined});
        accept(&listener).hears("Wait", parameters.clone());
        accept(&listener)
            .hears("Wait", parameters.clone())
            .says(limit_exceeded("connections"));
        accept(&listener)
            .hears("Wait", parameters)
            .replies(json!({"defined": false, "value": "", "revision": 0}));
    });
    let gone = fake.client().wait_until("k", Until::undefined());
    assert_eq!(gone.unwrap(), None);
}

/// When a service comes back, all its callers do, and there may be too many of them for a moment.
/// A watch that met such a moment ended.
#[test]
fn a_watch_that_is_refused_for_lack_of_room_asks_again() {
    let resumed = json!({"afterRevision": 3, "instance": "one"});
    let fake = Fake::new(move |listener| {
        accept(&listener)
            .hears("Watch", json!({"initial": true}))
            .tells(json!({"events": [], "revision": 3, "instance": "one", "upToDate": true}));
        for limit in ["connections", "processes"] {
            accept(&listener)
                .hears("Watch", resumed.clone())
                .says(limit_exceeded(limit));
        }
        accept(&listener)
            .hears("Watch", resumed)
            .tells(json!({"events": [set("a", "1", 4)], "revision": 4, "upToDate": true}))
            .hears_the_end();
    });
    let mut watch = fake.client().watch(Patterns::all()).unwrap();
    assert_eq!(told(watch.next()), "a=1@4");
}

#[test]
fn a_watch_for_which_there_never_is_room_ends_with_the_refusal() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"initial": true}))
            .tells(json!({"events": [], "revision": 3, "instance": "one", "upToDate": true}));
        serve_all(&listener, usize::MAX, |caller| {
            caller
                .hears("Watch", json!({"afterRevision": 3, "instance": "one"}))
                .says(limit_exceeded("connections"));
        });
    });
    let mut watch = fake.client().watch(Patterns::all()).unwrap();
    let event = watch.next();
    assert!(
        matches!(event, Some(Err(Error::LimitExceeded { .. }))),
        "{event:?}"
    );
    assert!(watch.next().is_none());
    fake.end();
}

#[test]
fn a_watch_that_is_refused_for_what_it_asks_ends_at_once() {
    let fake = Fake::new(|listener| {
        accept(&listener)
            .hears("Watch", json!({"initial": true}))
            .tells(json!({"events": [], "revision": 3, "instance": "one", "upToDate": true}));
        accept(&listener)
            .hears("Watch", json!({"afterRevision": 3, "instance": "one"}))
            .says(json!({"error": "org.varlink.service.InvalidParameter",
                "parameters": {"parameter": "patterns"}}));
    });
    let mut watch = fake.client().watch(Patterns::all()).unwrap();
    let event = watch.next();
    assert!(matches!(event, Some(Err(Error::InvalidParameter { .. }))));
    assert!(watch.next().is_none());
    assert!(watch.try_next().is_none());
}

#[test]
fn a_client_can_be_sent_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Client>();
    is_send::<Watch>();
    is_send::<List>();
    is_send::<Error>();
}
