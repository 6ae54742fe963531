//! Which process a process ID belongs to.
//!
//! The service tells who changed a variable as a number, and numbers are used again. So a name is
//! only told of a process that was there when the variable was changed, and is the same user's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process;
use std::time::{Duration, SystemTime};

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

use crate::client::Writer;

/// How far apart the clocks can be by which the service and the kernel tell when something began:
/// the one is read once for all that is done at a time, the other ticks each 10 ms.
const BLUR: Duration = Duration::from_millis(30);

/// The name of the process that changed a variable then, if it is still there.
pub(super) fn name(writer: Writer, modified: SystemTime) -> Option<String> {
    let folder = format!("/proc/{}", writer.pid);
    if writer.pid == 0 || fs::metadata(&folder).ok()?.uid() != writer.uid {
        return None;
    }
    let Process { name, started, .. } = Process::read(writer.pid)?;
    let since_change = SystemTime::now().duration_since(modified).ok()?;
    (age(started)? + BLUR >= since_change).then_some(name)
}

/// Whether this process descends from another, or is it.
pub(super) fn is_ancestor(pid: u32) -> bool {
    let mut descendant = process::id();
    while descendant != pid {
        match Process::read(descendant) {
            // The first process has no parent, and those from outside of our name space have none here.
            Some(Process { parent, .. }) if parent != 0 => descendant = parent,
            _ => return false,
        }
    }
    true
}

/// What proc_pid_stat(5) tells of a process.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    name: String,
    parent: u32,
    /// In ticks since the machine was started.
    started: u64,
}

impl Process {
    fn read(pid: u32) -> Option<Process> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Process::parse(&String::from_utf8_lossy(&stat))
    }

    fn parse(stat: &str) -> Option<Process> {
        // The name can have spaces and parentheses; nothing after it has.
        let (_, rest) = stat.split_once('(')?;
        let (name, rest) = rest.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        // The first after the name is field 3.
        let parent = fields.nth(4 - 3)?.parse().ok()?;
        let started = fields.nth(22 - 5)?.parse().ok()?;
        Some(Process {
            name: name.to_owned(),
            parent,
            started,
        })
    }
}

/// How long a process has been there.
fn age(started: u64) -> Option<Duration> {
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
    let started = Duration::from_secs_f64(started as f64 / clock_ticks_per_second() as f64);
    now.checked_sub(started)
}

#[cfg(test)]
mod tests {
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
        let rest = "S 42 ".to_owned() + &"0 ".repeat(17) + "4711 0";
        for name in ["mixer", "a b", ") S 1", "(", ""] {
            let expected = Process {
                name: name.to_owned(),
                parent: 42,
                started: 4711,
            };
            let stat = format!("17 ({name}) {rest}");
            assert_eq!(Process::parse(&stat), Some(expected));
        }
        assert_eq!(Process::parse("17 mixer"), None);
    }

    #[test]
    fn a_process_descends_from_its_parents() {
        let parent = Process::read(process::id()).unwrap().parent;
        assert!(is_ancestor(process::id()) && is_ancestor(parent));
        assert!(!is_ancestor(1 << 23));
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
