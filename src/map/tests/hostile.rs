//! Readers and recovery trust no byte: whatever a segment holds, they come to an end, and recovery
//! keeps what is not damaged. Nobody touches a word outside: whoever implements `Words` sees to it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::history::{History, LIMITS, Scenario, State};
use super::sim::Sim;
use crate::map::block::Head;
use crate::map::layout::{
    CHANGES_MAX, FIRST_PAGE, MAGIC, Meta, PAGE, PROBE_LINES, REDO, REDO_FIRST, ROOT, SLOTS, STATE,
    TABLE_BITS_MIN, Table, VERSION, header,
};
use crate::map::reader::{Answer, Handle, Reader};
use crate::map::recovery::Found;
use crate::map::words::Words;
use crate::map::{Map, Revision, Stamp};

/// Loads that an attempt of a reader takes at most, beside those of the value: for each slot its
/// word twice, the block's head and key, and what is looked at again.
const ATTEMPT_LOADS: usize = PROBE_LINES * (1 + SLOTS * (2 + 1 + 32 + 2 * 4)) + 5;

/// How often a reader begins again at most.
const ATTEMPTS: usize = 256;

/// Memory that is read by somebody who must come to an end within it.
struct Watched<'s> {
    sim: &'s Sim,
    loads: Cell<usize>,
}

impl Words for &Watched<'_> {
    fn lend(&self) -> impl Words {
        *self
    }

    fn len(&self) -> usize {
        self.sim.len()
    }

    fn load(&self, word: usize) -> u64 {
        self.loads.set(self.loads.get() + 1);
        assert!(
            self.loads.get() <= ATTEMPTS * (ATTEMPT_LOADS + self.sim.len()),
            "there is no end of reading"
        );
        self.sim.load(word)
    }

    fn acquire(&self) {}
}

/// A word that has become another.
#[derive(Debug, Clone)]
struct Damage {
    place: Place,
    how: How,
}

#[derive(Debug, Clone)]
enum Place {
    Header(Index),
    Redo(Index),
    Table(Index),
    Anywhere(Index),
}

#[derive(Debug, Clone)]
enum How {
    Flip(u32),
    Becomes(u64),
    /// Becomes what another word of the table is.
    Copy(Index),
}

impl Damage {
    fn apply(&self, sim: &Sim, table: Table) {
        let in_table = |index: &Index| table.first_word() + index.index(table.words());
        let word = match &self.place {
            Place::Header(index) => index.index(REDO_FIRST),
            Place::Redo(index) => REDO_FIRST + index.index(16),
            Place::Table(index) => in_table(index),
            Place::Anywhere(index) => index.index(sim.len()),
        };
        let value = match &self.how {
            How::Flip(bit) => sim.load(word) ^ 1 << bit,
            How::Becomes(value) => *value,
            How::Copy(index) => sim.load(in_table(index)),
        };
        sim.put(word, value);
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    let place = prop_oneof![
        2 => index().prop_map(Place::Header),
        1 => index().prop_map(Place::Redo),
        4 => index().prop_map(Place::Table),
        4 => index().prop_map(Place::Anywhere),
    ];
    let how = prop_oneof![
        (0..64_u32).prop_map(How::Flip),
        word().prop_map(How::Becomes),
        index().prop_map(How::Copy),
    ];
    (place, how).prop_map(|(place, how)| Damage { place, how })
}

/// A word of a kind that may mean something.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..5000_u64,
        Just(u64::MAX),
        (any::<u32>(), 0..20_000_u64).prop_map(|(hash, block)| u64::from(hash) << 32 | block),
        (0..6_u64, 0..300_u64, 0..100_000_u64)
            .prop_map(|(flags, key, value)| flags << 48 | key << 32 | value),
    ]
}

/// The memory that a random history leaves, its state, and its table.
fn left_by(scenario: Scenario, seed: u64) -> (Sim, State, Table) {
    let history = (seed..)
        .map(|seed| History::random(scenario, seed, 30))
        .find(|history| !history.last().is_closed)
        .expect("most are not closed");
    let sim = history.start.copied();
    sim.play(&history.log, 0..history.len());
    let table = Table::from_root(sim.load(ROOT)).expect("it has a table");
    (sim, history.last().clone(), table)
}

/// Reads everything there is, and some things there are not.
fn read_all(sim: &Sim, state: &State) {
    let missing = [&b""[..], b"nobody", &[7; 255], &[7; 256]].map(<[u8]>::to_vec);
    let mut value = Vec::new();
    for key in state.variables.keys().chain(&missing) {
        let loads = Cell::new(0);
        let watched = Watched { sim, loads };
        let reader = Reader::new(&watched);
        let mut handle = Handle::new(key);
        let answer = reader.get(key, &mut value);
        watched.loads.set(0);
        assert_eq!(reader.get_cached(&mut handle, &mut value), answer);
        watched.loads.set(0);
        let is_unchanged = matches!(answer, Answer::Found(_));
        assert_eq!(reader.has_changed(&handle), !is_unchanged);
        reader.is_served();
        let _ = reader.scan(|_| true);
    }
}

/// Takes over what is there, if that can be done, and works with it.
fn take_over(sim: &Sim) -> Option<(Map<Sim>, Found)> {
    sim.reserve_all();
    let (map, found) = Map::recover(sim.clone(), LIMITS, 3, |_| ()).ok()?;
    map.check();
    Some((map, found))
}

fn work_with(map: &mut Map<Sim>) {
    for n in 0..60_u8 {
        let key = [b'k', n];
        map.set(&key, &[n; 20], &Stamp::default()).ok();
        if n % 3 == 0 {
            map.delete(&[key]);
        }
    }
    while map.work() {}
    map.check();
}

