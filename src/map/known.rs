//! What readers remember of a root, which threads share.
//!
//! A root never comes twice, so what is remembered of one stays true; only that it belongs to this
//! very root must be told. One word says of which root the others are, and is stored after them.
//! Two threads that learn do not wait for each other: the second one keeps nothing.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

use super::layout::{Hash, LINE};

/// What a root says, which never says anything else. The words of its table do not change either, as
/// long as it is the root, except for slots and stamps.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// The first line of its table, in lines from the beginning of the segment.
    pub(super) line: u32,
    /// By how much a hash is shifted to the right to be the number of a line.
    pub(super) shift: u32,
    /// The seed of its hashes.
    pub(super) seed: u64,
}

/// Words that threads share, those of loom in its tests.
pub(crate) trait Cell {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    /// Stores a word in place of one that is expected; whether it was that.
    fn exchange(&self, expected: u64, value: u64) -> bool;
}

/// What was learned last, of which root.
pub(crate) struct Memo<C = AtomicU64> {
    /// The root, [`NOTHING`], or [`LEARNING`].
    root: C,
    /// The line, and in the upper half the shift.
    place: C,
    seed: C,
}

/// No map ever has these two roots, which lead nowhere.
const NOTHING: u64 = u64::MAX;
const LEARNING: u64 = u64::MAX - 1;

impl Known {
    /// The first word of the line in which the search for a key begins.
    #[inline(always)]
    pub(super) fn home(self, hash: Hash) -> usize {
        (self.line as usize + hash.0.wrapping_shr(self.shift) as usize) * LINE
    }
}

impl<C: Cell> Memo<C> {
    pub(crate) fn new(cell: impl Fn(u64) -> C) -> Memo<C> {
        Memo {
            root: cell(NOTHING),
            place: cell(0),
            seed: cell(0),
        }
    }

    /// What is known of a root that the caller has just loaded. It may be of a later one, if the map
    /// has another root by now: who loads the root again, after a fence, sees that.
    #[inline(always)]
    pub(super) fn get(&self, root: u64) -> Option<Known> {
        // What was stored before it is seen, or something later.
        if self.root.load(Acquire) != root {
            return None;
        }
        let place = self.place.load(Relaxed);
        Some(Known {
            line: place as u32,
            shift: (place >> 32) as u32,
            seed: self.seed.load(Relaxed),
        })
    }

    /// Remembers what `learn` knows of the present root, unless another thread is just doing so, or
    /// was stopped in the middle of it by a fork.
    ///
    /// It is asked when nobody else can learn, so that a root never takes the place of a later one.
    pub(super) fn keep(&self, learn: impl FnOnce() -> Option<(u64, Known)>) {
        let before = self.root.load(Relaxed);
        if before == LEARNING || !self.root.exchange(before, LEARNING) {
            return;
        }
        let Some((root, known)) = learn() else {
            return self.root.store(before, Release);
        };
        // Whoever sees one of these, and then a fence, sees this root or a later one.
        let place = u64::from(known.line) | u64::from(known.shift) << 32;
        self.place.store(place, Release);
        self.seed.store(known.seed, Release);
        self.root.store(root, Release);
    }
}

impl Cell for AtomicU64 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    #[inline(always)]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    fn exchange(&self, expected: u64, value: u64) -> bool {
        self.compare_exchange(expected, value, AcqRel, Relaxed)
            .is_ok()
    }
}
