//! The variables in the order of their last change, and those deleted lately.
//!
//! This is what watchers that are behind, or come back, walk along: all that changed after a
//! revision, each variable once, at its last change. A variable that was deleted leaves a tombstone
//! in the same order, until newer ones have used up [`TOMBSTONES_MAX`]. What was dropped is not
//! known any more: who comes back and has not seen everything up to [`History::forgotten`] must
//! begin anew. Who is catching up already is a [`Walker`]: what it needs is kept beyond that.

use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;
use std::ops::Bound;
use std::rc::Rc;

use super::key::Key;
use super::walk::text;
use super::walkers::{Walker, Walkers};
use super::{Content, Variable, Writer};
use crate::map::{Bytes, Map, Revision};

/// What the last values that one change of many variables keeps may take, in bytes. All of them must
/// fit in one reply, whatever has to be escaped.
pub(super) const LAST_VALUES_MAX: usize = 256 << 10;

/// What tombstones may take, in bytes: those of some thousand ordinary variables. So few in tests
/// that they are dropped there.
pub(crate) const TOMBSTONES_MAX: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };

/// What tombstones may take beside that, in bytes, which are kept for those who catch up: some twenty
/// thousand. More, and a turn in which a walk passes all of them takes more than a millisecond.
const KEPT_MAX: usize = if cfg!(test) { 2 << 10 } else { 4 << 20 };

/// Most tombstones that are given up after a change because nobody needs them any more.
const RELEASED_MAX: usize = 4096;

/// Longest last value that a tombstone keeps, in bytes: a few large ones must not use up the budget
/// of many small ones.
const LAST_VALUE_MAX: usize = 4 << 10;

/// What a tombstone takes beside its key and value, in bytes: its places in two indices.
const OVERHEAD: usize = 160;

/// Where somebody stands in the history: behind everything up to this revision, and behind this
/// key of the next one.
pub(crate) type Position = (Revision, Option<Key>);

/// What was deleted, in the order of the deletions. The map knows the order of all else.
#[derive(Default)]
pub(super) struct History {
    gone: BTreeMap<(Revision, Key), Tombstone>,
    /// Where the tombstone of a key stands.
    graves: HashMap<Key, Revision>,
    /// What the tombstones take, without those that are kept.
    bytes: usize,
    /// What all have taken that ever were.
    buried: u64,
    forgotten: Revision,
    walkers: Walkers,
    /// Tombstones up to this one are kept only for those who walk.
    kept_to: Option<(Revision, Key)>,
    /// What these take.
    kept_bytes: usize,
}

/// Why a variable is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// This process deleted it.
    Deleted(Writer),
    /// Its time has run out.
    Expired,
    /// The process that it belonged to has ended.
    Released,
}

/// What is remembered of a variable that is gone.
#[derive(Debug)]
pub(crate) struct Tombstone {
    /// Why it is gone.
    pub(crate) cause: Cause,
    /// Since when it was there, if that is known; else 0.
    pub(crate) born: Revision,
    value: Option<LastValue>,
}

#[derive(Debug)]
struct LastValue {
    bytes: Bytes,
    is_text: bool,
}

/// One step of a walk through the history.
#[derive(Clone)]
pub(crate) struct Past<'h> {
    /// When.
    pub(crate) revision: Revision,
    /// Which variable; nothing if it has changed again since, and this step tells nothing.
    pub(crate) key: Bytes,
    /// What became of it.
    pub(crate) what: What<'h>,
}

