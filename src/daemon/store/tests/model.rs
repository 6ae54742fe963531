//! The whole store beside a model that keeps the same promises in the plainest way, through
//! everything that can be asked of it, the passing of time, the end of processes, crashes, and
//! reloads; and beside those who follow it with a cursor.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::os::fd::AsFd;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::bytes;
use crate::daemon::handoff;
use crate::sys::activation::Kept;

/// What a variable holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    bytes: Vec<u8>,
    revision: u64,
    uid: u32,
    owner: u32,
    is_protected: bool,
    deadline: Option<u64>,
    process: Option<u32>,
}

/// Narrow enough for random steps to meet all limits, those of a user among them.
const NARROW: Limits = Limits {
    variables: 6,
    bytes: 28,
};
const USERS: [u32; 3] = [ROOT, 1, 2];
const PIDS: [u32; 2] = [7, 8];
const FOLLOWERS: usize = 3;

/// A condition as a caller gives it.
#[derive(Debug, Clone)]
struct Asked {
    defined: Option<bool>,
    revision: Option<i64>,
    value: Option<Vec<u8>>,
}

/// The terms on which a variable is set.
#[derive(Debug, Clone)]
struct Given {
    ttl: Option<u64>,
    process: Option<u32>,
    protected: Option<bool>,
}

/// One operation of a batch.
#[derive(Debug, Clone)]
enum Part {
    Set(Vec<u8>, Option<u64>),
    Delete,
    Increment(u8),
}

#[derive(Debug, Clone)]
enum Step {
    Set(String, Vec<u8>, Asked, Given, u32),
    Delete(String, Asked, u32),
    DeleteAll(&'static str, u32),
    Increment(String, u8, u32),
    Expire(String, Option<u64>, u32),
    ExpireNow(String, u32),
    Apply(Vec<(String, Asked)>, Vec<(String, Part)>, u32),
    /// Time goes on, and what is due is done.
    Pass(u64),
    /// A process ends, and what is due is done.
    End(u32),
    /// The process is gone, and the next one has what was kept of it.
    Crash,
    /// Another program takes the place of this one, with what it is handed.
    Reload,
    /// No other program could: this one goes on.
    ReloadInVain,
    /// One of the followers goes on.
    Look(usize),
}

/// Somebody who has heard of everything up to a revision, and what that adds up to.
#[derive(Debug, Default)]
struct Follower {
    seen: Revision,
    known: BTreeMap<String, Vec<u8>>,
}

impl Follower {
    /// Hears of what has changed, or of all if it is not known what is gone.
    fn go_on(&mut self, store: &Store) {
        if store.forgotten() > self.seen {
            *self = Follower::default();
        }
        for past in store.after(&(self.seen, None)) {
            let key = past.key_text().to_owned();
            match past.what {
                What::Set(variable) => {
                    assert!(variable.revision() > self.seen);
                    let (Content::Text(bytes) | Content::Data(bytes)) = variable.content();
                    self.known.insert(key, bytes.to_vec());
                }
                What::Gone(_) => drop(self.known.remove(&key)),
                What::Stale => {}
            }
        }
        self.seen = store.revision();
    }
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Model {
    pub(super) variables: BTreeMap<String, Held>,
    pub(super) revision: u64,
}

/// How many variables it was about, and the revision.
type Outcome = Result<(u64, u64), Refusal>;

impl Model {
    /// How many variables there are of some kind, and how many bytes they take.
    fn sizes(&self, of: impl Fn(&Held) -> bool) -> (u64, u64) {
        let held = self.variables.iter().filter(|(_, held)| of(held));
        held.fold((0, 0), |(count, bytes), (key, held)| {
            (count + 1, bytes + (key.len() + held.bytes.len()) as u64)
        })
    }

    fn condition(&self, key: &str, asked: &Asked) -> Result<(), Refusal> {
        check_key(key)?;
        let held = self.variables.get(key);
        let revision = held.map_or(0, |held| held.revision);
        let is_defined = asked.defined.is_none_or(|wanted| wanted == held.is_some());
        let is_at = asked
            .revision
            .is_none_or(|wanted| wanted == revision as i64);
        let wanted = asked.value.as_ref();
        let has = wanted.is_none_or(|wanted| held.is_some_and(|held| held.bytes == *wanted));
        match is_defined && is_at && has {
            true => Ok(()),
            false => Err(Refusal::Condition(Revision(revision))),
        }
    }

