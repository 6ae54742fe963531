//! Reading into memory that is not Rust's, for the C ABI. Keys are bytes here: what is no text is not
//! defined.
//!
//! A value that was copied ends with NUL; of one for which there is no room with that, an empty string is
//! left. If the answer is `None`, anything may have been copied.

use std::mem::MaybeUninit;

use super::super::entry::Revision;
use super::Attached;
use crate::map::{Answer, Outside};
use crate::wire::key;

impl Attached {
    /// Reads a variable if that is short, there is room for it, and the map tells it at a glance: its revision
    /// and how long it is. `Some(None)` if it is not
    /// defined, which may be because the key is none. Does not panic.
    #[inline(always)]
    pub(crate) fn copy_at_a_glance(
        &self,
        key: &[u8],
        room: &mut [MaybeUninit<u8>],
    ) -> Option<Option<(Revision, usize)>> {
        let mut value = Outside::new(room);
        let Some(revision) = self.glance(key, &mut value)? else {
            return Some(None);
        };
        let len = value.len;
        value.end();
        Some(Some((revision, len)))
    }

    /// Reads a variable if the map tells it at once, and there is a key or none: its revision, if it is
    /// defined, and how long it is.
    pub(crate) fn copy_at_once(
        &self,
        key: &[u8],
        room: &mut [MaybeUninit<u8>],
    ) -> Option<(Option<Revision>, usize)> {
        let mut value = Outside::new(room);
        let revision = match self.look(key, &mut value)? {
            Answer::Found(revision) => Some(Revision(revision.0)),
            Answer::Absent if is_key(key) => None,
            _ => return None,
        };
        if revision.is_none() {
            value.len = 0;
        }
        let len = value.len;
        value.end();
        Some((revision, len))
    }
}

fn is_key(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| key::check(text).is_ok())
}
