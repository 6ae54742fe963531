//! A connection on which varlink_generator's client makes its calls.
//!
//! The varlink crate can connect by itself, but without time limits and with three descriptors.
//! Here the socket is made by hand, with a limit for each of connecting, sending and receiving,
//! and is handed to the generated client, which does the rest.
//!
//! Also told here: whether a request has left whole, because a change of which the service has
//! not heard all cannot have been made.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::address::Address;
use super::error::Error;
use super::generated::{self, VarlinkClient};

/// How long the service may take to accept, to take more, or to tell more. Starting it takes some
/// milliseconds; a person has lost patience by then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the service.
pub(super) struct Connection {
    address: Address,
    socket: Arc<Socket>,
    pub(super) client: VarlinkClient,
}

struct Socket {
    stream: UnixStream,
    /// Whether the last request has left whole: the client reads only after that.
    is_sent: AtomicBool,
}

impl Connection {
    pub(super) fn open(address: &Address) -> Result<Connection, Error> {
        let stream = open(address).map_err(|errno| Error::of_connecting(address, errno))?;
        let socket = Arc::new(Socket {
            stream,
            is_sent: AtomicBool::new(false),
        });
        let reader: Box<dyn Read + Send + Sync> = Box::new(Half(socket.clone()));
        let mut connection = varlink::Connection::default();
        connection.reader = Some(BufReader::new(reader));
        connection.writer = Some(Box::new(Half(socket.clone())));
        Ok(Connection {
            address: address.clone(),
            socket,
            client: VarlinkClient::new(Arc::new(RwLock::new(connection))),
        })
    }

    /// What it means that a call failed which reads.
    pub(super) fn read_failed(&self, error: generated::Error) -> Error {
        Error::of_call(&self.address, error)
    }

    /// What it means that a call failed which makes a change.
    pub(super) fn change_failed(&self, error: generated::Error) -> Error {
        let error = Error::of_call(&self.address, error);
        if self.socket.is_sent.load(Relaxed) {
            error.or_outcome_unknown()
        } else {
            error
        }
    }

    /// A reply that fits the interface, but makes no sense.
    pub(super) fn nonsense(&self, what: impl ToString) -> Error {
        Error::Nonsense {
            address: self.address.clone(),
            what: what.to_string(),
        }
    }
}

fn open(address: &Address) -> Result<UnixStream, Errno> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // The limit for sending is also the limit for connecting, so it comes first.
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    let address = address.to_socket_address();
    rustix::io::retry_on_intr(|| connect(&socket, &address))?;
    Ok(socket.into())
}

/// The socket as the crate wants it: once to read from and once to write to.
struct Half(Arc<Socket>);

impl Read for Half {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.is_sent.store(true, Relaxed);
        (&self.0.stream).read(bytes)
    }
}

impl Write for Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.is_sent.store(false, Relaxed);
        (&self.0.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
