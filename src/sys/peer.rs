//! Who is at the other end of a connection.

// SAFETY: rustix reads SO_PEERCRED into a type that cannot hold the process ID 0, which is what
// the kernel tells of a process outside our name space. So the call is made here.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

/// A process, as the kernel reported it when it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its effective user ID.
    pub(crate) uid: u32,
    /// Its process ID in our name space; 0 if it has none there.
    pub(crate) pid: u32,
}

impl Peer {
    /// The process that connected this UNIX socket.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let mut credentials = MaybeUninit::<libc::ucred>::zeroed();
        let mut length = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: the descriptor is open while it is borrowed; pointer and length describe
        // `credentials`, which is written to and no longer used by the kernel after the call.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                credentials.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: three integers, for which any bytes are valid; they were zeroed before.
        let credentials = unsafe { credentials.assume_init() };
        Ok(Peer {
            uid: credentials.uid,
            pid: u32::try_from(credentials.pid).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_peer_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(one.as_fd()).unwrap();
        assert_eq!(
            peer,
            Peer {
                uid: rustix::process::geteuid().as_raw(),
                pid: std::process::id()
            }
        );
    }
}
