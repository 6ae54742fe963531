//! What the service is asked: which variables, on what condition, and what to tell of them.

use std::time::Duration;

use serde_derive::Serialize;

use super::entry::Revision;
use super::generated;
use super::value::Value;

/// What a variable must be like for a change to be made, or for a wait to end.
///
/// ```
/// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
/// use globstash::{Condition, Error};
///
/// client.set_if("lock/build", "4711", Condition::undefined())?;
/// match client.set_if("lock/build", "4712", Condition::undefined()) {
///     Err(Error::ConditionFailed { revision, .. }) => println!("taken with revision {revision}"),
///     result => panic!("{result:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    is_defined: Option<bool>,
    revision: Option<Revision>,
    value: Option<Value>,
}

impl Condition {
    const NONE: Condition = Condition {
        is_defined: None,
        revision: None,
        value: None,
    };

    /// It must be defined.
    pub fn defined() -> Condition {
        Condition {
            is_defined: Some(true),
            ..Condition::NONE
        }
    }

    /// It must not be defined.
    pub fn undefined() -> Condition {
        Condition {
            is_defined: Some(false),
            ..Condition::NONE
        }
    }

    /// Its last change must have been this one; [`Revision::UNDEFINED`]: it must not be defined.
    pub fn revision(revision: Revision) -> Condition {
        Condition {
            revision: Some(revision),
            ..Condition::NONE
        }
    }

    /// It must have this value.
    pub fn value(value: impl Into<Value>) -> Condition {
        Condition {
            value: Some(value.into()),
            ..Condition::NONE
        }
    }

    /// Both conditions must hold. Where they demand the same thing, the other one counts.
    pub fn and(self, other: Condition) -> Condition {
        Condition {
            is_defined: other.is_defined.or(self.is_defined),
            revision: other.revision.or(self.revision),
            value: other.value.or(self.value),
        }
    }

    pub(super) fn into_wire(self) -> generated::Condition {
        let (value, data) = self.value.map_or((None, None), Value::into_fields);
        generated::Condition {
            defined: self.is_defined,
            revision: self.revision.map(Revision::into_wire),
            value,
            data,
        }
    }
}

/// What to wait for: see [`Client::wait_until`](crate::Client::wait_until).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Until {
    pub(super) condition: Option<Condition>,
    pub(super) changed_from: Option<Revision>,
    pub(super) timeout: Option<Duration>,
}

impl Until {
    /// Until the variable is like this.
    pub fn holds(condition: Condition) -> Until {
        Until {
            condition: Some(condition),
            changed_from: None,
            timeout: None,
        }
    }

    /// Until the variable is defined.
    pub fn defined() -> Until {
        Until::holds(Condition::defined())
    }

    /// Until the variable is not defined.
    pub fn undefined() -> Until {
        Until::holds(Condition::undefined())
    }

    /// Until the variable has this value.
    pub fn value(value: impl Into<Value>) -> Until {
        Until::holds(Condition::value(value))
    }

    /// Until the variable has another revision than this, also if by deletion.
    ///
    /// Revisions are of one instance of the service. Of which one this is cannot be told, so it is
    /// taken for one of the instance that is there when the wait begins. If another takes its place
    /// meanwhile, every variable was forgotten with the first, and that is a change; even if the
    /// variable that is told then has the same revision by chance.
    pub fn changed_from(revision: Revision) -> Until {
        Until {
            condition: None,
            changed_from: Some(revision),
            timeout: None,
        }
    }

    /// Also this must hold at the same time.
    pub fn and(self, condition: Condition) -> Until {
        let condition = match self.condition {
            Some(before) => before.and(condition),
            None => condition,
        };
        Until {
            condition: Some(condition),
            ..self
        }
    }

    /// No longer than this; then it is [`Error::TimedOut`](crate::Error::TimedOut). Counted in
    /// whole µs.
    pub fn within(self, timeout: Duration) -> Until {
        Until {
            timeout: Some(timeout),
            ..self
        }
    }
}

/// What to add, and what the sum is kept between: see
/// [`Client::increment_by`](crate::Client::increment_by).
///
/// A number is an optional `-`, digits, and optionally `.` and digits, with at most 18 significant
/// digits and 18 decimals. Rust's own numbers are told as they print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub(super) by: String,
    pub(super) minimum: Option<String>,
    pub(super) maximum: Option<String>,
}

impl Step {
    /// Add this; it may be negative.
    pub fn by(number: impl ToString) -> Step {
        Step {
            by: number.to_string(),
            minimum: None,
            maximum: None,
        }
    }

    /// If the sum would be less than this, it is this.
    pub fn minimum(self, number: impl ToString) -> Step {
        Step {
            minimum: Some(number.to_string()),
            ..self
        }
    }

    /// If the sum would be more than this, it is this.
    pub fn maximum(self, number: impl ToString) -> Step {
        Step {
            maximum: Some(number.to_string()),
            ..self
        }
    }
}

/// Which variables are meant: all, or those whose keys match one of some patterns.
///
/// A pattern is a shell glob: `*` and `?` do not match `/`, `**` does, `[a-z]`, `[!a-z]` and
/// `{one,two}` work as in a shell, a backslash takes the next character literally, and a pattern
/// that ends in `/` matches everything below it. A pattern has at most 1,024 bytes and 64
/// alternatives; there are at most 64 patterns, with 256 brackets in all.
///
/// ```
/// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
/// use globstash::Patterns;
///
/// client.list("player/")?;
/// client.list(["player/*", "radio/?"])?;
/// client.list(Patterns::all())?;
/// client.list(Patterns::keys(["strange*key"]))?;
/// # Ok::<(), globstash::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patterns(pub(super) Option<Vec<String>>);

