//! The store: what keys, values and conditions mean, on top of the map.
//!
//! Keys and values are checked here and nowhere else; a change is made only if its condition
//! holds, and carries the time and the process that made it. [`Store::walk`] and
//! [`Store::collect`] visit the variables that match patterns in pieces, so that no call holds up
//! the others.
//!
//! Knows no connection and no protocol: who calls is a [`Writer`], what is wrong is a [`Refusal`].

mod apply;
mod deadlines;
pub(crate) mod decimal;
mod history;
mod key;
mod ledger;
mod lookup;
mod processes;
mod shares;
mod walk;
mod walkers;

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::process::geteuid;
use rustix::time::{ClockId, clock_gettime};

pub(crate) use self::apply::{Action, Batch};
use self::decimal::Decimal;
pub(crate) use self::history::TOMBSTONES_MAX;
pub(crate) use self::history::{Cause, Past, Position, Tombstone, What};
use self::history::{History, LAST_VALUES_MAX};
pub(crate) use self::key::{KEY_MAX, Key, KeyFlaw};

use self::ledger::{Holding, Ledger, Survey};
pub(crate) use self::shares::Share;
use self::walk::Journal;
pub(crate) use self::walk::{Budget, Collection, Progress, Walk, text};
pub(crate) use self::walkers::Walker;
pub(crate) use crate::map::Found as Recovered;
use crate::map::{
    self, Bytes, Entry, Full, Limits, MAP_MAX, Map, Origin, Process, Revision, Segment, Stamp,
    State, View,
};
use crate::wire::pattern::{KeyRange, Patterns};
use crate::wire::text::{Flaw, flaw, is_text};

/// Longest value, in bytes.
pub(crate) const VALUE_MAX: usize = 1 << 20;

/// Most variables that one call deletes by patterns. Bounds how long it holds up the others.
pub(crate) const DELETE_MAX: usize = 4096;

/// The user who may change everything.
const ROOT: u32 = 0;

/// Kinds of values, as the map's stamps keep them.
const DATA: u8 = 0;
const TEXT: u8 = 1;

/// A moment, in µs of the clock that goes on while the machine sleeps. Nothing here reads that clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

/// The process that makes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Writer {
    /// Its user.
    pub(crate) uid: u32,
    /// Its process ID.
    pub(crate) pid: u32,
}

/// A value that a caller gave.
#[derive(Debug)]
pub(crate) struct Value<'v> {
    bytes: Cow<'v, [u8]>,
    kind: u8,
}

/// What a variable must be like. Every field that is set must hold.
#[derive(Debug, Default)]
pub(crate) struct Condition<'c> {
    /// Whether it must be defined.
    pub(crate) defined: Option<bool>,
    /// The revision it must have; 0: not defined.
    pub(crate) revision: Option<i64>,
    /// The value it must have.
    pub(crate) value: Option<Value<'c>>,
}

/// On which terms a variable is set.
#[derive(Debug, Default)]
pub(crate) struct Terms<'c> {
    /// What it must be like before.
    pub(crate) condition: Condition<'c>,
    /// When it expires.
    pub(crate) deadline: Option<Moment>,
    /// The process whose end deletes it.
    pub(crate) process: Option<Process>,
    /// Whether it is protected from now on; otherwise that stays as it is.
    pub(crate) protected: Option<bool>,
}

/// Why a call cannot be done. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The key is none.
    Key(KeyFlaw),
    /// The value has so many bytes, more than [`VALUE_MAX`].
    ValueTooLarge(usize),
    /// It is protected, and another user's.
    Denied,
    /// The condition does not hold; the variable has this revision.
    Condition(Revision),
    /// There is no room.
    Full(Full),
    /// The user would hold more than it may.
    Limit(Limit),
    /// The value is no number that can be added to.
    NotNumeric,
    /// The sum has more digits than can be kept.
    NumberOverflow,
}

/// What a user may hold, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Variables.
    Variables(u64),
    /// Bytes of their keys and values.
    Bytes(u64),
    /// Different processes that its variables belong to.
    Processes(u64),
}

/// A variable as it is now.
#[derive(Clone, Copy)]
pub(crate) struct Variable<'s>(Entry<'s>);

/// What a variable holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Bytes that are text.
    Text(Bytes),
    /// Any other bytes.
    Data(Bytes),
}

