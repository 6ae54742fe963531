//! One watcher: a filter, and how far it has seen.
//!
//! There is no queue. A watcher that is up to date and takes what it is sent is handed each change
//! as it happens. One that does not is behind: it costs nothing then but a counter, and when it
//! takes something again it walks along the store's history, from its position to the present,
//! where each variable stands once, at its last change. So it misses values that newer ones
//! replaced, and is told how many, but never the last one. Variables that come and go while it walks
//! it is not told of at all; so it gets to the end also if there are very many.

mod sift;

use self::sift::Sift;
use super::entry::{Fields, write_event};
use super::failure::REPLY_MAX;
use super::store::{Key, Past, Position, Store, Walker, What, text};
use crate::map::Revision;
use crate::wire::pattern::Patterns;
use crate::wire::reply::{Object, Reply};

/// Most steps through the history in one turn, for one watcher. A change of many variables goes beyond
/// that. So few in tests that a walk takes many turns.
const STEPS_MAX: usize = if cfg!(test) { 3 } else { 1024 };

/// The same in the steps of [`Patterns::cost`]: patterns can cost much more than a step. A change that
/// takes more than that by itself is compared in several turns.
pub(super) const WORK_MAX: usize = 100_000;
/// The same for counting how much of a change of many variables somebody watches: that it does in
/// one go, up to a millisecond.
const COUNT_MAX: usize = 4 * WORK_MAX;
/// What a step costs beside the patterns.
pub(super) const STEP: usize = 16;

/// Changes that are passed by in the time of a step, because their variables have changed again. So
/// many that nobody can set and delete variables faster than that.
const STALE: usize = 64;

/// Most looks, in one turn, for the keys that a watcher watches, if that may save it a walk along
/// the changes of all others. So few in tests that there are too many keys.
const LOOKS_MAX: usize = if cfg!(test) { 6 } else { 4096 };

/// A reply ends with the change that makes it larger than this, in bytes.
const REPLY: usize = 64 << 10;

/// A watcher.
#[derive(Debug)]
pub(crate) struct Watch {
    patterns: Patterns,
    fields: Fields,
    /// Everything up to here was told. Only kept while it is behind.
    position: Position,
    /// What keeps what it needs from being forgotten, after its first turn of several.
    walker: Option<Walker>,
    /// What comes next, if it has compared only a part of that.
    sift: Option<Sift>,
    is_up_to_date: bool,
    /// The revision that it was told last.
    heard: Revision,
    /// Whether it is to be told how far it is, though nothing has happened that it watches.
    is_to_remind: bool,
    /// Whether it watches too many keys to look for each.
    is_wide: bool,
    /// Whether it took all that it was sent.
    has_room: bool,
    /// What was deleted up to here it never heard of, so that needs no telling.
    start: Revision,
    /// An earlier watch, in whose place it is, may have been told a part of the change with this
    /// revision.
    begun: Revision,
    /// Changes after this one are counted when they are told.
    counted_from: Revision,
    /// How many it has matched since it was last up to date, and how many of these it was told.
    missed: u64,
    told: u64,
    /// Whether these counters tell all: not for a watch that was resumed.
    is_counted: bool,
    /// Whether they do not go on before it is up to date.
    is_lazy: bool,
    /// Whether a change happened of which it has not counted how much it watches.
    is_to_count: bool,
    is_first: bool,
    is_reset: bool,
    /// Whether the last reply said that it is up to date.
    was_up_to_date: bool,
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Begin {
    /// With what changes from now on.
    Now,
    /// With the present state.
    Initial,
    /// With what changed after this revision.
    After(Revision),
    /// With the present state, because what changed is not known.
    Reset,
}

/// What a change is to a watcher.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    /// To be told at once.
    Tell,
    /// Counted; it is behind.
    Missed,
}

impl Watch {
    pub(crate) fn new(patterns: Patterns, fields: Fields, begin: Begin, now: Revision) -> Self {
        let after = match begin {
            Begin::Now => now,
            Begin::After(revision) => revision,
            Begin::Initial | Begin::Reset => Revision::default(),
        };
        Watch {
            patterns,
            fields,
            position: (after, None),
            walker: None,
            sift: None,
            is_up_to_date: false,
            heard: Revision::default(),
            is_to_remind: false,
            is_wide: false,
            has_room: false,
            start: if matches!(begin, Begin::After(_)) {
                after
            } else {
                now
            },
            begun: match begin {
                Begin::After(revision) => Revision(revision.0.saturating_add(1)),
                _ => Revision::default(),
            },
            counted_from: now,
            missed: 0,
            told: 0,
            is_counted: !matches!(begin, Begin::After(_) | Begin::Reset),
            is_lazy: false,
            is_to_count: false,
            is_first: true,
            was_up_to_date: false,
            is_reset: matches!(begin, Begin::Reset),
        }
    }

    pub(crate) fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    pub(crate) fn fields(&self) -> Fields {
        self.fields
    }

