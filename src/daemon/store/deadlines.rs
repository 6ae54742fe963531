//! Which variables expire, and when: what the map says of each, in the order of time.
//!
//! Private to the service, 16 bytes for each variable that has a deadline, and nothing for the
//! others. Knows no clock: whoever asks says what time it is.

use std::collections::BTreeSet;

use super::Moment;
use crate::map::Id;

/// The variables that expire.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deadlines {
    queue: BTreeSet<(Moment, Id)>,
}

impl Deadlines {
    /// A variable expires then.
    pub(super) fn add(&mut self, deadline: Moment, id: Id) {
        self.queue.insert((deadline, id));
    }

    /// It does not any more, or is gone.
    pub(super) fn remove(&mut self, deadline: Moment, id: Id) {
        self.queue.remove(&(deadline, id));
    }

    /// When the next one expires.
    pub(super) fn next(&self) -> Option<Moment> {
        self.queue.first().map(|(deadline, _)| *deadline)
    }

    /// Those that have expired by now, the earliest first.
    pub(super) fn due(&self, now: Moment) -> impl Iterator<Item = Id> {
        let is_due = move |(deadline, _): &&(Moment, Id)| *deadline <= now;
        self.queue.iter().take_while(is_due).map(|(_, id)| *id)
    }
}

impl FromIterator<(Moment, Id)> for Deadlines {
    fn from_iter<I: IntoIterator<Item = (Moment, Id)>>(deadlines: I) -> Self {
        let queue = deadlines.into_iter().collect();
        Deadlines { queue }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::store::tests::ids;

    #[test]
    fn the_earliest_come_first_and_only_when_it_is_time() {
        let mut deadlines = Deadlines::default();
        let [a, b, c] = ids();
        for (deadline, id) in [(30, a), (10, b), (20, c)] {
            deadlines.add(Moment(deadline), id);
        }
        assert_eq!(deadlines.next(), Some(Moment(10)));
        assert_eq!(deadlines.due(Moment(9)).count(), 0);
        assert_eq!(deadlines.due(Moment(20)).collect::<Vec<_>>(), [b, c]);
        deadlines.remove(Moment(10), b);
        assert_eq!(deadlines.next(), Some(Moment(20)));
    }
}
