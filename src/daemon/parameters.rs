//! From the parameters of a call to what the store takes.

use super::clock;
use super::failure::Failure;
use super::interface;
use super::store::decimal::Decimal;
use super::store::{Condition, Moment, Value};
use crate::wire::json::read_base64;
use crate::wire::object::Text;
use crate::wire::pattern::{PATTERNS_MAX, Patterns};

/// The value that a caller gave, if any. `culprit` is the parameter that is wrong if it gave two.
pub(crate) fn read_value<'v>(
    key: &str,
    value: &'v Option<Text<'_>>,
    data: &Option<Text<'_>>,
    culprit: &str,
) -> Result<Option<Value<'v>>, Failure> {
    match (value, data) {
        (None, None) => Ok(None),
        (Some(text), None) => match Value::text(text) {
            Ok(value) => Ok(Some(value)),
            Err(flaw) => Err(Failure::InvalidValue(key.to_owned(), flaw)),
        },
        (None, Some(data)) => match read_base64(data) {
            Some(bytes) => Ok(Some(Value::data(bytes))),
            None => Err(Failure::parameter(culprit)),
        },
        (Some(_), Some(_)) => Err(Failure::parameter(culprit)),
    }
}

/// A condition, given in the parameter `name`; without one, one that always holds.
pub(crate) fn read_condition<'c>(
    key: &str,
    name: &str,
    condition: Option<&'c interface::Condition<'_>>,
) -> Result<Condition<'c>, Failure> {
    let Some(condition) = condition else {
        return Ok(Condition::default());
    };
    Ok(Condition {
        defined: condition.defined,
        revision: condition.revision,
        value: read_value(key, &condition.value, &condition.data, name)?,
    })
}

/// How long a variable is to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ttl {
    /// Until somebody deletes it.
    Endless,
    /// Until then.
    Until(Moment),
    /// No longer.
    Over,
}

impl Ttl {
    /// When its time has run out.
    pub(crate) fn deadline(self) -> Option<Moment> {
        match self {
            Ttl::Endless => None,
            Ttl::Until(deadline) => Some(deadline),
            Ttl::Over => Some(clock::now()),
        }
    }
}

/// A time to live, given as the parameter `name`.
pub(crate) fn read_ttl(name: &str, microseconds: Option<i64>) -> Result<Ttl, Failure> {
    match microseconds.map(u64::try_from) {
        None => Ok(Ttl::Endless),
        Some(Err(_)) => Err(Failure::parameter(name)),
        Some(Ok(0)) => Ok(Ttl::Over),
        Some(Ok(ttl)) => Ok(clock::after(ttl).map_or(Ttl::Endless, Ttl::Until)),
    }
}

/// A number, if one was given as the parameter `name`.
pub(crate) fn read_decimal(
    name: &str,
    text: &Option<Text<'_>>,
) -> Result<Option<Decimal>, Failure> {
    match text {
        None => Ok(None),
        Some(text) => match Decimal::parse(text) {
            Some(number) => Ok(Some(number)),
            None => Err(Failure::parameter(name)),
        },
    }
}

/// The patterns of a call.
pub(crate) fn read_patterns(patterns: &[Text<'_>]) -> Result<Patterns, Failure> {
    if patterns.len() > PATTERNS_MAX {
        return Err(Failure::parameter("patterns"));
    }
    Patterns::compile(patterns)
        .map_err(|problem| Failure::InvalidPattern(patterns[problem.index].to_string(), problem))
}

/// The patterns of a call that may leave them out, which means all variables.
pub(crate) fn read_filter(patterns: Option<&[Text<'_>]>) -> Result<Patterns, Failure> {
    patterns.map_or_else(|| Ok(Patterns::all()), read_patterns)
}
