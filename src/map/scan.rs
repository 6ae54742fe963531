//! Reading all variables as they were at one moment.
//!
//! The walk goes through the table, slot by slot. Every change takes its revision before any of it can
//! be seen, and says so when all of it can be seen: if both words say the same before the walk,
//! and the first of them still does afterwards, then nothing was changed in between. What has no
//! revision (blocks and tables that move) is seen as every reader sees it: slot, stamp and root are
//! looked at again.

use super::Revision;
use super::block::{self, Head};
use super::known::Cell;
use super::layout::{EMPTY, Meta, PUBLISHED, REVISION, ROOT, SLOTS, State, TOMB, Table, stamp_of};
use super::protection::{Protection, kept};
use super::reader::{Answer, Reader, Spot};
use super::words::Words;

/// How often a slot is read again whose block was moved meanwhile.
const ATTEMPTS: usize = 16;

/// A variable as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) revision: Revision,
}

/// What a walk has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Everything that there was at some moment.
    Exact(Vec<Item>),
    /// The map was changed meanwhile.
    Blurred,
    /// The map is not in use any more.
    Ended(State),
}

impl<W: Words, C: Cell> Reader<W, C> {
    /// Reads the variables whose keys are wanted, in no order.
    pub(crate) fn scan(&self, is_wanted: impl Fn(&[u8]) -> bool) -> Scan {
        let words = self.words();
        let revision = words.load(PUBLISHED);
        words.acquire();
        if words.load(REVISION) != revision {
            return Scan::Blurred;
        }
        let root = words.load(ROOT);
        words.acquire();
        let Some(table) = Table::from_root(root).filter(|table| table.fits(words.len())) else {
            return match self.ended() {
                Answer::Ended(state) => Scan::Ended(state),
                _ => Scan::Blurred,
            };
        };
        let mut items = Vec::new();
        for line in 0..table.lines() {
            let first = table.line(line);
            if words.row::<SLOTS>(first) == [EMPTY; SLOTS] {
                continue;
            }
            for slot in first..first + SLOTS {
                match self.read_slot(root, slot, &is_wanted) {
                    Ok(item) => items.extend(item),
                    Err(Torn) => return Scan::Blurred,
                }
            }
        }
        words.acquire();
        let is_exact = words.load(ROOT) == root
            && (words.load(REVISION) == revision || !kept(Protection::RevisionOfScan));
        match is_exact {
            true => Scan::Exact(items),
            false => Scan::Blurred,
        }
    }

    fn read_slot(
        &self,
        root: u64,
        slot: usize,
        is_wanted: &impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Item>, Torn> {
        for _ in 0..ATTEMPTS {
            if let Ok(item) = self.try_slot(root, slot, is_wanted) {
                return Ok(item);
            }
        }
        Err(Torn)
    }

    fn try_slot(
        &self,
        root: u64,
        slot: usize,
        is_wanted: &impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Item>, Torn> {
        let words = self.words();
        let stamp = words.load(stamp_of(slot));
        words.acquire();
        let word = words.load(slot);
        if word == EMPTY || word == TOMB {
            return Ok(None);
        }
        words.acquire();
        let spot = Spot {
            root,
            slot,
            stamp,
            word,
        };
        let block = Meta::from_word(word).block;
        let [head, revision] = words.row(block.word());
        let head = Head::from_word(head);
        if !head.fits(block, words.len()) {
            return Err(Torn);
        }
        let mut key = Vec::new();
        words.copy_all(block::key_word(block), head.key_len, &mut key);
        if !self.holds(&spot) {
            return Err(Torn);
        }
        if !is_wanted(&key) {
            return Ok(None);
        }
        let mut value = Vec::new();
        let place = block.word() + block::value_word(head.key_len);
        words.copy_all(place, head.value_len, &mut value);
        if !self.holds(&spot) {
            return Err(Torn);
        }
        let revision = Revision(revision);
        Ok(Some(Item {
            key,
            value,
            revision,
        }))
    }
}

/// What was read was not there any more.
struct Torn;
