//! One variable, read again and again.

use super::super::entry::Revision;
use super::super::error::Error;
use super::Attached;

/// One variable, to be read again and again: see [`Attached::handle`].
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
#[derive(Debug)]
pub struct Handle {
    attached: Attached,
    key: String,
    /// What was read last.
    value: Vec<u8>,
    /// What was seen last.
    revision: Revision,
}

impl Handle {
    pub(super) fn new(attached: Attached, key: &str) -> Handle {
        Handle {
            attached,
            key: key.to_owned(),
            value: Vec::new(),
            revision: Revision::UNDEFINED,
        }
    }

    /// Whether the variable has changed since the last `get` or `changed` of this handle. To a new
    /// handle a variable that is defined has changed.
    pub fn changed(&mut self) -> Result<bool, Error> {
        let fallback = &self.attached.shared.fallback;
        let revision = fallback.ask(|client| client.revision(&self.key))?;
        let changed = revision != self.revision;
        self.revision = revision;
        Ok(changed)
    }

    /// Reads the variable; `None` if it is not defined.
    pub fn get(&mut self) -> Result<Option<&[u8]>, Error> {
        let revision = self.attached.get_into(&self.key, &mut self.value)?;
        self.revision = revision.unwrap_or_default();
        Ok(revision.map(|_| self.value.as_slice()))
    }

    /// The revision that the last `get` or `changed` has seen; [`Revision::UNDEFINED`] if the variable
    /// was not defined, or before the first of them.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}
