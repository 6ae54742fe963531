//! Messages out of a stream of bytes: each ends with NUL.
//!
//! A [`Framer`] takes bytes in whatever pieces they arrive and gives back whole messages. No byte
//! is looked at twice, however small the pieces, and no more than one message of the greatest
//! length waits in it, unless the caller pushes more without taking.

use memchr::memchr;

/// Largest message we read, in bytes without its NUL; the limit of systemd's own varlink, so that
/// varlinkctl cannot reach it first.
pub(crate) const MESSAGE_MAX: usize = 16 << 20;

/// An empty buffer up to this many bytes is kept for the next message, a larger one is given back.
/// Most requests are shorter; many idle connections must cost little.
const KEEP: usize = 128;

/// A buffer this many times as large as what waits in it is cut down, if it is larger than
/// [`READ`]: what is held for a peer must not be much more than what is counted.
const SLACK: usize = 4;
/// About as much as is pushed at once; smaller buffers are not worth the trouble.
const READ: usize = 64 << 10;

/// Cuts a stream into messages.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    buffer: Vec<u8>,
    /// Where the first message not taken yet begins.
    start: usize,
    /// Up to where `buffer` was searched for NUL.
    scanned: usize,
}

/// The peer sent a message longer than [`MESSAGE_MAX`].
#[derive(Debug, PartialEq)]
pub(crate) struct TooLong;

impl Framer {
    /// Takes in the next bytes of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // Moving the rest costs at most as much as what was taken before: linear in the stream.
        if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Gives the next whole message, without its NUL; `None` if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let Some(length) = memchr(0, &self.buffer[self.scanned..]) else {
            self.scanned = self.buffer.len();
            return match self.waiting() > MESSAGE_MAX {
                true => Err(TooLong),
                false => Ok(None),
            };
        };
        let message = self.start..self.scanned + length;
        if message.len() > MESSAGE_MAX {
            return Err(TooLong);
        }
        self.start = message.end + 1;
        self.scanned = self.start;
        Ok(Some(&self.buffer[message]))
    }

    /// How many bytes wait here: of messages not taken yet, and of one that is not whole yet.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Gives memory back when little or nothing waits. To be called when no more messages are
    /// taken for now.
    pub(crate) fn rest(&mut self) {
        if self.waiting() == 0 {
            self.buffer.clear();
            self.buffer.shrink_to(KEEP);
            (self.start, self.scanned) = (0, 0);
        } else if self.buffer.capacity() > READ.max(SLACK * self.waiting()) {
            self.buffer = self.buffer.split_off(self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(framer: &mut Framer) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let Some(message) = framer.next().expect("no message is too long") {
            messages.push(message.to_vec());
        }
        framer.rest();
        messages
    }

    #[test]
    fn a_message_ends_with_nul() {
        let mut framer = Framer::default();
        framer.push(b"one\0two\0thr");
        assert_eq!(all(&mut framer), [b"one", b"two"]);
        assert_eq!(framer.waiting(), 3);
        framer.push(b"ee\0");
        assert_eq!(all(&mut framer), [b"three"]);
        assert_eq!(framer.waiting(), 0);
    }

    #[test]
    fn an_empty_message_is_a_message() {
        let mut framer = Framer::default();
        framer.push(b"\0\0");
        assert_eq!(all(&mut framer), [b"", b""]);
    }

    #[test]
    fn the_longest_message_passes_and_one_byte_more_does_not() {
        let mut framer = Framer::default();
        framer.push(&vec![b' '; MESSAGE_MAX]);
        assert_eq!(framer.next(), Ok(None));
        framer.push(b"\0");
        assert_eq!(
            framer.next().map(|message| message.map(<[u8]>::len)),
            Ok(Some(MESSAGE_MAX))
        );

        let mut framer = Framer::default();
        framer.push(&vec![b' '; MESSAGE_MAX + 1]);
        assert_eq!(framer.next(), Err(TooLong));

        let mut framer = Framer::default();
        framer.push(&vec![b' '; MESSAGE_MAX + 1]);
        framer.push(b"\0");
        assert_eq!(framer.next(), Err(TooLong), "also if it comes whole");
    }

    #[test]
    fn an_emptied_framer_keeps_no_large_buffer() {
        let mut framer = Framer::default();
        framer.push(&[b'x'; 100_000]);
        framer.push(b"\0");
        assert_eq!(all(&mut framer).len(), 1);
        assert!(framer.buffer.capacity() <= KEEP);
    }

    #[test]
    fn the_beginning_of_a_message_keeps_no_large_buffer() {
        let mut framer = Framer::default();
        framer.push(&[b'x'; 1_000_000]);
        framer.push(b"\0{");
        assert_eq!(all(&mut framer).len(), 1);
        assert!(framer.buffer.capacity() <= READ);
        framer.push(b"}\0");
        assert_eq!(all(&mut framer), [b"{}"]);
    }

    proptest! {
        /// However a stream is cut into pieces, the messages are the same.
        #[test]
        fn pieces_do_not_matter(
            messages in prop::collection::vec(prop::collection::vec(1..=255u8, 0..300), 0..20),
            cuts in prop::collection::vec(1..400usize, 1..50),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|message| [&message[..], &[0]].concat()).collect();
            let (mut framer, mut found, mut rest) = (Framer::default(), Vec::new(), &stream[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                framer.push(piece);
                found.extend(all(&mut framer));
                rest = after;
            }
            prop_assert_eq!(found, messages);
            prop_assert_eq!(framer.waiting(), 0);
        }
    }
}
