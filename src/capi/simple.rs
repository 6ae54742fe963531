//! One call, and nothing before or after it: what most programs need.

use std::ffi::{c_char, c_int};
use std::ptr;

use libc::{size_t, ssize_t};

use super::arguments::DEFAULT_STASH;
use super::calls::{globstash_delete_at, globstash_exists_at, globstash_set_at, globstash_wait_at};
use super::failure::{Code, Failure, guard};
use super::stash::DEFAULT;
use super::terms::{Condition, If};
use super::{arguments, get, numbers};

/// Reads a variable. What is not defined reads as an empty value, as with the command.
///
///     char volume[16];
///     if (globstash_get("player/volume", volume, sizeof volume) > 0)
///         puts(volume);
///
/// Returns how many bytes the value has, without the NUL that is put behind it, or a negative number if
/// it fails; the buffer holds an empty string then. A value that does not fit with its NUL is not copied at
/// all: then the buffer holds an empty string, and the number is equal to or more than `size`. With a
/// size of 0 the buffer may be NULL. A value can be any bytes, also NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_get(
    key: *const c_char,
    buffer: *mut c_char,
    size: size_t,
) -> ssize_t {
    // SAFETY: passed on to the caller.
    unsafe {
        match get::glance(&DEFAULT, key, buffer.cast(), size) {
            Some(Some((_, length))) => length,
            Some(None) => absent(key, buffer, size),
            None => search(key, buffer, size),
        }
    }
}

/// Does what [`globstash_get`] does, as [`get::absent`].
///
/// # Safety
///
/// As there.
#[cold]
#[inline(never)]
unsafe extern "C" fn absent(key: *const c_char, buffer: *mut c_char, size: size_t) -> ssize_t {
    // SAFETY: passed on to the caller.
    unsafe { get::absent(key, buffer.cast(), size, ptr::null_mut()) }
}

/// Does what [`globstash_get`] does, as [`get::search`].
///
/// # Safety
///
/// As there.
#[cold]
#[inline(never)]
unsafe extern "C" fn search(key: *const c_char, buffer: *mut c_char, size: size_t) -> ssize_t {
    let revision = ptr::null_mut();
    // SAFETY: passed on to the caller.
    unsafe { get::search(DEFAULT_STASH, key, buffer.cast(), size, revision) }
}

/// Defines a variable, or replaces its value, with a text. A time to live or a process that it had
/// is gone then; protection stays.
///
/// Returns 0, or a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_set(key: *const c_char, text: *const c_char) -> c_int {
    let length = match text.is_null() {
        // Not an empty value: most likely a mistake.
        true => return guard(|| Err(arguments::missing("text"))),
        // SAFETY: passed on to the caller.
        false => unsafe { libc::strlen(text) },
    };
    let (terms, revision) = (ptr::null(), ptr::null_mut());
    // SAFETY: passed on to the caller.
    unsafe { globstash_set_at(DEFAULT_STASH, key, text.cast(), length, terms, revision) }
}

/// Deletes a variable. To delete what is not there is no failure.
///
/// Returns 1 if it was there, 0 if not, and a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_delete(key: *const c_char) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { globstash_delete_at(DEFAULT_STASH, key, ptr::null(), ptr::null_mut()) }
}

/// Tells whether a variable is defined, also if its value is empty.
///
/// Returns 1 if so, 0 if not, and a negative number if that cannot be told: look whether it is more than 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_exists(key: *const c_char) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { globstash_exists_at(DEFAULT_STASH, key, ptr::null_mut()) }
}

/// Adds to the number that a variable holds; what is not defined counts as 0. However many add to it
/// at the same time, none is lost.
///
///     int64_t visitors;
///     globstash_increment("site/visitors", 1, &visitors);
///
/// `by` is between -999,999,999,999,999,999 and 999,999,999,999,999,999, which are 18 digits; with another
/// number it is GLOBSTASH_ERROR_ARGUMENT. A variable, too, holds numbers of up to 18 digits, before and
/// after the point together: if the sum has more, or if it holds no number at all, it is
/// GLOBSTASH_ERROR_NUMBER, and the variable stays as it is.
///
/// `sum`, if it is not NULL, is what it holds now. If that is no whole number, because it was none
/// before, `sum` is without the decimals, as -1 of -1.75: globstash_increment_at() tells all of it.
///
/// Returns 0, or a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_increment(key: *const c_char, by: i64, sum: *mut i64) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let key = unsafe { arguments::key(key) }?;
        let step = crate::client::Step::by(by);
        let done = DEFAULT.ask(|client| client.increment_by(key, step))?;
        let whole = numbers::whole(&done.value).ok_or_else(|| {
            let text = format!("{} is no number of 64 bits", done.value);
            Failure::new(Code::Protocol, text)
        })?;
        // SAFETY: passed on to the caller.
        unsafe { arguments::put(sum, whole) };
        Ok(0)
    })
}

/// Waits until a variable is defined, and reads it. If it is already, that is at once.
///
/// `timeout_ms`: no longer than so many milliseconds, then it is GLOBSTASH_ERROR_TIMED_OUT; negative:
/// for ever. The service may be away for up to five seconds meanwhile.
///
/// Buffer and result are as with globstash_get(), so it returns how many bytes the value has, or a
/// negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_wait(
    key: *const c_char,
    timeout_ms: i64,
    buffer: *mut c_char,
    size: size_t,
) -> ssize_t {
    let until = Condition {
        kind: If::Defined as c_int,
        revision: 0,
        value: ptr::null(),
        data: ptr::null(),
        length: 0,
    };
    let (buffer, revision) = (buffer.cast(), ptr::null_mut());
    // SAFETY: passed on to the caller.
    unsafe {
        globstash_wait_at(
            DEFAULT_STASH,
            key,
            &raw const until,
            timeout_ms,
            buffer,
            size,
            revision,
        )
    }
}
