//! Which variables belong to processes, and end with them.
//!
//! Private to the service. Knows processes by what the map says of them, and no descriptor: that one
//! has ended it is told, and who is not needed any more it tells.

use std::collections::{BTreeMap, BTreeSet};

use crate::map::{Id, Process};

/// The processes that variables belong to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Processes {
    variables: BTreeMap<Process, BTreeSet<Id>>,
    /// Those of them that have ended.
    ended: BTreeSet<Process>,
    /// Those to which nothing belongs any more, since they were asked for last.
    idle: Vec<Process>,
}

impl Processes {
    /// A variable belongs to a process.
    pub(super) fn add(&mut self, process: Process, id: Id) {
        self.variables.entry(process).or_default().insert(id);
    }

    /// It does not any more, or is gone.
    pub(super) fn remove(&mut self, process: Process, id: Id) {
        let Some(variables) = self.variables.get_mut(&process) else {
            return;
        };
        variables.remove(&id);
        if variables.is_empty() {
            self.variables.remove(&process);
            self.ended.remove(&process);
            self.idle.push(process);
        }
    }

    /// A process has ended.
    pub(super) fn end(&mut self, process: Process) {
        if self.variables.contains_key(&process) {
            self.ended.insert(process);
        }
    }

    /// Whether something belongs to a process.
    pub(super) fn has(&self, process: Process) -> bool {
        self.variables.contains_key(&process)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Process> {
        self.variables.keys().copied()
    }

    /// Whether variables are left of a process that has ended.
    pub(super) fn is_due(&self) -> bool {
        !self.ended.is_empty()
    }

    /// The variables of processes that have ended.
    pub(super) fn due(&self) -> impl Iterator<Item = Id> {
        let variables = |process| self.variables.get(process).into_iter().flatten();
        self.ended.iter().flat_map(variables).copied()
    }

    /// The processes to which nothing belongs any more.
    pub(super) fn take_idle(&mut self) -> Vec<Process> {
        let mut idle = std::mem::take(&mut self.idle);
        idle.retain(|process| !self.has(*process));
        idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::store::tests::ids;

    #[test]
    fn variables_are_due_when_their_process_has_ended_and_only_then() {
        let mut processes = Processes::default();
        let [a, b, c] = ids();
        let [one, two] = [7, 8].map(|pid| Process { pid, inode: 1 });
        for (process, id) in [(one, a), (two, b), (two, c)] {
            processes.add(process, id);
        }
        assert!(!processes.is_due());
        processes.end(two);
        processes.end(Process { pid: 9, inode: 1 });
        assert_eq!(processes.due().collect::<Vec<_>>(), [b, c]);
        for id in [b, c] {
            assert!(processes.is_due());
            processes.remove(two, id);
        }
        assert!(!processes.is_due());
        assert_eq!(processes.take_idle(), [two]);
        assert_eq!(processes.take_idle(), []);
        assert_eq!(processes.all().collect::<Vec<_>>(), [one]);
    }

    #[test]
    fn who_is_needed_again_is_not_idle() {
        let mut processes = Processes::default();
        let [a, ..] = ids();
        let one = Process { pid: 7, inode: 1 };
        processes.add(one, a);
        processes.remove(one, a);
        processes.add(one, a);
        assert_eq!(processes.take_idle(), []);
    }
}
