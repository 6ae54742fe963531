//! The map: keys, values and revisions, with one writer.
//!
//! Every change takes the next [`Revision`], one counter for the whole map; several keys deleted
//! together share one. Beside its value a variable keeps a [`Stamp`], which the map stores and
//! gives back without looking at it. [`Limits`] are kept: a change that would exceed them is
//! refused and changes nothing; what makes less of anything is never refused.
//!
//! Knows bytes and revisions: no protocol, no meaning of a user, no clock. Lives in private memory.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::rc::Rc;

/// A point in the map's history. The first change has 1; 0 is before all changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Revision(pub(crate) u64);

/// What is remembered with a value; the writer of the map says what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    /// When the variable was changed.
    pub(crate) time: u64,
    /// The user that changed it.
    pub(crate) uid: u32,
    /// The process that changed it.
    pub(crate) pid: u32,
    /// Of what kind the value is.
    pub(crate) kind: u16,
}

/// How much the map may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Variables.
    pub(crate) variables: u64,
    /// Bytes of keys and values together.
    pub(crate) bytes: u64,
}

/// Which limit a refused change would have exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// [`Limits::variables`]
    Variables,
    /// [`Limits::bytes`]
    Bytes,
}

/// A key, shared by the two indices and by whoever keeps it for a while.
pub(crate) type Key = Rc<[u8]>;

/// One variable as it is now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'m> {
    key: &'m Key,
    slot: &'m Slot,
}

/// The variables.
pub(crate) struct Map {
    slots: HashMap<Key, Slot>,
    /// The same keys in the order of their bytes.
    order: BTreeSet<Key>,
    revision: Revision,
    bytes: u64,
    limits: Limits,
}

/// What a variable was set from and to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Set {
    /// Its key.
    pub(crate) key: Key,
    /// The revision it had before, if it was defined.
    pub(crate) old: Option<Revision>,
    /// The revision of the change.
    pub(crate) revision: Revision,
}

#[derive(Debug)]
struct Slot {
    /// The same that the indices hold, so that it need not be looked up to be shared.
    key: Key,
    value: Box<[u8]>,
    revision: Revision,
    stamp: Stamp,
}

impl Map {
    /// An empty map at revision 0.
    pub(crate) fn new(limits: Limits) -> Self {
        Map {
            slots: HashMap::new(),
            order: BTreeSet::new(),
            revision: Revision::default(),
            bytes: 0,
            limits,
        }
    }

    /// The revision of the last change.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// How many variables there are.
    pub(crate) fn len(&self) -> u64 {
        self.slots.len() as u64
    }

    /// How many bytes keys and values take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the map may hold.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Reads a variable.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        self.slots
            .get_key_value(key)
            .map(|(key, slot)| Entry { key, slot })
    }

    /// The variables whose keys lie in a range, in the order of their keys.
    pub(crate) fn range<'m>(
        &'m self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> impl Iterator<Item = Entry<'m>> {
        self.order.range::<[u8], _>((from, to)).map(|key| Entry {
            key,
            slot: &self.slots[key],
        })
    }

    /// Defines a variable or replaces its value.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8], stamp: Stamp) -> Result<Set, Full> {
        let len = self.len();
        let slot = self.slots.get_mut(key);
        let old = slot.as_ref().map(|slot| slot.value.len() as u64);
        let new = value.len() as u64 + if old.is_none() { key.len() as u64 } else { 0 };
        let bytes = self.bytes - old.unwrap_or(0) + new;
        if bytes > self.limits.bytes && bytes > self.bytes {
            return Err(Full::Bytes);
        }
        if old.is_none() && len >= self.limits.variables {
            return Err(Full::Variables);
        }
        let revision = Revision(self.revision.0 + 1);
        (self.revision, self.bytes) = (revision, bytes);
        let Some(slot) = slot else {
            let key = self.insert(key, value, stamp);
            let old = None;
            return Ok(Set { key, old, revision });
        };
        let (key, old) = (Rc::clone(&slot.key), Some(slot.revision));
        (slot.revision, slot.stamp) = (revision, stamp);
        match slot.value.len() == value.len() {
            true => slot.value.copy_from_slice(value),
            false => slot.value = value.into(),
        }
        Ok(Set { key, old, revision })
    }

    /// Deletes those of `keys` that are there, all with one revision. Returns how many there were,
    /// and the revision of the change, or the present one if there were none.
    pub(crate) fn delete<K: AsRef<[u8]>>(&mut self, keys: &[K]) -> (u64, Revision) {
        let before = self.len();
        for key in keys.iter().map(AsRef::as_ref) {
            if let Some(slot) = self.slots.remove(key) {
                self.order.remove(key);
                self.bytes -= (key.len() + slot.value.len()) as u64;
            }
        }
        let count = before - self.len();
        let revision = if count > 0 {
            self.next()
        } else {
            self.revision
        };
        (count, revision)
    }

    /// Puts in a variable that was not there, as of the present revision.
    fn insert(&mut self, key: &[u8], value: &[u8], stamp: Stamp) -> Key {
        let key: Key = key.into();
        let slot = Slot {
            key: Rc::clone(&key),
            value: value.into(),
            revision: self.revision,
            stamp,
        };
        self.order.insert(Rc::clone(&key));
        self.slots.insert(Rc::clone(&key), slot);
        key
    }

    fn next(&mut self) -> Revision {
        self.revision = Revision(self.revision.0 + 1);
        self.revision
    }
}

