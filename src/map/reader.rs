//! Reading variables while somebody else changes them.
//!
//! A reader stores nothing, calls nobody, never waits, and trusts no byte that it reads: whatever
//! the segment holds, an answer takes a bounded number of steps, and no word outside of the segment
//! is touched. What it found counts only if slot, stamp, root and generation are afterwards as they
//! were before; otherwise it begins again. The argument is in `docs/design.md`, "Why a value is
//! never torn".

use std::hint::cold_path;
use std::sync::atomic::AtomicU64;

use super::Revision;
use super::block::{self, Head};
use super::known::{Cell, Known, Memo};
use super::layout::{
    EMPTY, Granule, LINE, Meta, OWNER, PROBE_LINES, REDO_FIRST, ROOT, SLOTS, STATE, State, TOMB,
    Table,
};
use super::protection::{Protection, kept};
use super::table;
use super::words::{Room, Words};

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

/// A map that is read. Threads can share it.
pub(crate) struct Reader<W, C = AtomicU64> {
    words: W,
    memo: Memo<C>,
}

/// A key, with its value as it was last read and where that was.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    key: Box<[u8]>,
    found: Option<Found>,
    value: Vec<u8>,
}

/// Where a block was found, and everything that stays as it is while it is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) root: u64,
    pub(super) slot: usize,
    pub(super) stamp: u64,
    pub(super) word: u64,
}

/// A variable that was found: its block never changes, so this holds as long as the spot does.
#[derive(Debug, Clone, Copy)]
struct Found {
    spot: Spot,
    revision: Revision,
}

/// What a block says.
struct Content {
    revision: Revision,
    /// The first word of the value.
    value: usize,
    len: usize,
}

/// One attempt to read.
enum Attempt {
    Found(Found),
    Absent,
    Torn,
    Ended,
}

impl<W: Words> Reader<W> {
    /// A reader of a map that was checked to be one.
    pub(crate) fn new(words: W) -> Self {
        Reader::remembering(words, Memo::new(AtomicU64::new))
    }
}

impl<W: Words, C: Cell> Reader<W, C> {
    /// The same, with this to remember things in.
    pub(crate) fn remembering(words: W, memo: Memo<C>) -> Self {
        Reader { words, memo }
    }

    /// What it reads.
    pub(crate) fn words(&self) -> &W {
        &self.words
    }

