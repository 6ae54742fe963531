//! Reading variables without asking for them.
//!
//! An [`Attached`] has the map: the memory that the service keeps the variables in. What that cannot
//! tell, and all if there is none to be had, the service is asked.
//!
//! | file      | what it does                                                         |
//! |-----------|----------------------------------------------------------------------|
//! | `offer`   | asks for the map, and looks at what is offered before it takes it    |
//! | `shared`  | which map is read, and what follows it                               |
//! | `witness` | sees to it that no map is read that is older than what was told       |
//! | `asking`  | asks the service instead                                             |
//! | `handle`  | one variable                                                         |
//! | `scan`    | all variables that match                                             |

mod asking;
mod handle;
mod offer;
#[cfg(feature = "capi")]
mod outside;
mod scan;
mod shared;
mod witness;

use std::sync::Arc;

use super::entry::{Entry, Revision};
use super::error::Error;
use super::question::Patterns;
use super::route::Route;
use super::value::Value;
use crate::map::{Answer, Room};
use crate::wire::key;

use shared::{Shared, Then};

pub use handle::Handle;
pub(super) use witness::heard;

/// How often a read begins again because another map has taken the place of the one that is read.
const ROUNDS: u32 = 4;

/// What to do while there is no service, and what it has written is still there: see
/// [`Client::attach_with`](crate::Client::attach_with).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenGone {
    /// Read on. After a crash nobody can change anything until the service is back, which is soon where
    /// somebody looks after it. [`Attached::is_served`] tells whether it is there.
    #[default]
    Serve,
    /// Fail, unless the service is back within the time that it may take to answer.
    Fail,
}

/// A way to read variables that threads can share, and for which the service need not be asked: see
/// [`Client::attach`](crate::Client::attach).
///
/// ```
/// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
/// use std::thread;
///
/// client.set("player/volume", "0.5")?;
/// let stash = client.attach()?;
/// let other = stash.clone();
/// let reader = thread::spawn(move || other.get("player/volume"));
/// assert_eq!(reader.join().unwrap()?, Some("0.5".into()));
/// # Ok::<(), globstash::Error>(())
/// ```
///
/// It has the memory of the service, mapped for reading only. A read makes no system call, waits for
/// nobody, and sees every change that anybody was told to be made. Where that memory cannot be had,
/// over ssh for instance or with a service of another version, each read is a call, with the same
/// answers: [`is_mapped`](Attached::is_mapped) tells.
///
/// # The service comes and goes
///
/// After a crash or a reload the same memory is read on. After a stop everything is forgotten: the next
/// read asks for the memory of the service that follows, which starts it if systemd listens for it.
/// What is read while there is none, [`WhenGone`] decides. That the service has died is seen in
/// the memory itself; then it is asked from time to time whether there is another one: the first time
/// with up to 10 ms for the answer, then without waiting. So if a service is lost with its memory,
/// which nobody looked after, the variables of the one that takes its place are seen after some
/// 20 ms, and until then what the lost one knew; but as soon as that one has answered this program, at
/// the same address, nothing older is read any more than what it was told, unless that one is lost as
/// well, for as long as nobody listens there.
///
/// A variable that expires is deleted by the service, and there until it has done so: after its time
/// has run out it can be read as long as the service is away or hangs.
///
/// # Processes that fork
///
/// Both processes can go on with it: a child never uses its parent's connection, it opens its own
/// when it needs one.
#[derive(Clone, Debug)]
pub struct Attached {
    shared: Arc<Shared>,
}

/// What the map has told.
enum Read {
    Found(Revision),
    Absent,
    /// Nothing.
    Ask,
}

impl Attached {
    pub(super) fn open(route: Route, when_gone: WhenGone) -> Result<Attached, Error> {
        let shared = Shared::open(route, when_gone)?;
        Ok(Attached { shared })
    }

    /// Reads a variable; `None` if it is not defined.
    pub fn get(&self, key: &str) -> Result<Option<Value>, Error> {
        let mut value = Vec::new();
        let revision = self.get_into(key, &mut value)?;
        Ok(revision.map(|_| value.into()))
    }

    /// Reads a variable into a buffer, which is used again, and returns its revision; if it is not
    /// defined, the buffer is empty then, and there is no revision.
    ///
    /// Nothing is allocated unless the buffer has to become larger.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// let revision = client.set("player/volume", "0.5")?;
    /// let stash = client.attach()?;
    /// let mut value = Vec::new();
    /// assert_eq!(stash.get_into("player/volume", &mut value)?, Some(revision));
    /// assert_eq!(value, b"0.5");
    /// assert_eq!(stash.get_into("player/treble", &mut value)?, None);
    /// assert_eq!(value, b"");
    /// # Ok::<(), globstash::Error>(())
    /// ```
    #[inline]
    pub fn get_into(&self, key: &str, value: &mut Vec<u8>) -> Result<Option<Revision>, Error> {
        match self.glance(key.as_bytes(), value) {
            Some(Some(revision)) => Ok(Some(revision)),
            Some(None) => Self::absent(key, value),
            None => self.get_anew(key, value),
        }
    }

