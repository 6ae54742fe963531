//! A reader that travels in time: while it reads, the writer gets on by any number of stores
//! between any two of its loads. Whatever it is told must have been true meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::history::{Act, History, Random, Scenario, Seen, seeds};
use crate::map::Revision;
use crate::map::layout::State;
use crate::map::reader::{Answer, Handle, Reader};
use crate::map::scan::Scan;
use crate::map::words::Words;

/// How many stores one stall lasts in a long history, if not until its end.
const STALLS: [usize; 16] = [1, 2, 3, 4, 5, 7, 10, 14, 20, 30, 45, 70, 110, 170, 300, 600];

/// What was checked.
#[derive(Debug, Default)]
pub(super) struct Figures {
    gets: usize,
    absent: usize,
    ended: usize,
    cached: usize,
    unchanged: usize,
    scans: usize,
    blurred: usize,
    seen: Seen,
}

/// What every word was at every time.
struct Past {
    /// Of each word its values, and the number of stores from which on it had them.
    words: Vec<Vec<(usize, u64)>>,
    end: usize,
}

impl Past {
    fn of(history: &History) -> Self {
        let start = &history.start;
        let mut words: Vec<_> = (0..start.len()).map(|n| vec![(0, start.load(n))]).collect();
        for (time, store) in history.log.stores.iter().enumerate() {
            words[store.word].push((time + 1, store.value));
        }
        let end = history.len();
        Past { words, end }
    }

    fn load(&self, word: usize, time: usize) -> u64 {
        match &self.words.get(word).map_or(&[][..], |values| values) {
            [] => 0,
            [(_, only)] => *only,
            values => values[values.partition_point(|(from, _)| *from <= time) - 1].1,
        }
    }
}

/// When a reader is how far behind.
enum Pace {
    /// Before this load the writer makes so many stores; all others happen at once.
    Stall { load: usize, stores: usize },
    /// Before each load it makes some.
    Random(Random),
}

/// The words as somebody sees them who is not always running.
struct Traveller<'p> {
    past: &'p Past,
    time: Cell<usize>,
    loads: Cell<usize>,
    pace: RefCell<Pace>,
}

impl<'p> Traveller<'p> {
    fn new(past: &'p Past, time: usize, pace: Pace) -> Self {
        Traveller {
            past,
            time: Cell::new(time),
            loads: Cell::new(0),
            pace: RefCell::new(pace),
        }
    }

    fn wait(&self) {
        let load = self.loads.replace(self.loads.get() + 1);
        let stores = match &mut *self.pace.borrow_mut() {
            Pace::Stall { load: at, stores } if load == *at => *stores,
            Pace::Stall { .. } => 0,
            Pace::Random(random) => match random.below(400) {
                0 => random.below(400),
                1..20 => random.below(20),
                20..80 => random.below(3),
                _ => 0,
            },
        };
        self.time.set((self.time.get() + stores).min(self.past.end));
    }
}

impl Words for &Traveller<'_> {
    fn lend(&self) -> impl Words {
        *self
    }

    fn len(&self) -> usize {
        self.past.words.len()
    }

    fn load(&self, word: usize) -> u64 {
        self.wait();
        self.past.load(word, self.time.get())
    }

    fn acquire(&self) {}
}

/// A reader that travels. It is the same all the time, so that it also relies on what it has learned
/// before.
struct Journey<'t, 'p> {
    traveller: &'t Traveller<'p>,
    reader: Reader<&'t Traveller<'p>>,
}

impl<'t, 'p> Journey<'t, 'p> {
    fn of(traveller: &'t Traveller<'p>) -> Self {
        let reader = Reader::new(traveller);
        Journey { traveller, reader }
    }

    fn time(&self) -> usize {
        self.traveller.time.get()
    }
}

/// What a key once had.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    content: Option<(Vec<u8>, u64)>,
    /// After more than so many stores it may have been there.
    after: Option<usize>,
    /// After so many it was.
    sure: usize,
}

/// What all keys once had, with times as in [`Version`].
struct Whole {
    content: Content,
    after: Option<usize>,
    sure: usize,
}

type Content = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

/// What may truly be said of every key at every time.
struct Truth {
    keys: BTreeMap<Vec<u8>, Vec<Version>>,
    /// All of them together.
    states: Vec<Whole>,
    closing: Option<Act>,
}

