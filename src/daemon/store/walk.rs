//! Walks through the variables that match some patterns, in the order of their keys.
//!
//! Many variables are not visited in one go: a [`Walk`] remembers where it stands, and each time it
//! runs it takes from a [`Budget`]. What changes meanwhile ahead of it will be seen, what changes
//! behind it will not; a variable that is there all the time is visited exactly once.
//!
//! A [`Collection`] is for answers that must be true at one instant: it gathers the keys that match
//! while others go on changing the map, and is ready at a moment when it holds exactly those that
//! match then.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};
use std::rc::Rc;

use super::key::Key;
use crate::map::{Bytes, Entry, Map};
use crate::wire::pattern::Patterns;

/// How many steps one visit costs, beside those of the patterns. A step is a few nanoseconds.
const VISIT: usize = 16;

/// Most bytes of keys that are remembered as created while collections run, in all. More, and the
/// collections begin anew: that many new keys while one runs is no ordinary use. So few in tests
/// that it happens there.
const CREATED_MAX: usize = if cfg!(test) { 600 } else { 16 << 20 };

/// What a gathered key takes in memory beside its bytes: a shared key's counters, its place in a
/// set, and what the allocator adds.
const KEY_OVERHEAD: usize = 64;

/// How much work may still be done in this turn, in steps of a few nanoseconds.
#[derive(Debug)]
pub(crate) struct Budget(usize);

/// Whether a walk has come to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is more; call again in a later turn.
    Paused,
    /// Every match was visited.
    Finished,
}

/// Where a walk stands.
#[derive(Debug)]
pub(crate) struct Walk {
    patterns: Patterns,
    /// The index of the range of `patterns` it is in.
    range: usize,
    /// The key it visited last in that range.
    after: Option<Bytes>,
}

impl Budget {
    pub(crate) fn new(steps: usize) -> Self {
        Budget(steps)
    }

    fn is_spent(&self) -> bool {
        self.0 == 0
    }

    fn spend(&mut self, steps: usize) {
        self.0 = self.0.saturating_sub(steps);
    }
}

impl Walk {
    /// A walk before the first match.
    pub(crate) fn new(patterns: Patterns) -> Self {
        Walk {
            patterns,
            range: 0,
            after: None,
        }
    }

    /// How many bytes of memory it keeps, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.patterns.memory()
    }

    /// Visits the next matches, until `visit` breaks, the budget is spent, or there are no more.
    pub(super) fn run<'m>(
        &mut self,
        map: &'m Map,
        budget: &mut Budget,
        mut visit: impl FnMut(Entry<'m>) -> ControlFlow<()>,
    ) -> Progress {
        let cost = VISIT + self.patterns.cost();
        while let Some(range) = self.patterns.ranges().get(self.range) {
            let from = match &self.after {
                Some(key) => Bound::Excluded(&**key),
                None => Bound::Included(range.start().as_bytes()),
            };
            let mut last = None;
            let mut paused = false;
            for entry in map.from(from) {
                let bytes = entry.key();
                let key = text(&bytes);
                if !range.holds(key) {
                    break;
                }
                budget.spend(cost);
                paused = self.patterns.matches(key) && visit(entry).is_break() || budget.is_spent();
                if paused {
                    last = Some(bytes);
                    break;
                }
            }
            if paused {
                self.after = last;
                return Progress::Paused;
            }
            (self.range, self.after) = (self.range + 1, None);
        }
        Progress::Finished
    }

    /// Whether it will not come to `key` any more.
    fn has_passed(&self, key: &str) -> bool {
        let range = self.range_from(key);
        (range, Some(key.as_bytes())) <= (self.range, self.after.as_deref())
    }

    /// The index of the range that holds `key`, or else of the next one.
    fn range_from(&self, key: &str) -> usize {
        let ranges = self.patterns.ranges();
        ranges.partition_point(|range| range.is_before(key))
    }

    /// Goes to behind `key`.
    fn seek(&mut self, key: &[u8]) {
        self.range = self.range_from(text(key));
        self.after = Some(Bytes::from(key));
    }
}

/// A key as text: the store lets nothing else in.
pub(crate) fn text(key: &[u8]) -> &str {
    std::str::from_utf8(key).expect("keys are UTF-8")
}

/// The keys that were created while collections run.
#[derive(Debug, Default)]
pub(super) struct Journal {
    keys: Vec<Key>,
    /// What they take.
    bytes: usize,
    /// How many times `keys` was emptied although a collection might have needed it.
    overflows: u64,
    /// A copy is held by every collection.
    readers: Rc<()>,
}

