//! What can go wrong with a call.
//!
//! [`Error`] tells apart what a caller may want to tell apart: whether there is a service,
//! whether it answers, what it refuses and why, and whether a change may have been made. Its
//! `Display` is the sentence that the user reads, with advice on a second line where there is any.
//! Names in it are escaped, because other people choose them.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use super::address::{self, Address};
use super::connection::PATIENCE;
use super::entry::Revision;
use super::escape::{Escaped, escape};
use super::generated::{self, ErrorKind};

/// Why a call has no result.
#[derive(Debug)]
pub(crate) enum Error {
    /// There is no service, or it is not for us.
    Unreachable { address: Address, error: io::Error },
    /// The service is there, but does not answer in time.
    Silent { address: Address },
    /// The connection ended before the answer came.
    Lost { address: Address },
    /// The answer makes no sense.
    Nonsense { address: Address, what: String },
    /// A change was asked for, and then there was no answer: it may have been made or not.
    OutcomeUnknown(Box<Error>),
    /// The service answered with an error. Nothing was changed.
    Refused(Refusal),
}

/// The errors of `io.globstash`, and those that any varlink service may answer with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    InvalidKey {
        key: String,
        reason: String,
    },
    InvalidPattern {
        pattern: String,
        reason: String,
    },
    InvalidValue {
        key: String,
        reason: String,
    },
    ValueTooLarge {
        key: String,
        size: i64,
        maximum: i64,
    },
    ReplyTooLarge {
        maximum: i64,
    },
    LimitExceeded {
        limit: String,
        maximum: i64,
    },
    ConditionFailed {
        key: String,
        revision: Revision,
    },
    InterfaceNotFound {
        interface: String,
    },
    MethodNotFound {
        method: String,
    },
    MethodNotImplemented {
        method: String,
    },
    InvalidParameter {
        parameter: String,
    },
    PermissionDenied,
    /// One that this version does not know, with its parameters as JSON.
    Other {
        name: String,
        parameters: String,
    },
}

impl Error {
    /// What it means that a connection could not be made.
    pub(super) fn of_connecting(address: &Address, errno: Errno) -> Error {
        let address = address.clone();
        match errno {
            // With a time limit that is how Linux says that the queue of the listener stayed full.
            Errno::AGAIN => Error::Silent { address },
            _ => Error::Unreachable {
                address,
                error: errno.into(),
            },
        }
    }

    /// What it means that a call failed. The generated client knows three kinds of failures:
    ///  1. an error of the interface, with its parameters unless they are malformed;
    ///  2. another error reply, which it keeps as the source;
    ///  3. no reply, with an error of the varlink crate as the source: the ones of its I/O say
    ///     what happened, others mean that it could not read what came.
    pub(super) fn of_call(address: &Address, error: generated::Error) -> Error {
        if let Some(refusal) = Refusal::of_interface(error.kind()) {
            return Error::Refused(refusal);
        }
        let address = address.clone();
        match error.source_varlink_kind() {
            Some(varlink::ErrorKind::Io(io::ErrorKind::WouldBlock)) => Error::Silent { address },
            Some(varlink::ErrorKind::Io(_) | varlink::ErrorKind::ConnectionClosed) => {
                Error::Lost { address }
            }
            kind => match kind.and_then(Refusal::of_varlink) {
                Some(refusal) => Error::Refused(refusal),
                None => Error::Nonsense {
                    address,
                    what: root(&error).to_string(),
                },
            },
        }
    }

    /// The same for a change of which the service has heard.
    pub(super) fn or_outcome_unknown(self) -> Error {
        match self {
            Error::Refused(_) => self,
            _ => Error::OutcomeUnknown(Box::new(self)),
        }
    }