    /// Reads a variable. On anything but [`Answer::Found`] nothing is said about `value`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8], value: &mut impl Room) -> Answer {
        match self.glance(key, value) {
            Some(Some(revision)) => Answer::Found(revision),
            Some(None) => Answer::Absent,
            None => self.search(key, value),
        }
    }

    /// Reads a variable if it stands where it is looked for first, as nearly all do, and its value is
    /// short and there is room for it; or tells that it is not defined, `Some(None)`, if the search for
    /// it would end there. `None` says nothing: then it is to be searched.
    ///
    /// It becomes part of whoever calls it, and of a key of up to 128 bytes it calls nothing: XXH3 has
    /// functions for longer ones.
    #[inline(always)]
    pub(crate) fn glance(&self, key: &[u8], value: &mut impl Room) -> Option<Option<Revision>> {
        let words = &self.words.lend();
        let header = &words.part(0, REDO_FIRST)?;
        let root = header.load(ROOT);
        // The table was written before it became the root.
        if kept(Protection::RootFence) {
            words.acquire();
        }
        let known = self.memo.get(root)?;
        let hash = table::hash(key, known.seed);
        let first = known.home(hash);
        let line = &words.part(first, LINE)?;
        let stamp = line.load(SLOTS);
        words.acquire();
        let candidates = line.matching(hash.0);
        if candidates == 0 {
            // What is there is read more often, and has no jump around this.
            cold_path();
            return (ends(line) && is_still(header, root)).then_some(None);
        }
        let n = candidates.trailing_zeros() as usize % LINE;
        let word = line.load(n);
        if word <= TOMB {
            return None;
        }
        words.acquire();
        let content = content(words, Meta::from_word(word).block, key)?;
        if !value.take_short(words, content.value, content.len) {
            return None;
        }
        let spot = Spot {
            root,
            slot: first + n,
            stamp,
            word,
        };
        let holds =
            holds_in(line, &spot) && (header.load(ROOT) == root || !kept(Protection::RootOfHit));
        holds.then_some(Some(content.revision))
    }

    /// Reads a variable, wherever it stands.
    #[inline(never)]
    pub(crate) fn search(&self, key: &[u8], value: &mut impl Room) -> Answer {
        self.find(key, value).0
    }

    /// Reads a variable through a handle, which then has its value. As long as that has not changed
    /// it takes a few loads, however long the value is.
    #[inline(always)]
    pub(crate) fn refresh(&self, handle: &mut Handle) -> Answer {
        match &handle.found {
            Some(found) if self.holds(&found.spot) => Answer::Found(found.revision),
            _ => self.read_anew(handle),
        }
    }

    /// The same, and copies the value out.
    #[inline]
    pub(crate) fn get_cached(&self, handle: &mut Handle, value: &mut Vec<u8>) -> Answer {
        let answer = self.refresh(handle);
        if matches!(answer, Answer::Found(_)) {
            value.clear();
            value.extend_from_slice(&handle.value);
        }
        answer
    }

    /// Whether the variable may have changed since the handle was last read with: a few loads.
    #[inline]
    pub(crate) fn has_changed(&self, handle: &Handle) -> bool {
        handle
            .found
            .as_ref()
            .is_none_or(|found| !self.holds(&found.spot))
    }

    /// Whether a service writes the map, as far as the kernel knows: it marks the word when that dies,
    /// and while another program takes its place there is nothing in it. What was written can be
    /// read on.
    #[inline(always)]
    pub(crate) fn is_served(&self) -> bool {
        (1..OWNER_DIED).contains(&self.words.load(OWNER))
    }

    /// Whether the map is not in use any more.
    pub(crate) fn has_ended(&self) -> bool {
        Table::from_root(self.words.load(ROOT)).is_none()
    }

    #[cold]
    fn read_anew(&self, handle: &mut Handle) -> Answer {
        let (answer, found) = self.find(&handle.key, &mut handle.value);
        handle.found = found;
        if found.is_none() {
            handle.value = Vec::new();
        }
        answer
    }

    fn find(&self, key: &[u8], value: &mut impl Room) -> (Answer, Option<Found>) {
        for _ in 0..ATTEMPTS {
            match self.attempt(key, value) {
                Attempt::Found(found) => return (Answer::Found(found.revision), Some(found)),
                Attempt::Absent => return (Answer::Absent, None),
                Attempt::Ended => return (self.ended(), None),
                Attempt::Torn => {}
            }
        }
        (Answer::Busy, None)
    }

    fn attempt(&self, key: &[u8], value: &mut impl Room) -> Attempt {
        let words = &self.words.lend();
        let root = words.load(ROOT);
        // As in a glance.
        if kept(Protection::RootFence) {
            words.acquire();
        }
        let Some(known) = self.memo.get(root).or_else(|| self.learn(root)) else {
            return Attempt::Ended;
        };
        let hash = table::hash(key, known.seed);
        for line in 0..PROBE_LINES {
            let first = known.home(hash) + line * LINE;
            let Some(line) = &words.part(first, LINE) else {
                break;
            };
            let stamp = line.load(SLOTS);
            words.acquire();
            let mut candidates = line.matching(hash.0);
            while candidates != 0 {
                let n = candidates.trailing_zeros() as usize;
                candidates &= candidates - 1;
                let word = line.load(n);
                if word <= TOMB {
                    continue;
                }
                words.acquire();
                let spot = Spot {
                    root,
                    slot: first + n,
                    stamp,
                    word,
                };
                let content = content(words, Meta::from_word(word).block, key);
                let is_kept = match &content {
                    Some(content) => take(words, content, &spot, value),
                    None => holds(words, &spot),
                };
                match content {
                    _ if !is_kept => return Attempt::Torn,
                    Some(Content { revision, .. }) => {
                        return Attempt::Found(Found { spot, revision });
                    }
                    None => {}
                }
            }
            if ends(line) {
                break;
            }
        }
        match is_still(words, root) {
            true => Attempt::Absent,
            false => Attempt::Torn,
        }
    }

    /// Learns where the table of a root is, and how its keys are hashed; `None` if there is none.
    #[cold]
    fn learn(&self, root: u64) -> Option<Known> {
        let known = self.look_up(root)?;
        self.memo.keep(|| {
            let root = self.words.load(ROOT);
            Some((root, self.look_up(root)?))
        });
        Some(known)
    }

    /// What is found in a table that was replaced meanwhile is wrong, and harmless: after the last
    /// fence this root will never be seen again, by nobody who sees what was learned.
    fn look_up(&self, root: u64) -> Option<Known> {
        let words = &self.words;
        if kept(Protection::RootFence) {
            words.acquire();
        }
        let table = Table::from_root(root).filter(|table| table.fits(words.len()))?;
        let seed = words.load(table.first_word());
        words.acquire();
        Some(Known {
            line: (table.line(0) / LINE) as u32,
            shift: 32 - table.bits,
            seed,
        })
    }

    /// Whether what was read since a spot was found is what the variable holds.
    #[inline(always)]
    pub(super) fn holds(&self, spot: &Spot) -> bool {
        holds(&self.words.lend(), spot)
    }

    #[cold]
    pub(super) fn ended(&self) -> Answer {
        match State::from_word(self.words.load(STATE)) {
            Some(State::Live) | None => Answer::Busy,
            Some(state) => Answer::Ended(state),
        }
    }
}

