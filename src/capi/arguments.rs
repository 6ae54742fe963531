//! What C hands over, made safe to use: NULL is looked for, text is checked, results are put where
//! the caller wants them.
//!
//! The duties of a caller stand in the header: pointers are NULL or lead to what the function says,
//! and stay valid and unchanged while it runs.

use std::ffi::{CStr, c_char, c_uint, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;
use std::time::Duration;

use libc::{size_t, ssize_t};

use crate::client::{Patterns, Revision, Value};

use super::failure::{Code, Failure, guard};
use super::length::length;
use super::stash::{DEFAULT, Stash};

/// What stands for the default handle: in the header it is `GLOBSTASH_DEFAULT`. NULL is not, because
/// that is what a program has that could not open another.
pub(super) const DEFAULT_STASH: *mut Stash = ptr::without_provenance_mut(1);

/// A handle.
///
/// # Safety
///
/// It is NULL, or [`DEFAULT_STASH`], or came from `globstash_open` and was not closed.
#[inline]
pub(super) unsafe fn stash<'a>(stash: *const Stash) -> Result<&'a Stash, Failure> {
    // SAFETY: passed on to the caller.
    unsafe { stash_if_any(stash) }.ok_or_else(no_stash)
}

/// The same for whoever does not say why there is none.
///
/// # Safety
///
/// The same.
#[inline(always)]
pub(super) unsafe fn stash_if_any<'a>(stash: *const Stash) -> Option<&'a Stash> {
    if ptr::eq(stash, DEFAULT_STASH) {
        return Some(&DEFAULT);
    }
    // SAFETY: passed on to the caller.
    unsafe { stash.as_ref() }
}

#[cold]
fn no_stash() -> Failure {
    let text = "the stash is NULL: it could not be opened, or GLOBSTASH_DEFAULT is meant";
    Failure::new(Code::Argument, text)
}

/// An object that cannot be left out.
///
/// # Safety
///
/// It is NULL, or leads to one that nobody else uses.
#[inline]
pub(super) unsafe fn object<'a, T>(object: *mut T, name: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: passed on to the caller.
    unsafe { object.as_mut() }.ok_or_else(|| missing(name))
}

/// A key.
///
/// # Safety
///
/// It is NULL, or a string that ends with NUL.
#[inline]
pub(super) unsafe fn key<'a>(key: *const c_char) -> Result<&'a str, Failure> {
    // SAFETY: passed on to the caller.
    unsafe { text(key, "key", Code::Key) }
}

/// The bytes of a key, of which nothing is known but that NUL is none of them; `None` if it is NULL.
///
/// # Safety
///
/// It is NULL, or a string that ends with NUL.
#[inline(always)]
pub(super) unsafe fn key_bytes<'a>(key: *const c_char) -> Option<&'a [u8]> {
    if key.is_null() {
        return None;
    }
    // SAFETY: passed on to the caller.
    Some(unsafe { slice::from_raw_parts(key.cast(), length(key)) })
}

/// A pattern; NULL stands for all variables.
///
/// # Safety
///
/// It is NULL, or a string that ends with NUL.
pub(super) unsafe fn patterns(pattern: *const c_char) -> Result<Patterns, Failure> {
    if pattern.is_null() {
        return Ok(Patterns::all());
    }
    // SAFETY: passed on to the caller.
    unsafe { text(pattern, "pattern", Code::Pattern) }.map(Patterns::from)
}

/// A text that cannot be left out; `code` is what it is if it is not UTF-8.
///
/// # Safety
///
/// It is NULL, or a string that ends with NUL.
#[inline]
pub(super) unsafe fn text<'a>(
    text: *const c_char,
    name: &str,
    code: Code,
) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(missing(name));
    }
    // SAFETY: passed on to the caller.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str()
        .map_err(|_| Failure::new(code, format!("the {name} is not UTF-8")))
}

/// A text that can be left out.
///
/// # Safety
///
/// It is NULL, or a string that ends with NUL.
pub(super) unsafe fn optional<'a>(
    given: *const c_char,
    name: &str,
) -> Result<Option<&'a str>, Failure> {
    if given.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on to the caller.
    unsafe { text(given, name, Code::Argument) }.map(Some)
}

