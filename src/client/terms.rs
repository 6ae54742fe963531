//! On which terms a variable is set: on what condition, and until when.

use std::time::Duration;

use super::question::Condition;

/// On which terms a variable is set: see [`Client::set_with`](crate::Client::set_with).
///
/// ```
/// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
/// use std::time::Duration;
/// use globstash::{Condition, Terms};
///
/// let half_a_minute = Terms::new()
///     .ttl(Duration::from_secs(30))
///     .only_if(Condition::undefined());
/// client.set_with("lock/build", "4711", half_a_minute)?;
/// # Ok::<(), globstash::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "terms alone set nothing"]
pub struct Terms {
    pub(super) condition: Option<Condition>,
    pub(super) ttl: Option<Duration>,
    pub(super) process: Option<u32>,
    pub(super) protected: Option<bool>,
}

impl Terms {
    /// The terms of [`Client::set`](crate::Client::set): none. A time to live or a
    /// process that the variable had is gone then; protection stays.
    pub fn new() -> Terms {
        Terms::default()
    }

    /// Only if the variable is like this before; otherwise it is
    /// [`Error::ConditionFailed`](crate::Error::ConditionFailed).
    pub fn only_if(self, condition: Condition) -> Terms {
        Terms {
            condition: Some(condition),
            ..self
        }
    }

    /// The variable expires after this time, and is deleted then, unless it is set again before:
    /// then the terms of that count. Time goes on while the machine sleeps.
    pub fn ttl(self, ttl: Duration) -> Terms {
        Terms {
            ttl: Some(ttl),
            ..self
        }
    }

    /// The variable is deleted when this process ends, however it ends.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// use std::process::Command;
    /// use globstash::{Terms, Until};
    ///
    /// let mut player = Command::new("sleep").arg("0.1").spawn()?;
    /// let while_it_plays = Terms::new().process(player.id());
    /// client.set_with("player/title", "Air", while_it_plays)?;
    /// player.wait()?;
    /// client.wait_until("player/title", Until::undefined())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The ID is as the service sees it, and 0 is this process, as [`Terms::own_process`] has it. If
    /// there is no such process, or it has ended, setting the variable is
    /// [`Error::NoSuchProcess`](crate::Error::NoSuchProcess).
    pub fn process(self, pid: u32) -> Terms {
        Terms {
            process: Some(pid),
            ..self
        }
    }

    /// The variable is deleted when this process ends: the one that connected, to be exact.
    pub fn own_process(self) -> Terms {
        self.process(OWN)
    }

    /// Only this program's user and root may change or delete the variable from now on, whoever
    /// owned it; for others it is [`Error::Protected`](crate::Error::Protected). All may read it.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// use globstash::Terms;
    ///
    /// client.set_with("config/mode", "safe", Terms::new().protected())?;
    /// let entry = client.entry("config/mode")?.expect("it was just set");
    /// assert_eq!(entry.protected, Some(true));
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn protected(self) -> Terms {
        Terms {
            protected: Some(true),
            ..self
        }
    }

    /// Everybody may change and delete the variable from now on.
    pub fn unprotected(self) -> Terms {
        Terms {
            protected: Some(false),
            ..self
        }
    }
}

/// What the wire has for the process that calls.
const OWN: u32 = 0;

impl From<Condition> for Terms {
    fn from(condition: Condition) -> Terms {
        Terms::new().only_if(condition)
    }
}

/// A time to live as the wire has it. What is left of the last µs counts as a whole one: only
/// nothing is nothing.
pub(super) fn microseconds(ttl: Duration) -> i64 {
    let whole = ttl.as_nanos().div_ceil(1000);
    i64::try_from(whole).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_told_in_whole_microseconds() {
        assert_eq!(microseconds(Duration::ZERO), 0);
        assert_eq!(microseconds(Duration::from_nanos(1)), 1);
        assert_eq!(microseconds(Duration::from_micros(7)), 7);
        assert_eq!(microseconds(Duration::MAX), i64::MAX);
    }
}
