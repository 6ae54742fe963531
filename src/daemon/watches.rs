//! Who must hear of a change.
//!
//! Every caller of Watch and Wait is found by the keys it asks for, or by the literal beginnings of
//! its patterns: a change costs as many steps as it has listeners, however many there are in all.
//! What they are to be sent goes into an outbox; nothing here knows a socket.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::rc::Rc;

use super::contract::Delivery;
use super::entry::{Fields, write_event, write_value};
use super::failure::REPLY_MAX;
use super::store::{Condition, Key, Past, Store, TOMBSTONES_MAX, Variable};
use super::table::Token;
use super::watch::{Hit, STEP, WORK_MAX, Watch};
use crate::map::Revision;
use crate::wire::reply::Reply;

/// Most events of one change of many variables that are told at once, to all watchers together.
/// Beyond that each is visited once, and walks along the history when it is its turn.
/// So few in tests that there are more.
const EVENTS_MAX: usize = if cfg!(test) { 10 } else { 4096 };

/// Patterns of up to so many steps, see [`Patterns::cost`], are compared with each change at once,
/// however many watchers there are: those that people write.
///
/// [`Patterns::cost`]: crate::wire::pattern::Patterns::cost
const CHEAP: usize = 64;

/// So many bytes of the memory in which replies are written are kept: most events are shorter.
const DRAFT: usize = 4 << 10;

/// Everybody who listens.
#[derive(Default)]
pub(crate) struct Watches {
    listeners: BTreeMap<Token, Listener>,
    index: Index,
    reminders: Reminders,
    outbox: Vec<Delivery>,
    /// Memory for what is found and written at each change.
    found: Vec<Token>,
    draft: Vec<u8>,
    watches: u64,
    skipped: u64,
    /// The last change that was too large to be told at once.
    large: Option<Large>,
    /// How many times a listener was looked at because of a change.
    #[cfg(test)]
    steps: usize,
    /// How many steps of patterns that took.
    #[cfg(test)]
    work: usize,
}

/// How many more steps may be spent on patterns that take long, because of one change. Beyond that
/// watchers fall behind, and compare in their turns.
struct Effort {
    left: usize,
    /// The revision before the change.
    before: Revision,
}

impl Effort {
    fn new(before: Revision) -> Self {
        let left = WORK_MAX;
        Effort { left, before }
    }

    /// Whether patterns of that cost are to be compared now.
    fn allows(&mut self, cost: usize) -> bool {
        if cost <= CHEAP {
            return true;
        }
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

/// A change of many variables, as long as not all have counted how many of them they watch. There is
/// one at most.
///
/// Whoever has its turn counts first. For those who take nothing, whoever wants to make the next such
/// change counts before, see [`Watches::count_on`]: nobody waits for them longer than that takes, and
/// nothing is kept for each of them.
struct Large {
    keys: Vec<Key>,
    /// Those who had not counted when it happened.
    who: Vec<Token>,
    /// How many of them still have not, and are there.
    left: usize,
}

/// Who is told next how far it is.
#[derive(Default)]
struct Reminders {
    /// The listener behind which it goes on; at the end, with the first.
    last: Option<Token>,
    /// What had been deleted when that was looked at last.
    buried: u64,
    /// What of that was for less than one listener.
    rest: u64,
}

impl Reminders {
    /// How many of so many listeners have their turn, now that so much was deleted.
    fn due(&mut self, buried: u64, listeners: usize) -> usize {
        const ROUND: u64 = TOMBSTONES_MAX as u64 / 2;
        let since = buried - std::mem::replace(&mut self.buried, buried);
        // One more than there are: the end of a round is a turn.
        let turns = since * (listeners as u64 + 1) + self.rest;
        self.rest = turns % ROUND;
        (turns / ROUND) as usize
    }
}

enum Listener {
    Watch(Watch),
    Wait(Wait),
}

/// A caller that waits for a variable to be as it wants.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) key: String,
    pub(crate) condition: Condition<'static>,
    /// The revision that it must not have.
    pub(crate) changed_from: Option<i64>,
}

impl Wait {
    /// How many bytes of memory it keeps, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.key.len() + self.condition.memory()
    }

    /// Whether the variable is as wanted.
    pub(crate) fn is_over(&self, variable: Option<Variable<'_>>) -> bool {
        let revision = variable.map_or(0, |variable| variable.revision().0);
        let has_changed = |from: i64| u64::try_from(from) != Ok(revision);
        self.condition.holds(variable) && self.changed_from.is_none_or(has_changed)
    }
}

impl Watches {
    /// Whether nobody listens.
    pub(crate) fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    /// How many watches are active.
    pub(crate) fn count(&self) -> u64 {
        self.watches
    }

