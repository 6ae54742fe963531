//! The calls with everything that can be said: on which handle, on which terms, and the revision.

use std::ffi::{c_char, c_int, c_void};

use libc::{size_t, ssize_t};

use crate::client::{Revision, Step};

use super::arguments::{
    fill, guard_buffer, key as read_key, milliseconds, missing, optional, patterns, put_revision,
    stash as of, text, value as read_value,
};
use super::failure::{Code, Failure, guard};
use super::stash::Stash;
use super::terms::{Condition, Terms};

/// Defines a variable, or replaces its value, on some terms.
///
/// `value`: `length` bytes of anything. `terms`: NULL for none. `revision`, if it is not NULL, is that of
/// the change; with GLOBSTASH_ERROR_CONDITION the one that the variable has, 0 if it is not defined.
///
/// Returns 0, or a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_set_at(
    stash: *mut Stash,
    key: *const c_char,
    value: *const c_void,
    length: size_t,
    terms: *const Terms,
    revision: *mut u64,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let (stash, key, value, terms) = unsafe {
            let terms = terms.as_ref().map(|terms| terms.read()).transpose()?;
            let value = read_value(value.cast(), length)?;
            (of(stash)?, read_key(key)?, value, terms.unwrap_or_default())
        };
        let set = stash.ask(|client| client.set_with(key, value, terms));
        // SAFETY: passed on to the caller.
        unsafe { changed(set, revision) }?;
        Ok(0)
    })
}

/// Deletes a variable, if it is as it must be.
///
/// `only_if`: NULL for no condition. `revision` is as with globstash_set_at(); if nothing was there to
/// delete, it is that of the last change of any variable.
///
/// Returns 1 if it was there, 0 if not, and a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_delete_at(
    stash: *mut Stash,
    key: *const c_char,
    only_if: *const Condition,
    revision: *mut u64,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let (stash, key, condition) = unsafe {
            let condition = only_if.as_ref().map(|condition| condition.read());
            (of(stash)?, read_key(key)?, condition.transpose()?.flatten())
        };
        let mut count = 0;
        let deleted = stash.ask(|client| {
            let deleted = match condition {
                Some(condition) => client.delete_if(key, condition),
                None => client.delete(key),
            }?;
            count = deleted.count;
            Ok(deleted.revision)
        });
        // SAFETY: passed on to the caller.
        unsafe { changed(deleted, revision) }?;
        Ok(i8::from(count > 0).into())
    })
}

/// Deletes all variables that match a pattern, see globstash_list_open(); "**" matches all that there are,
/// and NULL is refused. Up to 4,096 go together, with one revision.
///
/// Returns how many there were, or a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_delete_matching(
    stash: *mut Stash,
    pattern: *const c_char,
) -> i64 {
    guard(|| {
        // SAFETY: passed on to the caller.
        let (stash, patterns) = unsafe { (of(stash)?, patterns(pattern)?) };
        // To delete all is not what is meant by nothing.
        if pattern.is_null() {
            return Err(missing("pattern"));
        }
        let deleted = stash.ask(|client| client.delete_matching(patterns))?;
        Ok(deleted.count.cast_signed())
    })
}

/// Tells whether a variable is defined, without its value. `revision`, if it is not NULL, is that of its
/// last change; 0 if it is not defined.
///
/// Returns 1 if so, 0 if not, and a negative number if that cannot be told: look whether it is more than 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_exists_at(
    stash: *mut Stash,
    key: *const c_char,
    revision: *mut u64,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let (stash, key) = unsafe { (of(stash)?, read_key(key)?) };
        let found = stash.ask(|client| client.revision(key))?;
        // SAFETY: passed on to the caller.
        unsafe { put_revision(revision, found) };
        Ok(i8::from(found != Revision::UNDEFINED).into())
    })
}

/// Gives a variable so many milliseconds to live from now on, or, if that is negative, no end to it; with 0
/// it is gone at once. Its value stays as it is, and those who watch are told nothing of a new time.
///
/// Returns 1 if it is defined, 0 if not, and a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_expire_at(
    stash: *mut Stash,
    key: *const c_char,
    ttl_ms: i64,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let (stash, key) = unsafe { (of(stash)?, read_key(key)?) };
        let defined = stash.ask(|client| client.expire(key, milliseconds(ttl_ms)))?;
        Ok(i8::from(defined).into())
    })
}

