//! One connection: what the peer sent and was not looked at yet, what it is owed, and what it may
//! still do.
//!
//! Knows bytes and messages, and when to read and to write; what a message means is the
//! service's business, when to come back the [`super::server`]'s.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, sockopt};

use super::accounts::{Accounts, Charge, Excess, Seat, Shared, TooMany};
use super::contract::{Caller, Serve, Unfinished};
use super::output::{Output, transmit};
use super::poller::EventFlags;
use super::table::Token;
use super::untaken::Untaken;
use crate::sys::enclosure::has_taken_all;
use crate::sys::peer::Peer;
use crate::wire::frame::Framer;
use crate::wire::request::Request;

/// While the peer takes no answers, its calls are not looked at when so many bytes of answers wait.
const OUTPUT_HIGH: usize = 1 << 20;

/// While its calls are not looked at, nothing is read when so many bytes of them wait. The rest
/// waits in the kernel, and then in the peer.
const INPUT_HIGH: usize = 64 << 10;

/// Bytes of answers that the kernel keeps for a peer that does not take them; it counts its own
/// expense and so doubles the number. They are charged to the service's control group, where the
/// default (208 KiB) for all connections together would be more than the unit may have.
const KERNEL_MAX: usize = 32 << 10;

/// How long a peer may take for a message, from its first byte to its last.
pub(crate) const MESSAGE_TIME: Duration = Duration::from_secs(30);

/// How long a listener is held up, while much waits for its user, before it is tried again: a few
/// replies that are as large as they get are taken in that time.
const HOLD: Duration = Duration::from_millis(50);

/// How long it is held up in all before somebody goes who has taken nothing for as long; our client
/// would wait as long for a service.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection.
pub(crate) struct Connection<J> {
    stream: OwnedFd,
    peer: Peer,
    input: Framer,
    output: Output,
    /// Whether it was sent a descriptor.
    has_enclosed: bool,
    /// The call that is being answered in pieces.
    job: Option<J>,
    /// Whole messages may be left in `input`.
    backlog: bool,
    /// The peer sends nothing more, or nothing more is to be read.
    ended: bool,
    /// The peer takes nothing more.
    deaf: bool,
    /// An answer could not be sent.
    has_failed: bool,
    seat: Result<Seat, TooMany>,
    charge: Charge,
    /// What the poller was told last.
    pub(crate) interest: EventFlags,
    /// Since when the rest of a message is missing.
    partial_since: Option<Instant>,
    /// Since when the peer has taken nothing of what waits for it.
    stalled_since: Option<Instant>,
    /// Since when it is held up, and until when; see [`Connection::hold_up`].
    held_since: Option<Instant>,
    held_until: Option<Instant>,
    /// The deadline that is noted for it.
    pub(crate) noted: Option<Instant>,
    /// Whether it stands in the queue of those that can go on.
    pub(crate) is_queued: bool,
}

