//! Whatever a segment holds, recovery either refuses it or makes a map of it that is in order.

#![no_main]

#[path = "../../../src/map/mod.rs"]
#[allow(dead_code, unused_imports, reason = "a target uses a part of it")]
mod map;
#[path = "../memory.rs"]
#[allow(dead_code, reason = "as above")]
mod memory;

use std::ops::Bound;

use libfuzzer_sys::fuzz_target;

use map::{Answer, Map, Reader, Revision, Stamp};
use memory::{Damage, LIMITS, Plain, key, sample};

thread_local! {
    static SAMPLE: Plain = sample().1;
}

/// Keys, values and revisions, in the order of the keys.
fn content(map: &Map<Plain>) -> Vec<(Vec<u8>, Vec<u8>, Revision)> {
    map.from(Bound::Unbounded)
        .map(|entry| {
            let value = entry.value().to_vec();
            (entry.key().to_vec(), value, entry.revision())
        })
        .collect()
}

/// Everybody sees the same.
fn check(map: &Map<Plain>) {
    let content = content(map);
    assert_eq!(content.len() as u64, map.len());
    assert!(content.is_sorted_by(|a, b| a.0 < b.0));
    let bytes = content
        .iter()
        .map(|(key, value, _)| key.len() + value.len());
    assert_eq!(bytes.sum::<usize>() as u64, map.bytes());
    let reader = Reader::new(map.memory().clone());
    let mut found = Vec::new();
    for (key, value, revision) in &content {
        assert_eq!(reader.get(key, &mut found), Answer::Found(*revision));
        assert_eq!(found, *value);
        assert!(map.get(key).is_some_and(|entry| entry.has_value(value)));
        assert!(*revision <= map.revision());
    }
    let after = map.after(Revision(0)).filter_map(|(_, entry)| entry);
    assert_eq!(after.count(), content.len());
}

fuzz_target!(|damages: Vec<Damage>| {
    let memory = SAMPLE.with(Plain::copied);
    for damage in &damages {
        damage.apply(&memory);
    }
    let Ok((mut map, found)) = Map::recover(memory.clone(), LIMITS, 5, |_| ()) else {
        return;
    };
    assert_eq!(found.variables, map.len());
    check(&map);
    for number in 0..80 {
        // It may have come to the end of its memory.
        if number % 3 == 0 {
            map.delete(&[key(number)]);
        } else if map
            .set(&key(number), &[number; 40], &Stamp::default())
            .is_ok()
        {
            assert!(
                map.get(&key(number))
                    .is_some_and(|entry| entry.has_value(&[number; 40]))
            );
        }
    }
    while map.work() {}
    check(&map);
    let before = content(&map);
    drop(map);
    let Ok((map, found)) = Map::recover(memory, LIMITS, 6, |_| ()) else {
        panic!("what was in order can be recovered");
    };
    assert_eq!((found.dropped, found.broken_record), (0, false));
    assert_eq!(content(&map), before);
});
