//! What is kept of the variables beside the map, so that it need not be looked for: which of them
//! expire.
//!
//! All of it follows from what the map holds. A [`Holding`] is what one variable contributes, and
//! every change of a variable replaces its old one by its new one; after a crash all are added up
//! again.

use super::Moment;
use super::deadlines::Deadlines;
use crate::map::{Entry, Id, Stamp};

/// What is kept beside the map.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) deadlines: Deadlines,
}

/// What one variable contributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holding {
    deadline: Option<Moment>,
}

impl Holding {
    /// Of a variable that is there.
    pub(super) fn of(entry: &Entry<'_>) -> Self {
        Self::new(&entry.stamp())
    }

    /// Of a variable that is to be there.
    pub(super) fn new(stamp: &Stamp) -> Self {
        Holding {
            deadline: stamp.deadline.map(Moment),
        }
    }
}

impl Ledger {
    /// Of all variables of a map.
    pub(super) fn of<'m>(variables: impl Iterator<Item = Entry<'m>>) -> Self {
        let mut ledger = Ledger::default();
        for entry in variables {
            ledger.replace(entry.id(), None, Some(Holding::of(&entry)));
        }
        ledger
    }

    /// A variable has changed: what it contributed, and what it contributes now.
    pub(super) fn replace(&mut self, id: Id, old: Option<Holding>, new: Option<Holding>) {
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
