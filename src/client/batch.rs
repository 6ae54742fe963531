//! Several changes that are made together.

use std::time::Duration;

use super::entry::Revision;
use super::generated::{self, Action, Apply_Args, Operation};
use super::question::Condition;
use super::terms;
use super::value::Value;

/// Several changes at once, all of them or none: see [`Client::apply`](crate::Client::apply).
///
/// All checks are made before the first change. The changes are made in the order in which they are
/// named here, each seeing those before it: up to 4,096, with one revision.
///
/// ```
/// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
/// use globstash::{Batch, Condition, Error};
///
/// client.set("queue/1", "wash up")?;
/// let take = Batch::new()
///     .check("queue/1", Condition::defined())
///     .delete("queue/1")
///     .set("taken/1", "wash up")
///     .increment("count/taken", 1);
/// client.apply(take.clone())?;
///
/// let again = client.apply(take);
/// assert!(matches!(again, Err(Error::ConditionFailed { key, .. }) if key == "queue/1"));
/// assert_eq!(client.get("count/taken")?, Some("1".into()));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a batch does nothing until it is applied"]
pub struct Batch {
    checks: Vec<(String, Condition)>,
    steps: Vec<(String, Step)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Set(Value, Option<Duration>),
    Delete,
    Increment(String),
}

impl Batch {
    /// Nothing is asked yet.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Only if this variable is like this before; otherwise nothing is done, and it is
    /// [`Error::ConditionFailed`](crate::Error::ConditionFailed).
    pub fn check(mut self, key: impl Into<String>, condition: Condition) -> Batch {
        self.checks.push((key.into(), condition));
        self
    }

    /// Defines a variable or replaces its value.
    pub fn set(self, key: impl Into<String>, value: impl Into<Value>) -> Batch {
        self.step(key, Step::Set(value.into(), None))
    }

    /// The same, for so long.
    pub fn set_for(self, key: impl Into<String>, value: impl Into<Value>, ttl: Duration) -> Batch {
        self.step(key, Step::Set(value.into(), Some(ttl)))
    }

    /// Deletes a variable, if it is there.
    pub fn delete(self, key: impl Into<String>) -> Batch {
        self.step(key, Step::Delete)
    }

    /// Adds to the number that a variable holds, as
    /// [`Client::increment_by`](crate::Client::increment_by) does.
    pub fn increment(self, key: impl Into<String>, by: impl ToString) -> Batch {
        self.step(key, Step::Increment(by.to_string()))
    }

    fn step(mut self, key: impl Into<String>, step: Step) -> Batch {
        self.steps.push((key.into(), step));
        self
    }

    /// The longest value in it, and its key.
    pub(super) fn longest(&self) -> Option<(&str, usize)> {
        let values = self.steps.iter().filter_map(|(key, step)| match step {
            Step::Set(value, _) => Some((&**key, value.as_bytes().len())),
            _ => None,
        });
        values.max_by_key(|(_, length)| *length)
    }

    pub(super) fn into_wire(self) -> Apply_Args {
        let checks = self
            .checks
            .into_iter()
            .map(|(key, condition)| generated::Check {
                key,
                condition: condition.into_wire(),
            });
        Apply_Args {
            checks: Some(checks.collect()),
            operations: self.steps.into_iter().map(operation).collect(),
        }
    }
}

fn operation((key, step): (String, Step)) -> Operation {
    let (action, by, ttl) = match &step {
        Step::Set(_, ttl) => (Action::set, None, ttl.map(terms::microseconds)),
        Step::Delete => (Action::delete, None, None),
        Step::Increment(by) => (Action::increment, Some(by.clone()), None),
    };
    let (value, data) = match step {
        Step::Set(value, _) => value.into_fields(),
        _ => (None, None),
    };
    Operation {
        action,
        key,
        value,
        data,
        by,
        ttlUSec: ttl,
    }
}

/// What came of a batch.
pub(super) fn revision(reply: &generated::Apply_Reply) -> Revision {
    Revision::from_wire(reply.revision)
}
