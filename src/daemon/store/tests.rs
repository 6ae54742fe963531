//! The store beside a model that keeps the same promises in the plainest way; and walks and
//! collections, run in small pieces while the variables change in between.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use self::model::contents;
use super::*;
use crate::map::Id;

mod model;

const WRITER: Writer = Writer { uid: 1, pid: 2 };

fn roomy() -> Store {
    let limits = Limits {
        variables: 1 << 20,
        bytes: 1 << 30,
    };
    Store::new(limits).unwrap()
}

fn holding<'k>(keys: impl IntoIterator<Item = &'k &'k str>) -> Store {
    let mut store = roomy();
    keys.into_iter().for_each(|key| set(&mut store, key));
    store
}

fn set(store: &mut Store, key: &str) {
    let value = Value::text("").unwrap();
    store.set(key, &value, &Terms::default(), WRITER).unwrap();
}

/// Numbers of variables, as different as can be.
pub(super) fn ids() -> [Id; 3] {
    let store = holding(&["a", "b", "c"]);
    ["a", "b", "c"].map(|key| store.get(key).unwrap().unwrap().0.id())
}

fn delete(store: &mut Store, key: &str) {
    store.delete(key, &Condition::default(), WRITER).unwrap();
}

// ---- single variables ----

#[test]
fn a_value_has_at_most_one_mebibyte() {
    let mut store = roomy();
    let mut try_length = |length| {
        let value = Value::data(vec![b'x'; length]);
        store.set("a", &value, &Terms::default(), WRITER)
    };
    assert_eq!(try_length(VALUE_MAX), Ok(Revision(1)));
    assert_eq!(
        try_length(VALUE_MAX + 1),
        Err(Refusal::ValueTooLarge(VALUE_MAX + 1))
    );
    assert_eq!(store.bytes(), 1 + VALUE_MAX as u64);
}

#[test]
fn a_full_store_still_takes_what_makes_it_smaller() {
    let mut store = Store::new(Limits {
        variables: 1,
        bytes: 4,
    })
    .unwrap();
    let mut try_set = |key, value| {
        let value = Value::text(value).unwrap();
        let root = Writer { uid: ROOT, pid: 2 };
        store
            .set(key, &value, &Terms::default(), root)
            .map(|revision| revision.0)
    };
    assert_eq!(try_set("a", "123"), Ok(1));
    assert_eq!(try_set("a", "1234"), Err(Refusal::Full(Full::Bytes)));
    assert_eq!(try_set("a", "12"), Ok(2));
    assert_eq!(try_set("b", ""), Err(Refusal::Full(Full::Variables)));
}

#[test]
fn bytes_that_happen_to_be_text_are_told_as_text() {
    assert_eq!(Value::data(b"zw\xc3\xb6lf".to_vec()).kind, TEXT);
    assert_eq!(Value::data(b"\0".to_vec()).kind, DATA);
    assert_eq!(Value::data(b"\xff".to_vec()).kind, DATA);
}

#[test]
fn time_and_writer_are_those_of_the_last_change() {
    let earliest = now();
    let mut store = holding(&["a"]);
    let other = Writer { uid: 7, pid: 8 };
    let value = Value::text("x").unwrap();
    store.set("a", &value, &Terms::default(), other).unwrap();
    let variable = store.get("a").unwrap().unwrap();
    assert_eq!((variable.writer().uid, variable.writer().pid), (7, 8));
    assert!((earliest..=now()).contains(&variable.modified()));
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        &b"a"[..],
        b"\0",
        b"\xff",
        b"\xef\xbf\xbe",
        b"\xc3\xa9",
    ]);
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_value_is_told_as_text_if_it_can_be(bytes in bytes()) {
        let is_plain = |character: char| character != '\0' && u32::from(character) & 0xFFFE != 0xFFFE;
        let expected = std::str::from_utf8(&bytes).is_ok_and(|text| text.chars().all(is_plain));
        let mut store = roomy();
        let value = Value::data(bytes);
        store.set("a", &value, &Terms::default(), WRITER).unwrap();
        let content = store.get("a").unwrap().unwrap().content();
        prop_assert_eq!(matches!(content, Content::Text(_)), expected);
    }
}

// ---- many variables, in pieces ----

/// What happens between two pieces.
#[derive(Debug, Clone)]
enum Change {
    Set(&'static str),
    Delete(&'static str),
}

const KEYS: &[&str] = &[
    "a", "a/b", "a/b/c", "a/c", "aa", "ab", "b", "b/", "b/a", "b/b", "ba", "c", "c/a", "c/b", "d",
    "é",
];

fn keys() -> impl Strategy<Value = BTreeSet<&'static str>> {
    prop::collection::btree_set(select(KEYS), 0..KEYS.len())
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (any::<bool>(), select(KEYS)).prop_map(|(sets, key)| match sets {
        true => Change::Set(key),
        false => Change::Delete(key),
    });
    prop::collection::vec(change, 0..6)
}

fn patterns() -> impl Strategy<Value = Vec<&'static str>> {
    let some = [
        "**", "*", "a*", "a/", "{b,c}/*", "?", "b", "[ad]", "*/b", "",
    ];
    prop::collection::vec(select(some.to_vec()), 0..4)
}

