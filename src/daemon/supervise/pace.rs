//! How soon after its end a service is started again.

use std::time::Duration;

/// Starts are at least this far apart, so that a call which kills the service, made
/// again and again, does not take a whole processor. As in the systemd unit.
const LEAST: Duration = Duration::from_millis(20);
/// A service that fails before it is ready is tried so seldom in the end: its program may be about to
/// be replaced. As long as callers wait.
const MOST: Duration = Duration::from_secs(5);

/// So often in a row it may be killed before it is ready, and is back at once: somebody may kill
/// services for fun. More often it is for want of memory. As often as a map is taken over in vain.
const KILLS: u32 = 16;

/// What has become of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was ready.
    Served,
    /// It was killed before: by somebody, or by the kernel for want of memory.
    Killed,
    /// It ended by itself before.
    Failed,
}

/// Remembers how often in a row it was in vain.
#[derive(Debug)]
pub(super) struct Pace {
    pause: Duration,
    kills: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            pause: LEAST,
            kills: 0,
        }
    }
}

impl Pace {
    /// How long to wait after the end of a process that had run for so long.
    pub(super) fn pause(&mut self, ran: Duration, fate: Fate) -> Duration {
        match fate {
            Fate::Served => *self = Pace::default(),
            Fate::Killed if self.kills < KILLS => self.kills += 1,
            Fate::Killed | Fate::Failed => {
                let pause = self.pause;
                self.pause = (pause * 2).min(MOST);
                return pause;
            }
        }
        LEAST.saturating_sub(ran)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_has_served_is_back_at_once() {
        let mut pace = Pace::default();
        assert_eq!(
            pace.pause(Duration::from_secs(1), Fate::Served),
            Duration::ZERO
        );
        assert_eq!(pace.pause(LEAST / 4, Fate::Served), LEAST / 4 * 3);
    }

    #[test]
    fn one_that_is_killed_before_it_is_ready_is_back_at_once_but_not_for_ever() {
        let mut pace = Pace::default();
        let mut pauses = (0..40).map(|_| pace.pause(Duration::ZERO, Fate::Killed));
        assert_eq!(pauses.next(), Some(LEAST), "somebody may have killed it");
        assert_eq!(pauses.last(), Some(MOST), "memory may have ended");
        pace.pause(MOST, Fate::Served);
        assert_eq!(pace.pause(Duration::ZERO, Fate::Killed), LEAST);
    }

    #[test]
    fn one_that_does_not_get_ready_is_tried_ever_less_often() {
        let mut pace = Pace::default();
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            let pause = pace.pause(MOST, Fate::Failed);
            assert!(pause > last || pause == MOST);
            last = pause;
        }
        assert_eq!(last, MOST);
        pace.pause(MOST, Fate::Served);
        assert_eq!(pace.pause(MOST, Fate::Failed), LEAST);
    }
}
