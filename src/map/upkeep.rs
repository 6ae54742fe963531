//! What must be done now and then, done a little with each change: a table that has become too
//! small or too large is made anew, slabs that have become sparse are emptied, and memory goes back
//! to the system. No step takes longer than some tens of µs, however large the map.
//!
//! A new table is made beside the old one, which readers go on using: first its memory is made
//! ready, then line by line is taken over, and what changes meanwhile in lines that were taken over
//! changes in both. At the end one store switches readers over.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::block::{self, Head};
use super::layout::{
    self, EMPTY, Granule, Meta, PAGE, ROOT, TABLE_BITS_MAX, TABLE_BITS_MIN, TOMB, Table,
};
use super::protection::{Protection, kept};
use super::table;
use super::words::Memory;
use super::writer::{Map, Move};

/// Lines taken over in a step. A table is made anew at two thirds load; until all lines are taken
/// over, one change for each step adds no more than a hundredth to that.
const LINES_STEP: usize = 16;

/// Pages of a new table made ready in a step: 64 KiB. Where memory is new to a virtual machine too,
/// a page takes up to 12 µs.
const PAGES_STEP: u32 = 16;

/// Blocks moved out of a sparse slab in a step.
const BLOCKS_STEP: usize = 4;

/// Most steps done at once when a key finds no slot: a table of 4,096 lines, a millisecond.
const STEPS_AT_ONCE: usize = 4096 / LINES_STEP;

/// Most steps done at once for a change of many keys: a table for them, and where there are more
/// variables than these, a part of one.
const STEPS_FOR_MANY: usize = 2048;

/// Keys of a change for which a step is done. A table has two thirds of its slots in use when it is
/// made anew, and a quarter of a key in each line that is taken over adds a twenty-fifth to that.
const KEYS_STEP: usize = 4;

/// What is under way.
pub(super) struct Upkeep {
    rebuild: Option<Rebuild>,
    /// The slab that is being emptied.
    evacuation: Option<u32>,
    secret: u64,
    seeds: u64,
    /// No table is made anew before this revision, because the last attempt has failed: so what it
    /// costs is spread over many changes.
    not_before: u64,
    /// Nor one with other hashes before this one. One that is needed for more keys is: what that
    /// costs is spread over the keys.
    same_hashes_until: u64,
}

/// A table that is being made.
struct Rebuild {
    table: Table,
    seed: u64,
    occupied: u64,
    phase: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Pages from this one on have to be made ready.
    Clear(u32),
    /// Lines of the old table from this one on have to be taken over.
    Take(usize),
}

impl Upkeep {
    pub(super) fn new(secret: u64) -> Self {
        Upkeep {
            rebuild: None,
            evacuation: None,
            secret,
            seeds: 0,
            not_before: 0,
            same_hashes_until: 0,
        }
    }

    /// A seed that nobody can foresee who does not know the secret.
    pub(super) fn next_seed(&mut self) -> u64 {
        self.seeds += 1;
        xxh3_64_with_seed(&self.seeds.to_le_bytes(), self.secret)
    }
}