/// Whether the search for a key ends in this line. To be asked after its candidates were looked at: of what
/// is seen later it is the more right to say so.
#[inline(always)]
fn ends(line: &impl Words) -> bool {
    line.row::<SLOTS>(0).contains(&EMPTY)
}

/// Whether the root is still the one in whose table something was not found.
#[inline(always)]
fn is_still(header: &impl Words, root: u64) -> bool {
    header.acquire();
    header.load(ROOT) == root || !kept(Protection::RootOfMiss)
}

/// What a block says, if it is of this key.
#[inline(always)]
fn content(words: &impl Words, block: Granule, key: &[u8]) -> Option<Content> {
    // By the length of our key, not of theirs: so it takes one look whether all is there, and the
    // value can be on its way from memory before it is known that it is the right one.
    let value = block::value_word(key.len());
    let first = block.word();
    let block = words.part(first, value + 2)?;
    let head = Head::from_word(block.load(0));
    let is_key = head.key_len == key.len() && block.equal(block::HEAD, key);
    is_key.then(|| Content {
        revision: Revision(block.load(1)),
        value: first + value,
        len: head.value_len,
    })
}

/// Copies a value out; false if it was not there any more.
fn take(words: &impl Words, content: &Content, spot: &Spot, value: &mut impl Room) -> bool {
    if content.len > SURE && !is_sure(words, content, spot) {
        return false;
    }
    value.take(words, content.value, content.len);
    holds(words, spot)
}

/// Whether a value is there and fits: of one that is not there, the length may be anything.
fn is_sure(words: &impl Words, content: &Content, spot: &Spot) -> bool {
    content.len <= words.len() * 8 && holds(words, spot)
}

/// Whether a slot has led to the same block since it was found.
#[inline(always)]
fn holds(words: &impl Words, spot: &Spot) -> bool {
    let n = spot.slot % LINE;
    let line = words.part(spot.slot - n, LINE);
    line.is_some_and(|line| holds_in(&line, spot))
        && (words.load(ROOT) == spot.root || !kept(Protection::RootOfHit))
}

/// The same as far as its line tells.
#[inline(always)]
fn holds_in(line: &impl Words, spot: &Spot) -> bool {
    if kept(Protection::ReaderFence) {
        line.acquire();
    }
    if kept(Protection::Slot) && line.load(spot.slot % LINE) != spot.word {
        return false;
    }
    line.acquire();
    line.load(SLOTS) == spot.stamp || !kept(Protection::Stamp)
}

impl Handle {
    /// A handle for a key that was not looked for yet.
    pub(crate) fn new(key: &[u8]) -> Self {
        Handle {
            key: key.into(),
            found: None,
            value: Vec::new(),
        }
    }

    /// The value as it was last read; empty if there was none.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }
}