/// The variables and what belongs to them.
pub(crate) struct Store {
    map: Map,
    ledger: Ledger,
    /// Whether the ledger may say something else than when it was looked at last.
    is_ledger_new: bool,
    history: History,
    journal: Journal,
    instance: String,
}

impl Store {
    /// An empty store: a new instance.
    pub(crate) fn new(limits: Limits) -> std::io::Result<Self> {
        let origin = Origin {
            instance: u128::from_ne_bytes(random()?),
            born: now(),
        };
        let secret = u64::from_ne_bytes(random()?);
        let memory = Segment::create(size_of_map(limits)?).and_then(|memory| {
            memory.own()?;
            Ok(memory)
        });
        let memory = memory.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::FileTooLarge => "\n  a limit forbids it: see ulimit -f",
                io::ErrorKind::OutOfMemory => {
                    "\n  too little memory, or a limit forbids it: see ulimit -v"
                }
                _ => "",
            };
            let problem = format!("cannot make a memory file: {error}{hint}");
            io::Error::new(error.kind(), problem)
        })?;
        let map = Map::create(memory, limits, origin, secret);
        let map = map.map_err(|_| io::Error::other("no memory for the variables"))?;
        let ledger = Ledger::of(&map, geteuid().as_raw());
        Ok(Self::with(map, ledger, History::default()))
    }

    /// Takes over the store of a service that is gone. What it knew of deletions is lost.
    pub(crate) fn take_over(file: OwnedFd, limits: Limits) -> io::Result<(Self, Recovered)> {
        let memory = Segment::open(file)?;
        memory.own()?;
        let secret = u64::from_ne_bytes(random()?);
        let service = geteuid().as_raw();
        let mut survey = Survey::new(limits, service);
        let (map, recovered) = Map::recover(memory, limits, secret, |entry| survey.add(&entry))
            .map_err(|unfit| io::Error::new(io::ErrorKind::InvalidData, unfit))?;
        let ledger = match survey.len() == map.len() {
            true => survey.end(),
            // Some of what it has seen was damaged, and is gone.
            false => Ledger::of(&map, service),
        };
        let history = History::forgetting(map.revision());
        Ok((Self::with(map, ledger, history), recovered))
    }

    /// Whether the system lets us make a map.
    pub(crate) fn check_system() -> io::Result<()> {
        let limits = Limits {
            variables: 1,
            bytes: 1,
        };
        Self::new(limits).map(drop)
    }

    /// Whether a map could be taken over; looks, and changes nothing.
    pub(crate) fn check_map(file: &impl AsFd) -> io::Result<()> {
        Segment::check_protection(file.as_fd())?;
        let view = View::open(file.as_fd())?;
        map::check(&view).map_err(|unfit| io::Error::new(io::ErrorKind::InvalidData, unfit))
    }

    fn with(map: Map, ledger: Ledger, history: History) -> Self {
        Store {
            instance: format!("{:032x}", map.origin().instance),
            ledger,
            is_ledger_new: true,
            map,
            history,
            journal: Journal::default(),
        }
    }

    /// The memory that the variables stand in.
    pub(crate) fn memory(&self) -> &Segment {
        self.map.memory()
    }

    /// What tells this store from one before or after it: 32 hexadecimal digits.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// When it began, in µs since the UNIX epoch.
    pub(crate) fn started(&self) -> u64 {
        self.map.origin().born
    }

    /// The revision of the last change.
    pub(crate) fn revision(&self) -> Revision {
        self.map.revision()
    }

    /// How many variables there are.
    pub(crate) fn len(&self) -> u64 {
        self.map.len()
    }

    /// How many bytes keys and values take.
    pub(crate) fn bytes(&self) -> u64 {
        self.map.bytes()
    }

    /// How much it may hold.
    pub(crate) fn limits(&self) -> Limits {
        self.map.limits()
    }

    /// Reads a variable; `None` if it is not defined.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Variable<'_>>, Refusal> {
        key::check(key).map_err(Refusal::Key)?;
        Ok(self.map.get(key.as_bytes()).map(Variable))
    }

    /// Defines a variable or replaces its value, on these terms.
    pub(crate) fn set(
        &mut self,
        key: &str,
        value: &Value<'_>,
        terms: &Terms<'_>,
        writer: Writer,
    ) -> Result<Revision, Refusal> {
        if value.bytes.len() > VALUE_MAX {
            return Err(Refusal::ValueTooLarge(value.bytes.len()));
        }
        let old = self.get(key)?;
        terms.condition.check(old)?;
        let before = old.map(|old| Holding::of(&old.0));
        let old = old.map(|old| old.0.stamp());
        let mut stamp = stamp(value.kind, old, writer)?;
        stamp.deadline = terms.deadline.map(|Moment(deadline)| deadline);
        stamp.process = terms.process;
        if let Some(protected) = terms.protected {
            stamp.protected = protected;
            stamp.owner = if protected { writer.uid } else { stamp.owner };
        }
        self.put(key.as_bytes(), &value.bytes, &stamp, before)
    }

    /// Gives a variable a value; `before` is what it contributed to the ledger.
    fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        stamp: &Stamp,
        before: Option<Holding>,
    ) -> Result<Revision, Refusal> {
        let now = Some(Holding::new(stamp, key.len() + value.len()));
        let charged = self.ledger.shares.charge(stamp.setter, &[(before, now)]);
        charged.map_err(Refusal::Limit)?;
        let set = self.map.set(key, value, stamp).map_err(|full| {
            self.ledger.shares.take_back(&[(before, now)]);
            Refusal::Full(full)
        })?;
        self.ledger.note(set.id, before, now);
        self.is_ledger_new = true;
        if set.old.is_none() {
            self.note_birth(key, set.revision);
        }
        Ok(set.revision)
    }

    /// A variable was created.
    fn note_birth(&mut self, key: &[u8], at: Revision) {
        if self.journal.is_read() {
            self.journal.note(key);
        }
        self.history.create(key, at);
    }

    /// Deletes a variable, if it is as `condition` says. Returns how many there were, and the
    /// revision of the change, or the present one if there was none.
    pub(crate) fn delete(
        &mut self,
        key: &str,
        condition: &Condition<'_>,
        writer: Writer,
    ) -> Result<(u64, Revision), Refusal> {
        let variable = self.get(key)?;
        condition.check(variable)?;
        variable.map_or(Ok(()), |variable| may_change(&variable.0.stamp(), writer))?;
        let keys: Vec<Key> = variable.iter().map(|_| key.as_bytes().into()).collect();
        Ok(self.delete_all(&keys, Cause::Deleted(writer)))
    }

    fn delete_all(&mut self, keys: &[Key], cause: Cause) -> (u64, Revision) {
        let mut room = LAST_VALUES_MAX;
        let gone: Vec<_> = keys
            .iter()
            .filter_map(|key| {
                let entry = self.map.get(key)?;
                let tombstone = Tombstone::new(cause, &Variable(entry).content(), &mut room);
                Some((key, tombstone, entry.id(), Holding::of(&entry)))
            })
            .collect();
        let (count, revision) = self.map.delete(keys);
        self.is_ledger_new = true;
        for (key, tombstone, id, holding) in gone {
            self.ledger.replace(id, Some(holding), None);
            self.history.delete(key, revision, tombstone);
        }
        (count, revision)
    }

    /// Says when a variable expires, if ever, and leaves all else as it is. Returns whether it is
    /// defined.
    pub(crate) fn expire(
        &mut self,
        key: &str,
        deadline: Option<Moment>,
        writer: Writer,
    ) -> Result<bool, Refusal> {
        let Some(Variable(entry)) = self.get(key)? else {
            return Ok(false);
        };
        may_change(&entry.stamp(), writer)?;
        let (id, before) = (entry.id(), Holding::of(&entry));
        let stamp = Stamp {
            deadline: deadline.map(|Moment(deadline)| deadline),
            ..entry.stamp()
        };
        let amended = self.map.amend(key.as_bytes(), &stamp);
        amended.map_err(Refusal::Full)?;
        let now = Holding::new(&stamp, before.bytes as usize);
        self.ledger.replace(id, Some(before), Some(now));
        self.is_ledger_new = true;
        Ok(true)
    }

    /// The time of a variable has run out, whatever its deadline says. Returns whether it was
    /// defined.
    pub(crate) fn expire_now(&mut self, key: &str, writer: Writer) -> Result<bool, Refusal> {
        let variable = self.get(key)?;
        variable.map_or(Ok(()), |variable| may_change(&variable.0.stamp(), writer))?;
        let (count, _) = self.delete_all(&[key.as_bytes().into()], Cause::Expired);
        Ok(count > 0)
    }

    /// Whether [`Self::next_due`] or [`Self::take_idle_processes`] may have another answer since this
    /// was asked last: not after those who only read, which is most calls.
    pub(crate) fn take_ledger_news(&mut self) -> bool {
        std::mem::take(&mut self.is_ledger_new)
    }

    /// When there is something to [`Self::expire_due`] or to [`Self::release_due`].
    pub(crate) fn next_due(&self) -> Option<Moment> {
        match self.ledger.processes.is_due() {
            true => Some(Moment(0)),
            false => self.ledger.deadlines.next(),
        }
    }

    /// Deletes variables that have expired by now, so many at most, with one revision.
    pub(crate) fn expire_due(&mut self, now: Moment, most: usize) {
        let due = self.ledger.deadlines.due(now).take(most);
        let due = due.filter_map(|id| self.map.entry_of(id));
        let keys: Vec<Key> = due.map(|entry| Key::from(&*entry.key())).collect();
        self.delete_all(&keys, Cause::Expired);
    }

    /// The processes that variables belong to.
    pub(crate) fn processes(&self) -> Vec<Process> {
        self.ledger.processes.all().collect()
    }

    /// Whether variables belong to a process.
    pub(crate) fn has_process(&self, process: Process) -> bool {
        self.ledger.processes.has(process)
    }

    /// A process has ended: what belongs to it is to be deleted.
    pub(crate) fn end_process(&mut self, process: Process) {
        self.ledger.processes.end(process);
        self.is_ledger_new = true;
    }

    /// The processes to which nothing belongs any more, since this was called last.
    pub(crate) fn take_idle_processes(&mut self) -> Vec<Process> {
        self.ledger.processes.take_idle()
    }

    /// Deletes variables of processes that have ended, so many at most, with one revision.
    pub(crate) fn release_due(&mut self, most: usize) {
        let due = self.ledger.processes.due().take(most);
        let due = due.filter_map(|id| self.map.entry_of(id));
        let keys: Vec<Key> = due.map(|entry| Key::from(&*entry.key())).collect();
        self.delete_all(&keys, Cause::Released);
    }

    /// Adds to the number that a variable holds, within limits. Returns the sum.
    pub(crate) fn increment(
        &mut self,
        key: &str,
        by: Decimal,
        (minimum, maximum): (Option<Decimal>, Option<Decimal>),
        writer: Writer,
    ) -> Result<(Decimal, Revision), Refusal> {
        let old = self.get(key)?;
        let number = match old {
            None => Decimal::ZERO,
            Some(variable) => variable.number().ok_or(Refusal::NotNumeric)?,
        };
        let sum = number
            .sum(by, minimum, maximum)
            .map_err(|_| Refusal::NumberOverflow)?;
        let text = sum.to_string();
        let kept = old.map(|old| old.0.stamp());
        let stamp = stamp(TEXT, kept, writer)?;
        let before = old.map(|old| Holding::of(&old.0));
        let revision = self.put(key.as_bytes(), text.as_bytes(), &stamp, before)?;
        Ok((sum, revision))
    }

    /// Forgets of the past what is too much of it. To be called when all who listen have been told
    /// of the last change.
    pub(crate) fn trim_history(&mut self) {
        self.history.trim();
    }

    /// The last change, if one variable was set; `None` may mean anything else.
    pub(crate) fn last_set(&self) -> Option<Past<'_>> {
        self.map.last().map(Variable).map(Past::set)
    }

    /// What changed after a position in the history, in order: each variable once, at its last
    /// change.
    pub(crate) fn after(&self, position: &Position) -> impl Iterator<Item = Past<'_>> {
        self.history.after(&self.map, position)
    }

    /// The same for the keys in `ranges` alone, if they can be found with so many looks at most.
    /// What was deleted up to `start` may be left out.
    pub(crate) fn few_after(
        &self,
        position: &Position,
        start: Revision,
        ranges: &[KeyRange],
        looks: usize,
    ) -> Option<Vec<Past<'_>>> {
        lookup::few_after(&self.map, &self.history, position, start, ranges, looks)
    }

    /// The newest revision at which something was deleted that the history does not tell any more.
    pub(crate) fn forgotten(&self) -> Revision {
        self.history.forgotten()
    }

    /// How many bytes of deletions there were to remember, ever; [`TOMBSTONES_MAX`] are known.
    pub(crate) fn buried(&self) -> u64 {
        self.history.buried()
    }

    /// Somebody who has seen everything up to the first of these revisions, and may have been told
    /// something up to the second, catches up from there later: what it needs is kept, as long as
    /// there is room for it.
    pub(crate) fn walker(&self, at: [Revision; 2]) -> Walker {
        self.history.walker(at)
    }

    /// A [`Walker`] that stands before this revision has lost something that it needs.
    pub(crate) fn lost(&self) -> Revision {
        self.history.lost()
    }

    /// Visits the next variables of a walk, until `visit` breaks or the budget is spent.
    pub(crate) fn walk<'s>(
        &'s self,
        walk: &mut Walk,
        budget: &mut Budget,
        mut visit: impl FnMut(Variable<'s>) -> ControlFlow<()>,
    ) -> Progress {
        walk.run(&self.map, budget, |entry| visit(Variable(entry)))
    }

    /// Forgets everything, also for those who read the map. The end of the store.
    pub(crate) fn close(&mut self) {
        self.map.end(State::Closed);
        self.map.memory().disown();
    }

    /// Whether the map has something to do that no call waits for.
    pub(crate) fn is_untidy(&self) -> bool {
        self.map.has_work()
    }

    /// Does a little of it.
    pub(crate) fn tidy(&mut self) {
        self.map.work();
    }

    /// Gives back what was kept for collections, when there are none any more.
    pub(crate) fn rest(&mut self) {
        self.journal.rest();
    }

    /// Begins to gather the first `limit` keys that match.
    pub(crate) fn collection(&self, patterns: Patterns, limit: usize) -> Collection {
        Collection::new(&self.journal, patterns, limit)
    }

    /// Gathers more keys. Once it has finished, the keys are exactly those that match now.
    pub(crate) fn collect(&self, collection: &mut Collection, budget: &mut Budget) -> Progress {
        collection.run(&self.map, &self.journal, budget)
    }

    /// The variables of a collection that has finished in this turn.
    pub(crate) fn collected<'s>(
        &'s self,
        collection: &'s Collection,
    ) -> impl Iterator<Item = Variable<'s>> {
        collection
            .keys()
            .filter_map(|key| self.map.get(key).map(Variable))
    }

    /// Deletes the variables of a collection that has finished in this turn, with one revision. If
    /// one of them is protected against the writer, it is told, and nothing is deleted.
    pub(crate) fn delete_collected(
        &mut self,
        collection: &Collection,
        writer: Writer,
    ) -> Result<(u64, Revision), Key> {
        let keys: Vec<Key> = collection.keys().cloned().collect();
        let is_denied = |key: &&Key| {
            let entry = self.map.get(key);
            entry.is_some_and(|entry| may_change(&entry.stamp(), writer).is_err())
        };
        match keys.iter().find(is_denied) {
            Some(key) => Err(Key::clone(key)),
            None => Ok(self.delete_all(&keys, Cause::Deleted(writer))),
        }
    }

    /// What a user holds, and what it may hold.
    pub(crate) fn share(&self, user: u32) -> (Share, Limits) {
        let shares = &self.ledger.shares;
        (shares.of(user), shares.allowance(user))
    }
}

