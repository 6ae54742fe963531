//! A process that is watched for its end: a pidfd, and what tells it from others that get its ID.
//!
//! IDs are given again. A descriptor is safe from that, but does not outlive us; so each process
//! also has an identity, a number that another process with its ID does not have: since Linux 6.9 the
//! inode of its pidfd. On older kernels all pidfds share one, and it is the time at which the process
//! began, as /proc tells it. Where /proc tells nothing of it, nobody can know.

// SAFETY: neither std nor rustix has SO_PEERPIDFD; the one call has its own reason.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// From asm-generic/socket.h, since Linux 6.5; libc has no name for it.
const SO_PEERPIDFD: libc::c_int = 77;
/// From linux/magic.h: the file system of pidfds, in which each process has an inode.
const PID_FS_MAGIC: u64 = 0x5049_4446;
/// The field of /proc/PID/stat behind the name that tells when the process began.
const START_TIME: usize = 19;

/// A process, and a descriptor that can be read when it has ended.
#[derive(Debug)]
pub(crate) struct Pidfd {
    descriptor: OwnedFd,
    pid: u32,
    identity: Identity,
}

/// What tells a process from others that get its ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The inode of its pidfd.
    Inode(u64),
    /// When it began, in ticks.
    Start(u64),
    /// Nobody can tell.
    Unknown,
}

/// Why a process cannot be watched.
#[derive(Debug)]
pub(crate) enum NoPidfd {
    /// It has ended, or never was.
    Gone,
    /// The system does not let us.
    Accident(io::Error),
}

impl Pidfd {
    /// The process with this ID.
    pub(crate) fn open(pid: u32) -> Result<Self, NoPidfd> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let descriptor = pidfd_open(number.ok_or(NoPidfd::Gone)?, PidfdFlags::empty());
        Self::new(descriptor.map_err(NoPidfd::of)?, pid)
    }

    /// The process that connected this UNIX socket, with the ID that [`super::peer`] tells. Its ID
    /// may be another's by now, if others use its connection: so the kernel is asked for it.
    pub(crate) fn of_peer(socket: BorrowedFd<'_>, pid: u32) -> Result<Self, NoPidfd> {
        match peer_pidfd(socket) {
            Ok(descriptor) => Self::new(descriptor, pid),
            Err(Errno::NOPROTOOPT) => Self::open(pid),
            // What it says of one that is gone has changed: ESRCH, EINVAL, ENODATA.
            Err(Errno::SRCH | Errno::INVAL | Errno::NODATA) => Err(NoPidfd::Gone),
            Err(error) => Err(NoPidfd::Accident(error.into())),
        }
    }

    fn new(descriptor: OwnedFd, pid: u32) -> Result<Self, NoPidfd> {
        let identity = identity(&descriptor, pid);
        let pidfd = Pidfd {
            descriptor,
            pid,
            identity,
        };
        // Looked at last: so what was read of it in /proc was its own.
        match pidfd.has_ended() || pid == 0 {
            true => Err(NoPidfd::Gone),
            false => Ok(pidfd),
        }
    }

    /// Whether the process has ended, also if nobody has waited for it yet.
    pub(crate) fn has_ended(&self) -> bool {
        let mut asked = [PollFd::new(&self.descriptor, PollFlags::IN)];
        let ready = poll(&mut asked, Some(&Timespec::default()));
        ready.is_ok_and(|ready| ready > 0)
    }

    /// Its ID.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What tells it from others.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl NoPidfd {
    fn of(error: Errno) -> Self {
        match error {
            // The latter for the ID of a thread that is no process; since Linux 6.15 it is ENOENT.
            Errno::SRCH | Errno::INVAL | Errno::NOENT => NoPidfd::Gone,
            error => NoPidfd::Accident(error.into()),
        }
    }
}

fn identity(pidfd: &OwnedFd, pid: u32) -> Identity {
    let is_own_inode = fstatfs(pidfd).is_ok_and(|status| status.f_type as u64 == PID_FS_MAGIC);
    match fstat(pidfd) {
        Ok(status) if is_own_inode => Identity::Inode(status.st_ino),
        _ => start_time(pid).map_or(Identity::Unknown, Identity::Start),
    }
}

/// When a process began, in ticks since the machine did.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(START_TIME)?.parse().ok()
}

fn peer_pidfd(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut descriptor: RawFd = -1;
    let mut length = size_of::<RawFd>() as libc::socklen_t;
    // SAFETY: the socket is open while it is borrowed; pointer and length describe `descriptor`,
    // which is written to and no longer used by the kernel after the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut descriptor).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        let error = io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    if descriptor < 0 {
        return Err(Errno::SRCH);
    }
    // SAFETY: the kernel has just opened it for us, close-on-exec as all pidfds are.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    #[test]
    fn a_process_is_there_until_it_has_ended() {
        let mut child = sleeper();
        let pidfd = Pidfd::open(child.id()).unwrap();
        assert!(!pidfd.has_ended());
        child.kill().unwrap();
        let mut asked = [PollFd::new(&pidfd, PollFlags::IN)];
        poll(&mut asked, None).unwrap();
        assert!(pidfd.has_ended());
        let zombie = Pidfd::open(child.id());
        assert!(
            matches!(zombie, Err(NoPidfd::Gone)),
            "nobody has waited for it"
        );
        child.wait().unwrap();
        assert!(matches!(Pidfd::open(child.id()), Err(NoPidfd::Gone)));
    }

    #[test]
    fn what_can_be_no_process_is_none() {
        for pid in [0, 1 << 30, u32::MAX] {
            assert!(matches!(Pidfd::open(pid), Err(NoPidfd::Gone)), "{pid}");
        }
    }

    #[test]
    fn the_same_process_has_the_same_identity_and_others_have_not() {
        let mut children = [sleeper(), sleeper()];
        let identity = |pid| Pidfd::open(pid).unwrap().identity();
        let [one, two] = [children[0].id(), children[1].id()];
        assert_eq!(identity(one), identity(one));
        if let Identity::Inode(_) = identity(one) {
            assert_ne!(identity(one), identity(two));
        }
        let own = start_time(std::process::id()).unwrap();
        assert!(start_time(one).unwrap() >= own && own > 0);
        children.iter_mut().for_each(|child| {
            child.kill().unwrap();
            child.wait().unwrap();
        });
    }

    #[test]
    fn the_peer_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Pidfd::of_peer(one.as_fd(), std::process::id()).unwrap();
        let own = Pidfd::open(std::process::id()).unwrap();
        assert_eq!((peer.pid(), peer.identity()), (own.pid(), own.identity()));
    }
}