    /// What happened.
    fn sentence(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Unreachable { address, error } => match error.kind() {
                io::ErrorKind::NotFound => {
                    write!(
                        f,
                        "no service at {}: no such file or directory",
                        place(address)
                    )
                }
                io::ErrorKind::PermissionDenied => {
                    write!(
                        f,
                        "no access to the service at {}: permission denied",
                        place(address)
                    )
                }
                io::ErrorKind::ConnectionRefused => {
                    write!(f, "no service at {}: connection refused", place(address))
                }
                _ => write!(f, "no service at {}: {error}", place(address)),
            },
            Error::Silent { address } => write!(
                f,
                "the service at {} does not answer, not in {} s",
                place(address),
                PATIENCE.as_secs()
            ),
            Error::Lost { address } => {
                write!(
                    f,
                    "the connection to the service at {} was lost",
                    place(address)
                )
            }
            Error::Nonsense { address, what } => write!(
                f,
                "what listens at {} does not speak io.globstash: {}",
                place(address),
                sentence(what)
            ),
            Error::OutcomeUnknown(error) => error.sentence(f),
            Error::Refused(refusal) => write!(f, "{refusal}"),
        }
    }

    /// What to do.
    fn advice(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Unreachable { address, error } => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    match manager(address) {
                        Some(manager) => {
                            write!(f, "\n  start it with: {manager} start globstashd.socket")
                        }
                        None => write!(f, "\n  start it with: globstashd --address {address}"),
                    }
                }
                _ => Ok(()),
            },
            Error::Silent { address } => match manager(address) {
                Some(manager) => write!(f, "\n  see how it is: {manager} status globstashd"),
                None => Ok(()),
            },
            Error::Lost { .. } => f.write_str("\n  try again"),
            Error::OutcomeUnknown(_) => f.write_str("\n  the change may or may not have been done"),
            Error::Nonsense { .. } | Error::Refused(_) => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.sentence(f)?;
        self.advice(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Unreachable { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl Refusal {
    /// The errors of `io.globstash`; `None` for others, and if parameters are missing.
    fn of_interface(kind: &ErrorKind) -> Option<Refusal> {
        Some(match kind.clone() {
            ErrorKind::InvalidKey(Some(args)) => Refusal::InvalidKey {
                key: args.key,
                reason: args.reason,
            },
            ErrorKind::InvalidPattern(Some(args)) => Refusal::InvalidPattern {
                pattern: args.pattern,
                reason: args.reason,
            },
            ErrorKind::InvalidValue(Some(args)) => Refusal::InvalidValue {
                key: args.key,
                reason: args.reason,
            },
            ErrorKind::ValueTooLarge(Some(args)) => Refusal::ValueTooLarge {
                key: args.key,
                size: args.size,
                maximum: args.maximum,
            },
            ErrorKind::ReplyTooLarge(Some(args)) => Refusal::ReplyTooLarge {
                maximum: args.maximum,
            },
            ErrorKind::LimitExceeded(Some(args)) => Refusal::LimitExceeded {
                limit: args.limit,
                maximum: args.maximum,
            },
            ErrorKind::ConditionFailed(Some(args)) => Refusal::ConditionFailed {
                key: args.key,
                revision: Revision(args.revision),
            },
            _ => return None,
        })
    }

    /// The errors of `org.varlink.service`, and those that nobody here knows. The crate has a kind
    /// for the first four and for no other.
    fn of_varlink(kind: &varlink::ErrorKind) -> Option<Refusal> {
        Some(match kind.clone() {
            varlink::ErrorKind::InterfaceNotFound(interface) => {
                Refusal::InterfaceNotFound { interface }
            }
            varlink::ErrorKind::MethodNotFound(method) => Refusal::MethodNotFound { method },
            varlink::ErrorKind::MethodNotImplemented(method) => {
                Refusal::MethodNotImplemented { method }
            }
            // The crate has the same kind for a message that is no JSON, with a sentence in it.
            varlink::ErrorKind::InvalidParameter(parameter) if !parameter.contains(' ') => {
                Refusal::InvalidParameter { parameter }
            }
            varlink::ErrorKind::VarlinkErrorReply(reply) => match reply.error.as_deref() {
                Some("org.varlink.service.PermissionDenied") => Refusal::PermissionDenied,
                name => Refusal::Other {
                    name: name.unwrap_or_default().to_owned(),
                    parameters: reply.parameters.unwrap_or_default().to_string(),
                },
            },
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refusal::InvalidKey { key, reason } => {
                write!(f, "'{}' cannot be a key: {}", escape(key), sentence(reason))
            }
            Refusal::InvalidPattern { pattern, reason } => {
                write!(
                    f,
                    "'{}' is not a pattern: {}",
                    escape(pattern),
                    sentence(reason)
                )
            }
            Refusal::InvalidValue { key, reason } => {
                write!(
                    f,
                    "{} cannot have this value: {}",
                    escape(key),
                    sentence(reason)
                )
            }
            Refusal::ValueTooLarge { key, size, maximum } => write!(
                f,
                "the value of {} is too large: {size} bytes, {maximum} are allowed",
                escape(key)
            ),
            Refusal::ReplyTooLarge { maximum } => {
                write!(f, "the answer would be larger than {maximum} bytes")
            }
            Refusal::LimitExceeded { limit, maximum } => match limit.as_str() {
                "maximumVariables" => write!(f, "no room: {maximum} variables are allowed"),
                "maximumBytes" => write!(f, "no room: {maximum} bytes are allowed"),
                "connections" => write!(f, "too many connections: {maximum} are allowed"),
                limit => write!(f, "limit exceeded: {} is {maximum}", escape(limit)),
            },
            Refusal::ConditionFailed { key, revision } => match revision {
                Revision(0) => write!(f, "{} is not defined", escape(key)),
                Revision(revision) => {
                    write!(f, "{} is defined (revision {revision})", escape(key))
                }
            },
            Refusal::InterfaceNotFound { interface } => {
                write!(f, "the service does not offer {}", escape(interface))
            }
            Refusal::MethodNotFound { method } | Refusal::MethodNotImplemented { method } => {
                write!(f, "the service does not know {}", escape(method))
            }
            Refusal::InvalidParameter { parameter } => {
                write!(f, "the service refuses the parameter {}", escape(parameter))
            }
            Refusal::PermissionDenied => f.write_str("permission denied by the service"),
            Refusal::Other { name, parameters } => {
                write!(
                    f,
                    "the service answered {} {}",
                    escape(name),
                    sentence(parameters)
                )
            }
        }
    }
}

fn place(address: &Address) -> Escaped<'_> {
    escape(address.place().as_bytes())
}

/// What the service says in its own words, in which a backslash is one.
fn sentence(words: &str) -> Escaped<'_> {
    escape(words).keeping("\\")
}

/// The error that all began with: the crate's own say little.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .expect("it begins with one")
}

