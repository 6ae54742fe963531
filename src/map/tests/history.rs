//! Random histories of a map: what was done, when, and what the map held before and after.
//!
//! A history is checked while it is made, against the plainest model of a map there is. Other tests
//! then look at what its stores left at any moment in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};
use std::rc::Rc;

use super::sim::{Log, Sim};
use crate::map::batch::Change;
use crate::map::block::Id;
use crate::map::layout::{self, Granule, REDO, TABLE_BITS_MIN};
use crate::map::words::Words;
use crate::map::{Full, Limits, Map, Origin, Revision, Stamp, table};

pub(super) const LIMITS: Limits = Limits {
    variables: 1000,
    bytes: 1 << 20,
};

/// Pages of the memory: enough for any history.
const PAGES: usize = 128;

/// A variable as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) value: Vec<u8>,
    pub(super) revision: u64,
    pub(super) stamp: Stamp,
}

/// Everything that a map must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) variables: BTreeMap<Vec<u8>, Variable>,
    pub(super) revision: u64,
    pub(super) is_closed: bool,
}

/// Changes made in one step; `None` deletes.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Something to do with a map.
#[derive(Debug, Clone)]
enum Task {
    Change(Changes),
    Amend(Vec<u8>),
    /// Makes the table anew, with other hashes or the same.
    Rebuild {
        reseed: bool,
    },
    Work,
    Recover,
    Close,
}

/// What was done, from the first of its stores on.
#[derive(Clone)]
pub(super) struct Act {
    pub(super) times: Range<usize>,
    pub(super) before: Rc<State>,
    pub(super) after: Rc<State>,
}

/// How often things have happened that a history is there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) growths: u32,
    pub(super) shrinks: u32,
    pub(super) reseeds: u32,
    pub(super) moves: u32,
    pub(super) trims: u32,
    pub(super) deaths: u32,
    pub(super) redone: u32,
    pub(super) refused: u32,
}

/// What has happened to a map.
pub(super) struct History {
    /// The memory as it was before the first act.
    pub(super) start: Sim,
    pub(super) log: Log,
    pub(super) acts: Vec<Act>,
    pub(super) seen: Seen,
}

/// What a history is mostly about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// Everything, with few small variables and a small table.
    Mixed,
    /// Larger values that go and leave sparse slabs behind.
    Sparse,
    /// Keys that are all at home in the same line.
    Crowded,
    /// Few variables in a table that is often made anew, so that it comes back to old places.
    Restless,
}

/// Numbers that look random, the same for the same seed.
#[derive(Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        // SplitMix64, by Sebastiano Vigna.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of some things.
    pub(super) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// How many seeds a test tries: so many, or as the environment says, for long runs.
pub(super) fn seeds(usual: u64) -> Range<u64> {
    let asked = std::env::var("GLOBSTASH_SEEDS").ok();
    0..asked.map_or(usual, |seeds| {
        seeds.parse().expect("GLOBSTASH_SEEDS is a number")
    })
}

impl State {
    /// The state after changes, and how many variables they concern.
    fn changed(&self, changes: &Changes) -> (State, u64) {
        let mut after = self.clone();
        after.revision += 1;
        let mut count = 0;
        for (key, change) in changes {
            let Some(value) = change else {
                count += u64::from(after.variables.remove(key).is_some());
                continue;
            };
            let variable = Variable {
                value: value.clone(),
                revision: after.revision,
                stamp: stamp(after.revision),
            };
            after.variables.insert(key.clone(), variable);
            count += 1;
        }
        match count {
            0 => (self.clone(), 0),
            count => (after, count),
        }
    }

    /// Defines a variable; returns the revision of that.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8], stamp: Stamp) -> u64 {
        self.revision += 1;
        let variable = Variable {
            value: value.to_vec(),
            revision: self.revision,
            stamp,
        };
        self.variables.insert(key.to_vec(), variable);
        self.revision
    }

    /// Deletes a variable; returns whether it was there.
    pub(super) fn delete(&mut self, key: &[u8]) -> bool {
        let is_there = self.variables.remove(key).is_some();
        self.revision += u64::from(is_there);
        is_there
    }

    /// Whether a map holds this: every variable, in the order of keys and in that of changes.
    pub(super) fn is_in(&self, map: &Map<Sim>) -> bool {
        let mut expected = self.variables.iter();
        let are_same = map.from(Bound::Unbounded).all(|entry| {
            expected.next().is_some_and(|(key, variable)| {
                entry.revision().0 == variable.revision
                    && *entry.key() == key[..]
                    && entry.has_value(&variable.value)
                    && entry.stamp() == variable.stamp
            })
        });
        are_same
            && expected.next().is_none()
            && map.len() == self.variables.len() as u64
            && self.is_in_order(map)
    }

    fn is_in_order(&self, map: &Map<Sim>) -> bool {
        let changes = map.after(Revision(0)).filter_map(|(_, entry)| entry);
        let listed: Vec<_> = changes
            .map(|entry| (entry.revision().0, entry.key().to_vec()))
            .collect();
        listed.is_sorted() && listed.len() == self.variables.len()
    }
}