/// A value: any bytes. NULL is one without any.
///
/// # Safety
///
/// It is NULL and the length 0, or so many bytes are there.
pub(super) unsafe fn value(value: *const u8, length: size_t) -> Result<Value, Failure> {
    match (value.is_null(), length) {
        (_, 0) => Ok(Value::default()),
        (true, _) => Err(missing("value")),
        // `isize::MAX` is the most that a slice can have.
        _ if isize::try_from(length).is_err() => {
            Err(Failure::new(Code::Value, "the value is too long"))
        }
        // SAFETY: passed on to the caller.
        _ => Ok(unsafe { slice::from_raw_parts(value, length) }.into()),
    }
}

/// A value that a structure has as a text or as bytes.
///
/// # Safety
///
/// The text is NULL or ends with NUL; the bytes are as with [`value`].
pub(super) unsafe fn text_or_bytes(
    text: *const c_char,
    bytes: *const c_void,
    length: size_t,
) -> Result<Value, Failure> {
    if text.is_null() {
        // SAFETY: passed on to the caller.
        return unsafe { value(bytes.cast(), length) };
    }
    if !bytes.is_null() || length != 0 {
        let both = "data and length are for bytes: not with value, which is a text";
        return Err(Failure::new(Code::Argument, both));
    }
    // SAFETY: passed on to the caller.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes().into())
}

/// Puts a result where the caller wants it, if it does.
///
/// # Safety
///
/// It is NULL, or there is room for one.
#[inline]
pub(super) unsafe fn put<T>(place: *mut T, result: T) {
    if !place.is_null() {
        // SAFETY: passed on to the caller. What was there needs not be initialised.
        unsafe { place.write(result) };
    }
}

/// Puts a revision, 0 if there is none.
///
/// # Safety
///
/// As of [`put`].
#[inline]
pub(super) unsafe fn put_revision(place: *mut u64, revision: impl Into<Option<Revision>>) {
    let revision = revision.into().unwrap_or_default();
    // SAFETY: passed on to the caller.
    unsafe { put(place, revision.0) };
}

/// Copies bytes and a NUL into a buffer, or leaves an empty string there if they do not fit. Returns
/// how many bytes there are, in any case.
///
/// # Safety
///
/// The buffer is NULL, or has this size.
#[inline]
pub(super) unsafe fn fill(buffer: *mut u8, size: size_t, bytes: &[u8]) -> Result<ssize_t, Failure> {
    if size > 0 {
        if buffer.is_null() {
            return Err(missing("buffer"));
        }
        let fitting = if bytes.len() < size { bytes } else { b"" };
        // SAFETY: these and the NUL are no more than `size`, and ours are no bytes of the caller.
        unsafe {
            ptr::copy_nonoverlapping(fitting.as_ptr(), buffer, fitting.len());
            buffer.add(fitting.len()).write(0);
        }
    }
    Ok(bytes.len().cast_signed())
}

/// Runs what fills a buffer; if that fails, it holds an empty string.
///
/// # Safety
///
/// As of [`fill`].
#[inline]
pub(super) unsafe fn guard_buffer(
    buffer: *mut u8,
    size: size_t,
    act: impl FnOnce() -> Result<ssize_t, Failure>,
) -> ssize_t {
    let length = guard(act);
    if length < 0 && size > 0 {
        // SAFETY: passed on to the caller.
        unsafe { put(buffer, 0) };
    }
    length
}

/// A buffer, to be filled; `None` if it is NULL and must not be.
///
/// # Safety
///
/// It is NULL, or has this size and is used by nobody else.
#[inline(always)]
pub(super) unsafe fn room<'a>(buffer: *mut u8, size: size_t) -> Option<&'a mut [MaybeUninit<u8>]> {
    match (buffer.is_null(), isize::try_from(size)) {
        (true, Ok(0)) => Some(&mut []),
        // More than there can be: then it is only said to be so large.
        (true, _) | (_, Err(_)) => None,
        // SAFETY: passed on to the caller.
        (false, Ok(_)) => Some(unsafe { slice::from_raw_parts_mut(buffer.cast(), size) }),
    }
}

/// A time in milliseconds; `None` if it is negative, which stands for no limit.
pub(super) fn milliseconds(number: i64) -> Option<Duration> {
    u64::try_from(number).ok().map(Duration::from_millis)
}

pub(super) fn missing(name: &str) -> Failure {
    Failure::new(Code::Argument, format!("the {name} is NULL"))
}

pub(super) fn meaningless(flags: c_uint) -> Failure {
    let text = format!("there are flags that mean nothing here: {flags:#x}");
    Failure::new(Code::Argument, text)
}
