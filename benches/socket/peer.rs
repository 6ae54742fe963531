//! Peers: servers for comparison, run as children of this program.
//!
//! Three of them share one event loop and differ in what they do with the bytes: nothing (the
//! floor), JSON with types that borrow, or the varlink crate's `handle()`. The fourth is the crate's
//! own `listen()`. All keep their variables in a `HashMap` and do nothing else that a service must.
//! The relay has no variables: it carries news.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Mutex;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use serde_derive::{Deserialize, Serialize};
use serde_json::value::RawValue;
use varlink::{ConnectionHandler, ListenConfig, VarlinkService};

/// Received at once.
const BUFFER: usize = 64 << 10;
/// Events taken at once. Picked without measurement.
const EVENTS: usize = 256;
/// Threads of `listen()`. It never gets as many as connections by itself, and then stalls them.
const THREADS: usize = 256;
/// Marks the listening socket among the connections.
const LISTENER: u64 = u64::MAX;
/// What a connection says to the relay to be a listener; it is given back.
pub const WATCH: &[u8] = b"watch\0";

/// Serves at `address` for ever as the peer called `name`.
pub fn run(name: &str, address: &Path) -> io::Result<()> {
    match name {
        "echo" => serve(address, echo),
        "relay" => relay(address),
        "serde" => {
            let mut service = Borrowing::default();
            serve(address, |input, output| service.answer(input, output))
        }
        "handle" => {
            let service = crate_service();
            serve(address, |input, output| handle(&service, input, output))
        }
        "listen" => {
            let config = ListenConfig {
                initial_worker_threads: THREADS,
                max_worker_threads: THREADS,
                ..ListenConfig::default()
            };
            let address = format!("unix:{}", address.display());
            varlink::listen(crate_service(), &address, &config).map_err(io::Error::other)
        }
        _ => Err(io::Error::other(format!("no peer is called '{name}'"))),
    }
}

/// One thread, level-triggered epoll, nothing but EPOLLIN, one read and one write a turn. `answer`
/// appends to the output and says how much of the input it used.
fn serve(address: &Path, mut answer: impl FnMut(&[u8], &mut Vec<u8>) -> usize) -> io::Result<()> {
    let listener = UnixListener::bind(address)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &epoll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;

    let mut connections: Vec<Option<(UnixStream, Vec<u8>)>> = Vec::new();
    let mut events = Vec::with_capacity(EVENTS);
    let mut buffer = vec![0; BUFFER];
    let mut output = Vec::new();
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            if event.data.u64() == LISTENER {
                let (socket, _) = listener.accept()?;
                let data = EventData::new_u64(connections.len() as u64);
                epoll::add(&epoll, &socket, data, EventFlags::IN)?;
                connections.push(Some((socket, Vec::new())));
                continue;
            }
            let slot = &mut connections[event.data.u64() as usize];
            let Some((socket, rest)) = slot else { continue };
            let length = socket.read(&mut buffer).unwrap_or(0);
            if length == 0 {
                *slot = None;
                continue;
            }
            output.clear();
            if rest.is_empty() {
                let used = answer(&buffer[..length], &mut output);
                rest.extend_from_slice(&buffer[used..length]);
            } else {
                rest.extend_from_slice(&buffer[..length]);
                let used = answer(rest, &mut output);
                rest.drain(..used);
            }
            if !output.is_empty() && socket.write_all(&output).is_err() {
                *slot = None;
            }
        }
    }
}

/// The same loop; what one connection says is written to all that listen. Nobody leaves.
fn relay(address: &Path) -> io::Result<()> {
    let door = UnixListener::bind(address)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let data = EventData::new_u64(LISTENER);
    epoll::add(&epoll, &door, data, EventFlags::IN)?;

    let mut connections: Vec<UnixStream> = Vec::new();
    let mut listeners: Vec<usize> = Vec::new();
    let mut events = Vec::with_capacity(EVENTS);
    let mut buffer = vec![0; BUFFER];
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            if event.data.u64() == LISTENER {
                let (socket, _) = door.accept()?;
                let data = EventData::new_u64(connections.len() as u64);
                epoll::add(&epoll, &socket, data, EventFlags::IN)?;
                connections.push(socket);
                continue;
            }
            let number = event.data.u64() as usize;
            let length = connections[number].read(&mut buffer)?;
            let message = &buffer[..length];
            if message == WATCH {
                listeners.push(number);
                connections[number].write_all(message)?;
                continue;
            }
            if message.is_empty() {
                // It would be reported for ever.
                epoll::delete(&epoll, &connections[number])?;
            }
            for &listener in &listeners {
                connections[listener].write_all(message)?;
            }
        }
    }
}

fn echo(input: &[u8], output: &mut Vec<u8>) -> usize {
    output.extend_from_slice(input);
    input.len()
}

/// The floor of JSON: serde with types that borrow from the message.
#[derive(Default)]
pub struct Borrowing {
    variables: HashMap<String, (String, i64)>,
    revision: i64,
}

#[derive(Deserialize)]
struct Request<'a> {
    method: &'a str,
    #[serde(borrow)]
    parameters: &'a RawValue,
}

#[derive(Deserialize)]
struct Parameters<'a> {
    key: &'a str,
    value: Option<&'a str>,
}

#[derive(Serialize)]
struct Reply<T> {
    parameters: T,
}

#[derive(Serialize)]
struct Got<'a> {
    defined: bool,
    value: &'a str,
    revision: i64,
}

#[derive(Serialize)]
struct Revision {
    revision: i64,
}

impl Borrowing {
    /// Answers all whole messages of `input`; returns their length.
    pub fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> usize {
        let mut used = 0;
        while let Some(length) = memchr::memchr(0, &input[used..]) {
            let message = &input[used..used + length];
            self.answer_one(message, output)
                .expect("we sent it ourselves");
            output.push(0);
            used += length + 1;
        }
        used
    }

