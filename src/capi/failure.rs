//! What went wrong, told to C: a negative number, and the sentence of this thread's last failure.
//!
//! Every function of the C ABI runs in [`guard`] or [`guard_pointer`]: a panic ends there, as
//! [`Code::Internal`].

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::client::Error;

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

/// Room for a text and its NUL. What is told of a key is less, also if every byte of it is escaped.
const ROOM: usize = 4096;
/// The same for a key.
const KEY_ROOM: usize = 256;

/// A thread's last failure.
///
/// The text has one place for as long as the thread lives. So it does not matter whether C asks for it
/// before or after the call that fails, as with arguments of one printf(3), and it never leads to what
/// was freed.
struct Last {
    code: Cell<c_int>,
    text: Box<[Cell<u8>]>,
    key: Box<[Cell<u8>]>,
}

impl Last {
    fn none() -> Last {
        let room = |bytes| vec![Cell::new(0); bytes].into_boxed_slice();
        Last {
            code: Cell::new(0),
            text: room(ROOM),
            key: room(KEY_ROOM),
        }
    }

    fn keep(&self, reason: &Reason) {
        self.code.set(reason.code as c_int);
        put(&reason.text, &self.text);
        put(&reason.key, &self.key);
    }
}

/// Puts a text and a NUL into a place, or as much as there is room for.
fn put(text: &str, place: &[Cell<u8>]) {
    // Texts are escaped; should one have a NUL all the same, what stands before it says enough.
    let text = text.split('\0').next().unwrap_or_default();
    let text = &text[..text.floor_char_boundary(place.len() - 1)];
    for (place, byte) in place.iter().zip(text.bytes().chain([0])) {
        place.set(byte);
    }
}

thread_local! {
    static LAST: Last = Last::none();
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

#[cold]
fn remember(failure: &Failure) {
    // A thread that ends may have put it away.
    let _ = LAST.try_with(|last| last.keep(&failure.0));
}

/// The number of this thread's last failure, such as GLOBSTASH_ERROR_KEY; 0 if there was none. What
/// succeeds leaves it as it is, as with errno.
#[unsafe(no_mangle)]
pub extern "C" fn globstash_error_code() -> c_int {
    LAST.try_with(|last| last.code.get()).unwrap_or(0)
}

/// The text of this thread's last failure: a sentence for the user, lower case and without a full
/// stop, in some cases with a second line that says what to do. Empty if there was none; never NULL.
///
/// The text belongs to the library; do not free it. It stands at the same place of this thread always,
/// until the thread ends, and the next failure of the thread replaces it: copy what has to be kept, or
/// has to go to another thread. Because the place is the same, this is right, in whatever order a
/// compiler evaluates arguments:
///
///     printf("%d: %s\n", globstash_set("a=b", "1"), globstash_error_text());
#[unsafe(no_mangle)]
pub extern "C" fn globstash_error_text() -> *const c_char {
    let text = LAST.try_with(|last| last.text.as_ptr().cast());
    text.unwrap_or(c"".as_ptr())
}

/// The key of the variable that was the reason for this thread's last failure, such as the one that was not
/// as it had to be, of several that globstash_apply() was to change. Empty if no variable was the reason; of what
/// is too long for a key it is the beginning. Never NULL. For the rest as globstash_error_text().
#[unsafe(no_mangle)]
pub extern "C" fn globstash_error_key() -> *const c_char {
    let key = LAST.try_with(|last| last.key.as_ptr().cast());
    key.unwrap_or(c"".as_ptr())
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

    fn text() -> String {
        // SAFETY: it is a string that lives until the next failure, and never NULL.
        let text = unsafe { CStr::from_ptr(globstash_error_text()) };
        text.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_does_not_get_past_the_border() {
        let number: i32 = guard(|| panic!("on purpose"));
        assert_eq!(number, Code::Internal as i32);
        assert_eq!(globstash_error_code(), Code::Internal as i32);
        assert!(text().starts_with("a bug in globstash"), "{}", text());
        let pointer: *mut u8 = guard_pointer(|| panic!("on purpose"));
        assert!(pointer.is_null());
    }

    #[test]
    fn a_failure_is_told_in_its_own_thread() {
        let number: i64 = guard(|| Err(Failure::new(Code::Key, "one\0two")));
        assert_eq!((number, text().as_str()), (-2, "one"));
        let long = "\u{20ac}".repeat(ROOM);
        let _: i32 = guard(|| Err(Failure::new(Code::Key, &*long)));
        // Three bytes each: there is room for one byte more, but not for a character.
        assert_eq!(text().len(), ROOM - 1);
        assert!(long.starts_with(&text()));
        let elsewhere = std::thread::spawn(|| (globstash_error_code(), text()));
        assert_eq!(elsewhere.join().unwrap(), (0, String::new()));
    }

    #[test]
    fn every_number_has_words() {
        for (index, code) in CODES.into_iter().enumerate() {
            assert_eq!(code as i32, -(index as i32) - 1);
            assert_ne!(code.text(), c"");
        }
    }
}
