//! One connection to the service: messages go out, messages come in, each with a time limit.
//!
//! Says of each failure what a caller must know to decide whether it may try again: whether the
//! connection is gone or only silent, and whether the request has left whole. A change of which
//! the service has not heard all cannot have been made.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, ioctl_fionbio, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

use super::address::Address;
use super::attached::heard;
use super::options::Options;
use crate::sys::apart::apart;
use crate::sys::enclosure::receive_with;
use crate::sys::place::check_folder;
use crate::sys::spin::Spin;
use crate::wire::frame::{Framer, TooLong};

/// How much is read at once, in bytes; as much as the service sends at once.
const READ: usize = 64 << 10;

/// How much is read at once of a message that something comes along with, in bytes: there are short
/// ones only.
const ENCLOSED: usize = 4096;

/// How long to ask for an answer before sleeping: one from another CPU takes a tenth of it if that is
/// awake, and most of it if it sleeps.
const SPIN: Duration = Duration::from_micros(50);

/// How many times as long as for the beginning of a message we wait for its end.
pub(super) const WHOLE: u32 = 6;

/// How many connections were opened.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// A connection to the service.
#[derive(Debug)]
pub(super) struct Connection {
    /// No other connection of this process has it.
    pub(super) number: u64,
    socket: OwnedFd,
    address: Address,
    has_answered: bool,
    /// The limit for reading that the kernel was told last.
    limit: Option<Duration>,
    arrived: Framer,
    /// What came along with it.
    enclosed: Vec<OwnedFd>,
    chunk: Vec<u8>,
    spin: Spin,
    is_interruptible: bool,
}

/// When the next message is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// At once, and within this time at the latest.
    Answer(Duration),
    /// Some time, but within this one if there is a limit.
    Event(Option<Duration>),
}

/// Why a connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Nothing came, or went, in time.
    Silent,
    /// It has ended.
    Lost,
    /// A signal came first. Nothing is wrong with the connection.
    Interrupted,
    /// A message came that is longer than messages can be.
    TooLong,
}

