//! Starting the service where no systemd does it: in a container, on a build machine.
//!
//! `globstashd --supervise` does the work, and sees to it that there is one service however many
//! commands ask for it. Here it is decided whether that is ours to do, and where the program is.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use crate::client::Starter;
use crate::sys::place::{Place, VARIABLE, own_folder};
use crate::sys::program;

const PROGRAM: &str = "globstashd";

/// How long that may take to be ready. It says itself what is wrong after ten seconds; this is for one
/// that does not come to that.
const START: Duration = Duration::from_secs(15);

/// Where it may be beside the folder of this program and those of `$PATH`, which may be unset.
const FOLDERS: [&str; 4] = [
    "/usr/local/bin",
    "/usr/bin",
    "/usr/local/libexec",
    "/usr/libexec",
];

/// Where the units of a user's manager can be, beside folders of the user; systemd.unit(5).
const UNITS: [&str; 6] = [
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/share/systemd/user",
    "/usr/share/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
];
const UNIT: &str = "globstashd.socket";

/// How a service is started at a place where nobody is found.
pub(super) fn at(place: Place) -> Starter {
    let start = |place| match may_own(place) {
        true => begin(place).map(|()| true),
        false => Ok(false),
    };
    Starter { place, start }
}

/// Whether the place is ours to serve. Where systemd has our unit it is not.
fn may_own(place: Place) -> bool {
    match place {
        Place::Machine => geteuid().is_root() && !place.has_manager(),
        Place::User => !(place.has_manager() && units().any(|folder| folder.join(UNIT).exists())),
    }
}

/// Where the units of the user's manager can be.
fn units() -> impl Iterator<Item = PathBuf> {
    let below = |variable: &str, default: &str| {
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(default));
        let folder = env::var_os(variable).map(PathBuf::from).or_else(home)?;
        Some(folder.join("systemd/user"))
    };
    let own = [
        below("XDG_CONFIG_HOME", ".config"),
        below("XDG_DATA_HOME", ".local/share"),
        Some(own_folder().join("systemd/user")),
    ];
    own.into_iter().flatten().chain(UNITS.map(PathBuf::from))
}

/// Returns when it is ready, or why it cannot be.
fn begin(place: Place) -> Result<(), String> {
    let Some(program) = find() else {
        let problem = format!("{PROGRAM} is not installed beside this program, nor in $PATH");
        return Err(problem);
    };
    let mut command = Command::new(&program);
    let arguments: &[&str] = match place {
        Place::User => &["--supervise", "--user"],
        Place::Machine => &["--supervise"],
    };
    command.args(arguments);
    // Nothing of ours is to outlive us with it.
    command.env_clear().current_dir("/");
    command.envs(env::var_os(VARIABLE).map(|value| (VARIABLE, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let place = program.display();
    let output = run(command).map_err(|error| format!("cannot run {place}: {error}"))?;
    let Some(output) = output else {
        let limit = START.as_secs();
        let by_hand = format!("see what it does: {place} {}", arguments.join(" "));
        return Err(format!("{place} is not ready after {limit} s\n  {by_hand}"));
    };
    let said = String::from_utf8_lossy(&output.stderr);
    match (output.status.success(), said.trim_end()) {
        (true, _) => Ok(()),
        (false, "") => Err(format!(
            "{place} has ended and said nothing: {}",
            output.status
        )),
        (false, said) => Err(said.to_owned()),
    }
}

/// Runs a program to its end, and kills it if that does not come in time: then `None`.
fn run(mut command: Command) -> io::Result<Option<Output>> {
    let child = command.stderr(Stdio::piped()).spawn()?;
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let (ended, end) = channel();
    // Nobody hears it any more if it comes too late.
    thread::spawn(move || ended.send(child.wait_with_output()));
    match end.recv_timeout(START) {
        Ok(output) => output.map(Some),
        Err(_) => {
            // It may have ended just now.
            let _ = pidfd_send_signal(&process, Signal::KILL);
            Ok(None)
        }
    }
}

/// The program of the service: the one that belongs to this one, or else the one that is installed.
fn find() -> Option<PathBuf> {
    let own = env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = own.into_iter().chain(env::split_paths(&path));
    program::find(
        folders.chain(FOLDERS.map(PathBuf::from)),
        Path::new(PROGRAM),
    )
}
