//! What can go wrong with a call.
//!
//! [`Error`] tells apart what a caller may want to tell apart: whether there is a service,
//! whether it answers, what it refuses and why, and whether a change may have been made. Its
//! `Display` is the sentence that the user reads, with advice on a second line where there is any.
//! Names in it are escaped, because other people choose them.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::io::Errno;
use serde::de::DeserializeOwned;

use crate::sys::place::Place;

use super::address::{Address, InvalidAddress, NoUserAddress};
use super::entry::{Revision, natural};
use super::escape::{Escaped, escape};
use super::generated;

/// Why a call has no result.
///
/// ```
/// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
/// use globstash::Error;
///
/// match client.set("a=b", "1") {
///     Err(Error::InvalidKey { key, .. }) => assert_eq!(key, "a=b"),
///     Err(Error::OutcomeUnknown(_)) => println!("it may have been set or not"),
///     result => panic!("{result:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
///
/// As a string it is a sentence for the user, lower case and without a full stop, in some cases
/// with a second line that says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The words given are no address.
    InvalidAddress(InvalidAddress),
    /// The words in `$GLOBSTASH_ADDRESS` are no address.
    InvalidEnvironment {
        /// The words.
        words: OsString,
        /// What is wrong with them.
        why: InvalidAddress,
    },
    /// It cannot be told where the user's own service is.
    NoUserAddress(NoUserAddress),
    /// There is no service, or it is not for us. Nothing was changed.
    Unreachable {
        /// Where it should be.
        address: Address,
        /// What the kernel said.
        error: io::Error,
    },
    /// The service is there, but does not answer in time.
    Silent {
        /// Where it is.
        address: Address,
        /// How long it had been given.
        timeout: Duration,
    },
    /// The connection ended before the answer came.
    Lost {
        /// Where it led to.
        address: Address,
    },
    /// The answer makes no sense: what listens there is no service of ours.
    Nonsense {
        /// Where it is.
        address: Address,
        /// What is wrong with the answer.
        what: String,
    },
    /// A change was asked for, and then there was no answer: it may have been made or not. What
    /// happened is inside. It was not asked for a second time.
    OutcomeUnknown(Box<Error>),
    /// The key cannot be the key of a variable.
    InvalidKey {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The pattern is malformed or too complicated.
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The value cannot be the value of this variable.
    InvalidValue {
        /// The key.
        key: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// The value is longer than values can be.
    ValueTooLarge {
        /// The key.
        key: String,
        /// How many bytes the value has.
        size: u64,
        /// How many bytes it can have.
        maximum: u64,
    },
    /// All that was asked in one call is more than one message can hold. It was not sent.
    RequestTooLarge {
        /// How many bytes the message has.
        size: u64,
        /// How many bytes it can have.
        maximum: u64,
    },
    /// There is no room for the change.
    LimitExceeded {
        /// Which limit, as a field of the interface's `GetStatus`, such as `maximumVariables`.
        limit: String,
        /// Its value.
        maximum: u64,
    },
    /// The variable is not as it had to be. Nothing was changed.
    ConditionFailed {
        /// The key.
        key: String,
        /// The revision that the variable has.
        revision: Revision,
    },
    /// The variable does not hold a number that can be added to.
    NotNumeric {
        /// The key.
        key: String,
    },
    /// The sum has more digits than can be kept.
    NumberOverflow {
        /// The key.
        key: String,
    },
    /// The variable is protected and belongs to another user.
    Protected {
        /// The key.
        key: String,
    },
    /// There is no process with this ID, or it has ended.
    NoSuchProcess {
        /// The process ID.
        pid: i64,
    },
    /// What was waited for did not come in time.
    TimedOut {
        /// The key.
        key: String,
    },
    /// The variables change so fast that there was no moment at which all of them could be read.
    Busy,
    /// A signal came before what was waited for; it can be waited for again. Only with
    /// [`Options::interruptible`](crate::Options::interruptible).
    Interrupted,
    /// The service takes no such parameter: a number that is none, or too many patterns or changes.
    InvalidParameter {
        /// Its name in the interface.
        parameter: String,
    },
    /// The service does not let us.
    PermissionDenied,
    /// The service, or this version of it, does not know what it was asked for.
    Unsupported {
        /// The method or interface.
        name: String,
    },
    /// The service refused with an error that this version of the library does not know.
    Refused {
        /// The name of the error.
        name: String,
        /// What came with it, in JSON.
        parameters: String,
    },
}

/// Why no service could be started where none was found, inside of [`Error::Unreachable`].
#[derive(Debug)]
pub(crate) struct NotStarted {
    found: io::Error,
    pub(crate) why: String,
}

impl Error {
    /// What it means that a connection could not be made.
    pub(super) fn of_connecting(address: &Address, errno: Errno, timeout: Duration) -> Error {
        let address = address.clone();
        match errno {
            // With a time limit that is how Linux says that the queue of the listener stayed full.
            Errno::AGAIN => Error::Silent { address, timeout },
            _ => Error::Unreachable {
                address,
                error: errno.into(),
            },
        }
    }

    /// Whether nobody is there: nobody has made that socket, or nobody listens on it any longer.
    pub(super) fn is_nobody(&self) -> bool {
        let Error::Unreachable { error, .. } = self else {
            return false;
        };
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
        )
    }

    /// Whether nobody listens on a socket that is still there: who made it was killed.
    pub(super) fn is_left_behind(&self) -> bool {
        matches!(self, Error::Unreachable { error, .. }
            if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// The same, when no service could be started there.
    pub(super) fn and_not_started(self, why: String) -> Error {
        match self {
            Error::Unreachable { address, error } => Error::Unreachable {
                address,
                error: io::Error::new(error.kind(), NotStarted { found: error, why }),
            },
            error => error,
        }
    }

    /// Why no service could be started, if one should have been.
    #[cfg(feature = "command")]
    pub(crate) fn not_started(&self) -> Option<&NotStarted> {
        match self {
            Error::Unreachable { error, .. } => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }

    /// What an error reply says. Errors without the parameters that they should have are told like
    /// those that nobody here knows.
    pub(super) fn of_reply(name: &str, parameters: Option<&str>) -> Error {
        let parameters = parameters.unwrap_or("{}");
        Error::known(name, parameters).unwrap_or_else(|| Error::Refused {
            name: name.to_owned(),
            parameters: parameters.to_owned(),
        })
    }

    fn known(name: &str, parameters: &str) -> Option<Error> {
        fn read<T: DeserializeOwned>(parameters: &str) -> Option<T> {
            serde_json::from_str(parameters).ok()
        }
        let error = match name.strip_prefix("io.globstash.") {
            Some(name) => match name {
                "InvalidKey" => {
                    let generated::InvalidKey_Args { key, reason } = read(parameters)?;
                    Error::InvalidKey { key, reason }
                }
                "InvalidPattern" => {
                    let generated::InvalidPattern_Args { pattern, reason } = read(parameters)?;
                    Error::InvalidPattern { pattern, reason }
                }
                "InvalidValue" => {
                    let generated::InvalidValue_Args { key, reason } = read(parameters)?;
                    Error::InvalidValue { key, reason }
                }
                "ValueTooLarge" => {
                    let args: generated::ValueTooLarge_Args = read(parameters)?;
                    Error::ValueTooLarge {
                        key: args.key,
                        size: natural(args.size),
                        maximum: natural(args.maximum),
                    }
                }
                "LimitExceeded" => {
                    let args: generated::LimitExceeded_Args = read(parameters)?;
                    Error::LimitExceeded {
                        limit: args.limit,
                        maximum: natural(args.maximum),
                    }
                }
                "ConditionFailed" => {
                    let args: generated::ConditionFailed_Args = read(parameters)?;
                    Error::ConditionFailed {
                        key: args.key,
                        revision: Revision::from_wire(args.revision),
                    }
                }
                "NotNumeric" => {
                    let generated::NotNumeric_Args { key } = read(parameters)?;
                    Error::NotNumeric { key }
                }
                "NumberOverflow" => {
                    let generated::NumberOverflow_Args { key } = read(parameters)?;
                    Error::NumberOverflow { key }
                }
                "PermissionDenied" => {
                    let generated::PermissionDenied_Args { key } = read(parameters)?;
                    Error::Protected { key }
                }
                "NoSuchProcess" => {
                    let generated::NoSuchProcess_Args { pid } = read(parameters)?;
                    Error::NoSuchProcess { pid }
                }
                "TimedOut" => {
                    let generated::TimedOut_Args { key } = read(parameters)?;
                    Error::TimedOut { key }
                }
                _ => return None,
            },
            None => match name.strip_prefix("org.varlink.service.")? {
                "InterfaceNotFound" => {
                    let varlink::ErrorInterfaceNotFound { interface } = read(parameters)?;
                    Error::Unsupported { name: interface? }
                }
                "MethodNotFound" => {
                    let varlink::ErrorMethodNotFound { method } = read(parameters)?;
                    Error::Unsupported { name: method? }
                }
                "MethodNotImplemented" => {
                    let varlink::ErrorMethodNotImplemented { method } = read(parameters)?;
                    Error::Unsupported { name: method? }
                }
                "InvalidParameter" => {
                    let varlink::ErrorInvalidParameter { parameter } = read(parameters)?;
                    let parameter = parameter?;
                    Error::InvalidParameter { parameter }
                }
                "PermissionDenied" => Error::PermissionDenied,
                _ => return None,
            },
        };
        Some(error)
    }

    /// Whether the service answered, and said no. Nothing was changed then.
    pub fn is_refusal(&self) -> bool {
        use Error::*;
        !matches!(
            self,
            InvalidAddress(_)
                | InvalidEnvironment { .. }
                | NoUserAddress(_)
                | Unreachable { .. }
                | Silent { .. }
                | Lost { .. }
                | Nonsense { .. }
                | Interrupted
                | OutcomeUnknown(_)
                | Busy
        )
    }

    /// What happened, without what to do about it.
    #[cfg(feature = "command")]
    pub(crate) fn without_advice(&self) -> String {
        fmt::from_fn(|f| self.sentence(f)).to_string()
    }

    /// Whether the same call may succeed in a moment, because it is refused for lack of room. What
    /// is wrong with a call itself stays wrong.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Error::LimitExceeded { .. })
    }

    /// What happened.
    fn sentence(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::InvalidAddress(why) => write!(f, "{why}"),
            Error::InvalidEnvironment { words, why } => {
                let words = escape(words.as_bytes());
                write!(f, "GLOBSTASH_ADDRESS is '{words}': {why}")
            }
            Error::NoUserAddress(why) => write!(f, "{why}"),
            Error::Unreachable { address, error } => {
                let place = place(address);
                match error.kind() {
                    io::ErrorKind::NotFound => {
                        write!(f, "no service at {place}: no such file or directory")
                    }
                    io::ErrorKind::PermissionDenied => {
                        write!(f, "no access to the service at {place}: permission denied")
                    }
                    io::ErrorKind::ConnectionRefused => {
                        write!(f, "no service at {place}: connection refused")
                    }
                    _ => write!(f, "no service at {place}: {error}"),
                }
            }
            Error::Silent { address, timeout } => write!(
                f,
                "the service at {place} does not answer, not in {seconds} s",
                place = place(address),
                seconds = timeout.as_secs_f64(),
            ),
            Error::Lost { address } => {
                let place = place(address);
                write!(f, "the connection to the service at {place} was lost")
            }
            Error::Nonsense { address, what } => write!(
                f,
                "what listens at {place} does not speak io.globstash: {what}",
                place = place(address),
                what = sentence(what)
            ),
            Error::OutcomeUnknown(error) => error.sentence(f),
            Error::Busy => f.write_str("the variables change too fast to be read all at once"),
            refusal => refusal.refusal(f),
        }
    }

    /// What the service refuses, and why.
    fn refusal(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::InvalidKey { key, reason } => {
                write!(f, "'{}' cannot be a key: {}", escape(key), sentence(reason))
            }
            Error::InvalidPattern { pattern, reason } => {
                let pattern = escape(pattern);
                write!(f, "'{pattern}' is not a pattern: {}", sentence(reason))
            }
            Error::InvalidValue { key, reason } => {
                let key = escape(key);
                write!(f, "{key} cannot have this value: {}", sentence(reason))
            }
            Error::ValueTooLarge { key, size, maximum } => write!(
                f,
                "the value of {} is too large: {size} bytes, {maximum} are allowed",
                escape(key)
            ),
            Error::RequestTooLarge { size, maximum } => write!(
                f,
                "this is too much for one call: {size} bytes, {maximum} are allowed"
            ),
            Error::LimitExceeded { limit, maximum } => match limit.as_str() {
                "maximumVariables" => write!(f, "no room: {maximum} variables are allowed"),
                "maximumUserVariables" => {
                    write!(f, "no room: {maximum} variables are allowed for each user")
                }
                "maximumUserBytes" => {
                    write!(f, "no room: {maximum} bytes are allowed for each user")
                }
                "maximumBytes" => write!(f, "no room: {maximum} bytes are allowed"),
                "connections" => write!(f, "too many connections: {maximum} are allowed"),
                "processes" => write!(
                    f,
                    "too many processes that variables belong to: {maximum} are allowed"
                ),
                "memory" => write!(
                    f,
                    "no room: the service can have no more memory than {maximum} bytes"
                ),
                "similarKeys" => write!(
                    f,
                    "no room for this key: {maximum} others are like it to the service, which \
                     does not happen by chance"
                ),
                limit => write!(f, "limit exceeded: {} is {maximum}", escape(limit)),
            },
            Error::ConditionFailed { key, revision } => match *revision {
                Revision::UNDEFINED => write!(f, "{} is not defined", escape(key)),
                revision => write!(f, "{} is defined (revision {revision})", escape(key)),
            },
            Error::NotNumeric { key } => write!(f, "{} does not hold a number", escape(key)),
            Error::NumberOverflow { key } => {
                write!(f, "the sum in {} would have too many digits", escape(key))
            }
            Error::Protected { key } => write!(
                f,
                "{} is protected and belongs to another user",
                escape(key)
            ),
            Error::NoSuchProcess { pid } => write!(f, "there is no process {pid}"),
            Error::Interrupted => f.write_str("a signal came before what was waited for"),
            Error::TimedOut { key } => {
                write!(f, "{} did not become as wanted in time", escape(key))
            }
            Error::InvalidParameter { parameter } => {
                write!(f, "the service refuses the parameter {}", escape(parameter))
            }
            Error::PermissionDenied => f.write_str("permission denied by the service"),
            Error::Unsupported { name } => {
                write!(f, "the service does not know {}", escape(name))
            }
            Error::Refused { name, parameters } => {
                let name = escape(name);
                write!(f, "the service answered {name} {}", sentence(parameters))
            }
            // The others are told by `sentence`.
            _ => Ok(()),
        }
    }

    /// What to do.
    fn advice(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Unreachable { address, error } => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    write!(f, "\n  start it with: {}", way_to_start(address))
                }
                _ => Ok(()),
            },
            Error::Silent { address, .. } => match place_of(address).filter(has_manager) {
                Some(place) => write!(f, "\n  see how it is: {} status globstashd", manager(place)),
                None => Ok(()),
            },
            Error::Lost { .. } | Error::Busy => f.write_str("\n  try again"),
            Error::OutcomeUnknown(_) => f.write_str("\n  the change may or may not have been done"),
            _ => Ok(()),
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
            Error::OutcomeUnknown(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}, and it cannot be started: {}", self.found, self.why)
    }
}