/// What became of a variable.
#[derive(Clone, Copy)]
pub(crate) enum What<'h> {
    /// It was set.
    Set(Variable<'h>),
    /// It was deleted.
    Gone(&'h Tombstone),
    /// It has changed again, and is told of there.
    Stale,
}

impl<'h> Past<'h> {
    /// The key as text.
    pub(crate) fn key_text(&self) -> &str {
        text(&self.key)
    }

    /// The variable, if it is there.
    pub(crate) fn variable(&self) -> Option<Variable<'h>> {
        match self.what {
            What::Set(variable) => Some(variable),
            _ => None,
        }
    }

    /// What is remembered of it, if it is gone.
    pub(crate) fn tombstone(&self) -> Option<&'h Tombstone> {
        match self.what {
            What::Gone(tombstone) => Some(tombstone),
            _ => None,
        }
    }

    /// A variable at its last change.
    pub(super) fn set(variable: Variable<'h>) -> Self {
        Past {
            revision: variable.revision(),
            key: variable.key(),
            what: What::Set(variable),
        }
    }

    fn gone((place, tombstone): (&'h (Revision, Key), &'h Tombstone)) -> Self {
        Past {
            revision: place.0,
            key: Bytes::from(&*place.1),
            what: What::Gone(tombstone),
        }
    }

    /// Whether it comes after a position.
    pub(super) fn is_after(&self, position: &Position) -> bool {
        match position {
            (revision, None) => self.revision > *revision,
            (revision, Some(key)) => {
                (self.revision, &*self.key) > (Revision(revision.0 + 1), &**key)
            }
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
    /// A history in which everything that was deleted up to a revision is not known any more.
    pub(super) fn forgetting(revision: Revision) -> Self {
        History {
            forgotten: revision,
            ..History::default()
        }
    }

    /// The newest revision at which something was deleted that is not known any more.
    pub(super) fn forgotten(&self) -> Revision {
        self.forgotten
    }

    /// What all tombstones have taken that ever were, in bytes: with every [`TOMBSTONES_MAX`] more,
    /// those that were there are not known any more.
    pub(super) fn buried(&self) -> u64 {
        self.buried
    }

    /// Somebody who has seen everything up to the first of these revisions, and may have been told
    /// something up to the second, goes on there later.
    pub(super) fn walker(&self, at: [Revision; 2]) -> Walker {
        self.walkers.add(at)
    }

    /// A [`Walker`] that stands before this revision must begin anew.
    pub(super) fn lost(&self) -> Revision {
        self.walkers.lost()
    }

    /// A variable was created.
    pub(super) fn create(&mut self, key: &[u8], at: Revision) {
        let born = self.dig_up(key).unwrap_or(at);
        self.walkers.note_birth(key, born);
    }

    /// A variable was deleted.
    pub(super) fn delete(&mut self, key: &Key, at: Revision, mut tombstone: Tombstone) {
        tombstone.born = self.walkers.take_birth(key);
        self.bytes += cost(key, &tombstone);
        self.buried += cost(key, &tombstone) as u64;
        self.graves.insert(Rc::clone(key), at);
        self.gone.insert((at, Rc::clone(key)), tombstone);
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
    pub(super) fn after<'h>(
        &'h self,
        map: &'h Map,
        position: &Position,
    ) -> impl Iterator<Item = Past<'h>> {
        let from = position.clone();
        let living = map
            .after(position.0)
            .map(|(revision, entry)| match entry {
                Some(entry) => Past::set(Variable(entry)),
                None => Past {
                    revision,
                    key: Bytes::from(&[][..]),
                    what: What::Stale,
                },
            })
            .skip_while(move |past| !past.is_after(&from));
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
    fn dig_up(&mut self, key: &[u8]) -> Option<Revision> {
        let (key, revision) = self.graves.remove_entry(key)?;
        let tombstone = self.take(&(revision, key))?;
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
    pub(super) fn new(cause: Cause, content: &Content, room: &mut usize) -> Self {
        let (bytes, is_text) = match content {
            Content::Text(bytes) => (bytes, true),
            Content::Data(bytes) => (bytes, false),
        };
        let keeps = bytes.len() <= LAST_VALUE_MAX.min(*room);
        *room -= if keeps { bytes.len() } else { 0 };
        Tombstone {
            cause,
            born: Revision::default(),
            value: keeps.then(|| LastValue {
                bytes: bytes.clone(),
                is_text,
            }),
        }
    }

    /// The last value, if it is known.
    pub(crate) fn content(&self) -> Option<Content> {
        self.value.as_ref().map(|value| match value.is_text {
            true => Content::Text(value.bytes.clone()),
            false => Content::Data(value.bytes.clone()),
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
        let is_gone_first = match (self.living.peek(), self.gone.peek()) {
            (Some(living), Some(gone)) => {
                (gone.revision, &*gone.key) < (living.revision, &*living.key)
            }
            (Some(_), None) => false,
            (None, _) => true,
        };
        match is_gone_first {
            true => self.gone.next(),
            false => self.living.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::store::{Store, Terms, Value};
    use crate::map::Limits;

    const WRITER: Writer = Writer { uid: 0, pid: 0 };

    fn store() -> Store {
        let limits = Limits {
            variables: 100_000,
            bytes: 1 << 20,
        };
        Store::new(limits).unwrap()
    }

    fn set(store: &mut Store, key: &str) {
        let value = Value::text("v").unwrap();
        store.set(key, &value, &Terms::default(), WRITER).unwrap();
    }

    fn delete(store: &mut Store, keys: &[&str]) {
        let keys: Vec<Key> = keys.iter().map(|key| key.as_bytes().into()).collect();
        store.delete_all(&keys, Cause::Deleted(WRITER));
    }

    fn told(store: &Store, after: Position) -> Vec<(u64, String, bool)> {
        let is_stale = |past: &Past<'_>| matches!(past.what, What::Stale);
        let past = store.after(&after).filter(|past| !is_stale(past));
        past.map(|past| {
            let is_gone = past.tombstone().is_some();
            (past.revision.0, past.key_text().to_owned(), is_gone)
        })
        .collect()
    }

    fn expected<const N: usize>(expected: [(u64, &str, bool); N]) -> Vec<(u64, String, bool)> {
        expected
            .into_iter()
            .map(|(revision, key, gone)| (revision, key.to_owned(), gone))
            .collect()
    }

    #[test]
    fn each_variable_stands_at_its_last_change() {
        let mut store = store();
        for key in ["a", "b", "a"] {
            set(&mut store, key);
        }
        let all = expected([(2, "b", false), (3, "a", false)]);
        assert_eq!(told(&store, (Revision(0), None)), all);
        assert_eq!(told(&store, (Revision(2), None)), all[1..]);
        assert_eq!(told(&store, (Revision(3), None)), []);
    }

    #[test]
    fn a_tombstone_stands_among_the_living_until_its_key_lives_again() {
        let mut store = store();
        for key in ["a", "b"] {
            set(&mut store, key);
        }
        delete(&mut store, &["a"]);
        set(&mut store, "c");
        let all = expected([(2, "b", false), (3, "a", true), (4, "c", false)]);
        assert_eq!(told(&store, (Revision(0), None)), all);
        set(&mut store, "a");
        let all = expected([(2, "b", false), (4, "c", false), (5, "a", false)]);
        assert_eq!(told(&store, (Revision(0), None)), all);
        assert_eq!((store.history.bytes, store.forgotten()), (0, Revision(0)));
    }

    #[test]
    fn a_walk_can_stop_within_a_revision() {
        let mut store = store();
        for key in ["a", "b"] {
            set(&mut store, key);
        }
        delete(&mut store, &["a", "b"]);
        let rest = told(&store, (Revision(2), Some(b"a"[..].into())));
        assert_eq!(rest, expected([(3, "b", true)]));
    }

    #[test]
    fn the_oldest_tombstones_are_dropped_and_that_is_known() {
        let mut store = store();
        for n in 0..1000 {
            let name = format!("key-{n}");
            set(&mut store, &name);
            delete(&mut store, &[&name]);
            store.trim_history();
        }
        assert!(store.history.bytes <= TOMBSTONES_MAX);
        let left = told(&store, (Revision(0), None));
        assert_eq!(
            store.forgotten().0,
            left[0].0 - 2,
            "the one before the oldest"
        );
        assert_eq!(left.len(), store.history.graves.len());
    }

    #[test]
    fn a_long_last_value_is_not_kept() {
        let tombstone = |len: usize| {
            let content = Content::Data(Bytes::from(&vec![b'x'; len][..]));
            Tombstone::new(Cause::Expired, &content, &mut LAST_VALUES_MAX.clone())
        };
        assert!(tombstone(LAST_VALUE_MAX).content().is_some());
        assert!(tombstone(LAST_VALUE_MAX + 1).content().is_none());
    }
}