impl Truth {
    fn of(history: &History) -> Self {
        let states = history
            .acts
            .iter()
            .flat_map(|act| [&act.before, &act.after]);
        let keys: BTreeSet<_> = states.flat_map(|state| state.variables.keys()).collect();
        let closing = history.acts.last().filter(|act| act.after.is_closed);
        Truth {
            keys: keys
                .into_iter()
                .map(|key| (key.clone(), versions(history, key)))
                .collect(),
            states: states_of(history),
            closing: closing.cloned(),
        }
    }

    /// Whether this was everything at some time from `from` to `to`.
    fn was(&self, told: &Content, (from, to): (usize, usize)) -> bool {
        (0..self.states.len()).any(|n| {
            let Whole { content, after, .. } = &self.states[n];
            let has_begun = after.is_none_or(|after| after < to);
            let has_ended = (self.states.get(n + 1)).is_some_and(|next| next.sure <= from);
            content == told && has_begun && !has_ended
        })
    }

    /// The version of a key that was told, if that is true: not before `last`, and one that was
    /// there at some time from `from` to `to`.
    fn find(
        &self,
        key: &[u8],
        last: usize,
        (from, to): (usize, usize),
        told: Option<(&[u8], Revision)>,
    ) -> Option<usize> {
        let versions = self.keys.get(key)?;
        (last..versions.len()).find(|&n| {
            let Version { content, after, .. } = &versions[n];
            let content = content
                .as_ref()
                .map(|(value, revision)| (&value[..], Revision(*revision)));
            let has_begun = after.is_none_or(|after| after < to);
            let has_ended = versions.get(n + 1).is_some_and(|next| next.sure <= from);
            content == told && has_begun && !has_ended
        })
    }

    /// Whether it may be said that the map is closed.
    fn may_be_closed(&self, to: usize) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|act| act.times.start < to)
    }

    /// Whether nothing else may be said.
    fn is_closed(&self, from: usize) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|act| act.times.end <= from)
    }
}

fn states_of(history: &History) -> Vec<Whole> {
    let content = |state: &super::history::State| -> Content {
        let variables = state.variables.iter();
        let content = variables.map(|(key, it)| (key.clone(), (it.value.clone(), it.revision)));
        content.collect()
    };
    let mut states = vec![Whole {
        content: (history.acts.first()).map_or_else(Content::new, |act| content(&act.before)),
        after: None,
        sure: 0,
    }];
    for act in &history.acts {
        let now = content(&act.after);
        if states.last().is_some_and(|last| last.content != now) {
            states.push(Whole {
                content: now,
                after: Some(act.times.start),
                sure: act.times.end,
            });
        }
    }
    states
}

/// Reads everything, and checks that it was so at some moment meanwhile.
fn scan(truth: &Truth, journey: &Journey<'_, '_>, figures: &mut Figures) {
    let from = journey.time();
    let told = journey.reader.scan(|_| true);
    let to = journey.time();
    match told {
        Scan::Exact(items) => {
            let count = items.len();
            let content = items
                .into_iter()
                .map(|item| (item.key, (item.value, item.revision.0)));
            let content: Content = content.collect();
            assert_eq!(content.len(), count, "a key was told twice at {from}..{to}");
            assert!(!truth.is_closed(from), "the map is closed");
            assert!(
                truth.was(&content, (from, to)),
                "a scan at {from}..{to} is not true"
            );
            figures.scans += 1;
        }
        Scan::Blurred => figures.blurred += 1,
        Scan::Ended(State::Closed) => assert!(truth.may_be_closed(to)),
        Scan::Ended(state) => panic!("{state:?} at {from}..{to}"),
    }
}

/// Reads everything from some times on, with some stalls before some loads.
fn stall_scans(past: &Past, truth: &Truth, seed: u64, figures: &mut Figures) {
    let mut random = Random(seed);
    for _ in 0..SCANS {
        let time = random.below(past.end + 1);
        let load = random.below(700);
        let stores = 1 + random.below(STALL_OF_SCAN);
        let traveller = Traveller::new(past, time, Pace::Stall { load, stores });
        scan(truth, &Journey::of(&traveller), figures);
    }
}

fn versions(history: &History, key: &[u8]) -> Vec<Version> {
    let content = |state: &super::history::State| {
        let variable = state.variables.get(key)?;
        Some((variable.value.clone(), variable.revision))
    };
    let mut versions = vec![Version {
        content: history.acts.first().and_then(|act| content(&act.before)),
        after: None,
        sure: 0,
    }];
    for act in &history.acts {
        let now = content(&act.after);
        if versions.last().is_some_and(|last| last.content != now) {
            versions.push(Version {
                content: now,
                after: Some(act.times.start),
                sure: act.times.end,
            });
        }
    }
    versions
}

