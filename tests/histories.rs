//! Whatever several clients do at once, and however often the service is killed meanwhile: there is
//! an order of all their calls, each between its beginning and its end, in which one after the other
//! would have had the same answers. This is linearizability, and stateright's tester looks for the
//! order.
//!
//! A change whose answer was lost may have been made or not, but not later than its client knew that
//! it was lost: the service was dead then. So the model is a set of states: what is possible, and
//! such a change makes more of it possible.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::manager::Manager;
use common::random::Random;
use globstash::{Batch, Client, Condition, Error};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

/// How many clients there are, and on how many variables they meet.
const CLIENTS: usize = 4;
const KEYS: u64 = 3;
/// Calls of each client in a history, in which there is one crash: the tester tries all orders of
/// calls that were lost, of which each crash brings some.
const CALLS: usize = 8;

// ---- the model ----

#[derive(Clone, Debug, PartialEq)]
enum Call {
    Get(String),
    Set(String, String),
    /// The same, if the variable has this revision.
    Replace(String, String, u64),
    Delete(String),
    Increment(String),
    /// Deletes one, which must have this revision, and gives its place and this value to another:
    /// both at once, or neither.
    Move(String, String, String, u64),
    /// Everything at one moment.
    List,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Variable(Option<Variable>),
    Changed(u64),
    Sum(String, u64),
    Refused,
    NotNumeric,
    All(State),
    /// Nothing: it may have been done or not.
    Nothing,
}

/// A value and its revision.
type Variable = (String, u64);

/// What the service has.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    revision: u64,
    variables: BTreeMap<String, Variable>,
}

impl State {
    fn set(&mut self, key: &str, value: String) -> u64 {
        self.revision += 1;
        let variable = (value, self.revision);
        self.variables.insert(key.to_owned(), variable);
        self.revision
    }

    /// 0 if it is not defined.
    fn revision_of(&self, key: &str) -> u64 {
        self.variables.get(key).map_or(0, |(_, revision)| *revision)
    }

    /// What a service with one client does.
    fn answer(&mut self, call: &Call) -> Told {
        match call {
            Call::Get(key) => Told::Variable(self.variables.get(key).cloned()),
            Call::Set(key, value) => Told::Changed(self.set(key, value.clone())),
            Call::Replace(key, value, wanted) => match self.revision_of(key) == *wanted {
                true => Told::Changed(self.set(key, value.clone())),
                false => Told::Refused,
            },
            Call::Move(from, to, value, wanted) => match self.revision_of(from) == *wanted {
                true => {
                    self.variables.remove(from);
                    Told::Changed(self.set(to, value.clone()))
                }
                false => Told::Refused,
            },
            Call::Delete(key) => {
                let was_there = self.variables.remove(key).is_some();
                self.revision += u64::from(was_there);
                Told::Changed(self.revision)
            }
            Call::Increment(key) => {
                let number = self.variables.get(key).map_or("0", |(value, _)| value);
                match number.parse::<u64>() {
                    Ok(number) => {
                        let sum = (number + 1).to_string();
                        Told::Sum(sum.clone(), self.set(key, sum))
                    }
                    Err(_) => Told::NotNumeric,
                }
            }
            Call::List => Told::All(self.clone()),
        }
    }
}

/// What the service may have, as far as its clients know.
#[derive(Clone, Debug)]
struct Possible(BTreeSet<State>);

impl Possible {
    fn only(state: State) -> Possible {
        Possible(BTreeSet::from([state]))
    }
}

impl SequentialSpec for Possible {
    type Op = Call;
    type Ret = Told;

    fn invoke(&mut self, call: &Call) -> Told {
        assert!(self.is_valid_step(call, &Told::Nothing));
        Told::Nothing
    }

    fn is_valid_step(&mut self, call: &Call, told: &Told) -> bool {
        let before = std::mem::take(&mut self.0);
        for mut state in before {
            if *told == Told::Nothing {
                self.0.insert(state.clone());
                // A crash may come between the taking of the revision and its use.
                let skipped = state.revision + 1;
                let variables = state.variables.clone();
                state.answer(call);
                if state.revision == skipped {
                    let revision = skipped;
                    self.0.insert(State {
                        revision,
                        variables,
                    });
                }
                self.0.insert(state);
            } else if state.answer(call) == *told {
                self.0.insert(state);
            }
        }
        !self.0.is_empty()
    }
}

// ---- the clients ----

type History = LinearizabilityTester<usize, Possible>;

fn text(value: &globstash::Value) -> String {
    String::from_utf8(value.as_bytes().to_vec()).expect("what was set")
}

fn variable(client: &mut Client, key: &str) -> Result<Option<Variable>, Error> {
    let entry = client.entry(key)?;
    Ok(entry.map(|entry| {
        let value = entry.value.expect("it was asked for");
        (text(&value), entry.revision.0)
    }))
}

