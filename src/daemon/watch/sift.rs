//! Which variables of one change somebody watches.
//!
//! A reply holds whole changes, and a change may be of thousands of variables: with patterns that take
//! long, to compare all of them takes many turns. What was found in these is remembered, eight bytes
//! for each variable that matches; nothing is told before the end.

use std::collections::HashSet;
use std::hash::BuildHasher;

use super::super::store::Past;
use crate::map::{Bytes, Revision};
use crate::wire::pattern::Patterns;

/// A change of which the beginning was compared.
#[derive(Debug)]
pub(super) struct Sift {
    revision: Revision,
    /// Everything up to this key was compared.
    behind: Bytes,
    /// Digests of the keys that match. Nobody can foresee them, and so make two alike.
    matching: HashSet<u64>,
}

impl Sift {
    /// A change of which nothing was compared.
    pub(super) fn new(revision: Revision) -> Self {
        let (behind, matching) = (Bytes::from(&[][..]), HashSet::new());
        Sift {
            revision,
            behind,
            matching,
        }
    }

    /// Whether it is about the change with this revision.
    pub(super) fn is_of(&self, revision: Revision) -> bool {
        self.revision == revision
    }

    /// Those variables of the change that were not compared. What was may have changed again since,
    /// and then belongs to another change.
    pub(super) fn rest<'p, 's>(&self, change: &'p [Past<'s>]) -> &'p [Past<'s>] {
        &change[change.partition_point(|past| *past.key <= *self.behind)..]
    }

    /// Compares these, which come next.
    pub(super) fn compare(&mut self, next: &[Past<'_>], patterns: &Patterns) {
        for past in next.iter().filter(|past| patterns.matches(past.key_text())) {
            self.matching.insert(self.digest(past));
        }
        if let Some(last) = next.last() {
            self.behind = last.key.clone();
        }
    }

    /// Whether a variable that was compared matches.
    pub(super) fn matches(&self, past: &Past<'_>) -> bool {
        self.matching.contains(&self.digest(past))
    }

    fn digest(&self, past: &Past<'_>) -> u64 {
        self.matching.hasher().hash_one(&*past.key)
    }
}