impl std::error::Error for NotStarted {}

impl From<InvalidAddress> for Error {
    fn from(why: InvalidAddress) -> Error {
        Error::InvalidAddress(why)
    }
}

impl From<NoUserAddress> for Error {
    fn from(why: NoUserAddress) -> Error {
        Error::NoUserAddress(why)
    }
}

/// For [`Client::at`](crate::Client::at) with what is an address already.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Error {
        match never {}
    }
}

fn place(address: &Address) -> Escaped<'_> {
    escape(address.place().as_bytes())
}

/// What the service says in its own words, in which a backslash is one.
fn sentence(words: &str) -> Escaped<'_> {
    escape(words).keeping("\\")
}

/// Which of the places where a service is without being told an address is, if any.
fn place_of(address: &Address) -> Option<Place> {
    [Place::Machine, Place::User]
        .into_iter()
        .find(|place| place.address().as_ref() == Ok(address))
}

fn has_manager(place: &Place) -> bool {
    place.has_manager()
}

/// The systemd that looks after the service at a place.
fn manager(place: Place) -> &'static str {
    match place {
        Place::Machine => "systemctl",
        Place::User => "systemctl --user",
    }
}

fn way_to_start(address: &Address) -> String {
    match place_of(address) {
        Some(place) => way_to_start_at(place, place.has_manager()).to_owned(),
        None => format!("globstashd --address {address}"),
    }
}

