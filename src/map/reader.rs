//! Reading variables while somebody else changes them.
//!
//! A reader stores nothing, calls nobody, never waits, and trusts no byte that it reads: whatever
//! the segment holds, an answer takes a bounded number of steps, and no word outside of the segment
//! is touched. What it found counts only if slot, stamp, root and generation are afterwards as they
//! were before; otherwise it begins again. The argument is in `docs/design.md`, "Why a value is
//! never torn".

use super::Revision;
use super::block::{self, Head, KEY_MAX};
use super::layout::{
    EMPTY, GENERATION, Granule, Hash, Meta, OWNER, ROOT, SLOTS, STATE, State, TOMB, Table, stamp_of,
};
use super::protection::{Protection, kept};
use super::table;
use super::words::Words;

/// How often a read begins again before it gives up. A value of 16 MiB that was replaced without a
/// pause was read with two attempts on average.
const ATTEMPTS: usize = 256;

/// Longer values are copied only after a look whether their length is meant.
const SURE: usize = 4096;

/// The bit that the kernel sets in the owner's word when that thread dies (`FUTEX_OWNER_DIED`).
const OWNER_DIED: u64 = 0x4000_0000;

/// What a read has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The variable, with this revision; its value was copied out.
    Found(Revision),
    /// It is not defined.
    Absent,
    /// The map changed faster than it could be read, or is damaged: ask the service.
    Busy,
    /// The map is not in use any more.
    Ended(State),
}

/// A map that is read.
pub(crate) struct Reader<W> {
    words: W,
}

/// A key, and where its value was when it was last read.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    key: Box<[u8]>,
    spot: Option<Spot>,
}

/// Everything that stays as it is while a value does.
#[derive(Debug, Clone, Copy)]
struct Spot {
    generation: u64,
    root: u64,
    slot: usize,
    stamp: u64,
    word: u64,
}

/// One attempt to read.
enum Attempt {
    Found(Spot),
    Absent,
    Torn,
    Ended,
}

impl<W: Words> Reader<W> {
    /// A reader of a map that was checked to be one.
    pub(crate) fn new(words: W) -> Self {
        Reader { words }
    }

