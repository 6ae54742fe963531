//! A thread's last failure, for C to ask for.

use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::mem::needs_drop;

use super::failure::Failure;

/// Room for a text and its NUL. What is told of a key is less, also if every byte of it is escaped.
const ROOM: usize = 4096;
/// The same for a key.
const KEY_ROOM: usize = 256;

/// A thread's last failure.
///
/// The text has one place for as long as the thread lives. So it does not matter whether C asks for it
/// before or after the call that fails, as with arguments of one printf(3), and it never leads to what
/// was freed: nothing of it has to be dropped, so that it is there for all that runs when a thread ends.
struct Last {
    code: Cell<c_int>,
    text: [Cell<u8>; ROOM],
    key: [Cell<u8>; KEY_ROOM],
}

const _: () = assert!(!needs_drop::<Last>());

impl Last {
    const fn none() -> Last {
        Last {
            code: Cell::new(0),
            text: [const { Cell::new(0) }; ROOM],
            key: [const { Cell::new(0) }; KEY_ROOM],
        }
    }

    fn keep(&self, failure: &Failure) {
        self.code.set(failure.code() as c_int);
        put(failure.text(), &self.text);
        put(failure.key(), &self.key);
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
    static LAST: Last = const { Last::none() };
}

#[cold]
pub(super) fn remember(failure: &Failure) {
    LAST.with(|last| last.keep(failure));
}

/// The number of this thread's last failure, such as GLOBSTASH_ERROR_KEY; 0 if there was none. What
/// succeeds leaves it as it is, as with errno.
#[unsafe(no_mangle)]
pub extern "C" fn globstash_error_code() -> c_int {
    LAST.with(|last| last.code.get())
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
    LAST.with(|last| last.text.as_ptr().cast())
}

/// The key of the variable that was the reason for this thread's last failure, such as the one that was not
/// as it had to be, of several that globstash_apply() was to change. Empty if no variable was the reason; of what
/// is too long for a key it is the beginning. Never NULL. For the rest as globstash_error_text().
#[unsafe(no_mangle)]
pub extern "C" fn globstash_error_key() -> *const c_char {
    LAST.with(|last| last.key.as_ptr().cast())
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::super::failure::{Code, guard, guard_pointer};
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
}
