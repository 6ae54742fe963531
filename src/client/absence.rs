//! A service that is away, for one who looks for it from time to time and does other things meanwhile.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::sys::apart::apart;

use super::connection::WHOLE;
use super::error::Error;
use super::route::Outage;

/// That there is no service now.
#[derive(Debug)]
pub(super) struct Absence {
    pub(super) outage: Outage,
    /// The question that was asked over a new connection, if there is one.
    pub(super) asked: Option<Asked>,
    /// When the next attempt is due; `None` before there was a pause.
    due: Option<Instant>,
}

/// A question whose answer is due.
#[derive(Debug)]
pub(super) struct Asked {
    /// When it was asked.
    since: Instant,
    /// When more of the answer had come, or else when it was asked.
    moved: Instant,
    /// How much of it had come then, in bytes.
    arrived: usize,
}

impl Asked {
    pub(super) fn now() -> Asked {
        let now = Instant::now();
        Asked {
            since: now,
            moved: now,
            arrived: 0,
        }
    }

    /// Whether the answer may still come, of which so much has come: within this limit from the last of
    /// it on, as where somebody waits for it.
    pub(super) fn is_alive(&mut self, arrived: usize, limit: Duration) -> bool {
        if arrived > self.arrived {
            self.arrived = arrived;
            self.moved = Instant::now();
        }
        self.moved.elapsed() < limit && self.since.elapsed() < limit.saturating_mul(WHOLE)
    }
}

impl Absence {
    pub(super) fn begin(outage: Outage) -> Absence {
        Absence {
            outage,
            asked: None,
            due: None,
        }
    }

    /// Before the first attempt, too, there is a pause.
    pub(super) fn is_new(&self) -> bool {
        self.due.is_none()
    }

    pub(super) fn is_due(&self) -> bool {
        self.due.is_none_or(|due| due <= Instant::now())
    }

    /// How long to wait now. An answer has a time limit of its own.
    pub(super) fn until_next(&mut self) -> Result<Duration, Error> {
        let pause = match &self.asked {
            Some(_) => self.outage.next_pause(),
            None => self.outage.until_next()?,
        };
        self.due = Some(Instant::now() + pause);
        Ok(pause)
    }
}

/// A descriptor that can be read after some time.
#[derive(Debug)]
pub(super) struct Alarm(OwnedFd);

impl Alarm {
    pub(super) fn new() -> Result<Alarm, Errno> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let alarm = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        apart(alarm).map(Alarm)
    }

    pub(super) fn set(&self, after: Duration) -> Result<(), Errno> {
        // No time at all would be never.
        let after = after.max(Duration::from_nanos(1));
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(after).expect("a pause is short"),
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once).map(drop)
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