    /// How many changes watchers have missed.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// From now on `who` hears of what it watches.
    pub(crate) fn watch(&mut self, who: Token, watch: Watch) {
        self.leave(who);
        for range in watch.patterns().ranges() {
            self.index.add(range.start(), range.is_key(), who);
        }
        self.watches += 1;
        self.listeners.insert(who, Listener::Watch(watch));
    }

    /// From now on `who` waits.
    pub(crate) fn wait(&mut self, who: Token, wait: Wait) {
        self.leave(who);
        self.index.add(&wait.key, true, who);
        self.listeners.insert(who, Listener::Wait(wait));
    }

    /// `who` hears of nothing any more. If it has waited, the key that it has waited for.
    pub(crate) fn leave(&mut self, who: Token) -> Option<String> {
        match self.listeners.remove(&who)? {
            Listener::Wait(wait) => {
                self.index.remove(&wait.key, true, who);
                Some(wait.key)
            }
            Listener::Watch(watch) => {
                if watch.is_to_count() {
                    self.one_has_counted();
                }
                for range in watch.patterns().ranges() {
                    self.index.remove(range.start(), range.is_key(), who);
                }
                self.watches -= 1;
                None
            }
        }
    }

    /// `who` did not take all that it was sent.
    pub(crate) fn is_stuck(&mut self, who: Token) {
        if let Some(Listener::Watch(watch)) = self.listeners.get_mut(&who) {
            watch.is_stuck();
        }
    }

    /// `who` takes something again. Writes what it missed, and says whether that was all.
    pub(crate) fn catch_up(&mut self, who: Token, store: &Store, out: &mut Vec<u8>) -> bool {
        self.let_count(who);
        let Some(Listener::Watch(watch)) = self.listeners.get_mut(&who) else {
            return true;
        };
        self.skipped += watch.catch_up(store, out);
        watch.is_up_to_date()
    }

    /// The store was changed, and this is the new revision: whoever must hear of it does.
    pub(crate) fn notify(&mut self, store: &Store, revision: Revision) {
        self.tell(store, revision);
        self.remind(store);
    }

    /// Wakes some of those who have heard nothing for long, to be told how far they are: as long as a
    /// connection lasts, nothing is forgotten that its watcher would be asked about if it came back.
    /// So each has its turn once while half as much is deleted as is remembered.
    fn remind(&mut self, store: &Store) {
        let count = self.reminders.due(store.buried(), self.listeners.len());
        let first = match self.reminders.last {
            Some(last) => Bound::Excluded(last),
            None => Bound::Unbounded,
        };
        let mut last = None;
        for (who, listener) in self
            .listeners
            .range_mut((first, Bound::Unbounded))
            .take(count)
        {
            last = Some(*who);
            if let Listener::Watch(watch) = listener
                && watch.remind(store.revision())
            {
                self.outbox.push(Delivery::Wake(*who));
            }
        }
        if count > 0 {
            self.reminders.last = last;
        }
    }

