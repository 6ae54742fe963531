//! Which process a process ID belongs to.
//!
//! The service tells who changed a variable as a number, and numbers are used again. So a name is
//! only told of a process that was there when the variable was changed, and is the same user's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

use crate::client::Writer;

/// The name of the process that changed a variable then, if it is still there.
pub(super) fn name(writer: Writer, modified: SystemTime) -> Option<String> {
    let folder = format!("/proc/{}", writer.pid);
    if writer.pid == 0 || fs::metadata(&folder).ok()?.uid() != writer.uid {
        return None;
    }
    let stat = fs::read(format!("{folder}/stat")).ok()?;
    let (name, started) = parse(&String::from_utf8_lossy(&stat))?;
    let since_change = SystemTime::now().duration_since(modified).ok()?;
    (age(started)? >= since_change).then_some(name)
}

/// The name of a process, and when it was started, in ticks since the machine was: proc_pid_stat(5).
fn parse(stat: &str) -> Option<(String, u64)> {
    // The name can have spaces and parentheses; nothing after it has.
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    // Field 22; the first after the name is field 3.
    let started = rest.split_whitespace().nth(22 - 3)?.parse().ok()?;
    Some((name.to_owned(), started))
}

/// How long a process has been there. Ticks are cut off, so it may be up to one tick less: 10 ms.
fn age(started: u64) -> Option<Duration> {
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
    let started = Duration::from_secs_f64(started as f64 / clock_ticks_per_second() as f64);
    now.checked_sub(started)
}

#[cfg(test)]
mod tests {
    use std::process;

    use rustix::process::getuid;

    use super::*;

    fn this(uid: u32) -> Writer {
        Writer {
            uid,
            pid: process::id(),
        }
    }

    #[test]
    fn a_name_can_be_anything() {
        let rest = "S 1 ".to_owned() + &"0 ".repeat(17) + "4711 0";
        for name in ["mixer", "a b", ") S 1", "(", ""] {
            let stat = format!("17 ({name}) {rest}");
            assert_eq!(parse(&stat), Some((name.to_owned(), 4711)));
        }
        assert_eq!(parse("17 mixer"), None);
    }

    #[test]
    fn a_process_that_was_there_then_has_a_name() {
        let uid = getuid().as_raw();
        let now = SystemTime::now();
        assert!(name(this(uid), now).is_some());
        assert_eq!(name(this(uid + 1), now), None);
    }

    #[test]
    fn a_process_that_came_later_is_another_one() {
        let uid = getuid().as_raw();
        let before = SystemTime::now() - Duration::from_secs(1 << 32);
        assert_eq!(name(this(uid), before), None);
        assert_eq!(name(Writer { uid, pid: 0 }, SystemTime::now()), None);
    }
}