    fn permission(&self, key: &str, uid: u32) -> Result<(), Refusal> {
        check_key(key)?;
        let held = self.variables.get(key);
        let is_others = |held: &Held| held.is_protected && ![ROOT, held.owner].contains(&uid);
        match held.is_some_and(is_others) {
            true => Err(Refusal::Denied),
            false => Ok(()),
        }
    }

    /// A variable gets a value; limits are not looked at.
    fn put(&mut self, key: &str, bytes: Vec<u8>, uid: u32) -> &mut Held {
        let held = self.variables.entry(key.to_owned()).or_insert(Held {
            bytes: Vec::new(),
            revision: 0,
            uid,
            owner: uid,
            is_protected: false,
            deadline: None,
            process: None,
        });
        (held.bytes, held.uid) = (bytes, uid);
        held
    }

    fn add(&mut self, key: &str, by: u8, uid: u32) -> Result<(), Refusal> {
        let number = match self.variables.get(key) {
            None => 0,
            Some(held) => {
                let text = std::str::from_utf8(&held.bytes).ok();
                let number = text.and_then(|text| text.parse::<u32>().ok());
                number.ok_or(Refusal::NotNumeric)?
            }
        };
        self.permission(key, uid)?;
        self.put(key, (number + u32::from(by)).to_string().into(), uid);
        Ok(())
    }

    /// It becomes `after`, in which these keys have changed, if there is room.
    fn commit(&mut self, mut after: Model, keys: &BTreeSet<String>, uid: u32) -> Outcome {
        let is_there = |model: &Model, key: &str| model.variables.contains_key(key);
        let has_changed = |key: &&String| is_there(self, key) || is_there(&after, key);
        let changed: Vec<String> = keys.iter().filter(has_changed).cloned().collect();
        if changed.is_empty() {
            return Ok((0, self.revision));
        }
        after.revision += 1;
        for key in &changed {
            if let Some(held) = after.variables.get_mut(key) {
                held.revision = after.revision;
            }
        }
        let exceeds = |before: u64, after: u64, most: u64| after > before && after > most;
        let own = |held: &Held| held.uid == uid;
        let (before, now) = (self.sizes(own), after.sizes(own));
        let (variables, bytes) = (NARROW.variables.div_ceil(4), NARROW.bytes / 4);
        if uid != ROOT && exceeds(before.0, now.0, variables) {
            return Err(Refusal::Limit(Limit::Variables(variables)));
        }
        if uid != ROOT && exceeds(before.1, now.1, bytes) {
            return Err(Refusal::Limit(Limit::Bytes(bytes)));
        }
        let (before, now) = (self.sizes(|_| true), after.sizes(|_| true));
        if exceeds(before.1, now.1, NARROW.bytes) {
            return Err(Refusal::Full(Full::Bytes));
        }
        if exceeds(before.0, now.0, NARROW.variables) {
            return Err(Refusal::Full(Full::Variables));
        }
        *self = after;
        Ok((changed.len() as u64, self.revision))
    }

    fn forget(&mut self, is_over: impl Fn(&Held) -> bool) -> Outcome {
        let before = self.variables.len();
        self.variables.retain(|_, held| !is_over(held));
        self.revision += u64::from(self.variables.len() < before);
        Ok((0, self.revision))
    }