impl<J: Unfinished> Connection<J> {
    /// A new connection, which counts as its user's.
    pub(crate) fn new(stream: OwnedFd, accounts: &mut Accounts) -> io::Result<Self> {
        let peer = Peer::of(stream.as_fd())?;
        sockopt::set_socket_send_buffer_size(&stream, KERNEL_MAX)?;
        let (seat, charge) = accounts.sit(peer.uid);
        Ok(Connection {
            stream,
            peer,
            input: Framer::default(),
            output: Output::default(),
            has_enclosed: false,
            job: None,
            backlog: false,
            ended: false,
            deaf: false,
            has_failed: false,
            seat,
            charge,
            interest: EventFlags::IN,
            partial_since: None,
            stalled_since: None,
            held_since: None,
            held_until: None,
            noted: None,
            is_queued: false,
        })
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    pub(crate) fn charge(&self) -> &Charge {
        &self.charge
    }

    /// Whether it is one too many: its first call is refused, then it is closed.
    pub(crate) fn is_refused(&self) -> bool {
        self.seat.is_err()
    }

    /// Reads once what the peer sent. An error, and the connection is to be closed.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if self.ended || !self.wants_input() {
            return Ok(());
        }
        match recv(&self.stream, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.ended = true,
            Ok((length, _)) => self.input.push(&buffer[..length]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Answers one call, if one is there and may be answered now. An error is what the peer did
    /// wrong, and the connection is to be closed.
    pub(crate) fn answer<S: Serve<Job = J>>(
        &mut self,
        service: &mut S,
        who: Token,
        connections: u64,
        spare: &mut Vec<u8>,
    ) -> Result<bool, String> {
        if self.job.is_some() || self.output.len() >= OUTPUT_HIGH {
            return Ok(false);
        }
        let message = match self.input.next() {
            Ok(Some(message)) => message,
            Ok(None) => {
                self.backlog = false;
                self.input.rest();
                return Ok(false);
            }
            Err(_) => return Err("a message is longer than 16 MiB".to_owned()),
        };
        (self.backlog, self.partial_since) = (true, None);
        self.output.prepare(spare);
        let is_all_sent = self.output.len() == 0;
        let request = Request::parse(message).map_err(|problem| problem.to_string())?;
        let out = &mut self.output.bytes;
        match &self.seat {
            Ok(_) => {
                let caller = Caller {
                    peer: self.peer,
                    who,
                    socket: Some(self.stream.as_fd()),
                    connections,
                };
                let start = out.len();
                self.job = service.call(&request, caller, out);
                if let Some(descriptor) = service.enclosure()
                    // One after the other, or a peer that takes none could have all that there can
                    // be under way.
                    && (!self.has_enclosed || is_all_sent && has_taken_all(&self.stream))
                {
                    self.has_enclosed = true;
                    self.output.enclose(start, descriptor);
                }
            }
            Err(TooMany(maximum)) => {
                service.refuse(&request, *maximum, out);
                (self.ended, self.backlog, self.input) = (true, false, Framer::default());
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the call that takes longer has to wait for a while because much waits for the same
    /// user already. Who listens can: it is told later what is then, and nothing is kept for it
    /// until then.
    pub(crate) fn hold_up(&mut self) -> bool {
        let is_listener = self.job.as_ref().is_some_and(J::is_endless);
        if !is_listener || !self.charge.is_crowded() {
            self.held_since = None;
            return false;
        }
        let now = Instant::now();
        self.held_since.get_or_insert(now);
        self.held_until = Some(now + HOLD);
        true
    }

    /// That while is over. `None` if there was none, or else whether there were too many of them.
    pub(crate) fn let_go(&mut self) -> Option<bool> {
        self.held_until.take()?;
        let is_too_long = |since: &mut Instant| since.elapsed() > PATIENCE;
        Some(self.held_since.take_if(is_too_long).is_some())
    }

    /// Whether it could take something, and has not for a long time.
    pub(crate) fn is_stalled(&self) -> bool {
        let is_long = |since: Instant| since.elapsed() > PATIENCE;
        self.stalled_since.is_some_and(is_long)
    }

    /// Goes on with the call that takes longer. If it answers in pieces, each goes out before the
    /// next is made, so that never more than one waits.
    pub(crate) fn resume<S: Serve<Job = J>>(
        &mut self,
        service: &mut S,
        who: Token,
        spare: &mut Vec<u8>,
    ) {
        self.output.prepare(spare);
        if let Some(job) = self.job.take() {
            self.job = service.resume(job, who, &mut self.output.bytes);
        }
    }

    /// Gives up the call that waits, which has waited for long enough.
    pub(crate) fn time_out<S: Serve<Job = J>>(
        &mut self,
        service: &mut S,
        who: Token,
        spare: &mut Vec<u8>,
    ) {
        self.output.prepare(spare);
        if let Some(job) = self.job.take() {
            service.time_out(&job, who, &mut self.output.bytes);
        }
    }

    /// Sends a reply to the call that waits for changes. False if the peer did not take all of it:
    /// then `share` gives what is kept.
    pub(crate) fn tell(&mut self, reply: &[u8], share: impl FnOnce(&Charge) -> Rc<Shared>) -> bool {
        if self.deaf {
            return true;
        }
        if self.output.len() > 0 {
            // Answers to what was asked before the call that waits.
            self.output.bytes.extend_from_slice(reply);
            return false;
        }
        match self.send(reply, None) {
            Some(sent) if sent < reply.len() => {
                self.stalled_since = Some(Instant::now());
                self.output.shared = Some((share(&self.charge), sent));
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    /// Whether it listens for changes, and has to take what it was sent before it is sent more.
    pub(crate) fn is_stuck(&self) -> bool {
        self.output.len() > 0 && self.job.as_ref().is_some_and(J::is_endless)
    }

    /// There is something to tell, as soon as the peer takes it.
    pub(crate) fn wake(&mut self) {
        if let Some(job) = &mut self.job {
            job.wake();
        }
    }

    /// The call that waited was answered.
    pub(crate) fn finish_job(&mut self) {
        self.job = None;
    }

    /// Sends what the peer takes.
    pub(crate) fn flush(&mut self, spare: &mut Vec<u8>) {
        if self.deaf {
            self.output = Output::default();
        }
        while self.output.len() > 0 {
            let mut output = std::mem::take(&mut self.output);
            let (bytes, along) = output.first();
            let Some(length) = self.send(bytes, along) else {
                break;
            };
            let is_all = length == bytes.len();
            output.has_sent(length);
            self.output = output;
            if length > 0 {
                self.stalled_since = None;
            }
            if !is_all {
                self.stalled_since.get_or_insert_with(Instant::now);
                break;
            }
        }
        self.output.settle(spare);
    }

    /// Sends what the peer takes, and says how much that was; `None` if it will never take more.
    fn send(&mut self, bytes: &[u8], along: Option<&Rc<OwnedFd>>) -> Option<usize> {
        match transmit(&self.stream, bytes, along) {
            Ok(length) => return Some(length),
            Err(Errno::AGAIN | Errno::INTR) => return Some(0),
            Err(Errno::PIPE | Errno::CONNRESET) => self.hang_up(),
            // The kernel has no memory for the answer: who waits for it must not wait for ever.
            Err(_) => self.has_failed = true,
        }
        None
    }

    /// The peer takes no more answers. What it asked for is done all the same; only what is being
    /// looked up for it is not looked up any further.
    pub(crate) fn hang_up(&mut self) {
        self.deaf = true;
        self.output = Output::default();
        self.job.take_if(|job| !job.changes_something());
        self.backlog = self.input.waiting() > 0;
    }

    /// If the peer says nothing more while it waits for what others do, is it gone?
    ///  1. It listens for as long as it is there: yes, what it asked for after that cannot be
    ///     answered any more.
    ///  2. It waits, and that is the last that it asked for: yes.
    ///  3. It waits, and has asked for something after that: no, all of it is answered.
    pub(crate) fn heed_end(&mut self) {
        let is_gone = |job: &J| {
            let is_last = self.input.waiting() == 0;
            job.ends_with_caller() && (is_last || job.is_endless())
        };
        if self.ended && !self.deaf && self.job.as_ref().is_some_and(is_gone) {
            self.hang_up();
        }
    }

    /// What has to be kept of it when it is closed, because it was sent a descriptor that it has not
    /// taken.
    pub(super) fn into_untaken(self) -> Option<Untaken> {
        if !self.has_enclosed || has_taken_all(&self.stream) {
            return None;
        }
        let (stream, _seat) = (self.stream, self.seat.ok()?);
        Some(Untaken { stream, _seat })
    }

    /// Whether it takes no more answers.
    pub(crate) fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Nothing more is to be read; what was read is answered, unless it comes after a call that
    /// waits for what others do: they do nothing any more.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        if self.job.as_ref().is_some_and(J::ends_with_caller) {
            self.input = Framer::default();
        }
    }

    /// Whether there is work that need not wait for the peer.
    pub(crate) fn can_go_on(&self) -> bool {
        match &self.job {
            Some(job) => {
                let has_room = job.is_silent() || self.output.len() == 0;
                !job.is_asleep() && has_room && self.held_until.is_none()
            }
            None => self.backlog && self.output.len() < OUTPUT_HIGH,
        }
    }

    /// Whether a call is being answered in pieces.
    pub(crate) fn has_job(&self) -> bool {
        self.job.is_some()
    }

    /// Whether nothing is left to do for the peer.
    pub(crate) fn is_done(&self) -> bool {
        let is_idle = || self.job.is_none() && !self.backlog && self.output.len() == 0;
        self.has_failed || self.ended && is_idle()
    }

    /// When something must happen, whatever the peer does: the rest of a message come, or a call
    /// that waits be over.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        if let Some(job) = &self.job {
            return job.deadline().or(self.held_until);
        }
        let is_partial = !self.backlog && self.input.waiting() > 0;
        if !is_partial && !self.is_refused() {
            return None;
        }
        let since = *self.partial_since.get_or_insert_with(Instant::now);
        Some(since + MESSAGE_TIME)
    }

    /// What to be told of by the poller.
    pub(crate) fn wanted(&self) -> EventFlags {
        let mut wanted = EventFlags::empty();
        wanted.set(EventFlags::IN, !self.ended && self.wants_input());
        wanted.set(EventFlags::OUT, self.output.len() > 0);
        wanted
    }

    /// Counts what waits. An error, and some connection must go.
    pub(crate) fn recharge(&mut self) -> Result<(), Excess> {
        let kept = self.job.as_ref().map_or(0, J::memory);
        self.charge
            .set(self.input.waiting() + self.output.own() + kept)
    }

    /// How many bytes wait, also of what waits for others as well.
    pub(crate) fn waiting(&self) -> usize {
        let kept = self.job.as_ref().map_or(0, J::memory);
        self.input.waiting() + self.output.len() + kept
    }

    fn wants_input(&self) -> bool {
        let is_held_up = self.job.is_some() || self.backlog;
        !is_held_up || self.input.waiting() < INPUT_HIGH
    }
}

impl<J> AsFd for Connection<J> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
