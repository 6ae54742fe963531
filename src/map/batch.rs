//! Changing several variables in one step.
//!
//! The slots cannot all be stored at once, so what is going to be stored is written down first: a
//! *redo record* of slots and words, which counts from the moment that its length is stored. A
//! crash before that leaves nothing of the change; after it, recovery does what the record says.
//!
//! The record has its own place in the segment, so that deleting needs no memory.

use std::collections::HashSet;

use super::block::{self, Draft, Head};
use super::layout::{CHANGES_MAX, Granule, Hash, REDO, REDO_FIRST, Table, stamp_of};
use super::protection::{Protection, kept};
use super::table::{self, Search};
use super::words::Memory;
use super::writer::{Map, Move};
use super::{Full, Revision, Stamp};

/// What happens to one variable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'c> {
    /// It is defined, or gets another value.
    Set(&'c [u8], &'c [u8], &'c Stamp),
    /// It is deleted, if it is there.
    Delete(&'c [u8]),
}

impl<'c> Change<'c> {
    fn key(&self) -> &'c [u8] {
        match *self {
            Change::Set(key, ..) | Change::Delete(key) => key,
        }
    }

    fn granules(&self) -> Option<u32> {
        match *self {
            Change::Set(key, value, stamp) => Some(Draft::granules(key, value, stamp)),
            Change::Delete(_) => None,
        }
    }
}

/// A change, and where.
struct Step<'c> {
    change: Change<'c>,
    hash: Hash,
    slot: usize,
    old: Option<Granule>,
    new: Option<Granule>,
}