    fn tell(&mut self, store: &Store, revision: Revision) {
        let before = Revision(revision.0 - 1);
        if let Some(past) = store.last_set() {
            return self.tell_one(store, before, &past);
        }
        let changed: Vec<Past<'_>> = store.after(&(before, None)).collect();
        if let [past] = &changed[..] {
            return self.tell_one(store, before, past);
        }
        let mut hits: Vec<(Token, &Past<'_>)> = Vec::new();
        for past in &changed {
            let key = past.key_text();
            self.index.find(key, |who| hits.push((who, past)));
            if hits.len() > EVENTS_MAX {
                return self.wake_all(store, before, &changed);
            }
        }
        self.tell_many(store, before, &hits);
    }

    /// More events than are told at once: everybody who may have to hear of them is woken to walk
    /// along the history when it is its turn. That takes as many steps as there are variables and
    /// listeners, not for each of the ones all of the others.
    fn wake_all(&mut self, store: &Store, before: Revision, changed: &[Past<'_>]) {
        while self.count_on(usize::MAX) {}
        let mut concerned = Vec::new();
        let mut effort = Effort::new(before);
        for (who, past) in self.index.find_all(changed) {
            match self.listeners.get(&who) {
                // Judged now: it waits for one variable, which may be another in its turn.
                Some(Listener::Wait(_)) => drop(self.hit(who, past, store, &mut effort)),
                _ => concerned.push(who),
            }
        }
        concerned.retain(|who| match self.listeners.get_mut(who) {
            Some(Listener::Watch(watch)) => watch.fall_behind(store, before),
            _ => false,
        });
        self.outbox
            .extend(concerned.iter().copied().map(Delivery::Wake));
        #[cfg(test)]
        (self.steps += concerned.len());
        self.large = (!concerned.is_empty()).then(|| Large {
            keys: changed.iter().map(|past| Key::from(&*past.key)).collect(),
            left: concerned.len(),
            who: concerned,
        });
    }

    /// If `who` has not counted yet how much of the last large change it watches, it does.
    fn let_count(&mut self, who: Token) {
        if let Some(large) = &self.large
            && let Some(Listener::Watch(watch)) = self.listeners.get_mut(&who)
            && watch.is_to_count()
        {
            watch.count(&large.keys);
            self.one_has_counted();
        }
    }

    fn one_has_counted(&mut self) {
        if let Some(large) = &mut self.large {
            large.left -= 1;
            if large.left == 0 {
                self.large = None;
            }
        }
    }

    /// Lets those count how much of the last large change they watch who have not had their turn, in
    /// about so many steps, see [`STEP`]. True if some of them still have not: then there
    /// must be no other such change.
    pub(crate) fn count_on(&mut self, steps: usize) -> bool {
        let mut spent = 0;
        while spent < steps
            && let Some(large) = &mut self.large
            && let Some(who) = large.who.pop()
        {
            let keys = large.keys.len();
            if let Some(Listener::Watch(watch)) = self.listeners.get(&who) {
                spent += keys * (STEP + watch.patterns().cost());
            }
            self.let_count(who);
        }
        self.is_counting()
    }

    /// Whether some have not counted: another large change should wait for [`Self::count_on`].
    pub(crate) fn is_counting(&self) -> bool {
        self.large.is_some()
    }

    /// What is to be sent. To be emptied after each change.
    pub(crate) fn outbox(&mut self) -> &mut Vec<Delivery> {
        &mut self.outbox
    }

    /// One variable was changed: the reply is written once for all who want the same fields.
    fn tell_one(&mut self, store: &Store, before: Revision, past: &Past<'_>) {
        let mut found = std::mem::take(&mut self.found);
        self.index.find(past.key_text(), |who| found.push(who));
        let mut written: [Option<Rc<[u8]>>; Fields::COUNT] = Default::default();
        let mut effort = Effort::new(before);
        for who in found.drain(..) {
            if let Some(fields) = self.hit(who, past, store, &mut effort) {
                let reply = written[fields.number()].get_or_insert_with(|| {
                    let reply = event_reply(&mut self.draft, [past], fields);
                    reply.expect("one event always has room")
                });
                let reply = Rc::clone(reply);
                self.outbox.push(Delivery::Tell(who, reply));
            }
        }
        self.found = found;
    }

    /// Several variables were changed at once: each watcher is told all of it in one reply, which is
    /// written once for all who want the same. What is too large for one reply each tells in its turn.
    fn tell_many(&mut self, store: &Store, before: Revision, hits: &[(Token, &Past<'_>)]) {
        let mut told: BTreeMap<Token, (Fields, Vec<&Past<'_>>)> = BTreeMap::new();
        let mut effort = Effort::new(before);
        for &(who, past) in hits {
            if let Some(fields) = self.hit(who, past, store, &mut effort) {
                told.entry(who)
                    .or_insert_with(|| (fields, Vec::new()))
                    .1
                    .push(past);
            }
        }
        // Who has fallen behind in the middle of the change tells all of it in its turn.
        told.retain(|who, _| self.is_up_to_date(*who));
        let mut written: HashMap<Told<'_>, Option<Rc<[u8]>>> = HashMap::new();
        for (who, (fields, events)) in told {
            let (count, keys) = (events.len(), events.iter().map(|past| &*past.key));
            let reply = written
                .entry((fields, keys.collect()))
                .or_insert_with(|| event_reply(&mut self.draft, events, fields));
            let delivery = match (reply, self.listeners.get_mut(&who)) {
                (Some(reply), _) => Delivery::Tell(who, Rc::clone(reply)),
                (None, Some(Listener::Watch(watch))) => {
                    watch.put_off(store, before, count);
                    Delivery::Wake(who)
                }
                (None, _) => continue,
            };
            self.outbox.push(delivery);
        }
    }

    /// A variable that `who` may listen to was changed. If it is to be told, the fields it wants.
    fn hit(
        &mut self,
        who: Token,
        past: &Past<'_>,
        store: &Store,
        effort: &mut Effort,
    ) -> Option<Fields> {
        #[cfg(test)]
        (self.steps += 1);
        match self.listeners.get_mut(&who)? {
            Listener::Wait(wait) => {
                let variable = past.variable();
                if wait.is_over(variable) {
                    self.outbox.push(Delivery::End(who, value_reply(variable)));
                    self.leave(who);
                }
                None
            }
            Listener::Watch(watch) if watch.is_indifferent() => None,
            Listener::Watch(watch) => {
                let cost = watch.patterns().cost();
                if !effort.allows(cost) {
                    watch.stop_counting(store, effort.before);
                    self.outbox.push(Delivery::Wake(who));
                    return None;
                }
                #[cfg(test)]
                (self.work += cost);
                let is_told = watch.patterns().matches(past.key_text())
                    && watch.hit(past.revision) == Hit::Tell;
                is_told.then(|| watch.fields())
            }
        }
    }

    fn is_up_to_date(&self, who: Token) -> bool {
        match self.listeners.get(&who) {
            Some(Listener::Watch(watch)) => watch.is_up_to_date(),
            _ => false,
        }
    }
}

/// What tells replies to one change from one another: the fields, and the keys.
type Told<'k> = (Fields, Vec<&'k [u8]>);

/// A reply with these events, to a watcher that is up to date; written in `draft`, which is empty.
/// `None` if it would be too large: who reads it takes only so much.
fn event_reply<'p, 's: 'p>(
    draft: &mut Vec<u8>,
    events: impl IntoIterator<Item = &'p Past<'s>>,
    fields: Fields,
) -> Option<Rc<[u8]>> {
    let is_whole = write_events(draft, events, fields);
    let reply = is_whole.then(|| Rc::from(&draft[..]));
    draft.clear();
    draft.shrink_to(DRAFT);
    reply
}

/// Writes such a reply, as far as there is room for it. One event always has room.
fn write_events<'p, 's: 'p>(
    draft: &mut Vec<u8>,
    events: impl IntoIterator<Item = &'p Past<'s>>,
    fields: Fields,
) -> bool {
    let mut reply = Reply::new(draft).parameters();
    let mut array = reply.array("events");
    let mut revision = Revision::default();
    for past in events {
        if array.len() > REPLY_MAX {
            return false;
        }
        write_event(&mut array.object(), past, fields);
        revision = past.revision;
    }
    drop(array);
    reply.count("revision", revision.0);
    reply.bool("upToDate", true);
    reply.continues();
    true
}

/// The last reply to a Wait.
fn value_reply(variable: Option<Variable<'_>>) -> Rc<[u8]> {
    let mut out = Vec::new();
    write_value(&mut Reply::new(&mut out).parameters(), variable);
    out.into()
}

/// Who listens to which keys.
#[derive(Default)]
struct Index {
    keys: HashMap<Box<str>, BTreeSet<Token>>,
    prefixes: HashMap<Box<str>, BTreeSet<Token>>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<usize, usize>,
}

impl Index {
    fn add(&mut self, start: &str, is_key: bool, who: Token) {
        let found = if is_key {
            &mut self.keys
        } else {
            &mut self.prefixes
        };
        if !found.contains_key(start) {
            found.insert(start.into(), BTreeSet::new());
            if !is_key {
                *self.lengths.entry(start.len()).or_default() += 1;
            }
        }
        found.get_mut(start).expect("it is there").insert(who);
    }

    fn remove(&mut self, start: &str, is_key: bool, who: Token) {
        let found = if is_key {
            &mut self.keys
        } else {
            &mut self.prefixes
        };
        let Some(listeners) = found.get_mut(start) else {
            return;
        };
        listeners.remove(&who);
        if listeners.is_empty() {
            found.remove(start);
            if !is_key && let Some(count) = self.lengths.get_mut(&start.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&start.len());
                }
            }
        }
    }

