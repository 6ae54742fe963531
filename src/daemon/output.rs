//! What a peer was answered and has not taken yet.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::accounts::Shared;
use crate::sys::enclosure::send_with;

/// A buffer for answers of up to this many bytes is kept for the next connection.
const SPARE_MAX: usize = 256 << 10;

/// A larger one is cut down when it is this many times as large as what waits in it: what is held
/// for a peer must not be much more than what is counted.
const SLACK: usize = 4;

/// How answers are sent: the loop never waits for a peer.
const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// Answers that were not taken yet.
#[derive(Default)]
pub(super) struct Output {
    /// What goes first: a reply that others take as well, and how much of it was sent.
    pub(super) shared: Option<(Rc<Shared>, usize)>,
    pub(super) bytes: Vec<u8>,
    /// How much of `bytes` was sent.
    sent: usize,
    /// In the order of their messages.
    enclosures: Vec<Enclosure>,
}

/// A descriptor that goes with a message. The message is sent by itself: were others sent with it,
/// the peer could not tell which of them the descriptor belongs to.
struct Enclosure {
    /// Where the message stands in `bytes`.
    message: Range<usize>,
    /// `None` when it was sent, with the first byte.
    descriptor: Option<Rc<OwnedFd>>,
}

impl Output {
    pub(super) fn len(&self) -> usize {
        let shared = |(shared, sent): &(Rc<Shared>, usize)| shared.bytes().len() - sent;
        self.shared.as_ref().map_or(0, shared) + self.own()
    }

    /// The length of what is here alone.
    pub(super) fn own(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// The message that was appended last, which begins at `start`, takes a descriptor along.
    pub(super) fn enclose(&mut self, start: usize, descriptor: Rc<OwnedFd>) {
        if start < self.bytes.len() {
            self.enclosures.push(Enclosure {
                message: start..self.bytes.len(),
                descriptor: Some(descriptor),
            });
        }
    }

    /// What is to be sent next, and what goes along.
    pub(super) fn first(&self) -> (&[u8], Option<&Rc<OwnedFd>>) {
        if let Some((shared, sent)) = &self.shared {
            return (&shared.bytes()[*sent..], None);
        }
        match self.enclosures.first() {
            None => (&self.bytes[self.sent..], None),
            Some(next) if self.sent < next.message.start => {
                (&self.bytes[self.sent..next.message.start], None)
            }
            Some(next) => (
                &self.bytes[self.sent..next.message.end],
                next.descriptor.as_ref(),
            ),
        }
    }

    /// So much of that was sent.
    pub(super) fn has_sent(&mut self, length: usize) {
        if let Some((shared, sent)) = &mut self.shared {
            *sent += length;
            if *sent == shared.bytes().len() {
                self.shared = None;
            }
            return;
        }
        self.sent += length;
        let Some(next) = self.enclosures.first_mut() else {
            return;
        };
        if next.message.start < self.sent {
            next.descriptor = None;
        }
        if next.message.end <= self.sent {
            self.enclosures.remove(0);
        }
    }

    /// Makes room for more; borrows the spare buffer if it has none of its own.
    pub(super) fn prepare(&mut self, spare: &mut Vec<u8>) {
        if self.bytes.capacity() == 0 {
            std::mem::swap(&mut self.bytes, spare);
        } else if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.has_moved();
        }
    }

    /// Gives the buffer back if it is empty: an idle connection has none. Cuts it down if it is
    /// nearly empty.
    pub(super) fn settle(&mut self, spare: &mut Vec<u8>) {
        if self.own() == 0 {
            self.sent = 0;
            self.enclosures = Vec::new();
            let mut bytes = std::mem::take(&mut self.bytes);
            if bytes.capacity() <= SPARE_MAX && bytes.capacity() > spare.capacity() {
                bytes.clear();
                *spare = bytes;
            }
        } else if self.bytes.capacity() > SPARE_MAX.max(SLACK * self.own()) {
            self.bytes = self.bytes.split_off(self.sent);
            self.has_moved();
        }
    }

    /// What was sent does not stand before the rest any more.
    fn has_moved(&mut self) {
        for Enclosure { message, .. } in &mut self.enclosures {
            *message = message.start.saturating_sub(self.sent)..message.end - self.sent;
        }
        self.sent = 0;
    }
}

/// Sends what the peer takes of some bytes, with what goes along; how much that was.
pub(super) fn transmit(
    socket: impl AsFd,
    bytes: &[u8],
    along: Option<&Rc<OwnedFd>>,
) -> Result<usize, Errno> {
    let Some(descriptor) = along else {
        return send(socket, bytes, FLAGS);
    };
    match send_with(&socket, bytes, &**descriptor, FLAGS) {
        // The answer is worth something without it, if
        //  1. too many are under way, all over the system;
        //  2. the connection is none that they can take;
        //  3. the peer has told the kernel that it takes none (SO_PASSRIGHTS, since Linux 6.16).
        Err(Errno::TOOMANYREFS | Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM) => {
            send(socket, bytes, FLAGS)
        }
        sent => sent,
    }
}

#[cfg(test)]
mod tests {
    use std::io::pipe;

    use super::*;

    fn descriptor() -> Rc<OwnedFd> {
        Rc::new(pipe().unwrap().0.into())
    }

    /// What is sent in turn if the peer takes `most` bytes each time, and with what goes something.
    fn sent(output: &mut Output, most: usize) -> Vec<(String, bool)> {
        let mut all = Vec::new();
        while output.len() > 0 {
            let (bytes, along) = output.first();
            let length = bytes.len().min(most);
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            all.push((text, along.is_some()));
            output.has_sent(length);
            output.prepare(&mut Vec::new());
        }
        output.settle(&mut Vec::new());
        assert!(output.enclosures.is_empty());
        all
    }

    fn fill(output: &mut Output) {
        for (message, is_alone) in [("ab", false), ("cde", true), ("fg", true), ("hij", false)] {
            let start = output.bytes.len();
            output.bytes.extend_from_slice(message.as_bytes());
            if is_alone {
                output.enclose(start, descriptor());
            }
        }
    }

    #[test]
    fn what_takes_a_descriptor_along_is_sent_alone() {
        let mut output = Output::default();
        fill(&mut output);
        let wanted = [("ab", false), ("cde", true), ("fg", true), ("hij", false)];
        let wanted = wanted.map(|(text, along)| (text.to_owned(), along));
        assert_eq!(sent(&mut output, 9), wanted);
        // A second time, in what is left of the first.
        fill(&mut output);
        assert_eq!(sent(&mut output, 9), wanted);
    }

    #[test]
    fn a_descriptor_goes_with_the_first_byte_alone() {
        let mut output = Output::default();
        fill(&mut output);
        let wanted = ["a", "b", "C", "d", "e", "F", "g", "h", "i", "j"];
        let along = |text: &str| text.chars().all(char::is_uppercase);
        let wanted = wanted.map(|text| (text.to_lowercase(), along(text)));
        assert_eq!(sent(&mut output, 1), wanted);
    }

    #[test]
    fn a_call_without_a_reply_takes_nothing_along() {
        let mut output = Output::default();
        output.enclose(0, descriptor());
        assert!(output.enclosures.is_empty());
    }
}
