//! The table: where the slot of a key is, and which slots are free.
//!
//! A key is at home in the line that the upper bits of its hash say, and overflows into the lines
//! behind it. A line that has an empty slot has never been full in this generation, so the search
//! ends there. Slots are changed by the writer alone; this module only looks.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::block::{self, Head};
use super::layout::{EMPTY, Granule, Hash, Meta, PROBE_LINES, SLOTS, TOMB, Table};
use super::protection::{Protection, kept};
use super::words::Words;

/// Where a key is, or could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// In this slot.
    Found { slot: usize, block: Granule },
    /// Nowhere; this slot is free for it, if any is.
    Vacant(Option<usize>),
}

/// The hash of a key: XXH3 (<https://github.com/Cyan4973/xxHash>), whose definition is frozen.
#[inline]
pub(super) fn hash(key: &[u8], seed: u64) -> Hash {
    Hash((xxh3_64_with_seed(key, seed) >> 32) as u32)
}

/// Finds a key, or a free slot for it that `is_taken` does not refuse.
pub(super) fn find(
    words: &impl Words,
    table: Table,
    hash: Hash,
    key: &[u8],
    is_taken: impl Fn(usize) -> bool,
) -> Search {
    let mut vacant = None;
    for line in lines(table, hash) {
        let mut has_empty = false;
        for slot in slots(table, line) {
            let word = words.load(slot);
            if word == EMPTY || word == TOMB {
                let is_free = !is_taken(slot);
                if is_free && vacant.is_none() {
                    vacant = Some(slot);
                }
                has_empty |= is_free && word == EMPTY;
                continue;
            }
            let Meta { hash: other, block } = Meta::from_word(word);
            if other == hash && has_key(words, block, key) {
                return Search::Found { slot, block };
            }
        }
        if has_empty {
            break;
        }
    }
    Search::Vacant(vacant)
}

/// The slot of a block that is known to be in the table.
pub(super) fn locate(words: &impl Words, table: Table, meta: Meta) -> Option<usize> {
    lines(table, meta.hash)
        .flat_map(|line| slots(table, line))
        .find(|slot| words.load(*slot) == meta.to_word())
}

/// A free slot for a key that is known not to be in the table.
pub(super) fn vacancy(words: &impl Words, table: Table, hash: Hash) -> Option<usize> {
    lines(table, hash)
        .flat_map(|line| slots(table, line))
        .find(|slot| matches!(words.load(*slot), EMPTY | TOMB))
}

/// What a slot becomes whose key is deleted: empty if another slot of its line, of those that are
/// not taken, is: then the line has never been full, and no key has overflowed past it.
pub(super) fn blank(
    words: &impl Words,
    table: Table,
    slot: usize,
    is_taken: impl Fn(usize) -> bool,
) -> u64 {
    let has_empty = slots(table, table.line_of(slot))
        .any(|other| other != slot && words.load(other) == EMPTY && !is_taken(other));
    match has_empty || !kept(Protection::Tomb) {
        true => EMPTY,
        false => TOMB,
    }
}

/// The slots of a line.
pub(super) fn slots(table: Table, line: usize) -> impl Iterator<Item = usize> {
    let first = table.line(line);
    first..first + SLOTS
}

/// The lines in which a key may be.
#[inline]
pub(super) fn lines(table: Table, hash: Hash) -> impl Iterator<Item = usize> {
    let home = table.home(hash);
    home..home + PROBE_LINES
}

/// Whether a block, known to be whole, is of this key.
fn has_key(words: &impl Words, block: Granule, key: &[u8]) -> bool {
    Head::read(words, block).key_len == key.len() && words.equal(block::key_word(block), key)
}