/// Somebody who reads one key, and remembers what it was told.
struct Witness<'h> {
    truth: &'h Truth,
    key: Vec<u8>,
    handle: Handle,
    value: Vec<u8>,
    /// The last version that it was told of, by whatever way.
    last: usize,
    /// That which the handle was last read with.
    cached: Option<usize>,
}

impl<'h> Witness<'h> {
    fn new(truth: &'h Truth, key: &[u8]) -> Self {
        Witness {
            truth,
            key: key.to_vec(),
            handle: Handle::new(key),
            value: Vec::new(),
            last: 0,
            cached: None,
        }
    }

    fn get(&mut self, journey: &Journey<'_, '_>, figures: &mut Figures) {
        let from = journey.time();
        let answer = journey.reader.get(&self.key, &mut self.value);
        self.check(answer, (from, journey.time()), figures);
        figures.gets += 1;
    }

    fn get_cached(&mut self, journey: &Journey<'_, '_>, figures: &mut Figures) {
        let from = journey.time();
        let answer = (journey.reader).get_cached(&mut self.handle, &mut self.value);
        self.cached = self.check(answer, (from, journey.time()), figures);
        figures.cached += 1;
    }

    fn has_changed(&mut self, journey: &Journey<'_, '_>, figures: &mut Figures) {
        let from = journey.time();
        if journey.reader.has_changed(&self.handle) {
            return;
        }
        figures.unchanged += 1;
        let last = self
            .cached
            .expect("a handle that was never read with has changed");
        let versions = &self.truth.keys[&self.key];
        let next = versions.get(last + 1);
        let is_over = self.truth.is_closed(from) || next.is_some_and(|next| next.sure <= from);
        assert!(!is_over, "a change was not noticed");
        self.last = self.last.max(last);
    }

    /// Checks what was told, and returns which version it is.
    fn check(
        &mut self,
        answer: Answer,
        (from, to): (usize, usize),
        figures: &mut Figures,
    ) -> Option<usize> {
        let told = match answer {
            Answer::Found(revision) => Some((&self.value[..], revision)),
            Answer::Absent => None,
            Answer::Ended(State::Closed) if self.truth.may_be_closed(to) => {
                figures.ended += 1;
                return None;
            }
            answer => panic!("{answer:?} at {from}..{to}"),
        };
        assert!(!self.truth.is_closed(from), "the map is closed");
        figures.absent += usize::from(told.is_none());
        let version = self.truth.find(&self.key, self.last, (from, to), told);
        self.last = version.unwrap_or_else(|| {
            panic!(
                "{:?} is not true of {} at {from}..{to}",
                told.map(|(_, revision)| revision),
                self.key.escape_ascii(),
            )
        });
        told.and(version)
    }
}

/// Reads all keys at a random pace, from the beginning to the end.
fn travel(past: &Past, truth: &Truth, seed: u64, figures: &mut Figures) {
    let mut random = Random(seed);
    let traveller = Traveller::new(past, 0, Pace::Random(random.clone()));
    let journey = Journey::of(&traveller);
    let mut witnesses: Vec<_> = truth
        .keys
        .keys()
        .map(|key| Witness::new(truth, key))
        .collect();
    let mut stays = 10;
    while stays > 0 {
        stays -= usize::from(journey.time() == past.end);
        let which = random.below(witnesses.len());
        let witness = &mut witnesses[which];
        match random.below(16) {
            0..5 => witness.get(&journey, figures),
            5..10 => witness.get_cached(&journey, figures),
            10 => scan(truth, &journey, figures),
            _ => witness.has_changed(&journey, figures),
        }
    }
}

/// Reads a key twice from some time on, with each stall before every load.
fn stall_everywhere(
    (past, truth): (&Past, &Truth),
    (key, time): (&[u8], usize),
    stalls: impl Iterator<Item = usize>,
    figures: &mut Figures,
) {
    for stores in stalls {
        for load in 0.. {
            let traveller = Traveller::new(past, time, Pace::Stall { load, stores });
            let journey = Journey::of(&traveller);
            let mut witness = Witness::new(truth, key);
            witness.get(&journey, figures);
            witness.get(&journey, figures);
            if traveller.loads.get() <= load {
                break; // It was done before it could stall.
            }
        }
    }
}