    fn play(&mut self, step: &Step, now: u64) -> Outcome {
        let mut after = self.clone();
        let one = |key: &String| BTreeSet::from([key.clone()]);
        match step {
            Step::Set(key, value, asked, given, uid) => {
                self.condition(key, asked)?;
                self.permission(key, *uid)?;
                let held = after.put(key, value.clone(), *uid);
                held.deadline = given.ttl.map(|ttl| now + ttl);
                held.process = given.process;
                if let Some(protected) = given.protected {
                    held.is_protected = protected;
                    held.owner = if protected { *uid } else { held.owner };
                }
                self.commit(after, &one(key), *uid)
            }
            Step::Delete(key, asked, uid) => {
                self.condition(key, asked)?;
                self.permission(key, *uid)?;
                after.variables.remove(key);
                self.commit(after, &one(key), *uid)
            }
            Step::DeleteAll(pattern, uid) => {
                let patterns = Patterns::compile(&[*pattern]).unwrap();
                let keys = after.variables.keys().filter(|key| patterns.matches(key));
                let keys: BTreeSet<String> = keys.cloned().collect();
                for key in &keys {
                    self.permission(key, *uid)?;
                    after.variables.remove(key);
                }
                self.commit(after, &keys, *uid)
            }
            Step::Increment(key, by, uid) => {
                check_key(key)?;
                after.add(key, *by, *uid)?;
                self.commit(after, &one(key), *uid)
            }
            Step::Expire(key, ttl, uid) => {
                self.permission(key, *uid)?;
                let held = self.variables.get_mut(key);
                let count = u64::from(held.is_some());
                if let Some(held) = held {
                    held.deadline = ttl.map(|ttl| now + ttl);
                }
                Ok((count, self.revision))
            }
            Step::ExpireNow(key, uid) => {
                self.permission(key, *uid)?;
                let count = u64::from(self.variables.remove(key).is_some());
                self.revision += count;
                Ok((count, self.revision))
            }
            Step::Apply(checks, parts, uid) => {
                for (key, asked) in checks {
                    self.condition(key, asked)?;
                }
                let mut keys = BTreeSet::new();
                for (key, part) in parts {
                    check_key(key)?;
                    let was_there = after.variables.contains_key(key);
                    match part {
                        Part::Set(value, ttl) => {
                            after.permission(key, *uid)?;
                            let held = after.put(key, value.clone(), *uid);
                            (held.deadline, held.process) = (ttl.map(|ttl| now + ttl), None);
                        }
                        Part::Delete => {
                            after.permission(key, *uid)?;
                            after.variables.remove(key);
                        }
                        Part::Increment(by) => after.add(key, *by, *uid)?,
                    }
                    if was_there || after.variables.contains_key(key) {
                        keys.insert(key.clone());
                    }
                }
                self.commit(after, &keys, *uid)
            }
            Step::Pass(_) => self.forget(|held| held.deadline.is_some_and(|end| end <= now)),
            Step::End(pid) => self.forget(|held| held.process == Some(*pid)),
            Step::Crash | Step::Reload | Step::ReloadInVain | Step::Look(_) => {
                Ok((0, self.revision))
            }
        }
    }
}

fn check_key(key: &str) -> Result<(), Refusal> {
    match key {
        "" => Err(Refusal::Key(KeyFlaw::Empty)),
        key if key.contains('=') => Err(Refusal::Key(KeyFlaw::Equals)),
        _ => Ok(()),
    }
}

/// Does the same with the store.
fn play(store: &mut Store, step: &Step, now: u64) -> Outcome {
    let writer = |uid: &u32| Writer { uid: *uid, pid: 0 };
    let deadline = |ttl: &Option<u64>| ttl.map(|ttl| Moment(now + ttl));
    let number = |by: &u8| Decimal::parse(&by.to_string()).unwrap();
    let (count, revision) = match step {
        Step::Set(key, value, asked, given, uid) => {
            let terms = Terms {
                condition: condition(asked),
                deadline: deadline(&given.ttl),
                process: given.process.map(process),
                protected: given.protected,
            };
            let value = Value::data(value.clone());
            (1, store.set(key, &value, &terms, writer(uid))?)
        }
        Step::Delete(key, asked, uid) => store.delete(key, &condition(asked), writer(uid))?,
        Step::DeleteAll(pattern, uid) => {
            let patterns = Patterns::compile(&[*pattern]).unwrap();
            let mut collection = store.collection(patterns, usize::MAX);
            let progress = store.collect(&mut collection, &mut Budget::new(usize::MAX));
            assert_eq!(progress, Progress::Finished);
            let deleted = store.delete_collected(&collection, writer(uid));
            deleted.map_err(|_| Refusal::Denied)?
        }
        Step::Increment(key, by, uid) => {
            let sum = store.increment(key, number(by), (None, None), writer(uid))?;
            (1, sum.1)
        }
        Step::Expire(key, ttl, uid) => {
            let is_there = store.expire(key, deadline(ttl), writer(uid))?;
            (is_there.into(), store.revision())
        }
        Step::ExpireNow(key, uid) => {
            let was_there = store.expire_now(key, writer(uid))?;
            (was_there.into(), store.revision())
        }
        Step::Apply(checks, parts, uid) => {
            let check = |(key, asked): &(String, Asked)| (key.clone(), condition(asked));
            let part = |(key, part): &(String, Part)| {
                let action = match part {
                    Part::Set(value, ttl) => Action::Set(Value::data(value.clone()), deadline(ttl)),
                    Part::Delete => Action::Delete,
                    Part::Increment(by) => Action::Increment(number(by)),
                };
                (key.clone(), action)
            };
            let batch = Batch {
                checks: checks.iter().map(check).collect(),
                operations: parts.iter().map(part).collect(),
            };
            let applied = store.apply(&batch, writer(uid));
            (0, applied.map_err(|(_, refusal)| refusal)?)
        }
        Step::Pass(_) => {
            store.expire_due(Moment(now), usize::MAX);
            (0, store.revision())
        }
        Step::End(pid) => {
            store.end_process(process(*pid));
            let is_due = store.next_due() == Some(Moment(0));
            assert_eq!(is_due, store.has_process(process(*pid)));
            store.release_due(usize::MAX);
            assert!(!store.has_process(process(*pid)));
            (0, store.revision())
        }
        Step::Crash => {
            let file = store.memory().as_fd().try_clone_to_owned().unwrap();
            store.memory().disown();
            *store = Store::take_over(file, NARROW).unwrap().0;
            (0, store.revision())
        }
        Step::Reload => {
            let instance = store.instance().to_owned();
            store.memory().disown();
            *store = handoff::begin(handed_over(store), NARROW).unwrap();
            assert_eq!(store.instance(), instance);
            (0, store.revision())
        }
        Step::ReloadInVain => {
            store.memory().disown();
            drop(handed_over(store));
            store.memory().own().unwrap();
            (0, store.revision())
        }
        Step::Look(_) => (0, store.revision()),
    };
    Ok((count, revision.0))
}

/// What a successor gets of the store.
fn handed_over(store: &Store) -> Vec<Kept> {
    let map = store.memory().as_fd().try_clone_to_owned().unwrap();
    let view = store.memory().reopen_for_reading().unwrap();
    let kept = |(name, descriptor): (&str, OwnedFd)| Kept {
        name: name.to_owned(),
        descriptor,
    };
    [("map", map), ("view", view)].map(kept).into()
}

fn condition(asked: &Asked) -> Condition<'static> {
    Condition {
        defined: asked.defined,
        revision: asked.revision,
        value: asked.value.clone().map(Value::data),
    }
}

fn process(pid: u32) -> Process {
    Process { pid, inode: 1000 }
}

/// Everything that the store holds, as the model keeps it.
pub(super) fn contents(store: &Store) -> Model {
    let mut variables = BTreeMap::new();
    let mut walk = Walk::new(Patterns::all());
    let progress = store.walk(&mut walk, &mut Budget::new(usize::MAX), |variable| {
        let (Content::Text(bytes) | Content::Data(bytes)) = variable.content();
        let held = Held {
            bytes: bytes.to_vec(),
            revision: variable.revision().0,
            uid: variable.writer().uid,
            owner: variable.owner(),
            is_protected: variable.is_protected(),
            deadline: variable.deadline().map(|Moment(deadline)| deadline),
            process: variable.process(),
        };
        let key = String::from_utf8(variable.key().to_vec()).unwrap();
        variables.insert(key, held);
        ControlFlow::Continue(())
    });
    assert_eq!(progress, Progress::Finished);
    let revision = store.revision().0;
    Model {
        variables,
        revision,
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        prop::option::weighted(0.1, any::<bool>()),
        prop::option::weighted(0.1, -1..10i64),
        prop::option::weighted(0.1, bytes()),
    )
        .prop_map(|(defined, revision, value)| Asked {
            defined,
            revision,
            value,
        })
}

fn given() -> impl Strategy<Value = Given> {
    (
        prop::option::weighted(0.3, 1..50u64),
        prop::option::weighted(0.3, select(&PIDS[..])),
        prop::option::weighted(0.3, any::<bool>()),
    )
        .prop_map(|(ttl, process, protected)| Given {
            ttl,
            process,
            protected,
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keys = || select(vec!["a", "b", "bb", "c/d", "é", "a=b", "", "f", "g", "h"]);
    let key = || keys().prop_map(str::to_owned);
    let value = || {
        let number = (0..200u8).prop_map(|number| number.to_string().into());
        prop_oneof![bytes(), number]
    };
    let user = || select(vec![ROOT, ROOT, 1, 2]);
    let ttl = |often| prop::option::weighted(often, 1..50u64);
    let part = prop_oneof![
        3 => (value(), ttl(0.3)).prop_map(|(value, ttl)| Part::Set(value, ttl)),
        1 => Just(Part::Delete),
        1 => any::<u8>().prop_map(Part::Increment),
    ];
    let checks = prop::collection::vec((key(), asked()), 0..2);
    let parts = prop::collection::vec((key(), part), 0..5);
    let pattern = select(vec!["**", "b*", "c/", "?"]);
    let step = prop_oneof![
        8 => (key(), value(), asked(), given(), user())
            .prop_map(|(key, value, asked, given, uid)| Step::Set(key, value, asked, given, uid)),
        2 => (key(), asked(), user()).prop_map(|(key, asked, uid)| Step::Delete(key, asked, uid)),
        1 => (pattern, user()).prop_map(|(pattern, uid)| Step::DeleteAll(pattern, uid)),
        2 => (key(), any::<u8>(), user()).prop_map(|(key, by, uid)| Step::Increment(key, by, uid)),
        2 => (key(), ttl(0.7), user()).prop_map(|(key, ttl, uid)| Step::Expire(key, ttl, uid)),
        1 => (key(), user()).prop_map(|(key, uid)| Step::ExpireNow(key, uid)),
        4 => (checks, parts, user())
            .prop_map(|(checks, parts, uid)| Step::Apply(checks, parts, uid)),
        3 => (0..30u64).prop_map(Step::Pass),
        1 => select(&PIDS[..]).prop_map(Step::End),
        1 => Just(Step::Crash),
        1 => Just(Step::Reload),
        1 => Just(Step::ReloadInVain),
        3 => (0..FOLLOWERS).prop_map(Step::Look),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Conditions, permissions, limits, revisions and counts; a refusal changes nothing; what is
    /// kept beside the map is always what would be made of it after a crash; and whoever follows knows
    /// what there is, however long it has not looked.
    #[test]
    fn the_store_behaves_as_the_model(steps in steps()) {
        let (mut store, mut model) = (Store::new(NARROW).unwrap(), Model::default());
        let mut followers: [Follower; FOLLOWERS] = Default::default();
        let mut now = 1000;
        for step in steps {
            if let Step::Pass(time) = step {
                now += time;
            }
            let (done, expected) = (play(&mut store, &step, now), model.play(&step, now));
            match step {
                // Of how many variables a batch was, nobody is told.
                Step::Apply(..) => {
                    let revision = |outcome: Outcome| outcome.map(|(_, revision)| revision);
                    prop_assert_eq!(revision(done), revision(expected), "{:?}", step);
                }
                _ => prop_assert_eq!(done, expected, "{:?}", step),
            }
            prop_assert_eq!(contents(&store), model.clone(), "{:?}", step);
            prop_assert_eq!((store.len(), store.bytes()), model.sizes(|_| true));
            for uid in USERS {
                let share = store.share(uid).0;
                prop_assert_eq!((share.variables, share.bytes), model.sizes(|held| held.uid == uid));
            }
            let deadlines = model.variables.values().filter_map(|held| held.deadline);
            prop_assert_eq!(store.next_due(), deadlines.min().map(Moment));
            if let Step::Look(who) = step {
                followers[who].go_on(&store);
                let held = model.variables.iter();
                let held = held.map(|(key, held)| (key.clone(), held.bytes.clone()));
                prop_assert_eq!(&followers[who].known, &held.collect::<BTreeMap<_, _>>());
            }
            store.trim_history();
            store.take_idle_processes();
            prop_assert_eq!(&store.ledger, &Ledger::of(&store.map, geteuid().as_raw()));
        }
    }
}
