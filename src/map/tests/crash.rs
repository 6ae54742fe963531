//! A crash after every store: whoever takes over finds every change that was acknowledged, and the
//! one in flight wholly or not at all.

use super::history::{Act, History, LIMITS, Random, Scenario, Seen, State, seeds};
use super::sim::Sim;
use crate::map::layout::{FIRST_PAGE, PAGE, REDO};
use crate::map::recovery::Unfit;
use crate::map::words::Words;
use crate::map::{Map, Origin, Revision, Stamp};

/// Every so many crashes, recovery crashes as well.
const CRASH_AGAIN: usize = 3;

/// Every so many crashes, whoever takes over goes on working.
const GO_ON: usize = 29;

/// What was checked.
#[derive(Debug, Default)]
pub(super) struct Figures {
    crashes: usize,
    again: usize,
    with_redo: usize,
    seen: Seen,
}

/// Crashes a history after each of its stores.
pub(super) fn crash_everywhere(history: &History, seed: u64, figures: &mut Figures) {
    let mut place = Place {
        memory: history.start.copied(),
        random: Random(seed),
        figures,
    };
    let mut time = 0;
    for act in &history.acts {
        let mut is_done = false;
        for next in act.times.clone() {
            place.memory.play(&history.log, time..next);
            time = next;
            is_done = place.crash(act, is_done);
        }
        place.memory.play(&history.log, time..act.times.end);
        time = act.times.end;
        // All of it is there before it is acknowledged.
        let acknowledged = Act {
            before: act.after.clone(),
            ..act.clone()
        };
        place.crash(&acknowledged, true);
    }
    figures.seen += history.seen;
}

/// The memory at the time of a crash.
struct Place<'f> {
    memory: Sim,
    random: Random,
    figures: &'f mut Figures,
}

impl Place<'_> {
    /// Takes over now, in the middle of an act; returns whether that is done. What was done before
    /// must not be undone.
    fn crash(&mut self, act: &Act, was_done: bool) -> bool {
        self.figures.crashes += 1;
        self.figures.with_redo += usize::from(self.memory.load(REDO) != 0);
        self.memory.record();
        if self.figures.crashes.is_multiple_of(CRASH_AGAIN) {
            self.crash_again();
        }
        let is_done = self.take_over(act);
        assert!(is_done || !was_done, "what could be seen is gone");
        self.memory.rewind(0);
        is_done
    }

    /// A recovery that does not come to its end.
    fn crash_again(&mut self) {
        let life = self.random.below(8) << self.random.below(6);
        let memory = self.memory.clone();
        let recover = || drop(Map::recover(memory, LIMITS, 1, |_| ()));
        let end = self.memory.dies_after(life, recover);
        self.figures.again += usize::from(end.is_none());
    }

    fn take_over(&mut self, act: &Act) -> bool {
        let (before, after) = (&*act.before, &*act.after);
        let (map, found) = match Map::recover(self.memory.clone(), LIMITS, 1, |_| ()) {
            Ok(recovered) => recovered,
            Err(unfit) => {
                assert!(after.is_closed && matches!(unfit, Unfit::Ended(_)));
                return true;
            }
        };
        assert_eq!((found.dropped, found.broken_record), (0, false));
        let used = FIRST_PAGE as usize + map.arena.bytes() as usize / (PAGE * 8);
        assert_eq!(self.memory.pages(), used, "memory is kept that nobody uses");
        let revision = map.revision().0;
        let taken = before.revision..=after.revision.max(before.revision);
        assert!(taken.contains(&revision), "the revision went back, or on");
        let is_done = !after.is_closed && revision == after.revision && after.is_in(&map);
        let is_undone = !before.is_closed && before.is_in(&map);
        assert!(is_done || is_undone, "half of a change is there");
        if self.figures.crashes.is_multiple_of(GO_ON) {
            let state = if is_done { after } else { before };
            go_on(map, state.clone(), &mut self.random);
        }
        is_done
    }
}

/// Who has taken over can work as before.
fn go_on(mut map: Map<Sim>, mut state: State, random: &mut Random) {
    map.check();
    state.revision = map.revision().0;
    let keys: Vec<_> = state.variables.keys().cloned().collect();
    for key in keys {
        match random.below(4) {
            0 => assert_eq!(map.delete(&[&key]).0, u64::from(state.delete(&key))),
            1 => {
                let set = map.set(&key, b"other", &Stamp::default());
                let revision = state.set(&key, b"other", Stamp::default());
                assert_eq!(set.map(|set| set.revision), Ok(Revision(revision)));
            }
            _ => {}
        }
    }
    while map.work() {}
    map.check();
    assert!(state.is_in(&map), "the successor does something else");
}

fn crash_seeds(scenario: Scenario, usual: u64, len: usize) -> Figures {
    let mut figures = Figures::default();
    for seed in seeds(usual) {
        let history = History::random(scenario, seed, len);
        crash_everywhere(&history, seed, &mut figures);
    }
    println!("{scenario:?}: {figures:?}");
    figures
}

#[test]
fn a_crash_after_any_store_loses_nothing() {
    let figures = crash_seeds(Scenario::Mixed, 100, 30);
    let seen = figures.seen;
    assert!(seen.growths > 0 && seen.shrinks > 0 && seen.reseeds > 0);
    assert!(seen.deaths > 0 && seen.redone > 0 && seen.refused > 0);
    assert!(figures.with_redo > 0 && figures.again > 0);
}

#[test]
fn a_crash_in_lines_that_overflow_loses_nothing() {
    let figures = crash_seeds(Scenario::Crowded, 20, 30);
    assert!(figures.seen.growths > 0);
}

#[test]
fn a_crash_while_slabs_are_emptied_and_given_back_loses_nothing() {
    let seen = crash_seeds(Scenario::Sparse, 5, 30).seen;
    assert!(seen.moves > 0 && seen.trims > 0);
}

#[test]
fn a_crash_while_a_map_is_made_leaves_no_map_or_an_empty_one() {
    let origin = Origin {
        instance: 7,
        born: 8,
    };
    for life in 0.. {
        let sim = Sim::new(32);
        let memory = sim.clone();
        let create = || drop(Map::create(memory, LIMITS, origin, 9));
        let end = sim.dies_after(life, create);
        match Map::recover(sim, LIMITS, 1, |_| ()) {
            Err(unfit) => assert!(unfit == Unfit::NoMap && end.is_none()),
            Ok((map, _)) => {
                assert_eq!((map.origin(), map.len()), (origin, 0));
                return;
            }
        }
    }
}
