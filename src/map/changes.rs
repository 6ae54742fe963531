//! The variables in the order of their last change: a log of which was changed at which revision.
//!
//! Each change adds an entry of 8 bytes at the end; nothing is looked up. So an entry becomes
//! *stale* when its variable changes again, which is found out by comparing. When too many may be
//! stale, a sweep goes through the log from its beginning, piece by piece between other changes,
//! and moves what is left together. Private to the writer.

use std::collections::VecDeque;

use super::Revision;
use super::block::Id;

/// Entries in a piece: 4 KiB of them.
const PIECE: usize = 512;

/// Entries that may be stale, beside half as many as there are variables.
const STALE_MAX: usize = if cfg!(test) { PIECE } else { 4096 };

/// A piece is swept after so many changes: a quarter of its entries, so that a sweep, which may
/// have to read each entry twice as long as the log grows, comes to an end.
const SWEEP_EVERY: u32 = PIECE as u32 / 4;

/// Entries in a row, by how much later they were than the first.
struct Piece {
    first: Revision,
    entries: Vec<(u32, Id)>,
}

/// A sweep that is under way: the pieces in between are empty.
#[derive(Clone, Copy, Default)]
struct Sweep {
    /// How many pieces are swept.
    done: usize,
    /// The piece that is next.
    next: usize,
}

/// The log of changes.
#[derive(Default)]
pub(super) struct Changes {
    pieces: VecDeque<Piece>,
    len: usize,
    sweep: Option<Sweep>,
    since_step: u32,
}

impl Changes {
    /// A variable has changed. Revisions never go back.
    pub(super) fn push(&mut self, revision: Revision, id: Id) {
        self.len += 1;
        let last = self.pieces.back_mut();
        if last.is_none_or(|piece| !piece.push(revision, id)) {
            let mut piece = Piece {
                first: revision,
                entries: Vec::with_capacity(PIECE),
            };
            piece.push(revision, id);
            self.pieces.push_back(piece);
        }
    }

    /// Sweeps a piece, if it is time; `is_current` tells what is not stale, and `live` how many
    /// entries are not. To be called after each change.
    pub(super) fn tidy(&mut self, live: u64, is_current: impl Fn(Revision, Id) -> bool) {
        self.since_step += 1;
        if self.since_step < SWEEP_EVERY {
            return;
        }
        self.since_step = 0;
        let live = live as usize;
        if self.sweep.is_none() && self.len > live + live / 2 + STALE_MAX {
            self.sweep = Some(Sweep::default());
        }
        if let Some(sweep) = self.sweep.take() {
            self.sweep = self.step(sweep, is_current);
        }
    }

    /// The variable that was changed at this revision, which is the last, if it was one alone. What
    /// cannot be told at a glance is `None` as well.
    pub(super) fn only(&self, revision: Revision) -> Option<Id> {
        let piece = self.pieces.back()?;
        let since = u32::try_from(revision.0.checked_sub(piece.first.0)?).ok()?;
        match piece.entries[..] {
            [.., (before, _), (last, id)] if before < since && last == since => Some(id),
            _ => None,
        }
    }

    /// All entries after a revision, in order, stale ones among them.
    pub(super) fn after(&self, revision: Revision) -> impl Iterator<Item = (Revision, Id)> {
        let begins_before = |piece: &Piece| piece.first <= revision;
        let (mut low, mut high) = match self.sweep {
            None => (0, self.pieces.len()),
            Some(sweep) if begins_before(&self.pieces[sweep.next]) => {
                (sweep.next, self.pieces.len())
            }
            Some(sweep) => (0, sweep.done),
        };
        while low < high {
            let middle = (low + high) / 2;
            match begins_before(&self.pieces[middle]) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        // It may be in the piece before the first that begins later.
        let behind = self.pieces.range(low..).flat_map(|piece| piece.from(0));
        let within = low.checked_sub(1).map(|at| &self.pieces[at]);
        let within = within.into_iter().flat_map(move |piece| {
            let (first, entries) = (piece.first, &piece.entries);
            piece.from(
                entries.partition_point(|(since, _)| first.0 + u64::from(*since) <= revision.0),
            )
        });
        within.chain(behind)
    }

    fn step(&mut self, sweep: Sweep, is_current: impl Fn(Revision, Id) -> bool) -> Option<Sweep> {
        let Sweep { mut done, next } = sweep;
        let piece = &mut self.pieces[next];
        let first = piece.first;
        let mut entries = std::mem::take(&mut piece.entries);
        let before = entries.len();
        entries.retain(|(since, id)| is_current(Revision(first.0 + u64::from(*since)), *id));
        self.len -= before - entries.len();
        let mut piece = Piece { first, entries };
        if done > 0 {
            self.pieces[done - 1].join(&mut piece);
        }
        if !piece.entries.is_empty() {
            piece.entries.shrink_to_fit();
            self.pieces[done] = piece;
            done += 1;
        }
        if next + 1 == self.pieces.len() {
            self.pieces.truncate(done);
            return None;
        }
        Some(Sweep {
            done,
            next: next + 1,
        })
    }
}

impl Piece {
    /// Adds an entry; false if it must go to a new piece.
    fn push(&mut self, revision: Revision, id: Id) -> bool {
        let since = u32::try_from(revision.0 - self.first.0);
        match since {
            Ok(since) if self.entries.len() < PIECE => {
                self.entries.push((since, id));
                true
            }
            _ => false,
        }
    }

    /// Takes over the entries of the piece behind it, if all have room.
    fn join(&mut self, behind: &mut Piece) {
        let last = behind.from(0).last();
        let fits = last.is_none_or(|(last, _)| u32::try_from(last.0 - self.first.0).is_ok());
        if fits && self.entries.len() + behind.entries.len() <= PIECE {
            for (revision, id) in behind.from(0) {
                self.push(revision, id);
            }
            behind.entries.clear();
        }
    }

    /// The entries, without so many at the beginning.
    fn from(&self, count: usize) -> impl Iterator<Item = (Revision, Id)> {
        let revision = |since: u32| Revision(self.first.0 + u64::from(since));
        self.entries[count..]
            .iter()
            .map(move |(since, id)| (revision(*since), *id))
    }
}
