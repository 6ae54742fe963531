//! A listening socket of our own, at an address.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};
use rustix::process::geteuid;

use super::address::Address;
use super::lock::Lock;

/// How many connections may wait to be accepted. The kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = i32::MAX;

/// A socket that listens. Dropping it removes the file that it made.
#[derive(Debug)]
pub(crate) struct Bound {
    // The file goes first: as long as somebody listens, nobody takes its place.
    file: Option<OwnFile>,
    socket: OwnedFd,
}

/// A file by its path and identity: another one may have taken its place since.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Bound {
    /// Listens at `address`. The socket that a service left behind when it was killed is replaced;
    /// a living service is not disturbed, and nothing else that lies there is touched.
    pub(crate) fn at(address: &Address, mode: Option<u32>) -> io::Result<Self> {
        let kind = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, kind, None)?;
        // Until we listen, two services that start at once could both take the other's for stale.
        let _lock = address.path().map(Lock::of).transpose()?;
        if let Some(path) = address.path() {
            remove_stale(path, address)?;
        }
        bind(&socket, &address.to_socket_address()).map_err(|error| match error {
            Errno::ADDRINUSE => in_use(),
            error => error.into(),
        })?;
        let file = address.path().map(OwnFile::at).transpose()?;
        if let (Some(path), Some(mode)) = (address.path(), mode) {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        listen(&socket, BACKLOG)?;
        Ok(Bound { file, socket })
    }

    /// Takes the address away: who calls from now on finds nobody. Those who have called can still
    /// be answered.
    pub(crate) fn withdraw(&mut self) {
        self.file = None;
    }

    /// The socket at `address` that this service made before another program took its place.
    pub(crate) fn inherited(socket: OwnedFd, address: &Address) -> io::Result<Self> {
        let file = address.path().map(OwnFile::at).transpose()?;
        Ok(Bound { file, socket })
    }
}

fn in_use() -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrInUse,
        "another service is listening there",
    )
}

/// Removes a socket on which nobody listens.
fn remove_stale(path: &Path, address: &Address) -> io::Result<()> {
    let status = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        status => status?,
    };
    if !status.file_type().is_socket() {
        let problem = "there is a file that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
    }
    match is_served(address) {
        Ok(true) => Err(in_use()),
        _ if status.uid() != geteuid().as_raw() => {
            let problem = format!("there is a socket of user {}; remove it", status.uid());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
        }
        Ok(false) => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Whether somebody listens at an address.
pub(crate) fn is_served(address: &Address) -> io::Result<bool> {
    match call(address) {
        Ok(connection) => Ok(connection.is_some()),
        // Its backlog is full.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// A connection to whoever listens at an address, if somebody does.
pub(crate) fn call(address: &Address) -> io::Result<Option<OwnedFd>> {
    let kind = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, kind, None)?;
    match connect(&socket, &address.to_socket_address()) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl OwnFile {
    fn at(path: &Path) -> io::Result<Self> {
        let status = fs::symlink_metadata(path)?;
        Ok(OwnFile {
            path: path.to_owned(),
            device: status.dev(),
            inode: status.ino(),
        })
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|status| (status.dev(), status.ino()) == (self.device, self.inode));
        if is_ours {
            // Nothing is lost if it stays: the next service replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use rustix::net::{Shutdown, shutdown};

    use super::*;

    /// A socket on which nobody listens. To close it would not be enough: a process that another test
    /// begins at this moment has it open as well.
    fn leave_socket(path: &Path) {
        let listener = UnixListener::bind(path).unwrap();
        shutdown(&listener, Shutdown::Both).unwrap();
    }

    fn address_in(folder: &tempfile::TempDir) -> (Address, PathBuf) {
        let path = folder.path().join("socket");
        (Address::parse(&path).unwrap(), path)
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (address, path) = address_in(&folder);
        leave_socket(&path);
        let bound = Bound::at(&address, Some(0o600)).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        drop(bound);
        assert!(!path.exists(), "its own file goes with it");
    }

    #[test]
    fn a_living_service_is_not_disturbed() {
        let folder = tempfile::tempdir().unwrap();
        let (address, path) = address_in(&folder);
        let _first = Bound::at(&address, None).unwrap();
        let second = Bound::at(&address, None).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn an_address_that_stays_locked_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let (address, path) = address_in(&folder);
        let _lock = Lock::of(&path).unwrap();
        let refused = Bound::at(&address, None).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_socket_of_another_user_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (address, path) = address_in(&folder);
        leave_socket(&path);
        std::os::unix::fs::chown(&path, Some(1000), None).expect("the tests run as root");
        let refused = Bound::at(&address, None).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "there is a socket of user 1000; remove it"
        );
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (address, path) = address_in(&folder);
        fs::write(&path, "precious").unwrap();
        assert_eq!(
            Bound::at(&address, None).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn the_file_of_a_successor_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (address, path) = address_in(&folder);
        let first = Bound::at(&address, None).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = Bound::at(&address, None).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
    }
}
