//! How to connect: time limits, and whether to spin.

use std::time::Duration;

use super::Client;
use super::address::{self, Address};
use super::error::Error;
use crate::sys::place::Place;

/// How long the service may take to accept, to take more, or to tell more, unless it is said
/// otherwise. Starting it takes some milliseconds; a person has lost patience by then.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What the kernel takes for a time limit: 0 would mean none, and more would overflow on its way.
const TIMEOUT_RANGE: (Duration, Duration) = (
    Duration::from_micros(1),
    Duration::from_secs(u32::MAX as u64),
);

/// How to connect to a service, where the ordinary way does not do.
///
/// ```
/// # let address = globstash::daemon::example::start();
/// use std::time::Duration;
/// use globstash::Options;
///
/// let mut client = Options::new().timeout(Duration::from_secs(1)).at(address)?;
/// client.set("player/volume", "0.5")?;
/// # Ok::<(), globstash::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options alone connect to nothing"]
pub struct Options {
    pub(super) timeout: Duration,
    pub(super) spin: bool,
    pub(super) is_interruptible: bool,
    pub(super) is_over: Option<fn() -> bool>,
    pub(super) starter: Option<Starter>,
}

/// Starts a service at a place where nobody is found. The command has one; a program that links this
/// library did not ask for processes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Starter {
    pub(crate) place: Place,
    /// True if there should be one now, false if it is not ours to start one there; an error is why
    /// it cannot be started.
    pub(crate) start: fn(Place) -> Result<bool, String>,
}

impl Options {
    /// The options of [`Client::connect`].
    pub fn new() -> Options {
        Options {
            timeout: TIMEOUT,
            spin: true,
            is_interruptible: false,
            is_over: None,
            starter: None,
        }
    }

    /// Starts a service where nobody is found.
    #[cfg(feature = "command")]
    pub(crate) fn starting(self, starter: Option<Starter>) -> Options {
        Options { starter, ..self }
    }

    /// How long the service may take to accept a connection, to take more of a request, and to
    /// tell more of an answer, before it counts as [`Error::Silent`]. 5 s, if this is not called.
    ///
    /// Waits and watches have no such limit: they wait for what happens. Only a watch's first sign of
    /// life has it. A wait that was given a time ends with that, also if nothing is ever said, but
    /// not before a second has passed: the service may have to be started.
    pub fn timeout(self, timeout: Duration) -> Options {
        let (least, most) = TIMEOUT_RANGE;
        let timeout = timeout.clamp(least, most);
        Options { timeout, ..self }
    }

    /// Sleeps at once while waiting for an answer.
    ///
    /// Otherwise, if there is more than one CPU, it asks the kernel for up to 50 µs before it
    /// sleeps. That makes a call several times faster, since most of its time is spent on waking
    /// up, and costs these µs of CPU time. It is left out by itself where it does not help.
    pub fn without_spinning(self) -> Options {
        Options {
            spin: false,
            ..self
        }
    }

    /// Lets a signal that this program handles end a wait, and the next event of a watch, as
    /// [`Error::Interrupted`]; both can be asked for again. For programs whose handlers only leave
    /// a note, as those of Python do. Otherwise signals are no reason to stop waiting, and
    /// ordinary answers come soon enough in any case.
    ///
    /// While a service is away that may be back, up to 5 s long, signals are not heeded: see
    /// [`Options::interruptible_by`].
    pub fn interruptible(self) -> Options {
        Options {
            is_interruptible: true,
            ..self
        }
    }

    /// The same, and while a service is away this is asked again and again, and when a signal comes,
    /// whether one was the end of the wait. If so, it is [`Error::Interrupted`]; otherwise the wait goes on where it was.
    ///
    /// It is called in the thread that waits, not in the handler of the signal.
    pub fn interruptible_by(self, is_over: fn() -> bool) -> Options {
        Options {
            is_over: Some(is_over),
            ..self.interruptible()
        }
    }

    /// [`Client::connect`], with these options.
    pub fn connect(self) -> Result<Client, Error> {
        Client::open(address::chosen()?, self)
    }

    /// [`Client::connect_user`], with these options.
    pub fn connect_user(self) -> Result<Client, Error> {
        Client::open(address::user()?, self)
    }

    /// [`Client::at`], with these options.
    pub fn at<A>(self, address: A) -> Result<Client, Error>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        Client::open(address.try_into()?, self)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}