impl<M: Memory> Map<M> {
    /// Whether there is something to do now.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.upkeep.rebuild.is_some() || self.upkeep.evacuation.is_some() || self.arena.is_untidy()
    }

    /// Does a little of what is to do. Done with each change; who has nothing else to do may do
    /// more. Returns whether there is more to do.
    pub(crate) fn work(&mut self) -> bool {
        if self.upkeep.rebuild.is_none() && self.is_unfit() {
            self.begin_rebuild(self.seed, self.len());
        }
        if self.upkeep.rebuild.is_some() {
            self.rebuild_step();
        }
        if self.upkeep.evacuation.is_none() {
            self.upkeep.evacuation = self.arena.evacuate();
        }
        if let Some(slab) = self.upkeep.evacuation {
            self.evacuate_step(slab);
        }
        self.arena.trim(&self.memory);
        self.has_work()
    }

    /// The table that is being made.
    #[cfg(test)]
    pub(super) fn table_under_way(&self) -> Option<Table> {
        Some(self.upkeep.rebuild.as_ref()?.table)
    }

    /// A key has found no slot, and at most so many are new. Makes a table with other hashes if it
    /// may; returns whether that is done, and the key should be tried again.
    pub(super) fn make_room(&mut self, new: u64) -> bool {
        let may_have_others = self.revision.0 >= self.upkeep.same_hashes_until;
        if self.upkeep.rebuild.is_none() && self.may_rebuild() && may_have_others {
            let seed = self.upkeep.next_seed();
            self.begin_rebuild(seed, self.len() + new);
            self.upkeep.same_hashes_until = self.revision.0 + (1 << self.table.bits);
        }
        for _ in 0..STEPS_AT_ONCE {
            if self.upkeep.rebuild.is_none() {
                return true;
            }
            self.rebuild_step();
        }
        self.upkeep.rebuild.is_none()
    }

    /// Many keys at once are going to find slots, so many of which are new. Where the table would be
    /// too full with them, another is made first.
    pub(super) fn make_room_for(&mut self, new: u64) {
        let is_crowded = |map: &Self| map.occupied + new > map.table.capacity() / 4 * 3;
        for _ in 0..STEPS_FOR_MANY {
            if !is_crowded(self) {
                return;
            }
            if self.upkeep.rebuild.is_none() {
                if !self.may_rebuild() {
                    return;
                }
                self.begin_rebuild(self.seed, self.len() + new);
            }
            self.rebuild_step();
        }
    }

    /// The part of the work for a change of so many keys that is more than that for one.
    pub(super) fn work_for(&mut self, keys: usize) {
        for _ in 0..keys / KEYS_STEP {
            if self.upkeep.rebuild.is_none() {
                return;
            }
            self.rebuild_step();
        }
    }

    /// Repeats a change in the table that is being made.
    pub(super) fn mirror(&mut self, change: Move) {
        let Some(rebuild) = &mut self.upkeep.rebuild else {
            return;
        };
        match rebuild.phase {
            Phase::Take(next) if self.table.line_of(change.slot) < next => {}
            _ => return, // It will be taken over as it is then.
        }
        if !kept(Protection::Mirror) {
            return;
        }
        let Rebuild { table, seed, .. } = *rebuild;
        let memory = &self.memory;
        let hash = match change.new.or(change.old) {
            Some(block) if seed != self.seed => table::hash(&block::key(memory, block), seed),
            _ => change.hash,
        };
        let slot = match change.old {
            Some(block) => table::locate(memory, table, Meta { hash, block }),
            None => table::vacancy(memory, table, hash),
        };
        let Some(slot) = slot else {
            return self.abandon_rebuild();
        };
        let word = match change.new {
            Some(block) => Meta { hash, block }.to_word(),
            None => table::blank(memory, table, slot, |_| false),
        };
        rebuild.occupied += u64::from(memory.load(slot) == EMPTY);
        rebuild.occupied -= u64::from(word == EMPTY);
        memory.store(slot, word);
    }

    fn may_rebuild(&self) -> bool {
        self.revision.0 >= self.upkeep.not_before
    }

    /// Whether the table should have another size.
    fn is_unfit(&self) -> bool {
        let capacity = self.table.capacity();
        let is_crowded = self.occupied > capacity / 3 * 2;
        let is_sparse = self.len() < capacity / 16 && self.table.bits > TABLE_BITS_MIN;
        (is_crowded || is_sparse) && self.may_rebuild()
    }

    /// Begins to make a table with these hashes, for so many variables.
    pub(super) fn begin_rebuild(&mut self, seed: u64, len: u64) {
        let mut table = Table {
            page: 0,
            bits: bits_for(len),
        };
        match self.arena.claim_pages(table.pages()) {
            Ok(page) => {
                table.page = page;
                let phase = Phase::Clear(page);
                let occupied = 0;
                self.upkeep.rebuild = Some(Rebuild {
                    table,
                    seed,
                    occupied,
                    phase,
                });
            }
            Err(_) => self.put_off_rebuild(),
        }
    }

    fn rebuild_step(&mut self) {
        let Some(Rebuild { table, phase, .. }) = self.upkeep.rebuild else {
            return;
        };
        let phase = match phase {
            Phase::Clear(page) => self.clear(table, page),
            Phase::Take(line) => self.take_over(line),
        };
        match (phase, &mut self.upkeep.rebuild) {
            (Some(Phase::Take(line)), _) if line == self.table.lines() => self.switch(),
            (Some(phase), Some(rebuild)) => rebuild.phase = phase,
            _ => self.abandon_rebuild(),
        }
    }

    /// Makes pages of the new table ready; `None` if there is no memory.
    fn clear(&mut self, table: Table, page: u32) -> Option<Phase> {
        let end = (page + PAGES_STEP).min(table.page + table.pages());
        self.memory.reserve(page..end).ok()?;
        self.before_reuse();
        for word in page as usize * PAGE..end as usize * PAGE {
            // Memory from the system is clear already.
            if self.memory.load(word) != 0 {
                self.memory.store(word, 0);
            }
        }
        Some(match end == table.page + table.pages() {
            true => Phase::Take(0),
            false => Phase::Clear(end),
        })
    }

    /// Takes over lines of the old table; `None` if a key finds no slot.
    fn take_over(&mut self, line: usize) -> Option<Phase> {
        let rebuild = self.upkeep.rebuild.as_mut()?;
        let (memory, table, seed) = (&self.memory, rebuild.table, rebuild.seed);
        let end = (line + LINES_STEP).min(self.table.lines());
        for slot in (line..end).flat_map(|line| table::slots(self.table, line)) {
            let word = memory.load(slot);
            if word == EMPTY || word == TOMB {
                continue;
            }
            let Meta { mut hash, block } = Meta::from_word(word);
            if seed != self.seed {
                hash = table::hash(&block::key(memory, block), seed);
            }
            let new = table::vacancy(memory, table, hash)?;
            rebuild.occupied += u64::from(memory.load(new) == EMPTY);
            memory.store(new, Meta { hash, block }.to_word());
        }
        Some(Phase::Take(end))
    }

    /// Readers use the new table from now on.
    fn switch(&mut self) {
        let Some(Rebuild {
            table,
            seed,
            occupied,
            ..
        }) = self.upkeep.rebuild.take()
        else {
            return;
        };
        let memory = &self.memory;
        memory.store(table.first_word(), seed);
        let mut generation = layout::generation(memory.load(ROOT));
        if kept(Protection::GenerationGrows) {
            generation = generation.wrapping_add(1);
        }
        memory.publish(ROOT, table.to_root(generation));
        let old = std::mem::replace(&mut self.table, table);
        (self.seed, self.occupied) = (seed, occupied);
        self.arena.give_pages(old.page, old.pages());
    }

    fn abandon_rebuild(&mut self) {
        if let Some(Rebuild { table, .. }) = self.upkeep.rebuild.take() {
            let end = table.page + table.pages();
            self.memory.give_back(table.page..end);
            self.arena.give_holes(table.page, table.pages());
        }
        self.put_off_rebuild();
    }

    fn put_off_rebuild(&mut self) {
        self.upkeep.not_before = self.revision.0 + (1 << self.table.bits);
    }

    /// Moves some blocks of a sparse slab elsewhere.
    fn evacuate_step(&mut self, slab: u32) {
        for _ in 0..BLOCKS_STEP {
            let Some(block) = self.arena.block_in(slab) else {
                self.upkeep.evacuation = None;
                return;
            };
            if self.relocate(block).is_none() {
                self.arena.keep(slab);
                self.upkeep.evacuation = None;
                return;
            }
        }
    }

    /// Moves a block; `None` if there is no memory.
    fn relocate(&mut self, old: Granule) -> Option<()> {
        let granules = Head::read(&self.memory, old).granules();
        let new = self.arena.take(&self.memory, granules).ok()?;
        let hash = table::hash(&block::key(&self.memory, old), self.seed);
        let slot = table::locate(&self.memory, self.table, Meta { hash, block: old })
            .expect("a block in use is in the table");
        let id = block::id(&self.memory, old);
        let revision = block::revision(&self.memory, old);
        let change = Move::replace(slot, hash, Some(old), new);
        self.before_reuse();
        if kept(Protection::MoveContent) {
            block::copy(&self.memory, old, new);
            self.publish(change);
        } else {
            self.publish(change);
            block::copy(&self.memory, old, new);
        }
        self.places.set(id, new, revision);
        self.arena.give(old, granules);
        Some(())
    }
}

/// The size of a table for so many variables: about half full at most.
fn bits_for(len: u64) -> u32 {
    (TABLE_BITS_MIN..TABLE_BITS_MAX)
        .find(|bits| {
            Table {
                page: 0,
                bits: *bits,
            }
            .capacity()
                / 20
                * 11
                >= len
        })
        .unwrap_or(TABLE_BITS_MAX)
}
