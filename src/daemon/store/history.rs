//! The variables in the order of their last change, and those deleted lately.
//!
//! This is what watchers that are behind, or come back, walk along: all that changed after a
//! revision, each variable once, at its last change. A variable that was deleted leaves a tombstone
//! in the same order, until newer ones have used up [`TOMBSTONES_MAX`]. What was dropped is not
//! known any more: who comes back and has not seen everything up to [`History::forgotten`] must
//! begin anew. Who is catching up already is a [`Walker`]: what it needs is kept beyond that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::iter::Peekable;
use std::ops::Bound;
use std::rc::Rc;

use super::walk::text;
use super::walkers::{Walker, Walkers};
use super::{Content, Writer};
use crate::map::{Key, Revision};

/// What the last values that one change of many variables keeps may take, in bytes. All of them must
/// fit in one reply, whatever has to be escaped.
pub(super) const LAST_VALUES_MAX: usize = 256 << 10;

/// What tombstones may take, in bytes: those of some thousand ordinary variables. So few in tests
/// that they are dropped there.
const TOMBSTONES_MAX: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };

/// What tombstones may take beside that, in bytes, which are kept for those who catch up: some twenty
/// thousand. More, and a turn in which a walk passes all of them takes more than a millisecond.
const KEPT_MAX: usize = if cfg!(test) { 2 << 10 } else { 4 << 20 };

/// Most tombstones that are given up after a change because nobody needs them any more.
const RELEASED_MAX: usize = 4096;

/// Longest last value that a tombstone keeps, in bytes: a few large ones must not use up the budget
/// of many small ones.
const LAST_VALUE_MAX: usize = 4 << 10;

/// Most changes that wait to be put in order. One after the other they would each find the tree out
/// of the processor's caches; together they take some tens of µs.
const UNSORTED_MAX: usize = 256;

/// What a tombstone takes beside its key and value, in bytes: its places in three indices.
const OVERHEAD: usize = 160;

/// Where somebody stands in the history: behind everything up to this revision, and behind this
/// key of the next one.
pub(crate) type Position = (Revision, Option<Key>);

/// The order of the last changes.
#[derive(Default)]
pub(super) struct History {
    /// What was set lately and is not in `living` yet: before, and now.
    unsorted: Vec<(Option<Revision>, (Revision, Key))>,
    living: BTreeSet<(Revision, Key)>,
    gone: BTreeMap<(Revision, Key), Tombstone>,
    /// Where the tombstone of a key stands.
    graves: HashMap<Key, Revision>,
    /// What the tombstones take, without those that are kept.
    bytes: usize,
    forgotten: Revision,
    walkers: Walkers,
    /// Tombstones up to this one are kept only for those who walk.
    kept_to: Option<(Revision, Key)>,
    /// What these take.
    kept_bytes: usize,
}

/// What is remembered of a variable that was deleted.
#[derive(Debug)]
pub(crate) struct Tombstone {
    /// The process that deleted it.
    pub(crate) writer: Writer,
    /// Since when it was there, if that is known; else 0.
    pub(crate) born: Revision,
    value: Option<LastValue>,
}

#[derive(Debug)]
struct LastValue {
    bytes: Box<[u8]>,
    is_text: bool,
}

/// One step of a walk through the history: a variable that has changed, or is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past<'h> {
    /// When.
    pub(crate) revision: Revision,
    /// Which.
    pub(crate) key: &'h Key,
    /// Set if it is gone.
    pub(crate) tombstone: Option<&'h Tombstone>,
}

impl<'h> Past<'h> {
    /// The key as text.
    pub(crate) fn key_text(&self) -> &'h str {
        text(self.key)
    }

    fn gone((place, tombstone): (&'h (Revision, Key), &'h Tombstone)) -> Self {
        Past {
            revision: place.0,
            key: &place.1,
            tombstone: Some(tombstone),
        }
    }

    /// Whether it comes after a position.
    pub(super) fn is_after(&self, position: &Position) -> bool {
        match position {
            (revision, None) => self.revision > *revision,
            (revision, Some(key)) => (self.revision, self.key) > (Revision(revision.0 + 1), key),
        }
    }
}

