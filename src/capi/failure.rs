//! What went wrong, told to C: a negative number. What else there is to tell is kept for `last`.
//!
//! Every function of the C ABI runs in [`guard`] or [`guard_pointer`]: a panic ends there, as
//! [`Code::Internal`].

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::client::Error;

use super::last::remember;

/// What a function that fails returns, instead of a number that is not negative. Others may come to
/// these with a later version; what is negative is a failure in any case.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// An argument is NULL that must not be, or out of its range. Nothing was done.
    Argument = -1,
    /// What was given as a key cannot be one: it has no byte or more than 255, is not UTF-8, or has
    /// control characters or '=' in it.
    Key = -2,
    /// What was given as a pattern is malformed, too complicated, or not UTF-8.
    Pattern = -3,
    /// The variable cannot have this value, or the value is longer than values can be (1 MiB,
    /// unless the service says otherwise).
    Value = -4,
    /// What was given as an address, also in $GLOBSTASH_ADDRESS, is none; or it cannot be told where
    /// the user's own service is.
    Address = -5,
    /// There is no service there, or it is not for us. Nothing was changed.
    Unreachable = -6,
    /// The service is there, but has not answered within the handle's timeout.
    Silent = -7,
    /// The connection to the service ended before the answer came.
    Lost = -8,
    /// What listens there is no service of ours: its answer makes no sense.
    Protocol = -9,
    /// A change was asked for, and then there was no answer: it may have been made or not. It is
    /// not asked for twice.
    Unknown = -10,
    /// The variable is not as it had to be. Nothing was changed.
    Condition = -11,
    /// What was waited for did not come in time.
    TimedOut = -12,
    /// There is no room for the change, the connection or the watch.
    Limit = -13,
    /// The variable does not hold a number that can be added to, or the sum has too many digits.
    Number = -14,
    /// The variable is protected and belongs to another user, or the service lets us do nothing.
    Permission = -15,
    /// There is no process with this ID, or it has ended.
    Process = -16,
    /// The service is of another version and does not know what it was asked for.
    Unsupported = -17,
    /// The variables change faster than they can be read. Nothing is wrong; try again.
    Busy = -18,
    /// A list or a watch was used in a process that a fork has made: it belongs to its parent.
    Forked = -19,
    /// The machine has no memory or no descriptors left.
    Resources = -20,
    /// A bug in this library. Please report the text.
    Internal = -21,
}

/// All of them, in the order of their numbers.
const CODES: [Code; 21] = [
    Code::Argument,
    Code::Key,
    Code::Pattern,
    Code::Value,
    Code::Address,
    Code::Unreachable,
    Code::Silent,
    Code::Lost,
    Code::Protocol,
    Code::Unknown,
    Code::Condition,
    Code::TimedOut,
    Code::Limit,
    Code::Number,
    Code::Permission,
    Code::Process,
    Code::Unsupported,
    Code::Busy,
    Code::Forked,
    Code::Resources,
    Code::Internal,
];

impl Code {
    fn of(error: &Error) -> Code {
        match error {
            Error::InvalidKey { .. } => Code::Key,
            Error::InvalidPattern { .. } => Code::Pattern,
            Error::InvalidValue { .. } | Error::ValueTooLarge { .. } => Code::Value,
            Error::InvalidAddress(_)
            | Error::InvalidEnvironment { .. }
            | Error::NoUserAddress(_) => Code::Address,
            Error::Unreachable { error, .. } if has_run_out(error) => Code::Resources,
            Error::Unreachable { .. } => Code::Unreachable,
            Error::Silent { .. } => Code::Silent,
            Error::Lost { .. } => Code::Lost,
            Error::Nonsense { .. } => Code::Protocol,
            Error::OutcomeUnknown(_) => Code::Unknown,
            Error::ConditionFailed { .. } => Code::Condition,
            Error::TimedOut { .. } => Code::TimedOut,
            Error::Busy => Code::Busy,
            // No handle is opened so that signals end its waits.
            Error::Interrupted => Code::Internal,
            Error::LimitExceeded { .. } => Code::Limit,
            Error::NotNumeric { .. } | Error::NumberOverflow { .. } => Code::Number,
            Error::Protected { .. } | Error::PermissionDenied => Code::Permission,
            Error::NoSuchProcess { .. } => Code::Process,
            Error::InvalidParameter { .. } | Error::RequestTooLarge { .. } => Code::Argument,
            Error::Unsupported { .. } | Error::Refused { .. } => Code::Unsupported,
        }
    }

