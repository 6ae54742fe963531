//! Whether a call would start the service.
//!
//! Where systemd listens for the service, every connection starts it, and who presses a key does not
//! mean to. No system call tells who listens, so systemd's control groups are looked at: they
//! are there while a unit runs. Without systemd nobody listens but the service itself.

use std::fs;
use std::path::Path;

use rustix::process::geteuid;

use crate::client::address::{self, Address};

/// Where control groups are: since version 2 of them, and before.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd"];

/// Whether to connect to this address would start something; also if that cannot be told.
pub(super) fn would_start(address: &Address) -> bool {
    let is_systemd_there = Path::new("/run/systemd/system").exists();
    is_systemd_there && !is_running(address)
}

fn is_running(address: &Address) -> bool {
    if *address == address::machine() {
        return has_processes("system.slice/globstashd.service");
    }
    if address::user().is_ok_and(|user| user == *address) {
        let uid = geteuid().as_raw();
        return has_processes(&format!(
            "user.slice/user-{uid}.slice/user@{uid}.service/app.slice/globstashd.service"
        ));
    }
    is_any_running()
}

fn has_processes(unit: &str) -> bool {
    GROUPS.iter().any(|root| {
        let place = Path::new(root).join(unit).join("cgroup.procs");
        fs::read(place).is_ok_and(|processes| !processes.is_empty())
    })
}

/// Whether there is some service: of another place we know no unit.
fn is_any_running() -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| {
        let name = process.path().join("comm");
        fs::read(name).is_ok_and(|name| name == b"globstashd\n")
    })
}
