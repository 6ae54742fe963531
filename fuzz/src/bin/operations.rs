//! Whatever is done with it, a map is a sorted table, also after recoveries.

#![no_main]

#[path = "../../../src/map/mod.rs"]
#[allow(dead_code, unused_imports, reason = "a target uses a part of it")]
mod map;
#[path = "../memory.rs"]
#[allow(dead_code, reason = "as above")]
mod memory;

use std::collections::BTreeMap;
use std::ops::Bound;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

use map::{Answer, Change, Full, Handle, Map, Process, Reader, Revision, Stamp};
use memory::{LIMITS, ORIGIN, Plain, key};

#[derive(Debug, Arbitrary)]
enum Step {
    Set(u8, Length, Kind),
    /// A row of keys.
    Fill(u8, u8, Length),
    Amend(u8, Kind),
    Delete(Vec<u8>),
    Apply(Vec<(u8, Option<Length>, Kind)>),
    Work,
    /// Lets only so many pages be reserved from now on.
    Room(u8),
    Recover,
    Look(u8),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Length {
    Short(u8),
    Long(u16),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct Kind {
    kind: u8,
    deadline: Option<u64>,
    process: Option<u32>,
    is_protected: bool,
}

impl Length {
    fn bytes(self, key: u8) -> Vec<u8> {
        let len = match self {
            Self::Short(len) => usize::from(len),
            Self::Long(len) => usize::from(len) % 20_000,
        };
        (0..len).map(|n| key.wrapping_add(n as u8)).collect()
    }
}

impl Kind {
    fn stamp(self) -> Stamp {
        Stamp {
            kind: self.kind,
            deadline: self.deadline,
            process: self.process.map(|pid| Process {
                pid,
                inode: u64::from(pid) << 3,
            }),
            protected: self.is_protected,
            ..Stamp::default()
        }
    }
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Stamp, Revision)>;

fn bytes(model: &Model) -> u64 {
    let sum: usize = model
        .iter()
        .map(|(key, (value, ..))| key.len() + value.len())
        .sum();
    sum as u64
}

/// Why a map with the content of `model` must refuse to become `wanted`, if it must.
fn refusal(model: &Model, wanted: &Model) -> Option<Full> {
    if bytes(wanted) > LIMITS.bytes && bytes(wanted) > bytes(model) {
        return Some(Full::Bytes);
    }
    let grows = wanted.len() > model.len();
    (grows && wanted.len() as u64 > LIMITS.variables).then_some(Full::Variables)
}

/// What is wanted is done, or was rightly refused.
fn settle<T>(model: &mut Model, wanted: Model, result: Result<T, Full>) {
    match (result, refusal(model, &wanted)) {
        (Ok(_), None) => *model = wanted,
        // There is little memory.
        (Err(Full::Memory(_)), _) => {}
        (Err(full), expected) => assert_eq!(Some(full), expected),
        (Ok(_), Some(full)) => panic!("it should have been refused: {full:?}"),
    }
}

fn check(map: &Map<Plain>, model: &Model) {
    let content = map.from(Bound::Unbounded).map(|entry| {
        let content = (entry.value().to_vec(), entry.stamp(), entry.revision());
        (entry.key().to_vec(), content)
    });
    assert!(
        content.eq(model
            .iter()
            .map(|(key, content)| (key.clone(), content.clone())))
    );
    assert_eq!((map.len(), map.bytes()), (model.len() as u64, bytes(model)));
    let mut order: Vec<_> = model
        .iter()
        .map(|(key, (.., revision))| (*revision, key))
        .collect();
    order.sort();
    let after = map.after(Revision(0)).filter_map(|(_, entry)| entry);
    assert!(
        after
            .map(|entry| entry.key().to_vec())
            .eq(order.iter().map(|(_, key)| (*key).clone()))
    );
}

fuzz_target!(|steps: Vec<Step>| {
    let memory = Plain::new();
    let reader = Reader::new(memory.clone());
    let mut map = Map::create(memory.clone(), LIMITS, ORIGIN, 4).expect("there is memory");
    let mut model = Model::new();
    let mut handle = Handle::new(&key(7));
    let mut value = Vec::new();
    for step in steps.into_iter().take(300) {
        let next = Revision(map.revision().0 + 1);
        let mut wanted = model.clone();
        match step {
            Step::Set(number, length, kind) => {
                let content = (length.bytes(number), kind.stamp(), next);
                wanted.insert(key(number), content.clone());
                let result = map.set(&key(number), &content.0, &content.1);
                settle(&mut model, wanted, result);
            }
            Step::Fill(from, count, length) => {
                for number in from..from.saturating_add(count) {
                    let next = Revision(map.revision().0 + 1);
                    let content = (length.bytes(number), Stamp::default(), next);
                    let mut wanted = model.clone();
                    wanted.insert(key(number), content.clone());
                    let result = map.set(&key(number), &content.0, &content.1);
                    settle(&mut model, wanted, result);
                }
            }
            Step::Amend(number, kind) => {
                let entry = wanted.get_mut(&key(number));
                let is_there = entry.map(|content| content.1 = kind.stamp()).is_some();
                match map.amend(&key(number), &kind.stamp()) {
                    Ok(was_there) => {
                        assert_eq!(was_there, is_there);
                        model = wanted;
                    }
                    Err(full) => assert!(matches!(full, Full::Memory(_))),
                }
            }
            Step::Delete(numbers) => {
                let keys: Vec<Vec<u8>> = numbers.into_iter().map(key).collect();
                let mut count = 0;
                for key in &keys {
                    count += u64::from(wanted.remove(key).is_some());
                }
                let revision = if count > 0 { next } else { map.revision() };
                assert_eq!(map.delete(&keys), (count, revision));
                model = wanted;
            }
            Step::Apply(changes) => {
                let changes: BTreeMap<_, _> = changes
                    .into_iter()
                    .map(|(number, length, kind)| {
                        let value = length.map(|length| length.bytes(number));
                        (key(number), (value, kind.stamp()))
                    })
                    .collect();
                for (key, (value, stamp)) in &changes {
                    match value {
                        Some(value) => {
                            drop(wanted.insert(key.clone(), (value.clone(), *stamp, next)))
                        }
                        None => drop(wanted.remove(key)),
                    }
                }
                let changes: Vec<Change<'_>> = changes
                    .iter()
                    .map(|(key, (value, stamp))| match value {
                        Some(value) => Change::Set(key, value, stamp),
                        None => Change::Delete(key),
                    })
                    .collect();
                let result = map.apply(&changes);
                settle(&mut model, wanted, result);
            }
            Step::Work => drop(map.work()),
            Step::Room(pages) => memory.room.set(u32::from(pages)),
            Step::Recover => {
                drop(map);
                let Ok((recovered, found)) = Map::recover(memory.clone(), LIMITS, 5, |_| ()) else {
                    panic!("what is in order can be recovered");
                };
                assert_eq!((found.variables, found.dropped), (model.len() as u64, 0));
                assert!(!found.broken_record);
                map = recovered;
                check(&map, &model);
            }
            Step::Look(number) => {
                let expected = model.get(&key(number));
                let answer = reader.get(&key(number), &mut value);
                match expected {
                    Some((expected, _, revision)) => {
                        assert_eq!(answer, Answer::Found(*revision));
                        assert_eq!(value, *expected);
                    }
                    None => assert_eq!(answer, Answer::Absent),
                }
                reader.refresh(&mut handle);
                let expected = model.get(&key(7)).map_or(&[][..], |(value, ..)| value);
                assert_eq!(handle.value(), expected);
            }
        }
    }
    check(&map, &model);
});