/// What is remembered with a change at some revision.
fn stamp(time: u64) -> Stamp {
    Stamp {
        time,
        deadline: time.is_multiple_of(3).then_some(time),
        ..Stamp::default()
    }
}

impl Act {
    /// The keys whose variables it changed.
    pub(super) fn changed(&self) -> Vec<Vec<u8>> {
        let (before, after) = (&self.before.variables, &self.after.variables);
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        keys.into_iter()
            .filter(|key| before.get(*key) != after.get(*key))
            .cloned()
            .collect()
    }
}

impl History {
    /// A random history of so many acts, or one more if it ends by closing the map.
    pub(super) fn random(scenario: Scenario, seed: u64, len: usize) -> Self {
        let mut author = Author::new(scenario, seed);
        for _ in 0..len {
            author.write();
        }
        author.finish()
    }

    /// What the map holds in the end.
    pub(super) fn last(&self) -> &State {
        let last = self.acts.last().expect("something was done");
        &last.after
    }

    /// How many stores there were.
    pub(super) fn len(&self) -> usize {
        self.log.stores.len()
    }
}

/// One who makes a history.
struct Author {
    scenario: Scenario,
    random: Random,
    keys: Vec<Vec<u8>>,
    sim: Sim,
    map: Option<Map<Sim>>,
    state: Rc<State>,
    history: History,
    /// Whether there should be more variables, or fewer.
    is_growing: bool,
    values: u64,
}

impl Author {
    fn new(scenario: Scenario, seed: u64) -> Self {
        let sim = Sim::new(PAGES);
        let origin = Origin {
            instance: 7,
            born: 8,
        };
        let map = Map::create(sim.clone(), LIMITS, origin, seed).expect("there is memory");
        let mut author = Author {
            scenario,
            random: Random(seed),
            keys: keys(scenario, map.seed),
            map: Some(map),
            state: Rc::default(),
            history: History {
                start: sim.copied(),
                log: Log::default(),
                acts: Vec::new(),
                seen: Seen::default(),
            },
            sim,
            is_growing: true,
            values: 0,
        };
        author.fill();
        author.history.start = author.sim.copied();
        author.is_growing = scenario != Scenario::Sparse;
        author.sim.record();
        author
    }

    /// What is there when the history begins.
    fn fill(&mut self) {
        let count = match self.scenario {
            Scenario::Mixed | Scenario::Crowded => self.random.below(20),
            Scenario::Sparse => 80,
            Scenario::Restless => 3,
        };
        for key in self.keys.clone().into_iter().take(count) {
            let changes = BTreeMap::from([(key, Some(self.value()))]);
            self.change(&changes).expect("there is room");
        }
    }

    fn key(&mut self) -> Vec<u8> {
        self.random.one(&self.keys)
    }

    /// A value that no other is equal to, not even in a word.
    fn value(&mut self) -> Vec<u8> {
        self.values += 1;
        let len = match self.scenario {
            Scenario::Mixed | Scenario::Crowded => self.random.one(&[16, 16, 16, 8, 3, 40, 300]),
            Scenario::Sparse => self.random.one(&[240, 240, 240, 240, 30]),
            Scenario::Restless => 24,
        };
        let word = self.values.to_le_bytes();
        word.iter().copied().cycle().take(len).collect()
    }

    fn map(&mut self) -> &mut Map<Sim> {
        self.map.as_mut().expect("the map is in use")
    }

    /// Does something, and notes what it was.
    fn write(&mut self) {
        if self.map.is_none() {
            return; // Closed.
        }
        if self.random.once_in(24) {
            self.is_growing = !self.is_growing;
        }
        let task = self.task();
        let room = match self.random.once_in(8) {
            true => self.random.below(4),
            false => usize::MAX,
        };
        self.sim.limit(room);
        match self.random.once_in(10) {
            true => self.die_doing(&task),
            false => self.act(&task),
        }
        self.sim.limit(usize::MAX);
    }

    fn finish(mut self) -> History {
        if self.map.is_some() && self.random.once_in(4) {
            self.act(&Task::Close);
        }
        let history = &mut self.history;
        history.log = self.sim.recorded();
        self.history
    }

