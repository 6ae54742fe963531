//! The rows: each starts what it needs, measures, prints, and returns what it found.

mod cold;
mod command;
mod fleet;
mod fresh;
mod idle;
mod library;
mod message;
mod serial;
mod watch;

use std::io;

use crate::Bench;
use crate::report::Judgement;

/// Something that can be selected on the command line.
pub struct Row {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&Bench) -> io::Result<Vec<Judgement>>,
}

/// All rows in the order in which they run.
pub const ALL: [Row; 12] = [
    Row {
        name: "serial",
        about: "one client, one call after the other, 16 B",
        run: serial::run,
    },
    Row {
        name: "fifty",
        about: "50 connections with one call outstanding each, free placement",
        run: fleet::fifty,
    },
    Row {
        name: "pipelined",
        about: "50 connections with 16 calls outstanding each, free placement",
        run: fleet::pipelined,
    },
    Row {
        name: "thousand",
        about: "1,000 connections with one call outstanding each, free placement",
        run: fleet::thousand,
    },
    Row {
        name: "library",
        about: "Set through the library, with and without spinning",
        run: library::run,
    },
    Row {
        name: "watch",
        about: "one change to one sleeping watcher, one way, 16 B",
        run: watch::one,
    },
    Row {
        name: "fanout",
        about: "one change to 1,000 watchers, until the last has it",
        run: watch::fanout,
    },
    Row {
        name: "message",
        about: "a Get without a socket: parse, look up, write the reply, 16 B",
        run: message::run,
    },
    Row {
        name: "command",
        about: "the command as a whole process, from fork to reap",
        run: command::run,
    },
    Row {
        name: "cold",
        about: "the first call at a socket whose service does not run yet",
        run: cold::run,
    },
    Row {
        name: "fresh",
        about: "the first command where no systemd runs, which starts the service",
        run: fresh::run,
    },
    Row {
        name: "idle",
        about: "what the service takes when nobody calls",
        run: idle::run,
    },
];
