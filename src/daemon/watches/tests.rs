//! What a watcher is promised, as etcd's robustness tests name it: its events are ordered, unique
//! and atomic; nothing it watches goes unnoticed; it can resume; and when it is up to date, what it
//! was told adds up to the present.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::daemon::store::{Action, Batch, Budget, Condition, Progress, Terms, Value, Writer};
use crate::daemon::watch::Begin;
use crate::map::Limits;
use crate::wire::pattern::Patterns;

const WRITER: Writer = Writer { uid: 1, pid: 2 };
const KEYS: [&str; 6] = ["a", "b", "a/1", "a/2", "b/1", "c"];
const PATTERNS: [&[&str]; 5] = [&["**"], &["a"], &["a/"], &["a/*", "c"], &["{a,b}/1", "b"]];
const ALL: Fields = Fields {
    values: true,
    metadata: false,
};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Set(usize),
    Delete(usize),
    /// Everything below a pattern, as one change.
    DeleteAll(usize),
    /// More variables come and go than are remembered.
    Flood,
    /// A new watcher: its patterns, and where it begins.
    Watch(usize, Start),
    /// A watcher stops to take what it is sent, takes it again, or leaves.
    Block(usize),
    Unblock(usize),
    Leave(usize),
    /// A watcher that is behind, and takes what it is sent, has its turn.
    Turn(usize),
}

#[derive(Debug, Clone, Copy)]
enum Start {
    Now,
    Initial,
    /// Where another watcher has come to.
    LikeOther(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..KEYS.len();
    let pattern = 0..PATTERNS.len();
    let watcher = || 0..4usize;
    let start = prop_oneof![
        Just(Start::Now),
        Just(Start::Initial),
        watcher().prop_map(Start::LikeOther),
    ];
    let step = prop_oneof![
        8 => key.clone().prop_map(Step::Set),
        3 => key.prop_map(Step::Delete),
        1 => pattern.clone().prop_map(Step::DeleteAll),
        1 => Just(Step::Flood),
        2 => (pattern, start).prop_map(|(pattern, start)| Step::Watch(pattern, start)),
        2 => watcher().prop_map(Step::Block),
        2 => watcher().prop_map(Step::Unblock),
        1 => watcher().prop_map(Step::Leave),
        6 => watcher().prop_map(Step::Turn),
    ];
    prop::collection::vec(step, 0..120)
}

/// A change of one variable: its value, or that it was deleted.
type Changed = (u64, String, Option<String>);

/// The watcher's end of a connection.
struct Client {
    who: Token,
    patterns: Patterns,
    is_blocked: bool,
    /// Whether it has something to catch up with.
    is_awake: bool,
    /// What it takes for the present.
    state: BTreeMap<String, String>,
    /// All that it was told, in order.
    events: Vec<Changed>,
    /// Up to where it has seen everything, and from where on.
    seen: u64,
    since: u64,
    is_up_to_date: bool,
    /// How many replies it got.
    replies: usize,
    /// How much was left out, as the last of them says.
    skipped: Option<u64>,
    /// How often it was told to begin anew.
    resets: usize,
    /// How much it was told at the last time it was up to date.
    mark: usize,
    /// What it was told since then before it had to begin anew.
    earlier: Vec<Changed>,
    /// What was deleted up to here is none of its business.
    began: u64,
    /// Whether changes can be counted since.
    is_counted: bool,
    counted_from: u64,
}

/// The service's side without sockets, and all that ever happened.
struct World {
    store: Store,
    watches: Watches,
    clients: Vec<Client>,
    changes: Vec<Changed>,
    next: u64,
}

impl World {
    fn new() -> Self {
        let limits = Limits {
            variables: 1000,
            bytes: 1 << 20,
        };
        World {
            store: Store::new(limits).unwrap(),
            watches: Watches::default(),
            clients: Vec::new(),
            changes: Vec::new(),
            next: 0,
        }
    }