impl<M: Memory> Map<M> {
    /// Makes all changes, with one revision, or none. Their keys must be different, in the order of
    /// the keys, and at most [`CHANGES_MAX`]. Returns how many variables were set or deleted, and
    /// the revision of the change, or the present one if there was nothing to do.
    pub(crate) fn apply(&mut self, changes: &[Change<'_>]) -> Result<(u64, Revision), Full> {
        assert!(
            changes.len() <= CHANGES_MAX,
            "the redo record has no room for more"
        );
        debug_assert!(changes.is_sorted_by(|a, b| a.key() < b.key()));
        self.make_room_for(self.new_keys(changes));
        let steps = self.try_steps(changes);
        let mut steps = match steps {
            Err(Full::Crowded) if self.make_room(changes.len() as u64) => {
                self.try_steps(changes)?
            }
            steps => steps?,
        };
        if steps.is_empty() {
            return Ok((0, self.revision));
        }
        self.take_blocks(&mut steps)?;
        let revision = self.commit(&steps);
        self.work_for(steps.len());
        Ok((steps.len() as u64, revision))
    }

    /// How many keys are new; 0 also if there is room for as many as there are changes.
    fn new_keys(&self, changes: &[Change<'_>]) -> u64 {
        if self.occupied + changes.len() as u64 <= self.table.capacity() / 2 {
            return 0;
        }
        let is_new = |change: &&Change<'_>| {
            matches!(change, Change::Set(..))
                && matches!(self.find(change.key()).1, Search::Vacant(_))
        };
        changes.iter().filter(is_new).count() as u64
    }

    /// Deletes those of `keys` that are there.
    pub(super) fn delete_all<K: AsRef<[u8]>>(&mut self, keys: &[K]) -> (u64, Revision) {
        let mut keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        keys.sort_unstable();
        keys.dedup();
        let changes: Vec<_> = keys.into_iter().map(Change::Delete).collect();
        self.apply(&changes).expect("deleting needs no memory")
    }

    /// Finds a slot for each change; changes nothing.
    fn try_steps<'c>(&self, changes: &[Change<'c>]) -> Result<Vec<Step<'c>>, Full> {
        let mut taken = HashSet::new();
        let mut steps = Vec::with_capacity(changes.len());
        let (mut gone, mut come, mut more, mut less) = (0, 0, 0, 0);
        for &change in changes {
            let key = change.key();
            let hash = table::hash(key, self.seed);
            let is_taken = |slot| taken.contains(&slot);
            let (slot, old) = match table::find(&self.memory, self.table, hash, key, is_taken) {
                Search::Found { slot, block } => (slot, Some(block)),
                Search::Vacant(_) if matches!(change, Change::Delete(_)) => continue,
                Search::Vacant(slot) => (slot.ok_or(Full::Crowded)?, None),
            };
            match old {
                None => drop(taken.insert(slot)),
                Some(old) => {
                    gone += (key.len() + Head::read(&self.memory, old).value_len) as u64;
                    less += 1;
                }
            }
            if let Change::Set(key, value, _) = change {
                come += (key.len() + value.len()) as u64;
                more += 1;
            }
            steps.push(Step {
                change,
                hash,
                slot,
                old,
                new: None,
            });
        }
        self.check_limits(self.bytes - gone + come, u64::saturating_sub(more, less))?;
        Ok(steps)
    }

    /// Takes memory for all blocks, or for none.
    fn take_blocks(&mut self, steps: &mut [Step<'_>]) -> Result<(), Full> {
        for n in 0..steps.len() {
            let Some(granules) = steps[n].change.granules() else {
                continue;
            };
            match self.take(granules) {
                Ok(place) => steps[n].new = Some(place),
                Err(full) => {
                    for step in &steps[..n] {
                        if let (Some(place), Some(granules)) = (step.new, step.change.granules()) {
                            self.arena.give(place, granules);
                        }
                    }
                    return Err(full);
                }
            }
        }
        Ok(())
    }

    fn commit(&mut self, steps: &[Step<'_>]) -> Revision {
        let revision = self.next_revision();
        let taken: HashSet<usize> = steps
            .iter()
            .filter(|step| step.old.is_none())
            .map(|step| step.slot)
            .collect();
        let mut moves = Vec::with_capacity(steps.len());
        let mut ids = Vec::with_capacity(steps.len());
        for step in steps {
            let Step {
                slot, hash, old, ..
            } = *step;
            if let (Change::Set(key, value, stamp), Some(new)) = (step.change, step.new) {
                let id = self.number(old, new, revision);
                self.write((key, value, stamp), new, revision, id);
                moves.push(Move::replace(slot, hash, old, new));
                ids.push(id);
            } else {
                let is_taken = |slot| taken.contains(&slot);
                let word = table::blank(&self.memory, self.table, slot, is_taken);
                moves.push(Move {
                    slot,
                    hash,
                    old,
                    new: None,
                    word,
                });
                ids.push(block::id(
                    &self.memory,
                    old.expect("only what is there is deleted"),
                ));
            }
        }
        self.publish_all(&moves);
        self.finish(revision);
        for (step, id) in steps.iter().zip(ids) {
            match (step.new, step.old) {
                (Some(new), old) => self.note_set(step.change.key(), old, new, id),
                (None, Some(old)) => {
                    self.forget(old);
                    self.give(old);
                }
                (None, None) => {}
            }
        }
        self.work();
        revision
    }

    /// Stores all slots, so that a crash in between is made good by [`replay`].
    fn publish_all(&mut self, moves: &[Move]) {
        let memory = &self.memory;
        let early = !kept(Protection::RedoFirst);
        if early {
            memory.publish(REDO, moves.len() as u64);
        }
        for (n, change) in moves.iter().enumerate() {
            memory.store(REDO_FIRST + 2 * n, change.slot as u64);
            memory.store(REDO_FIRST + 2 * n + 1, change.word);
        }
        if !early {
            memory.publish(REDO, moves.len() as u64);
        }
        if !kept(Protection::RedoUntilDone) {
            memory.publish(REDO, 0);
        }
        for change in moves {
            self.publish(*change);
        }
        self.memory.publish(REDO, 0);
    }
}

/// Does what the redo record says that a crash has left, as often as it may take. False if what
/// stands there can be no record of this table; then nothing is done.
pub(super) fn replay(memory: &impl Memory, table: Table) -> bool {
    let len = memory.load(REDO) as usize;
    let entry = |n: usize| {
        let word = REDO_FIRST + 2 * n;
        (memory.load(word) as usize, memory.load(word + 1))
    };
    let is_slot = |slot: usize| {
        slot >= table.line(0) && slot < table.line(table.lines()) && stamp_of(slot) != slot
    };
    let is_record = len <= CHANGES_MAX && (0..len).all(|n| is_slot(entry(n).0));
    if is_record {
        for (slot, word) in (0..len).map(entry) {
            if memory.load(slot) != word {
                let stamp = stamp_of(slot);
                memory.store(stamp, memory.load(stamp).wrapping_add(1));
                memory.release();
                memory.publish(slot, word);
            }
        }
    }
    memory.publish(REDO, 0);
    is_record
}