/// Where to begin to look for what comes after a position.
fn first_after(position: &Position) -> Bound<(Revision, Key)> {
    match position {
        (revision, None) => Bound::Included((Revision(revision.0 + 1), Key::from([]))),
        (revision, Some(key)) => Bound::Excluded((Revision(revision.0 + 1), Rc::clone(key))),
    }
}

impl History {
    /// The newest revision at which something was deleted that is not known any more.
    pub(super) fn forgotten(&self) -> Revision {
        self.forgotten
    }

    /// Somebody who has seen everything up to this revision goes on there later.
    pub(super) fn walker(&self, at: Revision) -> Walker {
        self.walkers.add(at)
    }

    /// A [`Walker`] that stands before this revision must begin anew.
    pub(super) fn lost(&self) -> Revision {
        self.walkers.lost()
    }

    /// A variable was set; before, it was as of `old`.
    pub(super) fn set(&mut self, key: Key, old: Option<Revision>, new: Revision) {
        self.unsorted.push((old, (new, key)));
        if self.unsorted.len() == UNSORTED_MAX {
            self.sort();
        }
    }

    /// Puts in order what was set lately. To be called before [`Self::after`].
    pub(super) fn sort(&mut self) {
        let mut unsorted = std::mem::take(&mut self.unsorted);
        for (old, place) in unsorted.drain(..) {
            match old {
                Some(old) => drop(self.living.remove(&(old, Rc::clone(&place.1)))),
                None => {
                    let born = self.dig_up(&place.1).unwrap_or(place.0);
                    self.walkers.note_birth(&place.1, born);
                }
            }
            self.living.insert(place);
        }
        self.unsorted = unsorted;
    }

    /// A variable that was as of `old` was deleted.
    pub(super) fn delete(
        &mut self,
        key: &Key,
        old: Revision,
        new: Revision,
        mut tombstone: Tombstone,
    ) {
        self.sort();
        self.living.remove(&(old, Rc::clone(key)));
        tombstone.born = self.walkers.take_birth(key);
        self.bytes += cost(key, &tombstone);
        self.graves.insert(Rc::clone(key), new);
        self.gone.insert((new, Rc::clone(key)), tombstone);
    }

    /// Drops the oldest tombstones that are too many. To be called when everybody was told of the
    /// last change: until then its tombstones are what can be told.
    pub(super) fn trim(&mut self) {
        self.release(RELEASED_MAX);
        self.walkers.rest(RELEASED_MAX);
        while self.bytes > TOMBSTONES_MAX
            && let Some((place, tombstone)) = self.oldest()
        {
            let (place, born) = (place.clone(), tombstone.born);
            match self.walkers.need(born, place.0) {
                true => self.keep(place),
                false => self.forget(&place),
            }
        }
        while self.kept_bytes > KEPT_MAX {
            self.walkers.leave_behind();
            self.release(usize::MAX);
        }
    }

    /// The oldest tombstone that is not kept.
    fn oldest(&self) -> Option<(&(Revision, Key), &Tombstone)> {
        match &self.kept_to {
            None => self.gone.first_key_value(),
            Some(place) => {
                let range = (Bound::Excluded(place), Bound::Unbounded);
                self.gone.range::<(Revision, Key), _>(range).next()
            }
        }
    }

    /// Keeps the oldest tombstone for those who walk. They can do without the last value, unless
    /// this is about the last change, which they may just have been woken for.
    fn keep(&mut self, place: (Revision, Key)) {
        let last = self.gone.last_key_value().map(|(place, _)| place.0);
        if let Some(tombstone) = self.gone.get_mut(&place) {
            self.bytes -= cost(&place.1, tombstone);
            tombstone.value.take_if(|_| last != Some(place.0));
            self.kept_bytes += cost(&place.1, tombstone);
        }
        self.kept_to = Some(place);
    }

