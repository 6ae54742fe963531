//! What happens to variables, as it happens.
//!
//! A watch has one descriptor for all its life: an epoll that its present connection hangs in, so
//! that a loop which asked for it once need not ask again when the service was away.

use std::ffi::{c_char, c_int, c_uint};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use libc::size_t;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::client::apart::{apart, copy_apart};
use crate::client::{self, Change, Fields, Patterns, Position, Process, Start};

use super::arguments::{milliseconds, object, patterns, put, stash as of};
use super::failure::{Code, Failure, guard, guard_pointer};
use super::handle::close;
use super::list::{
    GLOBSTASH_FROM_NOW, GLOBSTASH_KEYS_ONLY, GLOBSTASH_METADATA, GLOBSTASH_NO_UID, Shown, fields,
    is_of,
};
use super::stash::Stash;

/// The longest that is ever slept at once: a day, so that nothing overflows.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// What happened to a variable: the `change` of a globstash_event. Others may come with a later version;
/// with all but GLOBSTASH_CHANGE_SET the variable is gone.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was created, or was given a value.
    Set = 1,
    /// It was deleted, or it is gone for whatever other reason.
    Deleted = 2,
    /// Its time to live has run out.
    Expired = 3,
    /// The process that it belonged to has ended.
    Released = 4,
}

/// One change of one variable. What `key` and `value` lead to belongs to the watch until its next call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// GLOBSTASH_CHANGE_SET or another of these.
    pub change: c_int,
    /// Zero.
    pub reserved_int: c_int,
    /// The key, with a NUL.
    pub key: *const c_char,
    /// The new value, or, if the variable is gone, the last that it had, with a NUL behind it; NULL if
    /// that is not known, and with GLOBSTASH_KEYS_ONLY.
    pub value: *const c_char,
    /// How many bytes the value has.
    pub length: size_t,
    /// The revision of the change.
    pub revision: u64,
    /// With GLOBSTASH_METADATA: who made the change; GLOBSTASH_NO_UID if that was nobody.
    pub writer_uid: u32,
    /// For later.
    pub reserved_uint: u32,
    /// With GLOBSTASH_METADATA: with which process; else 0.
    pub writer_pid: i64,
    /// For later.
    pub reserved: [u64; 4],
}

/// What happens to variables that match a pattern.
#[derive(Debug)]
pub struct Watch {
    watch: client::Watch,
    /// Readable when what hangs in it is.
    poll: OwnedFd,
    hung: Option<Hung>,
    shown: Shown,
    /// Whose connection it is.
    process: Process,
    /// Why nothing more comes.
    ended: Option<Failure>,
}

/// What the descriptor tells of.
#[derive(Debug)]
struct Hung {
    /// Which of those that the watch has had.
    source: (u64, bool),
    /// A copy, to be taken out before it is closed. What is closed leaves by itself only if no process
    /// that was forked from this one still has it; else it would be readable for ever.
    copy: OwnedFd,
}

/// Begins to watch the variables that match a pattern, see globstash_list_open(); NULL: all.
///
/// What is there is told first, as GLOBSTASH_CHANGE_SET of each variable, then every change. When this
/// returns, no later change goes unnoticed. Who does not ask for events for a while misses values
/// that newer ones have replaced, never the last; nothing piles up.
///
/// `flags`: 0, GLOBSTASH_KEYS_ONLY, GLOBSTASH_METADATA, GLOBSTASH_FROM_NOW, or several of these, with |.
///
/// The watch has a connection of its own. If that is lost, it goes on where it was, as soon as the
/// service is back; what is gone by then is told as deleted. After five seconds without a service it
/// fails. The watch belongs to this process, not to one that is forked from it.
///
/// Returns NULL if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_watch_open(
    stash: *mut Stash,
    pattern: *const c_char,
    flags: c_uint,
) -> *mut Watch {
    guard_pointer(|| {
        // SAFETY: passed on to the caller.
        let (stash, patterns) = unsafe { (of(stash)?, patterns(pattern)?) };
        let known = GLOBSTASH_KEYS_ONLY | GLOBSTASH_METADATA | GLOBSTASH_FROM_NOW;
        let fields = fields(flags, known)?;
        let start = match flags & GLOBSTASH_FROM_NOW {
            0 => Start::Present,
            _ => Start::Now,
        };
        open(stash, patterns, start, fields)
    })
}

pub(super) fn open(
    stash: &Stash,
    patterns: Patterns,
    start: Start,
    fields: Fields,
) -> Result<Box<Watch>, Failure> {
    let poll = epoll::create(CreateFlags::CLOEXEC).and_then(apart);
    let poll = poll.map_err(no_poll)?;
    let watch = stash.ask(|client| client.watch_with(patterns, start, fields))?;
    let mut watch = Watch {
        watch,
        poll,
        hung: None,
        shown: Shown::default(),
        process: Process::this(),
        ended: None,
    };
    watch.hang_in()?;
    Ok(Box::new(watch))
}

/// The descriptor to wait for with poll(2), epoll(7) and their like: readable when there may be something
/// to tell. It stays the same as long as the watch, and belongs to it: do not read from it, nor close it.
///
///     int next;
///     struct pollfd ready = { .fd = globstash_watch_fd(watch), .events = POLLIN };
///     do {
///         while ((next = globstash_watch_next(watch, &event)) > 0)
///             if (event.change == GLOBSTASH_CHANGE_SET)
///                 printf("%s=%s\n", event.key, event.value);
///             else
///                 printf("%s is gone\n", event.key);
///     } while (next == 0 && poll(&ready, 1, -1) >= 0);
///
/// It tells of what has not been received: take all that globstash_watch_next() gives before you wait for
/// it, also the first time.
///
/// Returns the descriptor, or a negative number if `watch` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_watch_fd(watch: *mut Watch) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let watch = unsafe { object(watch, "watch") }?;
        Ok(watch.poll.as_raw_fd())
    })
}