    fn answer_one(&mut self, message: &[u8], output: &mut Vec<u8>) -> serde_json::Result<()> {
        let request: Request = serde_json::from_slice(message)?;
        let parameters: Parameters = serde_json::from_str(request.parameters.get())?;
        match request.method {
            "io.globstash.Get" => {
                let found = self.variables.get(parameters.key);
                let (value, revision) =
                    found.map_or(("", 0), |(value, revision)| (value, *revision));
                let defined = found.is_some();
                let parameters = Got {
                    defined,
                    value,
                    revision,
                };
                serde_json::to_writer(output, &Reply { parameters })
            }
            _ => {
                self.revision += 1;
                let revision = self.revision;
                let value = parameters.value.unwrap_or_default();
                let entry = (value.to_owned(), revision);
                self.variables.insert(parameters.key.to_owned(), entry);
                serde_json::to_writer(
                    output,
                    &Reply {
                        parameters: Revision { revision },
                    },
                )
            }
        }
    }
}

/// Answers all whole messages of `input` as the varlink crate does; returns their length.
pub fn handle(service: &VarlinkService, input: &[u8], output: &mut Vec<u8>) -> usize {
    let Some(last) = memchr::memrchr(0, input) else {
        return 0;
    };
    let mut whole = &input[..=last];
    service
        .handle(&mut whole, output, None)
        .expect("we sent it ourselves");
    last + 1
}

/// A service as the varlink crate wants it, from the generated stubs.
pub fn crate_service() -> VarlinkService {
    let interface = generated::new(Box::new(Stub::default()));
    let url = "https://varlink.org";
    VarlinkService::new("globstash", "peer", "1", url, vec![Box::new(interface)])
}

#[derive(Default)]
struct Stub(Mutex<Variables>);

#[derive(Default)]
struct Variables {
    entries: HashMap<String, (String, i64)>,
    revision: i64,
}

impl generated::VarlinkInterface for Stub {
    fn get(
        &self,
        call: &mut dyn generated::Call_Get,
        key: String,
        _metadata: Option<bool>,
    ) -> varlink::Result<()> {
        let variables = self.0.lock().expect("nobody panics");
        match variables.entries.get(&key) {
            Some((value, revision)) => call.reply(true, Some(value.clone()), None, *revision, None),
            None => call.reply(false, Some(String::new()), None, 0, None),
        }
    }

    fn set(
        &self,
        call: &mut dyn generated::Call_Set,
        key: String,
        value: Option<String>,
        _data: Option<String>,
        _condition: Option<generated::Condition>,
        _ttl: Option<i64>,
        _pid: Option<i64>,
        _protected: Option<bool>,
    ) -> varlink::Result<()> {
        let mut variables = self.0.lock().expect("nobody panics");
        variables.revision += 1;
        let revision = variables.revision;
        let entry = (value.unwrap_or_default(), revision);
        variables.entries.insert(key, entry);
        call.reply(revision)
    }

    fn delete(
        &self,
        call: &mut dyn generated::Call_Delete,
        _key: Option<String>,
        _patterns: Option<Vec<String>>,
        _condition: Option<generated::Condition>,
    ) -> varlink::Result<()> {
        call.reply_method_not_implemented("Delete".into())
    }

    fn expire(
        &self,
        call: &mut dyn generated::Call_Expire,
        _key: String,
        _ttl: Option<i64>,
    ) -> varlink::Result<()> {
        call.reply_method_not_implemented("Expire".into())
    }

    fn list(
        &self,
        call: &mut dyn generated::Call_List,
        _patterns: Option<Vec<String>>,
        _keys_only: Option<bool>,
        _metadata: Option<bool>,
    ) -> varlink::Result<()> {
        call.reply_method_not_implemented("List".into())
    }

    fn watch(
        &self,
        call: &mut dyn generated::Call_Watch,
        _patterns: Option<Vec<String>>,
        _initial: Option<bool>,
        _after_revision: Option<i64>,
        _instance: Option<String>,
        _keys_only: Option<bool>,
        _metadata: Option<bool>,
    ) -> varlink::Result<()> {
        call.reply_method_not_implemented("Watch".into())
    }

    fn wait(
        &self,
        call: &mut dyn generated::Call_Wait,
        _key: String,
        _condition: Option<generated::Condition>,
        _changed_from: Option<i64>,
        _timeout: Option<i64>,
    ) -> varlink::Result<()> {
        call.reply_method_not_implemented("Wait".into())
    }

    fn increment(
        &self,
        call: &mut dyn generated::Call_Increment,
        _key: String,
        _by: Option<String>,
        _minimum: Option<String>,
        _maximum: Option<String>,
    ) -> varlink::Result<()> {
        call.reply_method_not_implemented("Increment".into())
    }

    fn apply(
        &self,
        call: &mut dyn generated::Call_Apply,
        _checks: Option<Vec<generated::Check>>,
        _operations: Vec<generated::Operation>,
    ) -> varlink::Result<()> {
        call.reply_method_not_implemented("Apply".into())
    }

    fn open_map(&self, call: &mut dyn generated::Call_OpenMap) -> varlink::Result<()> {
        call.reply_method_not_implemented("OpenMap".into())
    }

    fn get_status(&self, call: &mut dyn generated::Call_GetStatus) -> varlink::Result<()> {
        call.reply_method_not_implemented("GetStatus".into())
    }
}

/// What varlink_generator makes from the interface file.
#[allow(non_camel_case_types, non_snake_case, dead_code, unused_qualifications)]
#[allow(clippy::all, clippy::pedantic, clippy::nursery)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/io.globstash.rs"));
}
