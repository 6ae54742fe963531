//! Handles, for programs that want another service than the default one, or their own timeout.

use std::ffi::{c_char, c_int};

use super::arguments::{milliseconds, stash as of, text};
use super::failure::{Code, Failure, guard, guard_pointer};
use super::stash::{Place, Stash};

/// Opens a handle to the service at an address: "unix:/path", "/path" or "unix:@name"; NULL for the
/// one that $GLOBSTASH_ADDRESS names, or else the one for all of the machine, at /run/globstash.
///
/// `timeout_ms`: how long the service may take to answer, before it is GLOBSTASH_ERROR_SILENT; 0 for
/// five seconds. The default handle has these five seconds.
///
/// Returns NULL if there is no service. Once there was one, it may come and go.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_open(address: *const c_char, timeout_ms: i64) -> *mut Stash {
    guard_pointer(|| {
        if address.is_null() {
            return open(Place::Chosen, timeout_ms);
        }
        // SAFETY: passed on to the caller.
        let address = unsafe { text(address, "address", Code::Address) }?;
        let address = address.try_into().map_err(crate::client::Error::from)?;
        open(Place::At(address), timeout_ms)
    })
}

/// Opens a handle to the user's own service: at globstash in $XDG_RUNTIME_DIR, or else in /run/user/UID,
/// or else at /tmp/globstash-UID/socket. Otherwise as globstash_open().
#[unsafe(no_mangle)]
pub extern "C" fn globstash_open_user(timeout_ms: i64) -> *mut Stash {
    guard_pointer(|| open(Place::User, timeout_ms))
}

fn open(place: Place, timeout_ms: i64) -> Result<Box<Stash>, Failure> {
    let timeout = match timeout_ms {
        0 => None,
        _ => Some(
            milliseconds(timeout_ms)
                .ok_or_else(|| Failure::new(Code::Argument, "the timeout is negative"))?,
        ),
    };
    let stash = Stash::new(place, timeout);
    stash.reach()?;
    Ok(Box::new(stash))
}

/// Closes a handle, with its connections. NULL is allowed, and nothing is done then; the default handle is
/// never closed. No other thread may be using it. Variables, lists and watches that were opened with
/// it stay, until they are closed.
///
/// Returns NULL, always: `stash = globstash_close(stash);`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_close(stash: *mut Stash) -> *mut Stash {
    // SAFETY: passed on to the caller.
    unsafe { close(stash) }
}

/// Tells whether variables are read from memory that is shared with the service, without a system call;
/// otherwise each read asks the service.
///
/// Returns 1 if so, else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_is_mapped(stash: *mut Stash) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let stash = unsafe { of(stash) };
        Ok(i8::from(stash.attached()?.is_mapped()).into())
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
    std::ptr::null_mut()
}
