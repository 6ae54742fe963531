//! Bytes copied out of the map.
//!
//! Nothing borrows from the segment: another process may map it, and a reference into memory that
//! is not ours alone would be a promise that we cannot keep. Short values, which most are, are
//! copied without an allocation.

use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// What fits without an allocation: with its length, three quarters of a cache line.
const SHORT: usize = 47;

/// Some bytes.
#[derive(Clone)]
pub(crate) enum Bytes {
    /// A few.
    Short { len: u8, bytes: [u8; SHORT] },
    /// More.
    Long(Box<[u8]>),
}

impl Bytes {
    /// So many bytes, written by `fill`.
    #[inline]
    pub(super) fn filled(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        if len <= SHORT {
            let mut bytes = [0; SHORT];
            fill(&mut bytes[..len]);
            let len = len as u8;
            return Bytes::Short { len, bytes };
        }
        let mut bytes = vec![0; len].into_boxed_slice();
        fill(&mut bytes);
        Bytes::Long(bytes)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Short { len, bytes } => &bytes[..usize::from(*len)],
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Bytes::filled(bytes.len(), |copy| copy.copy_from_slice(bytes))
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "\"{}\"", self.escape_ascii())
    }
}