/// Whether a map, and a reader of it, has all variables of a state but some.
fn keeps(map: &Map<Sim>, state: &State, but: &BTreeSet<Vec<u8>>) {
    let reader = Reader::new(map.memory().clone());
    let mut value = Vec::new();
    for (key, variable) in &state.variables {
        let expected = match but.contains(key) {
            true => Answer::Absent,
            false => Answer::Found(Revision(variable.revision)),
        };
        assert_eq!(reader.get(key, &mut value), expected);
        if expected != Answer::Absent {
            assert_eq!(value, variable.value);
        }
        assert_eq!(map.get(key).is_none(), but.contains(key));
    }
}

fn cases() -> ProptestConfig {
    let asked = std::env::var("GLOBSTASH_SEEDS").ok();
    ProptestConfig::with_cases(asked.and_then(|cases| cases.parse().ok()).unwrap_or(200))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_damaged_map_harms_nobody(
        seed in any::<u64>(),
        damages in prop::collection::vec(damage(), 1..20),
    ) {
        let (sim, state, table) = left_by(Scenario::Mixed, seed);
        damages.iter().for_each(|damage| damage.apply(&sim, table));
        read_all(&sim, &state);
        if let Some((mut map, _)) = take_over(&sim) {
            work_with(&mut map);
        }
    }

    #[test]
    fn a_segment_of_arbitrary_words_harms_nobody(
        words in prop::collection::vec(word(), 1..200),
        bits in TABLE_BITS_MIN..8,
        redo in prop::option::of(0..2 * CHANGES_MAX as u64),
    ) {
        let sim = Sim::new(48);
        for (word, value) in (PAGE..sim.len()).zip(words.iter().cycle()) {
            sim.put(word, value.rotate_left(word as u32 & 1));
        }
        let table = Table { page: FIRST_PAGE, bits };
        for (word, value) in [
            (header::MAGIC, MAGIC),
            (header::VERSION, VERSION),
            (header::WORDS, sim.len() as u64),
            (STATE, 1),
            (ROOT, table.to_root(1)),
            (REDO, redo.unwrap_or(0)),
        ] {
            sim.put(word, value);
        }
        read_all(&sim, &State::default());
        if let Some((mut map, _)) = take_over(&sim) {
            work_with(&mut map);
        }
    }

    #[test]
    fn a_damaged_block_is_dropped_and_no_other(
        seed in any::<u64>(),
        damages in prop::collection::vec((any::<Index>(), any::<Index>(), 0..64_u32), 1..5),
    ) {
        let (sim, state, _) = left_by(Scenario::Mixed, seed);
        prop_assume!(!state.variables.is_empty());
        let (map, _) = take_over(&sim).expect("nothing is damaged yet");
        let mut gone = BTreeSet::new();
        for (which, word, bit) in damages {
            let (key, _) = state.variables.iter().nth(which.index(state.variables.len())).unwrap();
            if gone.insert(key.clone()) {
                let block = map.get(key).unwrap().place();
                let len = Head::read(&sim, block).words();
                let word = block.word() + word.index(len);
                sim.put(word, sim.load(word) ^ 1 << bit);
            }
        }
        let (mut map, found) = take_over(&sim).expect("the header is as it was");
        assert_eq!(found.dropped, gone.len() as u64);
        keeps(&map, &state, &gone);
        work_with(&mut map);
    }

    #[test]
    fn a_damaged_slot_loses_its_variable_and_no_other(
        seed in any::<u64>(),
        damages in prop::collection::vec((any::<Index>(), prop_oneof![0..2_u64, any::<u64>()]), 1..5),
    ) {
        let (sim, state, table) = left_by(Scenario::Mixed, seed);
        let (map, _) = take_over(&sim).expect("nothing is damaged yet");
        let place = |key: &Vec<u8>| (map.get(key).unwrap().place(), key.clone());
        let keys: BTreeMap<_, _> = state.variables.keys().map(place).collect();
        let mut gone = BTreeSet::new();
        for (slot, value) in damages {
            let slot = table.line(slot.index(table.lines())) + slot.index(SLOTS);
            gone.extend(keys.get(&Meta::from_word(sim.load(slot)).block).cloned());
            sim.put(slot, value);
        }
        let (mut map, _) = take_over(&sim).expect("the header is as it was");
        keeps(&map, &state, &gone);
        work_with(&mut map);
    }
}

#[test]
fn a_stale_double_of_a_variable_gives_way() {
    let (sim, ..) = left_by(Scenario::Restless, 1);
    let (mut map, _) = take_over(&sim).expect("it is a map");
    let value = |byte| [byte; 3000]; // In pages of its own, which become free.
    map.set(b"key", &value(1), &Stamp::default()).unwrap();
    let stale = map.get(b"key").unwrap().place();
    let stale_word = (0..sim.len())
        .map(|word| sim.load(word))
        .find(|word| *word as u32 == stale.0 && *word >> 32 != 0)
        .expect("it is in the table");
    map.set(b"key", &value(2), &Stamp::default()).unwrap();
    let slot = map.free_slot(b"key");
    drop(map);
    sim.put(slot, stale_word);
    let (mut map, found) = take_over(&sim).expect("the header is as it was");
    assert_eq!(found.dropped, 1);
    assert!(map.get(b"key").unwrap().has_value(&value(2)));
    map.set(b"other", &value(3), &Stamp::default()).unwrap();
    map.check();
}