/// So few steps that each piece is one or a few visits.
fn budget() -> impl Strategy<Value = usize> {
    1..100usize
}

fn apply_changes(store: &mut Store, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Set(key) => set(store, key),
            Change::Delete(key) => delete(store, key),
        }
    }
}

fn matching(store: &Store, patterns: &Patterns, limit: usize) -> Vec<String> {
    let present = contents(store).variables.into_keys();
    present
        .filter(|key| patterns.matches(key))
        .take(limit)
        .collect()
}

fn collected(store: &Store, collection: &Collection) -> Vec<String> {
    let keys = store.collected(collection).map(|variable| variable.key());
    keys.map(|key| String::from_utf8(key.to_vec()).unwrap())
        .collect()
}

/// A collection that was to find the first match only had found none yet when a late key was
/// created. It took that and was content, though an earlier one lay ahead of it.
#[test]
fn a_key_created_ahead_of_a_collection_does_not_take_the_place_of_an_earlier_one() {
    let mut store = holding(&["a", "b"]);
    let mut collection = store.collection(Patterns::compile(&["[bc]"]).unwrap(), 1);
    let one_visit = || Budget::new(1);
    assert_eq!(
        store.collect(&mut collection, &mut one_visit()),
        Progress::Paused
    );
    set(&mut store, "c");
    while store.collect(&mut collection, &mut one_visit()) == Progress::Paused {}
    assert_eq!(collected(&store, &collection), ["b"]);
}

proptest! {
    #[test]
    fn a_walk_visits_what_is_there_all_the_time_exactly_once_and_in_order(
        first in keys(),
        patterns in patterns(),
        budget in budget(),
        turns in prop::collection::vec(changes(), 0..20),
    ) {
        let mut store = holding(&first);
        let mut walk = Walk::new(Patterns::compile(&patterns).unwrap());
        let patterns = Patterns::compile(&patterns).unwrap();
        let mut always: BTreeSet<String> = matching(&store, &patterns, usize::MAX).into_iter().collect();
        let mut visited: Vec<String> = Vec::new();
        let quiet = std::iter::repeat_n(Vec::new(), 1000);
        for changes in turns.into_iter().chain(quiet) {
            let progress = store.walk(&mut walk, &mut Budget::new(budget), |variable| {
                visited.push(String::from_utf8(variable.key().to_vec()).unwrap());
                ControlFlow::Continue(())
            });
            if progress == Progress::Finished {
                break;
            }
            prop_assert!(visited.len() <= KEYS.len(), "it does not end");
            apply_changes(&mut store, &changes);
            for change in &changes {
                if let Change::Delete(key) = change {
                    always.remove(*key);
                }
            }
        }
        prop_assert!(visited.is_sorted_by(|one, next| one < next), "{:?}", visited);
        prop_assert!(always.iter().all(|key| visited.contains(key)), "{:?} of {:?}", visited, always);
    }

    /// Two at once, so that one reads a journal that the other has begun; with a limit, the first
    /// matches are wanted and no others.
    #[test]
    fn a_finished_collection_holds_exactly_the_first_matches_of_that_moment(
        first in keys(),
        patterns in prop::array::uniform2(patterns()),
        limits in prop::array::uniform2(prop_oneof![1..6usize, Just(usize::MAX)]),
        budget in budget(),
        turns in prop::collection::vec((0..2usize, changes()), 0..40),
    ) {
        let compiled = patterns.each_ref().map(|patterns| Patterns::compile(patterns).unwrap());
        let mut store = holding(&first);
        let mut open = [0, 1].map(|index| {
            let patterns = Patterns::compile(&patterns[index]).unwrap();
            Some(store.collection(patterns, limits[index]))
        });
        let quiet = [0, 1].into_iter().cycle().take(1000).map(|index| (index, Vec::new()));
        for (index, changes) in turns.into_iter().chain(quiet) {
            apply_changes(&mut store, &changes);
            let Some(mut collection) = open[index].take() else { continue };
            match store.collect(&mut collection, &mut Budget::new(budget)) {
                Progress::Paused => open[index] = Some(collection),
                Progress::Finished => prop_assert_eq!(
                    collected(&store, &collection),
                    matching(&store, &compiled[index], limits[index])
                ),
            }
        }
        prop_assert!(open.iter().all(Option::is_none), "when nothing changes any more, they finish");
    }

    #[test]
    fn a_collection_is_deleted_with_one_revision_and_nothing_else_is(
        first in keys(),
        patterns in patterns(),
        limit in 1..6usize,
    ) {
        let mut store = holding(&first);
        let mut expected = contents(&store);
        let mut collection = store.collection(Patterns::compile(&patterns).unwrap(), limit);
        let progress = store.collect(&mut collection, &mut Budget::new(usize::MAX));
        prop_assert_eq!(progress, Progress::Finished);
        let doomed = collected(&store, &collection);
        expected.variables.retain(|key, _| !doomed.contains(key));
        expected.revision += u64::from(!doomed.is_empty());
        let (count, revision) = store.delete_collected(&collection, WRITER).unwrap();
        prop_assert_eq!((count, revision.0), (doomed.len() as u64, expected.revision));
        prop_assert_eq!(contents(&store), expected);
    }
}
