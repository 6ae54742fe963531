//! The map does what a sorted table would, whatever is asked of it, and also when it is taken over
//! in between.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;

use super::sim::Sim;
use crate::map::batch::Change;
use crate::map::reader::{Answer, Reader};
use crate::map::{Full, Limits, Map, Origin, Process, Revision, Stamp};

const LIMITS: Limits = Limits {
    variables: 600,
    bytes: 400_000,
};

/// The same promises, kept in the plainest way.
#[derive(Default)]
struct Model {
    variables: BTreeMap<Vec<u8>, (Vec<u8>, u64, Stamp)>,
    revision: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Set(Vec<u8>, Vec<u8>, Stamp),
    Delete(Vec<u8>),
    DeleteMany(Vec<Vec<u8>>),
    Apply(BTreeMap<Vec<u8>, Option<(Vec<u8>, Stamp)>>),
    Amend(Vec<u8>, Stamp),
    Fill(u16),
    Recover,
    Work,
}

impl Model {
    fn bytes(&self) -> u64 {
        let len = |(key, (value, ..)): (&Vec<u8>, &(Vec<u8>, u64, Stamp))| key.len() + value.len();
        self.variables.iter().map(|entry| len(entry) as u64).sum()
    }

    /// Makes changes, all or none; `None` deletes.
    fn apply(
        &mut self,
        changes: &BTreeMap<Vec<u8>, Option<(Vec<u8>, Stamp)>>,
    ) -> Result<(u64, u64), Full> {
        let mut after = Model {
            variables: self.variables.clone(),
            revision: self.revision + 1,
        };
        let mut count = 0;
        for (key, change) in changes {
            count += u64::from(match change {
                Some((value, stamp)) => {
                    let entry = (value.clone(), after.revision, *stamp);
                    after.variables.insert(key.clone(), entry);
                    true
                }
                None => after.variables.remove(key).is_some(),
            });
        }
        if after.bytes() > LIMITS.bytes && after.bytes() > self.bytes() {
            return Err(Full::Bytes);
        }
        let (len, before) = (after.variables.len(), self.variables.len());
        if len as u64 > LIMITS.variables && len > before {
            return Err(Full::Variables);
        }
        if count > 0 {
            *self = after;
        }
        Ok((count, self.revision))
    }
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(b'a'..b'd', 1..4),
        1 => prop::collection::vec(any::<u8>(), 1..=255),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..60),
        1 => (any::<u8>(), 0..40_000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn stamp() -> impl Strategy<Value = Stamp> {
    let process = any::<(u32, u64)>().prop_map(|(pid, inode)| Process { pid, inode });
    let numbers = any::<(u64, u32, u32, u32, u32, u8, bool)>();
    (numbers, any::<Option<u64>>(), prop::option::of(process)).prop_map(
        |((time, owner, setter, uid, pid, kind, protected), deadline, process)| Stamp {
            time,
            owner,
            setter,
            uid,
            pid,
            kind,
            protected,
            deadline,
            process,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let change = prop::option::weighted(0.7, (value(), stamp()));
    prop_oneof![
        8 => (key(), value(), stamp()).prop_map(|(key, value, stamp)| Step::Set(key, value, stamp)),
        3 => key().prop_map(Step::Delete),
        1 => prop::collection::vec(key(), 0..8).prop_map(Step::DeleteMany),
        2 => prop::collection::btree_map(key(), change, 0..12).prop_map(Step::Apply),
        1 => (key(), stamp()).prop_map(|(key, stamp)| Step::Amend(key, stamp)),
        1 => (0..700_u16).prop_map(Step::Fill),
        1 => Just(Step::Recover),
        1 => Just(Step::Work),
    ]
}

struct Pair {
    sim: Sim,
    map: Map<Sim>,
    model: Model,
}

impl Pair {
    fn new() -> Self {
        let sim = Sim::new(600);
        let origin = Origin {
            instance: 7,
            born: 8,
        };
        Pair {
            map: Map::create(sim.clone(), LIMITS, origin, 9).unwrap(),
            sim,
            model: Model::default(),
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8], stamp: Stamp) {
        let change = BTreeMap::from([(key.to_vec(), Some((value.to_vec(), stamp)))]);
        let old = self.model.variables.get(key).map(|entry| Revision(entry.1));
        let expected = self.model.apply(&change);
        let set = self.map.set(key, value, &stamp);
        if let Ok(set) = &set {
            assert_eq!(set.old, old);
        }
        assert_eq!(set.map(|set| (1, set.revision.0)), expected);
    }

    fn apply(&mut self, changes: &BTreeMap<Vec<u8>, Option<(Vec<u8>, Stamp)>>) {
        let list: Vec<_> = changes
            .iter()
            .map(|(key, change)| match change {
                Some((value, stamp)) => Change::Set(key, value, stamp),
                None => Change::Delete(key),
            })
            .collect();
        let applied = self.map.apply(&list);
        let applied = applied.map(|(count, revision)| (count, revision.0));
        assert_eq!(applied, self.model.apply(changes));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Set(key, value, stamp) => self.set(&key, &value, stamp),
            Step::Delete(key) => {
                let deleted = self.map.delete(&[&key]);
                let expected = self.model.apply(&BTreeMap::from([(key, None)])).unwrap();
                assert_eq!((deleted.0, deleted.1.0), expected);
            }
            Step::DeleteMany(keys) => {
                let deleted = self.map.delete(&keys);
                let changes = keys.into_iter().map(|key| (key, None)).collect();
                let expected = self.model.apply(&changes).unwrap();
                assert_eq!((deleted.0, deleted.1.0), expected);
            }
            Step::Apply(changes) => self.apply(&changes),
            Step::Amend(key, stamp) => {
                let amended = self.map.amend(&key, &stamp).unwrap();
                let entry = self.model.variables.get_mut(&key);
                assert_eq!(amended, entry.is_some());
                if let Some(entry) = entry {
                    entry.2 = stamp;
                }
            }
            Step::Fill(count) => {
                for n in 0..count {
                    self.set(
                        format!("many/{n}").as_bytes(),
                        &[n as u8; 24],
                        Stamp::default(),
                    );
                }
            }
            Step::Recover => {
                let (map, found) = Map::recover(self.sim.clone(), LIMITS, 10, |_| ()).unwrap();
                assert_eq!((found.dropped, found.broken_record), (0, false));
                assert_eq!(found.variables, self.map.len());
                assert_eq!(map.origin(), self.map.origin());
                self.map = map;
            }
            Step::Work => while self.map.work() {},
        }
    }

    fn compare(&self) {
        let (map, model) = (&self.map, &self.model);
        assert_eq!(map.revision().0, model.revision);
        assert_eq!(map.len(), model.variables.len() as u64);
        assert_eq!(map.bytes(), model.bytes());
        let listed: Vec<_> = map
            .from(Bound::Unbounded)
            .map(|entry| {
                let content = (entry.value().to_vec(), entry.revision().0, entry.stamp());
                (entry.key().to_vec(), content)
            })
            .collect();
        let expected: Vec<_> = model.variables.clone().into_iter().collect();
        assert_eq!(listed, expected);
        let reader = Reader::new(self.sim.clone());
        let mut value = Vec::new();
        for (key, (expected, revision, _)) in &model.variables {
            assert_eq!(
                map.get(key).map(|entry| entry.value().to_vec()).as_ref(),
                Some(expected)
            );
            assert_eq!(
                reader.get(key, &mut value),
                Answer::Found(Revision(*revision))
            );
            assert_eq!(&value, expected);
        }
        assert_eq!(reader.get(b"nobody", &mut value), Answer::Absent);
        self.compare_changes(Revision(0));
        self.compare_changes(Revision(model.revision / 2));
        map.check();
    }

    fn compare_changes(&self, after: Revision) {
        let order: Vec<_> = self
            .map
            .after(after)
            .filter_map(|(_, entry)| entry)
            .map(|entry| (entry.revision().0, entry.key().to_vec()))
            .collect();
        let mut expected: Vec<_> = self
            .model
            .variables
            .iter()
            .map(|(key, entry)| (entry.1, key.clone()))
            .filter(|(revision, _)| *revision > after.0)
            .collect();
        expected.sort();
        assert_eq!(order, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 512 }))]

    #[test]
    fn behaves_as_a_sorted_table(steps in prop::collection::vec(step(), 0..60)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
            pair.compare();
        }
    }

    #[test]
    fn a_walk_begins_where_it_is_told(
        keys in prop::collection::btree_set(key(), 0..400),
        from in key(),
        is_included in any::<bool>(),
    ) {
        let mut pair = Pair::new();
        for key in &keys {
            pair.set(key, b"", Stamp::default());
        }
        let bound = match is_included {
            true => Bound::Included(&from[..]),
            false => Bound::Excluded(&from[..]),
        };
        let listed: Vec<_> = pair.map.from(bound).map(|entry| entry.key().to_vec()).collect();
        let is_in = |key: &&Vec<u8>| **key > from || is_included && **key == from;
        let expected: Vec<_> = keys.iter().filter(is_in).cloned().collect();
        prop_assert_eq!(listed, expected);
    }
}
