//! The map as its owner sees it.
//!
//! A change is made in the same few steps, whatever it changes: take memory for the new block, take
//! the next revision, write the block where nobody can find it, publish it with one store into a
//! slot, give back the memory of the old block, and note the change in private memory. A crash
//! between any two of them leaves either the old value or the new one.

use std::cmp::Ordering;
use std::ops::Bound;

use super::arena::Arena;
use super::block::{self, Draft, Head, Id, KEY_MAX};
use super::changes::Changes;
use super::layout::{
    EMPTY, FIRST_PAGE, Granule, Hash, MAGIC, Meta, PAGE, PUBLISHED, REVISION, ROOT, STATE, State,
    TABLE_BITS_MIN, Table, VERSION, header, stamp_of,
};
use super::order::{Compare, Order};
use super::places::Places;
use super::protection::{Protection, kept};
use super::table::{self, Search};
use super::upkeep::Upkeep;
use super::words::{Memory, Words};
use super::{Bytes, Full, Limits, Revision, Segment, Stamp};

/// What tells a map from others, and remains as long as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// A random number.
    pub(crate) instance: u128,
    /// When it began; whoever made it says what it means.
    pub(crate) born: u64,
}

/// The variables, for the one who may change them.
pub(crate) struct Map<M = Segment> {
    pub(super) memory: M,
    pub(super) limits: Limits,
    pub(super) revision: Revision,
    pub(super) bytes: u64,
    pub(super) table: Table,
    /// Of the hashes in the table.
    pub(super) seed: u64,
    /// Slots of the table that are not empty.
    pub(super) occupied: u64,
    pub(super) arena: Arena,
    pub(super) places: Places,
    pub(super) order: Order,
    pub(super) changes: Changes,
    pub(super) draft: Draft,
    pub(super) upkeep: Upkeep,
}

/// What a variable was set from and to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Set {
    /// The revision it had before, if it was defined.
    pub(crate) old: Option<Revision>,
    /// The revision of the change.
    pub(crate) revision: Revision,
    /// The variable.
    pub(crate) id: Id,
}

/// One variable as it is now.
pub(crate) struct Entry<'m, M = Segment> {
    memory: &'m M,
    block: Granule,
}

/// A slot, and what it is going to hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) slot: usize,
    pub(super) hash: Hash,
    pub(super) old: Option<Granule>,
    pub(super) new: Option<Granule>,
    /// What is stored into the slot.
    pub(super) word: u64,
}

impl<M: Memory> Map<M> {
    /// An empty map at revision 0, in memory that holds zeros. `secret` is a random number.
    pub(crate) fn create(
        memory: M,
        limits: Limits,
        origin: Origin,
        secret: u64,
    ) -> Result<Self, Full> {
        let pages = (memory.len() / PAGE) as u32;
        memory.reserve(0..FIRST_PAGE).map_err(|_| Full::Memory(0))?;
        let mut arena = Arena::new(FIRST_PAGE, pages);
        let mut upkeep = Upkeep::new(secret);
        let mut table = Table {
            page: 0,
            bits: TABLE_BITS_MIN,
        };
        table.page = arena
            .claim_pages(table.pages())
            .map_err(|_| Full::Memory(0))?;
        let end = table.page + table.pages();
        memory
            .reserve(table.page..end)
            .map_err(|_| Full::Memory(0))?;
        memory.store(table.first_word(), upkeep.next_seed());
        memory.store(header::VERSION, VERSION);
        memory.store(header::INSTANCE, origin.instance as u64);
        memory.store(header::INSTANCE + 1, (origin.instance >> 64) as u64);
        memory.store(header::WORDS, memory.len() as u64);
        memory.store(header::BORN, origin.born);
        memory.store(STATE, State::Live.to_word());
        memory.publish(ROOT, table.to_root(0));
        // Without this word it is no map yet.
        memory.publish(header::MAGIC, MAGIC);
        Ok(Self::begin(memory, limits, table, arena, upkeep))
    }

    /// What is known of a map at revision 0 of which nothing but the table was looked at.
    pub(super) fn begin(
        memory: M,
        limits: Limits,
        table: Table,
        arena: Arena,
        upkeep: Upkeep,
    ) -> Self {
        Map {
            seed: memory.load(table.first_word()),
            memory,
            limits,
            revision: Revision::default(),
            bytes: 0,
            table,
            occupied: 0,
            arena,
            places: Places::new(),
            order: Order::new(),
            changes: Changes::default(),
            draft: Draft::default(),
            upkeep,
        }
    }