fn list(client: &mut Client) -> Result<State, Error> {
    // Only alone: between the two somebody else could change something.
    let variables = client.list("**")?.map(|entry| {
        let entry = entry?;
        let value = entry.value.expect("it was asked for");
        let variable = (text(&value), entry.revision.0);
        Ok((entry.key, variable))
    });
    let variables = variables.collect::<Result<_, Error>>()?;
    let revision = client.status()?.revision.0;
    Ok(State {
        revision,
        variables,
    })
}

fn make(client: &mut Client, call: &Call) -> Told {
    let result = match call {
        Call::Get(key) => variable(client, key).map(Told::Variable),
        Call::Set(key, value) => client
            .set(key, value)
            .map(|revision| Told::Changed(revision.0)),
        Call::Replace(key, value, revision) => client
            .set_if(
                key,
                value,
                Condition::revision(globstash::Revision(*revision)),
            )
            .map(|revision| Told::Changed(revision.0)),
        Call::Move(from, to, value, revision) => {
            let is_there = Condition::revision(globstash::Revision(*revision));
            let batch = Batch::new().check(from, is_there);
            client
                .apply(batch.delete(from).set(to, &**value))
                .map(|revision| Told::Changed(revision.0))
        }
        Call::Delete(key) => client
            .delete(key)
            .map(|deleted| Told::Changed(deleted.revision.0)),
        Call::Increment(key) => client
            .increment(key)
            .map(|sum| Told::Sum(sum.value.to_string(), sum.revision.0)),
        Call::List => list(client).map(Told::All),
    };
    match result {
        Ok(told) => told,
        Err(Error::ConditionFailed { .. }) => Told::Refused,
        Err(Error::NotNumeric { .. }) => Told::NotNumeric,
        Err(Error::OutcomeUnknown(_)) => Told::Nothing,
        // A read that was lost twice.
        Err(Error::Lost { .. }) if matches!(call, Call::Get(_)) => Told::Nothing,
        Err(error) => panic!("{call:?}: {error}"),
    }
}

/// Calls that make sense one after the other, at random.
fn next_call(random: &mut Random, name: &str, seen: &BTreeMap<String, u64>) -> Call {
    let number = random.below(KEYS);
    let key = format!("key/{number}");
    let value = match random.below(4) {
        0 => random.below(1000).to_string(),
        1 => name.repeat(2000),
        _ => name.to_owned(),
    };
    let revision = seen.get(&key).copied().unwrap_or(0);
    match random.below(12) {
        0..4 => Call::Get(key),
        4..6 => Call::Set(key, value),
        6 => Call::Replace(key, value, revision),
        7 => Call::Delete(key),
        8..10 => {
            let other = (number + 1 + random.below(KEYS - 1)) % KEYS;
            Call::Move(key, format!("key/{other}"), value, revision)
        }
        _ => Call::Increment(key),
    }
}

/// One client, at random; `made` counts the calls of all.
fn play(address: &Path, who: usize, seed: u64, history: &Mutex<History>, made: &AtomicUsize) {
    let mut client = common::client(address);
    let mut random = Random(seed);
    let mut seen = BTreeMap::new();
    for n in 0..CALLS {
        let call = next_call(&mut random, &format!("{who} {n}"), &seen);
        history
            .lock()
            .unwrap()
            .on_invoke(who, call.clone())
            .expect("one at a time");
        let told = make(&mut client, &call);
        made.fetch_add(1, Ordering::Relaxed);
        if let (Call::Get(key), Told::Variable(Some((_, revision)))) = (&call, &told) {
            seen.insert(key.clone(), *revision);
        }
        history
            .lock()
            .unwrap()
            .on_return(who, told)
            .expect("it was begun");
    }
}

/// A history of all clients, in the midst of which the service is killed.
fn record(manager: &mut Manager, before: State, random: &mut Random) -> (History, State) {
    let history = Mutex::new(History::new(Possible::only(before)));
    let made = AtomicUsize::new(0);
    let address = manager.socket();
    thread::scope(|scope| {
        for who in 0..CLIENTS {
            let seed = random.below(u64::MAX) | 1;
            let (address, history, made) = (&address, &history, &made);
            scope.spawn(move || play(address, who, seed, history, made));
        }
        let enough = 1 + random.below((CLIENTS * CALLS / 2) as u64) as usize;
        while made.load(Ordering::Relaxed) < enough {
            thread::yield_now();
        }
        manager.crash();
    });
    let mut history = history.into_inner().unwrap();
    let mut client = common::client(&address);
    let after = list(&mut client).expect("it is not killed any more");
    let list = history.on_invret(usize::MAX, Call::List, Told::All(after.clone()));
    list.expect("everybody has ended");
    (history, after)
}

