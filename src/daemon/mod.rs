//! The service `globstashd`.
//!
//! `main` gathers the sockets to serve and everything else that a process gets from outside, and
//! hands it to the `server`, the event loop. That reads and writes each `connection`; what a
//! call means is the `service`'s business, and what variables are, the `store`'s. What the event
//! loop asks of a service is in the `contract`. Where there is no systemd, `supervise` does its part.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use rustix::net::getsockname;
use rustix::process::Resource;

use self::options::Options;
use self::server::{Ending, Listener, Server};
use self::service::Service;
use self::stdio::Stdio;
use crate::map::Limits;
use crate::sys::activation::{Kept, Passed, Socket, passed};
use crate::sys::address::Address;
use crate::sys::detach::{begin_anew, raise_limit, silence};
use crate::sys::listen::Bound;
use crate::sys::manager;
use crate::sys::place::{self, Place};
use crate::sys::signals::Signals;

mod accounts;
mod batch;
mod check;
mod clock;
mod connection;
mod contract;
mod entry;
#[doc(hidden)]
pub mod example;
mod failure;
mod guards;
mod handoff;
mod interface;
mod jobs;
mod log;
#[doc(hidden)]
pub mod loopback;
#[doc(hidden)]
pub mod mounted;
mod options;
mod output;
mod parameters;
mod poller;
mod queue;
mod server;
mod service;
mod stdio;
mod store;
mod supervise;
mod table;
mod timer;
mod untaken;
mod watch;
mod watches;

/// How long who reads standard output may take for the last answers, when asked to end: with what
/// the server takes for the same, less than a second.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// The same at the end of standard input. As long as a peer may take for a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a service that fails keeps its manager from starting the next: after a crash that is
/// right at once, but what this one lacks, the next one will lack as well.
const BREATH: Duration = Duration::from_secs(1);

/// What can be typed; for the manual.
#[doc(hidden)]
pub fn definition() -> clap::Command {
    Options::command()
}

/// Runs the service with the arguments of the process.
pub fn main() -> ExitCode {
    let options = Options::parse();
    if options.supervise {
        begin_anew();
    }
    self::log::begin(options.supervise || options.stop);
    match act(&options) {
        Ok(status) => status,
        Err(error) => {
            ::log::error!("{error}");
            if !options.check && manager::is_there() {
                std::thread::sleep(BREATH);
            }
            ExitCode::FAILURE
        }
    }
}

fn act(options: &Options) -> io::Result<ExitCode> {
    match options {
        Options {
            supervise: true, ..
        } => return supervise::start(options),
        Options { stop: true, .. } => supervise::stop::stop(options)?,
        Options { check: true, .. } => check::check()?,
        Options { user: true, .. } => {
            let problem = "--user goes with --supervise or --stop";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        _ => run(options)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn run(options: &Options) -> io::Result<()> {
    let Passed { sockets, kept } = passed()?;
    let signals = Signals::open()?;
    raise_limits();

    let (mut listeners, mut connections, mut stdio) = (Vec::new(), Vec::new(), None);
    for socket in sockets {
        match socket {
            Socket::Listener(socket) => listeners.push(Listener::Passed(socket)),
            Socket::Connection(socket) => connections.push(socket),
        }
    }
    let asked = std::env::var_os("SYSTEMD_VARLINK_LISTEN");
    if asked.as_ref().is_some_and(|asked| asked == "-") {
        let (socket, carrier) = Stdio::open()?;
        connections.push(socket);
        stdio = Some(carrier);
    } else if let Some(asked) = asked {
        let address = Address::parse(&asked).map_err(|problem| {
            io::Error::other(format!(
                "$SYSTEMD_VARLINK_LISTEN is '{}': {problem}",
                asked.display()
            ))
        })?;
        listen(&address, &mut listeners)?;
    }
    if let Some(address) = &options.address {
        listen(address, &mut listeners)?;
    }
    if listeners.is_empty() && connections.is_empty() {
        return Err(io::Error::other(
            "no socket was passed and no address given\n  \
             start it with: systemctl start globstashd.socket\n  \
             or, where no systemd runs: globstashd --supervise\n  \
             or say where to listen: globstashd --address /path",
        ));
    }
    if listeners.is_empty() {
        // Started by one caller, for its calls: its terminal need not hear that all is well.
        ::log::set_max_level(::log::LevelFilter::Warn);
    }
    let ending = serve(options, signals, listeners, connections, kept)?;
    if let Some(stdio) = stdio {
        stdio.finish(match ending {
            Ending::Asked | Ending::Succession => LAST_WORDS,
            Ending::Unneeded => PATIENCE,
        });
    }
    Ok(())
}

fn serve(
    options: &Options,
    signals: Signals,
    listeners: Vec<Listener>,
    connections: Vec<OwnedFd>,
    kept: Vec<Kept>,
) -> io::Result<Ending> {
    let limits = Limits {
        variables: options.maximum_variables,
        bytes: options.maximum_bytes,
    };
    let store = handoff::begin(kept, limits)?;
    ::log::info!(version = env!("CARGO_PKG_VERSION"), instance = store.instance(); "serving");
    let mut server = Server::new(Service::new(store)?, signals, listeners)?;
    for connection in connections {
        server.add(connection)?;
    }
    manager::ready(&format!(
        "Serving; at most {} variables and {} bytes",
        options.maximum_variables, options.maximum_bytes
    ));
    if std::env::var_os(log::SUPERVISED).is_some() {
        silence()?; // Whoever started us has heard all that there was to hear.
    }
    let ending = loop {
        match server.run()? {
            // It returns only if there is no successor.
            Ending::Succession => handoff::succeed(server.listeners(), server.service().store()),
            ending => break ending,
        }
    };
    handoff::end();
    Ok(ending)
}

/// Listens at an address, unless one of the sockets that were passed does.
fn listen(address: &Address, listeners: &mut Vec<Listener>) -> io::Result<()> {
    let is_there =
        |listener: &Listener| getsockname(listener) == Ok(address.to_socket_address().into());
    match listeners.iter().position(is_there) {
        Some(there) => {
            if let Listener::Passed(socket) = listeners.swap_remove(there) {
                listeners.push(Listener::Bound(Bound::inherited(socket, address)?));
            }
        }
        None => listeners.push(bind(address)?),
    }
    Ok(())
}

fn bind(address: &Address) -> io::Result<Listener> {
    let is_machine_wide = *address == place::machine();
    let mode = is_machine_wide.then_some(Place::Machine.mode());
    Bound::at(address, mode)
        .map(Listener::Bound)
        .map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen at {}: {error}", address.place().display()),
            )
        })
}

/// As many connections as the accounts allow need as many descriptors, and some more; the memory file
/// has its full length from the beginning.
fn raise_limits() {
    for (resource, name) in [
        (Resource::Nofile, "open files"),
        (Resource::Fsize, "the size of files"),
    ] {
        if let Err(error) = raise_limit(resource) {
            ::log::warn!("cannot raise the limit of {name}: {error}");
        }
    }
}
