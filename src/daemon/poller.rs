//! Which descriptors are ready, and what is due: a thin layer over epoll, level-triggered.
//!
//! Level-triggered, because we stop reading from a peer that does not take its answers, and start
//! again later, without having to remember what we did not hear of meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData};

pub(crate) use rustix::event::epoll::EventFlags;

/// Most descriptors that one wait tells of. The others are told of by the next; with many of them
/// ready, 256 spread the cost of the call well enough.
const EVENTS_MAX: usize = 256;

/// An epoll instance.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Poller {
            epoll,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Tells of a descriptor from now on, by the number `name`.
    pub(crate) fn add(
        &self,
        descriptor: impl AsFd,
        name: u64,
        interest: EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            descriptor,
            EventData::new_u64(name),
            interest,
        )?)
    }

    /// Changes what is told of a descriptor.
    pub(crate) fn modify(
        &self,
        descriptor: impl AsFd,
        name: u64,
        interest: EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            descriptor,
            EventData::new_u64(name),
            interest,
        )?)
    }

    /// Tells nothing more of a descriptor that is not closed.
    pub(crate) fn remove(&self, descriptor: impl AsFd) {
        // If it is not there, nothing is told of it either.
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Waits until a descriptor is ready or `timeout` is over; without one, for as long as it
    /// takes. Appends to `ready` which are, by their names.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<(u64, EventFlags)>,
    ) -> io::Result<()> {
        let timeout = timeout.map(|timeout| Timespec::try_from(timeout).unwrap_or_default());
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            timeout.as_ref(),
        ) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        // The event is a packed struct: its fields are copied.
        ready.extend(
            self.events
                .iter()
                .map(|event| ({ event.data }.u64(), { event.flags })),
        );
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// What is to happen at some time. Nothing due: nothing to wake up for.
pub(crate) struct Deadlines<T> {
    queue: BTreeSet<(Instant, T)>,
}

impl<T: Ord> Default for Deadlines<T> {
    fn default() -> Self {
        Deadlines {
            queue: BTreeSet::new(),
        }
    }
}

impl<T: Ord> Deadlines<T> {
    /// Notes that `what` is to happen at `when`.
    pub(crate) fn add(&mut self, when: Instant, what: T) {
        self.queue.insert((when, what));
    }

    /// Takes that back.
    pub(crate) fn cancel(&mut self, when: Instant, what: T) {
        self.queue.remove(&(when, what));
    }

    /// When the next thing is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(when, _)| *when)
    }

    /// What is due by now, one at a time.
    pub(crate) fn take(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first().map(|(_, what)| what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_of_time() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.add(start + Duration::from_secs(2), "late");
        deadlines.add(start + Duration::from_secs(1), "early");
        assert_eq!(deadlines.take(start), None);
        assert_eq!(deadlines.next(), Some(start + Duration::from_secs(1)));
        assert_eq!(
            deadlines.take(start + Duration::from_secs(5)),
            Some("early")
        );
        assert_eq!(deadlines.take(start + Duration::from_secs(5)), Some("late"));
        assert_eq!(deadlines.take(start + Duration::from_secs(5)), None);
        deadlines.add(start, "never mind");
        deadlines.cancel(start, "never mind");
        assert_eq!(deadlines.next(), None);
    }
}