    fn play(&mut self, step: &Step) {
        if matches!(step, Step::Flood) {
            return self.flood(8);
        }
        let before = self.store.revision();
        match step {
            Step::Set(key) => self.set(KEYS[*key]),
            Step::Delete(key) => self.delete(&[KEYS[*key].to_owned()]),
            Step::DeleteAll(pattern) => self.delete_all(PATTERNS[*pattern]),
            Step::Watch(pattern, start) if self.clients.len() < 4 => {
                self.watch(PATTERNS[*pattern], *start)
            }
            Step::Watch(..) => {}
            Step::Block(client) => {
                if let Some(client) = self.clients.get_mut(*client) {
                    client.is_blocked = true;
                    self.watches.is_stuck(client.who);
                }
            }
            Step::Unblock(client) => {
                if let Some(client) = self.clients.get_mut(*client) {
                    client.is_blocked = false;
                    client.is_awake = true;
                }
            }
            Step::Turn(client) => self.turn(*client),
            Step::Flood => unreachable!("that is several changes"),
            Step::Leave(client) => {
                if *client < self.clients.len() {
                    let client = self.clients.remove(*client);
                    self.watches.leave(client.who);
                }
            }
        }
        let now = self.store.revision();
        if now != before {
            self.tell();
            self.deliver();
        }
    }

    fn tell(&mut self) {
        self.watches.notify(&self.store, self.store.revision());
        self.store.trim_history();
    }

    fn set(&mut self, key: &str) {
        let text = format!("value {}", self.store.revision().0 + 1);
        let value = Value::text(&text).unwrap();
        let revision = self
            .store
            .set(key, &value, &Terms::default(), WRITER)
            .unwrap();
        self.changes
            .push((revision.0, key.to_owned(), Some(text.clone())));
    }

    /// So many variables come, and go at once.
    fn flood(&mut self, count: usize) {
        for _ in 0..count {
            let key = format!("noise/{}", self.store.revision().0);
            self.set(&key);
            self.tell();
            self.deliver();
            self.delete(&[key]);
            self.tell();
            self.deliver();
        }
    }

    fn delete(&mut self, keys: &[String]) {
        for key in keys {
            let (count, revision) = self
                .store
                .delete(key, &Condition::default(), WRITER)
                .unwrap();
            if count > 0 {
                self.changes.push((revision.0, key.clone(), None));
            }
        }
    }

    fn delete_all(&mut self, patterns: &[&str]) {
        let mut collection = self
            .store
            .collection(Patterns::compile(patterns).unwrap(), 100);
        let progress = self
            .store
            .collect(&mut collection, &mut Budget::new(1_000_000));
        assert_eq!(progress, Progress::Finished);
        let keys: Vec<String> = collection
            .keys()
            .map(|key| String::from_utf8(key.to_vec()).unwrap())
            .collect();
        let (_, revision) = self.store.delete_collected(&collection, WRITER).unwrap();
        self.changes
            .extend(keys.into_iter().map(|key| (revision.0, key, None)));
    }

    fn watch(&mut self, patterns: &[&str], start: Start) {
        let who = Token::from_u64(self.next);
        self.next += 1;
        let now = self.store.revision();
        let mut client = Client {
            who,
            patterns: Patterns::compile(patterns).unwrap(),
            is_blocked: false,
            is_awake: true,
            state: BTreeMap::new(),
            events: Vec::new(),
            seen: 0,
            since: now.0,
            is_up_to_date: false,
            replies: 0,
            skipped: None,
            resets: 0,
            mark: 0,
            earlier: Vec::new(),
            began: now.0,
            is_counted: true,
            counted_from: now.0,
        };
        let mut patterns = Patterns::compile(patterns).unwrap();
        let begin = match start {
            Start::Now => {
                client.state = self.present(&client.patterns);
                Begin::Now
            }
            Start::Initial => {
                client.since = 0;
                Begin::Initial
            }
            Start::LikeOther(other) => match self.clients.get(other) {
                None => return,
                Some(other) => {
                    // It goes on where the other one was: in its place.
                    client.state = other.state.clone();
                    (client.since, client.began) = (other.seen, other.seen);
                    client.is_counted = false;
                    client.patterns = Patterns::compile(&other.names()).unwrap();
                    patterns = Patterns::compile(&other.names()).unwrap();
                    Begin::After(Revision(other.seen))
                }
            },
        };
        self.watches
            .watch(who, Watch::new(patterns, ALL, begin, now));
        self.clients.push(client);
        self.turn(self.clients.len() - 1);
    }

