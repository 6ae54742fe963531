//! Where a test plays: a service, and one of two ways to call it.

use std::collections::VecDeque;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;
use serde_json::{Value, json};

use crate::client;
use crate::common::{Daemon, WATCHDOG};
use crate::varlinkctl::{self, Replies};

/// Users who are not the one that the service runs as. Nobody has these numbers.
pub const ALICE: u32 = 20_001;
pub const BOB: u32 = 20_002;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Client,
    Varlinkctl,
}

/// A refused call.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    /// The name of the error, without the interface if that is ours.
    pub name: String,
    pub parameters: Value,
}

/// A refusal with these parameters.
pub fn no(name: &str, parameters: Value) -> Refusal {
    let name = name.to_owned();
    Refusal { name, parameters }
}

/// The refusal of a parameter.
pub fn invalid_parameter(name: &str) -> Refusal {
    no(
        "org.varlink.service.InvalidParameter",
        json!({ "parameter": name }),
    )
}

/// One who calls a service. Parameters and replies are told as they are on the wire; what our client
/// cannot say ends the test.
#[derive(Clone, Debug)]
pub struct Caller {
    pub socket: PathBuf,
    pub way: Way,
    uid: Option<u32>,
}

/// A service, and one who calls it.
pub struct Scene {
    pub daemon: Daemon,
    me: Caller,
}

impl Scene {
    pub fn new(way: Way) -> Scene {
        Scene::with(way, &[])
    }

    /// The same, with a service that was given these arguments.
    pub fn with(way: Way, arguments: &[&str]) -> Scene {
        let daemon = Daemon::start_with(|command| {
            command.args(arguments);
        });
        let me = Caller {
            socket: daemon.socket(),
            way,
            uid: None,
        };
        let scene = Scene { daemon, me };
        scene.open();
        scene
    }

    /// Everybody may call.
    pub fn open(&self) {
        let allow = |path: &std::path::Path, mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, permissions).expect("it is ours");
        };
        allow(self.daemon.folder(), 0o755);
        allow(&self.socket, 0o666);
    }

    /// The one who calls.
    pub fn caller(&self) -> Caller {
        self.me.clone()
    }

    /// The same way to call another service, with arguments of its own.
    pub fn another(&self, arguments: &[&str]) -> Scene {
        Scene::with(self.way, arguments)
    }
}

impl Deref for Scene {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.me
    }
}

impl Caller {
    /// Another user, who calls in the same way.
    pub fn user(&self, uid: u32) -> Caller {
        Caller {
            uid: Some(uid),
            ..self.clone()
        }
    }

    /// One call with one reply.
    pub fn call(&self, method: &str, parameters: Value) -> Result<Value, Refusal> {
        match self.way {
            Way::Varlinkctl => varlinkctl::call(&self.socket, self.uid, method, &parameters),
            Way::Client => self.with_client(|client| client::call(client, method, parameters)),
        }
    }

    /// A call that is done; what it replied.
    pub fn ask(&self, method: &str, parameters: Value) -> Value {
        let result = self.call(method, parameters.clone());
        result.unwrap_or_else(|refusal| panic!("{method} {parameters}: {refusal:?}"))
    }

    /// A call that is refused; why.
    pub fn refuse(&self, method: &str, parameters: Value) -> Refusal {
        let result = self.call(method, parameters.clone());
        result.expect_err(&format!("{method} {parameters} is refused"))
    }

    /// The entries that List tells, with `more`.
    pub fn list(&self, parameters: Value) -> Result<Vec<Value>, Refusal> {
        if self.way == Way::Client {
            return self.with_client(|client| client::list(client, parameters));
        }
        let replies = varlinkctl::call_more(&self.socket, self.uid, "List", &parameters)?;
        let entries = |reply: &Value| reply["entries"].as_array().cloned().unwrap_or_default();
        Ok(replies.iter().flat_map(entries).collect())
    }

    /// The keys that match a pattern.
    pub fn matching(&self, pattern: &str) -> Vec<String> {
        let listed = self.list(json!({ "patterns": [pattern], "keysOnly": true }));
        let keys = listed.expect("it is a pattern").into_iter();
        keys.map(|entry| entry["key"].as_str().expect("a key").to_owned())
            .collect()
    }

    /// Begins to watch, and has the first reply.
    pub fn watch(&self, parameters: Value) -> Watching {
        match self.way {
            Way::Client => {
                self.with_client(|client| Watching::Client(client::watch(client, parameters)))
            }
            Way::Varlinkctl => {
                let mut replies = Replies::begin(&self.socket, self.uid, "Watch", &parameters);
                let first = replies.next().expect("a first reply");
                let mut told = Told::default();
                told.take_in(&first);
                Watching::Varlinkctl(replies, told)
            }
        }
    }

