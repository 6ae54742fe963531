//! The map: keys, values and revisions in one memory file, with one writer and any number of
//! readers that never wait.
//!
//! The variables stand in a segment of words, the same for the service, for a service that takes
//! its place after a crash, and for programs that map it read-only. Every change takes the next
//! [`Revision`], one counter for the whole map, and becomes visible with one store; several keys
//! changed together share one, and a crash in between leaves all of the change or nothing of it.
//! Beside its value a variable keeps a [`Stamp`], which the map stores and gives back without
//! looking at it. [`Limits`] are kept: a change that would exceed them is refused and changes
//! nothing; what makes less of anything is never refused.
//!
//! | file         | what it does                                                             |
//! |--------------|--------------------------------------------------------------------------|
//! | `layout`     | where everything stands                                                  |
//! | `words`      | the seam: loads, stores and fences, and who implements them              |
//! | `segment`    | the memory file: the only unsafe code here                               |
//! | `block`      | one variable, as words                                                   |
//! | `table`      | finding the slot of a key                                                |
//! | `reader`     | reading while somebody writes                                            |
//! | `known`      | what readers remember                                                    |
//! | `outside`    | values that are copied into memory which is not Rust's, for the C ABI    |
//! | `scan`       | reading everything as it was at one moment                               |
//! | `writer`     | [`Map`]: reading and changing, for the one who owns it                   |
//! | `batch`      | changing several variables in one step                                   |
//! | `upkeep`     | growing, moving together and giving back, a little with each change      |
//! | `recovery`   | taking over what a crash has left                                        |
//! | `arena`      | which memory is free                                                     |
//! | `places`     | where each variable is                                                   |
//! | `order`      | the variables in the order of their keys                                 |
//! | `changes`    | the variables in the order of their last change                          |
//! | `protection` | the steps that keep all this right, to be taken away in tests            |
//!
//! Programs that only read have `layout`, `words`, `segment`, `block`, `table`, `reader`,
//! `known` and `scan`; the rest is the service's.
//!
//! Knows bytes and revisions: no protocol, no meaning of a user, no clock.

#[cfg(feature = "service")]
mod arena;
#[cfg(feature = "service")]
mod batch;
mod block;
mod bytes;
#[cfg(feature = "service")]
mod changes;
mod known;
mod layout;
#[cfg(feature = "service")]
mod order;
#[cfg(feature = "capi")]
mod outside;
#[cfg(feature = "service")]
mod places;
mod protection;
mod reader;
#[cfg(feature = "service")]
mod recovery;
mod scan;
mod segment;
mod table;
#[cfg(feature = "service")]
mod upkeep;
mod words;
#[cfg(feature = "service")]
mod writer;

#[cfg(test)]
mod tests;

#[allow(unused_imports, reason = "for benches and fuzzers")]
pub(crate) use self::bytes::Bytes;
#[allow(unused_imports, reason = "for benches and fuzzers")]
pub(crate) use self::layout::{LAYOUT, State};
#[cfg(feature = "capi")]
pub(crate) use self::outside::Outside;
#[allow(unused_imports, reason = "for benches and fuzzers")]
pub(crate) use self::reader::{Answer, Handle, Reader};
#[allow(unused_imports, reason = "for benches and fuzzers")]
pub(crate) use self::scan::{Item, Scan};
#[allow(unused_imports, reason = "for benches and fuzzers")]
pub(crate) use self::segment::View;
pub(crate) use self::words::Room;
#[cfg(feature = "service")]
pub(crate) use self::{
    batch::Change,
    block::Id,
    layout::{CHANGES_MAX, MAP_MAX, SIMILAR_MAX},
    recovery::{Found, check},
    segment::Segment,
    writer::{Entry, Map, Origin},
};
#[cfg(feature = "service")]
#[allow(unused_imports, reason = "for benches and fuzzers")]
pub(crate) use self::{
    recovery::Unfit,
    words::{Memory, Words},
};

/// A point in the map's history. The first change has 1; 0 is before all changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Revision(pub(crate) u64);

/// What is remembered with a value; the writer of the map says what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    /// When the variable was changed.
    pub(crate) time: u64,
    /// The user that it belongs to.
    pub(crate) owner: u32,
    /// The user that its memory is charged to.
    pub(crate) setter: u32,
    /// The user that changed it.
    pub(crate) uid: u32,
    /// The process that changed it.
    pub(crate) pid: u32,
    /// Of what kind the value is.
    pub(crate) kind: u8,
    /// Whether others than its owner may not change it.
    pub(crate) protected: bool,
    /// When it expires.
    pub(crate) deadline: Option<u64>,
    /// The process whose end deletes it.
    pub(crate) process: Option<Process>,
}

/// A process, also after a crash of the service: its ID may be another's by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Process {
    /// Its ID.
    pub(crate) pid: u32,
    /// A number that no other process with this ID will have; that of the inode of its pidfd, if it
    /// has one of its own.
    pub(crate) inode: u64,
}

/// How much the map may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Variables.
    pub(crate) variables: u64,
    /// Bytes of keys and values together.
    pub(crate) bytes: u64,
}

/// Why a change was refused for want of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// [`Limits::variables`]
    Variables,
    /// [`Limits::bytes`]
    Bytes,
    /// The system has no memory, or the memory file is full, beyond so many bytes.
    Memory(u64),
    /// [`SIMILAR_MAX`] keys have hashes that are nearly equal, which does not happen by chance. The
    /// table is being made anew with other hashes.
    Crowded,
}