    /// What tells this map from others.
    pub(crate) fn origin(&self) -> Origin {
        let word = |n| u128::from(self.memory.load(header::INSTANCE + n));
        Origin {
            instance: word(0) | word(1) << 64,
            born: self.memory.load(header::BORN),
        }
    }

    /// The revision of the last change.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// How many variables there are.
    pub(crate) fn len(&self) -> u64 {
        self.places.len()
    }

    /// How many bytes keys and values take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the map may hold.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The memory it stands in.
    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// Reads a variable.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry<'_, M>> {
        match self.find(key) {
            (_, Search::Found { block, .. }) => Some(self.entry(block)),
            (_, Search::Vacant(_)) => None,
        }
    }

    /// The variable that has a number; `None` if there is none.
    pub(crate) fn entry_of(&self, id: Id) -> Option<Entry<'_, M>> {
        let block = self.places.find(id)?;
        Some(self.entry(block))
    }

    /// All variables, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = Entry<'_, M>> {
        self.places.iter().map(|(_, block)| self.entry(block))
    }

    /// The variables from a key on, or behind it, in the order of their keys.
    pub(crate) fn from<'m>(
        &'m self,
        from: Bound<&[u8]>,
    ) -> impl Iterator<Item = Entry<'m, M>> + use<'m, M> {
        self.order
            .from(from, self)
            .filter_map(|id| self.places.block(id))
            .map(|block| self.entry(block))
    }

    /// What changed after a revision and is still there, in the order of the changes, and of keys
    /// within one. Each step is a variable, or `None` for one that has changed again later.
    pub(crate) fn after(
        &self,
        revision: Revision,
    ) -> impl Iterator<Item = (Revision, Option<Entry<'_, M>>)> {
        self.changes.after(revision).map(|(revision, id)| {
            let is_current = |block: &Granule| block::revision(&self.memory, *block) == revision;
            let block = self.places.block_of(id, revision).filter(is_current);
            (revision, block.map(|block| self.entry(block)))
        })
    }

    /// The variable that the last change set, if it was one alone; `None` also if that cannot be told
    /// at a glance. What [`Self::after`] finds in many steps, for the case that is most frequent.
    pub(crate) fn last(&self) -> Option<Entry<'_, M>> {
        let revision = self.revision();
        let id = self.changes.only(revision)?;
        let block = self.places.block_of(id, revision)?;
        (block::revision(&self.memory, block) == revision).then(|| self.entry(block))
    }

    /// Defines a variable or replaces its value.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8], stamp: &Stamp) -> Result<Set, Full> {
        let set = self.try_set(key, value, stamp);
        match set {
            Err(Full::Crowded) if self.make_room(1) => self.try_set(key, value, stamp),
            set => set,
        }
    }

    /// Changes what is remembered with a variable, and neither its value nor its revision.
    /// Returns whether it is defined.
    pub(crate) fn amend(&mut self, key: &[u8], stamp: &Stamp) -> Result<bool, Full> {
        let (hash, Search::Found { slot, block: old }) = self.find(key) else {
            return Ok(false);
        };
        let entry = self.entry(old);
        let (value, revision) = (entry.value(), entry.revision());
        let id = block::id(&self.memory, old);
        let new = self.take(Draft::granules(key, &value, stamp))?;
        self.write((key, &value, stamp), new, revision, id);
        self.publish(Move::replace(slot, hash, Some(old), new));
        self.give(old);
        self.places.set(id, new, revision);
        self.work();
        Ok(true)
    }

    /// Deletes those of `keys` that are there, all with one revision. Returns how many there were,
    /// and the revision of the change, or the present one if there were none.
    pub(crate) fn delete<K: AsRef<[u8]>>(&mut self, keys: &[K]) -> (u64, Revision) {
        match keys {
            [key] => self.delete_one(key.as_ref()),
            keys => self.delete_all(keys),
        }
    }

    /// Checks what must always hold between the segment and private memory.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut occupied = 0;
        let mut found = 0;
        for line in 0..self.table.lines() {
            for slot in table::slots(self.table, line) {
                let word = self.memory.load(slot);
                occupied += u64::from(word != EMPTY);
                if word == EMPTY || word == super::layout::TOMB {
                    continue;
                }
                found += 1;
                let block = Meta::from_word(word).block;
                assert_eq!(
                    self.places.block(block::id(&self.memory, block)),
                    Some(block)
                );
                assert!(block::revision(&self.memory, block) <= self.revision);
                assert_eq!(
                    self.find(&self.entry(block).key()).1,
                    Search::Found { slot, block }
                );
            }
        }
        assert_eq!((occupied, found), (self.occupied, self.len()));
        assert_eq!(self.memory.load(REVISION), self.revision.0);
        assert_eq!(self.memory.load(PUBLISHED), self.revision.0);
        assert_eq!(self.memory.load(super::layout::REDO), 0);
        self.places.check();
        let granules = |block| Head::read(&self.memory, block).granules();
        let blocks = self
            .places
            .iter()
            .map(|(_, block)| (block, granules(block)));
        let tables = [Some(self.table), self.table_under_way()].into_iter();
        let pages = |table: Table| (table.page, table.pages());
        self.arena.check(blocks, tables.flatten().map(pages));
    }

    /// A free slot where a key is looked for.
    #[cfg(test)]
    pub(super) fn free_slot(&self, key: &[u8]) -> usize {
        let hash = table::hash(key, self.seed);
        table::vacancy(&self.memory, self.table, hash).expect("there is room")
    }

    /// Ends the map: its variables are forgotten, or stand in another map, and readers are told so.
    /// Nothing else may be done with it afterwards.
    pub(crate) fn end(&mut self, state: State) {
        let memory = &self.memory;
        memory.publish(STATE, state.to_word());
        memory.publish(ROOT, 0);
        memory.give_back(FIRST_PAGE..(memory.len() / PAGE) as u32);
    }

    fn try_set(&mut self, key: &[u8], value: &[u8], stamp: &Stamp) -> Result<Set, Full> {
        debug_assert!((1..=KEY_MAX).contains(&key.len()), "the owner checks keys");
        let (hash, search) = self.find(key);
        let (slot, old) = match search {
            Search::Found { slot, block } => (Some(slot), Some(block)),
            Search::Vacant(slot) => (slot, None),
        };
        let gone = old.map_or(0, |old| Head::read(&self.memory, old).value_len as u64);
        let key_len = if old.is_none() { key.len() as u64 } else { 0 };
        let bytes = self.bytes - gone + key_len + value.len() as u64;
        self.check_limits(bytes, u64::from(old.is_none()))?;
        let slot = slot.ok_or(Full::Crowded)?;
        let new = self.take(Draft::granules(key, value, stamp))?;
        let revision = self.next_revision();
        let id = self.number(old, new, revision);
        let before = old.map(|old| block::revision(&self.memory, old));
        if let Some(old) = old.filter(|_| !kept(Protection::OldBlock)) {
            self.memory.store(block::key_word(old) - 1, revision.0);
        }
        if kept(Protection::Content) {
            self.write((key, value, stamp), new, revision, id);
            self.publish(Move::replace(slot, hash, old, new));
        } else {
            self.publish(Move::replace(slot, hash, old, new));
            self.write((key, value, stamp), new, revision, id);
        }
        self.finish(revision);
        self.note_set(key, old, new, id);
        self.work();
        Ok(Set {
            old: before,
            revision,
            id,
        })
    }

    fn delete_one(&mut self, key: &[u8]) -> (u64, Revision) {
        let (hash, Search::Found { slot, block }) = self.find(key) else {
            return (0, self.revision);
        };
        let revision = self.next_revision();
        let word = table::blank(&self.memory, self.table, slot, |_| false);
        let new = None;
        let old = Some(block);
        self.forget(block); // While it can be looked up.
        self.publish(Move {
            slot,
            hash,
            old,
            new,
            word,
        });
        self.give(block);
        self.finish(revision);
        self.work();
        (1, revision)
    }

    /// Whether the map may hold so many bytes, and so many variables more.
    pub(super) fn check_limits(&self, bytes: u64, more: u64) -> Result<(), Full> {
        if bytes > self.limits.bytes && bytes > self.bytes {
            return Err(Full::Bytes);
        }
        if more > 0 && self.len() + more > self.limits.variables {
            return Err(Full::Variables);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> (Hash, Search) {
        let hash = table::hash(key, self.seed);
        let search = table::find(&self.memory, self.table, hash, key, |_| false);
        (hash, search)
    }

    /// Memory for a block.
    pub(super) fn take(&mut self, granules: u32) -> Result<Granule, Full> {
        let place = self.arena.take(&self.memory, granules);
        place.map_err(|_| Full::Memory(self.arena.bytes()))
    }

    /// Gives back the memory of a block that nobody can find any more.
    pub(super) fn give(&mut self, block: Granule) {
        let granules = Head::read(&self.memory, block).granules();
        self.arena.give(block, granules);
    }

    /// Takes the next revision. Whatever follows of the change: after a crash it is not taken again.
    pub(super) fn next_revision(&mut self) -> Revision {
        self.revision = Revision(self.revision.0 + 1);
        if kept(Protection::RevisionFirst) {
            self.memory.store(REVISION, self.revision.0);
        }
        self.revision
    }

    /// Writes a block where nobody can find it yet.
    pub(super) fn write(
        &mut self,
        content: (&[u8], &[u8], &Stamp),
        place: Granule,
        revision: Revision,
        id: Id,
    ) {
        self.before_reuse();
        self.draft.write(&self.memory, place, content, revision, id);
    }

    /// Comes before anything is written to memory that was free: it may have been a block's or a
    /// table's, and that this one is gone must be seen first.
    pub(super) fn before_reuse(&self) {
        if kept(Protection::ReuseFence) {
            self.memory.release();
        }
    }

    /// Makes a change visible with one store, here and in a table that is being made.
    pub(super) fn publish(&mut self, change: Move) {
        let memory = &self.memory;
        let Move { slot, word, .. } = change;
        if memory.load(slot) == EMPTY {
            self.occupied += 1;
        }
        if word == EMPTY {
            self.occupied -= 1;
        }
        let stamp = stamp_of(slot);
        if kept(Protection::StampGrows) {
            memory.store(stamp, memory.load(stamp).wrapping_add(1));
        }
        if kept(Protection::PublishOrder) {
            memory.release();
            memory.publish(slot, word);
        } else {
            memory.store(slot, word);
        }
        self.mirror(change);
    }

    /// All of a change can be seen.
    pub(super) fn finish(&mut self, revision: Revision) {
        if !kept(Protection::RevisionFirst) {
            self.memory.store(REVISION, revision.0);
        }
        self.memory.publish(PUBLISHED, revision.0);
    }

    /// The number of a variable that gets a new block: that of its old one, or the next.
    pub(super) fn number(&mut self, old: Option<Granule>, new: Granule, at: Revision) -> Id {
        match old {
            Some(old) => block::id(&self.memory, old),
            None => self.places.add(new, at),
        }
    }

    /// Notes in private memory that a variable was set with the present revision, and gives back
    /// the old block.
    pub(super) fn note_set(&mut self, key: &[u8], old: Option<Granule>, new: Granule, id: Id) {
        self.bytes += Head::read(&self.memory, new).value_len as u64;
        match old {
            Some(old) => {
                self.bytes -= Head::read(&self.memory, old).value_len as u64;
                self.give(old);
                self.places.set(id, new, self.revision);
            }
            None => {
                self.bytes += key.len() as u64;
                let (memory, places) = (&self.memory, &self.places);
                self.order.insert(id, key, &Keys { memory, places });
            }
        }
        self.changes.push(self.revision, id);
        let is_current = |revision, id| self.places.block_of(id, revision).is_some();
        self.changes.tidy(self.places.len(), is_current);
    }

    /// Takes a variable that is about to be deleted out of private memory.
    pub(super) fn forget(&mut self, block: Granule) {
        let key = block::key(&self.memory, block);
        let id = block::id(&self.memory, block);
        let (memory, places) = (&self.memory, &self.places);
        self.order.remove(id, &key, &Keys { memory, places });
        self.discount(id, block);
    }

    /// A block is not a variable's any more.
    pub(super) fn discount(&mut self, id: Id, block: Granule) {
        let key_len = Head::read(&self.memory, block).key_len;
        self.bytes -= (key_len + self.entry(block).value_len()) as u64;
        self.places.remove(id);
    }

    pub(super) fn entry(&self, block: Granule) -> Entry<'_, M> {
        let memory = &self.memory;
        Entry { memory, block }
    }
}

