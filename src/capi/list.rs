//! Many variables, one after the other.

use std::ffi::{c_char, c_int, c_uint};
use std::ptr;
use std::time::SystemTime;

use libc::size_t;

use crate::client::{self, Fields, Patterns, Process};

use super::arguments::{meaningless, object, patterns, put, stash as of};
use super::failure::{Code, Failure, guard, guard_pointer};
use super::handle::close;
use super::stash::Stash;

/// For a list or a watch: values are not wanted.
pub const GLOBSTASH_KEYS_ONLY: c_uint = 1;
/// For a list or a watch: who changed a variable is wanted, and in a list all else that is known.
pub const GLOBSTASH_METADATA: c_uint = 2;
/// For a watch: the present state is not wanted, only what happens from now on.
pub const GLOBSTASH_FROM_NOW: c_uint = 4;
/// For a handle: what was read last is not told while the service is away; reading fails then.
pub const GLOBSTASH_FAIL_WHEN_GONE: c_uint = 8;
/// As a user: it is not known.
pub const GLOBSTASH_NO_UID: u32 = u32::MAX;

/// One variable of a list. What `key` and `value` lead to belongs to the list until its next call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The key, with a NUL.
    pub key: *const c_char,
    /// The value, with a NUL behind it; NULL with GLOBSTASH_KEYS_ONLY.
    pub value: *const c_char,
    /// How many bytes the value has.
    pub length: size_t,
    /// The revision of the last change.
    pub revision: u64,
    /// With GLOBSTASH_METADATA: when it was last changed, in microseconds since the beginning of 1970.
    pub modified_usec: i64,
    /// With GLOBSTASH_METADATA: when it expires, in the same way; 0 if it does not.
    pub expires_usec: i64,
    /// With GLOBSTASH_METADATA: the process whose end deletes it; 0 if there is none.
    pub pid: i64,
    /// With GLOBSTASH_METADATA: who created or protected it; else GLOBSTASH_NO_UID.
    pub owner_uid: u32,
    /// With GLOBSTASH_METADATA: who changed it last; GLOBSTASH_NO_UID if that was nobody.
    pub writer_uid: u32,
    /// With GLOBSTASH_METADATA: with which process; else 0.
    pub writer_pid: i64,
    /// With GLOBSTASH_METADATA: 1 if only its owner and root may change it.
    pub is_protected: c_int,
    /// For later.
    pub reserved_int: c_int,
    /// For later.
    pub reserved: [u64; 4],
}

/// Variables that are told one after the other.
#[derive(Debug)]
pub struct List {
    source: Source,
    shown: Shown,
    /// Whose connection it is.
    process: Process,
}

#[derive(Debug)]
enum Source {
    Arriving(Box<client::List>),
    Snapshot(std::vec::IntoIter<client::Entry>),
}

/// What the caller has pointers to.
#[derive(Debug, Default)]
pub(super) struct Shown {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

/// Begins a list of the variables that match a pattern, in the order of their keys; NULL: of all.
///
/// A pattern is that of a shell: '*', '?', '[a-z]', '{one,two}'. '*' stops at '/', '**' does not, and what
/// ends with '/' is all below it.
///
/// `flags`: 0, GLOBSTASH_KEYS_ONLY, GLOBSTASH_METADATA, or both. A variable that is there all the time
/// is told exactly once, while others come and go.
///
///     int next;
///     globstash_entry entry;
///     globstash_list *list = globstash_list_open(GLOBSTASH_DEFAULT, "player/", 0);
///     while ((next = globstash_list_next(list, &entry)) > 0)
///         printf("%s=%s\n", entry.key, entry.value);
///     if (next < 0)
///         fprintf(stderr, "%s\n", globstash_error_text());
///     globstash_list_close(list);
///
/// Returns NULL if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_list_open(
    stash: *mut Stash,
    pattern: *const c_char,
    flags: c_uint,
) -> *mut List {
    guard_pointer(|| {
        // SAFETY: passed on to the caller.
        let (stash, patterns) = unsafe { (of(stash)?, patterns(pattern)?) };
        let fields = fields(flags, GLOBSTASH_KEYS_ONLY | GLOBSTASH_METADATA)?;
        let list = stash.ask(|client| client.list_with(patterns, fields))?;
        Ok(List::boxed(Source::Arriving(Box::new(list))))
    })
}

