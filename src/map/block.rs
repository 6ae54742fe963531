//! Blocks: one variable each, written once and never again while anybody can find them.
//!
//! What a reader needs stands first: lengths, revision, key, value. Then what was remembered with
//! it, the variable's number in the service's private tables, and a checksum for recovery.

use xxhash_rust::xxh3::xxh3_64;

use super::layout::{GRANULE, Granule};
use super::words::{Memory, Words};
use super::{Bytes, Process, Revision, Stamp};

/// Longest key, in bytes.
pub(super) const KEY_MAX: usize = 255;

/// Words before the key: lengths and flags, and the revision.
pub(super) const HEAD: usize = 2;

/// Words behind the value that every block has: time; owner and setter; writer; number and check.
const TAIL: usize = 4;

/// The stamp has a deadline.
const DEADLINE: u8 = 1;
/// The variable belongs to a process.
const PROCESS: u8 = 2;
/// The variable is protected.
const PROTECTED: u8 = 4;

/// Which variable a block is of, in the private tables of the service. A variable has the same while
/// it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(pub(super) u32);

/// The first words of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    flags: u8,
    pub(super) key_len: usize,
    pub(super) value_len: usize,
}

impl Head {
    fn new(key: &[u8], value: &[u8], stamp: &Stamp) -> Self {
        let flag = |set, flag| if set { flag } else { 0 };
        Head {
            kind: stamp.kind,
            flags: flag(stamp.deadline.is_some(), DEADLINE)
                | flag(stamp.process.is_some(), PROCESS)
                | flag(stamp.protected, PROTECTED),
            key_len: key.len(),
            value_len: value.len(),
        }
    }

    fn to_word(self) -> u64 {
        u64::from(self.kind) << 56
            | u64::from(self.flags) << 48
            | (self.key_len as u64) << 32
            | self.value_len as u64
    }

    /// What the first word of a block says, whatever it holds.
    #[inline]
    pub(super) fn from_word(word: u64) -> Self {
        Head {
            kind: (word >> 56) as u8,
            flags: (word >> 48) as u8,
            key_len: (word >> 32) as usize & 0xffff,
            value_len: word as u32 as usize,
        }
    }

    /// Reads the head of a block that is known to be whole.
    #[inline]
    pub(super) fn read(words: &impl Words, block: Granule) -> Self {
        Self::from_word(words.load(block.word()))
    }

    /// Whether a block at this place, with this head, lies within so many words.
    #[inline]
    pub(super) fn fits(self, block: Granule, len: usize) -> bool {
        (1..=KEY_MAX).contains(&self.key_len) && block.word() + self.words() <= len
    }

    /// Where the value stands, in words from the beginning of the block.
    #[inline]
    pub(super) fn value_word(self) -> usize {
        value_word(self.key_len)
    }

    /// Where what was remembered stands.
    fn stamp_word(self) -> usize {
        self.value_word() + self.value_len.div_ceil(8)
    }

    fn extra(self) -> usize {
        let words = |flag, words| if self.flags & flag == 0 { 0 } else { words };
        words(DEADLINE, 1) + words(PROCESS, 2)
    }

    /// How many words the block takes.
    #[inline]
    pub(super) fn words(self) -> usize {
        self.stamp_word() + self.extra() + TAIL
    }

    /// How many granules the block takes.
    pub(super) fn granules(self) -> u32 {
        self.words().div_ceil(GRANULE) as u32
    }
}

/// Where the value stands behind a key of this length, in words from the beginning of the block.
#[inline]
pub(super) fn value_word(key_len: usize) -> usize {
    HEAD + key_len.div_ceil(8)
}

/// The first word of the key.
#[inline]
pub(super) fn key_word(block: Granule) -> usize {
    block.word() + HEAD
}

/// The key of a block that is known to be whole.
#[inline]
pub(super) fn key(words: &impl Words, block: Granule) -> Bytes {
    let len = Head::read(words, block).key_len;
    Bytes::filled(len, |key| words.copy(key_word(block), key))
}