impl<M: Words> Compare for Map<M> {
    fn compare(&self, id: Id, key: &[u8]) -> Ordering {
        self.keys().compare(id, key)
    }

    fn key(&self, id: Id) -> Box<[u8]> {
        self.keys().key(id)
    }

    fn prefetch(&self, id: Id) {
        self.keys().prefetch(id);
    }
}

impl<M> Map<M> {
    pub(super) fn keys(&self) -> Keys<'_, M> {
        let (memory, places) = (&self.memory, &self.places);
        Keys { memory, places }
    }
}

impl Move {
    /// A slot gets a block.
    pub(super) fn replace(slot: usize, hash: Hash, old: Option<Granule>, new: Granule) -> Self {
        let word = Meta { hash, block: new }.to_word();
        let new = Some(new);
        Move {
            slot,
            hash,
            old,
            new,
            word,
        }
    }
}

/// Looks up keys for the order.
pub(super) struct Keys<'m, M> {
    pub(super) memory: &'m M,
    pub(super) places: &'m Places,
}

impl<M: Words> Compare for Keys<'_, M> {
    fn compare(&self, id: Id, key: &[u8]) -> Ordering {
        let block = self
            .places
            .block(id)
            .expect("only what is there is in order");
        let len = Head::read(self.memory, block).key_len;
        let first = block::key_word(block);
        // As numbers with the first byte on top, words compare as bytes do; a key that ends is
        // followed by zeros, and less than one that goes on.
        for (n, chunk) in key.chunks(8).enumerate().take(len.div_ceil(8)) {
            let mine = self.memory.load(first + n).swap_bytes();
            let mut other = [0; 8];
            other[..chunk.len()].copy_from_slice(chunk);
            match mine.cmp(&u64::from_be_bytes(other)) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        len.cmp(&key.len())
    }

    fn key(&self, id: Id) -> Box<[u8]> {
        let block = self
            .places
            .block(id)
            .expect("only what is there is in order");
        (*block::key(self.memory, block)).into()
    }

    fn prefetch(&self, id: Id) {
        if let Some(block) = self.places.block(id) {
            self.memory.prefetch(block::key_word(block));
        }
    }
}

