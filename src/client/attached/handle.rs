//! One variable, read again and again.

use super::super::entry::Revision;
use super::super::error::Error;
use super::offer::Instance;
use super::shared::{NONE, Then};
use super::{Attached, ROUNDS};
use crate::map::{Answer, Handle as Cached};

/// One variable, to be read again and again: see [`Attached::handle`].
///
/// As long as the variable has not changed, both verbs take a few loads, however long its value is.
///
/// ```
/// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
/// let mut volume = client.attach()?.handle("player/volume");
/// assert_eq!(volume.get()?, None);
/// client.set("player/volume", "0.5")?;
/// if volume.changed()? {
///     assert_eq!(volume.get()?, Some(b"0.5".as_slice()));
/// }
/// assert!(!volume.changed()?);
/// # Ok::<(), globstash::Error>(())
/// ```
pub struct Handle {
    attached: Attached,
    key: String,
    /// The map in which it was last read, or [`NONE`].
    number: usize,
    /// The variable as it was last read in it.
    cached: Cached,
    /// Its value as the service has told it.
    told: Vec<u8>,
    source: Source,
    /// What was seen last, and of whom.
    revision: Revision,
    instance: Instance,
}

/// Where the value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// There is none.
    Nowhere,
    Cached,
    Told,
}

impl Handle {
    pub(super) fn new(attached: Attached, key: &str) -> Handle {
        Handle {
            attached,
            key: key.to_owned(),
            number: NONE,
            cached: Cached::new(key.as_bytes()),
            told: Vec::new(),
            source: Source::Nowhere,
            revision: Revision::UNDEFINED,
            instance: 0,
        }
    }

    /// Whether the variable has changed since the last `get` or `changed` of this handle. To a new
    /// handle a variable that is defined has changed.
    #[inline]
    pub fn changed(&mut self) -> Result<bool, Error> {
        if self.is_current() {
            return Ok(false);
        }
        let (revision, instance) = (self.revision, self.instance);
        self.look()?;
        // Another instance counts anew.
        let is_same = instance == self.instance || self.revision == Revision::UNDEFINED;
        Ok(!is_same || revision != self.revision)
    }

    /// Reads the variable; `None` if it is not defined.
    #[inline]
    pub fn get(&mut self) -> Result<Option<&[u8]>, Error> {
        if !self.is_current() {
            self.look()?;
        }
        Ok(match self.source {
            Source::Nowhere => None,
            Source::Cached => Some(self.cached.value()),
            Source::Told => Some(&self.told),
        })
    }

    /// The revision that the last `get` or `changed` has seen; [`Revision::UNDEFINED`] if the variable
    /// was not defined, or before the first of them.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether the map says at once that what was read last still holds. If not, it may have changed,
    /// or somebody has to be asked, or waited for.
    #[inline(always)]
    pub fn is_current(&self) -> bool {
        self.attached.shared.map().is_some_and(|map| {
            map.number() == self.number
                && !map.reader.has_changed(&self.cached)
                && map.reader.is_served()
        })
    }

    /// Reads the variable anew.
    fn look(&mut self) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let shared = &self.attached.shared;
            let Some(map) = shared.map() else {
                match shared.try_again() {
                    true => continue,
                    false => break,
                }
            };
            if self.number != map.number() {
                self.cached = Cached::new(self.key.as_bytes());
                self.number = map.number();
            }
            let answer = map.reader.refresh(&mut self.cached);
            let then = shared.judge(self.number, answer, map.reader.is_served())?;
            let instance = map.instance;
            match (then, answer) {
                (Then::Again, _) => continue,
                (Then::Ask, _) => break,
                (Then::Take, Answer::Found(revision)) => {
                    self.source = Source::Cached;
                    self.saw(Revision(revision.0), instance);
                }
                (Then::Take | Then::Nothing, _) => {
                    Attached::check(&self.key)?;
                    self.source = Source::Nowhere;
                    self.saw(Revision::UNDEFINED, instance);
                }
            }
            return Ok(());
        }
        self.ask()
    }

    #[cold]
    fn ask(&mut self) -> Result<(), Error> {
        let asking = self.attached.shared.asking();
        let (entry, instance) = asking.ask_whom(|client| client.read(&self.key))?;
        // So that nothing of the map is taken for what was told.
        self.cached = Cached::new(self.key.as_bytes());
        match entry {
            Some(entry) => {
                self.source = Source::Told;
                self.told = entry.value.unwrap_or_default().into_bytes();
                self.saw(entry.revision, instance);
            }
            None => {
                self.source = Source::Nowhere;
                self.saw(Revision::UNDEFINED, instance);
            }
        }
        Ok(())
    }

    fn saw(&mut self, revision: Revision, instance: Instance) {
        (self.revision, self.instance) = (revision, instance);
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("attached", &self.attached)
            .field("key", &self.key)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
