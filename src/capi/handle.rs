//! Handles, for programs that want another service than the default one, or their own timeout.

use std::ffi::{c_char, c_int, c_uint};
use std::ptr;

use crate::client::WhenGone;

use super::arguments::{DEFAULT_STASH, meaningless, milliseconds, stash as of, text};
use super::failure::{Code, Failure, guard, guard_pointer};
use super::list::GLOBSTASH_FAIL_WHEN_GONE;
use super::stash::{Place, Stash};

/// Opens a handle to the service at an address: "unix:/path", "/path" or "unix:@name"; NULL for the
/// one that $GLOBSTASH_ADDRESS names, or else the one for all of the machine, at /run/globstash.
///
/// `timeout_ms`: how long the service may take to answer, before it is GLOBSTASH_ERROR_SILENT; 0 for
/// five seconds; negative is refused. `flags`: 0, or GLOBSTASH_FAIL_WHEN_GONE. The default handle has these five seconds, and no
/// flags.
///
/// Returns NULL if there is no service. Once there was one, it may come and go.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_open(
    address: *const c_char,
    timeout_ms: i64,
    flags: c_uint,
) -> *mut Stash {
    guard_pointer(|| {
        if address.is_null() {
            return open(Place::Chosen, timeout_ms, flags);
        }
        // SAFETY: passed on to the caller.
        let address = unsafe { text(address, "address", Code::Address) }?;
        let address = address.try_into().map_err(crate::client::Error::from)?;
        open(Place::At(address), timeout_ms, flags)
    })
}

/// Opens a handle to the user's own service: at globstash in $XDG_RUNTIME_DIR, or else in /run/user/UID,
/// or else at /tmp/globstash-UID/socket. Otherwise as globstash_open().
#[unsafe(no_mangle)]
pub extern "C" fn globstash_open_user(timeout_ms: i64, flags: c_uint) -> *mut Stash {
    guard_pointer(|| open(Place::User, timeout_ms, flags))
}

fn open(place: Place, timeout_ms: i64, flags: c_uint) -> Result<Box<Stash>, Failure> {
    let when_gone = match flags {
        0 => WhenGone::Serve,
        GLOBSTASH_FAIL_WHEN_GONE => WhenGone::Fail,
        _ => return Err(meaningless(flags & !GLOBSTASH_FAIL_WHEN_GONE)),
    };
    let timeout = match timeout_ms {
        0 => None,
        _ => Some(
            milliseconds(timeout_ms)
                .ok_or_else(|| Failure::new(Code::Argument, "the timeout is negative"))?,
        ),
    };
    let stash = Stash::new(place, timeout, when_gone);
    stash.reach()?;
    Ok(Box::new(stash))
}

/// Closes a handle, with its connections. NULL is allowed, and nothing is done then; nor with
/// GLOBSTASH_DEFAULT, which is never closed. No other thread may be using it. Variables, lists and
/// watches that were opened with it stay, until they are closed.
///
/// Returns NULL, always: `stash = globstash_close(stash);`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_close(stash: *mut Stash) -> *mut Stash {
    if ptr::eq(stash, DEFAULT_STASH) {
        return ptr::null_mut();
    }
    // SAFETY: passed on to the caller.
    unsafe { close(stash) }
}

/// Tells whether variables are read from memory that is shared with the service, without a system call;
/// otherwise each read asks the service.
///
/// Returns 1 if so, 0 if not, and a negative number if that cannot be told: look whether it is more than 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_is_mapped(stash: *mut Stash) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let stash = unsafe { of(stash)? };
        Ok(i8::from(stash.attached()?.is_mapped()).into())
    })
}

/// Tells whether the service is there, as far as its memory tells without a system call: while it is away after
/// a crash, variables are read as it left them, unless the handle has GLOBSTASH_FAIL_WHEN_GONE. To know it of
/// a value, ask after reading it. Where memory is not shared, it is 1: then reading fails.
///
/// Returns 1 if so, 0 if not, and a negative number if that cannot be told: look whether it is more than 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_is_served(stash: *mut Stash) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let stash = unsafe { of(stash)? };
        Ok(i8::from(stash.attached()?.is_served()).into())
    })
}

/// The version of the library that runs, such as "0.1.0": it may be a later one than that of the
/// header, GLOBSTASH_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn globstash_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Gives back what `guard_pointer` made; NULL is nothing.
///
/// # Safety
///
/// It came from there, and nobody uses it any more.
pub(super) unsafe fn close<T>(object: *mut T) -> *mut T {
    if !object.is_null() {
        let _: i32 = guard(|| {
            // SAFETY: passed on to the caller.
            drop(unsafe { Box::from_raw(object) });
            Ok(0)
        });
    }
    ptr::null_mut()
}
