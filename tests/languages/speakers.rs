//! Who sets and reads variables, each in a language of its own.
//!
//! Rust speaks here; the command is run for each request; varlink is spoken by hand. The others are
//! programs that read requests, a line each, and answer with a line.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use globstash::{Attached, Batch, Change, Client, Condition, Error, Patterns, Start, Terms, Watch};
use serde_json::{Value as Json, json};

use crate::common::{Daemon, Peer};

/// What a watch tells.
#[derive(Debug, PartialEq)]
pub enum Event {
    Set(Vec<u8>),
    Deleted,
    Expired,
}

/// Somebody who sets and reads variables.
pub trait Speaker {
    fn set(&mut self, key: &str, value: &[u8]);
    fn set_for(&mut self, key: &str, value: &[u8], ttl: Duration);
    fn get(&mut self, key: &str) -> Option<Vec<u8>>;
    fn delete(&mut self, key: &str);
    /// At once or not at all: if the variable has this value, it is deleted, and [`taken`] has it. Returns
    /// whether it was done; `None` if there are no words for that.
    fn take(&mut self, key: &str, value: &[u8]) -> Option<bool>;
    /// Begins to watch; nothing that comes after is missed.
    fn watch(&mut self, key: &str);
    /// The next event of a watch.
    fn next(&mut self, key: &str) -> Event;
}

/// The other variable of [`Speaker::take`].
pub fn taken(key: &str) -> String {
    format!("{key}/taken")
}

impl Event {
    fn named(name: &str) -> Event {
        match name {
            "deleted" => Event::Deleted,
            "expired" => Event::Expired,
            _ => panic!("a change that is {name}"),
        }
    }

    /// As the interface tells it.
    fn of_json(event: &Json) -> Event {
        match event["change"].as_str() {
            Some("set") => Event::Set(bytes(event).expect("it has a value")),
            name => Event::named(name.expect("a change")),
        }
    }
}

/// What the fields `value` and `data` tell.
fn bytes(fields: &Json) -> Option<Vec<u8>> {
    let text = fields["value"].as_str();
    let data = fields["data"].as_str();
    let decode = |data| BASE64_STANDARD.decode(data).expect("Base64");
    text.map(|text| text.as_bytes().to_vec())
        .or(data.map(decode))
}

/// The library, and what reads by itself.
pub struct Rust {
    client: Client,
    attached: Attached,
    watches: HashMap<String, Watch>,
}

impl Rust {
    pub fn new(daemon: &Daemon) -> Rust {
        let client = daemon.client();
        Rust {
            attached: client.attach().expect("the same"),
            client,
            watches: HashMap::new(),
        }
    }
}

impl Speaker for Rust {
    fn set(&mut self, key: &str, value: &[u8]) {
        self.client.set(key, value).expect("it can be set");
    }

    fn set_for(&mut self, key: &str, value: &[u8], ttl: Duration) {
        let set = self.client.set_with(key, value, Terms::new().ttl(ttl));
        set.expect("it can be set");
    }

    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        let value = self.attached.get(key).expect("it can be read");
        value.map(globstash::Value::into_bytes)
    }

    fn delete(&mut self, key: &str) {
        let deleted = self.client.delete(key).expect("it can be deleted");
        assert_eq!(deleted.count, 1);
    }

    fn take(&mut self, key: &str, value: &[u8]) -> Option<bool> {
        let take = Batch::new()
            .check(key, Condition::value(value))
            .delete(key)
            .set(taken(key), value);
        match self.client.apply(take) {
            Ok(_) => Some(true),
            Err(Error::ConditionFailed { .. }) => Some(false),
            Err(error) => panic!("{error}"),
        }
    }

    fn watch(&mut self, key: &str) {
        let (key, fields) = (key.to_owned(), globstash::Fields::VALUES);
        let watch = self
            .client
            .watch_with(Patterns::keys([&key]), Start::Now, fields);
        self.watches.insert(key, watch.expect("it can be watched"));
    }

    fn next(&mut self, key: &str) -> Event {
        let watch = self.watches.get_mut(key).expect("it is watched");
        let event = watch.next().expect("it goes on").expect("well");
        assert_eq!(event.key, key);
        match event.change {
            Change::Set => Event::Set(event.value.expect("it has a value").into_bytes()),
            Change::Expired => Event::Expired,
            _ => Event::Deleted,
        }
    }
}