impl<'c> From<Condition<'c>> for Terms<'c> {
    fn from(condition: Condition<'c>) -> Self {
        Terms {
            condition,
            ..Terms::default()
        }
    }
}

impl<'v> Value<'v> {
    /// A value given as text.
    pub(crate) fn text(text: &'v str) -> Result<Self, Flaw> {
        match flaw(text) {
            None => Ok(Value {
                bytes: Cow::Borrowed(text.as_bytes()),
                kind: TEXT,
            }),
            Some(flaw) => Err(flaw),
        }
    }

    /// A value given as bytes.
    pub(crate) fn data(bytes: Vec<u8>) -> Self {
        let kind = if is_text(&bytes) { TEXT } else { DATA };
        Value {
            bytes: Cow::Owned(bytes),
            kind,
        }
    }
}

impl Value<'_> {
    /// The same, for longer than the call that gave it.
    pub(crate) fn into_owned(self) -> Value<'static> {
        Value {
            bytes: Cow::Owned(self.bytes.into_owned()),
            kind: self.kind,
        }
    }
}

impl Condition<'_> {
    /// How many bytes of memory its value keeps.
    pub(crate) fn memory(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.bytes.len())
    }

    /// The same, for longer than the call that gave it.
    pub(crate) fn into_owned(self) -> Condition<'static> {
        Condition {
            defined: self.defined,
            revision: self.revision,
            value: self.value.map(Value::into_owned),
        }
    }

    /// Whether a variable is as it must be.
    pub(crate) fn holds(&self, variable: Option<Variable<'_>>) -> bool {
        self.check(variable).is_ok()
    }

    fn check(&self, variable: Option<Variable<'_>>) -> Result<(), Refusal> {
        let revision = variable.map_or(Revision::default(), |variable| variable.revision());
        let defined = self
            .defined
            .is_none_or(|wanted| wanted == variable.is_some());
        let at_revision = self
            .revision
            .is_none_or(|wanted| u64::try_from(wanted) == Ok(revision.0));
        let has_value = self.value.as_ref().is_none_or(|wanted| {
            variable.is_some_and(|variable| variable.0.has_value(&wanted.bytes))
        });
        match defined && at_revision && has_value {
            true => Ok(()),
            false => Err(Refusal::Condition(revision)),
        }
    }
}

