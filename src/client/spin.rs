//! Whether it is worth asking for an answer again and again before sleeping.
//!
//! Going to sleep and being woken again costs more than an answer does, if service and caller run
//! on two CPUs. So the caller asks for some µs whether the answer is there. Where the answer takes
//! longer, because the service shares the CPU, is busy or not running yet, that is time wasted:
//! after each miss it is left out for a while, which doubles with each further one.

use std::time::Duration;

/// How long to ask before sleeping: an answer from another CPU takes a tenth of it if that is
/// awake, and about all of it if it sleeps.
pub(super) const WINDOW: Duration = Duration::from_micros(50);
/// The longest while in which it is left out, in calls: missing once in so many costs 0.05 µs a
/// call.
const PAUSE_MAX: u32 = 1024;

/// The experience with one connection.
#[derive(Debug)]
pub(super) enum Spin {
    /// It cannot help here, or is not wanted.
    Never,
    Adaptive {
        /// How many calls do without it from now on.
        pause: u32,
        /// How long the next pause is.
        next_pause: u32,
    },
}

impl Spin {
    /// As long as there is no experience, it is tried.
    pub(super) fn new(is_wanted: bool) -> Spin {
        if is_wanted && has_other_cpus() {
            Spin::Adaptive {
                pause: 0,
                next_pause: 1,
            }
        } else {
            Spin::Never
        }
    }

    /// Whether to ask this time. To be followed by [`Spin::has_hit`] or [`Spin::has_missed`].
    pub(super) fn is_due(&mut self) -> bool {
        match self {
            Spin::Never => false,
            Spin::Adaptive { pause: 0, .. } => true,
            Spin::Adaptive { pause, .. } => {
                *pause -= 1;
                false
            }
        }
    }

    /// The answer came in time.
    pub(super) fn has_hit(&mut self) {
        if let Spin::Adaptive { next_pause, .. } = self {
            *next_pause = 1;
        }
    }

    /// The answer did not come in time.
    pub(super) fn has_missed(&mut self) {
        if let Spin::Adaptive { pause, next_pause } = self {
            *pause = *next_pause;
            *next_pause = (*next_pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Whether the service can run while this thread does not sleep.
fn has_other_cpus() -> bool {
    rustix::thread::sched_getaffinity(None).is_ok_and(|cpus| cpus.count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Spin {
        Spin::Adaptive {
            pause: 0,
            next_pause: 1,
        }
    }

    /// How many calls until it is due again.
    fn pause(spin: &mut Spin) -> u32 {
        (0..).find(|_| spin.is_due()).unwrap()
    }

    #[test]
    fn each_miss_doubles_the_pause_up_to_a_limit() {
        let mut spin = fresh();
        let mut pauses = Vec::new();
        for _ in 0..13 {
            pauses.push(pause(&mut spin));
            spin.has_missed();
        }
        assert_eq!(
            pauses,
            [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024]
        );
    }

    #[test]
    fn a_hit_makes_up_for_all_misses() {
        let mut spin = fresh();
        for _ in 0..5 {
            spin.has_missed();
        }
        pause(&mut spin);
        spin.has_hit();
        assert_eq!(pause(&mut spin), 0);
        spin.has_missed();
        assert_eq!(pause(&mut spin), 1);
    }

    #[test]
    fn it_can_be_switched_off() {
        let mut spin = Spin::new(false);
        assert!(!spin.is_due());
        spin.has_missed();
        spin.has_hit();
        assert!(!spin.is_due());
    }
}