    /// Everybody who may listen to one of these variables: for a key, with each of them that has it;
    /// for a beginning, once.
    fn find_all<'p, 'h>(&self, changed: &'p [Past<'h>]) -> Vec<(Token, &'p Past<'h>)> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for past in changed {
            let key = past.key_text();
            let listeners = self.keys.get(key).into_iter().flatten();
            found.extend(listeners.map(|who| (*who, past)));
            for (length, _) in self.lengths.range(..=key.len()) {
                if let Some(beginning) = key.get(..*length)
                    && seen.insert(beginning)
                {
                    let listeners = self.prefixes.get(beginning).into_iter().flatten();
                    found.extend(listeners.map(|who| (*who, past)));
                }
            }
        }
        found
    }

    /// Everybody who may listen to `key`. The ranges of one listener do not overlap, so that nobody
    /// is found twice.
    fn find(&self, key: &str, mut each: impl FnMut(Token)) {
        self.keys
            .get(key)
            .into_iter()
            .flatten()
            .for_each(|who| each(*who));
        let beginnings = self
            .lengths
            .range(..=key.len())
            .filter_map(|(length, _)| key.get(..*length));
        for beginning in beginnings {
            self.prefixes
                .get(beginning)
                .into_iter()
                .flatten()
                .for_each(|who| each(*who));
        }
    }
}

#[cfg(test)]
mod tests;