    /// What the event loop does for a watcher that takes something again.
    fn turn(&mut self, index: usize) {
        if let Some(client) = self.clients.get_mut(index)
            && client.is_awake
            && !client.is_blocked
        {
            let mut out = Vec::new();
            client.is_awake = !self.watches.catch_up(client.who, &self.store, &mut out);
            client.take(&out, &self.changes);
        }
    }

    /// It takes what it is sent, until it has caught up. How many turns that took.
    fn unblock(&mut self, index: usize) -> usize {
        self.play(&Step::Unblock(index));
        let mut turns = 0;
        while self.clients[index].is_awake {
            self.turn(index);
            turns += 1;
        }
        turns
    }

    fn deliver(&mut self) {
        for delivery in std::mem::take(self.watches.outbox()) {
            let (Delivery::Tell(who, _) | Delivery::End(who, _) | Delivery::Wake(who)) = delivery;
            let index = self
                .clients
                .iter()
                .position(|client| client.who == who)
                .unwrap();
            match delivery {
                Delivery::Tell(_, reply) => {
                    assert!(!self.clients[index].is_blocked, "nothing is queued for it");
                    self.clients[index].take(&reply, &self.changes);
                }
                _ => self.clients[index].is_awake = true,
            }
        }
    }

    /// The variables that match, as they are now.
    fn present(&self, patterns: &Patterns) -> BTreeMap<String, String> {
        let mut state = BTreeMap::new();
        for (_, key, value) in &self.changes {
            if patterns.matches(key) {
                match value {
                    Some(value) => state.insert(key.clone(), value.clone()),
                    None => state.remove(key),
                };
            }
        }
        state
    }

    /// Everybody catches up, and then knows the present.
    fn check(&mut self) {
        for index in 0..self.clients.len() {
            self.unblock(index);
            let client = &self.clients[index];
            assert!(client.is_up_to_date);
            assert_eq!(client.state, self.present(&client.patterns), "reliable");
        }
        let outbox = std::mem::take(self.watches.outbox());
        assert!(outbox.is_empty());
    }
}

impl Client {
    /// The patterns it was made with.
    fn names(&self) -> Vec<&'static str> {
        let matching = |names: &&&[&'static str]| {
            let patterns = Patterns::compile(names).unwrap();
            KEYS.iter()
                .all(|key| patterns.matches(key) == self.patterns.matches(key))
        };
        PATTERNS.iter().find(matching).unwrap().to_vec()
    }

    /// Takes replies, and checks them against everything that ever happened.
    fn take(&mut self, replies: &[u8], changes: &[Changed]) {
        for reply in replies.split_inclusive(|byte| *byte == 0) {
            let reply: Json = serde_json::from_slice(reply.strip_suffix(&[0]).unwrap()).unwrap();
            let reply = &reply["parameters"];
            self.replies += 1;
            if reply["reset"] == true {
                self.resets += 1;
                self.state.clear();
                self.earlier.extend(self.events.drain(..).skip(self.mark));
                (self.since, self.seen, self.mark) = (0, 0, 0);
            }
            let mut revisions = BTreeSet::new();
            for event in reply["events"].as_array().unwrap() {
                let event = self.take_event(event, changes);
                revisions.insert(event);
            }
            let seen = reply["revision"].as_u64().unwrap();
            assert!(seen >= self.seen, "never backwards");
            assert!(revisions.iter().all(|revision| *revision <= seen), "atomic");
            self.seen = seen;
            self.is_up_to_date = reply["upToDate"] == true;
            self.skipped = reply["skipped"].as_u64();
            if self.is_up_to_date {
                self.count(changes);
            }
        }
    }

