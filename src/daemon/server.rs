//! The event loop: accepts, reads, answers, writes; one thread, one turn after the other.
//!
//! A turn serves the descriptors that are ready, then goes on with one call that takes longer.
//! Nothing in it costs as much as there are connections; nothing blocks; and when there is nothing
//! to do it sleeps without a timer.
//!
//! Knows descriptors, readiness and deadlines, not a single key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags, accept_with, shutdown};

use super::accounts::{Accounts, Charge, Excess};
use super::connection::Connection;
use super::contract::{Delivery, Serve};
use super::log::Sparingly;
use super::poller::{Deadlines, EventFlags, Poller};
use super::queue::Queue;
use super::table::{Table, Token};
use super::untaken::AllUntaken;
use crate::sys::listen::Bound;
use crate::sys::manager;
use crate::sys::signals::{Signal, Signals};
use crate::sys::spin::Spin;

/// How much is read at once, in bytes; as much as sd-varlink does.
const READ: usize = 64 << 10;
/// Most connections accepted in one turn.
const ACCEPT_MAX: usize = 64;
/// How long nothing is accepted when descriptors or memory have run out.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// When so many listeners were told of what a connection changes, others have their turn before its
/// next call: after about a millisecond. So few in tests that there are more.
const TOLD_MAX: usize = if cfg!(test) { 4 } else { 512 };
/// How long to ask for more before sleeping, after somebody was served: who calls again at once does
/// so within a few µs, if it need not be woken for that.
const SPIN: Duration = Duration::from_micros(10);
/// Most connections of a user that wait to be told that they are too many; others are closed at
/// once.
const REFUSED_MAX: usize = 16;
/// How long, when asked to stop, calls are still taken from those who have sent them already.
const LAST_CALLS: Duration = Duration::from_millis(50);
/// How long answers may take to go out then.
const GRACE: Duration = Duration::from_millis(500);

/// What the poller calls the signals. Tokens never get so high.
const SIGNALS: u64 = u64::MAX;
/// What it calls that which the service has to do by itself.
const SERVICE: u64 = u64::MAX - 1;
/// What it calls the first listener; the next ones are below.
const LISTENERS: u64 = u64::MAX - 2;

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) enum Listener {
    /// It was passed to us.
    Passed(OwnedFd),
    /// We made it.
    Bound(Bound),
}

/// What can become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A message that is not whole yet has had its time, or a call that waits.
    Connection(Token),
    /// Accepting may work again.
    Accept,
    /// The service manager wants to hear from us.
    Alive,
    /// Whoever has not taken its answer by now will not.
    GraceOver,
}

/// Why a server has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A signal asked it to end.
    Asked,
    /// A signal asked for another program to take its place.
    Succession,
    /// Nobody is connected, and nobody can connect.
    Unneeded,
}

/// The loop and all that it serves.
pub(crate) struct Server<S: Serve> {
    poller: Poller,
    signals: Signals,
    listeners: Vec<Listener>,
    connections: Table<Connection<S::Job>>,
    accounts: Accounts,
    service: S,
    deadlines: Deadlines<Due>,
    /// Connections with work that need not wait for their peers.
    queue: Queue,
    /// How many connections are there only to be told that they are too many, of each user.
    refused: HashMap<u32, usize>,
    /// What is left of those that have not taken a descriptor.
    untaken: AllUntaken,
    accept_paused: bool,
    /// Whether it pays to ask for more before sleeping.
    spin: Spin,
    watchdog: Option<Duration>,
    state: State,
    log: Sparingly,
    buffer: Box<[u8]>,
    spare: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Serving,
    /// What was read is answered, nothing more is read; then the server ends like this.
    Stopping(Ending),
    /// It ends like this, whoever is still there.
    Over(Ending),
}

