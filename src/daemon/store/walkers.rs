//! Who is catching up, and what must not be forgotten meanwhile.
//!
//! A watcher that catches up walks along the history for many turns, and meanwhile others delete
//! variables, faster perhaps than it gets on. It must hear that a variable is gone if it was told
//! that it is there, and of no other. Let *at* be the revision up to which it knows everything; it
//! moves on at the end of a turn. Let a variable be *born* when its key was set and had no tombstone;
//! if it had one, then when that variable was born.
//!
//! - What is born after *at* it was not told of: all that it was told has a revision up to *at*.
//! - Of what is gone up to *at* it was told so, or was never told that it is there.
//! - So it needs the tombstones of what was born up to *at* and is gone after it, and of nothing
//!   else. All these variables were there at the revision *at*.
//!
//! A change that no reply can hold is told in several. Who was told a part of it has seen everything
//! up to *at*, and may have been told of what was born at the revision behind it. So it stands at both,
//! and needs what was there at either of them.
//!
//! Those the history keeps for each [`Walker`] when it drops others, and the others a walker leaves
//! out: what comes and goes after *at* takes neither its room nor its turns, however much that is.
//! Left before it are variables that are there, and the tombstones that it needs. So it comes to the
//! end, unless variables that stay for a while are changed faster than it can be told of them.
//!
//! Births are known only of what was created while somebody walked, and not of too many. All else
//! counts as born before everything: then more is kept and told than is needed.
//!
//! What is kept is bounded, see [`super::history`]. If it is too much, whoever is farthest behind is
//! left behind, and has to begin anew when its turn comes. Then all goes that was gone up to where
//! the next one is; of the rest, that one needs what was kept for the other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::key::Key;
use crate::map::Revision;

/// Most births that are known, some three MiB of them. So few in tests that there are more.
const BIRTHS_MAX: usize = if cfg!(test) { 4 } else { 1 << 16 };

/// How many stand at each revision.
type Places = Rc<RefCell<BTreeMap<Revision, usize>>>;

/// Everybody who catches up.
#[derive(Debug, Default)]
pub(super) struct Walkers {
    places: Places,
    /// Who stands before this revision was left behind.
    lost: Revision,
    /// When variables were born, of those created while somebody walked.
    births: BTreeMap<Key, Revision>,
}

/// Somebody who has seen everything up to a revision, and is to go on there. Dropping it says that
/// it does not.
#[derive(Debug)]
pub(crate) struct Walker {
    places: Places,
    /// Up to where it has seen everything, and may have been told something.
    at: [Revision; 2],
}

impl Walkers {
    /// Somebody has seen everything up to the first of these revisions, and may have been told
    /// something up to the second.
    pub(super) fn add(&self, at: [Revision; 2]) -> Walker {
        for at in at {
            *self.places.borrow_mut().entry(at).or_default() += 1;
        }
        Walker {
            places: Rc::clone(&self.places),
            at,
        }
    }

    /// Who stands before this revision has lost what was kept for it.
    pub(super) fn lost(&self) -> Revision {
        self.lost
    }

    /// Notes that a key was created that was born then.
    pub(super) fn note_birth(&mut self, key: &[u8], born: Revision) {
        if born > Revision::default() && !self.places.borrow().is_empty() {
            self.births.insert(key.into(), born);
            if self.births.len() > BIRTHS_MAX {
                self.births.pop_first();
            }
        }
    }

    /// When a key that is deleted now was born; 0 if that is not known.
    pub(super) fn take_birth(&mut self, key: &Key) -> Revision {
        self.births.remove(key).unwrap_or_default()
    }

    /// Whether somebody must hear of a variable that lived from one revision to the other.
    pub(super) fn need(&self, born: Revision, gone: Revision) -> bool {
        self.places.borrow().range(born..gone).next().is_some()
    }

    /// Whether nobody must hear of what was gone at this revision, or before it.
    pub(super) fn have_passed(&self, gone: Revision) -> bool {
        let places = self.places.borrow();
        places.first_key_value().is_none_or(|(at, _)| *at >= gone)
    }

    /// Leaves behind who is farthest behind.
    pub(super) fn leave_behind(&mut self) {
        if let Some((at, _)) = self.places.borrow_mut().pop_first() {
            self.lost = Revision(at.0 + 1);
        }
    }

    /// Gives memory back when nobody walks, in so many steps at most.
    pub(super) fn rest(&mut self, steps: usize) {
        if !self.births.is_empty() && self.places.borrow().is_empty() {
            (0..steps)
                .map_while(|_| self.births.pop_first())
                .for_each(drop);
        }
    }
}

impl Drop for Walker {
    fn drop(&mut self) {
        let mut places = self.places.borrow_mut();
        for at in self.at {
            // Not there any more: it was left behind.
            if let Some(count) = places.get_mut(&at) {
                *count -= 1;
                if *count == 0 {
                    places.remove(&at);
                }
            }
        }
    }
}