    fn take_event(&mut self, event: &Json, changes: &[Changed]) -> u64 {
        let revision = event["revision"].as_u64().unwrap();
        let key = event["key"].as_str().unwrap().to_owned();
        let value = match event["change"].as_str().unwrap() {
            "set" => Some(event["value"].as_str().unwrap().to_owned()),
            _ => None,
        };
        let changed = (revision, key.clone(), value.clone());
        assert!(
            changes.contains(&changed),
            "it really happened: {changed:?}"
        );
        assert!(self.patterns.matches(&key));
        assert!(
            value.is_some() || revision > self.began,
            "nothing of old deletions"
        );
        let last = self
            .events
            .last()
            .map_or(self.since, |(revision, ..)| *revision);
        assert!(revision >= last, "ordered");
        assert!(
            revision > self.seen,
            "atomic: no more of a change that was told"
        );
        assert!(!self.events.contains(&changed), "unique");
        match value {
            Some(value) => self.state.insert(key, value),
            None => self.state.remove(&key),
        };
        self.events.push(changed);
        revision
    }

    /// It is up to date: were as many changes left out as the service says?
    fn count(&mut self, changes: &[Changed]) {
        if self.is_counted {
            let concerns = |(revision, key, _): &&Changed| {
                *revision > self.counted_from && self.patterns.matches(key)
            };
            let told: BTreeSet<&Changed> = self.events[self.mark..]
                .iter()
                .chain(&self.earlier)
                .filter(concerns)
                .collect();
            let happened = changes.iter().filter(concerns).count();
            let left_out = (happened - told.len()) as u64;
            assert_eq!(self.skipped.unwrap_or(0), left_out, "skipped");
        }
        self.earlier.clear();
        (self.mark, self.counted_from, self.is_counted) = (self.events.len(), self.seen, true);
    }
}

proptest! {
    #[test]
    fn a_watcher_is_told_everything_in_order_and_once(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.play(step);
        }
        world.check();
        for client in std::mem::take(&mut world.clients) {
            world.watches.leave(client.who);
        }
        prop_assert_eq!(world.watches.count(), 0);
        prop_assert!(world.watches.index.keys.is_empty(), "the index forgets who left");
        prop_assert!(world.watches.index.prefixes.is_empty());
        prop_assert!(world.watches.index.lengths.is_empty());
        prop_assert!(world.watches.large.is_none(), "nobody is left to count");
    }
}

#[test]
fn who_comes_back_too_late_begins_anew() {
    let mut world = World::new();
    world.play(&Step::Set(0));
    world.play(&Step::Watch(0, Start::Now));
    world.play(&Step::Block(0));
    world.play(&Step::Set(1));
    world.play(&Step::Delete(0));
    world.flood(100);
    assert!(world.store.forgotten() > Revision(3));
    world.unblock(0);
    assert!(world.clients[0].is_up_to_date);
    assert_eq!(
        world.clients[0].state,
        [("b".to_owned(), "value 2".to_owned())].into()
    );
    assert_eq!(world.clients[0].resets, 1);
}

/// What was left out was not told any more after the watcher had to begin anew.
#[test]
fn a_reset_in_the_middle_does_not_hide_how_much_was_left_out() {
    let mut world = World::new();
    world.play(&Step::Watch(4, Start::Now));
    world.play(&Step::Block(0));
    for _ in 0..3 {
        world.play(&Step::Set(4));
    }
    world.play(&Step::Set(3));
    world.play(&Step::Set(1));
    world.play(&Step::Delete(1));
    world.flood(100);
    world.unblock(0);
    let client = &world.clients[0];
    assert_eq!((client.resets, client.skipped), (1, Some(4)));
}