/// The command, once for each request.
pub struct Shell<'d> {
    daemon: &'d Daemon,
    watches: HashMap<String, Lines>,
}

/// A program that prints.
struct Lines {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl<'d> Shell<'d> {
    pub fn new(daemon: &'d Daemon) -> Shell<'d> {
        let watches = HashMap::new();
        Shell { daemon, watches }
    }

    /// Runs it with something to read; what it printed.
    fn run(&self, arguments: &[&str], input: &[u8]) -> (i32, Vec<u8>) {
        let mut child = self
            .daemon
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        (output.status.code().expect("by itself"), output.stdout)
    }

    fn done(&self, arguments: &[&str], input: &[u8]) {
        assert_eq!(self.run(arguments, input).0, 0, "{arguments:?}");
    }
}

impl Speaker for Shell<'_> {
    fn set(&mut self, key: &str, value: &[u8]) {
        match value {
            // Without one, that would mean to delete it.
            [] => self.done(&["set", "--empty", key], b""),
            _ => self.done(&["set", "--raw", key], value),
        }
    }

    fn set_for(&mut self, key: &str, value: &[u8], ttl: Duration) {
        let ttl = format!("{}ms", ttl.as_millis());
        self.done(&["set", "--raw", "--ttl", &ttl, key], value);
    }

    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        match self.run(&["get", "-e", "--raw", key], b"") {
            (0, value) => Some(value),
            (1, _) => None,
            (status, _) => panic!("status {status}"),
        }
    }

    fn delete(&mut self, key: &str) {
        self.done(&["delete", key], b"");
    }

    fn take(&mut self, _: &str, _: &[u8]) -> Option<bool> {
        None
    }

    fn watch(&mut self, key: &str) {
        let watches = |daemon: &Daemon| {
            let status = daemon.ask("io.globstash.GetStatus", json!({}));
            status["watches"].as_u64().expect("a number")
        };
        let before = watches(self.daemon);
        let mut child = self
            .daemon
            .command(["watch", "--changes", "--json", "--literal", key])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        self.watches.insert(key.to_owned(), Lines { child, lines });
        crate::common::eventually("it watches", || watches(self.daemon) > before);
    }

    fn next(&mut self, key: &str) -> Event {
        let watch = self.watches.get_mut(key).expect("it is watched");
        let mut line = String::new();
        watch.lines.read_line(&mut line).expect("a line");
        let event: Json = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["key"], key);
        Event::of_json(&event)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// varlink, as every client of it speaks, and `varlinkctl`.
pub struct Varlink<'d> {
    daemon: &'d Daemon,
    peer: Peer,
    watches: HashMap<String, Peer>,
}

impl<'d> Varlink<'d> {
    pub fn new(daemon: &'d Daemon) -> Varlink<'d> {
        Varlink {
            daemon,
            peer: daemon.connect(),
            watches: HashMap::new(),
        }
    }

    fn ask(&mut self, method: &str, parameters: Json) -> Json {
        self.peer.ask(&format!("io.globstash.{method}"), parameters)
    }
}

/// What no JSON parser has to take: NUL, and the last two code points of each plane.
fn is_no_text(char: char) -> bool {
    char == '\0' || char as u32 & 0xfffe == 0xfffe
}

/// The parameters of Set: text as `value`, anything else as `data`.
fn parameters(key: &str, value: &[u8]) -> Json {
    match str::from_utf8(value) {
        Ok(text) if !text.contains(is_no_text) => json!({ "key": key, "value": text }),
        _ => json!({ "key": key, "data": BASE64_STANDARD.encode(value) }),
    }
}

impl Speaker for Varlink<'_> {
    fn set(&mut self, key: &str, value: &[u8]) {
        self.ask("Set", parameters(key, value));
    }

