//! Taking over a map from a service that has died, at whatever instruction.
//!
//! Everything that counts stands in the table and in the blocks that it leads to; the rest is found
//! again by looking at them, always in the order of memory and not of hashes or numbers, which is
//! several times faster. Blocks are not touched, and of the table only what a redo record says, so readers notice
//! nothing. What is damaged is dropped and reported: a map that is half there is better than none.

use std::cmp::Ordering;
use std::fmt;

use super::arena::Arena;
use super::block::{self, Head, Id};
use super::layout::{
    ATTEMPTS, EMPTY, EPOCH, FIRST_PAGE, Granule, MAGIC, Meta, PAGE, PROBE_LINES, PUBLISHED,
    REVISION, ROOT, STATE, State, TOMB, Table, VERSION, header,
};
use super::order::Order;
use super::upkeep::Upkeep;
use super::words::{Memory, Words};
use super::writer::{Entry, Map, Move};
use super::{Limits, Revision, batch, table};

/// Why a segment cannot be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is no map, or its creation was not finished.
    NoMap,
    /// Its layout has this version, with another major number than ours.
    Version(u32, u32),
    /// It was closed: there is nothing in it.
    Ended(State),
    /// Its header is damaged.
    Damaged,
    /// So many who tried died of it.
    Deadly(u64),
}

impl std::error::Error for Unfit {}

impl fmt::Display for Unfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::NoMap => formatter.write_str("what was kept is no map of variables"),
            Unfit::Version(major, minor) => write!(
                formatter,
                "the map has layout {major}.{minor}, which this version cannot read"
            ),
            Unfit::Ended(_) => formatter.write_str("the map was given up"),
            Unfit::Damaged => formatter.write_str("the map is damaged"),
            Unfit::Deadly(attempts) => {
                write!(formatter, "{attempts} who tried to take over the map died")
            }
        }
    }
}

/// What recovery has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// Variables that were there.
    pub(crate) variables: u64,
    /// Variables that were damaged, and are gone.
    pub(crate) dropped: u64,
    /// Whether the record of a change of several variables was damaged: part of it may be done.
    pub(crate) broken_record: bool,
}

/// A revision that no map ever comes to. Above it there would be no room to go on.
const REVISION_MAX: u64 = u64::MAX / 2;

/// Words that the smallest block takes: there were never more variables than have room, and so no
/// larger numbers.
const BLOCK_MIN: usize = 8;

/// How often somebody may have died in a row who took over a map. It takes a third of a second at
/// most, and somebody may kill services for fun; but this often it is the map's fault.
const ATTEMPTS_MAX: u64 = 16;

/// The blocks that were taken over.
#[derive(Default)]
struct Adopted {
    /// In the order of memory.
    blocks: Vec<Granule>,
    /// How many words all their keys begin with alike.
    common: usize,
}

/// A variable that is put in order.
#[derive(Clone, Copy)]
struct Sorted {
    /// The beginning of its key, behind what all keys begin with.
    prefix: u128,
    revision: Revision,
    id: Id,
    block: Granule,
}

