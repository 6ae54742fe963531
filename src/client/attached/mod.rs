//! Reading variables from many threads, and again and again.
//!
//! An [`Attached`] is a way to read that is shared: it has no state that a caller could see. What
//! it has to ask the service for, it asks over a connection of its own, see [`fallback`].

mod fallback;
mod handle;

use std::sync::Arc;

use super::entry::{Entry, Revision};
use super::error::Error;
use super::question::Patterns;
use super::route::Route;
use super::value::Value;

use fallback::Fallback;

pub use handle::Handle;

/// How often a scan is begun again if variables change while it is made.
const SCANS: u32 = 16;

/// A way to read variables that threads can share: see [`Client::attach`](crate::Client::attach).
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
/// # Processes that fork
///
/// Both processes can go on with it: a child never uses its parent's connection, it opens its own
/// when it needs one.
#[derive(Clone, Debug)]
pub struct Attached {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    fallback: Fallback,
}

impl Attached {
    pub(super) fn open(route: Route) -> Result<Attached, Error> {
        let fallback = Fallback::open(route)?;
        Ok(Attached {
            shared: Arc::new(Shared { fallback }),
        })
    }

    /// Reads a variable; `None` if it is not defined.
    pub fn get(&self, key: &str) -> Result<Option<Value>, Error> {
        self.shared.fallback.ask(|client| client.get(key))
    }

    /// Reads a variable into a buffer, which is used again, and returns its revision; if it is not
    /// defined, the buffer is empty then, and there is no revision.
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
    pub fn get_into(&self, key: &str, value: &mut Vec<u8>) -> Result<Option<Revision>, Error> {
        value.clear();
        let entry = self.shared.fallback.ask(|client| client.read(key))?;
        Ok(entry.map(|entry| {
            value.extend_from_slice(entry.value.unwrap_or_default().as_bytes());
            entry.revision
        }))
    }

    /// One variable, to be read again and again.
    pub fn handle(&self, key: &str) -> Handle {
        Handle::new(self.clone(), key)
    }

    /// Reads all variables that match, in the order of their keys: exactly what there was at one
    /// moment. If there was no such moment, because variables changed all the time, it is
    /// [`Error::Busy`].
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
        let patterns = patterns.into();
        for _ in 0..SCANS {
            let list = |client: &mut super::Client| client.list(patterns.clone())?.snapshot();
            if let Some(entries) = self.shared.fallback.ask(list)? {
                return Ok(entries);
            }
        }
        Err(Error::Busy)
    }

    /// Whether variables are read without asking the service; otherwise each read is a call.
    pub fn is_mapped(&self) -> bool {
        false
    }
}