    fn task(&mut self) -> Task {
        let often = match self.scenario {
            Scenario::Restless => 3,
            Scenario::Crowded => 8,
            _ => 24,
        };
        if self.random.once_in(often) {
            let reseed = self.scenario != Scenario::Crowded && self.random.once_in(3);
            return Task::Rebuild { reseed };
        }
        match self.random.below(16) {
            0 => Task::Amend(self.key()),
            1 => Task::Work,
            2 if self.random.once_in(2) => Task::Recover,
            3..6 => self.many(),
            _ => self.one(),
        }
    }

    fn one(&mut self) -> Task {
        let key = self.key();
        let change = self.change_of_one();
        Task::Change(BTreeMap::from([(key, change)]))
    }

    fn many(&mut self) -> Task {
        let count = match self.scenario {
            Scenario::Sparse => self.random.below(24),
            _ => self.random.below(8),
        };
        let mut changes = Changes::new();
        for _ in 0..count {
            changes.insert(self.key(), self.change_of_one());
        }
        let may_delete_all = self.scenario != Scenario::Sparse && !self.is_growing;
        if may_delete_all && self.random.once_in(4) {
            let keys = self.state.variables.keys().cloned();
            changes.extend(keys.map(|key| (key, None)));
        }
        Task::Change(changes)
    }

    fn change_of_one(&mut self) -> Option<Vec<u8>> {
        let deletes = match self.is_growing {
            true => self.random.once_in(6),
            false => !self.random.once_in(3),
        };
        (!deletes).then(|| self.value())
    }

    /// The state after a task.
    fn after(&self, task: &Task) -> Rc<State> {
        let mut after = (*self.state).clone();
        match task {
            Task::Change(changes) => after = after.changed(changes).0,
            Task::Amend(key) => {
                if let Some(variable) = after.variables.get_mut(key) {
                    variable.stamp = stamp(variable.stamp.time + 1);
                }
            }
            Task::Close => after.is_closed = true,
            Task::Rebuild { .. } | Task::Work | Task::Recover => {}
        }
        Rc::new(after)
    }

    /// Does something to its end.
    fn act(&mut self, task: &Task) {
        let start = self.sim.time();
        let after = match self.perform(task) {
            Ok(()) => self.after(task),
            Err(_) => self.state.clone(),
        };
        self.note(start, after);
        if let Some(map) = &self.map {
            assert!(self.state.is_in(map), "{task:?} did something else");
            assert_eq!(map.revision().0, self.state.revision);
            map.check();
        }
    }

    /// Begins something, dies, and is succeeded by one who may die as well.
    fn die_doing(&mut self, task: &Task) {
        let start = self.sim.time();
        let after = self.after(task);
        let life = self.random.below(60);
        let sim = self.sim.clone();
        match sim.dies_after(life, || self.perform(task)) {
            Some(Ok(())) => return self.note(start, after),
            Some(Err(_)) => return self.note(start, self.state.clone()),
            None => {}
        }
        self.history.seen.deaths += 1;
        self.history.seen.redone += u32::from(sim.load(REDO) != 0);
        self.map = None;
        let settled = loop {
            let life = self.random.below(30) << self.random.below(6);
            if let Some(settled) = sim.dies_after(life, || self.succeed(&after)) {
                break settled;
            }
        };
        self.note(start, settled);
    }

    /// Takes over from one who has died; tells whether that has left its change or not.
    fn succeed(&mut self, after: &Rc<State>) -> Rc<State> {
        let recovered = Map::recover(self.sim.clone(), LIMITS, self.random.0, |_| ());
        let Ok((map, found)) = recovered else {
            assert!(after.is_closed, "nobody has closed the map");
            return after.clone();
        };
        assert_eq!((found.dropped, found.broken_record), (0, false));
        let (before, revision) = (self.state.clone(), map.revision().0);
        assert!((before.revision..=after.revision).contains(&revision));
        let is_done = revision == after.revision && after.is_in(&map);
        assert!(is_done || before.is_in(&map), "half of a change is there");
        self.map = Some(map);
        let State { variables, .. } = if is_done { &**after } else { &*before };
        Rc::new(State {
            variables: variables.clone(),
            revision,
            is_closed: false,
        })
    }

    fn note(&mut self, start: usize, after: Rc<State>) {
        let before = std::mem::replace(&mut self.state, after.clone());
        let times = start..self.sim.time();
        self.history.acts.push(Act {
            times,
            before,
            after,
        });
    }

