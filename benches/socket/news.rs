//! News: one connection makes a change, others sleep until they hear of it.
//!
//! What is told is the time from before the change is sent until the last listener has it, one
//! way. Writer and listeners are two threads of this process: the listeners' inherits the placement
//! of the writer's. Before each change all of them get the time to fall asleep. Every listener must
//! hear every change, once and in order.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::Bench;
use crate::peer::WATCH;
use crate::rounds::typical;
use crate::script::{Speech, set, value};
use crate::server::{self, PATIENCE, Server};

/// What is changed, as long as the keys of a script.
const KEY: &str = "n000000000000000";
/// Between two changes, so that everyone sleeps again.
const PAUSE: Duration = Duration::from_micros(100);
/// Received at once; more than any message here is long.
const BUFFER: usize = 4 << 10;
/// Events taken at once. Picked without measurement.
const EVENTS: usize = 256;

/// What the writer does between two changes, while everyone else falls asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// It sleeps too: if all are on one CPU that goes idle, and what comes next finds it cold.
    Asleep,
    /// It keeps its CPU awake and lets others go first.
    Awake,
}

impl Pause {
    fn pass(self) {
        let start = Instant::now();
        match self {
            Self::Asleep => thread::sleep(PAUSE),
            Self::Awake => {
                while start.elapsed() < PAUSE {
                    thread::yield_now();
                }
            }
        }
    }
}

/// Who carries the news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The service under test, Set without an answer.
    Globstashd,
    /// The same, and the writer waits for the answer as well.
    GlobstashdAnswering,
    /// A loop that gives what it reads to whoever listens: the floor.
    Relay,
    /// PUBLISH without an answer.
    Redis,
    /// The same with one.
    RedisAnswering,
}

impl Carrier {
    pub const ALL: [Self; 5] = [
        Self::Globstashd,
        Self::GlobstashdAnswering,
        Self::Relay,
        Self::Redis,
        Self::RedisAnswering,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Globstashd => "globstashd, one way",
            Self::GlobstashdAnswering => "globstashd, with an answer",
            Self::Relay => "bare relay",
            Self::Redis => "Redis, one way",
            Self::RedisAnswering => "Redis, with an answer",
        }
    }

    pub fn is_installed(self) -> bool {
        !matches!(self, Self::Redis | Self::RedisAnswering) || server::is_installed("redis-server")
    }

    fn start(self, bench: &Bench) -> io::Result<Server> {
        let address = bench.address();
        match self {
            Self::Globstashd | Self::GlobstashdAnswering => Server::globstashd(bench, &address),
            Self::Relay => Server::peer("relay", &address),
            Self::Redis | Self::RedisAnswering => Server::redis(&address),
        }
    }

    /// The request to hear of changes.
    fn watch(self) -> Vec<u8> {
        match self {
            Self::Globstashd | Self::GlobstashdAnswering => {
                let parameters = format!(r#"{{"patterns":["{KEY}"]}}"#);
                let call = r#""method":"io.globstash.Watch","more":true"#;
                format!("{{{call},\"parameters\":{parameters}}}\0").into_bytes()
            }
            Self::Relay => WATCH.to_vec(),
            Self::Redis | Self::RedisAnswering => {
                format!("*2\r\n$9\r\nSUBSCRIBE\r\n$16\r\n{KEY}\r\n").into_bytes()
            }
        }
    }

    /// The request to make a change.
    fn change(self, value: &str) -> Vec<u8> {
        match self {
            Self::GlobstashdAnswering => set(Speech::Varlink, KEY, value),
            Self::Globstashd | Self::Relay => {
                let parameters = format!(r#"{{"key":"{KEY}","value":"{value}"}}"#);
                let call = r#""method":"io.globstash.Set","oneway":true"#;
                format!("{{{call},\"parameters\":{parameters}}}\0").into_bytes()
            }
            Self::Redis | Self::RedisAnswering => {
                let arguments = format!("$16\r\n{KEY}\r\n$16\r\n{value}\r\n");
                format!("*3\r\n$7\r\nPUBLISH\r\n{arguments}").into_bytes()
            }
        }
    }

    /// How the answer to a change begins, if there is one.
    fn answer(self) -> Option<&'static [u8]> {
        match self {
            Self::Globstashd | Self::Relay | Self::Redis => None,
            Self::GlobstashdAnswering => Some(br#"{"parameters":{"revision":"#),
            Self::RedisAnswering => Some(b":"),
        }
    }

    /// How every message ends.
    fn end(self) -> &'static [u8] {
        match self {
            Self::Globstashd | Self::GlobstashdAnswering | Self::Relay => b"\0",
            Self::Redis | Self::RedisAnswering => b"\r\n",
        }
    }
}

/// A carrier with a writer and its listeners.
pub struct Channel {
    pub carrier: Carrier,
    pub server: Server,
    writer: UnixStream,
    audience: Audience,
    /// How many changes were made.
    changes: usize,
}

