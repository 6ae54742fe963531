//! What is kept of the variables beside the map, so that it need not be looked for: which of them
//! expire, which belong to processes, and how much each user holds.
//!
//! All of it follows from what the map holds. A [`Holding`] is what one variable contributes, and
//! every change of a variable replaces its old one by its new one; after a crash all are added up
//! again.

use super::Moment;
use super::deadlines::Deadlines;
use super::processes::Processes;
use super::shares::Shares;
use crate::map::{Entry, Id, Limits, Map, Process, Stamp};

/// What is kept beside the map.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) deadlines: Deadlines,
    pub(super) processes: Processes,
    pub(super) shares: Shares,
}

/// What one variable contributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holding {
    /// The user that is charged for it.
    pub(super) setter: u32,
    /// How many bytes its key and value have.
    pub(super) bytes: u64,
    /// The process whose end deletes it.
    pub(super) process: Option<Process>,
    deadline: Option<Moment>,
}

impl Holding {
    /// Of a variable that is there.
    pub(super) fn of(entry: &Entry<'_>) -> Self {
        Self::new(&entry.stamp(), entry.key_len() + entry.value_len())
    }

    /// Of a variable that is to be there, with key and value of so many bytes.
    pub(super) fn new(stamp: &Stamp, bytes: usize) -> Self {
        Holding {
            setter: stamp.setter,
            bytes: bytes as u64,
            process: stamp.process,
            deadline: stamp.deadline.map(Moment),
        }
    }
}

/// A ledger while all variables are added up.
pub(super) struct Survey {
    /// In no order: to sort them once is several times faster than to keep them sorted.
    deadlines: Vec<(Moment, Id)>,
    processes: Processes,
    shares: Shares,
    len: u64,
}

impl Survey {
    /// Of no variables. `service` is the user that the service runs as.
    pub(super) fn new(limits: Limits, service: u32) -> Self {
        Survey {
            deadlines: Vec::new(),
            processes: Processes::default(),
            shares: Shares::new(limits, service),
            len: 0,
        }
    }

    /// How many variables there were so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// One more variable.
    pub(super) fn add(&mut self, entry: &Entry<'_>) {
        self.len += 1;
        let holding = Holding::of(entry);
        self.shares.shift(None, Some(holding));
        if let Some(process) = holding.process {
            self.processes.add(process, entry.id());
        }
        if let Some(deadline) = holding.deadline {
            self.deadlines.push((deadline, entry.id()));
        }
    }

    /// That was all of them.
    pub(super) fn end(self) -> Ledger {
        Ledger {
            deadlines: self.deadlines.into_iter().collect(),
            processes: self.processes,
            shares: self.shares,
        }
    }
}

impl Ledger {
    /// Of all variables of a map. `service` is the user that the service runs as.
    pub(super) fn of(map: &Map, service: u32) -> Self {
        let mut survey = Survey::new(map.limits(), service);
        map.all().for_each(|entry| survey.add(&entry));
        survey.end()
    }

    /// A variable has changed: what it contributed, and what it contributes now.
    pub(super) fn replace(&mut self, id: Id, old: Option<Holding>, new: Option<Holding>) {
        self.shares.shift(old, new);
        self.note(id, old, new);
    }

    /// The same for which the shares were charged already.
    pub(super) fn note(&mut self, id: Id, old: Option<Holding>, new: Option<Holding>) {
        let process = |holding: Option<Holding>| holding.and_then(|holding| holding.process);
        let (before, now) = (process(old), process(new));
        if before != now {
            now.into_iter()
                .for_each(|process| self.processes.add(process, id));
            before
                .into_iter()
                .for_each(|process| self.processes.remove(process, id));
        }
        let deadline = |holding: Option<Holding>| holding.and_then(|holding| holding.deadline);
        let (old, new) = (deadline(old), deadline(new));
        if old != new {
            old.into_iter()
                .for_each(|deadline| self.deadlines.remove(deadline, id));
            new.into_iter()
                .for_each(|deadline| self.deadlines.add(deadline, id));
        }
    }
}