    /// The same if the map tells it at once: `None` if somebody would have to be asked or waited for.
    ///
    /// For those who let others run while they wait: an interpreter has a lock that only one of its
    /// threads holds, and to let go of it costs more than a read.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// client.set("player/volume", "0.5")?;
    /// let stash = client.attach()?;
    /// let mut value = Vec::new();
    /// let revision = match stash.get_at_once("player/volume", &mut value) {
    ///     Some(revision) => revision,
    ///     None => stash.get_into("player/volume", &mut value)?,
    /// };
    /// assert!(revision.is_some());
    /// assert_eq!(value, b"0.5");
    /// # Ok::<(), globstash::Error>(())
    /// ```
    #[inline]
    pub fn get_at_once(&self, key: &str, value: &mut Vec<u8>) -> Option<Option<Revision>> {
        match self.glance(key.as_bytes(), value) {
            Some(Some(revision)) => return Some(Some(revision)),
            Some(None) => return Self::absent(key, value).ok(),
            None => {}
        }
        match self.look(key.as_bytes(), value)? {
            Answer::Found(revision) => Some(Some(Revision(revision.0))),
            Answer::Absent => Self::absent(key, value).ok(),
            _ => None,
        }
    }

    /// Reads a variable if the map of a service has it where it is looked for first, or tells there that
    /// there is none, which may be because the key is none.
    #[inline(always)]
    fn glance(&self, key: &[u8], value: &mut impl Room) -> Option<Option<Revision>> {
        let reader = &self.shared.map()?.reader;
        let told = reader.glance(key, value)?;
        let revision = told.map(|revision| Revision(revision.0));
        reader.is_served().then_some(revision)
    }

    /// What the map of a service tells, if there are both.
    #[inline(never)]
    fn look(&self, key: &[u8], value: &mut impl Room) -> Option<Answer> {
        let reader = &self.shared.map()?.reader;
        let answer = reader.search(key, value);
        reader.is_served().then_some(answer)
    }

    /// What `get_into` does for whatever is not found at once.
    #[inline(never)]
    fn get_anew(&self, key: &str, value: &mut Vec<u8>) -> Result<Option<Revision>, Error> {
        match self.read(key, value)? {
            Read::Found(revision) => Ok(Some(revision)),
            Read::Absent => Self::absent(key, value),
            Read::Ask => {
                value.clear();
                let entry = self.shared.asking().ask(|client| client.read(key))?;
                Ok(entry.map(|entry| {
                    value.extend_from_slice(entry.value.unwrap_or_default().as_bytes());
                    entry.revision
                }))
            }
        }
    }

    /// One variable, to be read again and again.
    pub fn handle(&self, key: &str) -> Handle {
        Handle::new(self.clone(), key)
    }

    /// Reads all variables that match, in the order of their keys: exactly what there was at one
    /// moment. If there was no such moment, because variables changed all the time, it is
    /// [`Error::Busy`].
    ///
    /// It looks at every variable that there is, which takes some milliseconds for a million.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// use globstash::Batch;
    ///
    /// client.apply(Batch::new().set("screen/width", "1920").set("screen/height", "1080"))?;
    /// let screen = client.attach()?.scan("screen/")?;
    /// let keys: Vec<_> = screen.iter().map(|entry| entry.key.as_str()).collect();
    /// assert_eq!(keys, ["screen/height", "screen/width"]);
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn scan(&self, patterns: impl Into<Patterns>) -> Result<Vec<Entry>, Error> {
        scan::scan(self, &patterns.into())
    }

    /// Whether variables are read without asking the service; otherwise each read is a call.
    pub fn is_mapped(&self) -> bool {
        self.shared.map().is_some()
    }

    /// Whether the service is there, as the map tells without a system call. Without a map it is
    /// `true`: whoever reads asks the service, and hears if it is not there.
    ///
    /// To know it of a value, ask after reading it.
    pub fn is_served(&self) -> bool {
        let map = self.shared.map();
        map.is_none_or(|map| map.reader.is_served() && !map.reader.has_ended())
    }

    /// Reads in the map, or in the one that follows it.
    fn read(&self, key: &str, value: &mut Vec<u8>) -> Result<Read, Error> {
        let shared = &self.shared;
        for _ in 0..ROUNDS {
            let Some(map) = shared.map() else {
                match shared.try_again() {
                    true => continue,
                    false => break,
                }
            };
            let answer = map.reader.search(key.as_bytes(), value);
            let then = shared.judge(map.number(), answer, map.reader.is_served())?;
            match (then, answer) {
                (Then::Take, Answer::Found(revision)) => {
                    return Ok(Read::Found(Revision(revision.0)));
                }
                (Then::Take | Then::Nothing, _) => return Ok(Read::Absent),
                (Then::Ask, _) => break,
                (Then::Again, _) => {}
            }
        }
        Ok(Read::Ask)
    }

    #[inline(never)]
    fn absent(key: &str, value: &mut Vec<u8>) -> Result<Option<Revision>, Error> {
        value.clear();
        Self::check(key).map(|()| None)
    }

    /// What is not defined may be what cannot be.
    pub(crate) fn check(key: &str) -> Result<(), Error> {
        key::check(key).map_err(|flaw| Error::InvalidKey {
            key: key.to_owned(),
            reason: flaw.to_string(),
        })
    }
}