    /// Gives up tombstones that were kept and that nobody needs any more, so many at most.
    fn release(&mut self, most: usize) {
        for _ in 0..most {
            if self.kept_bytes == 0 {
                break;
            }
            let kept_to = self.kept_to.as_ref();
            match self.gone.first_key_value() {
                Some((place, _)) if Some(place) <= kept_to && self.walkers.have_passed(place.0) => {
                    let place = place.clone();
                    self.forget(&place);
                }
                _ => break,
            }
        }
    }

    fn forget(&mut self, place: &(Revision, Key)) {
        self.take(place);
        self.graves.remove(&place.1);
        self.forgotten = self.forgotten.max(place.0);
    }

    /// Removes a tombstone.
    fn take(&mut self, place: &(Revision, Key)) -> Option<Tombstone> {
        let tombstone = self.gone.remove(place)?;
        match Some(place) <= self.kept_to.as_ref() {
            true => self.kept_bytes -= cost(&place.1, &tombstone),
            false => self.bytes -= cost(&place.1, &tombstone),
        }
        Some(tombstone)
    }

    /// What comes after `position`, in order.
    pub(super) fn after<'h>(&'h self, position: &Position) -> impl Iterator<Item = Past<'h>> {
        debug_assert!(self.unsorted.is_empty(), "to be sorted before");
        let range = (first_after(position), Bound::Unbounded);
        let living = self.living.range(range).map(|(revision, key)| Past {
            revision: *revision,
            key,
            tombstone: None,
        });
        Merged {
            living: living.peekable(),
            gone: self.gone_after(position).peekable(),
        }
    }

    /// The tombstone of a key, if it has one.
    pub(super) fn tombstone(&self, key: &[u8]) -> Option<Past<'_>> {
        let (key, revision) = self.graves.get_key_value(key)?;
        let place = (*revision, Rc::clone(key));
        self.gone.get_key_value(&place).map(Past::gone)
    }

    /// What was deleted after `position`, in order.
    pub(super) fn gone_after<'h>(&'h self, position: &Position) -> impl Iterator<Item = Past<'h>> {
        let range = (first_after(position), Bound::Unbounded);
        self.gone.range(range).map(Past::gone)
    }

    /// A key that may have a tombstone lives again. If it has one: since when it was there before.
    fn dig_up(&mut self, key: &Key) -> Option<Revision> {
        let revision = self.graves.remove(key)?;
        let tombstone = self.take(&(revision, Rc::clone(key)))?;
        Some(tombstone.born)
    }
}

fn cost(key: &Key, tombstone: &Tombstone) -> usize {
    key.len()
        + tombstone
            .value
            .as_ref()
            .map_or(0, |value| value.bytes.len())
        + OVERHEAD
}

impl Tombstone {
    /// A tombstone that remembers the last value, unless it is long, or there is no room for it
    /// among those of its change.
    pub(super) fn new(writer: Writer, content: &Content<'_>, room: &mut usize) -> Self {
        let (bytes, is_text) = match content {
            Content::Text(bytes) => (bytes, true),
            Content::Data(bytes) => (bytes, false),
        };
        let keeps = bytes.len() <= LAST_VALUE_MAX.min(*room);
        *room -= if keeps { bytes.len() } else { 0 };
        Tombstone {
            writer,
            born: Revision::default(),
            value: keeps.then(|| LastValue {
                bytes: (*bytes).into(),
                is_text,
            }),
        }
    }

    /// The last value, if it is known.
    pub(crate) fn content(&self) -> Option<Content<'_>> {
        self.value.as_ref().map(|value| match value.is_text {
            true => Content::Text(&value.bytes),
            false => Content::Data(&value.bytes),
        })
    }
}

/// Two walks in the same order, as one.
struct Merged<L: Iterator, G: Iterator> {
    living: Peekable<L>,
    gone: Peekable<G>,
}

