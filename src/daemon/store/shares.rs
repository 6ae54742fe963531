//! How much of the store each user holds: what it was the last to set.
//!
//! Whoever sets a variable is charged for it, and whoever set it before is not any more: else one
//! could use up another's share. Numbers only; all of it follows from what the map holds.

use std::collections::BTreeMap;

use super::Limit;
use super::ledger::Holding;
use crate::map::Process;

/// Most processes that one user's variables can belong to. Each costs the service a descriptor.
pub(crate) const USER_PROCESSES_MAX: u64 = 1024;

/// What each user holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    users: BTreeMap<u32, Share>,
    /// How many variables of a user belong to a process.
    processes: BTreeMap<(u32, Process), u64>,
}

/// What a user holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// Different processes that its variables belong to.
    pub(crate) processes: u64,
}

impl Shares {
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
        match self.excess(before, self.of(user)) {
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
    fn excess(&self, before: Share, after: Share) -> Option<Limit> {
        let exceeds = |before, after, maximum| after > maximum && after > before;
        exceeds(before.processes, after.processes, USER_PROCESSES_MAX)
            .then_some(Limit::Processes(USER_PROCESSES_MAX))
    }

    fn add(&mut self, holding: Holding) {
        let Some(process) = holding.process else {
            return;
        };
        let variables = self.processes.entry((holding.setter, process)).or_default();
        *variables += 1;
        if *variables == 1 {
            self.users.entry(holding.setter).or_default().processes += 1;
        }
    }

    fn remove(&mut self, holding: Holding) {
        let Some(process) = holding.process else {
            return;
        };
        let place = (holding.setter, process);
        let variables = self.processes.get_mut(&place).expect("it was added");
        *variables -= 1;
        if *variables == 0 {
            self.processes.remove(&place);
            let share = self.users.get_mut(&holding.setter).expect("it was added");
            share.processes -= 1;
            if *share == Share::default() {
                self.users.remove(&holding.setter);
            }
        }
    }
}