    /// Does something, and counts what else happened meanwhile.
    fn perform(&mut self, task: &Task) -> Result<(), Full> {
        if matches!(task, Task::Close) {
            self.map().end(layout::State::Closed);
            self.map = None;
            return Ok(());
        }
        let before = Look::at(self.map());
        let pages = self.sim.pages();
        let done = match task {
            Task::Change(changes) => self.change(changes),
            Task::Amend(key) => self.amend(key),
            task => {
                self.maintain(task);
                Ok(())
            }
        };
        if done.is_err() {
            assert!(self.sim.is_short(), "there is room");
            self.history.seen.refused += 1;
        }
        let after = Look::at(self.map());
        let seen = &mut self.history.seen;
        seen.growths += u32::from(after.bits > before.bits);
        seen.shrinks += u32::from(after.bits < before.bits);
        seen.reseeds += u32::from(after.seed != before.seed);
        seen.trims += u32::from(self.sim.pages() < pages);
        if !matches!(task, Task::Amend(_)) {
            seen.moves += before.moved(&after);
        }
        done
    }

    fn maintain(&mut self, task: &Task) {
        match task {
            Task::Rebuild { reseed } => self.rebuild(*reseed),
            Task::Recover => self.recover(),
            _ => while self.map().work() {},
        }
    }

    fn change(&mut self, changes: &Changes) -> Result<(), Full> {
        let (after, expected) = self.state.changed(changes);
        let stamp = stamp(self.state.revision + 1);
        let list: Vec<_> = changes
            .iter()
            .map(|(key, value)| match value {
                Some(value) => Change::Set(key, value, &stamp),
                None => Change::Delete(key),
            })
            .collect();
        let map = self.map.as_mut().expect("the map is in use");
        let (count, revision) = match list[..] {
            [Change::Set(key, value, stamp)] => {
                let set = map.set(key, value, stamp)?;
                (1, set.revision)
            }
            [Change::Delete(key)] => map.delete(&[key]),
            _ => map.apply(&list)?,
        };
        assert_eq!((count, revision.0), (expected, after.revision));
        if !self.sim.is_recording() {
            self.state = Rc::new(after);
        }
        Ok(())
    }

    fn amend(&mut self, key: &[u8]) -> Result<(), Full> {
        let old = self.state.variables.get(key);
        let new = old.map_or(Stamp::default(), |old| stamp(old.stamp.time + 1));
        let is_there = old.is_some();
        assert_eq!(self.map().amend(key, &new)?, is_there);
        Ok(())
    }

    fn rebuild(&mut self, reseed: bool) {
        let seed = match reseed {
            true => self.random.0 | 1,
            false => self.map().seed,
        };
        // One that is under way goes first.
        while self.map().work() {}
        let len = self.map().len();
        self.map().begin_rebuild(seed, len);
        for _ in 0..self.random.below(5) {
            self.map().work();
        }
    }

    fn recover(&mut self) {
        self.map = None;
        let after = self.state.clone();
        let settled = self.succeed(&after);
        assert_eq!(settled, after);
    }
}

/// The keys that a history is about, in a map with this seed.
fn keys(scenario: Scenario, seed: u64) -> Vec<Vec<u8>> {
    let tail = |n| if n % 4 == 0 { "/with/a/long/name" } else { "" };
    let keys = (0..).map(|n| format!("k{n}{}", tail(n)).into_bytes());
    match scenario {
        Scenario::Mixed => keys.take(48).collect(),
        Scenario::Sparse => keys.take(90).collect(),
        Scenario::Restless => keys.take(5).collect(),
        // The first line, also of tables that are four times as large as the smallest.
        Scenario::Crowded => keys
            .filter(|key| table::hash(key, seed).0 >> (32 - TABLE_BITS_MIN - 2) == 0)
            .take(24)
            .collect(),
    }
}

/// What can be told of a map from outside.
struct Look {
    bits: u32,
    seed: u64,
    /// Of each variable its block and revision.
    blocks: BTreeSet<(Id, Granule, u64)>,
}

impl Look {
    fn at(map: &Map<Sim>) -> Self {
        let revision = |block| crate::map::block::revision(&map.memory, block).0;
        Look {
            bits: map.table.bits,
            seed: map.seed,
            blocks: map
                .places
                .iter()
                .map(|(id, block)| (id, block, revision(block)))
                .collect(),
        }
    }

    /// How many variables stand elsewhere later, though they are the same.
    fn moved(&self, later: &Look) -> u32 {
        let same = |(id, block, revision): &&(Id, Granule, u64)| {
            self.blocks
                .iter()
                .any(|(old, from, at)| old == id && at == revision && from != block)
        };
        later.blocks.iter().filter(same).count() as u32
    }
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, more: Seen) {
        self.growths += more.growths;
        self.shrinks += more.shrinks;
        self.reseeds += more.reseeds;
        self.moves += more.moves;
        self.trims += more.trims;
        self.deaths += more.deaths;
        self.redone += more.redone;
        self.refused += more.refused;
    }
}
