//! Descriptors that peers were sent and have not taken, on connections that are closed.
//!
//! As long as they lie there, the kernel counts them as ours, and our user has a limit. They lie
//! there until the peer closes its end, also when ours is closed. So a connection with one keeps its
//! seat until then: or else who opens one after the other, asks for the map and ends it, could take
//! what there is for all.
//!
//! That a descriptor was taken, the kernel tells who asks, and nobody else. So it is noticed when
//! somebody connects, and an idle service sleeps.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rustix::net::{Shutdown, shutdown};

use super::accounts::Seat;
use crate::sys::enclosure::has_taken_all;

/// How many are looked at when somebody connects: more than can be added meanwhile.
const LOOKS: usize = 2;

/// A closed connection that still counts as its user's.
pub(super) struct Untaken {
    pub(super) stream: OwnedFd,
    /// Given back with this.
    pub(super) _seat: Seat,
}

/// All of them.
#[derive(Default)]
pub(super) struct AllUntaken(VecDeque<Untaken>);

impl AllUntaken {
    /// Keeps one. Its peer sees the end of the connection.
    pub(super) fn keep(&mut self, untaken: Untaken) {
        // If that fails, there is no peer any more.
        let _ = shutdown(&untaken.stream, Shutdown::Both);
        self.0.push_back(untaken);
    }

    /// Gives back the seats of some that are done.
    pub(super) fn look(&mut self) {
        for _ in 0..LOOKS.min(self.0.len()) {
            let next = self.0.pop_front();
            self.0
                .extend(next.filter(|untaken| !has_taken_all(&untaken.stream)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use rustix::net::{SendFlags, send};

    use super::super::accounts::Accounts;
    use super::*;

    #[test]
    fn a_seat_is_kept_until_everything_was_taken() {
        let mut accounts = Accounts::default();
        let mut all = AllUntaken::default();
        let mut theirs = Vec::new();
        for _ in 0..3 {
            let (ours, peer) = UnixStream::pair().unwrap();
            send(&ours, b"reply", SendFlags::empty()).unwrap();
            let _seat = accounts.sit(7).0.unwrap();
            let stream = ours.into();
            all.keep(Untaken { stream, _seat });
            theirs.push(peer);
        }
        // What is closed here may be open for a moment in a process that another test begins.
        let mut look = |connections| {
            while accounts.connections() > connections {
                all.look();
            }
            (0..3).for_each(|_| all.look());
            assert_eq!(accounts.connections(), connections);
        };
        look(3);
        let mut text = String::new();
        theirs[1].read_to_string(&mut text).unwrap();
        assert_eq!(text, "reply", "and then the end");
        look(2);
        theirs.truncate(1);
        look(1);
    }
}
