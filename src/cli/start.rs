//! Starting the service where no systemd does it: in a container, on a build machine.
//!
//! `globstashd --supervise` does the work, and sees to it that there is one service however many
//! commands ask for it. Here it is decided whether that is ours to do, and where the program is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;

use crate::client::Starter;
use crate::sys::place::{Place, VARIABLE, own_folder};
use crate::sys::program;

const PROGRAM: &str = "globstashd";
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
    command.arg("--supervise");
    if place == Place::User {
        command.arg("--user");
    }
    // Nothing of ours is to outlive us with it.
    command.env_clear().current_dir("/");
    command.envs(env::var_os(VARIABLE).map(|value| (VARIABLE, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr)
            .trim_end()
            .to_owned()),
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
