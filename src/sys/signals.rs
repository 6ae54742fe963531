//! Signals as a descriptor that becomes readable.

// SAFETY: neither std nor rustix has signalfd(2); each call below has its own reason.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// What we are asked by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM or SIGINT: end.
    Stop,
    /// SIGHUP: take in what changed.
    Reload,
}

/// The signals that were sent to this process.
pub(crate) struct Signals(OwnedFd);

impl Signals {
    /// From now on SIGTERM, SIGINT and SIGHUP end up here and no longer end the process; nor does a
    /// file that is larger than the limit for files, which is an error. To be called before there
    /// are threads, which take over what is blocked here.
    pub(crate) fn open() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset makes `set` a valid empty set before anything reads it; the pointers
        // are valid for the calls; a null old set is allowed; to ignore a signal runs no code of ours.
        let descriptor = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: signalfd just returned it, so it is open and nobody else's.
        Ok(Signals(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// The next signal that was sent, if any.
    pub(crate) fn next(&self) -> Option<Signal> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        // The kernel gives whole records only; what it has none of is EAGAIN.
        let length = rustix::io::read(&self.0, &mut info).ok()?;
        let number: [u8; 4] = info[..length].first_chunk().copied()?;
        match i32::try_from(u32::from_ne_bytes(number)).ok()? {
            libc::SIGHUP => Some(Signal::Reload),
            _ => Some(Signal::Stop),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