impl<'s> Variable<'s> {
    /// Its key.
    pub(crate) fn key(&self) -> Bytes {
        self.0.key()
    }

    /// Its value.
    pub(crate) fn content(&self) -> Content {
        match self.0.kind() {
            TEXT => Content::Text(self.0.value()),
            _ => Content::Data(self.0.value()),
        }
    }

    /// The number that it holds, if it holds one.
    fn number(&self) -> Option<Decimal> {
        Decimal::of(&self.0.value())
    }

    /// The revision of its last change.
    pub(crate) fn revision(&self) -> Revision {
        self.0.revision()
    }

    /// When it was last changed, in µs since the UNIX epoch.
    pub(crate) fn modified(&self) -> u64 {
        self.0.stamp().time
    }

    /// When it expires, if ever.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.0.stamp().deadline.map(Moment)
    }

    /// The ID of the process whose end deletes it, if there is one.
    pub(crate) fn process(&self) -> Option<u32> {
        self.0.stamp().process.map(|process| process.pid)
    }

    /// Whether only its owner and root may change it.
    pub(crate) fn is_protected(&self) -> bool {
        self.0.stamp().protected
    }

    /// The user that owns it.
    pub(crate) fn owner(&self) -> u32 {
        self.0.stamp().owner
    }

    /// The process that last changed it.
    pub(crate) fn writer(&self) -> Writer {
        let stamp = self.0.stamp();
        Writer {
            uid: stamp.uid,
            pid: stamp.pid,
        }
    }
}

