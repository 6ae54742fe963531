//! Standard input and output as one connection, as `ssh-exec:` addresses of varlinkctl need it.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

/// A connection whose other end is standard input and output.
///
/// These may be pipes, terminals or files, shared with other programs: what they are set to is not
/// ours to change. So two threads carry the bytes, and the event loop sees an ordinary socket.
pub(crate) struct Stdio {
    writer: JoinHandle<()>,
}

impl Stdio {
    /// Begins to carry bytes. To be called after signals were blocked, so that the threads leave
    /// them alone.
    pub(crate) fn open() -> io::Result<(OwnedFd, Self)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut incoming = theirs.try_clone()?;
        let mut outgoing = theirs;
        thread::Builder::new().name("stdin".into()).spawn(move || {
            // Whatever ends it, the service sees that nothing more comes.
            let _ = io::copy(&mut io::stdin().lock(), &mut incoming);
            let _ = incoming.shutdown(Shutdown::Write);
        })?;
        let writer = thread::Builder::new()
            .name("stdout".into())
            .spawn(move || {
                let _ = io::copy(&mut outgoing, &mut io::stdout().lock());
                let _ = outgoing.shutdown(Shutdown::Both);
            })?;
        Ok((ours.into(), Stdio { writer }))
    }

    /// Waits until the last answer was written.
    pub(crate) fn finish(self) {
        let _ = self.writer.join();
    }
}
