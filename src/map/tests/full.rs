//! A map that is full, and one that somebody tries to make seem so.

use super::sim::Sim;
use crate::map::batch::Change;
use crate::map::layout::{CHANGES_MAX, SLOTS};
use crate::map::{Full, Limits, Map, Origin, SIMILAR_MAX, Stamp, table};

const LIMITS: Limits = Limits {
    variables: 10_000,
    bytes: 10 << 20,
};

fn new_map(pages: usize) -> (Sim, Map<Sim>) {
    let sim = Sim::new(pages);
    let origin = Origin {
        instance: 1,
        born: 2,
    };
    let map = Map::create(sim.clone(), LIMITS, origin, 3).unwrap();
    (sim, map)
}

fn key(n: u32) -> Vec<u8> {
    format!("key/{n}").into_bytes()
}

/// Sets variables until that is refused; returns how many there are, and why it was.
fn fill(map: &mut Map<Sim>, len: usize) -> (u32, Full) {
    let value = vec![7; len];
    let refused = |n: u32| Some((n, map.set(&key(n), &value, &Stamp::default()).err()?));
    (0..).find_map(refused).unwrap()
}

#[test]
fn without_memory_nothing_is_lost_and_deleting_works() {
    for len in [10, 1000, 50_000] {
        let (sim, mut map) = new_map(2000);
        sim.limit(100);
        let (count, why) = fill(&mut map, len);
        assert!(matches!(why, Full::Memory(bytes) if bytes > 0));
        assert!(count > 5);
        assert_eq!(map.len(), u64::from(count));
        map.check();
        let keys: Vec<_> = (0..count / 2).map(key).collect();
        assert_eq!(map.delete(&keys).0, u64::from(count / 2));
        assert_eq!(map.delete(&[key(count - 1)]).0, 1);
        map.check();
        map.set(b"again", &vec![1; len], &Stamp::default()).unwrap();
    }
}

/// The table grew with the number of changes, not with that of their keys: a change of thousands of
/// new keys found no slots, and neither did many such changes in a row.
#[test]
fn changes_of_many_new_keys_find_room() {
    for count in [20, 500, CHANGES_MAX] {
        let (_, mut map) = new_map(4000);
        let mut keys: Vec<_> = (0..LIMITS.variables as u32).map(key).collect();
        keys.sort_unstable();
        let stamp = Stamp::default();
        for some in keys.chunks(count) {
            let changes: Vec<_> = some
                .iter()
                .map(|key| Change::Set(key, b"v", &stamp))
                .collect();
            let (done, _) = map.apply(&changes).expect("there is room");
            assert_eq!(done, some.len() as u64);
        }
        map.check();
    }
}

#[test]
fn a_change_of_several_for_which_there_is_no_memory_changes_nothing() {
    let (sim, mut map) = new_map(2000);
    map.set(b"a", b"1", &Stamp::default()).unwrap();
    sim.limit(40);
    let value = vec![7; 100_000];
    let keys: Vec<_> = (0..9).map(key).collect();
    let stamp = Stamp::default();
    let mut changes = vec![Change::Delete(b"a")];
    changes.extend(keys.iter().map(|key| Change::Set(key, &value, &stamp)));
    assert!(matches!(map.apply(&changes), Err(Full::Memory(_))));
    assert_eq!((map.len(), map.revision().0), (1, 1));
    map.check();
    // What was taken for the first of them was given back.
    assert!(map.set(b"b", &value, &stamp).is_ok());
}

#[test]
fn a_file_that_is_full_is_told_apart_from_its_limits() {
    let (_sim, mut map) = new_map(300);
    let (_, why) = fill(&mut map, 20_000);
    assert!(matches!(why, Full::Memory(bytes) if bytes < 300 * 4096));
}

/// Keys whose search begins in the same line of the present table, or of any that is smaller.
fn similar(map: &Map<Sim>, name: &str) -> impl Iterator<Item = Vec<u8>> + use<> {
    let (bits, seed) = (map.table.bits.max(8), map.seed);
    let name = name.to_owned();
    (0_u32..)
        .map(move |n| format!("{name}/{n}").into_bytes())
        .filter(move |key| table::hash(key, seed).0 >> (32 - bits) == 5)
}

#[test]
fn keys_that_are_chosen_to_collide_get_a_table_with_other_hashes() {
    let (_sim, mut map) = new_map(2000);
    let seed = map.seed;
    let crowd = SIMILAR_MAX as usize + 20;
    for key in similar(&map, "first").take(crowd) {
        map.set(&key, b"", &Stamp::default()).unwrap();
    }
    assert_ne!(map.seed, seed);
    assert_eq!(map.len(), crowd as u64);
    map.check();
}

#[test]
fn colliding_keys_neither_grow_the_table_beyond_need_nor_make_it_anew_all_the_time() {
    let (_sim, mut map) = new_map(4000);
    let (mut refused, mut seeds) = (0, vec![map.seed]);
    for round in 0..200 {
        // Whoever attacks can read the seed.
        let crowd: Vec<_> = similar(&map, &format!("round/{round}")).take(40).collect();
        for key in crowd {
            refused += u32::from(map.set(&key, b"", &Stamp::default()) == Err(Full::Crowded));
            if seeds.last() != Some(&map.seed) {
                seeds.push(map.seed);
            }
        }
    }
    map.check();
    let slots = SLOTS as u64 * map.table.lines() as u64;
    assert!(
        slots < 8 * map.len(),
        "{slots} slots for {} keys",
        map.len()
    );
    assert!(
        seeds.len() < 100,
        "{} tables, {refused} refused",
        seeds.len()
    );
}

/// Sets all of these by one change; returns how many that were.
fn set_at_once(map: &mut Map<Sim>, mut keys: Vec<Vec<u8>>) -> Result<u64, Full> {
    keys.sort_unstable();
    let stamp = Stamp::default();
    let set = |key| Change::Set(key, b"", &stamp);
    let changes: Vec<_> = keys.iter().map(|key| set(key.as_slice())).collect();
    map.apply(&changes).map(|(count, _)| count)
}

/// The table with other hashes had the size for the keys before the change, so the attack left it
/// full, and everybody's next keys were refused.
#[test]
fn after_colliding_keys_there_is_room_for_others() {
    let (_sim, mut map) = new_map(4000);
    let seed = map.seed;
    let crowd: Vec<_> = similar(&map, "crowd").take(460).collect();
    assert_eq!(set_at_once(&mut map, crowd), Ok(460));
    assert_ne!(map.seed, seed);
    for n in 0..500 {
        map.set(&key(n), b"", &Stamp::default()).unwrap();
    }
    map.check();
}

/// After it was made with other hashes the table did not grow for as many changes as it had lines,
/// however many keys came by each.
#[test]
fn after_colliding_keys_there_is_room_for_many_at_once() {
    let (_sim, mut map) = new_map(4000);
    let seed = map.seed;
    for key in similar(&map, "crowd") {
        map.set(&key, b"", &Stamp::default()).unwrap();
        if map.seed != seed {
            break;
        }
    }
    let many = (0..CHANGES_MAX as u32).map(key).collect();
    assert_eq!(set_at_once(&mut map, many), Ok(CHANGES_MAX as u64));
    map.check();
}