/// The systemd that looks after the service at an address.
fn manager(address: &Address) -> Option<&'static str> {
    if *address == address::machine() {
        Some("systemctl")
    } else if address::user().as_ref() == Ok(address) {
        Some("systemctl --user")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Address {
        Address::parse("/tmp/here").unwrap()
    }

    #[test]
    fn no_service_comes_with_the_way_to_start_it() {
        let error = Error::of_connecting(&address::machine(), Errno::CONNREFUSED);
        assert_eq!(
            error.to_string(),
            "no service at /run/globstash: connection refused\n  \
             start it with: systemctl start globstashd.socket"
        );
        let error = Error::of_connecting(&here(), Errno::NOENT);
        assert_eq!(
            error.to_string(),
            "no service at /tmp/here: no such file or directory\n  \
             start it with: globstashd --address unix:/tmp/here"
        );
        let error = Error::of_connecting(&address::machine(), Errno::ACCESS);
        assert_eq!(
            error.to_string(),
            "no access to the service at /run/globstash: permission denied"
        );
    }

    #[test]
    fn a_change_without_an_answer_may_have_been_made() {
        let error = Error::Lost { address: here() }.or_outcome_unknown();
        assert_eq!(
            error.to_string(),
            "the connection to the service at /tmp/here was lost\n  \
             the change may or may not have been done"
        );
    }

    #[test]
    fn a_refused_change_was_not_made() {
        let error = Error::Refused(Refusal::PermissionDenied).or_outcome_unknown();
        assert!(matches!(error, Error::Refused(Refusal::PermissionDenied)));
    }

    #[test]
    fn names_are_escaped() {
        let refusal = Refusal::InvalidKey {
            key: "a\nb".into(),
            reason: "it has a control character".into(),
        };
        assert_eq!(
            refusal.to_string(),
            r"'a\nb' cannot be a key: it has a control character"
        );
    }

    #[test]
    fn every_error_reply_is_told_with_its_parameters() {
        let refusal = |name: &'static str, parameters| {
            let reply = varlink::Reply::error(name, Some(parameters));
            let kind = varlink::ErrorKind::from(reply);
            let error = generated::Error::from(varlink::Error::from(kind));
            match Error::of_call(&here(), error) {
                Error::Refused(refusal) => refusal,
                error => panic!("{error:?}"),
            }
        };
        assert_eq!(
            refusal(
                "io.globstash.ConditionFailed",
                serde_json::json!({"key": "k", "revision": 17})
            ),
            Refusal::ConditionFailed {
                key: "k".into(),
                revision: Revision(17)
            }
        );
        assert_eq!(
            refusal(
                "org.varlink.service.InvalidParameter",
                serde_json::json!({"parameter": "data"})
            ),
            Refusal::InvalidParameter {
                parameter: "data".into()
            }
        );
        assert_eq!(
            refusal(
                "org.varlink.service.PermissionDenied",
                serde_json::json!({})
            ),
            Refusal::PermissionDenied
        );
        assert_eq!(
            refusal("io.globstash.Tired", serde_json::json!({"hours": 3})),
            Refusal::Other {
                name: "io.globstash.Tired".into(),
                parameters: r#"{"hours":3}"#.into()
            }
        );
    }
}