impl Patterns {
    /// All variables.
    pub fn all() -> Patterns {
        Patterns(None)
    }

    /// The variables with these keys, whatever characters are in them.
    pub fn keys<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Patterns {
        let literal = |key: K| literal(key.as_ref());
        Patterns(Some(keys.into_iter().map(literal).collect()))
    }
}

impl From<&str> for Patterns {
    fn from(pattern: &str) -> Patterns {
        Patterns(Some(vec![pattern.to_owned()]))
    }
}

impl<const N: usize> From<[&str; N]> for Patterns {
    fn from(patterns: [&str; N]) -> Patterns {
        patterns.as_slice().into()
    }
}

impl From<&[&str]> for Patterns {
    fn from(patterns: &[&str]) -> Patterns {
        Patterns(Some(patterns.iter().map(|&one| one.to_owned()).collect()))
    }
}

impl From<Vec<String>> for Patterns {
    fn from(patterns: Vec<String>) -> Patterns {
        Patterns(Some(patterns))
    }
}

/// The pattern that matches a key and nothing else.
pub(crate) fn literal(key: &str) -> String {
    let mut pattern = String::with_capacity(key.len());
    for (at, char) in key.char_indices() {
        let is_last = at + char.len_utf8() == key.len();
        // A '/' at the end would mean all that is below.
        if r"\*?[]{},".contains(char) || (char == '/' && is_last) {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

/// What a list or a watch tells of each variable, beside its key and revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    value: bool,
    metadata: bool,
}

impl Fields {
    /// Nothing more.
    pub const KEYS: Fields = Fields {
        value: false,
        metadata: false,
    };
    /// The value.
    pub const VALUES: Fields = Fields {
        value: true,
        metadata: false,
    };

    /// Also who changed it and, in a list, when.
    pub fn and_metadata(self) -> Fields {
        Fields {
            metadata: true,
            ..self
        }
    }

    /// The parameters `keysOnly` and `metadata` of the wire.
    pub(super) fn into_wire(self) -> (Option<bool>, Option<bool>) {
        ((!self.value).then_some(true), self.metadata.then_some(true))
    }
}

/// What a watch tells first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The present state, as [`Change::Set`](crate::Change::Set) of each variable.
    Present,
    /// The first change after this moment.
    ///
    /// If the service is away for a while, what was set meanwhile is told in any case. That a
    /// variable is gone is told if the service remembers its deletion, or if the watch has heard
    /// of the variable before: by a change, or when an earlier outage made the service tell its
    /// present state. A variable that was there when the watch began and was left alone since can
    /// be forgotten with a service that ends, and nobody can tell the watch. Where that matters,
    /// begin with [`Start::Present`], and leave out what
    /// [`Watch::catch_up`](crate::Watch::catch_up) tells first.
    Now,
    /// What changed after an earlier watch, of the same patterns, had come to a position.
    ///
    /// It goes on as that would have gone on after an outage: nothing that was told is told again,
    /// and nothing is left out but values that newer ones replaced.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// use globstash::{Fields, Start};
    ///
    /// client.set("job/1", "begun")?;
    /// let mut watch = client.watch("job/")?;
    /// let begun = watch.catch_up()?;
    /// assert_eq!(begun.len(), 1);
    /// // To be kept in a file, perhaps, with what was made of the events up to here.
    /// let (position, keys) = (watch.position(), vec!["job/1".to_owned()]);
    /// drop(watch);
    ///
    /// client.set("job/2", "begun")?;
    /// client.delete("job/1")?;
    ///
    /// let start = Start::After { position, keys };
    /// let mut watch = client.watch_with("job/", start, Fields::VALUES)?;
    /// let missed = watch.catch_up()?;
    /// let keys: Vec<&str> = missed.iter().map(|event| &*event.key).collect();
    /// assert_eq!(keys, ["job/2", "job/1"]);
    /// # Ok::<(), globstash::Error>(())
    /// ```
    After {
        /// Where it was: see [`Watch::position`](crate::Watch::position).
        position: Position,
        /// The keys of the variables that were there then, as far as it matters when they are
        /// gone. Deletions are told anyway while the service remembers them. When it does not any
        /// more, or has begun anew, those of these keys that are gone are told as deleted; without
        /// them nothing would tell. All of them have to match the patterns.
        keys: Vec<String>,
    },
}

/// How far a watch has come: up to here everything was told.
///
/// Made of plain fields, to be kept wherever a program keeps what it knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Position {
    /// The revision of the last change.
    pub revision: Revision,
    /// The instance of the service in which it has this number.
    pub instance: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_pattern_has_nothing_that_matches_more() {
        for (key, pattern) in [
            ("player/volume", "player/volume"),
            ("player/", r"player\/"),
            ("a*b?[c]{d,e}\\", r"a\*b\?\[c\]\{d\,e\}\\"),
            ("!^-~", "!^-~"),
        ] {
            assert_eq!(literal(key), pattern);
        }
    }

    #[test]
    fn conditions_add_up() {
        let wire = Condition::defined()
            .and(Condition::revision(Revision(7)))
            .and(Condition::value(b"\xff"))
            .into_wire();
        assert_eq!(wire.defined, Some(true));
        assert_eq!(wire.revision, Some(7));
        assert_eq!((wire.value, wire.data), (None, Some("/w==".into())));
    }

    #[test]
    fn numbers_are_told_as_they_print() {
        let step = Step::by(-0.25).minimum(0).maximum("1.50");
        assert_eq!(step.by, "-0.25");
        assert_eq!(step.minimum.as_deref(), Some("0"));
        assert_eq!(step.maximum.as_deref(), Some("1.50"));
    }
}