impl<S: Serve> Server<S> {
    /// A server that accepts from these listeners.
    pub(crate) fn new(service: S, signals: Signals, listeners: Vec<Listener>) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&signals, SIGNALS, EventFlags::IN)?;
        for source in service.sources() {
            poller.add(source, SERVICE, EventFlags::IN)?;
        }
        for (listener, name) in listeners.iter().zip((0..=LISTENERS).rev()) {
            poller.add(listener, name, EventFlags::IN)?;
        }
        let mut server = Server {
            poller,
            signals,
            listeners,
            connections: Table::default(),
            accounts: Accounts::default(),
            service,
            deadlines: Deadlines::default(),
            queue: Queue::default(),
            refused: HashMap::new(),
            untaken: AllUntaken::default(),
            accept_paused: false,
            spin: Spin::new(true),
            watchdog: manager::watchdog_interval(),
            state: State::Serving,
            log: Sparingly::default(),
            buffer: vec![0; READ].into(),
            spare: Vec::new(),
        };
        if server.watchdog.is_some() {
            server.deadlines.add(Instant::now(), Due::Alive);
        }
        Ok(server)
    }

    /// Takes in a connection.
    pub(crate) fn add(&mut self, stream: OwnedFd) -> io::Result<()> {
        self.untaken.look();
        let connection = Connection::new(stream, &mut self.accounts)?;
        let is_refused = connection.is_refused();
        if is_refused {
            let peer = connection.peer();
            self.log.warn(
                || log::warn!(uid = peer.uid, pid = peer.pid; "too many connections: refusing one"),
            );
            let refused = self.refused.entry(peer.uid).or_default();
            if *refused == REFUSED_MAX {
                return Ok(());
            }
            *refused += 1;
        }
        let token = self.connections.insert(connection);
        let connection = self
            .connections
            .get(token)
            .expect("it was put there just now");
        let added = self
            .poller
            .add(connection, token.to_u64(), connection.interest);
        match added {
            Ok(()) => self.settle(token),
            Err(_) => self.close(token),
        }
        added
    }

    /// Serves until a signal ends it, or, without listeners, until the last connection is closed.
    /// After [`Ending::Succession`] it can be called again.
    pub(crate) fn run(&mut self) -> io::Result<Ending> {
        self.state = State::Serving;
        self.ask_listeners(EventFlags::IN)?;
        let mut ready = Vec::new();
        while !self.is_over() {
            let has_served = !ready.is_empty();
            ready.clear();
            self.wait(has_served, &mut ready)?;
            for &(name, flags) in &ready {
                self.serve(name, flags)?;
            }
            let is_idle = ready.is_empty() && self.queue.is_empty();
            self.go_on();
            self.do_what_is_due();
            if is_idle && self.service.is_untidy() {
                self.service.tidy();
            }
        }
        let ending = match self.state {
            State::Serving => Ending::Unneeded,
            State::Stopping(ending) | State::Over(ending) => ending,
        };
        if ending != Ending::Succession {
            self.service.end();
        }
        Ok(ending)
    }

    /// The service.
    pub(crate) fn service(&self) -> &S {
        &self.service
    }

    /// The sockets that connections are accepted from.
    pub(crate) fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    fn is_over(&self) -> bool {
        match self.state {
            State::Serving => self.listeners.is_empty() && self.connections.is_empty(),
            State::Stopping(_) => self.connections.is_empty(),
            State::Over(_) => true,
        }
    }

    /// Waits until there is something to do. If somebody was served just now, it asks for more before
    /// it sleeps: whoever calls again at once, from another CPU, need not wake it then.
    fn wait(&mut self, has_served: bool, ready: &mut Vec<(u64, EventFlags)>) -> io::Result<()> {
        let timeout = self.timeout();
        let has_time = timeout.is_none_or(|timeout| timeout > SPIN);
        if has_served && has_time && self.spin.is_due() {
            let start = Instant::now();
            while start.elapsed() < SPIN {
                self.poller.wait(Some(Duration::ZERO), ready)?;
                if !ready.is_empty() {
                    self.spin.has_hit();
                    return Ok(());
                }
            }
            self.spin.has_missed();
        }
        self.poller.wait(timeout, ready)
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.queue.is_empty() || self.service.is_untidy() {
            return Some(Duration::ZERO);
        }
        self.deadlines
            .next()
            .map(|when| when.saturating_duration_since(Instant::now()))
    }

    fn serve(&mut self, name: u64, flags: EventFlags) -> io::Result<()> {
        match name {
            SIGNALS => self.heed_signals(),
            SERVICE => {
                self.service.act();
                self.deliver();
                Ok(())
            }
            name if name > LISTENERS - self.listeners.len() as u64 => match self.state {
                State::Serving => self.accept((LISTENERS - name) as usize),
                _ => Ok(()), // Who calls now is the successor's.
            },
            name => {
                self.serve_connection(Token::from_u64(name), flags);
                Ok(())
            }
        }
    }

    // ---- connections ----

    fn accept(&mut self, listener: usize) -> io::Result<()> {
        for _ in 0..ACCEPT_MAX {
            match accept_with(&self.listeners[listener], SocketFlags::CLOEXEC) {
                Ok(stream) => {
                    if let Err(error) = self.add(stream) {
                        self.log
                            .warn(|| log::warn!("cannot serve a connection: {error}"));
                    }
                }
                Err(Errno::AGAIN) => break,
                // The peer gave up before its turn came.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                // Descriptors or memory have run out, or a security module says no: nothing that
                // the variables have to be lost for.
                Err(error) => {
                    self.log
                        .warn(|| log::warn!("cannot accept connections for a moment: {error}"));
                    return self.pause_accepting();
                }
            }
        }
        Ok(())
    }

    /// The listener stays ready, and would wake us again and again: nothing is asked of it for a
    /// while.
    fn pause_accepting(&mut self) -> io::Result<()> {
        self.accept_paused = true;
        self.deadlines
            .add(Instant::now() + ACCEPT_PAUSE, Due::Accept);
        self.ask_listeners(EventFlags::empty())
    }

    fn ask_listeners(&self, interest: EventFlags) -> io::Result<()> {
        self.listeners
            .iter()
            .zip((0..=LISTENERS).rev())
            .try_for_each(|(listener, name)| self.poller.modify(listener, name, interest))
    }

    fn serve_connection(&mut self, token: Token, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            connection.hang_up();
        }
        if connection.receive(&mut self.buffer).is_err() {
            return self.close(token);
        }
        self.advance(token);
    }

    /// Does for a connection what can be done now: calls answered, others told of what they
    /// changed, answers sent. If many are told, the rest is done in its next turn.
    fn advance(&mut self, token: Token) {
        let connections = self.accounts.connections();
        let mut told = 0;
        while let Some(connection) = self.connections.get_mut(token) {
            match connection.answer(&mut self.service, token, connections, &mut self.spare) {
                Ok(true) => told += self.deliver(),
                Ok(false) => break,
                Err(violation) => {
                    let peer = connection.peer();
                    self.log.warn(
                        || log::warn!(uid = peer.uid, pid = peer.pid; "closing a connection: {violation}"),
                    );
                    return self.close(token);
                }
            }
            if told >= TOLD_MAX {
                break;
            }
        }
        self.flush(token);
    }

    fn flush(&mut self, token: Token) {
        if let Some(connection) = self.connections.get_mut(token) {
            connection.flush(&mut self.spare);
            if connection.is_stuck() {
                self.service.is_stuck(token);
                connection.wake();
            }
            self.settle(token);
        }
    }

    /// Sends to those who listen what the last call has changed, and says how many they are.
    fn deliver(&mut self) -> usize {
        if self.service.outbox().is_empty() {
            return 0;
        }
        let mut outbox = std::mem::take(self.service.outbox());
        let count = outbox.len();
        // What is kept of each reply, for each user.
        let mut kept = HashMap::new();
        let mut share = |uid: u32, reply: &Rc<[u8]>, charge: &Charge| {
            let shared = kept.entry((uid, reply.as_ptr()));
            Rc::clone(shared.or_insert_with(|| charge.share(Rc::clone(reply))))
        };
        for delivery in outbox.drain(..) {
            let (Delivery::Tell(who, _) | Delivery::End(who, _) | Delivery::Wake(who)) = delivery;
            let Some(connection) = self.connections.get_mut(who) else {
                continue;
            };
            let uid = connection.peer().uid;
            let is_settled = match &delivery {
                Delivery::Wake(_) => {
                    connection.wake();
                    false
                }
                Delivery::Tell(_, reply) => {
                    let is_sent = connection.tell(reply, |charge| share(uid, reply, charge));
                    if !is_sent {
                        self.service.is_stuck(who);
                        connection.wake();
                    }
                    is_sent
                }
                Delivery::End(_, reply) => {
                    connection.finish_job();
                    connection.tell(reply, |charge| share(uid, reply, charge));
                    false
                }
            };
            if !is_settled {
                self.settle(who);
            }
        }
        *self.service.outbox() = outbox;
        count
    }

    /// Goes on with one call that takes longer, and lets the others have their turn.
    fn go_on(&mut self) {
        let Some(token) = self.queue.pop() else {
            return;
        };
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        connection.is_queued = false;
        if connection.can_go_on() && connection.has_job() && !connection.hold_up() {
            connection.resume(&mut self.service, token, &mut self.spare);
            self.deliver();
        }
        self.advance(token);
    }

    /// After something happened to a connection: what next?
    fn settle(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        connection.heed_end();
        if connection.is_done() {
            return self.close(token);
        }
        if connection.is_deaf() {
            self.service.leave(token);
        }
        if connection.can_go_on() && !connection.is_queued {
            connection.is_queued = true;
            self.queue.push(connection.peer().uid, token);
        }
        let deadline = connection.deadline();
        if deadline != connection.noted {
            let due = Due::Connection(token);
            if let Some(noted) = connection.noted {
                self.deadlines.cancel(noted, due);
            }
            if let Some(deadline) = deadline {
                self.deadlines.add(deadline, due);
            }
            connection.noted = deadline;
        }
        let wanted = connection.wanted();
        if wanted != connection.interest {
            connection.interest = wanted;
            if self
                .poller
                .modify(&*connection, token.to_u64(), wanted)
                .is_err()
            {
                return self.close(token);
            }
        }
        if let Err(excess) = connection.recharge() {
            self.relieve(token, excess);
        }
    }

    fn close(&mut self, token: Token) {
        let Some(connection) = self.connections.remove(token) else {
            return;
        };
        if connection.is_refused()
            && let Entry::Occupied(mut refused) = self.refused.entry(connection.peer().uid)
        {
            *refused.get_mut() -= 1;
            if *refused.get() == 0 {
                refused.remove();
            }
        }
        if let Some(noted) = connection.noted {
            self.deadlines.cancel(noted, Due::Connection(token));
        }
        self.service.leave(token);
        if let Some(untaken) = connection.into_untaken() {
            self.poller.remove(&untaken.stream);
            self.untaken.keep(untaken);
        }
        if self.accept_paused {
            self.accept_again();
        }
    }

    /// Too much waits: the connection on which most does is closed, of the same user or of all.
    fn relieve(&mut self, token: Token, excess: Excess) {
        self.close_worst(token, |connection, last_straw| match excess {
            Excess::User => connection.charge().same_user(last_straw.charge()),
            Excess::Total => true,
        });
    }

    /// So much waits for a user that others of its connections are held up: if somebody takes
    /// nothing, it has to go.
    fn make_room(&mut self, token: Token) {
        self.close_worst(token, |connection, held_up| {
            connection.is_stalled() && connection.charge().same_user(held_up.charge())
        });
    }

    /// Closes the connection on which most waits, of those that are concerned because of this one.
    fn close_worst(
        &mut self,
        token: Token,
        is_concerned: impl Fn(&Connection<S::Job>, &Connection<S::Job>) -> bool,
    ) {
        let Some(because) = self.connections.get(token) else {
            return;
        };
        let worst = self
            .connections
            .iter()
            .filter(|(_, connection)| is_concerned(connection, because))
            .max_by_key(|(_, connection)| connection.waiting());
        if let Some((worst, connection)) = worst {
            let peer = connection.peer();
            self.log.warn(|| log::warn!(uid = peer.uid, pid = peer.pid; "closing a connection: too much waits on it"));
            self.close(worst);
        }
    }

    fn accept_again(&mut self) {
        self.accept_paused = false;
        if let Err(error) = self.ask_listeners(EventFlags::IN) {
            log::error!("cannot accept connections any more: {error}");
        }
    }

    // ---- time and signals ----

    fn do_what_is_due(&mut self) {
        if self.deadlines.next().is_none() {
            return;
        }
        let now = Instant::now();
        while let Some(due) = self.deadlines.take(now) {
            match due {
                Due::Connection(token) => self.time_out(token),
                Due::Accept if self.accept_paused => self.accept_again(),
                Due::Accept => {}
                Due::Alive => {
                    manager::alive();
                    self.deadlines
                        .add(now + self.watchdog.unwrap_or(Duration::MAX), Due::Alive);
                }
                Due::GraceOver => {
                    if let State::Stopping(ending) = self.state {
                        self.state = State::Over(ending);
                    }
                }
            }
        }
    }

    /// A connection's deadline is over: that of being held up, that of a call that waits, or else of
    /// a message whose rest has not come.
    fn time_out(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        connection.noted = None;
        if let Some(is_too_long) = connection.let_go() {
            if is_too_long {
                self.make_room(token);
            }
            return self.settle(token);
        }
        if connection.has_job() {
            connection.time_out(&mut self.service, token, &mut self.spare);
            return self.advance(token);
        }
        let peer = connection.peer();
        self.log.warn(|| {
            log::warn!(uid = peer.uid, pid = peer.pid; "closing a connection: half a message for too long")
        });
        self.close(token);
    }

    fn heed_signals(&mut self) -> io::Result<()> {
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::Stop => self.end()?,
                Signal::Reload if self.listeners.is_empty() => {
                    log::info!("nobody can call a successor: going on");
                }
                Signal::Reload if self.state == State::Serving => self.stop(Ending::Succession)?,
                Signal::Reload => {}
            }
        }
        Ok(())
    }

    /// A signal has asked for the end.
    fn end(&mut self) -> io::Result<()> {
        let ending = Ending::Asked;
        match &mut self.state {
            State::Serving => {
                manager::stopping("answering the last calls");
                self.stop(ending)?;
            }
            State::Stopping(before) | State::Over(before) => *before = ending,
        }
        self.listeners.clear();
        Ok(())
    }

    /// Nothing more is accepted; who has called already is answered; then it is over.
    fn stop(&mut self, ending: Ending) -> io::Result<()> {
        self.state = State::Stopping(ending);
        // Closing is not enough: whoever passed us a listener may keep it open, and the poller
        // would go on to tell of it.
        self.ask_listeners(EventFlags::empty())?;
        self.deadlines.add(Instant::now() + GRACE, Due::GraceOver);
        // What a peer sends from here on fails, so that it knows that nothing was done; what it has
        // sent before can still be read.
        for (_, connection) in self.connections.iter() {
            let _ = shutdown(connection, Shutdown::Read);
        }
        self.take_last_calls()?;
        let all: Vec<Token> = self.connections.iter().map(|(token, _)| token).collect();
        for token in all {
            if let Some(connection) = self.connections.get_mut(token) {
                connection.end();
            }
            self.settle(token);
        }
        Ok(())
    }

    /// Reads what is there already.
    fn take_last_calls(&mut self) -> io::Result<()> {
        let end = Instant::now() + LAST_CALLS;
        let mut ready = Vec::new();
        while Instant::now() < end {
            self.poller.wait(Some(Duration::ZERO), &mut ready)?;
            let calls: Vec<_> = ready
                .drain(..)
                .filter(|(name, _)| *name < LISTENERS)
                .collect();
            if calls.is_empty() {
                break;
            }
            for (name, flags) in calls {
                self.serve_connection(Token::from_u64(name), flags);
            }
        }
        Ok(())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Passed(socket) => socket.as_fd(),
            Listener::Bound(socket) => socket.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use rustix::event::{PollFd, PollFlags, poll};
    use serde_json::json;

    use super::super::connection::MESSAGE_TIME;
    use super::super::service::Service;
    use super::super::store::Store;
    use super::*;
    use crate::map::Limits;

    const CALL: &[u8] = b"{\"method\":\"io.globstash.Get\",\"parameters\":{\"key\":\"a\"}}\0";

    /// A server, its one connection, and the peer's end of that.
    fn server() -> (Server<Service>, Token, UnixStream) {
        let limits = Limits {
            variables: 1000,
            bytes: 10_000,
        };
        let service = Service::new(Store::new(limits).unwrap()).unwrap();
        let mut server = Server::new(service, Signals::open().unwrap(), Vec::new()).unwrap();
        let (peer, stream) = UnixStream::pair().unwrap();
        server.add(stream.into()).unwrap();
        let (token, _) = server.connections.iter().next().unwrap();
        (server, token, peer)
    }

    /// What a peer sends arrives; when the rest of a message must have come.
    fn send(
        server: &mut Server<Service>,
        token: Token,
        peer: &mut UnixStream,
        bytes: &[u8],
    ) -> Option<Instant> {
        peer.write_all(bytes).unwrap();
        server.serve_connection(token, EventFlags::IN);
        server.deadlines.next()
    }

    #[test]
    fn half_a_message_has_its_time() {
        let (mut server, token, mut peer) = server();
        let before = Instant::now();
        let due = send(&mut server, token, &mut peer, &CALL[..9]).unwrap();
        assert!(due >= before + MESSAGE_TIME);
        assert_eq!(send(&mut server, token, &mut peer, &CALL[9..11]), Some(due));
        assert_eq!(server.deadlines.take(due), Some(Due::Connection(token)));
        server.time_out(token);
        assert!(server.connections.get(token).is_none());
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn each_message_has_its_own_time() {
        let (mut server, token, mut peer) = server();
        let first = send(&mut server, token, &mut peer, &CALL[..9]);
        let second = send(&mut server, token, &mut peer, &[&CALL[9..], b"{"].concat());
        assert!(second > first);
    }

    /// Connections of watchers of everything.
    fn listen(server: &mut Server<Service>, count: usize) -> Vec<UnixStream> {
        let listeners = (0..count).map(|_| {
            let (mut listener, stream) = UnixStream::pair().unwrap();
            let watch = b"{\"method\":\"io.globstash.Watch\",\"more\":true}\0";
            listener.write_all(watch).unwrap();
            server.add(stream.into()).unwrap();
            listener
        });
        let listeners = listeners.collect();
        let all: Vec<Token> = server.connections.iter().map(|(token, _)| token).collect();
        all.into_iter()
            .for_each(|token| server.serve_connection(token, EventFlags::IN));
        go_on(server);
        listeners
    }

    fn go_on(server: &mut Server<Service>) {
        while !server.queue.is_empty() {
            server.go_on();
        }
    }

    /// More than the watchers of [`listen`] count in one turn, if there are a hundred of them.
    fn set_hundred(ttl: u64) -> Vec<u8> {
        let set = |n| {
            let key = format!("{ttl}/{n}");
            json!({ "action": "set", "key": key, "value": "", "ttlUSec": ttl })
        };
        let operations: Vec<_> = (0..100).map(set).collect();
        let parameters = json!({ "operations": operations });
        let call = json!({ "method": "io.globstash.Apply", "parameters": parameters });
        format!("{call}\0").into_bytes()
    }

    /// Both changes were made in one turn, and all watchers counted what they would miss of the first
    /// before the second: with a thousand of them, everybody else waited for a third of a second.
    #[test]
    fn what_is_to_live_for_no_time_goes_when_all_have_heard_that_it_came() {
        let (mut server, writer, mut peer) = server();
        let _listeners = listen(&mut server, 100);
        send(&mut server, writer, &mut peer, &set_hundred(0));
        assert_eq!(server.service.store().len(), 100);
        assert!(peer.read(&mut [0; 64]).unwrap() > 0);
        go_on(&mut server);
        assert_eq!(server.service.store().len(), 0);
    }

    /// The same where one change comes of time and the other of the end of a process.
    #[test]
    fn what_is_released_goes_when_all_have_heard_what_has_expired() {
        let (mut server, writer, mut peer) = server();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        for n in 0..100 {
            let parameters = json!({ "key": format!("p/{n}"), "value": "", "pid": child.id() });
            let call = json!({ "method": "io.globstash.Set", "parameters": parameters });
            send(
                &mut server,
                writer,
                &mut peer,
                format!("{call}\0").as_bytes(),
            );
            go_on(&mut server);
        }
        send(&mut server, writer, &mut peer, &set_hundred(100_000));
        let _listeners = listen(&mut server, 100);
        child.kill().unwrap();
        child.wait().unwrap();
        for source in server.service.sources() {
            poll(&mut [PollFd::from_borrowed_fd(source, PollFlags::IN)], None).unwrap();
        }
        server.service.act();
        assert_eq!(server.service.store().len(), 100);
        while server.service.store().len() > 0 {
            server.service.act();
        }
    }

    /// All calls that a read had brought were answered in one turn. Each of them was told to all who
    /// listened; with a thousand of them the others waited for most of a second.
    #[test]
    fn changes_that_many_hear_of_are_made_in_many_turns() {
        let (mut server, writer, mut peer) = server();
        let _listeners = listen(&mut server, TOLD_MAX);
        let set =
            "{\"method\":\"io.globstash.Set\",\"parameters\":{\"key\":\"a\",\"value\":\"\"}}\0";
        send(&mut server, writer, &mut peer, set.repeat(5).as_bytes());
        let answered = |peer: &mut UnixStream| {
            let mut answers = [0; 4096];
            let length = peer.read(&mut answers).unwrap();
            answers[..length].iter().filter(|byte| **byte == 0).count()
        };
        assert_eq!(answered(&mut peer), 1);
        for _ in 1..5 {
            server.go_on();
            assert_eq!(answered(&mut peer), 1);
        }
    }

    #[test]
    fn for_a_peer_that_owes_nothing_there_is_no_timer() {
        let (mut server, token, mut peer) = server();
        assert!(send(&mut server, token, &mut peer, &CALL[..9]).is_some());
        assert_eq!(send(&mut server, token, &mut peer, &CALL[9..]), None);
        assert_eq!(server.timeout(), None);
        send(&mut server, token, &mut peer, &CALL[..9]);
        server.close(token);
        assert_eq!(server.timeout(), None);
    }
}
