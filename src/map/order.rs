//! The variables in the order of their keys: a tree of two levels.
//!
//! The leaves hold nothing but numbers of variables, 4 bytes each; to compare, the key is looked up
//! where it is. The upper level knows each leaf by a key that none in it is less than. Private to
//! the writer.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::block::Id;

/// Most variables in a leaf. Larger ones cost more to insert into, smaller ones more memory.
const LEAF_MAX: usize = 128;

/// Two neighbours with fewer variables than this together become one.
const MERGE: usize = LEAF_MAX / 2;

/// How many keys are fetched at once for a comparison with one of them. At 16, two turns find the
/// place in any leaf.
const FETCHED: usize = 16;

/// Compares the key of a variable with another.
pub(super) trait Compare {
    /// How the key of `id` stands to `key`.
    fn compare(&self, id: Id, key: &[u8]) -> Ordering;
    /// The key of `id`.
    fn key(&self, id: Id) -> Box<[u8]>;
    /// Keys will be compared with that of `id`, which may be fetched already.
    fn prefetch(&self, id: Id);
}

/// The order of the keys.
pub(super) struct Order {
    /// By the smallest key that may stand in the leaf. The first has the smallest of all, which no
    /// variable has.
    leaves: BTreeMap<Box<[u8]>, Vec<Id>>,
}

impl Order {
    pub(super) fn new() -> Self {
        Order {
            leaves: BTreeMap::from([(Box::default(), Vec::new())]),
        }
    }

    /// Of variables that are in order.
    pub(super) fn from_sorted(sorted: &[Id], keys: &impl Compare) -> Self {
        // Some room in each, so that the first changes do not split them all.
        let mut leaves: BTreeMap<_, _> = sorted
            .chunks(LEAF_MAX - LEAF_MAX / 8)
            .map(|leaf| (keys.key(leaf[0]), leaf.to_vec()))
            .collect();
        let first = leaves.pop_first().map_or(Vec::new(), |(_, leaf)| leaf);
        leaves.insert(Box::default(), first);
        Order { leaves }
    }

    /// A variable is new. Its key must not be there.
    pub(super) fn insert(&mut self, id: Id, key: &[u8], keys: &impl Compare) {
        let (_, leaf) = self
            .leaves
            .range_mut::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .expect("the first leaf is always there");
        let at = place(leaf, keys, |other| keys.compare(other, key).is_lt());
        leaf.insert(at, id);
        if leaf.len() > LEAF_MAX {
            // Keys that come in order leave full leaves behind.
            let is_last = at + 1 == leaf.len();
            let half = if is_last { at } else { leaf.len() / 2 };
            let right = leaf.split_off(half);
            leaf.shrink_to_fit();
            self.leaves.insert(keys.key(right[0]), right);
        }
    }

    /// A variable goes; it can still be looked up.
    pub(super) fn remove(&mut self, id: Id, key: &[u8], keys: &impl Compare) {
        let mut upwards = self
            .leaves
            .range_mut::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .rev();
        let (bound, leaf) = upwards.next().expect("the first leaf is always there");
        let at = place(leaf, keys, |other| keys.compare(other, key).is_lt());
        debug_assert_eq!(leaf.get(at), Some(&id));
        leaf.remove(at);
        if leaf.len() * 2 > MERGE {
            return;
        }
        if let Some((_, before)) = upwards.next()
            && before.len() + leaf.len() < MERGE
        {
            before.append(leaf);
            let bound = bound.clone();
            self.leaves.remove(&bound);
        }
    }

    /// The variables from a key on, in order; behind it, if it is excluded.
    pub(super) fn from<K: Compare>(
        &self,
        from: Bound<&[u8]>,
        keys: &K,
    ) -> impl Iterator<Item = Id> + use<'_, K> {
        let least = match from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => &[],
        };
        let first = self
            .leaves
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(least)))
            .next_back()
            .map_or(&[][..], |(bound, _)| bound);
        let is_before = |id| match from {
            Bound::Included(key) => keys.compare(id, key).is_lt(),
            Bound::Excluded(key) => keys.compare(id, key).is_le(),
            Bound::Unbounded => false,
        };
        let mut leaves = self
            .leaves
            .range::<[u8], _>((Bound::Included(first), Bound::Unbounded))
            .map(|(_, leaf)| &leaf[..]);
        let head = leaves.next().unwrap_or_default();
        let head = &head[place(head, keys, is_before)..];
        head.iter().copied().chain(leaves.flatten().copied())
    }
}

/// How many variables of a leaf come before a place, which is told of each.
///
/// Keys are spread over all memory, and fetching them is what takes the time. So they are not
/// fetched one by one, each when it is known that it is the next to be compared.
fn place(leaf: &[Id], keys: &impl Compare, is_before: impl Fn(Id) -> bool) -> usize {
    let (mut from, mut to) = (0, leaf.len());
    while from < to {
        let step = (to - from).div_ceil(FETCHED);
        let tried = || (from..to).skip(step - 1).step_by(step);
        tried().for_each(|n| keys.prefetch(leaf[n]));
        let (mut low, mut high) = (0, tried().count());
        while low < high {
            let middle = low.midpoint(high);
            match is_before(leaf[from + step * (middle + 1) - 1]) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        // All before the last that is before, and at most those before the first that is not.
        to = to.min(from + step * (low + 1) - 1);
        from += step * low;
    }
    from
}