    fn set_for(&mut self, key: &str, value: &[u8], ttl: Duration) {
        let mut parameters = parameters(key, value);
        parameters["ttlUSec"] = json!(ttl.as_micros() as u64);
        self.ask("Set", parameters);
    }

    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        let reply = self.ask("Get", json!({ "key": key }));
        // What is not defined reads as the empty string.
        bytes(&reply).filter(|_| reply["defined"] == true)
    }

    fn delete(&mut self, key: &str) {
        assert_eq!(self.ask("Delete", json!({ "key": key }))["count"], 1);
    }

    fn take(&mut self, key: &str, value: &[u8]) -> Option<bool> {
        let mut set = parameters(&taken(key), value);
        set["action"] = json!("set");
        let mut condition = parameters(key, value);
        condition.as_object_mut().expect("fields").remove("key");
        self.peer
            .send(&json!({ "method": "io.globstash.Apply", "parameters": {
                "checks": [{ "key": key, "condition": condition }],
                "operations": [{ "action": "delete", "key": key }, set],
            }}));
        let reply = self.peer.receive();
        match reply["error"].as_str() {
            None => Some(true),
            Some("io.globstash.ConditionFailed") => Some(false),
            Some(_) => panic!("{reply}"),
        }
    }

    fn watch(&mut self, key: &str) {
        let mut peer = self.daemon.connect();
        let parameters = json!({ "patterns": [key] });
        peer.send(
            &json!({ "method": "io.globstash.Watch", "parameters": parameters, "more": true }),
        );
        // The first reply comes at once: from then on nothing is missed.
        peer.receive();
        self.watches.insert(key.to_owned(), peer);
    }

    fn next(&mut self, key: &str) -> Event {
        let peer = self.watches.get_mut(key).expect("it is watched");
        let reply = peer.receive();
        let events = reply["parameters"]["events"].as_array();
        let [event] = &events.expect("events")[..] else {
            panic!("each change has a reply: {reply}");
        };
        assert_eq!(event["key"], key);
        Event::of_json(event)
    }
}

/// A program that is told what to do on standard input.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Program {
    pub fn start(daemon: &Daemon, mut command: Command) -> Program {
        let mut child = command
            .env("GLOBSTASH_ADDRESS", daemon.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Program {
            child,
            input,
            output,
        }
    }

    /// The answer to a request: a word, and what comes after it.
    fn ask(&mut self, request: &str) -> (String, Vec<u8>) {
        let input = self.input.as_mut().expect("a pipe");
        input
            .write_all(format!("{request}\n").as_bytes())
            .and_then(|()| input.flush())
            .expect("it reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        let line = line.strip_suffix('\n').expect("a line");
        match line.split_once(' ') {
            Some(("failed", why)) => panic!("{request:.80}: {why}"),
            Some((word, value)) => (word.to_owned(), unhex(value)),
            None => (line.to_owned(), Vec::new()),
        }
    }

    fn done(&mut self, request: &str, answer: &str) {
        assert_eq!(self.ask(request).0, answer);
    }
}

/// As values are told: "-" is the empty one.
fn hex(value: &[u8]) -> String {
    if value.is_empty() {
        return "-".to_owned();
    }
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    let mut word = String::with_capacity(2 * value.len());
    for byte in value {
        word.push(digit(byte >> 4));
        word.push(digit(byte & 15));
    }
    word
}

fn unhex(word: &str) -> Vec<u8> {
    let digits = word.trim_start_matches('-').as_bytes();
    let half = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    };
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| half(pair[0]) << 4 | half(pair[1]))
        .collect()
}

impl Speaker for Program {
    fn set(&mut self, key: &str, value: &[u8]) {
        self.done(&format!("set {key} {}", hex(value)), "done");
    }

    fn set_for(&mut self, key: &str, value: &[u8], ttl: Duration) {
        let request = format!("set_for {key} {} {}", hex(value), ttl.as_millis());
        self.done(&request, "done");
    }

    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        match self.ask(&format!("get {key}")) {
            (word, value) if word == "value" => Some(value),
            (word, _) => {
                assert_eq!(word, "none");
                None
            }
        }
    }

    fn delete(&mut self, key: &str) {
        self.done(&format!("delete {key}"), "deleted");
    }

    fn take(&mut self, key: &str, value: &[u8]) -> Option<bool> {
        let (answer, _) = self.ask(&format!("take {key} {}", hex(value)));
        assert!(["done", "refused"].contains(&&*answer), "{answer}");
        Some(answer == "done")
    }

    fn watch(&mut self, key: &str) {
        self.done(&format!("watch {key}"), "done");
    }

    fn next(&mut self, key: &str) -> Event {
        match self.ask(&format!("next {key}")) {
            (word, value) if word == "set" => Event::Set(value),
            (word, _) => Event::named(&word),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It ends when nothing more is to be read; one that hangs is ended by timeout(1).
        drop(self.input.take());
        let status = self.child.wait().expect("it is ours");
        if !std::thread::panicking() {
            assert!(status.success(), "{status}");
        }
    }
}
