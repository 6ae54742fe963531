//! Reading a variable by its key.
//!
//! Most values are short, stand where they are looked for first, and have a buffer that is long enough: these
//! are told at a glance. For that a function may call nothing, so that it has nothing to save; all the
//! rest is a function of its own, which is jumped to with the same arguments.

use std::ffi::{c_char, c_void};

use libc::{size_t, ssize_t};

use crate::client::{Attached, Revision};

use super::arguments::{
    fill, guard_buffer, key as read_key, key_bytes, missing, put, put_revision, room, stash as of,
    stash_if_any,
};
use super::failure::{Code, Failure, guard};
use super::stash::Stash;

/// Reads a variable, as globstash_get() does, and returns the same.
///
/// `revision`, if it is not NULL, is the revision of its last change; 0 if it is not defined, which
/// is how to tell that from an empty value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_get_at(
    stash: *mut Stash,
    key: *const c_char,
    buffer: *mut c_void,
    size: size_t,
    revision: *mut u64,
) -> ssize_t {
    // SAFETY: passed on to the caller.
    unsafe {
        let stash_if_any = stash_if_any(stash);
        let told = stash_if_any.and_then(|it| glance(it, key, buffer.cast(), size));
        match told {
            Some(Some((found, length))) => {
                put_revision(revision, found);
                length
            }
            Some(None) => absent(key, buffer, size, revision),
            None => search(stash, key, buffer, size, revision),
        }
    }
}

/// Reads a variable into memory that is allocated for it, however long it is.
///
/// `value` becomes a pointer to the bytes and a NUL behind them, to be released with free(3). It is
/// never NULL if this succeeds: what is not defined reads as an empty value, with the revision 0. If it
/// fails, `value` is left as it was.
///
/// Returns how many bytes the value has, or a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_get_alloc(
    stash: *mut Stash,
    key: *const c_char,
    value: *mut *mut c_char,
    revision: *mut u64,
) -> ssize_t {
    guard(|| {
        if value.is_null() {
            return Err(missing("value"));
        }
        // SAFETY: passed on to the caller.
        let (found, bytes) = unsafe { ask(stash, key) }?;
        let size = bytes.len() + 1;
        // SAFETY: any size may be asked for.
        let memory = unsafe { libc::malloc(size) };
        if memory.is_null() {
            return Err(Failure::new(Code::Resources, "out of memory"));
        }
        // SAFETY: so many bytes are there; the rest is passed on to the caller.
        unsafe {
            put(value, memory.cast());
            put_revision(revision, found);
            fill(memory.cast(), size, &bytes)
        }
    })
}

/// Reads a variable if that is short, fits into the buffer, and is told at a glance. `Some(None)` if
/// it is not defined, or the key is none; `None` also if anything is wrong. Cannot panic, which is why
/// it needs no [`guard`].
///
/// # Safety
///
/// As of [`key_bytes`] and [`room`].
#[inline(always)]
pub(super) unsafe fn glance(
    stash: &Stash,
    key: *const c_char,
    buffer: *mut u8,
    size: size_t,
) -> Option<Option<(Revision, ssize_t)>> {
    // SAFETY: passed on to the caller.
    unsafe {
        let (key, room) = (key_bytes(key)?, room(buffer, size)?);
        let told = stash.attached_before()?.copy_at_a_glance(key, room)?;
        Some(told.map(|(revision, length)| (revision, length.cast_signed())))
    }
}

/// Does what [`globstash_get_at`] does, for what is not defined, as a glance told.
///
/// # Safety
///
/// As of [`read_key`], [`put_revision`] and [`fill`].
#[cold]
#[inline(never)]
pub(super) unsafe extern "C" fn absent(
    key: *const c_char,
    buffer: *mut c_void,
    size: size_t,
    revision: *mut u64,
) -> ssize_t {
    let buffer = buffer.cast();
    let read = || {
        // SAFETY: passed on to the caller.
        unsafe {
            Attached::check(read_key(key)?)?;
            put_revision(revision, None);
            fill(buffer, size, &[])
        }
    };
    // SAFETY: passed on to the caller.
    unsafe { guard_buffer(buffer, size, read) }
}

/// Does what [`globstash_get_at`] does, for whatever is not told at a glance.
///
/// # Safety
///
/// As of [`copy_at_once`] and [`ask`].
#[cold]
#[inline(never)]
pub(super) unsafe extern "C" fn search(
    stash: *mut Stash,
    key: *const c_char,
    buffer: *mut c_void,
    size: size_t,
    revision: *mut u64,
) -> ssize_t {
    let buffer = buffer.cast();
    let read = || {
        // SAFETY: passed on to the caller.
        unsafe {
            if let Some((found, length)) = copy_at_once(stash, key, buffer, size)? {
                put_revision(revision, found);
                return Ok(length);
            }
            let (found, value) = ask(stash, key)?;
            put_revision(revision, found);
            fill(buffer, size, &value)
        }
    };
    // SAFETY: passed on to the caller.
    unsafe { guard_buffer(buffer, size, read) }
}

/// Copies a value from the map to where the caller wants it, if the map tells it at once.
///
/// # Safety
///
/// As of [`of`], [`key_bytes`] and [`room`].
unsafe fn copy_at_once(
    stash: *const Stash,
    key: *const c_char,
    buffer: *mut u8,
    size: size_t,
) -> Result<Option<(Option<Revision>, ssize_t)>, Failure> {
    // SAFETY: passed on to the caller.
    let (stash, key, room) = unsafe {
        let key = key_bytes(key).ok_or_else(|| missing("key"))?;
        (of(stash)?, key, room(buffer, size))
    };
    let (Some(attached), Some(room)) = (stash.attached_before(), room) else {
        return Ok(None);
    };
    let copied = attached.copy_at_once(key, room);
    Ok(copied.map(|(found, length)| (found, length.cast_signed())))
}

/// Reads a variable, wherever it has to be asked for.
///
/// # Safety
///
/// As of [`of`] and [`read_key`].
#[inline(never)]
unsafe fn ask(
    stash: *const Stash,
    key: *const c_char,
) -> Result<(Option<Revision>, Vec<u8>), Failure> {
    // SAFETY: passed on to the caller.
    let (stash, key) = unsafe { (of(stash)?, read_key(key)?) };
    let mut value = Vec::new();
    let revision = stash.attached()?.get_into(key, &mut value)?;
    Ok((revision, value))
}