impl Journal {
    /// Whether anybody wants to know of created keys.
    pub(super) fn is_read(&self) -> bool {
        Rc::strong_count(&self.readers) > 1
    }

    /// Notes that a key was created.
    pub(super) fn note(&mut self, key: &[u8]) {
        self.bytes += key.len() + KEY_OVERHEAD;
        if self.bytes > CREATED_MAX {
            (self.keys, self.bytes) = (Vec::new(), key.len() + KEY_OVERHEAD);
            self.overflows += 1;
        }
        self.keys.push(key.into());
    }

    /// Gives memory back when nobody reads.
    pub(super) fn rest(&mut self) {
        if !self.keys.is_empty() && !self.is_read() {
            (self.keys, self.bytes) = (Vec::new(), 0);
        }
    }
}

/// The keys that match some patterns, being gathered.
///
/// The walk finds what lies ahead of it, the journal tells what was created behind it. So while
/// there are fewer keys than wanted, they are all matches up to where the walk stands; and once
/// there are enough, all matches up to the last of them.
#[derive(Debug)]
pub(crate) struct Collection {
    walk: Walk,
    limit: usize,
    keys: BTreeSet<Key>,
    /// Bytes of the keys in `keys`.
    bytes: usize,
    /// How far the journal was read, and after how many overflows.
    read: (u64, usize),
    _reader: Rc<()>,
}

impl Collection {
    /// Begins to gather the first `limit` keys that match.
    pub(super) fn new(journal: &Journal, patterns: Patterns, limit: usize) -> Self {
        Collection {
            walk: Walk::new(patterns),
            limit,
            keys: BTreeSet::new(),
            bytes: 0,
            read: (journal.overflows, journal.keys.len()),
            _reader: Rc::clone(&journal.readers),
        }
    }

    /// Gathers more. Once it has finished, and until the map changes, [`Self::keys`] are exactly
    /// the first `limit` keys that match.
    pub(super) fn run(&mut self, map: &Map, journal: &Journal, budget: &mut Budget) -> Progress {
        if self.read.0 != journal.overflows {
            self.read = (journal.overflows, 0);
            self.keys.clear();
            self.bytes = 0;
            (self.walk.range, self.walk.after) = (0, None);
        }
        while !budget.is_spent() {
            if let Some(key) = journal.keys.get(self.read.1) {
                self.read.1 += 1;
                budget.spend(VISIT + self.walk.patterns.cost());
                if self.walk.has_passed(text(key)) && self.walk.patterns.matches(text(key)) {
                    self.insert(key);
                }
            } else if self.walk_on(map, budget) == Progress::Finished {
                return Progress::Finished;
            }
        }
        Progress::Paused
    }

    /// The keys gathered so far, in their order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// How many bytes of memory it keeps, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.walk.memory() + self.keys.len() * KEY_OVERHEAD + self.bytes
    }

    /// How many keys it holds, and how many bytes they have.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.keys.len(), self.bytes)
    }

    /// Walks until there are enough keys. Finished if there are exactly enough or no more.
    fn walk_on(&mut self, map: &Map, budget: &mut Budget) -> Progress {
        while self.keys.len() < self.limit {
            let wanted = self.limit - self.keys.len();
            let mut found = Vec::new();
            let progress = self.walk.run(map, budget, |entry| {
                found.push(Key::from(&*entry.key()));
                match found.len() == wanted {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            found.iter().for_each(|key| self.insert(key));
            match progress {
                Progress::Finished => break,
                Progress::Paused if budget.is_spent() => return Progress::Paused,
                Progress::Paused => {}
            }
        }
        self.drop_deleted(map)
    }

    /// If there are enough keys, but some of them were deleted since they were found, the walk goes
    /// on behind the last. (If there are fewer, all matches are among them, and it does no harm that
    /// some are gone.)
    fn drop_deleted(&mut self, map: &Map) -> Progress {
        let Some(last) = self
            .keys
            .last()
            .filter(|_| self.keys.len() == self.limit)
            .cloned()
        else {
            return Progress::Finished;
        };
        self.keys.retain(|key| map.get(key).is_some());
        self.bytes = self.keys.iter().map(|key| key.len()).sum();
        if self.keys.len() == self.limit {
            return Progress::Finished;
        }
        self.walk.seek(&last);
        Progress::Paused
    }

    /// Adds a key; of more than `limit`, the last is dropped.
    fn insert(&mut self, key: &Key) {
        if self.keys.insert(Rc::clone(key)) {
            self.bytes += key.len();
        }
        if self.keys.len() > self.limit {
            self.bytes -= self.keys.pop_last().map_or(0, |key| key.len());
        }
    }
}
