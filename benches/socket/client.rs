//! Clients: connections that ask by a script and insist on its answers.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::rounds::{quantile, typical};
use crate::script::{KEYS, Listener, Script};
use crate::server::{PATIENCE, Server};

/// Received at once; more than all answers that can be outstanding on a connection.
const BUFFER: usize = 64 << 10;
/// Events taken at once. Picked without measurement.
const EVENTS: usize = 256;

/// One connection that asks, waits and asks again.
pub struct Serial {
    socket: UnixStream,
    next: usize,
}

impl Serial {
    pub fn connect(server: &Server) -> io::Result<Self> {
        let socket = server.connect()?;
        Ok(Self { socket, next: 0 })
    }

    /// Asks for as long as `slice`; returns the typical time of a round trip, in µs.
    pub fn run(&mut self, script: &Script, slice: Duration) -> io::Result<f64> {
        let mut trips: Vec<u32> = Vec::with_capacity(1 << 16);
        let mut buffer = vec![0; BUFFER];
        let start = Instant::now();
        let mut last = start;
        while last - start < slice {
            self.socket.write_all(script.requests(self.next, 1))?;
            let mut answer = script.answers(self.next, 1);
            while !answer.is_done() {
                let length = self.socket.read(&mut buffer)?;
                if length == 0 {
                    return Err(io::Error::other("the server closed a connection"));
                }
                answer.hear(script, &buffer[..length])?;
            }
            self.next = (self.next + 1) % KEYS;
            let now = Instant::now();
            trips.push(nanoseconds(now - last));
            last = now;
        }
        Ok(typical(trips) / 1e3)
    }
}

/// Many connections of one process, driven by epoll. Each sends `depth` requests in one piece,
/// waits for all their answers, and sends the next.
pub struct Fleet {
    epoll: rustix::fd::OwnedFd,
    members: Vec<Member>,
    depth: usize,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
}

struct Member {
    socket: UnixStream,
    next: usize,
    answers: Listener,
    asked: Instant,
}

/// What a fleet saw in a round.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Answers a second.
    pub rate: f64,
    /// Of 100 round trips 99 took less, in ms.
    pub p99: f64,
}

impl Fleet {
    /// Connects `size` times.
    pub fn connect(
        server: &Server,
        script: &Script,
        size: usize,
        depth: usize,
    ) -> io::Result<Self> {
        let sockets = (0..size).map(|_| server.connect());
        Self::of(sockets.collect::<io::Result<_>>()?, script, depth)
    }

    /// A fleet of these connections, each of which will begin with another variable.
    pub fn of(sockets: Vec<UnixStream>, script: &Script, depth: usize) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut members = Vec::with_capacity(sockets.len());
        for (number, socket) in sockets.into_iter().enumerate() {
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, &socket, data, EventFlags::IN)?;
            // A prime step: neighbours ask for different variables all the time.
            let next = number * 7919 % KEYS;
            members.push(Member {
                socket,
                next,
                answers: script.answers(next, 0),
                asked: Instant::now(),
            });
        }
        Ok(Self {
            epoll,
            members,
            depth,
            buffer: vec![0; BUFFER],
            events: Vec::with_capacity(EVENTS),
        })
    }

    /// Asks for as long as `slice`, and until everything is answered.
    pub fn run(&mut self, script: &Script, slice: Duration) -> io::Result<Reading> {
        let mut trips: Vec<u32> = Vec::with_capacity(1 << 18);
        let start = Instant::now();
        for member in &mut self.members {
            member.ask(script, self.depth)?;
        }
        let mut asking = self.members.len();
        while asking > 0 {
            self.wait(asking)?;
            for event in self.events.drain(..) {
                let member = &mut self.members[event.data.u64() as usize];
                if !member.hear(script, &mut self.buffer)? {
                    continue;
                }
                let now = Instant::now();
                trips.push(nanoseconds(now - member.asked));
                if now - start < slice {
                    member.ask(script, self.depth)?;
                } else {
                    asking -= 1;
                }
            }
        }
        let answers = (trips.len() * self.depth) as f64;
        Ok(Reading {
            rate: answers / start.elapsed().as_secs_f64(),
            p99: f64::from(quantile(&mut trips, 0.99)) / 1e6,
        })
    }

    fn wait(&mut self, asking: usize) -> io::Result<()> {
        let patience = Timespec::try_from(PATIENCE).expect("it is short");
        let events = spare_capacity(&mut self.events);
        if epoll::wait(&self.epoll, events, Some(&patience))? == 0 {
            let message = format!("{asking} connections were not answered within {PATIENCE:?}");
            return Err(io::Error::other(message));
        }
        Ok(())
    }
}

impl Member {
    fn ask(&mut self, script: &Script, depth: usize) -> io::Result<()> {
        self.answers = script.answers(self.next, depth);
        self.asked = Instant::now();
        self.socket.write_all(script.requests(self.next, depth))?;
        self.next = (self.next + depth) % KEYS;
        Ok(())
    }

    /// Reads once; whether everything is answered now.
    fn hear(&mut self, script: &Script, buffer: &mut [u8]) -> io::Result<bool> {
        let length = self.socket.read(buffer)?;
        if length == 0 {
            return Err(io::Error::other("the server closed a connection"));
        }
        self.answers.hear(script, &buffer[..length])?;
        Ok(self.answers.is_done())
    }
}

/// A time that fits: no answer is waited for as long as four seconds without that being the news.
fn nanoseconds(time: Duration) -> u32 {
    u32::try_from(time.as_nanos()).unwrap_or(u32::MAX)
}