    /// A variable that it watches was changed.
    pub(crate) fn hit(&mut self, revision: Revision) -> Hit {
        if self.is_up_to_date && self.has_room {
            self.heard = revision;
            return Hit::Tell;
        }
        if self.is_up_to_date {
            self.stop_at(Revision(revision.0 - 1));
        }
        self.missed += 1;
        Hit::Missed
    }

    /// Whether it is worth telling it how far it is, and is to be done in its turn: a client that comes
    /// back goes on with what it was told.
    pub(crate) fn remind(&mut self, now: Revision) -> bool {
        self.is_to_remind = self.is_up_to_date && self.has_room && self.heard < now;
        self.is_to_remind
    }

    /// Whether changes need not be compared with its patterns: it comes to them later, and does not
    /// count them.
    pub(crate) fn is_indifferent(&self) -> bool {
        !self.is_up_to_date && self.is_lazy
    }

    /// Something was changed after the revision `before`, and it would take too long to find out now
    /// whether it watches that: it does in its turn, and cannot know how much it missed until then.
    pub(crate) fn stop_counting(&mut self, store: &Store, before: Revision) {
        self.lag(store, before);
        (self.is_counted, self.is_lazy) = (false, true);
    }

    /// Many variables were changed after the revision `before`, perhaps some that it watches: it
    /// counts and tells them in its turn. False if it was told of this change already.
    pub(crate) fn fall_behind(&mut self, store: &Store, before: Revision) -> bool {
        self.lag(store, before);
        !std::mem::replace(&mut self.is_to_count, true)
    }

    /// The change after the revision `before`, in which it watches so many variables, is too large to
    /// be told at once: it is told in its turns.
    pub(crate) fn put_off(&mut self, store: &Store, before: Revision, count: usize) {
        self.lag(store, before);
        self.missed += count as u64;
    }

    /// It is behind from this revision on, if it was not before.
    fn lag(&mut self, store: &Store, before: Revision) {
        if self.is_up_to_date {
            self.stop_at(before);
            // It goes on as soon as it can; until then the change must not be forgotten.
            self.walker = self
                .has_room
                .then(|| store.walker([self.seen(), self.told_to()]));
        }
    }

    /// Whether it is to [`Self::count`].
    pub(crate) fn is_to_count(&self) -> bool {
        self.is_to_count
    }

    /// Counts how many of the variables that were changed it watches. False if that would take too
    /// long: then it does not know how much it has missed.
    pub(crate) fn count(&mut self, keys: &[Key]) -> bool {
        self.is_to_count = false;
        self.is_counted &= keys.len() * (STEP + self.patterns.cost()) <= COUNT_MAX;
        if self.is_counted {
            let matching = keys.iter().filter(|key| self.patterns.matches(text(key)));
            self.missed += matching.count() as u64;
        }
        self.is_counted
    }

    fn stop_at(&mut self, revision: Revision) {
        self.is_up_to_date = false;
        self.counted_from = revision;
        self.position = (revision, None);
    }

    /// It did not take all that it was sent.
    pub(crate) fn is_stuck(&mut self) {
        self.has_room = false;
    }