/// The revision of a block.
#[inline]
pub(super) fn revision(words: &impl Words, block: Granule) -> Revision {
    Revision(words.load(block.word() + 1))
}

/// What was remembered with a value, of a block that is known to be whole.
pub(super) fn stamp(words: &impl Words, block: Granule) -> Stamp {
    let head = Head::read(words, block);
    let mut word = block.word() + head.stamp_word();
    let mut next = || {
        word += 1;
        words.load(word - 1)
    };
    let deadline = (head.flags & DEADLINE != 0).then(&mut next);
    let process = (head.flags & PROCESS != 0).then(|| Process {
        pid: next() as u32,
        inode: next(),
    });
    let (time, users, writer) = (next(), next(), next());
    Stamp {
        time,
        owner: (users >> 32) as u32,
        setter: users as u32,
        uid: (writer >> 32) as u32,
        pid: writer as u32,
        kind: head.kind,
        protected: head.flags & PROTECTED != 0,
        deadline,
        process,
    }
}

/// The number of the variable, of a block that is known to be whole.
pub(super) fn id(words: &impl Words, block: Granule) -> Id {
    let head = Head::read(words, block);
    Id(words.load(block.word() + head.words() - 1) as u32)
}

/// A block that is being made, in private memory. Kept to be used again.
#[derive(Default)]
pub(super) struct Draft {
    bytes: Vec<u8>,
}

/// What a draft keeps for the next one, in bytes.
const DRAFT_KEEPS: usize = 64 << 10;

impl Draft {
    /// How many granules a variable takes.
    pub(super) fn granules(key: &[u8], value: &[u8], stamp: &Stamp) -> u32 {
        Head::new(key, value, stamp).granules()
    }

    /// Writes a block to a place that nobody can find yet.
    pub(super) fn write(
        &mut self,
        memory: &impl Memory,
        place: Granule,
        (key, value, stamp): (&[u8], &[u8], &Stamp),
        revision: Revision,
        id: Id,
    ) {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend(Head::new(key, value, stamp).to_word().to_le_bytes());
        bytes.extend(revision.0.to_le_bytes());
        for part in [key, value] {
            bytes.extend_from_slice(part);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        let pair = |high: u32, low: u32| (u64::from(high) << 32 | u64::from(low)).to_le_bytes();
        bytes.extend(stamp.deadline.iter().flat_map(|time| time.to_le_bytes()));
        if let Some(process) = stamp.process {
            bytes.extend(u64::from(process.pid).to_le_bytes());
            bytes.extend(process.inode.to_le_bytes());
        }
        bytes.extend(stamp.time.to_le_bytes());
        bytes.extend(pair(stamp.owner, stamp.setter));
        bytes.extend(pair(stamp.uid, stamp.pid));
        bytes.extend(id.0.to_le_bytes());
        bytes.extend(check(bytes).to_le_bytes());
        for (n, word) in bytes.chunks_exact(8).enumerate() {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            memory.store(place.word() + n, word);
        }
        if bytes.capacity() > DRAFT_KEEPS {
            *bytes = Vec::new();
        }
    }

    /// The key of a block, if it is as it was written. It must lie within the memory.
    pub(super) fn whole(&mut self, words: &impl Words, block: Granule) -> Option<&[u8]> {
        if self.bytes.capacity() > DRAFT_KEEPS {
            self.bytes = Vec::new();
        }
        let head = Head::read(words, block);
        self.bytes.resize(head.words() * 8, 0);
        words.copy(block.word(), &mut self.bytes);
        let (content, sum) = self.bytes.split_last_chunk()?;
        let is_whole = *sum == check(content).to_le_bytes();
        is_whole.then(|| &content[HEAD * 8..][..head.key_len])
    }
}

/// Catches what a broken program or memory leaves; against malice there is no checksum.
fn check(bytes: &[u8]) -> u32 {
    xxh3_64(bytes) as u32
}

/// Copies a block to a place that nobody can find yet.
pub(super) fn copy(memory: &impl Memory, from: Granule, to: Granule) {
    for n in 0..Head::read(memory, from).words() {
        memory.store(to.word() + n, memory.load(from.word() + n));
    }
}
