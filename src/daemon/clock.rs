//! What time it is, for variables that expire.
//!
//! Deadlines are counted on the clock that goes on while the machine sleeps, and that nobody can
//! set: an hour is an hour, whatever happens to the calendar. It is the same clock for the process
//! that takes the place of this one. Only where a deadline is told, it is translated.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::store::Moment;

/// Now.
pub(crate) fn now() -> Moment {
    Moment(microseconds(ClockId::Boottime))
}

/// After so many µs. `None` is never: the calendar, in µs, cannot count so far.
pub(crate) fn after(ttl: u64) -> Option<Moment> {
    let end = microseconds(ClockId::Realtime).checked_add(ttl)?;
    i64::try_from(end).ok()?;
    now().0.checked_add(ttl).map(Moment)
}

/// A moment in µs since the UNIX epoch, as the calendar is set now.
pub(crate) fn calendar(moment: Moment) -> u64 {
    let (calendar, now) = (microseconds(ClockId::Realtime), now());
    match moment >= now {
        true => calendar.saturating_add(moment.0 - now.0),
        false => calendar.saturating_sub(now.0 - moment.0),
    }
}

/// 0 if the clock is set to before its beginning.
fn microseconds(clock: ClockId) -> u64 {
    let since = Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_told_by_the_calendar() {
        let hour = 3_600_000_000;
        // Two clocks cannot be read at the same time, and somebody else may have a turn between them.
        let is_right = |_| {
            let before = microseconds(ClockId::Realtime);
            let deadline = after(hour).unwrap();
            let told = calendar(deadline);
            let behind = microseconds(ClockId::Realtime);
            (before + hour..=behind + hour + 1).contains(&told)
                && calendar(Moment(now().0 - 1)) <= microseconds(ClockId::Realtime)
        };
        assert!((0..10).any(is_right));
    }

    #[test]
    fn what_cannot_be_counted_is_never() {
        assert_eq!(after(u64::MAX), None);
        assert_eq!(after(i64::MAX as u64), None);
        assert!(after(i64::MAX as u64 / 2).is_some());
    }
}
