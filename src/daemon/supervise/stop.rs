//! `--stop`: asks a supervised service to end, and waits until it has.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::whereabouts;
use crate::daemon::options::Options;
use crate::sys::address::Address;
use crate::sys::keeper::Keeper;
use crate::sys::listen::call;

/// How long it may take: longer than the supervisor gives the service.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the service; if there is none, that is what was wanted.
pub(crate) fn stop(options: &Options) -> io::Result<()> {
    let (address, _) = whereabouts(options)?;
    let process = match keeper(&address)? {
        None => return Ok(()),
        Some(Keeper::Supervisor(process)) => process,
        Some(keeper) => return Err(no_supervisor(&address, keeper)),
    };
    end(process, &Keeper::is_supervisor)?;
    // It may have been killed instead, and the service goes on. Another one that somebody has started
    // meanwhile is theirs.
    match keeper(&address)? {
        Some(keeper @ Keeper::Gone) => Err(no_supervisor(&address, keeper)),
        _ => Ok(()),
    }
}

/// Who looks after the service, if there is one.
fn keeper(address: &Address) -> io::Result<Option<Keeper>> {
    let connection = call(address)?;
    connection.map(Keeper::of).transpose()
}

/// There is nobody who could be asked to end the service.
fn no_supervisor(address: &Address, keeper: Keeper) -> io::Error {
    let place = address.place().display();
    io::Error::other(match keeper {
        Keeper::Manager => format!(
            "the service at {place} is systemd's\n  \
             end it with: systemctl stop globstashd.socket globstashd.service"
        ),
        Keeper::Gone => format!(
            "the process that supervised the service at {place} is gone\n  \
             end the service itself: kill the other process of globstashd"
        ),
        Keeper::Itself(process) => {
            format!("the service at {place} is not supervised\n  end it with: kill {process}")
        }
        Keeper::Supervisor(_) | Keeper::Unknown => {
            format!("it cannot be told who keeps the service at {place}")
        }
    })
}

/// Ends a process, if it is still the one that was meant.
fn end(process: u32, is_meant: &dyn Fn(u32) -> bool) -> io::Result<()> {
    let Some(id) = i32::try_from(process).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    let descriptor = match pidfd_open(id, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        descriptor => descriptor?,
    };
    // Its number may have been given to another meanwhile, but no more from here on.
    if !is_meant(process) {
        return Ok(());
    }
    match pidfd_send_signal(&descriptor, Signal::TERM) {
        Err(Errno::SRCH) => return Ok(()),
        Err(Errno::PERM) => {
            let problem = "the service belongs to another user: only that user and root can end it";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        sent => sent?,
    }
    let timeout = Timespec::try_from(PATIENCE).expect("some seconds fit");
    let mut ends = [PollFd::new(&descriptor, PollFlags::IN)];
    match retry_on_intr(|| poll(&mut ends, Some(&timeout)))? {
        0 => Err(io::Error::other(format!(
            "the service does not end, not in {} s",
            PATIENCE.as_secs()
        ))),
        _ => Ok(()),
    }
}
