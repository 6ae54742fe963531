//! What a service tells whoever supervises it, on a pair of sockets that nobody else has: the
//! messages of sd_notify(3), with descriptors.
//!
//! Instead of a socket with a name, to which everybody could write.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// What the service's end is called among the descriptors that are passed to it.
pub(crate) const NAME: &str = "manager";

/// Longest message, in bytes.
const MESSAGE: usize = 4096;
/// Most descriptors with one message; what systemd takes of a service is fewer.
const DESCRIPTORS: usize = 4;

/// What has come.
#[derive(Debug)]
pub(crate) struct Message {
    /// Lines such as `READY=1`.
    pub(crate) text: String,
    /// What came along.
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// The supervisor's end, and the service's.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

/// Sends a message.
pub(super) fn send(
    channel: BorrowedFd<'_>,
    text: &str,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut along = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !along.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors"));
    }
    let text = [IoSlice::new(text.as_bytes())];
    retry_on_intr(|| sendmsg(channel, &text, &mut along, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// The next message, if one has come. That there will be none is an error.
pub(crate) fn receive(channel: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut buffer = [0; MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let mut text = [IoSliceMut::new(&mut buffer)];
    let received = match retry_on_intr(|| recvmsg(channel, &mut text, &mut along, flags)) {
        Err(Errno::AGAIN) => return Ok(None),
        received => received?,
    };
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let descriptors = along.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
        _ => Vec::new(),
    });
    let descriptors = descriptors.collect();
    let text = String::from_utf8_lossy(&buffer[..received.bytes]).into_owned();
    Ok(Some(Message { text, descriptors }))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn messages_come_whole_with_what_goes_along() {
        let (ours, theirs) = pair().unwrap();
        assert!(receive(ours.as_fd()).unwrap().is_none());
        send(theirs.as_fd(), "FDSTORE=1\nFDNAME=map\n", &[theirs.as_fd()]).unwrap();
        send(theirs.as_fd(), "READY=1\n", &[]).unwrap();
        drop(theirs);
        let first = receive(ours.as_fd()).unwrap().unwrap();
        assert_eq!(first.text, "FDSTORE=1\nFDNAME=map\n");
        assert_eq!(first.descriptors.len(), 1);
        let second = receive(ours.as_fd()).unwrap().unwrap();
        assert_eq!((&*second.text, second.descriptors.len()), ("READY=1\n", 0));
        drop(first);
        // Other tests start processes, which have everything open for a moment.
        poll(&mut [PollFd::new(&ours, PollFlags::IN)], None).unwrap();
        assert!(receive(ours.as_fd()).is_err());
        assert!(send(ours.as_fd(), "READY=1\n", &[]).is_err());
    }
}