#[test]
fn a_watcher_of_other_keys_is_not_reset_by_tombstones_that_were_dropped() {
    let mut world = World::new();
    world.play(&Step::Set(0));
    world.play(&Step::Watch(1, Start::Now));
    world.flood(100);
    world.play(&Step::Block(0));
    world.play(&Step::Set(0));
    world.play(&Step::Set(0));
    world.unblock(0);
    assert_eq!(world.clients[0].resets, 0);
    assert_eq!(world.clients[0].events.len(), 1);
}

/// A watcher of variables that do not change was told so little that it had to begin anew when its
/// connection was lost, though it had missed nothing.
#[test]
fn a_watcher_hears_how_far_it_is_while_only_others_change() {
    let mut world = World::new();
    world.play(&Step::Set(0));
    (0..3).for_each(|_| world.watch(&["a"], Start::Now));
    for _ in 0..100 {
        world.flood(1);
        (0..3).for_each(|index| world.turn(index));
        let forgotten = world.store.forgotten().0;
        assert!(world.clients.iter().all(|client| client.seen >= forgotten));
    }
    assert!(world.store.forgotten() > Revision(100));
    assert!(world.clients.iter().all(|client| client.replies < 50));
    world.watch(&["a"], Start::LikeOther(0));
    assert_eq!(world.clients[3].resets, 0);
    world.check();
}

#[test]
fn a_change_costs_as_many_steps_as_it_has_listeners() {
    let mut index = Index::default();
    for n in 0..1000 {
        index.add(&format!("key/{n}"), true, Token::from_u64(n));
        index.add(&format!("folder/{n}/"), false, Token::from_u64(1000 + n));
    }
    index.add("", false, Token::from_u64(5000));
    let found = |key: &str| {
        let mut found = Vec::new();
        index.find(key, |who| found.push(who.to_u64()));
        found
    };
    assert_eq!(found("key/7"), [7, 5000]);
    assert_eq!(found("folder/7/x"), [5000, 1007]);
    assert_eq!(found("key/"), [5000]);
}

/// A change of many variables was written anew for each watcher.
#[test]
fn a_change_of_many_is_written_once_for_all_who_want_the_same_of_it() {
    let mut world = World::new();
    for key in ["a/1", "a/2", "b/1"] {
        world.set(key);
        world.tell();
    }
    let keys_only = Fields {
        values: false,
        ..ALL
    };
    let filters = [("a/", ALL), ("a/*", ALL), ("**", ALL), ("a/", keys_only)];
    for (who, (pattern, fields)) in (0..).map(Token::from_u64).zip(filters) {
        let patterns = Patterns::compile(&[pattern]).unwrap();
        let watch = Watch::new(patterns, fields, Begin::Now, world.store.revision());
        world.watches.watch(who, watch);
        let is_all = world.watches.catch_up(who, &world.store, &mut Vec::new());
        assert!(is_all);
    }
    world.delete_all(&["**"]);
    world.tell();
    let replies: Vec<Rc<[u8]>> = std::mem::take(world.watches.outbox())
        .into_iter()
        .map(|delivery| match delivery {
            Delivery::Tell(_, reply) => reply,
            other => panic!("{other:?}"),
        })
        .collect();
    let is_shared = |one: usize, other: usize| Rc::ptr_eq(&replies[one], &replies[other]);
    assert!(is_shared(0, 1));
    assert!(!is_shared(0, 2), "more variables");
    assert!(!is_shared(0, 3), "fewer fields");
}

