//! What we tell the service manager, by the protocol of sd_notify(3). Without one, nothing.

use std::time::Duration;

use libsystemd::daemon::{NotifyState, notify, watchdog_enabled};

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
    watchdog_enabled(true)
        .filter(|timeout| !timeout.is_zero())
        .map(|timeout| timeout / 2)
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = notify(false, states) {
        log::warn!("cannot tell the service manager: {error}");
    }
}