impl Connection {
    /// Connects, within a time limit of its own; if that is zero, without waiting.
    pub(super) fn open(
        address: &Address,
        options: &Options,
        limit: Duration,
    ) -> Result<Connection, Errno> {
        // The limit for sending is also the limit for connecting. The least that there is would be a tick
        // of the kernel's clock.
        let (flags, connecting) = match limit.is_zero() {
            true => (SocketFlags::NONBLOCK, options.timeout),
            false => (SocketFlags::empty(), limit),
        };
        let flags = SocketFlags::CLOEXEC | flags;
        let socket = apart(socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            flags,
            None,
        )?)?;
        set_socket_timeout(&socket, Timeout::Send, Some(connecting))?;
        check_folder(address)?;
        let place = address.to_socket_address();
        retry_on_intr(|| connect(&socket, &place))?;
        if limit.is_zero() {
            ioctl_fionbio(&socket, false)?;
        }
        let limit = Some(options.timeout);
        if limit != Some(connecting) {
            set_socket_timeout(&socket, Timeout::Send, limit)?;
        }
        set_socket_timeout(&socket, Timeout::Recv, limit)?;
        Ok(Connection {
            number: OPENED.fetch_add(1, Relaxed),
            socket,
            address: address.clone(),
            has_answered: false,
            limit,
            arrived: Framer::default(),
            enclosed: Vec::new(),
            chunk: Vec::with_capacity(READ),
            spin: Spin::new(options.spin),
            is_interruptible: options.is_interruptible,
        })
    }

    /// Sends a message. If that fails, the service cannot have got all of it.
    pub(super) fn send(&mut self, mut message: &[u8]) -> Result<(), Broken> {
        while !message.is_empty() {
            let sent = retry_on_intr(|| send(&self.socket, message, SendFlags::NOSIGNAL))
                .map_err(Broken::of)?;
            message = &message[sent..];
        }
        Ok(())
    }

    /// Waits for the next message, given to `read` without its NUL.
    pub(super) fn receive<T>(
        &mut self,
        expect: Expect,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Broken> {
        let mut began: Option<Instant> = None;
        loop {
            if let Some(message) = self.arrived.next()? {
                note(&self.address, &mut self.has_answered);
                return Ok(read(message));
            }
            self.arrived.rest();
            self.check_whole(expect, &mut began)?;
            let limit = match expect {
                Expect::Answer(limit) => {
                    if self.spin.is_due() && self.spin()? {
                        continue;
                    }
                    Some(limit)
                }
                Expect::Event(limit) => limit,
            };
            self.limit(limit)?;
            let ends_it = self.is_interruptible && matches!(expect, Expect::Event(_));
            match self.read(RecvFlags::empty()) {
                Err(Broken::Interrupted) if !ends_it => {}
                read => read?,
            }
        }
    }

    /// The next message, if it is there already.
    pub(super) fn try_receive<T>(
        &mut self,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Broken> {
        loop {
            if let Some(message) = self.arrived.next()? {
                note(&self.address, &mut self.has_answered);
                return Ok(Some(read(message)));
            }
            self.arrived.rest();
            if !self.try_read()? {
                return Ok(None);
            }
        }
    }

    /// How much has come of the next message, in bytes.
    pub(super) fn arrived(&self) -> usize {
        self.arrived.waiting()
    }

    /// Waits for the next message with what comes along, on a connection on which nothing else is
    /// outstanding: the kernel gives descriptors together with what was sent before them.
    pub(super) fn receive_enclosed<T>(
        &mut self,
        expect: Expect,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<(T, Vec<OwnedFd>), Broken> {
        let flags = match expect {
            Expect::Event(Some(Duration::ZERO)) => RecvFlags::DONTWAIT,
            Expect::Answer(limit) => {
                self.limit(Some(limit))?;
                RecvFlags::empty()
            }
            Expect::Event(limit) => {
                self.limit(limit)?;
                RecvFlags::empty()
            }
        };
        let mut began: Option<Instant> = None;
        loop {
            if let Some(message) = self.arrived.next()? {
                return Ok((read(message), std::mem::take(&mut self.enclosed)));
            }
            self.arrived.rest();
            self.check_whole(expect, &mut began)?;
            let mut chunk = [0; ENCLOSED];
            match receive_with(&self.socket, &mut chunk, flags) {
                Ok((0, _)) => return Err(Broken::Lost),
                Ok((length, descriptors)) => {
                    self.arrived.push(&chunk[..length]);
                    // They come with the first byte.
                    if self.enclosed.is_empty() {
                        self.enclosed = descriptors;
                    }
                }
                Err(errno) => return Err(Broken::of(errno)),
            }
        }
    }

    /// The rest of a message that has begun to come may take so long and no longer, if it is waited
    /// for at all.
    fn check_whole(&self, expect: Expect, began: &mut Option<Instant>) -> Result<(), Broken> {
        if let Expect::Answer(limit) | Expect::Event(Some(limit)) = expect
            && !limit.is_zero()
            && self.arrived.waiting() > 0
            && began.get_or_insert_with(Instant::now).elapsed() > limit.saturating_mul(WHOLE)
        {
            return Err(Broken::Silent);
        }
        Ok(())
    }

    /// Asks for some µs whether something is there, without sleeping. True if so.
    fn spin(&mut self) -> Result<bool, Broken> {
        let start = Instant::now();
        while start.elapsed() < SPIN {
            if self.try_read()? {
                self.spin.has_hit();
                return Ok(true);
            }
            std::hint::spin_loop();
        }
        self.spin.has_missed();
        Ok(false)
    }

    /// Reads what is there; false if nothing is.
    fn try_read(&mut self) -> Result<bool, Broken> {
        match self.read(RecvFlags::DONTWAIT) {
            Ok(()) => Ok(true),
            Err(Broken::Silent) => Ok(false),
            Err(broken) => Err(broken),
        }
    }

    fn read(&mut self, flags: RecvFlags) -> Result<(), Broken> {
        self.chunk.clear();
        let chunk = &mut self.chunk;
        match recv(&self.socket, spare_capacity(chunk), flags) {
            Ok((0, _)) => Err(Broken::Lost),
            Ok(_) => {
                self.arrived.push(&self.chunk);
                Ok(())
            }
            Err(errno) => Err(Broken::of(errno)),
        }
    }

    fn limit(&mut self, limit: Option<Duration>) -> Result<(), Broken> {
        if self.limit != limit {
            set_socket_timeout(&self.socket, Timeout::Recv, limit).map_err(Broken::of)?;
            self.limit = limit;
        }
        Ok(())
    }
}

/// Who reads in a map must know of the service's first answer.
fn note(address: &Address, has_answered: &mut bool) {
    if !*has_answered {
        *has_answered = true;
        heard(address);
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Broken {
    fn of(errno: Errno) -> Broken {
        match errno {
            // So Linux says that a time limit has passed, or that nothing is there.
            Errno::AGAIN => Broken::Silent,
            Errno::INTR => Broken::Interrupted,
            _ => Broken::Lost,
        }
    }
}

impl From<TooLong> for Broken {
    fn from(TooLong: TooLong) -> Broken {
        Broken::TooLong
    }
}
