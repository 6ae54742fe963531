//! The errors of `io.globstash`, as calls end with them.

use super::store::{KEY_MAX, Limit, Refusal, VALUE_MAX};
use crate::map::{Full, Limits, SIMILAR_MAX};
use crate::wire::fault::Fault;
use crate::wire::pattern::{PATTERN_MAX, PatternError};
use crate::wire::reply::Reply;
use crate::wire::text::{Flaw, echo};

/// Largest reply to a call without the flag `more`, in bytes. Half of what clients take, so that
/// no escaping of what is in it can make it too large for them.
pub(crate) const REPLY_MAX: usize = 8 << 20;

/// Why a call failed. Nothing was changed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The call did not reach its method.
    Fault(Fault),
    /// The store refused what was to be done with this key.
    Refused(String, Refusal, Limits),
    /// The value for this key was given as text and is none.
    InvalidValue(String, Flaw),
    /// This pattern is none.
    InvalidPattern(String, PatternError),
    /// The variable with this key was not as wanted in time.
    TimedOut(String),
    /// One reply cannot hold the answer.
    ReplyTooLarge,
    /// So many connections are open already.
    Connections(u64),
    /// There is no process with this ID.
    NoSuchProcess(i64),
    /// So many processes are watched already.
    Processes(u64),
}

impl Failure {
    /// A parameter that is well-formed, but not what the method can do.
    pub(crate) fn parameter(name: &str) -> Self {
        Failure::Fault(Fault::InvalidParameter(name.to_owned()))
    }

    /// Writes the error reply to a call of `method`.
    pub(crate) fn write(&self, method: &str, reply: Reply<'_>) {
        match self {
            Failure::Fault(fault) => fault.write(method, reply),
            Failure::Refused(key, refusal, limits) => write_refusal(key, *refusal, *limits, reply),
            Failure::InvalidValue(key, flaw) => {
                let mut parameters = error(reply, "InvalidValue");
                parameters.string("key", &echo(key, KEY_MAX));
                parameters.string(
                    "reason",
                    &format!("the text {flaw}; such a value is given as 'data'"),
                );
            }
            Failure::InvalidPattern(pattern, problem) => {
                let mut parameters = error(reply, "InvalidPattern");
                parameters.string("pattern", &echo(pattern, PATTERN_MAX));
                parameters.string("reason", &problem.to_string());
            }
            Failure::TimedOut(key) => error(reply, "TimedOut").string("key", &echo(key, KEY_MAX)),
            Failure::ReplyTooLarge => {
                error(reply, "ReplyTooLarge").count("maximum", REPLY_MAX as u64)
            }
            Failure::Connections(maximum) => write_limit("connections", *maximum, reply),
            Failure::NoSuchProcess(pid) => error(reply, "NoSuchProcess").int("pid", *pid),
            Failure::Processes(maximum) => write_limit("processes", *maximum, reply),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}

fn write_refusal(key: &str, refusal: Refusal, limits: Limits, reply: Reply<'_>) {
    let key = echo(key, KEY_MAX);
    match refusal {
        Refusal::Key(flaw) => {
            let mut parameters = error(reply, "InvalidKey");
            parameters.string("key", &key);
            parameters.string("reason", &flaw.to_string());
        }
        Refusal::ValueTooLarge(size) => {
            let mut parameters = error(reply, "ValueTooLarge");
            parameters.string("key", &key);
            parameters.count("size", size as u64);
            parameters.count("maximum", VALUE_MAX as u64);
        }
        Refusal::Condition(revision) => {
            let mut parameters = error(reply, "ConditionFailed");
            parameters.string("key", &key);
            parameters.count("revision", revision.0);
        }
        Refusal::NotNumeric => error(reply, "NotNumeric").string("key", &key),
        Refusal::NumberOverflow => error(reply, "NumberOverflow").string("key", &key),
        Refusal::Denied => error(reply, "PermissionDenied").string("key", &key),
        Refusal::Limit(Limit::Variables(maximum)) => {
            write_limit("maximumUserVariables", maximum, reply)
        }
        Refusal::Limit(Limit::Bytes(maximum)) => write_limit("maximumUserBytes", maximum, reply),
        Refusal::Limit(Limit::Processes(maximum)) => write_limit("processes", maximum, reply),
        Refusal::Full(Full::Variables) => write_limit("maximumVariables", limits.variables, reply),
        Refusal::Full(Full::Bytes) => write_limit("maximumBytes", limits.bytes, reply),
        Refusal::Full(Full::Memory(bytes)) => write_limit("memory", bytes, reply),
        Refusal::Full(Full::Crowded) => write_limit("similarKeys", SIMILAR_MAX, reply),
    }
}

fn write_limit(limit: &str, maximum: u64, reply: Reply<'_>) {
    let mut parameters = error(reply, "LimitExceeded");
    parameters.string("limit", limit);
    parameters.count("maximum", maximum);
}

fn error<'o>(reply: Reply<'o>, name: &str) -> crate::wire::reply::Object<'o> {
    reply.error(super::interface::INTERFACE.name, name)
}
