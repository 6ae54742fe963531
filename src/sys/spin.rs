//! Whether it is worth asking again and again before sleeping.
//!
//! Going to sleep and being woken again costs more than most answers do, if those who talk to one
//! another run on two CPUs. So for some µs they ask whether something is there. Where that takes
//! longer, because the other one waits for the same CPU, is busy or has nothing to say, that is time
//! wasted: if misses are not rare it is left out for a while, which doubles until they are.
//!
//! How long to ask is known to those who do it.

use rustix::process::Pid;
use rustix::thread::sched_getaffinity;

/// How many hits make up for a miss. On one CPU a hit saves a client about this part of the time that
/// a miss takes, when the service was run before the caller asked; on two it saves more.
const HITS_PER_MISS: u32 = 32;
/// The most misses that hits can make up for in advance, and what there is to begin with.
const CREDIT_MAX: u32 = 4 * HITS_PER_MISS;
/// The longest while in which it is left out, in times: 50 µs once in so many are 0.05 µs each
/// time.
const PAUSE_MAX: u32 = 1024;

/// The experience with one connection, or with all that a service has.
#[derive(Debug)]
pub(crate) enum Spin {
    /// It cannot help here, or is not wanted.
    Never,
    Adaptive(Experience),
}

#[derive(Debug)]
pub(crate) struct Experience {
    /// How many hits there were more than were needed to make up for the misses.
    credit: u32,
    /// How many times it is left out from now on.
    pause: u32,
    /// How long the next pause is.
    next_pause: u32,
}

impl Spin {
    /// As long as there is no experience, it is tried.
    pub(crate) fn new(is_wanted: bool) -> Spin {
        match is_wanted && is_there_another_cpu() {
            true => Spin::Adaptive(Experience::default()),
            false => Spin::Never,
        }
    }

    /// Whether to ask this time. To be followed by [`Spin::has_hit`] or [`Spin::has_missed`].
    pub(crate) fn is_due(&mut self) -> bool {
        match self {
            Spin::Never => false,
            Spin::Adaptive(experience) => experience.is_due(),
        }
    }

    /// The answer came in time.
    pub(crate) fn has_hit(&mut self) {
        if let Spin::Adaptive(experience) = self {
            experience.has_hit();
        }
    }

    /// The answer did not come in time.
    pub(crate) fn has_missed(&mut self) {
        if let Spin::Adaptive(experience) = self {
            experience.has_missed();
        }
    }
}

impl Default for Experience {
    fn default() -> Experience {
        Experience {
            credit: CREDIT_MAX,
            pause: 0,
            next_pause: 1,
        }
    }
}

impl Experience {
    fn is_due(&mut self) -> bool {
        let is_due = self.pause == 0;
        self.pause = self.pause.saturating_sub(1);
        is_due
    }

    fn has_hit(&mut self) {
        self.credit += 1;
        if self.credit >= CREDIT_MAX {
            self.credit = CREDIT_MAX;
            self.next_pause = 1;
        }
    }

    fn has_missed(&mut self) {
        match self.credit.checked_sub(HITS_PER_MISS) {
            Some(rest) => self.credit = rest,
            None => {
                self.credit = 0;
                self.pause = self.next_pause;
                self.next_pause = (self.next_pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Whether the other one may run while this thread does not sleep. If this one is bound to a CPU, the
/// other need not be bound to the same: then it counts what the first process may run on, which
/// hardly anybody binds.
fn is_there_another_cpu() -> bool {
    [None, Some(Pid::INIT)]
        .into_iter()
        .any(|process| sched_getaffinity(process).is_ok_and(|cpus| cpus.count() > 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many calls until it is due again.
    fn pause(experience: &mut Experience) -> u32 {
        (0..).find(|_| experience.is_due()).unwrap()
    }

    #[test]
    fn after_some_misses_each_doubles_the_pause_up_to_a_limit() {
        let mut experience = Experience::default();
        let mut pauses = Vec::new();
        for _ in 0..17 {
            pauses.push(pause(&mut experience));
            experience.has_missed();
        }
        assert_eq!(
            pauses,
            [
                0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024
            ]
        );
    }

    #[test]
    fn rare_misses_do_no_harm() {
        let mut experience = Experience::default();
        for call in 1..10_000 {
            assert!(experience.is_due());
            match call % (HITS_PER_MISS + 1) {
                0 => experience.has_missed(),
                _ => experience.has_hit(),
            }
        }
    }

    #[test]
    fn misses_that_are_not_rare_make_it_rare() {
        let mut experience = Experience::default();
        let mut spins = 0;
        for _ in 0..100_000 {
            if experience.is_due() {
                spins += 1;
                match spins % 16 {
                    0 => experience.has_missed(),
                    _ => experience.has_hit(),
                }
            }
        }
        assert!(spins < 10_000, "{spins}");
    }

    #[test]
    fn enough_hits_make_up_for_everything() {
        let mut experience = Experience::default();
        for _ in 0..100 {
            experience.has_missed();
        }
        assert_eq!(pause(&mut experience), PAUSE_MAX);
        for _ in 0..CREDIT_MAX {
            experience.has_hit();
        }
        for _ in 0..5 {
            assert_eq!(pause(&mut experience), 0);
            experience.has_missed();
        }
        assert_eq!(pause(&mut experience), 1);
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
