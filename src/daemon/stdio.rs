//! Standard input and output as one connection, as `ssh-exec:` addresses of varlinkctl need it.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How much is carried at once, in bytes: what a pipe holds.
const CARRY: usize = 64 << 10;

/// A connection whose other end is standard input and output.
///
/// These may be pipes, terminals or files, shared with other programs: what they are set to is not
/// ours to change. So two threads carry the bytes, and the event loop sees an ordinary socket.
pub(crate) struct Stdio {
    /// Nothing is sent through it: it tells that the writer is gone.
    writer: Receiver<()>,
}

impl Stdio {
    /// Begins to carry bytes. To be called after signals were blocked, so that the threads leave
    /// them alone.
    pub(crate) fn open() -> io::Result<(OwnedFd, Self)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut incoming = theirs.try_clone()?;
        let mut outgoing = theirs;
        let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        thread::Builder::new().name("stdin".into()).spawn(move || {
            // Whatever ends it, the service sees that nothing more comes.
            let _ = carry(&mut stdin, &mut incoming);
            let _ = incoming.shutdown(Shutdown::Write);
        })?;
        let (alive, writer) = channel();
        thread::Builder::new()
            .name("stdout".into())
            .spawn(move || {
                let _ = carry(&mut outgoing, &mut stdout);
                let _ = outgoing.shutdown(Shutdown::Both);
                drop(alive);
            })?;
        Ok((ours.into(), Stdio { writer }))
    }

    /// Waits until the last answer was written, but not longer than `patience`.
    pub(crate) fn finish(self, patience: Duration) {
        let _ = self.writer.recv_timeout(patience);
    }
}

/// Carries bytes until there are no more.
///
/// `io::copy` would have the kernel do it, by splice(2). That keeps a pipe locked while it waits for
/// the socket, and who reads the pipe waits with it, for bytes that are in the pipe already.
fn carry(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; CARRY];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