/// A watcher of one key walked along the changes of all the others.
#[test]
fn a_watcher_of_few_does_not_walk_along_the_changes_of_others() {
    let mut world = World::new();
    world.play(&Step::Set(1));
    for n in 0..100 {
        world.set(&format!("noise/{n}"));
        world.tell();
    }
    // Those of a folder and a key, and keys alone; the present state, and what was missed.
    for pattern in [3, 4] {
        world.play(&Step::Set(1));
        world.play(&Step::Watch(pattern, Start::Initial));
        assert!(!world.clients[0].is_awake, "one turn was enough");
        world.play(&Step::Block(0));
        world.play(&Step::Set(1));
        world.play(&Step::Set(5));
        for n in 0..100 {
            world.set(&format!("noise/{n}"));
            world.tell();
        }
        world.play(&Step::Set(2));
        world.play(&Step::Delete(1));
        assert_eq!(world.unblock(0), 1);
        world.check();
        world.play(&Step::Leave(0));
    }
}

/// A watcher that had to begin anew had to do so again and again, as long as other variables came
/// and went faster than it got on.
#[test]
fn who_begins_anew_comes_to_the_end_whatever_comes_and_goes() {
    for start in [Start::Initial, Start::Now] {
        let mut world = World::new();
        for n in 0..100 {
            world.set(&format!("old/{n}"));
            world.tell();
        }
        world.play(&Step::Watch(0, start));
        if matches!(start, Start::Now) {
            // It misses a deletion, and that is forgotten.
            world.play(&Step::Block(0));
            world.delete(&["old/0".to_owned()]);
            world.tell();
            world.flood(20);
            world.play(&Step::Unblock(0));
        }
        let mut turns = 0;
        while world.clients[0].is_awake {
            world.flood(20);
            // What it was told of, or will be, is deleted as well.
            if turns % 4 == 0 {
                world.delete(&[format!("old/{}", turns + 1)]);
                world.tell();
            }
            world.play(&Step::Turn(0));
            turns += 1;
            assert!(turns < 50, "100 variables and some, three in a turn");
        }
        assert!(world.clients[0].resets <= 1);
        world.check();
    }
}

/// Whoever does not go on makes the service remember no more than a little.
#[test]
fn what_is_kept_for_those_who_catch_up_is_bounded() {
    let mut world = World::new();
    for n in 0..100 {
        world.set(&format!("old/{n}"));
        world.tell();
    }
    world.play(&Step::Watch(0, Start::Initial));
    (0..20).for_each(|_| world.play(&Step::Turn(0)));
    for n in 0..60 {
        world.delete(&[format!("old/{n}")]);
        world.tell();
        world.flood(1);
    }
    let remembered = world.store.after(&(Revision(0), None));
    let gone = remembered.filter(|past| past.tombstone().is_some()).count();
    assert!(gone < 30, "{gone}");
    world.unblock(0);
    assert_eq!(world.clients[0].resets, 1, "it was left behind");
    world.check();
}

/// A change of many variables with many watchers held up everybody until it had visited each of them
/// for each variable.
#[test]
fn a_change_of_many_for_many_takes_as_many_steps_as_there_are_of_both() {
    const KEYS: usize = 10;
    const WATCHERS: usize = 100;

    let mut world = World::new();
    for n in 0..KEYS {
        world.set(&format!("k/{n}"));
        world.tell();
    }
    (0..WATCHERS).for_each(|_| world.watch(&["**"], Start::Now));
    world.watch(&["k/?", "other"], Start::Now);
    world.watch(&["k/[x-z]"], Start::Now);
    // One who waits, one who is behind, and one who takes nothing.
    let waiter = Token::from_u64(1000);
    let wait = Wait {
        key: "k/3".to_owned(),
        condition: Condition {
            defined: Some(false),
            ..Condition::default()
        },
        changed_from: None,
    };
    world.watches.wait(waiter, wait);
    world.watch(&["**"], Start::Initial);
    world.watch(&["**"], Start::Now);
    world.play(&Step::Block(WATCHERS + 3));
    world.play(&Step::Set(0));

    world.watches.steps = 0;
    world.delete_all(&["k/"]);
    world.tell();
    let steps = world.watches.steps;
    assert!(steps < 2 * (KEYS + WATCHERS), "{steps} steps");
    let outbox = world.watches.outbox();
    let end = outbox
        .iter()
        .position(|delivery| matches!(delivery, Delivery::End(who, _) if *who == waiter));
    outbox.remove(end.expect("the wait is over"));
    world.deliver();
    // Another such change while not all had their turn.
    (0..WATCHERS / 2).for_each(|index| world.turn(index));
    for n in 0..KEYS {
        world.set(&format!("k/{n}"));
        world.tell();
        world.deliver();
    }
    world.delete_all(&["k/"]);
    world.tell();
    world.deliver();
    world.check();
    for client in &world.clients[..WATCHERS / 2] {
        let told = client
            .events
            .iter()
            .filter(|(revision, ..)| *revision == 12);
        assert_eq!((told.count(), client.resets), (KEYS, 0));
    }
    assert!(world.watches.large.is_none(), "all have counted");
    let silent = &world.clients[WATCHERS + 1];
    assert_eq!(silent.replies, 1, "nothing that it watches has changed");
}

