//! What we tell the service manager, by the protocol of sd_notify(3). Without one, nothing.
//!
//! The manager is systemd, at the address in `$NOTIFY_SOCKET`, or a supervisor, on a channel that was
//! passed to us.

use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::Duration;

use libsystemd::daemon::{NotifyState, notify_with_fds, watchdog_enabled};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use super::channel;

/// How long the service manager may take to hear us. It may be busy starting a machine; later we go
/// on, as it has never been seen to lose what it was sent.
const BARRIER: Duration = Duration::from_secs(5);

/// The channel to a supervisor.
static CHANNEL: OnceLock<OwnedFd> = OnceLock::new();

/// Whether there is a service manager, or a supervisor.
pub(crate) fn is_there() -> bool {
    CHANNEL.get().is_some() || std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// From now on a supervisor is told, on this channel.
pub(super) fn attach(channel: OwnedFd) {
    // There is one; a second would be a mistake of whoever passed it, and is closed.
    let _ = CHANNEL.set(channel);
}

/// The channel to a supervisor, if there is one, for a program that takes our place.
pub(crate) fn channel() -> Option<BorrowedFd<'static>> {
    CHANNEL.get().map(OwnedFd::as_fd)
}

/// The service is up and does `what`.
pub(crate) fn ready(what: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(what.to_owned())]);
}

/// The service is about to end, and does `what` before.
pub(crate) fn stopping(what: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(what.to_owned())]);
}

/// The service is alive.
pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the service manager wants to hear that we are alive, if at all: half the time after
/// which it would kill us, as sd_watchdog_enabled(3) advises.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    static INTERVAL: OnceLock<Option<Duration>> = OnceLock::new();

    *INTERVAL.get_or_init(|| {
        watchdog_enabled(true)
            .filter(|timeout| !timeout.is_zero())
            .map(|timeout| timeout / 2)
    })
}

/// The service manager is to keep a descriptor, also if this process dies, and to pass it to the next
/// one under this name.
pub(crate) fn keep(descriptor: BorrowedFd<'_>, name: &str) {
    // A memory file cannot hang up.
    let states = [
        NotifyState::Fdstore,
        NotifyState::Fdname(name.to_owned()),
        NotifyState::FdpollDisable,
    ];
    tell_with(&states, &[descriptor]);
}

/// The service manager is not to keep the descriptors of this name any longer.
pub(crate) fn forget(name: &str) {
    tell(&[
        NotifyState::FdstoreRemove,
        NotifyState::Fdname(name.to_owned()),
    ]);
}

/// Waits until the service manager has heard all that it was told, as sd_notify_barrier(3) does. At
/// once if there is none.
pub(crate) fn wait_until_told() -> io::Result<()> {
    if !is_there() {
        return Ok(());
    }
    let (ours, theirs) = UnixStream::pair()?;
    let barrier = NotifyState::Other("BARRIER=1".to_owned());
    tell_with(&[barrier], &[theirs.as_fd()]);
    drop(theirs);
    let timeout = Timespec::try_from(BARRIER).expect("some seconds fit");
    let mut end = [PollFd::new(&ours, PollFlags::empty())];
    // It hangs up when the manager closes its copy.
    match retry_on_intr(|| poll(&mut end, Some(&timeout)))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

/// The variables of the environment that say how often we shall tell that we are alive; reading them
/// takes them away.
pub(crate) fn watchdog_environment() -> Vec<(&'static str, String)> {
    match watchdog_interval() {
        None => Vec::new(),
        Some(half) => vec![
            ("WATCHDOG_USEC", (2 * half).as_micros().to_string()),
            ("WATCHDOG_PID", std::process::id().to_string()),
        ],
    }
}

fn tell(states: &[NotifyState]) {
    tell_with(states, &[]);
}

fn tell_with(states: &[NotifyState], descriptors: &[BorrowedFd<'_>]) {
    let told = match CHANNEL.get() {
        Some(channel) => channel::send(channel.as_fd(), &lines(states), descriptors),
        None => {
            let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
            let told = notify_with_fds(false, states, &numbers);
            told.map(|_| ()).map_err(io::Error::other)
        }
    };
    if let Err(error) = told {
        log::warn!("cannot tell the service manager: {error}");
    }
}

fn lines(states: &[NotifyState]) -> String {
    states.iter().fold(String::new(), |mut lines, state| {
        let _ = writeln!(lines, "{state}");
        lines
    })
}