/// Begins a list of exactly what there is at one moment, without metadata. It is read as a whole now,
/// from shared memory if that can be had; if variables change faster than that, it is
/// GLOBSTASH_ERROR_BUSY. Otherwise as globstash_list_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_scan_open(
    stash: *mut Stash,
    pattern: *const c_char,
) -> *mut List {
    guard_pointer(|| {
        // SAFETY: passed on to the caller.
        let (stash, patterns): (_, Patterns) = unsafe { (of(stash)?, patterns(pattern)?) };
        let entries = stash.attached()?.scan(patterns)?;
        Ok(List::boxed(Source::Snapshot(entries.into_iter())))
    })
}

/// The next variable of a list.
///
/// Returns 1 if there is one, 0 at the end, and a negative number if the list cannot be told to its
/// end; then nothing more comes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_list_next(list: *mut List, entry: *mut Entry) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let list = unsafe { object(list, "list") }?;
        match list.next()? {
            Some(next) => {
                // SAFETY: passed on to the caller.
                unsafe { put(entry, next) };
                Ok(1)
            }
            None => Ok(0),
        }
    })
}

/// Ends a list, also before all of it was told. NULL is allowed. Returns NULL, always.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_list_close(list: *mut List) -> *mut List {
    // SAFETY: passed on to the caller.
    unsafe { close(list) }
}

impl List {
    fn boxed(source: Source) -> Box<List> {
        Box::new(List {
            source,
            shown: Shown::default(),
            process: Process::this(),
        })
    }

    fn next(&mut self) -> Result<Option<Entry>, Failure> {
        let next = match &mut self.source {
            Source::Snapshot(entries) => entries.next(),
            Source::Arriving(list) => {
                is_of(self.process)?;
                list.next().transpose()?
            }
        };
        Ok(next.map(|entry| told(entry, &mut self.shown)))
    }
}

/// An entry as C has it; what it points to is kept in `shown`.
fn told(entry: client::Entry, shown: &mut Shown) -> Entry {
    let value = entry.value.map(client::Value::into_bytes);
    let (key, value, length) = shown.show(entry.key, value);
    let writer = entry.writer;
    Entry {
        key,
        value,
        length,
        revision: entry.revision.0,
        modified_usec: entry.modified.map_or(0, microseconds),
        expires_usec: entry.expires.map_or(0, microseconds),
        pid: entry.pid.map_or(0, i64::from),
        owner_uid: entry.owner.unwrap_or(GLOBSTASH_NO_UID),
        writer_uid: writer.map_or(GLOBSTASH_NO_UID, |writer| writer.uid),
        writer_pid: writer.map_or(0, |writer| i64::from(writer.pid)),
        is_protected: c_int::from(entry.protected == Some(true)),
        reserved_int: 0,
        reserved: [0; 4],
    }
}

impl Shown {
    /// Keeps key and value, with a NUL behind each: where they are, and how long the value is.
    pub(super) fn show(
        &mut self,
        key: String,
        value: Option<Vec<u8>>,
    ) -> (*const c_char, *const c_char, size_t) {
        let length = value.as_ref().map_or(0, Vec::len);
        self.key = key.into_bytes();
        self.key.push(0);
        self.value = value.map(|mut value| {
            value.push(0);
            value
        });
        let value = self.value.as_ref();
        let value = value.map_or(ptr::null(), |value| value.as_ptr().cast());
        (self.key.as_ptr().cast(), value, length)
    }
}

/// What is wanted of each variable; `known` are the flags that may be set.
pub(super) fn fields(flags: c_uint, known: c_uint) -> Result<Fields, Failure> {
    if flags & !known != 0 {
        return Err(meaningless(flags & !known));
    }
    let fields = match flags & GLOBSTASH_KEYS_ONLY {
        0 => Fields::VALUES,
        _ => Fields::KEYS,
    };
    Ok(match flags & GLOBSTASH_METADATA {
        0 => fields,
        _ => fields.and_metadata(),
    })
}

/// What has a connection of its own is of no use in another process: both would take from it.
pub(super) fn is_of(opened_by: Process) -> Result<(), Failure> {
    if opened_by == Process::this() {
        return Ok(());
    }
    let text = "it belongs to the process that opened it, not to one that was forked from that";
    Err(Failure::new(Code::Forked, text))
}

fn microseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let microseconds = since.unwrap_or_default().as_micros();
    i64::try_from(microseconds).unwrap_or(i64::MAX)
}
