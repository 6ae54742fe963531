//! One variable, read again and again.

use std::ffi::{c_char, c_int};

use libc::ssize_t;

use crate::client::Handle;

use super::arguments::{key as read_key, missing, object, put, stash as of};
use super::failure::{Failure, guard, guard_pointer};
use super::handle::close;
use super::stash::Stash;

/// One variable, with what was read of it last.
#[derive(Debug)]
pub struct Variable {
    handle: Handle,
    /// The value that was read last, and a NUL.
    value: Vec<u8>,
    /// Whether that is what the handle has seen last.
    is_read: bool,
}

/// Opens a variable, which needs not be defined, to be read again and again: where variables are read
/// from shared memory, that takes some nanoseconds.
///
/// Returns NULL if there is no service.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_variable_open(
    stash: *mut Stash,
    key: *const c_char,
) -> *mut Variable {
    guard_pointer(|| {
        // SAFETY: passed on to the caller.
        let (stash, key) = unsafe { (of(stash)?, read_key(key)?) };
        let attached = stash.attached()?;
        // What cannot be a key is told now, not by each read.
        attached.get_into(key, &mut Vec::new())?;
        let handle = attached.handle(key);
        Ok(Box::new(Variable {
            handle,
            value: vec![0],
            is_read: false,
        }))
    })
}

/// Tells whether the variable has changed since the last call of this function or of
/// globstash_variable_get(); to begin with it has, if it is defined.
///
/// Returns 1 if so, 0 if not, and a negative number if that cannot be told: look whether it is more than 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_variable_changed(variable: *mut Variable) -> c_int {
    // SAFETY: passed on to the caller.
    match unsafe { variable.as_ref() } {
        Some(variable) if variable.handle.is_current() => 0,
        // SAFETY: passed on to the caller.
        _ => unsafe { look(variable) },
    }
}

/// Reads the variable, as globstash_get() does. `value` becomes a pointer to the value and a NUL behind
/// it, which belong to the variable until the next call with it.
///
/// Returns how many bytes the value has, or a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_variable_get(
    variable: *mut Variable,
    value: *mut *const c_char,
) -> ssize_t {
    // SAFETY: passed on to the caller.
    if let Some(variable) = unsafe { variable.as_ref() }
        && !value.is_null()
        && variable.is_current()
    {
        // SAFETY: passed on to the caller.
        unsafe { put(value, variable.value.as_ptr().cast()) };
        return variable.len();
    }
    // SAFETY: passed on to the caller.
    unsafe { read(variable, value) }
}

/// The revision that the last call of globstash_variable_changed() or globstash_variable_get() has seen; 0 if
/// the variable was not defined, or before the first of these calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_variable_revision(variable: *const Variable) -> u64 {
    // SAFETY: passed on to the caller.
    let variable = unsafe { variable.as_ref() };
    variable.map_or(0, |variable| variable.handle.revision().0)
}

/// Closes a variable, which stays defined. NULL is allowed. Returns NULL, always.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_variable_close(variable: *mut Variable) -> *mut Variable {
    // SAFETY: passed on to the caller.
    unsafe { close(variable) }
}

/// What globstash_variable_changed() does if that is not to be told at once. A function of its own, and with
/// the same arguments, so that the way to what is told at once saves nothing on the stack.
///
/// # Safety
///
/// As of [`object`].
#[cold]
#[inline(never)]
unsafe extern "C" fn look(variable: *mut Variable) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let variable = unsafe { object(variable, "variable") }?;
        Ok(i8::from(variable.changed()?).into())
    })
}

/// The same for globstash_variable_get().
///
/// # Safety
///
/// As of [`object`] and [`put`].
#[cold]
#[inline(never)]
unsafe extern "C" fn read(variable: *mut Variable, value: *mut *const c_char) -> ssize_t {
    guard(|| {
        // SAFETY: passed on to the caller.
        let variable = unsafe { object(variable, "variable") }?;
        if value.is_null() {
            return Err(missing("value"));
        }
        let found = variable.get()?.as_ptr().cast();
        // SAFETY: passed on to the caller.
        unsafe { put(value, found) };
        Ok(variable.len())
    })
}

impl Variable {
    /// Whether what was read last still holds, as far as can be told at once. Cannot panic, which is
    /// why it needs no [`guard`].
    #[inline(always)]
    fn is_current(&self) -> bool {
        self.is_read && self.handle.is_current()
    }

    /// How long the value is, without its NUL.
    #[inline(always)]
    fn len(&self) -> ssize_t {
        self.value.len().wrapping_sub(1).cast_signed()
    }

    fn changed(&mut self) -> Result<bool, Failure> {
        let changed = self.handle.changed()?;
        self.is_read &= !changed;
        Ok(changed)
    }

    /// The value and a NUL.
    fn get(&mut self) -> Result<&[u8], Failure> {
        if !self.is_read || self.changed()? {
            self.read()?;
        }
        Ok(&self.value)
    }

    #[inline(never)]
    fn read(&mut self) -> Result<(), Failure> {
        let bytes = self.handle.get()?;
        self.value.clear();
        self.value.extend_from_slice(bytes.unwrap_or_default());
        self.value.push(0);
        self.is_read = true;
        Ok(())
    }
}