impl<'h, L: Iterator<Item = Past<'h>>, G: Iterator<Item = Past<'h>>> Iterator for Merged<L, G> {
    type Item = Past<'h>;

    fn next(&mut self) -> Option<Past<'h>> {
        let place = |past: &Past<'h>| (past.revision, past.key);
        match (self.living.peek(), self.gone.peek()) {
            (Some(living), Some(gone)) if place(living) > place(gone) => self.gone.next(),
            (Some(_), _) => self.living.next(),
            (None, _) => self.gone.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Writer = Writer { uid: 0, pid: 0 };

    fn key(key: &str) -> Key {
        key.as_bytes().into()
    }

    fn tombstone(value: &[u8]) -> Tombstone {
        Tombstone::new(NOBODY, &Content::Data(value), &mut LAST_VALUES_MAX.clone())
    }

    fn told(history: &mut History, after: Position) -> Vec<(u64, String, bool)> {
        history.sort();
        let name = |key: &Key| String::from_utf8(key.to_vec()).unwrap();
        let past = history.after(&after);
        past.map(|past| (past.revision.0, name(past.key), past.tombstone.is_some()))
            .collect()
    }

    #[test]
    fn each_variable_stands_at_its_last_change() {
        let mut history = History::default();
        history.set(key("a"), None, Revision(1));
        history.set(key("b"), None, Revision(2));
        history.set(key("a"), Some(Revision(1)), Revision(3));
        let all = [(2, "b".to_owned(), false), (3, "a".to_owned(), false)];
        assert_eq!(told(&mut history, (Revision(0), None)), all);
        assert_eq!(told(&mut history, (Revision(2), None)), all[1..]);
        assert_eq!(told(&mut history, (Revision(3), None)), []);
    }

    #[test]
    fn a_tombstone_stands_among_the_living_until_its_key_lives_again() {
        let mut history = History::default();
        history.set(key("a"), None, Revision(1));
        history.set(key("b"), None, Revision(2));
        history.delete(&key("a"), Revision(1), Revision(3), tombstone(b"last"));
        history.set(key("c"), None, Revision(4));
        let expected = [(2, "b", false), (3, "a", true), (4, "c", false)];
        let expected = expected.map(|(revision, key, gone)| (revision, key.to_owned(), gone));
        assert_eq!(told(&mut history, (Revision(0), None)), expected);
        history.set(key("a"), None, Revision(5));
        assert_eq!(
            told(&mut history, (Revision(4), None)),
            [(5, "a".to_owned(), false)]
        );
        assert_eq!((history.bytes, history.forgotten()), (0, Revision(0)));
    }

    #[test]
    fn a_walk_can_stop_within_a_revision() {
        let mut history = History::default();
        for (name, revision) in [("a", 1), ("b", 2)] {
            history.set(key(name), None, Revision(revision));
        }
        history.delete(&key("a"), Revision(1), Revision(3), tombstone(b""));
        history.delete(&key("b"), Revision(2), Revision(3), tombstone(b""));
        assert_eq!(
            told(&mut history, (Revision(2), Some(key("a")))),
            [(3, "b".to_owned(), true)]
        );
    }

    #[test]
    fn the_oldest_tombstones_are_dropped_and_that_is_known() {
        let mut history = History::default();
        let mut revision = 0;
        for n in 0..10_000 {
            let name = key(&format!("key-{n}"));
            history.set(name.clone(), None, Revision(revision + 1));
            history.delete(
                &name,
                Revision(revision + 1),
                Revision(revision + 2),
                tombstone(b"v"),
            );
            history.trim();
            revision += 2;
        }
        assert!(history.bytes <= TOMBSTONES_MAX);
        let left = told(&mut history, (Revision(0), None));
        assert_eq!(
            history.forgotten().0,
            left[0].0 - 2,
            "the one before the oldest"
        );
        assert_eq!(left.len(), history.graves.len());
    }

    #[test]
    fn a_long_last_value_is_not_kept() {
        assert!(tombstone(&[b'x'; LAST_VALUE_MAX]).content().is_some());
        assert!(tombstone(&[b'x'; LAST_VALUE_MAX + 1]).content().is_none());
    }
}
