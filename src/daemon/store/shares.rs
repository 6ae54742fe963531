//! How much of the store each user holds: what it was the last to set.
//!
//! Whoever sets a variable is charged for it, and whoever set it before is not any more: else one
//! could use up another's share. Numbers only; all of it follows from what the map holds.

use std::collections::BTreeMap;

use super::ledger::Holding;
use super::{Limit, ROOT};
use crate::map::{Limits, Process};

/// A user may hold one of so many parts of all.
const PARTS: u64 = 4;

/// Most processes that one user's variables can belong to. Each costs the service a descriptor.
pub(crate) const USER_PROCESSES_MAX: u64 = 1024;

/// What each user holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shares {
    limits: Limits,
    /// Users who may hold all: root, and the one that the service runs as.
    exempt: [u32; 2],
    users: BTreeMap<u32, Share>,
    /// How many variables of a user belong to a process.
    processes: BTreeMap<(u32, Process), u64>,
}

/// What a user holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// Variables.
    pub(crate) variables: u64,
    /// Bytes of their keys and values.
    pub(crate) bytes: u64,
    /// Different processes that its variables belong to.
    pub(crate) processes: u64,
}

impl Shares {
    /// Nobody holds anything. `service` is the user that the service runs as.
    pub(super) fn new(limits: Limits, service: u32) -> Self {
        Shares {
            limits,
            exempt: [ROOT, service],
            users: BTreeMap::new(),
            processes: BTreeMap::new(),
        }
    }

    /// How much a user may hold.
    pub(super) fn allowance(&self, user: u32) -> Limits {
        let parts = if self.exempt.contains(&user) {
            1
        } else {
            PARTS
        };
        Limits {
            variables: self.limits.variables.div_ceil(parts),
            bytes: self.limits.bytes.div_ceil(parts),
        }
    }

    /// Variables are to become others: each was one thing, and is another. `user` is who does it. If
    /// it would hold more than it may, nothing is changed.
    pub(super) fn charge(
        &mut self,
        user: u32,
        changes: &[(Option<Holding>, Option<Holding>)],
    ) -> Result<(), Limit> {
        let before = self.of(user);
        for &(old, new) in changes {
            self.shift(old, new);
        }
        match self.excess(user, before, self.of(user)) {
            None => Ok(()),
            Some(limit) => {
                self.take_back(changes);
                Err(limit)
            }
        }
    }

    /// What was charged is not done.
    pub(super) fn take_back(&mut self, changes: &[(Option<Holding>, Option<Holding>)]) {
        for &(old, new) in changes.iter().rev() {
            self.shift(new, old);
        }
    }

    /// A variable was one thing, and is another.
    pub(super) fn shift(&mut self, old: Option<Holding>, new: Option<Holding>) {
        old.into_iter().for_each(|old| self.remove(old));
        new.into_iter().for_each(|new| self.add(new));
    }

    /// What a user holds.
    pub(super) fn of(&self, user: u32) -> Share {
        self.users.get(&user).copied().unwrap_or_default()
    }

    /// The limit that a user would exceed with this. What makes less of anything is never too much.
    fn excess(&self, user: u32, before: Share, after: Share) -> Option<Limit> {
        let exceeds = |before, after, maximum| after > maximum && after > before;
        let Limits { variables, bytes } = self.allowance(user);
        // Who may hold all meets the limits of all.
        let is_exempt = self.exempt.contains(&user);
        if !is_exempt && exceeds(before.variables, after.variables, variables) {
            Some(Limit::Variables(variables))
        } else if !is_exempt && exceeds(before.bytes, after.bytes, bytes) {
            Some(Limit::Bytes(bytes))
        } else {
            exceeds(before.processes, after.processes, USER_PROCESSES_MAX)
                .then_some(Limit::Processes(USER_PROCESSES_MAX))
        }
    }

    fn add(&mut self, holding: Holding) {
        let share = self.users.entry(holding.setter).or_default();
        share.variables += 1;
        share.bytes += holding.bytes;
        if let Some(process) = holding.process {
            let variables = self.processes.entry((holding.setter, process)).or_default();
            *variables += 1;
            share.processes += u64::from(*variables == 1);
        }
    }

    fn remove(&mut self, holding: Holding) {
        let share = self.users.get_mut(&holding.setter).expect("it was added");
        share.variables -= 1;
        share.bytes -= holding.bytes;
        if let Some(process) = holding.process {
            let place = (holding.setter, process);
            let variables = self.processes.get_mut(&place).expect("it was added");
            *variables -= 1;
            if *variables == 0 {
                self.processes.remove(&place);
                share.processes -= 1;
            }
        }
        if share.variables == 0 {
            self.users.remove(&holding.setter);
        }
    }
}