fn way_to_start_at(place: Place, has_manager: bool) -> &'static str {
    match (place, has_manager) {
        (Place::Machine, true) => "systemctl start globstashd.socket",
        (Place::User, true) => "systemctl --user start globstashd.socket",
        (Place::Machine, false) => "globstashd --supervise, as root",
        (Place::User, false) => "globstashd --supervise --user",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::address;
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn here() -> Address {
        Address::parse("/tmp/here").unwrap()
    }

    #[test]
    fn no_service_comes_with_the_way_to_start_it() {
        let error = Error::of_connecting(&address::machine(), Errno::CONNREFUSED, TIMEOUT);
        let way = way_to_start_at(Place::Machine, Place::Machine.has_manager());
        assert_eq!(
            error.to_string(),
            format!(
                "no service at /run/globstash: connection refused\n  \
                 start it with: {way}"
            )
        );
        assert_eq!(
            way_to_start_at(Place::Machine, true),
            "systemctl start globstashd.socket"
        );
        let error = Error::of_connecting(&here(), Errno::NOENT, TIMEOUT);
        assert_eq!(
            error.to_string(),
            "no service at /tmp/here: no such file or directory\n  \
             start it with: globstashd --address unix:/tmp/here"
        );
        let error = Error::of_connecting(&address::machine(), Errno::ACCESS, TIMEOUT);
        assert_eq!(
            error.to_string(),
            "no access to the service at /run/globstash: permission denied"
        );
    }

    #[test]
    fn a_change_without_an_answer_may_have_been_made() {
        let error = Error::OutcomeUnknown(Box::new(Error::Lost { address: here() }));
        assert_eq!(
            error.to_string(),
            "the connection to the service at /tmp/here was lost\n  \
             the change may or may not have been done"
        );
        assert!(!error.is_refusal());
    }

    #[test]
    fn a_time_out_is_told_in_seconds() {
        for (timeout, told) in [(TIMEOUT, "5 s"), (Duration::from_millis(250), "0.25 s")] {
            let address = here();
            let error = Error::Silent { address, timeout }.to_string();
            assert!(error.ends_with(told), "{error}");
        }
    }

    #[test]
    fn names_are_escaped() {
        let error = Error::InvalidKey {
            key: "a\nb".into(),
            reason: "it has a control character".into(),
        };
        assert_eq!(
            error.to_string(),
            r"'a\nb' cannot be a key: it has a control character"
        );
    }

    #[test]
    fn every_error_reply_is_told_with_its_parameters() {
        for (name, parameters, told) in [
            (
                "io.globstash.InvalidKey",
                json!({"key": "a=b", "reason": "it has a '='"}),
                "'a=b' cannot be a key: it has a '='",
            ),
            (
                "io.globstash.InvalidPattern",
                json!({"pattern": "[a", "reason": "it is open"}),
                "'[a' is not a pattern: it is open",
            ),
            (
                "io.globstash.InvalidValue",
                json!({"key": "k", "reason": "it is bad"}),
                "k cannot have this value: it is bad",
            ),
            (
                "io.globstash.ValueTooLarge",
                json!({"key": "k", "size": 3, "maximum": 2}),
                "the value of k is too large: 3 bytes, 2 are allowed",
            ),
            (
                "io.globstash.ConditionFailed",
                json!({"key": "k", "revision": 17}),
                "k is defined (revision 17)",
            ),
            (
                "io.globstash.NotNumeric",
                json!({"key": "k"}),
                "k does not hold a number",
            ),
            (
                "io.globstash.NumberOverflow",
                json!({"key": "k"}),
                "the sum in k would have too many digits",
            ),
            (
                "io.globstash.PermissionDenied",
                json!({"key": "k"}),
                "k is protected and belongs to another user",
            ),
            (
                "io.globstash.LimitExceeded",
                json!({"limit": "maximumUserBytes", "maximum": 9}),
                "no room: 9 bytes are allowed for each user",
            ),
            (
                "io.globstash.NoSuchProcess",
                json!({"pid": 4711}),
                "there is no process 4711",
            ),
            (
                "io.globstash.LimitExceeded",
                json!({"limit": "processes", "maximum": 1024}),
                "too many processes that variables belong to: 1024 are allowed",
            ),
            (
                "io.globstash.TimedOut",
                json!({"key": "k"}),
                "k did not become as wanted in time",
            ),
            (
                "org.varlink.service.MethodNotFound",
                json!({"method": "io.globstash.Wait"}),
                "the service does not know io.globstash.Wait",
            ),
            (
                "org.varlink.service.InvalidParameter",
                json!({"parameter": "data"}),
                "the service refuses the parameter data",
            ),
            (
                "org.varlink.service.PermissionDenied",
                json!({}),
                "permission denied by the service",
            ),
            (
                "io.globstash.Tired",
                json!({"hours": 3}),
                r#"the service answered io.globstash.Tired {"hours":3}"#,
            ),
            (
                "io.globstash.NotNumeric",
                json!({}),
                "the service answered io.globstash.NotNumeric {}",
            ),
        ] {
            let error = Error::of_reply(name, Some(&parameters.to_string()));
            assert!(error.is_refusal(), "{name}");
            assert_eq!(error.to_string(), told);
        }
    }
}