/// Adds to the number that a variable holds, and keeps the sum between limits.
///
/// Numbers are texts such as "1", "-12" or "0.25", with up to 18 digits, before and after the point
/// together, where zeros that say nothing do not count; sums are exact. What is no such number is
/// GLOBSTASH_ERROR_ARGUMENT as an argument, and GLOBSTASH_ERROR_NUMBER in the variable or as the sum.
/// `minimum` and `maximum` are NULL for no limit; a sum beyond them becomes that limit.
///
/// The sum is put into a buffer as with globstash_get(); 40 bytes are enough for each. With a size of 0
/// the buffer may be NULL.
///
/// Returns how many bytes the sum has, or a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_increment_at(
    stash: *mut Stash,
    key: *const c_char,
    by: *const c_char,
    minimum: *const c_char,
    maximum: *const c_char,
    sum: *mut c_char,
    size: size_t,
    revision: *mut u64,
) -> ssize_t {
    // SAFETY: passed on to the caller.
    let guard = |act| unsafe { guard_buffer(sum.cast(), size, act) };
    guard(|| {
        // SAFETY: passed on to the caller.
        let (stash, key, by, minimum, maximum) = unsafe {
            let by = text(by, "number", Code::Argument)?;
            let limits = (optional(minimum, "minimum")?, optional(maximum, "maximum")?);
            (of(stash)?, read_key(key)?, by, limits.0, limits.1)
        };
        // Before anything is changed.
        if sum.is_null() && size > 0 {
            return Err(missing("buffer"));
        }
        let mut step = Step::by(by);
        if let Some(minimum) = minimum {
            step = step.minimum(minimum);
        }
        if let Some(maximum) = maximum {
            step = step.maximum(maximum);
        }
        let done = stash.ask(|client| client.increment_by(key, step))?;
        // SAFETY: passed on to the caller.
        unsafe {
            put_revision(revision, done.revision);
            fill(sum.cast(), size, done.value.as_bytes())
        }
    })
}

/// Waits until a variable is as wanted, and reads it; if it is so already, at once.
///
///     globstash_condition until = { .kind = GLOBSTASH_IF_CHANGED, .revision = seen };
///     globstash_wait_at(GLOBSTASH_DEFAULT, "config/mode", &until, 5000, mode, sizeof mode, &seen);
///
/// `until` must not be NULL. `timeout_ms` is as with globstash_wait(). Buffer, revision and result are
/// as with globstash_get_at(). Other threads may go on using the handle meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_wait_at(
    stash: *mut Stash,
    key: *const c_char,
    until: *const Condition,
    timeout_ms: i64,
    buffer: *mut c_void,
    size: size_t,
    revision: *mut u64,
) -> ssize_t {
    // SAFETY: passed on to the caller.
    let guard = |act| unsafe { guard_buffer(buffer.cast(), size, act) };
    guard(|| {
        // SAFETY: passed on to the caller.
        let (stash, key, until) = unsafe {
            let until = until.as_ref().ok_or_else(|| missing("condition"))?;
            (of(stash)?, read_key(key)?, until.until()?)
        };
        let until = match milliseconds(timeout_ms) {
            Some(timeout) => until.within(timeout),
            None => until,
        };
        let entry = stash.ask(|client| client.wait_until(key, until))?;
        let value = entry.as_ref().and_then(|entry| entry.value.as_ref());
        let value = value.map_or(&b""[..], |value| value.as_bytes());
        // SAFETY: passed on to the caller.
        unsafe {
            put_revision(revision, entry.as_ref().map(|entry| entry.revision));
            fill(buffer.cast(), size, value)
        }
    })
}

/// The end of a change: puts its revision, or the one that made the condition fail.
///
/// # Safety
///
/// As of [`put`].
pub(super) unsafe fn changed(
    result: Result<Revision, crate::client::Error>,
    place: *mut u64,
) -> Result<(), Failure> {
    let found = match &result {
        Ok(revision) => Some(*revision),
        Err(crate::client::Error::ConditionFailed { revision, .. }) => Some(*revision),
        Err(_) => None,
    };
    if let Some(found) = found {
        // SAFETY: passed on to the caller.
        unsafe { put_revision(place, found) };
    }
    result?;
    Ok(())
}