impl<'m> Entry<'m> {
    /// Its key.
    pub(crate) fn key(&self) -> &'m Key {
        self.key
    }

    /// Its value.
    pub(crate) fn value(&self) -> &'m [u8] {
        &self.slot.value
    }

    /// The revision of its last change.
    pub(crate) fn revision(&self) -> Revision {
        self.slot.revision
    }

    /// What its last change left beside the value.
    pub(crate) fn stamp(&self) -> Stamp {
        self.slot.stamp
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        variables: 4,
        bytes: 40,
    };

    /// The same promises, kept in the plainest way.
    #[derive(Default)]
    struct Model {
        variables: BTreeMap<Vec<u8>, (Vec<u8>, u64, u32)>,
        revision: u64,
    }

    impl Model {
        fn bytes(&self) -> u64 {
            self.variables
                .iter()
                .map(|(key, (value, ..))| (key.len() + value.len()) as u64)
                .sum()
        }

        fn set(&mut self, key: &[u8], value: &[u8], uid: u32) -> Result<u64, Full> {
            let mut after = Model {
                variables: self.variables.clone(),
                revision: self.revision + 1,
            };
            after
                .variables
                .insert(key.to_vec(), (value.to_vec(), after.revision, uid));
            if after.bytes() > LIMITS.bytes && after.bytes() > self.bytes() {
                return Err(Full::Bytes);
            }
            if after.variables.len() as u64 > LIMITS.variables {
                return Err(Full::Variables);
            }
            *self = after;
            Ok(self.revision)
        }

        fn delete(&mut self, keys: &[Vec<u8>]) -> (u64, u64) {
            let before = self.variables.len();
            self.variables.retain(|key, _| !keys.contains(key));
            let count = before - self.variables.len();
            self.revision += u64::from(count > 0);
            (count as u64, self.revision)
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(Vec<u8>, Vec<u8>, u32),
        Delete(Vec<Vec<u8>>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = || prop::collection::vec(b'a'..b'd', 1..3);
        let set = (
            key(),
            prop::collection::vec(any::<u8>(), 0..15),
            any::<u32>(),
        );
        let step = prop_oneof![
            3 => set.prop_map(|(key, value, uid)| Step::Set(key, value, uid)),
            1 => prop::collection::vec(key(), 0..3).prop_map(Step::Delete),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn behaves_as_the_model(steps in steps()) {
            let (mut map, mut model) = (Map::new(LIMITS), Model::default());
            for step in steps {
                match step {
                    Step::Set(key, value, uid) => {
                        let stamp = Stamp { uid, ..Stamp::default() };
                        let revision = map.set(&key, &value, stamp).map(|set| set.revision.0);
                        prop_assert_eq!(revision, model.set(&key, &value, uid));
                    }
                    Step::Delete(keys) => {
                        let (count, revision) = map.delete(&keys);
                        prop_assert_eq!((count, revision.0), model.delete(&keys));
                    }
                }
                prop_assert_eq!(map.revision().0, model.revision);
                prop_assert_eq!(map.len(), model.variables.len() as u64);
                prop_assert_eq!(map.bytes(), model.bytes());
                let listed: Vec<_> = map
                    .range(Bound::Unbounded, Bound::Unbounded)
                    .map(|entry| (entry.key().to_vec(), (entry.value().to_vec(), entry.revision().0, entry.stamp().uid)))
                    .collect();
                let expected: Vec<_> = model.variables.clone().into_iter().collect();
                prop_assert_eq!(listed, expected);
                for (key, (value, ..)) in &model.variables {
                    prop_assert_eq!(map.get(key).map(|entry| entry.value()), Some(&value[..]));
                }
            }
        }
    }
}