    /// What it means, in a few words.
    fn text(self) -> &'static CStr {
        match self {
            Code::Argument => c"invalid argument",
            Code::Key => c"not a key",
            Code::Pattern => c"not a pattern",
            Code::Value => c"not a value that the variable can have",
            Code::Address => c"not an address",
            Code::Unreachable => c"no service",
            Code::Silent => c"the service does not answer",
            Code::Lost => c"the connection was lost",
            Code::Protocol => c"not the service that was expected",
            Code::Unknown => c"the change may or may not have been done",
            Code::Condition => c"the variable is not as it had to be",
            Code::TimedOut => c"timed out",
            Code::Limit => c"no room",
            Code::Number => c"not a number that can be added to",
            Code::Permission => c"permission denied",
            Code::Process => c"no such process",
            Code::Unsupported => c"the service does not know this",
            Code::Busy => c"busy, try again",
            Code::Forked => c"it belongs to the process that opened it",
            Code::Resources => c"out of memory or descriptors",
            Code::Internal => c"a bug in globstash",
        }
    }
}

/// Whether nobody could be asked for want of what the machine gives.
fn has_run_out(error: &io::Error) -> bool {
    let known = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
    error.raw_os_error().is_some_and(|it| known.contains(&it))
}

/// Why a function failed: a number and a text. Small, because on the way of what does not fail every byte of
/// it would be moved as well.
#[derive(Clone, Debug)]
pub(super) struct Failure(Box<Reason>);

#[derive(Clone, Debug)]
struct Reason {
    code: Code,
    text: String,
    /// Of the variable that was the reason; empty if none was.
    key: String,
}

impl Failure {
    #[cold]
    pub(super) fn new(code: Code, text: impl Into<String>) -> Failure {
        Failure(Box::new(Reason {
            code,
            text: text.into(),
            key: String::new(),
        }))
    }

    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    pub(super) fn text(&self) -> &str {
        &self.0.text
    }

    pub(super) fn key(&self) -> &str {
        &self.0.key
    }

    /// The same, of one of many steps.
    pub(super) fn of_step(mut self, index: usize) -> Failure {
        self.0.text = format!("steps[{index}]: {}", self.0.text);
        self
    }
}

impl From<Error> for Failure {
    #[cold]
    fn from(error: Error) -> Failure {
        let mut failure = Failure::new(Code::of(&error), error.to_string());
        failure.0.key = key(error).unwrap_or_default();
        failure
    }
}

/// The key of the variable that was the reason.
fn key(error: Error) -> Option<String> {
    match error {
        Error::InvalidKey { key, .. }
        | Error::InvalidValue { key, .. }
        | Error::ValueTooLarge { key, .. }
        | Error::ConditionFailed { key, .. }
        | Error::NotNumeric { key }
        | Error::NumberOverflow { key }
        | Error::Protected { key }
        | Error::TimedOut { key } => Some(key),
        _ => None,
    }
}

/// Runs what may fail: its number, or the number of its failure.
#[inline(always)]
pub(super) fn guard<N: From<i8>>(act: impl FnOnce() -> Result<N, Failure>) -> N {
    caught(act).unwrap_or_else(|code| N::from(code as i8))
}

/// The same for what makes a pointer: NULL if it fails.
pub(super) fn guard_pointer<T>(act: impl FnOnce() -> Result<Box<T>, Failure>) -> *mut T {
    caught(act).map_or(ptr::null_mut(), Box::into_raw)
}

#[inline(always)]
fn caught<T>(act: impl FnOnce() -> Result<T, Failure>) -> Result<T, Code> {
    // What a panic leaves half done is what C has a pointer to; it may close it, or go on: there
    // is nothing in these objects that must hold for memory to be safe.
    let failure = match catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(result)) => return Ok(result),
        Ok(Err(failure)) => failure,
        Err(_) => Failure::new(Code::Internal, "a bug in globstash: see standard error"),
    };
    let code = failure.code();
    remember(&failure);
    Err(code)
}

/// What a number such as GLOBSTASH_ERROR_KEY means, in a few words, as strerror(3) does. Never NULL;
/// the text belongs to the library, for ever.
#[unsafe(no_mangle)]
pub extern "C" fn globstash_strerror(code: c_int) -> *const c_char {
    let code = CODES.into_iter().find(|it| *it as c_int == code);
    code.map_or(c"unknown error", Code::text).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_words() {
        for (index, code) in CODES.into_iter().enumerate() {
            assert_eq!(code as i32, -(index as i32) - 1);
            assert_ne!(code.text(), c"");
        }
    }
}
