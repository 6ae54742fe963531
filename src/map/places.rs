//! Where each variable is now: a number for each, and its block and revision by that number.
//!
//! A variable keeps its number while it lives, so the orders by key and by revision name it by that
//! and need no change when its block moves. Private to the writer, 8 bytes a variable. Grows in
//! pieces, so that it never has to be copied.

use super::Revision;
use super::block::Id;
use super::layout::Granule;

/// Places in a piece: 32 KiB.
const PIECE: usize = 4096;

/// No block stands here: the header does.
const NONE: Granule = Granule(0);

#[derive(Clone, Copy)]
struct Place {
    block: Granule,
    /// The lower half of the revision; of a free place, the next free one.
    low: u32,
}

const FREE: Place = Place {
    block: NONE,
    low: END,
};

/// The end of the list of free places.
const END: u32 = u32::MAX;

/// The places of all variables.
pub(super) struct Places {
    pieces: Vec<Box<[Place; PIECE]>>,
    /// How many places were ever used.
    used: u32,
    /// The first free one among them.
    free: u32,
    len: u64,
}

impl Places {
    pub(super) fn new() -> Self {
        Places {
            pieces: Vec::new(),
            used: 0,
            free: END,
            len: 0,
        }
    }

    /// How many variables there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The number that the next variable will have.
    pub(super) fn next(&self) -> Id {
        match self.free {
            END => Id(self.used),
            free => Id(free),
        }
    }

    /// A variable gets the number [`Self::next`].
    pub(super) fn add(&mut self, block: Granule, revision: Revision) -> Id {
        let id = self.next();
        if self.free == END {
            self.used += 1;
            self.make(self.used);
        } else {
            self.free = self.at(id).low;
        }
        self.len += 1;
        self.set(id, block, revision);
        id
    }

    /// A variable has a new block.
    pub(super) fn set(&mut self, id: Id, block: Granule, revision: Revision) {
        let low = revision.0 as u32;
        *self.at_mut(id) = Place { block, low };
    }

    /// A variable is gone.
    pub(super) fn remove(&mut self, id: Id) {
        let low = std::mem::replace(&mut self.free, id.0);
        *self.at_mut(id) = Place { block: NONE, low };
        self.len -= 1;
    }

    /// The block of a variable; `None` if there is none of this number.
    pub(super) fn block(&self, id: Id) -> Option<Granule> {
        let place = self.at(id);
        (place.block != NONE).then_some(place.block)
    }

    /// The block of a number that may never have been one.
    pub(super) fn find(&self, id: Id) -> Option<Granule> {
        (id.0 < self.used).then(|| self.block(id)).flatten()
    }

    /// The block of a variable that was set last with this revision. Revisions that are 2³² apart
    /// look the same: whoever must know asks the block.
    pub(super) fn block_of(&self, id: Id, revision: Revision) -> Option<Granule> {
        let place = self.at(id);
        (place.block != NONE && place.low == revision.0 as u32).then_some(place.block)
    }

    /// A variable that recovery has found gets the number that it had; false if there is one of
    /// this number, or the number is larger than `limit`.
    pub(super) fn adopt(&mut self, id: Id, block: Granule, revision: Revision, limit: u32) -> bool {
        if id.0 > limit || id.0 == END {
            return false;
        }
        self.used = self.used.max(id.0 + 1);
        self.make(self.used);
        let is_free = self.block(id).is_none();
        if is_free {
            self.len += 1;
            self.set(id, block, revision);
        }
        is_free
    }

    /// Makes the numbers free that recovery has not found in use.
    pub(super) fn settle(&mut self) {
        self.free = END;
        for id in (0..self.used).rev().map(Id) {
            if self.at(id).block == NONE {
                self.at_mut(id).low = std::mem::replace(&mut self.free, id.0);
            }
        }
    }

    /// All variables, by their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, Granule)> {
        (0..self.used)
            .map(Id)
            .filter_map(|id| Some((id, self.block(id)?)))
    }

    /// Checks that every number that is not in use can be used.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let next = |id: &Id| Some(Id(self.at(*id).low)).filter(|id| id.0 != END);
        let first = Some(Id(self.free)).filter(|id| id.0 != END);
        let free = std::iter::successors(first, next).take(self.used as usize + 1);
        let free: Vec<_> = free
            .inspect(|id| assert_eq!(self.block(*id), None))
            .collect();
        assert_eq!(free.len() as u64 + self.len, u64::from(self.used));
        assert_eq!(self.iter().count() as u64, self.len);
    }

    fn make(&mut self, count: u32) {
        while self.pieces.len() * PIECE < count as usize {
            self.pieces.push(Box::new([FREE; PIECE]));
        }
    }

    fn at(&self, id: Id) -> Place {
        self.pieces[id.0 as usize / PIECE][id.0 as usize % PIECE]
    }

    fn at_mut(&mut self, id: Id) -> &mut Place {
        &mut self.pieces[id.0 as usize / PIECE][id.0 as usize % PIECE]
    }
}