/// Whoever is woken for a change that is larger than what is remembered hears of all of it.
#[test]
fn a_change_is_not_forgotten_before_those_woken_for_it_have_their_turn() {
    let mut world = World::new();
    for n in 0..10 {
        world.set(&format!("k/{n}"));
        world.tell();
    }
    (0..3).for_each(|_| world.watch(&["**"], Start::Now));
    world.delete_all(&["k/"]);
    world.tell();
    world.deliver();
    world.flood(1);
    world.check();
    for client in &world.clients {
        assert_eq!((client.events.len(), client.resets), (10, 0));
    }
}

/// The patterns that take longest: each is compared with all of the key, bracket by bracket.
fn slow_patterns() -> Patterns {
    let patterns = vec!["**[k][k]**[k]**[k]".to_owned(); 64];
    Patterns::compile(&patterns).unwrap()
}

/// A thousand watchers with patterns that take long held up everybody for 0.15 s at each change.
#[test]
fn patterns_that_take_long_are_compared_in_the_turns_of_their_watchers() {
    const WATCHERS: usize = 30;

    let mut world = World::new();
    let now = world.store.revision();
    for n in 0..WATCHERS {
        world.watch(&["**"], Start::Now);
        let who = Token::from_u64(1000 + n as u64);
        let watch = Watch::new(slow_patterns(), ALL, Begin::Now, now);
        world.watches.watch(who, watch);
        world.watches.catch_up(who, &world.store, &mut Vec::new());
    }
    let key = "k".repeat(255);
    world.watches.work = 0;
    world.set(&key);
    world.tell();
    let work = world.watches.work;
    assert!(work < 2 * WORK_MAX, "{work} steps");
    assert!(WATCHERS * slow_patterns().cost() > 4 * WORK_MAX);

    let mut awake = Vec::new();
    let mut told = BTreeSet::new();
    for delivery in std::mem::take(world.watches.outbox()) {
        match delivery {
            Delivery::Wake(who) => awake.push(who),
            Delivery::Tell(who, _) => assert!(told.insert(who)),
            Delivery::End(..) => unreachable!("nobody waits"),
        }
    }
    for client in &world.clients {
        assert!(told.contains(&client.who), "the others hear of it at once");
    }
    for who in awake {
        let mut out = Vec::new();
        assert!(world.watches.catch_up(who, &world.store, &mut out));
        let reply: Json = serde_json::from_slice(out.strip_suffix(&[0]).unwrap()).unwrap();
        assert_eq!(reply["parameters"]["events"][0]["key"], key);
        assert!(told.insert(who));
    }
    assert_eq!(told.len(), 2 * WATCHERS);
    // From then on they hear of everything again as it happens.
    world.set("k/1");
    world.tell();
    assert!(!world.watches.outbox().is_empty());
}

