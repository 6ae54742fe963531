//! A process leaves behind what it was started with, so that it can outlive whoever started it.

// SAFETY: std has no fork(2), and neither it nor rustix sets all signals back or closes whatever is
// open; each call below has its own reason.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::fs::{self, File};
use std::io;
use std::os::fd::{OwnedFd, RawFd};

use rustix::fs::Mode;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit, chdir, getrlimit, setrlimit, setsid, umask};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// The first descriptor that is not a standard stream.
const FIRST: RawFd = 3;

/// Which of the two processes this is.
pub(crate) enum Side {
    /// The one that was started: what the other writes to its standard error arrives here.
    Front(OwnedFd),
    /// The one that goes on by itself.
    Back,
}

/// Forgets the descriptors beyond the standard streams, and what was set about signals. To be called
/// first of all: whoever started us may have left anything open, and nothing here is open yet.
pub(crate) fn begin_anew() {
    close_all();
    for signal in 1..=libc::SIGRTMAX() {
        // What Rust does at the beginning: a stream that nobody reads is an error, not the end.
        let action = match signal {
            libc::SIGPIPE => libc::SIG_IGN,
            _ => libc::SIG_DFL,
        };
        // SAFETY: neither action runs code of ours. Signals for which it cannot be set keep theirs.
        unsafe { libc::signal(signal, action) };
    }
    allow_signals();
}

/// Lets all signals through.
fn allow_signals() {
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset makes a valid empty set of it before it is read; null for the old one is
    // allowed.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

fn close_all() {
    // SAFETY: nothing in this process owns a descriptor beyond the standard streams yet.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST, c_int::MAX, 0) };
    if closed == 0 {
        return;
    }
    // A sandbox that does not know the call.
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers: Vec<RawFd> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number >= FIRST)
        .collect();
    for number in numbers {
        // SAFETY: as above; the one that the listing itself used is closed already, and to close it
        // again is an error without consequences in a process with one thread.
        unsafe { libc::close(number) };
    }
}

/// Goes on in a process with a session of its own, without terminal, in the root folder, with
/// standard streams that lead nowhere; except that its standard error arrives in the process that was
/// there before, until [`silence`]. To be called while there is one thread.
pub(crate) fn background() -> io::Result<Side> {
    let nowhere = nowhere()?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: there is one thread, so the child has everything that it could need.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(reader);
            setsid()?;
            chdir("/")?;
            umask(Mode::from_raw_mode(0o077));
            dup2_stdin(&nowhere)?;
            dup2_stdout(&nowhere)?;
            dup2_stderr(&writer)?;
            set_limits()?;
            Ok(Side::Back)
        }
        _ => Ok(Side::Front(reader)),
    }
}

/// Limits that whoever started us has set for themselves are not for everybody. What cannot be raised
/// stays.
fn set_limits() -> io::Result<()> {
    // A signal that ends the process, a file that cannot grow, or no room.
    for resource in [
        Resource::Cpu,
        Resource::Fsize,
        Resource::Data,
        Resource::As,
        Resource::Nofile,
    ] {
        raise_limit(resource)?;
    }
    // A core dump would hold everyone's values.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Ok(setrlimit(Resource::Core, none)?)
}

/// Makes a limit as high as it may be.
pub(crate) fn raise_limit(resource: Resource) -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(resource);
    if current == maximum {
        return Ok(());
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(resource, raised)?)
}

/// Nobody reads standard error any longer.
pub(crate) fn silence() -> io::Result<()> {
    Ok(dup2_stderr(nowhere()?)?)
}

fn nowhere() -> io::Result<File> {
    let both = File::options().read(true).write(true).open("/dev/null");
    both.map_err(|error| io::Error::new(error.kind(), format!("cannot open /dev/null: {error}")))
}
