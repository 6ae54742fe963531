//! The way to a service: opening connections, and trying again where that does no harm.
//!
//! The rules, which are those of the whole library:
//!  1. a connection that was lost before all of a request had left is replaced by a fresh one,
//!     once, and the request is sent again: nobody can have acted upon it;
//!  2. so is one that was lost before the answer to a read came;
//!  3. a change whose answer was lost is [`Error::OutcomeUnknown`], and never asked for again;
//!  4. whoever waits for an event waits also for a service that comes back within [`OUTAGE`].

use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde::de::DeserializeOwned;

use super::address::Address;
use super::connection::{Broken, Connection, Expect};
use super::error::Error;
use super::message::{self, Problem, Reply};
use super::options::Options;

/// How long a service may be away before those give up who wait for events.
const OUTAGE: Duration = Duration::from_secs(5);
/// How long to wait between two attempts to reach it, at first and at most. A service that systemd
/// looks after is reached with the first.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// Whether a call may have changed something when its answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Change,
}

#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) address: Address,
    pub(super) options: Options,
}

/// A time in which the service cannot be reached.
#[derive(Debug)]
pub(super) struct Outage {
    since: Instant,
    pause: Duration,
}

impl Route {
    pub(super) fn open(&self) -> Result<Connection, Error> {
        self.connect()
            .map_err(|errno| Error::of_connecting(&self.address, errno, self.options.timeout))
    }

    fn connect(&self) -> Result<Connection, Errno> {
        Connection::open(&self.address, &self.options)
    }

    /// Opens a connection as soon as the service is back.
    pub(super) fn reopen(&self, outage: &mut Outage) -> Result<Connection, Error> {
        loop {
            // Also before the first attempt: it may be one of many, with a service that hangs up.
            outage.wait();
            let errno = match self.connect() {
                Ok(connection) if !outage.is_over() => return Ok(connection),
                // It accepts and hangs up, for all this time.
                Ok(_) => return Err(self.broken(Broken::Lost)),
                Err(errno) => errno,
            };
            let may_come_back = matches!(errno, Errno::NOENT | Errno::CONNREFUSED);
            if !may_come_back || outage.is_over() {
                let timeout = self.options.timeout;
                return Err(Error::of_connecting(&self.address, errno, timeout));
            }
        }
    }

    /// Sends a request and receives its first reply, on the connection given if there is one.
    pub(super) fn call<R: DeserializeOwned>(
        &self,
        mut idle: Option<Connection>,
        request: &[u8],
        purpose: Purpose,
    ) -> Result<(Connection, Result<Reply<R>, Error>), Error> {
        let mut is_repeated = false;
        loop {
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => self.open()?,
            };
            let sent = connection.send(request);
            let answer = Expect::Answer(self.options.timeout);
            let received = sent.and_then(|()| connection.receive(answer, message::reply));
            let broken = match received {
                Ok(Ok(reply)) => return Ok((connection, Ok(reply))),
                Ok(Err(Problem::Refused(error))) => return Ok((connection, Err(error))),
                Ok(Err(Problem::Nonsense(what))) => {
                    return Err(self.failed(self.nonsense(what), purpose));
                }
                Err(broken) => broken,
            };
            let may_be_done = sent.is_ok() && purpose == Purpose::Change;
            if broken == Broken::Lost && !may_be_done && !is_repeated {
                is_repeated = true;
                continue;
            }
            let error = self.broken(broken);
            return Err(match sent {
                Ok(()) => self.failed(error, purpose),
                Err(_) => error,
            });
        }
    }

    /// What it means that a call went wrong after the service had got all of it.
    fn failed(&self, error: Error, purpose: Purpose) -> Error {
        match purpose {
            Purpose::Read => error,
            Purpose::Change => Error::OutcomeUnknown(Box::new(error)),
        }
    }

    pub(super) fn broken(&self, broken: Broken) -> Error {
        let address = self.address.clone();
        match broken {
            Broken::Silent => Error::Silent {
                address,
                timeout: self.options.timeout,
            },
            Broken::Lost => Error::Lost { address },
            Broken::TooLong => self.nonsense("a message of more than 16 MiB"),
        }
    }

    pub(super) fn problem(&self, problem: Problem) -> Error {
        match problem {
            Problem::Refused(error) => error,
            Problem::Nonsense(what) => self.nonsense(what),
        }
    }

    pub(super) fn nonsense(&self, what: impl Into<String>) -> Error {
        Error::Nonsense {
            address: self.address.clone(),
            what: what.into(),
        }
    }
}

impl Outage {
    pub(super) fn begin() -> Outage {
        Outage {
            since: Instant::now(),
            pause: PAUSE.0,
        }
    }

    /// A connection is lost that was opened at some time. If that was not long ago, and others
    /// were lost before it, nothing is better than it was.
    pub(super) fn of_lost(opened: Instant, before: Option<Outage>) -> Outage {
        match before {
            Some(outage) if opened.elapsed() < OUTAGE => outage,
            _ => Outage::begin(),
        }
    }

    fn is_over(&self) -> bool {
        self.since.elapsed() >= OUTAGE
    }

    /// Waits before the next attempt.
    fn wait(&mut self) {
        thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE.1);
    }
}
