//! Several changes at once: what they come to, and then all of it or nothing.
//!
//! The operations are played on paper first, each seeing those before it. What becomes of each
//! variable in the end is one step of the map's own change of several keys, which has one revision
//! and survives a crash as a whole. What came and went in between has never been.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::decimal::Decimal;
use super::history::{Cause, LAST_VALUES_MAX, Tombstone};
use super::key::Key;
use super::ledger::Holding;
use super::{
    Condition, Moment, Refusal, Store, TEXT, VALUE_MAX, Value, Variable, Writer, key, may_change,
    stamp,
};
use crate::map::{Change, Id, Revision, Stamp};

/// Checks, and what is to be done if they hold.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// What must hold, of which variable, before anything is done.
    pub(crate) checks: Vec<(String, Condition<'static>)>,
    /// What to do, in this order; [`OPERATIONS_MAX`] at most.
    pub(crate) operations: Vec<(String, Action)>,
}

/// Most operations of a batch: as many keys as the map changes at once.
pub(crate) const OPERATIONS_MAX: usize = crate::map::CHANGES_MAX;

/// What is done with one variable.
#[derive(Debug)]
pub(crate) enum Action {
    /// It gets a value, and expires then.
    Set(Value<'static>, Option<Moment>),
    /// It is deleted, if it is there.
    Delete,
    /// This is added to its number.
    Increment(Decimal),
}

/// Why a batch cannot be done, and because of which key. Nothing was changed.
pub(crate) type Refused<'b> = (&'b str, Refusal);

/// A variable on paper.
struct Draft<'b> {
    /// What it was.
    old: Option<(Id, Holding)>,
    now: Now<'b>,
}

enum Now<'b> {
    /// As it was; not defined, if there was nothing.
    Untouched,
    Gone,
    Set(Cow<'b, [u8]>, Stamp),
}