impl<M: Memory> Map<M> {
    /// Takes over a map. `secret` is a random number. Shows each variable to `see`, whose memory is at
    /// hand then; also those that are damaged and dropped in the end.
    pub(crate) fn recover(
        memory: M,
        limits: Limits,
        secret: u64,
        see: impl FnMut(Entry<'_, M>),
    ) -> Result<(Self, Found), Unfit> {
        let table = check_header(&memory)?;
        let deaths = memory.load(ATTEMPTS);
        if deaths >= ATTEMPTS_MAX {
            return Err(Unfit::Deadly(deaths));
        }
        memory.store(ATTEMPTS, deaths + 1);
        memory.store(EPOCH, memory.load(EPOCH).wrapping_add(1));
        let broken_record = !batch::replay(&memory, table);
        let revision = Revision(memory.load(REVISION));
        let pages = (memory.len() / PAGE) as u32;
        let (arena, upkeep) = (Arena::new(FIRST_PAGE, pages), Upkeep::new(secret));
        let mut map = Self::begin(memory, limits, table, arena, upkeep);
        map.revision = revision;
        let pages = table.page..table.page + table.pages();
        let is_free = map.arena.adopt_pages(table.page, table.pages());
        // A damaged root may lead to a hole, which must not be written.
        if !is_free || map.memory.reserve(pages).is_err() {
            return Err(Unfit::Damaged);
        }
        let (adopted, mut damaged) = map.adopt_blocks();
        damaged.extend(map.sort(adopted, see));
        for &slot in &damaged {
            map.drop_slot(slot);
        }
        map.close_gaps();
        map.memory.publish(PUBLISHED, revision.0);
        map.memory.store(ATTEMPTS, 0);
        map.places.settle();
        map.arena.settle(&map.memory);
        let found = Found {
            variables: map.len(),
            dropped: damaged.len() as u64,
            broken_record,
        };
        Ok((map, found))
    }

    /// Looks at every block that the table leads to. Returns those that are now ours, and the slots of
    /// those that are damaged.
    fn adopt_blocks(&mut self) -> (Adopted, Vec<usize>) {
        let mut occupied = Vec::new();
        for slot in (0..self.table.lines()).flat_map(|line| table::slots(self.table, line)) {
            let word = self.memory.load(slot);
            self.occupied += u64::from(word != EMPTY);
            if word != EMPTY && word != TOMB {
                // The block is in the lower half, by which they shall be sorted.
                occupied.push((word.rotate_left(32), slot));
            }
        }
        occupied.sort_unstable_by_key(|(word, _)| *word);
        let (mut adopted, mut damaged) = (Adopted::default(), Vec::new());
        for (word, slot) in occupied {
            let meta = Meta::from_word(word.rotate_left(32));
            let gone = self.adopt(meta, slot);
            if gone != Some(slot) {
                adopted.common = self.common_words(&adopted, meta.block);
                adopted.blocks.push(meta.block);
            }
            damaged.extend(gone);
        }
        (adopted, damaged)
    }

    /// Takes over a block. Returns the slot that is to become free: its own if it is damaged, and
    /// that of another if both are of the same variable.
    fn adopt(&mut self, Meta { hash, block }: Meta, slot: usize) -> Option<usize> {
        let head = Head::read(&self.memory, block);
        if block.page() < FIRST_PAGE || !head.fits(block, self.memory.len()) {
            return Some(slot);
        }
        let revision = block::revision(&self.memory, block);
        let Some(key) = self.draft.whole(&self.memory, block) else {
            return Some(slot);
        };
        let home = self.table.home(hash);
        let is_at_home = table::hash(key, self.seed) == hash
            && (home..home + PROBE_LINES).contains(&self.table.line_of(slot));
        let is_right = is_at_home && revision <= self.revision;
        if !is_right || !self.arena.adopt(block, head.granules()) {
            return Some(slot);
        }
        let id = block::id(&self.memory, block);
        let limit = (self.memory.len() / BLOCK_MIN) as u32;
        let mut gone = None;
        if !self.places.adopt(id, block, revision, limit) {
            let is_older = |other: &Granule| block::revision(&self.memory, *other) < revision;
            let Some(other) = self.places.find(id).filter(is_older) else {
                self.give(block);
                return Some(slot);
            };
            gone = self.expel(id, other);
            self.places.adopt(id, block, revision, limit);
        }
        self.bytes += (head.key_len + head.value_len) as u64;
        gone
    }

    /// Undoes that a block was taken over. Returns its slot.
    fn expel(&mut self, id: Id, block: Granule) -> Option<usize> {
        let hash = table::hash(&block::key(&self.memory, block), self.seed);
        self.discount(id, block);
        self.give(block);
        table::locate(&self.memory, self.table, Meta { hash, block })
    }

    /// Makes a slot free whose block is damaged.
    fn drop_slot(&mut self, slot: usize) {
        let word = table::blank(&self.memory, self.table, slot, |_| false);
        self.store_blank(slot, word);
    }

    fn store_blank(&mut self, slot: usize, word: u64) {
        let hash = Meta::from_word(self.memory.load(slot)).hash;
        let (old, new) = (None, None);
        self.publish(Move {
            slot,
            hash,
            old,
            new,
            word,
        });
    }

    /// Sees to it that no empty slot stands before a variable where it is looked for, which happens
    /// to maps that are damaged.
    fn close_gaps(&mut self) {
        let table = self.table;
        for (line, slot) in (0..table.lines())
            .flat_map(|line| table::slots(table, line).map(move |slot| (line, slot)))
        {
            let word = self.memory.load(slot);
            if word == EMPTY || word == TOMB {
                continue;
            }
            let home = table.home(Meta::from_word(word).hash);
            for gap in (home..line).flat_map(|line| table::slots(table, line)) {
                if self.memory.load(gap) == EMPTY {
                    self.store_blank(gap, TOMB);
                }
            }
        }
    }

    /// Puts the variables in their orders. Returns the slots of those whose key is there twice.
    fn sort(&mut self, adopted: Adopted, mut see: impl FnMut(Entry<'_, M>)) -> Vec<usize> {
        // All that is needed, so that what follows does not go back to the blocks in this order,
        // which is not that of memory.
        let mut sorted = Vec::with_capacity(adopted.blocks.len());
        for block in adopted.blocks {
            let id = block::id(&self.memory, block);
            // One that was replaced when another of the same variable was found is not ours any more.
            if self.places.find(id) == Some(block) {
                see(self.entry(block));
                sorted.push(Sorted {
                    prefix: self.prefix(block, adopted.common),
                    revision: block::revision(&self.memory, block),
                    id,
                    block,
                });
            }
        }
        sorted.sort_unstable_by(|a, b| {
            let order = a.prefix.cmp(&b.prefix);
            order.then_with(|| self.compare_keys(a.block, b.block))
        });
        let doubles = self.take_doubles(&mut sorted);
        let ids: Vec<Id> = sorted.iter().map(|variable| variable.id).collect();
        self.order = Order::from_sorted(&ids, &self.keys());
        let change = |variable: &Sorted| (variable.revision, variable.id);
        let mut changes: Vec<_> = sorted.iter().map(change).collect();
        changes.sort_by_key(|(revision, _)| *revision); // Stable: within one, keys stay in order.
        for (revision, id) in changes {
            self.changes.push(revision, id);
        }
        doubles
    }

    /// Of variables with the same key, keeps the one that was changed last. Returns the slots of
    /// the others.
    fn take_doubles(&mut self, sorted: &mut Vec<Sorted>) -> Vec<usize> {
        let mut gone = Vec::new();
        sorted.dedup_by(|later, earlier| {
            let is_double = later.prefix == earlier.prefix
                && self.compare_keys(later.block, earlier.block).is_eq();
            if is_double {
                if later.revision > earlier.revision {
                    std::mem::swap(later, earlier);
                }
                gone.push((later.id, later.block));
            }
            is_double
        });
        gone.into_iter()
            .filter_map(|(id, block)| self.expel(id, block))
            .collect()
    }

    /// How many words all keys begin with alike, with that of one more block.
    fn common_words(&self, adopted: &Adopted, block: Granule) -> usize {
        let whole = Head::read(&self.memory, block).key_len / 8;
        let Some(&first) = adopted.blocks.first() else {
            return whole;
        };
        let word = |block, n| self.memory.load(block::key_word(block) + n);
        let common = adopted.common.min(whole);
        (0..common)
            .find(|n| word(block, *n) != word(first, *n))
            .unwrap_or(common)
    }

    /// The beginning of a key behind some words, in the order of keys.
    fn prefix(&self, block: Granule, skip: usize) -> u128 {
        let words = Head::read(&self.memory, block).key_len.div_ceil(8);
        let word = |n| match n < words {
            true => u128::from(self.memory.load(block::key_word(block) + n).swap_bytes()),
            false => 0,
        };
        word(skip) << 64 | word(skip + 1)
    }

    fn compare_keys(&self, left: Granule, right: Granule) -> Ordering {
        let len = |block| Head::read(&self.memory, block).key_len;
        let word = |block, n| self.memory.load(block::key_word(block) + n).swap_bytes();
        (0..len(left).min(len(right)).div_ceil(8))
            .map(|n| word(left, n).cmp(&word(right, n)))
            .find(|order| order.is_ne())
            .unwrap_or(len(left).cmp(&len(right)))
    }
}

/// Whether a map could be taken over, as far as that can be seen without changing it.
pub(crate) fn check(words: &impl Words) -> Result<(), Unfit> {
    check_header(words).map(drop)
}

/// Checks what every map begins with, and returns where its table is.
fn check_header(memory: &impl Words) -> Result<Table, Unfit> {
    if memory.load(header::MAGIC) != MAGIC {
        return Err(Unfit::NoMap);
    }
    let version = memory.load(header::VERSION);
    if version >> 32 != VERSION >> 32 {
        return Err(Unfit::Version((version >> 32) as u32, version as u32));
    }
    match State::from_word(memory.load(STATE)) {
        Some(State::Live) => {}
        Some(state) => return Err(Unfit::Ended(state)),
        None => return Err(Unfit::Damaged),
    }
    let is_sound =
        memory.load(header::WORDS) == memory.len() as u64 && memory.load(REVISION) <= REVISION_MAX;
    Table::from_root(memory.load(ROOT))
        .filter(|table| is_sound && table.fits(memory.len()))
        .ok_or(Unfit::Damaged)
}