/// The next change, if there is one already. It does not sleep; while the service is away, the descriptor
/// tells when to call this again, so that it can look whether the service is back.
///
/// Returns 1 if there is one, 0 if there is nothing to tell now, and a negative number if the watch has
/// failed; then nothing more comes but the same number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_watch_next(watch: *mut Watch, event: *mut Event) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let watch = unsafe { object(watch, "watch") }?;
        let next = watch.next()?.map(|event| told(event, &mut watch.shown));
        // SAFETY: passed on to the caller.
        Ok(unsafe { hand_out(next, event) }.into())
    })
}

/// The next change, however long that takes, but no longer than `timeout_ms` milliseconds, if that is not
/// negative: for programs that have nothing else to wait for.
///
/// Returns 1 if there is one, 0 if none came in time, and a negative number as globstash_watch_next() does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_watch_wait(
    watch: *mut Watch,
    event: *mut Event,
    timeout_ms: i64,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let watch = unsafe { object(watch, "watch") }?;
        let next = watch.wait(milliseconds(timeout_ms))?;
        let next = next.map(|event| told(event, &mut watch.shown));
        // SAFETY: passed on to the caller.
        Ok(unsafe { hand_out(next, event) }.into())
    })
}

/// Tells whether what was told adds up to the present state, as far as is known: whether nothing is left
/// to tell. Returns 1 if so, else 0; it cannot fail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_watch_is_up_to_date(watch: *const Watch) -> c_int {
    // SAFETY: passed on to the caller.
    let watch = unsafe { watch.as_ref() };
    c_int::from(watch.is_some_and(|watch| watch.watch.is_up_to_date()))
}

/// How many changes were left out so far because newer ones took their place before they could be told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_watch_skipped(watch: *const Watch) -> u64 {
    // SAFETY: passed on to the caller.
    let watch = unsafe { watch.as_ref() };
    watch.map_or(0, |watch| watch.watch.skipped())
}

/// Ends a watch, and closes its descriptor. NULL is allowed. Returns NULL, always.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_watch_close(watch: *mut Watch) -> *mut Watch {
    // SAFETY: passed on to the caller.
    unsafe { close(watch) }
}

impl Watch {
    pub(super) fn position(&self) -> Position {
        self.watch.position()
    }

    fn next(&mut self) -> Result<Option<client::Event>, Failure> {
        is_of(self.process)?;
        if let Some(failure) = &self.ended {
            return Err(failure.clone());
        }
        match self.watch.try_next().transpose() {
            Ok(None) => {
                self.hang_in()?;
                Ok(None)
            }
            Ok(event) => Ok(event),
            Err(error) => {
                let failure = Failure::from(error);
                self.ended = Some(failure.clone());
                Err(failure)
            }
        }
    }

    /// The next event within a time, if there is one.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<client::Event>, Failure> {
        let began = Instant::now();
        loop {
            if let Some(event) = self.next()? {
                return Ok(Some(event));
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            let left = left.unwrap_or(LONG).min(LONG);
            let left = Timespec::try_from(left).expect("a day fits");
            let mut ready = [PollFd::new(&self.poll, PollFlags::IN)];
            match poll(&mut ready, Some(&left)) {
                // With the time that is left.
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(no_poll(errno)),
            }
        }
    }

    /// Has the descriptor tell of what the watch waits for now.
    fn hang_in(&mut self) -> Result<(), Failure> {
        let source = self.watch.source();
        if self.hung.as_ref().is_some_and(|hung| hung.source == source) {
            return Ok(());
        }
        if let Some(hung) = self.hung.take() {
            epoll::delete(&self.poll, &hung.copy).map_err(no_poll)?;
        }
        let copy = copy_apart(&self.watch).map_err(no_poll)?;
        let (data, flags) = (EventData::new_u64(0), EventFlags::IN);
        epoll::add(&self.poll, &copy, data, flags).map_err(no_poll)?;
        self.hung = Some(Hung { source, copy });
        Ok(())
    }
}

/// Puts an event where the caller wants it: how many there are.
///
/// # Safety
///
/// As of [`put`].
unsafe fn hand_out(next: Option<Event>, place: *mut Event) -> i8 {
    match next {
        Some(event) => {
            // SAFETY: passed on to the caller.
            unsafe { put(place, event) };
            1
        }
        None => 0,
    }
}

/// An event as C has it; what it points to is kept in `shown`.
fn told(event: client::Event, shown: &mut Shown) -> Event {
    let value = event.value.map(client::Value::into_bytes);
    let (key, value, length) = shown.show(event.key, value);
    let kind = match event.change {
        Change::Set => Kind::Set,
        Change::Deleted => Kind::Deleted,
        Change::Expired => Kind::Expired,
        Change::Released => Kind::Released,
    };
    Event {
        change: kind as c_int,
        reserved_int: 0,
        key,
        value,
        length,
        revision: event.revision.0,
        writer_uid: event.writer.map_or(GLOBSTASH_NO_UID, |writer| writer.uid),
        reserved_uint: 0,
        writer_pid: event.writer.map_or(0, |writer| i64::from(writer.pid)),
        reserved: [0; 4],
    }
}

fn no_poll(errno: Errno) -> Failure {
    Failure::new(
        Code::Resources,
        format!("the watch has no descriptor: {errno}"),
    )
}
