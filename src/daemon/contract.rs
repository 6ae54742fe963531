//! What the event loop and a service expect of one another.
//!
//! The loop brings calls, one at a time for each connection, and takes replies away. Which methods
//! there are it does not know; ours are in [`super::service`], and tests bring their own.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

use super::table::Token;
use crate::sys::peer::Peer;
use crate::wire::request::Request;

/// A service.
pub(crate) trait Serve {
    /// What is left to do for a call.
    type Job: Unfinished;

    /// Answers a call, or begins to. Replies are appended to `out`, none if the call is `oneway`.
    fn call(
        &mut self,
        request: &Request<'_>,
        caller: Caller<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Self::Job>;

    /// Goes on with a call. Gives the job back if it is not done.
    fn resume(&mut self, job: Self::Job, who: Token, out: &mut Vec<u8>) -> Option<Self::Job>;

    /// A descriptor that goes with the one reply that the last call has appended. To be asked after
    /// each call.
    fn enclosure(&mut self) -> Option<Rc<OwnedFd>> {
        None
    }

    /// What other callers are to be sent because of what one has changed. To be emptied after each
    /// call.
    fn outbox(&mut self) -> &mut Vec<Delivery>;

    /// Refuses a call on a connection that is one too many, by default without a word.
    fn refuse(&mut self, _request: &Request<'_>, _maximum: u64, _out: &mut Vec<u8>) {}

    /// A call has waited for long enough, see [`Unfinished::deadline`].
    fn time_out(&mut self, _job: &Self::Job, _who: Token, _out: &mut Vec<u8>) {}

    /// The connection `who` does not take all that it is sent.
    fn is_stuck(&mut self, _who: Token) {}

    /// The connection `who` is closed.
    fn leave(&mut self, _who: Token) {}

    /// Descriptors that can be read when the service has something to do that no call asks for.
    fn sources(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    /// Does a little of that. Called as long as one of them can be read.
    fn act(&mut self) {}

    /// Whether something is left to do that nobody waits for.
    fn is_untidy(&self) -> bool {
        false
    }

    /// Does a little of that. Called while nobody else wants anything.
    fn tidy(&mut self) {}

    /// Nobody will call any more.
    fn end(&mut self) {}
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'c> {
    /// The process at the other end.
    pub(crate) peer: Peer,
    /// The connection that it calls on.
    pub(crate) who: Token,
    /// The socket of that, if it has one.
    pub(crate) socket: Option<BorrowedFd<'c>>,
    /// How many connections are open.
    pub(crate) connections: u64,
}

/// A call that is being answered in pieces. By default it has something to say whenever its caller
/// listens.
pub(crate) trait Unfinished {
    /// Whether nothing is to be done until there is a [`Delivery`] for it.
    fn is_asleep(&self) -> bool {
        false
    }

    /// There is something to do.
    fn wake(&mut self) {}

    /// Whether it does more than to tell the caller something.
    fn changes_something(&self) -> bool {
        false
    }

    /// Whether it waits for what others do, so that it is over when its caller is gone.
    fn ends_with_caller(&self) -> bool {
        false
    }

    /// Whether nothing but that ends it.
    fn is_endless(&self) -> bool {
        false
    }

    /// When it is over, whatever happens.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Whether it says nothing before it is done: then it need not wait for the peer to listen.
    fn is_silent(&self) -> bool {
        false
    }

    /// How many bytes of memory it keeps, roughly.
    fn memory(&self) -> usize {
        0
    }
}

/// What is to be sent, to the connection that listens.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A reply that others follow.
    Tell(Token, Rc<[u8]>),
    /// The last reply.
    End(Token, Rc<[u8]>),
    /// Nothing yet, but there is something to catch up with.
    Wake(Token),
}