    /// Does something with a client of this user.
    pub fn with_client<T: Send>(&self, act: impl FnOnce(&mut globstash::Client) -> T + Send) -> T {
        let act = || {
            if let Some(uid) = self.uid.map(Uid::from_raw) {
                set_thread_res_uid(uid, uid, uid).expect("root runs this");
            }
            // Who has to wait for room waits longer than a caller has patience otherwise.
            let client = globstash::Options::new()
                .timeout(WATCHDOG)
                .at(&*self.socket);
            act(&mut client.expect("the service listens"))
        };
        // What a thread becomes, it stays.
        thread::scope(|scope| scope.spawn(act).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The same call, while the test goes on.
    pub fn meanwhile(
        &self,
        method: &'static str,
        parameters: Value,
    ) -> JoinHandle<Result<Value, Refusal>> {
        let caller = self.clone();
        thread::spawn(move || caller.call(method, parameters))
    }

    pub fn set(&self, key: &str, value: &str) -> u64 {
        revision(&self.ask("Set", json!({ "key": key, "value": value })))
    }

    /// The value of a variable; `None` if it is not defined.
    pub fn value(&self, key: &str) -> Option<String> {
        let reply = self.ask("Get", json!({ "key": key }));
        let value = reply["value"].as_str().map(str::to_owned);
        value.filter(|_| reply["defined"] == true)
    }

    /// What is known of a variable.
    pub fn entry(&self, key: &str) -> Value {
        self.ask("Get", json!({ "key": key, "metadata": true }))["entry"].take()
    }

    /// The present revision.
    pub fn revision(&self) -> u64 {
        revision(&self.ask("GetStatus", json!({})))
    }

    /// Waits until a variable is gone.
    pub fn until_gone(&self, key: &str) {
        self.ask(
            "Wait",
            json!({ "key": key, "condition": { "defined": false } }),
        );
    }
}

/// The revision that a reply tells.
pub fn revision(reply: &Value) -> u64 {
    reply["revision"].as_u64().expect("a revision")
}

/// A watch that has begun.
#[expect(clippy::large_enum_variant, reason = "there are one or two at a time")]
pub enum Watching {
    Client(globstash::Watch),
    Varlinkctl(Replies, Told),
}

/// What replies have told.
#[derive(Default)]
pub struct Told {
    events: VecDeque<Value>,
    last: Value,
    /// How many changes were left out, up to the last time that nothing was left to tell.
    skipped: u64,
}

impl Told {
    fn take_in(&mut self, reply: &Value) {
        let events = reply["events"].as_array().expect("events");
        self.events.extend(events.iter().cloned());
        self.last = reply.clone();
        if reply["upToDate"] == true {
            self.skipped += reply["skipped"].as_u64().unwrap_or(0);
        }
    }
}

impl Watching {
    /// The next event.
    pub fn event(&mut self) -> Value {
        match self {
            Watching::Client(watch) => {
                let event = watch.next().expect("there is no end to it");
                serde_json::to_value(event.expect("an event")).expect("JSON")
            }
            Watching::Varlinkctl(replies, told) => loop {
                if let Some(event) = told.events.pop_front() {
                    return event;
                }
                told.take_in(&replies.next().expect("there is no end to it"));
            },
        }
    }

    /// What is left to tell now: events until what was told adds up to the present state.
    pub fn catch_up(&mut self) -> Vec<Value> {
        match self {
            Watching::Client(watch) => {
                let events = watch.catch_up().expect("the service is there");
                let json = |event| serde_json::to_value(event).expect("JSON");
                events.into_iter().map(json).collect()
            }
            Watching::Varlinkctl(replies, told) => {
                while told.last["upToDate"] != true {
                    told.take_in(&replies.next().expect("there is no end to it"));
                }
                told.events.drain(..).collect()
            }
        }
    }

    /// Up to which revision everything was told.
    pub fn revision(&self) -> u64 {
        match self {
            Watching::Client(watch) => watch.position().revision.0,
            Watching::Varlinkctl(_, told) => revision(&told.last),
        }
    }

    /// How many changes were left out.
    pub fn skipped(&self) -> u64 {
        match self {
            Watching::Client(watch) => watch.skipped(),
            Watching::Varlinkctl(_, told) => told.skipped,
        }
    }

    /// The instance that was told first.
    pub fn instance(&self) -> String {
        match self {
            Watching::Client(watch) => watch.position().instance,
            Watching::Varlinkctl(_, told) => {
                told.last["instance"].as_str().expect("text").to_owned()
            }
        }
    }

    /// The last reply, as `varlinkctl` has it.
    pub fn reply(&self) -> &Value {
        match self {
            Watching::Client(_) => panic!("the client tells events, not replies"),
            Watching::Varlinkctl(_, told) => &told.last,
        }
    }

    /// The next reply, as `varlinkctl` has it.
    pub fn next_reply(&mut self) -> Value {
        let Watching::Varlinkctl(replies, told) = self else {
            panic!("the client tells events, not replies");
        };
        told.take_in(&replies.next().expect("there is no end to it"));
        told.events.clear();
        told.last.clone()
    }
}