/// The same through a handle, which was first read with at that time.
fn stall_cached(
    (past, truth): (&Past, &Truth),
    (key, time): (&[u8], usize),
    stalls: impl Iterator<Item = usize>,
    figures: &mut Figures,
) {
    for stores in stalls {
        for load in 0.. {
            let traveller = Traveller::new(past, time, Pace::Stall { load, stores });
            let journey = Journey::of(&traveller);
            let mut witness = Witness::new(truth, key);
            witness.get_cached(&journey, figures);
            witness.has_changed(&journey, figures);
            witness.get_cached(&journey, figures);
            if traveller.loads.get() <= load {
                break;
            }
        }
    }
}

/// Lets readers travel through a history.
pub(super) fn travel_everywhere(history: &History, seed: u64, figures: &mut Figures) {
    let past = Past::of(history);
    let truth = Truth::of(history);
    travel(&past, &truth, seed, figures);
    stall_scans(&past, &truth, seed, figures);
    let mut random = Random(seed);
    let keys: Vec<_> = truth.keys.keys().cloned().collect();
    for _ in 0..STALLED {
        let act = random.one(&history.acts);
        let present: Vec<_> = act.before.variables.keys().cloned().collect();
        let wished = [act.changed(), present, keys.clone()];
        let few = (wished.iter().skip(random.below(3))).find(|keys| !keys.is_empty());
        let key = random.one(few.unwrap_or(&keys));
        let time = act.times.start + random.below(act.times.len() + 1);
        let (told, read) = ((&past, &truth), (&key[..], time));
        let stalls = STALLS.into_iter().chain([past.end]);
        match random.once_in(3) {
            true => stall_cached(told, read, stalls, figures),
            false => stall_everywhere(told, read, stalls, figures),
        }
    }
    figures.seen += history.seen;
}

/// Stalls readers of a short history in every way there is: of every key, from every moment on, for
/// every number of stores, before every load.
fn stall_in_every_way(history: &History, figures: &mut Figures) {
    let (past, truth) = (Past::of(history), Truth::of(history));
    for key in truth.keys.keys() {
        for time in 0..past.end {
            let (told, read) = ((&past, &truth), (&key[..], time));
            stall_everywhere(told, read, 1..=past.end - time, figures);
            stall_cached(told, read, 1..=past.end - time, figures);
        }
    }
}

/// Most stores of a history in which every stall is tried: what that takes grows with their cube.
const SHORT: usize = 60;

/// How many scans of a history are stalled somewhere, and for how many stores at most.
const SCANS: usize = 60;
const STALL_OF_SCAN: usize = 40;

/// How many reads of a history are stalled everywhere.
const STALLED: usize = 5;

fn travel_seeds(scenario: Scenario, usual: u64, len: usize) -> Figures {
    let mut figures = Figures::default();
    for seed in seeds(usual) {
        let history = History::random(scenario, seed, len);
        travel_everywhere(&history, seed, &mut figures);
    }
    println!("{scenario:?}: {figures:?}");
    let Figures { gets, absent, .. } = figures;
    assert!(gets > absent && absent > 0 && figures.cached > 0 && figures.unchanged > 0);
    assert!(figures.scans > 0 && figures.blurred > 0);
    figures
}

#[test]
fn what_a_reader_is_told_was_true_while_it_read() {
    let figures = travel_seeds(Scenario::Mixed, 100, 40);
    let seen = figures.seen;
    assert!(seen.growths > 0 && seen.shrinks > 0 && seen.reseeds > 0);
    assert!(seen.deaths > 0 && seen.trims > 0 && figures.ended > 0);
}

#[test]
fn what_a_reader_is_told_was_true_while_blocks_moved() {
    assert!(travel_seeds(Scenario::Sparse, 20, 40).seen.moves > 0);
}

#[test]
fn what_a_reader_is_told_was_true_where_lines_overflow() {
    assert!(travel_seeds(Scenario::Crowded, 60, 40).seen.growths > 0);
}

#[test]
fn what_a_reader_is_told_was_true_while_tables_came_and_went() {
    assert!(travel_seeds(Scenario::Restless, 100, 60).seen.reseeds > 0);
}

#[test]
fn what_a_reader_is_told_was_true_wherever_and_however_long_it_stalled() {
    for scenario in [Scenario::Mixed, Scenario::Crowded, Scenario::Restless] {
        let mut figures = Figures::default();
        let mut count = 0;
        for seed in seeds(12) {
            let history = History::random(scenario, seed, 4);
            if (1..=SHORT).contains(&history.len()) && !history.last().variables.is_empty() {
                stall_in_every_way(&history, &mut figures);
                count += 1;
            }
        }
        println!("{scenario:?}, {count} histories: {figures:?}");
        let Figures { gets, absent, .. } = figures;
        assert!(count > 0 && gets > absent && absent > 0 && figures.unchanged > 0);
    }
}
