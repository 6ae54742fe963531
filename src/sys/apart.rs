//! Descriptors of a library, apart from those that programs use without having opened them.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::{Errno, fcntl_dupfd_cloexec};

/// Standard input, output and error are below.
const FIRST: i32 = 3;

/// The same, with a number that is nobody's standard output. Where that was closed, the kernel gives its
/// number to what is opened next; what the program prints then would be sent to the service.
pub(crate) fn apart(descriptor: OwnedFd) -> Result<OwnedFd, Errno> {
    match descriptor.as_raw_fd() {
        FIRST.. => Ok(descriptor),
        _ => copy_apart(&descriptor),
    }
}

/// A copy of which the same is true.
pub(crate) fn copy_apart(descriptor: impl AsFd) -> Result<OwnedFd, Errno> {
    fcntl_dupfd_cloexec(descriptor, FIRST)
}
