//! Sockets that whoever started us has opened already.
//!
//! The protocol is that of sd_listen_fds(3): descriptors from 3 on, named in `$LISTEN_FDNAMES`,
//! meant for us if `$LISTEN_PID` is ours. What they are is asked of the kernel: systemd passes a
//! listening socket, `varlinkctl exec:` a connection.

// SAFETY: descriptors passed by number can only become owned by `OwnedFd::from_raw_fd`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use libsystemd::activation::{FileDescriptor, receive_descriptors, receive_descriptors_with_names};
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::{channel, manager, succession};

/// The name of sockets that speak varlink: `FileDescriptorName=` of our socket unit, and what
/// sd-varlink's own clients call them.
pub(crate) const NAME: &str = "varlink";

/// Most sockets that are passed: as many as a process can have descriptors, by default.
const SOCKETS_MAX: u64 = 1024;

/// Names of sockets that nobody gave a name: systemd-socket-activate says `unknown`, and without
/// `FileDescriptorName=` a socket has the name of its unit.
const UNNAMED: [&str; 2] = ["unknown", "globstashd.socket"];

/// What was passed to this process.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// To be served.
    pub(crate) sockets: Vec<Socket>,
    /// Everything else, with the names that an earlier process of the service gave.
    pub(crate) kept: Vec<Kept>,
}

/// A descriptor that the service manager has kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Its name.
    pub(crate) name: String,
    /// The descriptor.
    pub(crate) descriptor: OwnedFd,
}

/// A socket to serve.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Connections are to be accepted from it.
    Listener(OwnedFd),
    /// It is a connection.
    Connection(OwnedFd),
}

/// The descriptors that were passed to this process; the channel to a supervisor is kept for what it is
/// told by [`manager`]. To be called once, before there are threads: it
/// removes the variables from the environment, so that no child takes them for its own.
pub(crate) fn passed() -> io::Result<Passed> {
    // What counts descriptors for us makes room for as many as it is told of.
    let count = std::env::var("LISTEN_FDS")
        .ok()
        .and_then(|count| count.parse::<u64>().ok());
    if count.is_some_and(|count| count > SOCKETS_MAX) {
        return Err(io::Error::other(
            "$LISTEN_FDS promises more sockets than a process can have",
        ));
    }
    let named = std::env::var_os("LISTEN_FDNAMES").is_some();
    let descriptors: Vec<(FileDescriptor, String)> = if named {
        receive_descriptors_with_names(true)
    } else {
        receive_descriptors(true).map(|all| {
            all.into_iter()
                .map(|descriptor| (descriptor, NAME.to_owned()))
                .collect()
        })
    }
    .map_err(|error| {
        io::Error::other(format!("cannot take the sockets that were passed: {error}"))
    })?;

    let descriptors = descriptors.into_iter().map(|(descriptor, name)| {
        // SAFETY: the descriptor was passed to this process for its own, `FileDescriptor` does not
        // close it, and each is taken once.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor.into_raw_fd()) };
        (descriptor, name)
    });
    let mut passed = Passed::default();
    for (descriptor, name) in descriptors.chain(succession::inherited()) {
        if name == channel::NAME {
            manager::attach(descriptor);
        } else if name != NAME && !UNNAMED.contains(&&*name) {
            passed.kept.push(Kept { name, descriptor });
        } else {
            passed.sockets.push(Socket::of(descriptor)?);
        }
    }
    Ok(passed)
}

impl Socket {
    /// Asks the kernel what a descriptor is.
    fn of(descriptor: OwnedFd) -> io::Result<Self> {
        let fits = sockopt::socket_domain(&descriptor)? == AddressFamily::UNIX
            && sockopt::socket_type(&descriptor)? == SocketType::STREAM;
        if !fits {
            let problem = "a descriptor was passed that is no UNIX stream socket";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        if !sockopt::socket_acceptconn(&descriptor)? {
            return Ok(Socket::Connection(descriptor));
        }
        // systemd passes listeners that block, and accepting until there is nothing left would.
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(Socket::Listener(descriptor))
    }
}