    /// Reads a variable. On anything but [`Answer::Found`] nothing is said about `value`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Answer {
        self.find(key, value).0
    }

    /// Reads a variable through a handle, which remembers where it is.
    #[inline]
    pub(crate) fn get_cached(&self, handle: &mut Handle, value: &mut Vec<u8>) -> Answer {
        if let Some(spot) = &handle.spot
            && self.holds(spot)
        {
            let block = Meta::from_word(spot.word).block;
            let head = Head::read(&self.words, block);
            if head.fits(block, self.words.len()) && head.value_len <= SURE {
                let revision = self.copy(block, head, value);
                if self.holds(spot) {
                    return Answer::Found(revision);
                }
            }
        }
        let (answer, spot) = self.find(&handle.key, value);
        handle.spot = spot;
        answer
    }

    /// Whether the variable may have changed since the handle was last read with: a few loads.
    #[inline]
    pub(crate) fn has_changed(&self, handle: &Handle) -> bool {
        handle.spot.as_ref().is_none_or(|spot| !self.holds(spot))
    }

    /// Whether the service that wrote the map has died. What it wrote can be read on.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.words.load(OWNER) & OWNER_DIED != 0
    }

    fn find(&self, key: &[u8], value: &mut Vec<u8>) -> (Answer, Option<Spot>) {
        if !(1..=KEY_MAX).contains(&key.len()) {
            return (Answer::Absent, None);
        }
        for _ in 0..ATTEMPTS {
            let mut revision = Revision::default();
            match self.attempt(key, |block, head| revision = self.copy(block, head, value)) {
                Attempt::Found(spot) => return (Answer::Found(revision), Some(spot)),
                Attempt::Absent => return (Answer::Absent, None),
                Attempt::Ended => return (self.ended(), None),
                Attempt::Torn => {}
            }
        }
        (Answer::Busy, None)
    }

    #[inline]
    fn attempt(&self, key: &[u8], mut take: impl FnMut(Granule, Head)) -> Attempt {
        let words = &self.words;
        let generation = words.load(GENERATION);
        words.acquire();
        let root = words.load(ROOT);
        let Some(table) = Table::from_root(root, words.len()) else {
            return Attempt::Ended;
        };
        // The table was written before it became the root.
        if kept(Protection::RootFence) {
            words.acquire();
        }
        let hash = table::hash(key, words.load(table.first_word()));
        for line in table::lines(table, hash) {
            let first = table.line(line);
            let stamp = words.load(stamp_of(first));
            words.acquire();
            let (mut candidates, has_empty) = self.candidates(first, hash);
            while candidates != 0 {
                let slot = first + candidates.trailing_zeros() as usize;
                candidates &= candidates - 1;
                let word = words.load(slot);
                let meta = Meta::from_word(word);
                if word <= TOMB || meta.hash != hash {
                    continue; // Changed since.
                }
                words.acquire();
                let spot = Spot {
                    generation,
                    root,
                    slot,
                    stamp,
                    word,
                };
                let head = Head::read(words, meta.block);
                // What lies outside of the segment was read from memory that is in other use now.
                if !head.fits(meta.block, words.len()) {
                    return Attempt::Torn;
                }
                let is_key =
                    head.key_len == key.len() && words.equal(block::key_word(meta.block), key);
                if is_key && head.value_len > SURE && !self.holds(&spot) {
                    return Attempt::Torn;
                }
                if is_key {
                    take(meta.block, head);
                }
                if !self.holds(&spot) {
                    return Attempt::Torn;
                }
                if is_key {
                    return Attempt::Found(spot);
                }
            }
            if has_empty {
                break;
            }
        }
        words.acquire();
        let is_same = words.load(ROOT) == root && {
            words.acquire();
            words.load(GENERATION) == generation
        };
        match is_same || !kept(Protection::RootOfMiss) {
            true => Attempt::Absent,
            false => Attempt::Torn,
        }
    }

    /// Which slots of a line may be of a key, as bits, and whether one is empty.
    #[inline]
    fn candidates(&self, first: usize, hash: Hash) -> (u32, bool) {
        let (mut candidates, mut has_empty) = (0, false);
        for n in 0..SLOTS {
            let word = self.words.load(first + n);
            has_empty |= word == EMPTY;
            candidates |= u32::from((word >> 32) as u32 == hash.0) << n;
        }
        (candidates, has_empty)
    }

    /// Whether what was read since a spot was found is what the variable holds.
    #[inline]
    fn holds(&self, spot: &Spot) -> bool {
        let words = &self.words;
        if kept(Protection::ReaderFence) {
            words.acquire();
        }
        if kept(Protection::Slot) && words.load(spot.slot) != spot.word {
            return false;
        }
        words.acquire();
        if kept(Protection::Stamp) && words.load(stamp_of(spot.slot)) != spot.stamp {
            return false;
        }
        if !kept(Protection::RootOfHit) {
            return true;
        }
        words.load(ROOT) == spot.root && {
            if kept(Protection::GenerationFence) {
                words.acquire();
            }
            words.load(GENERATION) == spot.generation
        }
    }

    #[inline]
    fn copy(&self, block: Granule, head: Head, value: &mut Vec<u8>) -> Revision {
        value.resize(head.value_len, 0);
        self.words.copy(block.word() + head.value_word(), value);
        block::revision(&self.words, block)
    }

    fn ended(&self) -> Answer {
        match State::from_word(self.words.load(STATE)) {
            Some(State::Live) | None => Answer::Busy,
            Some(state) => Answer::Ended(state),
        }
    }
}

impl Handle {
    /// A handle for a key that was not looked for yet.
    pub(crate) fn new(key: &[u8]) -> Self {
        Handle {
            key: key.into(),
            spot: None,
        }
    }
}
