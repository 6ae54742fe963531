//! What happened to few keys, found by the keys.
//!
//! The history tells what changed after a position, of all keys, one after the other. Who asks for
//! one key, or for what lies in a small folder, would walk past a million others: here the map and
//! its order are asked instead, and what is found is put into the order of the history.

use std::ops::Bound;

use super::Variable;
use super::history::{History, Past, Position};
use super::walk::text;
use crate::map::{Map, Revision};
use crate::wire::pattern::KeyRange;

/// What changed after `position` of the keys in `ranges`, in the order of the history; `None` if
/// that takes more than so many looks. What was deleted up to `start` may be left out.
pub(super) fn few_after<'s>(
    map: &'s Map,
    history: &'s History,
    position: &Position,
    start: Revision,
    ranges: &[KeyRange],
    looks: usize,
) -> Option<Vec<Past<'s>>> {
    // Everything, and there is more than that: no need to look.
    let is_all = ranges.first().is_some_and(|range| range.start().is_empty());
    if ranges.len() > looks || is_all && map.len() > looks as u64 {
        return None;
    }
    let mut found = Vec::new();
    let mut looked = 0;
    for range in ranges {
        looked += 1;
        let key = range.start().as_bytes();
        if range.is_key() {
            found.extend(map.get(key).map(|entry| Past::set(Variable(entry))));
            found.extend(history.tombstone(key));
            continue;
        }
        for entry in map.from(Bound::Included(key)) {
            if !range.holds(text(&entry.key())) {
                break;
            }
            looked += 1;
            if looked > looks {
                return None;
            }
            found.push(Past::set(Variable(entry)));
        }
    }
    found.retain(|past| past.is_after(position));
    if ranges.iter().any(|range| !range.is_key()) {
        // There are few tombstones, in no order but their own.
        let from = if start > position.0 {
            &(start, None)
        } else {
            position
        };
        found.extend(history.gone_after(from).filter(|past| {
            let next = ranges.partition_point(|range| range.is_before(past.key_text()));
            let holds = |range: &&KeyRange| !range.is_key() && range.holds(past.key_text());
            ranges.get(next).filter(holds).is_some()
        }));
    }
    found.sort_unstable_by(|a, b| (a.revision, &*a.key).cmp(&(b.revision, &*b.key)));
    Some(found)
}