impl Batch {
    /// How many bytes of memory it keeps, roughly.
    pub(crate) fn memory(&self) -> usize {
        let check = |(key, condition): &(String, Condition<'_>)| key.len() + condition.memory();
        let operation = |(key, action): &(String, Action)| {
            let value = match action {
                Action::Set(value, _) => value.bytes.len(),
                _ => 0,
            };
            size_of::<(String, Action)>() + key.len() + value
        };
        let checks = self.checks.iter().map(check).sum::<usize>();
        checks + self.operations.iter().map(operation).sum::<usize>()
    }

    /// The keys of variables that it gives a time to live.
    pub(crate) fn mortal(&self) -> impl Iterator<Item = &str> {
        let is_mortal = |action: &Action| matches!(action, Action::Set(_, Some(_)));
        let mortal = self
            .operations
            .iter()
            .filter(move |(_, action)| is_mortal(action));
        mortal.map(|(key, _)| &**key)
    }
}

impl Store {
    /// Does all that a batch asks for, with one revision. Returns that, or the present one if
    /// nothing changes.
    pub(crate) fn apply<'b>(
        &mut self,
        batch: &'b Batch,
        writer: Writer,
    ) -> Result<Revision, Refused<'b>> {
        assert!(
            batch.operations.len() <= OPERATIONS_MAX,
            "whoever reads them counts them"
        );
        for (key, condition) in &batch.checks {
            let variable = self.get(key).map_err(|refusal| (&**key, refusal))?;
            let is_so = condition.check(variable);
            is_so.map_err(|refusal| (&**key, refusal))?;
        }
        let mut drafts = BTreeMap::new();
        for (key, action) in &batch.operations {
            let played = self.play(&mut drafts, key, action, writer);
            played.map_err(|refusal| (&**key, refusal))?;
        }
        // A limit is nobody's in particular.
        let first = batch.operations.first().map_or("", |(key, _)| key);
        self.commit(&drafts, writer)
            .map_err(|refusal| (first, refusal))
    }

    /// Deletes what a batch has given a time to live that is over by now, with one revision.
    pub(crate) fn expire_of(&mut self, batch: &Batch, now: Moment) {
        let is_over = |key: &&str| {
            let variable = self.get(key).ok().flatten();
            let deadline = variable.and_then(|variable| variable.deadline());
            deadline.is_some_and(|deadline| deadline <= now)
        };
        let over = batch.mortal().filter(is_over);
        let mut keys: Vec<Key> = over.map(|key| key.as_bytes().into()).collect();
        keys.sort_unstable();
        keys.dedup();
        self.delete_all(&keys, Cause::Expired);
    }

    /// Does one operation on paper.
    fn play<'b>(
        &self,
        drafts: &mut BTreeMap<&'b str, Draft<'b>>,
        key: &'b str,
        action: &'b Action,
        writer: Writer,
    ) -> Result<(), Refusal> {
        key::check(key).map_err(Refusal::Key)?;
        let there = self.map.get(key.as_bytes());
        let draft = drafts.entry(key).or_insert_with(|| Draft {
            old: there.map(|entry| (entry.id(), Holding::of(&entry))),
            now: Now::Untouched,
        });
        let before = match &draft.now {
            Now::Untouched => there.map(|entry| entry.stamp()),
            Now::Gone => None,
            Now::Set(_, stamp) => Some(*stamp),
        };
        match action {
            Action::Set(value, _) if value.bytes.len() > VALUE_MAX => {
                return Err(Refusal::ValueTooLarge(value.bytes.len()));
            }
            Action::Set(value, deadline) => {
                let mut stamp = stamp(value.kind, before, writer)?;
                stamp.deadline = deadline.map(|Moment(deadline)| deadline);
                stamp.process = None;
                draft.now = Now::Set(Cow::Borrowed(&value.bytes), stamp);
            }
            Action::Delete => {
                if let Some(before) = before {
                    may_change(&before, writer)?;
                    draft.now = Now::Gone;
                }
            }
            Action::Increment(by) => {
                let number = match &draft.now {
                    Now::Untouched => there.map(|entry| Variable(entry).number()),
                    Now::Gone => None,
                    Now::Set(value, _) => Some(Decimal::of(value)),
                };
                let number = number.unwrap_or(Some(Decimal::ZERO));
                let sum = number.ok_or(Refusal::NotNumeric)?.sum(*by, None, None);
                let sum = sum.map_err(|_| Refusal::NumberOverflow)?.to_string();
                let stamp = stamp(TEXT, before, writer)?;
                draft.now = Now::Set(Cow::Owned(sum.into_bytes()), stamp);
            }
        }
        Ok(())
    }

    /// Does what is on paper.
    fn commit(
        &mut self,
        drafts: &BTreeMap<&str, Draft<'_>>,
        writer: Writer,
    ) -> Result<Revision, Refusal> {
        let (mut changes, mut holdings) = (Vec::new(), Vec::new());
        let mut tombstones = BTreeMap::new();
        let mut room = LAST_VALUES_MAX;
        for (key, draft) in drafts {
            let old = draft.old.map(|(_, holding)| holding);
            match &draft.now {
                Now::Set(value, stamp) => {
                    changes.push(Change::Set(key.as_bytes(), value, stamp));
                    holdings.push((old, Some(Holding::new(stamp, key.len() + value.len()))));
                }
                Now::Gone if old.is_some() => {
                    let content = self.map.get(key.as_bytes()).map(Variable);
                    let content = content.expect("it was there").content();
                    let cause = Cause::Deleted(writer);
                    tombstones.insert(*key, Tombstone::new(cause, &content, &mut room));
                    changes.push(Change::Delete(key.as_bytes()));
                    holdings.push((old, None));
                }
                Now::Gone | Now::Untouched => {}
            }
        }
        let charged = self.ledger.shares.charge(writer.uid, &holdings);
        charged.map_err(Refusal::Limit)?;
        let (_, revision) = self.map.apply(&changes).map_err(|full| {
            self.ledger.shares.take_back(&holdings);
            Refusal::Full(full)
        })?;
        self.is_ledger_new = true;
        for (key, draft) in drafts {
            self.note(key, draft, tombstones.remove(key), revision);
        }
        Ok(revision)
    }

    /// Notes beside the map what has become of a variable.
    fn note(
        &mut self,
        key: &str,
        draft: &Draft<'_>,
        tombstone: Option<Tombstone>,
        revision: Revision,
    ) {
        let key = key.as_bytes();
        let old = draft.old.map(|(_, holding)| holding);
        match (&draft.now, draft.old, tombstone) {
            (Now::Set(value, stamp), was, _) => {
                let entry = self.map.get(key).expect("it was just set");
                let now = Some(Holding::new(stamp, key.len() + value.len()));
                self.ledger.note(entry.id(), old, now);
                if was.is_none() {
                    self.note_birth(key, revision);
                }
            }
            (_, Some((id, _)), Some(tombstone)) => {
                self.ledger.note(id, old, None);
                self.history.delete(&key.into(), revision, tombstone);
            }
            _ => {}
        }
    }
}