    /// Whether it has nothing to walk along.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.is_up_to_date
    }

    /// It takes something again: one reply with what it missed, or a part of that. Returns how many
    /// changes it now knows to have been left out.
    pub(crate) fn catch_up(&mut self, store: &Store, out: &mut Vec<u8>) -> u64 {
        self.has_room = true;
        let is_to_remind = std::mem::take(&mut self.is_to_remind);
        if self.is_up_to_date && !self.is_first {
            if is_to_remind {
                self.heard = store.revision();
                write_progress(self.heard, out);
            }
            return 0;
        }
        let lost = match self.walker {
            Some(_) => store.lost(),
            None => store.forgotten(),
        };
        if lost > self.seen() {
            self.begin_anew(store.revision());
        }
        let start = out.len();
        let mut reply = Reply::new(&mut *out).parameters();
        let events = self.tell(store, &mut reply, start);
        self.walker = (!self.is_up_to_date).then(|| store.walker([self.seen(), self.told_to()]));
        reply.count("revision", self.position.0.0);
        if self.is_first {
            reply.string("instance", store.instance());
        }
        if self.is_reset {
            reply.bool("reset", true);
        }
        let mut skipped = 0;
        if self.is_up_to_date {
            reply.bool("upToDate", true);
            skipped = self.missed.saturating_sub(self.told);
            if skipped > 0 && self.is_counted {
                reply.count("skipped", skipped);
            }
            (self.missed, self.told, self.is_counted) = (0, 0, true);
            (self.is_wide, self.is_lazy) = (false, false);
            self.sift = None;
        }
        reply.continues();
        drop(reply);
        let is_news = self.is_up_to_date && (!self.was_up_to_date || skipped > 0);
        let says_something = events > 0 || self.is_first || self.is_reset || is_news;
        match says_something {
            true => (self.was_up_to_date, self.heard) = (self.is_up_to_date, self.position.0),
            false => out.truncate(start),
        }
        (self.is_first, self.is_reset) = (false, false);
        skipped
    }

    /// What it needs was forgotten: it is told the whole present state, and nothing of what was
    /// deleted up to this revision.
    fn begin_anew(&mut self, now: Revision) {
        // What it is told again it was told already, so that counts for nothing.
        self.counted_from = self.counted_from.max(self.position.0);
        (self.position, self.walker) = ((Revision::default(), None), None);
        (self.start, self.is_reset) = (now, true);
    }

    /// Up to here it knows of everything that was deleted.
    fn seen(&self) -> Revision {
        self.position.0.max(self.start)
    }

    /// Up to here it may have been told of variables: it can be in the middle of a change.
    fn told_to(&self) -> Revision {
        let part = match self.position {
            (behind, Some(_)) => Revision(behind.0 + 1),
            (_, None) => self.begun,
        };
        self.seen().max(part)
    }

    /// Writes what comes next, and says how many events that were.
    fn tell(&mut self, store: &Store, reply: &mut Object<'_>, start: usize) -> usize {
        let steps_max = (WORK_MAX / (STEP + self.patterns.cost())).clamp(1, STEPS_MAX);
        let position = self.position.clone();
        let is_far = store.revision().0 - position.0.0 > steps_max as u64;
        if is_far && !self.is_wide {
            let ranges = self.patterns.ranges();
            match store.few_after(&position, self.start, ranges, LOOKS_MAX) {
                Some(few) => return self.walk(few.into_iter(), steps_max, store, reply, start),
                None => self.is_wide = true,
            }
        }
        self.walk(store.after(&position), steps_max, store, reply, start)
    }

    /// Goes along a part of the history, writes what matches, and says how many events that were.
    /// Ends between two changes, unless one alone is larger than a reply can be.
    fn walk<'s>(
        &mut self,
        history: impl Iterator<Item = Past<'s>>,
        steps_max: usize,
        store: &Store,
        reply: &mut Object<'_>,
        start: usize,
    ) -> usize {
        let mut events = reply.array("events");
        let (mut steps, mut stale, mut written) = (0, 0, 0);
        let mut told: Option<Revision> = None;
        let mut is_over = true;
        let told_to = self.told_to();
        let mut history = history.peekable();
        let mut change = Vec::new();
        while let Some(revision) = history.peek().map(|past| past.revision) {
            if steps >= steps_max || events.len() - start > REPLY {
                is_over = false;
                break;
            }
            change.clear();
            while let Some(past) = history.next_if(|past| past.revision == revision) {
                match past.what {
                    What::Stale => stale += 1,
                    // Costs next to nothing, and there are only so many tombstones.
                    _ if self.never_knew(&past, told_to) => {}
                    _ => change.push(past),
                }
            }
            steps += change.len() + stale / STALE;
            stale %= STALE;
            let Some(watched) = self.watched(&change, steps_max) else {
                is_over = false;
                break;
            };
            let mut last: Option<&Past<'_>> = None;
            for past in watched {
                if let Some(last) = last
                    && events.len() - start > REPLY_MAX
                {
                    self.position = (Revision(revision.0 - 1), Some(Key::from(&*last.key)));
                    return written;
                }
                last = Some(past);
                write_event(&mut events.object(), past, self.fields);
                written += 1;
                self.told += u64::from(revision > self.counted_from);
            }
            told = Some(revision);
        }
        self.is_up_to_date = is_over;
        let up_to = match is_over {
            true => Some(store.revision()),
            false => told,
        };
        if let Some(revision) = up_to {
            self.position = (revision, None);
        }
        written
    }

    /// Those variables of a change that it watches; `None` if finding out takes another turn.
    fn watched<'p, 's>(
        &mut self,
        change: &'p [Past<'s>],
        steps_max: usize,
    ) -> Option<Vec<&'p Past<'s>>> {
        let Some(first) = change.first() else {
            return Some(Vec::new());
        };
        let sift = self.sift.take();
        let sift = sift.filter(|sift| sift.is_of(first.revision));
        let is_short = change.len() * (STEP + self.patterns.cost()) <= WORK_MAX;
        if sift.is_none() && (is_short || change.len() == 1) {
            let matches = |past: &&Past<'_>| self.patterns.matches(past.key_text());
            return Some(change.iter().filter(matches).collect());
        }
        let mut sift = sift.unwrap_or_else(|| Sift::new(first.revision));
        let rest = sift.rest(change);
        let next = &rest[..rest.len().min(steps_max)];
        sift.compare(next, &self.patterns);
        if next.len() < rest.len() {
            self.sift = Some(sift);
            return None;
        }
        Some(change.iter().filter(|past| sift.matches(past)).collect())
    }

    /// Whether this is gone, and it was never told that it was there: gone before it began, or come
    /// and gone since its last turn, by which it was told of variables up to `told_to`.
    fn never_knew(&self, past: &Past<'_>, told_to: Revision) -> bool {
        past.tombstone().is_some_and(|tombstone| {
            past.revision <= self.start || self.walker.is_some() && tombstone.born > told_to
        })
    }
}

/// A reply that tells only that everything up to a revision was told.
fn write_progress(revision: Revision, out: &mut Vec<u8>) {
    let mut reply = Reply::new(out).parameters();
    drop(reply.array("events"));
    reply.count("revision", revision.0);
    reply.bool("upToDate", true);
    reply.continues();
}