#[test]
fn histories_of_four_clients_are_linearizable_over_crashes() {
    let rounds =
        std::env::var("GLOBSTASH_HISTORIES").map_or(150, |count| count.parse().expect("a number"));
    let mut manager = Manager::start();
    let mut random = Random(1);
    let mut state = State::default();
    let mut lost = 0;
    for round in 0..rounds {
        let (history, after) = record(&mut manager, state, &mut random);
        let Some(order) = history.serialized_history() else {
            panic!("round {round}: {history:#?}");
        };
        lost += order
            .iter()
            .filter(|(_, told)| *told == Told::Nothing)
            .count();
        state = after;
    }
    // So that it is no test of a service that is never killed while it works.
    assert!(lost as u64 > rounds / 4, "{lost} answers were lost");
    println!("{lost} answers were lost, at revision {}", state.revision);
}

// ---- that it can fail ----

fn key() -> String {
    "key".to_owned()
}

fn found(value: &str, revision: u64) -> Told {
    Told::Variable(Some((value.to_owned(), revision)))
}

/// A history of one call after the other.
fn one_by_one(calls: &[(usize, Call, Told)]) -> bool {
    let mut history = History::new(Possible::only(State::default()));
    for (who, call, told) in calls {
        let step = history.on_invret(*who, call.clone(), told.clone());
        step.expect("one at a time");
    }
    history.is_consistent()
}

#[test]
fn what_must_not_be_is_noticed() {
    let set = |value: &str| Call::Set(key(), value.to_owned());
    let get = || Call::Get(key());
    let (one, other) = (
        (0, set("a"), Told::Changed(1)),
        (0, set("b"), Told::Changed(2)),
    );
    let lost = (0, set("b"), Told::Nothing);

    assert!(one_by_one(&[one.clone(), (1, get(), found("a", 1))]));
    let nothing = (1, get(), Told::Variable(None));
    assert!(
        !one_by_one(&[one.clone(), nothing.clone()]),
        "an acknowledged change is lost"
    );
    let old = (1, get(), found("a", 1));
    assert!(
        !one_by_one(&[one.clone(), other.clone(), old.clone()]),
        "an old value"
    );
    let wrong = (1, get(), found("b", 1));
    assert!(
        !one_by_one(&[one.clone(), other, wrong]),
        "a revision of another value"
    );
    let moved = Call::Move(key(), "other".to_owned(), "a".to_owned(), 1);
    let moved = (0, moved, Told::Changed(2));
    assert!(one_by_one(&[one.clone(), moved.clone(), nothing.clone()]));
    assert!(
        !one_by_one(&[one.clone(), moved, old.clone()]),
        "half of what is done at once"
    );
    let again = (0, set("b"), Told::Changed(1));
    assert!(!one_by_one(&[one.clone(), again]), "a revision twice");

    assert!(one_by_one(&[one.clone(), lost.clone(), old.clone()]));
    let new = (1, get(), found("b", 2));
    assert!(one_by_one(&[one.clone(), lost.clone(), new.clone()]));
    let next = |revision| (0, set("c"), Told::Changed(revision));
    assert!(one_by_one(&[
        one.clone(),
        lost.clone(),
        old.clone(),
        next(2)
    ]));
    assert!(one_by_one(&[
        one.clone(),
        lost.clone(),
        old.clone(),
        next(3)
    ]));
    assert!(
        !one_by_one(&[one.clone(), lost.clone(), old.clone(), next(4)]),
        "a revision too far"
    );
    let torn = (1, get(), found("bb", 2));
    assert!(
        !one_by_one(&[one.clone(), lost.clone(), torn]),
        "what nobody has written"
    );
    assert!(
        !one_by_one(&[one.clone(), lost.clone(), old, new.clone()]),
        "what was lost happens later"
    );
    assert!(
        !one_by_one(&[one, lost, new, nothing]),
        "what was seen is lost"
    );
}

/// The same with histories as they are: one answer in them is made another.
#[test]
fn a_recorded_history_with_one_wrong_answer_is_noticed() {
    let mut manager = Manager::start();
    let mut random = Random(7);
    let (history, _) = record(&mut manager, State::default(), &mut random);
    let order = history.serialized_history().expect("it is as it should be");
    let told: Vec<usize> = (0..order.len())
        .filter(|n| {
            matches!(
                order[*n].1,
                Told::Changed(_) | Told::Sum(..) | Told::Variable(Some(_))
            )
        })
        .collect();
    assert!(told.len() > CLIENTS * CALLS / 4, "{order:?}");
    for wrong in told {
        let mut order = order.clone();
        match &mut order[wrong].1 {
            Told::Changed(revision) | Told::Sum(_, revision) => *revision += 1,
            Told::Variable(Some((value, _))) => value.push('x'),
            _ => unreachable!("they were chosen above"),
        }
        let calls: Vec<_> = order
            .into_iter()
            .map(|(call, told)| (0, call, told))
            .collect();
        assert!(!one_by_one(&calls), "answer {wrong} was wrong");
    }
}
