//! Who has made the socket that a service listens on, as the kernel and `/proc` tell.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::peer::Peer;

/// The option by which a supervisor is known.
const SUPERVISE: &[u8] = b"--supervise";

/// Who looks after a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// systemd.
    Manager,
    /// `globstashd --supervise`, in this process.
    Supervisor(u32),
    /// Nobody: it listens by itself, in this process.
    Itself(u32),
    /// Whoever it was has ended.
    Gone,
    /// It cannot be told, such as from a container.
    Unknown,
}

impl Keeper {
    /// Of the service at the other end of a connection that was made to it.
    pub(crate) fn of(connection: impl AsFd) -> io::Result<Self> {
        // For one who connects, the peer is whoever has called listen(2).
        let process = Peer::of(connection.as_fd())?.pid;
        Ok(match (process, arguments(process)) {
            (0, _) => Keeper::Unknown,
            (_, Some(arguments)) => Keeper::known_by(process, &arguments),
            (_, None) if is_gone(process) => Keeper::Gone,
            (_, None) => Keeper::Unknown,
        })
    }

    /// Whether a process is a supervisor.
    #[cfg(feature = "service")]
    pub(crate) fn is_supervisor(process: u32) -> bool {
        arguments(process).is_some_and(|arguments| {
            matches!(Keeper::known_by(process, &arguments), Keeper::Supervisor(_))
        })
    }

    fn known_by(process: u32, arguments: &[u8]) -> Self {
        let mut arguments = arguments.split(|byte| *byte == 0);
        let program = arguments.next().unwrap_or_default();
        let name = program.rsplit(|byte| *byte == b'/').next();
        if name.is_some_and(|name| name.starts_with(b"globstashd")) {
            return match arguments.any(|argument| argument == SUPERVISE) {
                true => Keeper::Supervisor(process),
                false => Keeper::Itself(process),
            };
        }
        // The user's manager is not the first process of the machine, but has its name.
        match process == 1 || name == Some(b"systemd") {
            true => Keeper::Manager,
            false => Keeper::Unknown,
        }
    }
}

/// What a process was started as: its name and arguments, each followed by NUL.
fn arguments(process: u32) -> Option<Vec<u8>> {
    let arguments = fs::read(format!("/proc/{process}/cmdline"));
    // A process that has ended, and was not waited for, has none.
    arguments.ok().filter(|arguments| !arguments.is_empty())
}

/// Whether there is no such process; one that is only hidden from us is there.
fn is_gone(process: u32) -> bool {
    let id = i32::try_from(process).ok().and_then(Pid::from_raw);
    let is_zombie = || {
        let status = fs::read_to_string(format!("/proc/{process}/status"));
        status.is_ok_and(|status| status.contains("\nState:\tZ"))
    };
    id.is_some_and(|id| test_kill_process(id) == Err(Errno::SRCH)) || is_zombie()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_is_known_by_what_it_was_started_as() {
        for (process, arguments, keeper) in [
            (1, "/sbin/init\0", Keeper::Manager),
            (7, "/lib/systemd/systemd\0--user\0", Keeper::Manager),
            (7, "/bin/globstashd\0--supervise\0", Keeper::Supervisor(7)),
            (7, "globstashd\0--address\0/a\0", Keeper::Itself(7)),
            (7, "/bin/sh\0--supervise\0", Keeper::Unknown),
        ] {
            let known = Keeper::known_by(process, arguments.as_bytes());
            assert_eq!(known, keeper, "{arguments:?}");
        }
    }
}