impl Channel {
    /// Starts a server and connects a writer and as many listeners as `size` says.
    pub fn open(bench: &Bench, carrier: Carrier, size: usize) -> io::Result<Self> {
        let server = carrier.start(bench)?;
        let mut writer = server.connect()?;
        if carrier == Carrier::Redis {
            writer.write_all(b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n")?;
        }
        let audience = Audience::connect(&server, carrier, size)?;
        Ok(Self {
            carrier,
            server,
            writer,
            audience,
            changes: 0,
        })
    }

    /// Makes so many changes, one after the other; returns the typical time until all listeners
    /// have heard of one, in µs.
    pub fn run(&mut self, changes: usize, pause: Pause) -> io::Result<f64> {
        let (carrier, writer, audience) = (self.carrier, &mut self.writer, &mut self.audience);
        let numbers = self.changes..self.changes + changes;
        self.changes = numbers.end;
        let (mut confirmations, mut confirm) = UnixStream::pair()?;
        confirmations.set_read_timeout(Some(PATIENCE))?;
        let epoch = Instant::now();

        let mut times: Vec<u32> = Vec::with_capacity(changes);
        thread::scope(|scope| {
            let heard = numbers.clone();
            let listening = scope.spawn(move || -> io::Result<()> {
                for number in heard {
                    audience.hear(&value(number))?;
                    confirm.write_all(&since(epoch).to_ne_bytes())?;
                }
                Ok(())
            });
            let telling: io::Result<()> = numbers.into_iter().try_for_each(|number| {
                let request = carrier.change(&value(number));
                pause.pass();
                let sent = since(epoch);
                writer.write_all(&request)?;
                if let Some(answer) = carrier.answer() {
                    expect(writer, answer, carrier.end())?;
                }
                let mut arrived = [0; 8];
                confirmations.read_exact(&mut arrived)?;
                let time = u64::from_ne_bytes(arrived) - sent;
                times.push(u32::try_from(time).unwrap_or(u32::MAX));
                Ok(())
            });
            // What went wrong with the listeners is why the writer was not told.
            listening.join().expect("listeners do not panic")?;
            telling
        })?;
        Ok(typical(times) / 1e3)
    }
}

/// In ns.
fn since(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_nanos()).expect("no bench takes centuries")
}

/// Reads one short message.
fn expect(socket: &mut UnixStream, beginning: &[u8], end: &[u8]) -> io::Result<()> {
    let mut message = Vec::new();
    let mut buffer = [0; 256];
    while !message.ends_with(end) {
        let length = socket.read(&mut buffer)?;
        if length == 0 {
            return Err(io::Error::other("the server closed a connection"));
        }
        message.extend_from_slice(&buffer[..length]);
    }
    if message.starts_with(beginning) {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&message);
    Err(io::Error::other(format!("a wrong answer: {message:?}")))
}

/// Those who listen, all in one thread.
struct Audience {
    epoll: rustix::fd::OwnedFd,
    members: Vec<Member>,
    buffer: Vec<u8>,
}

struct Member {
    socket: UnixStream,
    /// The beginning of a message whose end has not come yet.
    rest: Vec<u8>,
    end: &'static [u8],
}

impl Audience {
    fn connect(server: &Server, carrier: Carrier, size: usize) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut members = Vec::with_capacity(size);
        for number in 0..size {
            let mut socket = server.connect()?;
            socket.write_all(&carrier.watch())?;
            let beginning: &[u8] = match carrier {
                Carrier::Globstashd | Carrier::GlobstashdAnswering => br#"{"parameters""#,
                Carrier::Relay => WATCH,
                Carrier::Redis | Carrier::RedisAnswering => b"*3\r\n$9\r\nsubscribe\r\n",
            };
            let end = carrier.end();
            expect(&mut socket, beginning, end)?;
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, &socket, data, EventFlags::IN)?;
            let rest = Vec::new();
            members.push(Member { socket, rest, end });
        }
        Ok(Self {
            epoll,
            members,
            buffer: vec![0; BUFFER],
        })
    }

    /// Waits until everyone has heard of the change to `value`. One alone sleeps in `recv`.
    fn hear(&mut self, value: &str) -> io::Result<()> {
        let value = value.as_bytes();
        if let [only] = &mut self.members[..] {
            while !only.hear(value, &mut self.buffer)? {}
            return Ok(());
        }
        let patience = Timespec::try_from(PATIENCE).expect("it is short");
        // Not kept: events cannot go to another thread.
        let mut events = Vec::with_capacity(EVENTS);
        let mut missing = self.members.len();
        while missing > 0 {
            let spare = spare_capacity(&mut events);
            if epoll::wait(&self.epoll, spare, Some(&patience))? == 0 {
                let message = format!("{missing} listeners heard nothing within {PATIENCE:?}");
                return Err(io::Error::other(message));
            }
            for event in events.drain(..) {
                let member = &mut self.members[event.data.u64() as usize];
                missing -= usize::from(member.hear(value, &mut self.buffer)?);
            }
        }
        Ok(())
    }
}

impl Member {
    /// Reads once; whether that was the end of the message, which must hold `value`.
    fn hear(&mut self, value: &[u8], buffer: &mut [u8]) -> io::Result<bool> {
        let length = self.socket.read(buffer)?;
        if length == 0 {
            return Err(io::Error::other("the server closed a connection"));
        }
        let mut message = &buffer[..length];
        if !self.rest.is_empty() || !message.ends_with(self.end) {
            self.rest.extend_from_slice(message);
            message = &self.rest;
        }
        if !message.ends_with(self.end) {
            return Ok(false);
        }
        if memchr::memmem::find(message, value).is_none() {
            let message = String::from_utf8_lossy(message);
            return Err(io::Error::other(format!("wrong news: {message:?}")));
        }
        self.rest.clear();
        Ok(true)
    }
}