impl<'m, M: Words> Entry<'m, M> {
    /// Its key.
    #[inline]
    pub(crate) fn key(&self) -> Bytes {
        block::key(self.memory, self.block)
    }

    /// Its value.
    #[inline]
    pub(crate) fn value(&self) -> Bytes {
        let head = Head::read(self.memory, self.block);
        let from = self.block.word() + head.value_word();
        Bytes::filled(head.value_len, |value| self.memory.copy(from, value))
    }

    /// How many bytes its value has.
    pub(crate) fn value_len(&self) -> usize {
        Head::read(self.memory, self.block).value_len
    }

    /// Whether its value is this.
    pub(crate) fn has_value(&self, value: &[u8]) -> bool {
        let head = Head::read(self.memory, self.block);
        head.value_len == value.len()
            && self
                .memory
                .equal(self.block.word() + head.value_word(), value)
    }

    /// The revision of its last change.
    #[inline]
    pub(crate) fn revision(&self) -> Revision {
        block::revision(self.memory, self.block)
    }

    /// Its number.
    pub(crate) fn id(&self) -> Id {
        block::id(self.memory, self.block)
    }

    /// How many bytes its key has.
    pub(crate) fn key_len(&self) -> usize {
        Head::read(self.memory, self.block).key_len
    }

    /// What its last change left beside the value.
    pub(crate) fn stamp(&self) -> Stamp {
        block::stamp(self.memory, self.block)
    }

    /// Where it stands.
    #[cfg(test)]
    pub(super) fn place(&self) -> Granule {
        self.block
    }

    /// Of what kind the value is.
    #[inline]
    pub(crate) fn kind(&self) -> u8 {
        Head::read(self.memory, self.block).kind
    }
}

impl<M> Clone for Entry<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Entry<'_, M> {}