/// What is remembered of a change that this process makes now, if it may: all that is not its
/// business stays as it was.
fn stamp(kind: u8, old: Option<Stamp>, writer: Writer) -> Result<Stamp, Refusal> {
    if let Some(old) = &old {
        may_change(old, writer)?;
    }
    Ok(Stamp {
        time: now(),
        owner: old.map_or(writer.uid, |old| old.owner),
        setter: writer.uid,
        uid: writer.uid,
        pid: writer.pid,
        kind,
        ..old.unwrap_or_default()
    })
}

/// Whether this process may change or delete a variable.
fn may_change(stamp: &Stamp, writer: Writer) -> Result<(), Refusal> {
    match stamp.protected && ![stamp.owner, ROOT].contains(&writer.uid) {
        true => Err(Refusal::Denied),
        false => Ok(()),
    }
}

/// How much address space a map needs: for keys and values twice, because what is replaced takes
/// room together with what replaces it, and sizes are rounded up; for each variable what is kept
/// beside them, and its part of two tables. Memory is only behind what is used.
fn size_of_map(limits: Limits) -> io::Result<u64> {
    let bytes = limits.bytes.saturating_mul(2);
    let size = limits
        .variables
        .saturating_mul(256)
        .saturating_add(bytes)
        .saturating_add(16 << 20);
    match size <= MAP_MAX {
        true => Ok(size),
        false => Err(io::Error::other(format!(
            "cannot hold {} bytes in {} variables: twice the bytes and 256 a variable must be less \
             than {MAP_MAX}",
            limits.bytes, limits.variables
        ))),
    }
}

/// Random bytes.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}

/// µs since the UNIX epoch, as of the kernel's last tick; 0 if the clock is set to before it.
///
/// The exact time is read from memory that a call finds out of the processor's caches: it made a
/// Set over the socket 4 % slower. Nobody orders changes by it; for that there are revisions.
fn now() -> u64 {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let since = Duration::try_from(now).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
