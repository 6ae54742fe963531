//! A watch that goes on where an earlier one was, also of a program that has ended since.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::slice;

use libc::size_t;

use crate::client::{self, Revision, Start};

use super::arguments::{key as read_key, missing, object, patterns, stash as of};
use super::failure::{Code, Failure, guard, guard_pointer};
use super::list::{GLOBSTASH_KEYS_ONLY, GLOBSTASH_METADATA, fields};
use super::stash::Stash;
use super::watch::{Watch, open};

/// Room for the name of an instance and its NUL, as in [`Position`]. It has 32 digits; others may have
/// longer ones.
const ROOM: usize = 56;

/// How far a watch has come: up to here everything was told. It has no pointers: keep it as it is,
/// or its fields, wherever a program keeps what it knows. All zero, it stands for nothing told yet.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// The revision of the last change that was told.
    pub revision: u64,
    /// The instance of the service in which it has this number, with a NUL: letters and digits.
    pub instance: [c_char; 56],
}

/// Begins to watch where an earlier watch of the same pattern was, also that of a program that has ended:
/// as if it had been away from the service for so long. What was told then is not told again, and nothing
/// is left out but values that newer ones have replaced. If the service cannot tell any more what has
/// changed since, because that is too long ago or it was started anew, the present state is told.
///
/// `position`: that of the earlier watch, see globstash_watch_position(); must not be NULL.
///
/// `keys`: `count` keys of variables that were there at that time, as far as it matters when they are
/// gone; NULL and 0 if it does not. That they were deleted is told anyway while the service remembers
/// it; for longer only of these. All of them have to match the pattern.
///
/// `flags`: 0, GLOBSTASH_KEYS_ONLY, GLOBSTASH_METADATA, or both. Otherwise as globstash_watch_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_watch_resume(
    stash: *mut Stash,
    pattern: *const c_char,
    flags: c_uint,
    position: *const Position,
    keys: *const *const c_char,
    count: size_t,
) -> *mut Watch {
    guard_pointer(|| {
        // SAFETY: passed on to the caller.
        let (stash, patterns, position, keys) = unsafe {
            let position = position.as_ref().ok_or_else(|| missing("position"))?;
            let position = position.read()?;
            (of(stash)?, patterns(pattern)?, position, all(keys, count)?)
        };
        let fields = fields(flags, GLOBSTASH_KEYS_ONLY | GLOBSTASH_METADATA)?;
        open(stash, patterns, Start::After { position, keys }, fields)
    })
}

/// Tells how far a watch has come: up to where everything was told that it has given. Kept together with
/// what was made of the events, it loses none: in the worst case the last ones are told again.
///
///     while (globstash_watch_next(watch, &event) > 0)
///         take(&event);
///     globstash_watch_position(watch, &position);
///     save(&position);
///
/// It moves when all events of a change were given, and while the service tells its present state, at the
/// end of that.
///
/// Returns 0, or a negative number if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_watch_position(
    watch: *mut Watch,
    position: *mut Position,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let watch = unsafe { object(watch, "watch") }?;
        if position.is_null() {
            return Err(missing("position"));
        }
        let told = Position::told(&watch.position())?;
        // SAFETY: there is room for one, as the caller says. What was there needs not be initialised.
        unsafe { position.write(told) };
        Ok(0)
    })
}

impl Position {
    fn told(position: &client::Position) -> Result<Position, Failure> {
        let name = position.instance.as_bytes();
        if name.len() >= ROOM || name.contains(&0) {
            let text = "the service's instance has a name that is too long for globstash_position";
            return Err(Failure::new(Code::Protocol, text));
        }
        let mut instance = [0; ROOM];
        for (place, byte) in instance.iter_mut().zip(name) {
            *place = byte.cast_signed() as c_char;
        }
        Ok(Position {
            revision: position.revision.0,
            instance,
        })
    }

    fn read(&self) -> Result<client::Position, Failure> {
        let bytes = self.instance.map(|byte| byte as u8);
        let name = CStr::from_bytes_until_nul(&bytes).ok();
        let name = name.and_then(|name| name.to_str().ok());
        let wrong = || {
            Failure::new(
                Code::Argument,
                "the position has no instance that can be one",
            )
        };
        Ok(client::Position {
            revision: Revision(self.revision),
            instance: name.ok_or_else(wrong)?.to_owned(),
        })
    }
}

/// As many as a slice can have: what is more was a negative number.
const MOST: usize = isize::MAX as usize / size_of::<*const c_char>();

/// Keys.
///
/// # Safety
///
/// It is NULL, or leads to so many, each of which is NULL or a string.
unsafe fn all(keys: *const *const c_char, count: size_t) -> Result<Vec<String>, Failure> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if keys.is_null() {
        return Err(missing("array of keys"));
    }
    if count > MOST {
        let text = format!("{count} keys are too many");
        return Err(Failure::new(Code::Argument, text));
    }
    // SAFETY: passed on to the caller; so many are no more bytes than a slice can have.
    let keys = unsafe { slice::from_raw_parts(keys, count) };
    // SAFETY: the same.
    let key = |key: &*const c_char| unsafe { read_key(*key) }.map(str::to_owned);
    keys.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_as_it_was() {
        let known = client::Position {
            revision: Revision(u64::MAX),
            instance: "0123456789abcdef".repeat(2),
        };
        let told = Position::told(&known).unwrap();
        assert_eq!(told.read().unwrap(), known);
        let long = client::Position {
            instance: "x".repeat(ROOM),
            ..known
        };
        assert_eq!(Position::told(&long).unwrap_err().code(), Code::Protocol);
        let endless = Position {
            revision: 0,
            instance: [b'x' as c_char; ROOM],
        };
        assert_eq!(endless.read().unwrap_err().code(), Code::Argument);
    }
}
