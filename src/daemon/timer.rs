//! One timer, a descriptor that can be read when it has gone off; on the clock of [`super::clock`],
//! which the time limit of epoll does not know.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::store::Moment;

/// A timer.
pub(crate) struct Timer {
    descriptor: OwnedFd,
    /// When it goes off.
    armed: Option<Moment>,
}

impl Timer {
    /// A timer that does not go off.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let descriptor = timerfd_create(TimerfdClockId::Boottime, flags)
            .map_err(|error| io::Error::other(format!("cannot make a timer: {error}")))?;
        Ok(Timer {
            descriptor,
            armed: None,
        })
    }

    /// It is to go off no later than then, and not at all if there is nothing to wait for.
    ///
    /// If it is to go off earlier, that stays: whoever gives a variable new time again and again
    /// shall not pay for a system call each time. Once in that time it goes off in vain.
    pub(crate) fn arm(&mut self, when: Option<Moment>) {
        match (self.armed, when) {
            (None, None) => {}
            (Some(armed), Some(when)) if armed <= when => {}
            _ => self.set(when),
        }
    }

    /// It has gone off: it is to go off again then. If that is past already, at once.
    pub(crate) fn rearm(&mut self, when: Option<Moment>) {
        self.set(when);
    }

    fn set(&mut self, when: Option<Moment>) {
        // Nothing but zeros means never.
        let nanoseconds = |Moment(when)| (u128::from(when) * 1000).max(1);
        let when_set = when.map_or(0, nanoseconds);
        let time = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: (when_set / 1_000_000_000) as i64,
                tv_nsec: (when_set % 1_000_000_000) as _,
            },
        };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::ABSTIME, &time)
            .expect("the descriptor is a timer and the time is one");
        self.armed = when;
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::super::clock;
    use super::*;

    fn has_gone_off(timer: &Timer, within: i64) -> bool {
        let mut asked = [PollFd::new(timer, PollFlags::IN)];
        let limit = Timespec {
            tv_sec: within,
            tv_nsec: 0,
        };
        poll(&mut asked, Some(&limit)).unwrap() > 0
    }

    #[test]
    fn it_goes_off_when_it_is_time_and_until_it_is_set_again() {
        let mut timer = Timer::new().unwrap();
        assert!(!has_gone_off(&timer, 0));
        timer.arm(Some(Moment(clock::now().0 + 20_000)));
        assert!(has_gone_off(&timer, 60) && has_gone_off(&timer, 0));
        timer.rearm(None);
        assert!(!has_gone_off(&timer, 0));
    }

    #[test]
    fn what_is_past_is_now() {
        let mut timer = Timer::new().unwrap();
        for past in [0, 1, clock::now().0] {
            timer.rearm(Some(Moment(past)));
            assert!(has_gone_off(&timer, 60), "{past}");
        }
    }

    #[test]
    fn the_end_of_time_is_not_now() {
        let mut timer = Timer::new().unwrap();
        timer.arm(Some(Moment(u64::MAX)));
        assert!(!has_gone_off(&timer, 0));
    }

    #[test]
    fn it_is_set_only_if_it_must_go_off_earlier() {
        let mut timer = Timer::new().unwrap();
        let now = clock::now().0;
        timer.arm(Some(Moment(now + 60_000_000)));
        timer.arm(Some(Moment(now + 90_000_000)));
        assert_eq!(timer.armed, Some(Moment(now + 60_000_000)));
        timer.arm(Some(Moment(now)));
        assert!(has_gone_off(&timer, 60));
        timer.arm(None);
        assert!(!has_gone_off(&timer, 0));
    }
}
