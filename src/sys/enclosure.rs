//! A descriptor that goes with a message, over a connection.

#![allow(unsafe_code)]

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
#[cfg(feature = "service")]
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Room for so many descriptors with one message. We never send more; of others' the rest is closed
/// by the kernel.
const DESCRIPTORS: usize = 4;

/// Sends what the peer takes of a message, and the descriptor with its first byte.
#[cfg(feature = "service")]
pub(crate) fn send_with(
    socket: impl AsFd,
    message: &[u8],
    descriptor: impl AsFd,
    flags: SendFlags,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut along = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor.as_fd()];
    let has_room = along.push(SendAncillaryMessage::ScmRights(&descriptors));
    assert!(has_room, "there is room for one");
    sendmsg(socket, &[std::io::IoSlice::new(message)], &mut along, flags)
}

/// Receives some bytes, and the descriptors that come with them.
pub(crate) fn receive_with(
    socket: impl AsFd,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::CMSG_CLOEXEC;
    let mut bytes = [IoSliceMut::new(buffer)];
    let received = retry_on_intr(|| recvmsg(&socket, &mut bytes, &mut along, flags))?;
    let descriptors = along.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
        _ => Vec::new(),
    });
    Ok((received.bytes, descriptors.collect()))
}

/// Whether the peer has taken everything that it was sent.
#[cfg(feature = "service")]
pub(crate) fn has_taken_all(socket: impl AsFd) -> bool {
    use std::os::fd::AsRawFd as _;

    let mut waiting: libc::c_int = 0;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes a number into the variable.
    let asked = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut waiting) };
    asked == 0 && waiting == 0
}

#[cfg(all(test, feature = "service"))]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::fs::fstat;
    use rustix::net::send;

    use super::*;

    #[test]
    fn a_descriptor_comes_with_the_first_byte_of_its_message() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        assert!(has_taken_all(&ours));
        send_with(&ours, b"first", &ours, flags).unwrap();
        send(&ours, b"second", flags).unwrap();
        assert!(!has_taken_all(&ours));
        let mut buffer = [0; 64];
        let (length, descriptors) =
            receive_with(&theirs, &mut buffer[..1], RecvFlags::empty()).unwrap();
        assert_eq!((length, descriptors.len()), (1, 1));
        let inode = |file: &dyn Fn() -> rustix::fs::Stat| file().st_ino;
        assert_eq!(
            inode(&|| fstat(&descriptors[0]).unwrap()),
            inode(&|| fstat(&ours).unwrap())
        );
        let (length, descriptors) = receive_with(&theirs, &mut buffer, RecvFlags::empty()).unwrap();
        assert_eq!(&buffer[..length], b"irstsecond");
        assert!(descriptors.is_empty());
        assert!(has_taken_all(&ours));
    }
}