/// One change of thousands of variables was compared with such patterns in one turn, half a second.
#[test]
fn a_change_of_many_is_compared_in_many_turns_with_patterns_that_take_long() {
    let mut world = World::new();
    for n in 0..7 {
        world.set(&format!("{n}/kkkk"));
        world.set(&format!("{n}/k"));
    }
    world.watch(&["**[k][k]**[k]**[k]"; 64], Start::Initial);
    world.unblock(0);
    let before = world.clients[0].replies;
    world.delete_all(&["{0,1,2,3,4,5}/"]);
    world.tell();
    world.deliver();
    world.turn(0);
    assert!(world.clients[0].is_awake, "that was not all of it");
    // Nor is it counted: that takes too long as well.
    world.clients[0].is_counted = false;
    assert!(12 * slow_patterns().cost() > 4 * WORK_MAX);
    assert_eq!(
        world.clients[0].replies, before,
        "no part of a change is told"
    );
    // One that was compared already, and one that was not, come back.
    for key in ["0/kkkk", "5/kkkk"] {
        world.set(key);
        world.tell();
        world.deliver();
    }
    assert!(world.unblock(0) > 1);
    world.check();
    let client = &world.clients[0];
    let deleted = client.events.iter().filter(|(.., value)| value.is_none());
    assert_eq!((deleted.count(), client.resets), (4, 0));
}

/// Who comes back may have been told a part of the next change, and what was deleted of that since
/// must be told as well, also if it takes turns to compare the rest.
#[test]
fn who_comes_back_in_the_middle_of_a_change_hears_what_was_deleted_of_it() {
    let mut world = World::new();
    KEYS.iter().for_each(|key| world.set(key));
    // While this one catches up, it is noted when variables are created.
    world.watch(&["**"], Start::Initial);
    world.play(&Step::Block(0));
    let told_to = world.store.revision();
    let set = |n| {
        (
            format!("{n}/kkkk"),
            Action::Set(Value::text("1").unwrap(), None),
        )
    };
    let batch = Batch {
        operations: (0..4).map(set).collect(),
        ..Batch::default()
    };
    let at = world.store.apply(&batch, WRITER).unwrap();
    world.tell();
    // To compare two of its variables takes a turn.
    let count = 64 * (WORK_MAX * 2 / 5) / slow_patterns().cost();
    let patterns = Patterns::compile(&vec!["**[k][k]**[k]**[k]"; count]).unwrap();
    let who = Token::from_u64(1000);
    let watch = Watch::new(patterns, ALL, Begin::After(told_to), at);
    world.watches.watch(who, watch);
    let mut out = Vec::new();
    let mut turn = |world: &mut World| world.watches.catch_up(who, &world.store, &mut out);
    assert!(!turn(&mut world), "it takes turns");
    for n in 0..3 {
        world.delete(&[format!("{n}/kkkk")]);
        world.tell();
    }
    while !turn(&mut world) {}
    let replies = String::from_utf8(out).unwrap();
    for n in 0..3 {
        let gone = format!(r#""change":"deleted","key":"{n}/kkkk""#);
        assert!(replies.contains(&gone), "{replies}");
    }
}

/// Counting is done in one go, so it must not take long.
#[test]
fn a_change_of_many_is_not_counted_with_patterns_that_take_long() {
    let counts = |patterns| {
        let keys = vec![Key::from("k".repeat(255).as_bytes()); 4096];
        Watch::new(patterns, ALL, Begin::Now, Revision(0)).count(&keys)
    };
    assert!(counts(Patterns::all()));
    assert!(!counts(slow_patterns()));
}

/// Who leaves does not count any more, and is not waited for.
#[test]
fn the_next_change_of_many_waits_for_all_who_are_there_to_count() {
    let mut world = World::new();
    for n in 0..10 {
        world.set(&format!("k/{n}"));
        world.tell();
    }
    (0..4).for_each(|_| world.watch(&["**"], Start::Now));
    world.delete_all(&["k/"]);
    world.tell();
    world.deliver();
    world.play(&Step::Leave(0));
    world.play(&Step::Turn(0));
    assert!(world.watches.count_on(1), "two have not counted");
    assert!(!world.watches.count_on(1));
    world.check();
}
