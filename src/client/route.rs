//! The way to a service: opening connections, and trying again where that does no harm.
//!
//! The rules, which are those of the whole library:
//!  1. a connection that was lost before all of a request had left is replaced by a fresh one,
//!     once, and the request is sent again: nobody can have acted upon it;
//!  2. so is one that was lost before the answer to a read came;
//!  3. a change whose answer was lost is [`Error::OutcomeUnknown`], and never asked for again;
//!  4. whoever waits for an event waits also for a service that comes back within [`OUTAGE`], but
//!     no longer than for the event; a service that is back and has no room for it, yet, is away;
//!  5. where nobody is found the command starts a service, however it comes to look for one. Only
//!     who waits for events leaves alone what was ended in good order, that is, with its socket:
//!     else no end would last while anybody waits.

use std::time::{Duration, Instant};

use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};
use serde::de::DeserializeOwned;

use super::address::Address;
use super::connection::{Broken, Connection, Expect};
use super::error::Error;
use super::message::{self, Problem, Reply};
use super::options::Options;

/// How long a service may be away before those give up who wait for events. Once it has served for
/// as long as that, it may again.
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

/// A time in which there is no service, or none that lasts.
#[derive(Debug)]
pub(super) struct Outage {
    /// When it began; later by the time for which the service was there since.
    since: Instant,
    /// When it is over for the caller, if that is earlier.
    deadline: Option<Instant>,
    pause: Duration,
    /// Why the last attempt to reach it was in vain; `None` before the first.
    why: Option<Error>,
}

impl Route {
    /// Opens a connection. If nobody is there, to a service that is started first, where that is ours.
    pub(super) fn open(&self) -> Result<Connection, Error> {
        let limit = self.options.timeout;
        let mut outage = Outage::until_started().until(Instant::now().checked_add(limit));
        loop {
            let found = match self.connect(limit) {
                Err(found) if found.is_nobody() => found,
                result => return result,
            };
            // Not before it was started once, and looked for then, however long the start has taken.
            outage.wait(&self.options)?;
            match self.start() {
                // Nobody may be there yet: one that was about to end may have been taken for it.
                Ok(true) => outage.because(found),
                Ok(false) => return Err(found),
                Err(why) => return Err(found.and_not_started(why)),
            }
        }
    }

    /// Starts a service. True if there should be one now; an error is why there is none.
    fn start(&self) -> Result<bool, String> {
        let starter = self.options.starter;
        starter.map_or(Ok(false), |starter| (starter.start)(starter.place))
    }

    pub(super) fn connect(&self, limit: Duration) -> Result<Connection, Error> {
        Connection::open(&self.address, &self.options, limit)
            .map_err(|errno| Error::of_connecting(&self.address, errno, self.options.timeout))
    }

    /// Opens a connection as soon as the service is back.
    pub(super) fn reopen(&self, outage: &mut Outage) -> Result<Connection, Error> {
        loop {
            outage.wait(&self.options)?;
            let limit = self.options.timeout.min(outage.left());
            if let Some(connection) = self.try_reopen(outage, limit)? {
                return Ok(connection);
            }
        }
    }

    /// Tries once to open a connection, for no longer than this; `None` if nobody is there yet.
    pub(super) fn try_reopen(
        &self,
        outage: &mut Outage,
        limit: Duration,
    ) -> Result<Option<Connection>, Error> {
        let found = match self.connect(limit) {
            Ok(connection) => {
                // If it comes to no more than that.
                outage.why = Some(self.broken(Broken::Lost));
                return Ok(Some(connection));
            }
            Err(found) if found.is_nobody() => found,
            Err(error) => return Err(error),
        };
        // Whoever served there was killed, and with it whoever looked after it.
        if found.is_left_behind()
            && let Err(why) = self.start()
        {
            return Err(found.and_not_started(why));
        }
        outage.because(found);
        Ok(None)
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
            Broken::Interrupted => Error::Interrupted,
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
    fn begin() -> Outage {
        Outage {
            since: Instant::now(),
            deadline: None,
            pause: PAUSE.0,
            why: None,
        }
    }

    /// There is no service before it is started: the first attempt to start it needs no pause.
    fn until_started() -> Outage {
        Outage {
            pause: Duration::ZERO,
            ..Outage::begin()
        }
    }

    /// A connection is lost over which there was a service for some time. If that was not long, and
    /// others were lost before it, this goes on: with the time that is left, and the pause, that
    /// these have come to.
    pub(super) fn of_lost(served: Duration, before: Option<Outage>) -> Outage {
        match before {
            Some(outage) if served < OUTAGE => Outage {
                since: outage.since + served,
                ..outage
            },
            _ => Outage::begin(),
        }
    }

    /// The same for one who does not wait for longer than that.
    pub(super) fn until(self, deadline: Option<Instant>) -> Outage {
        Outage { deadline, ..self }
    }

    /// Nobody is there, or a service that has no room.
    pub(super) fn because(&mut self, why: Error) {
        self.why = Some(why);
    }

    /// How long it may still last.
    fn left(&self) -> Duration {
        let left = OUTAGE.saturating_sub(self.since.elapsed());
        let until = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.deadline
            .map_or(left, |deadline| left.min(until(deadline)))
    }

    /// Waits before the next attempt, also before the first: it may be one of many, with a service
    /// that hangs up.
    fn wait(&mut self, options: &Options) -> Result<(), Error> {
        let pause = self.until_next()?;
        let mut left = Timespec::try_from(pause).expect("a pause is short");
        loop {
            // Also of a signal that came before this thread slept.
            if options.is_over.is_some_and(|is_over| is_over()) {
                return Err(Error::Interrupted);
            }
            match nanosleep(&left) {
                NanosleepRelativeResult::Interrupted(rest) => left = rest,
                _ => return Ok(()),
            }
        }
    }

    /// How long to wait for that. If the time is over, and there was an attempt, tells how that ended.
    pub(super) fn until_next(&mut self) -> Result<Duration, Error> {
        let left = self.left();
        if left.is_zero()
            && let Some(why) = self.why.take()
        {
            return Err(why);
        }
        Ok(self.next_pause().min(left))
    }

    /// Each is longer than the last.
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).clamp(PAUSE.0, PAUSE.1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_goes_on_until_the_service_has_served_for_long() {
        let why = || Some(Error::PermissionDenied);
        let outage = |since| Outage {
            since,
            deadline: None,
            pause: PAUSE.1,
            why: why(),
        };
        let since = Instant::now();
        let short = Duration::from_secs(1);
        let same = Outage::of_lost(short, Some(outage(since)));
        assert_eq!((same.since, same.pause), (since + short, PAUSE.1));
        assert!(same.why.is_some());
        let another = Outage::of_lost(OUTAGE, Some(outage(since)));
        assert_eq!(another.pause, PAUSE.0);
        assert!(another.why.is_none());
    }
}
