//! `--supervise`: the part of systemd, where there is none.
//!
//! A small process in the background has the listening socket and keeps the descriptors of the map.
//! It starts the service with them, by the protocols that systemd speaks, so that the service has one
//! way to begin and one to go on after a crash. It ends with the service, when either is asked to.
//!
//! Here is how it comes to be: [`start`] returns when the service is ready, or with what went wrong.
//! What it does then is in `supervisor`; how its end is asked for, in [`stop`].

use std::env;
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::geteuid;

use self::supervisor::Supervisor;
use super::options::Options;
use crate::sys::address::Address;
use crate::sys::child::Program;
use crate::sys::detach::{self, Side};
use crate::sys::listen::{Bound, is_served};
use crate::sys::place::{self, NoUserAddress, Place};
use crate::sys::program;
use crate::sys::signals::Signals;

mod kept;
mod pace;
pub(super) mod stop;
mod supervisor;

/// How long the service may take until it is ready; a hundred times what it needs.
const START: Duration = Duration::from_secs(10);
/// What the process in the background writes when the service is ready. No sentence has it.
const READY: u8 = 0;

/// Starts a supervised service, unless there is a service already. It is ready when this returns
/// success; if it cannot be started, why has been written to standard error.
pub(super) fn start(options: &Options) -> io::Result<ExitCode> {
    let (address, mode) = whereabouts(options)?;
    if is_served(&address).unwrap_or(false) {
        return Ok(ExitCode::SUCCESS);
    }
    let program = own_path()?;
    leave_environment(&program)?;
    match detach::background()? {
        Side::Front(news) => relay(news),
        Side::Back => {
            keep(options, &program, &address, mode)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What the options say on where the service is, and with which mode its socket. None where an
/// address was given by hand: then it is the owner's alone, by the umask in the background.
fn whereabouts(options: &Options) -> io::Result<(Address, Option<u32>)> {
    let place = match (&options.address, options.user) {
        (Some(address), _) => return Ok((address.clone(), None)),
        (None, true) => Place::User,
        (None, false) => Place::Machine,
    };
    let address = place.address().map_err(io::Error::other)?;
    Ok((address, Some(place.mode())))
}

/// In the background: does it all.
fn keep(options: &Options, program: &Path, address: &Address, mode: Option<u32>) -> io::Result<()> {
    let cannot_listen = |error: io::Error| {
        let is_for_root = error.kind() == io::ErrorKind::PermissionDenied
            && *address == place::machine()
            && !geteuid().is_root();
        let advice = match is_for_root {
            true => "\n  your own service: globstashd --supervise --user",
            false => "",
        };
        let place = address.place().display();
        io::Error::new(
            error.kind(),
            format!("cannot listen at {place}: {error}{advice}"),
        )
    };
    if options.user {
        make_folder(address).map_err(cannot_listen)?;
    }
    let signals = Signals::open()?;
    let bound = match Bound::at(address, mode) {
        // Somebody was faster. There is one, that is what counts.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return announce(),
        bound => bound.map_err(cannot_listen)?,
    };
    let limits = [
        format!("--maximum-bytes={}", options.maximum_bytes),
        format!("--maximum-variables={}", options.maximum_variables),
    ];
    let service = Program::new(program.as_os_str(), limits.iter().map(String::as_str))?;
    let check = Program::new(program.as_os_str(), ["--check"])?;
    Supervisor::begin(bound, signals, service, check)?.run(announce)
}

/// Begins again without the caller's environment, if there is any of it: what is in it is not for
/// everybody who can look at this process for as long as it lives.
fn leave_environment(program: &Path) -> io::Result<()> {
    let needed = |name: &OsString| name == place::VARIABLE;
    if env::vars_os().all(|(name, _)| needed(&name)) {
        return Ok(());
    }
    let mut again = Command::new(program);
    again.args(env::args_os().skip(1)).env_clear();
    again.envs(env::vars_os().filter(|(name, _)| needed(name)));
    let error = again.exec();
    let problem = format!("cannot execute {}: {error}", program.display());
    Err(io::Error::new(error.kind(), problem))
}

/// Makes the folder of the user's own service if it is the one that nobody else makes.
fn make_folder(address: &Address) -> io::Result<()> {
    let own = place::temporary(Path::new("/"), geteuid());
    let folder = address.path().and_then(Path::parent);
    let Some(folder) = folder.filter(|folder| *folder == own) else {
        return Ok(());
    };
    match DirBuilder::new().mode(0o700).create(folder) {
        // Somebody may have been faster.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ if place::is_private(folder, geteuid()) == Some(true) => Ok(()),
        _ => Err(io::Error::other(NoUserAddress::Untrusted(own))),
    }
}

/// Tells the process in front that the service is ready, which then ends.
fn announce() -> io::Result<()> {
    // It may be gone already; that changes nothing.
    let _ = io::stderr().write_all(&[READY]);
    detach::silence()
}

/// In front: waits until the service is ready, and passes on what is written until then.
fn relay(news: OwnedFd) -> io::Result<ExitCode> {
    let end = Instant::now() + START;
    let mut news = File::from(news);
    let mut buffer = [0; 4096];
    let mut has_said = false;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("some seconds fit");
        let mut arrival = [PollFd::new(&news, PollFlags::IN)];
        if retry_on_intr(|| poll(&mut arrival, Some(&left)))? == 0 {
            return Err(io::Error::other("the service does not get ready"));
        }
        let length = news.read(&mut buffer)?;
        let written = buffer[..length].split(|byte| *byte == READY);
        let written = written.clone().next().unwrap_or_default();
        // Whoever cannot be told is no reason to stop.
        let _ = io::stderr().write_all(written);
        has_said |= !written.is_empty();
        match length {
            0 if !has_said => {
                let problem = "the supervisor was killed before the service was ready";
                return Err(io::Error::other(problem));
            }
            0 => return Ok(ExitCode::FAILURE),
            length if written.len() < length => return Ok(ExitCode::SUCCESS),
            _ => {}
        }
    }
}

/// The path by which this program was started. What lies there later, after an upgrade, is what is
/// started then.
fn own_path() -> io::Result<PathBuf> {
    let name = env::args_os().next().unwrap_or_default();
    if Path::new(&name).components().count() > 1 {
        return std::path::absolute(name);
    }
    let found = |name: &OsString| {
        let folders = env::var_os("PATH")?;
        program::find(env::split_paths(&folders), Path::new(name))
    };
    found(&name).map_or_else(env::current_exe, Ok)
}

/// Whether somebody has connected who was not accepted yet.
fn has_callers(bound: &Bound) -> bool {
    let at_once = Timespec::default();
    let mut callers = [PollFd::from_borrowed_fd(bound.as_fd(), PollFlags::IN)];
    retry_on_intr(|| poll(&mut callers, Some(&at_once))).is_ok_and(|ready| ready > 0)
}
