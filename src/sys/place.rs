//! The two places where a service is if nobody says otherwise: one for the machine and one for each
//! user. Neither is ever taken for the other.
//!
//! Also who looks after them there: systemd where it runs, or a service that a command has started.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Uid, geteuid};

use super::address::{Address, InvalidAddress};

/// The environment variable that has the folder of the user's own service.
pub(crate) const VARIABLE: &str = "XDG_RUNTIME_DIR";

const MACHINE: &str = "/run/globstash";
/// What the user's socket is called in a folder that others have things in as well.
const SOCKET: &str = "globstash";

/// A place where a service is without being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// For everybody on the machine.
    Machine,
    /// The user's own.
    User,
}

/// Why it cannot be told where the user's own service is.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoUserAddress {
    /// `$XDG_RUNTIME_DIR` gives none.
    RuntimeDirectory(InvalidAddress),
    /// The folder is there, but others could have put a socket into it.
    Untrusted(PathBuf),
}

impl Place {
    /// Where it is.
    pub(crate) fn address(self) -> Result<Address, NoUserAddress> {
        match self {
            Place::Machine => Ok(machine()),
            Place::User => user_in(Path::new("/"), geteuid(), runtime_directory()),
        }
    }

    /// Who may connect there, as the mode of the socket.
    #[cfg(feature = "service")]
    pub(crate) fn mode(self) -> u32 {
        match self {
            // Who may do what is decided call by call.
            Place::Machine => 0o666,
            Place::User => 0o600,
        }
    }

    /// Whether systemd is there to look after it.
    pub(crate) fn has_manager(self) -> bool {
        match self {
            Place::Machine => is_booted(),
            Place::User => own_folder().join("systemd/private").exists(),
        }
    }
}

/// The address of the service for all of the machine.
pub(crate) fn machine() -> Address {
    Address::parse(MACHINE).expect("it is an absolute path, and short")
}

/// Whether systemd is what this machine was booted with, as sd_booted(3) tells.
fn is_booted() -> bool {
    fs::symlink_metadata("/run/systemd/system").is_ok_and(|data| data.is_dir())
}

fn runtime_directory() -> Option<OsString> {
    // As the XDG specification has it, a variable that is empty counts as not set.
    env::var_os(VARIABLE).filter(|path| !path.is_empty())
}

/// The folder in which the user's manager has its sockets.
pub(crate) fn own_folder() -> PathBuf {
    let usual = || format!("/run/user/{}", geteuid()).into();
    runtime_directory().unwrap_or_else(usual).into()
}

/// [`Place::address`] of the user, with all it depends on.
fn user_in(
    root: &Path,
    uid: Uid,
    runtime_directory: Option<OsString>,
) -> Result<Address, NoUserAddress> {
    let run = root.join(format!("run/user/{uid}"));
    let (folder, name) = match runtime_directory {
        Some(directory) => (directory.into(), SOCKET),
        None if run.is_dir() => (run, SOCKET),
        None => (temporary(root, uid), "socket"),
    };
    if !folder.is_absolute() {
        return Err(NoUserAddress::RuntimeDirectory(InvalidAddress::Form));
    }
    let address = Address::parse(folder.join(name)).map_err(NoUserAddress::RuntimeDirectory)?;
    match is_trusted(root, &folder, uid) {
        Some(false) => Err(NoUserAddress::Untrusted(folder)),
        Some(true) | None => Ok(address.own()),
    }
}

/// To be called right before a connection: fails at the user's own address unless its folder is there
/// and trusted. One that was not there when it was looked for could be another's by now; one that
/// is there and the user's stays that.
pub(crate) fn check_folder(address: &Address) -> Result<(), Errno> {
    check_folder_in(Path::new("/"), geteuid(), address)
}

/// [`check_folder`], with all it depends on.
fn check_folder_in(root: &Path, uid: Uid, address: &Address) -> Result<(), Errno> {
    let Some(folder) = address.own_folder() else {
        return Ok(());
    };
    match is_trusted(root, folder, uid) {
        Some(true) => Ok(()),
        Some(false) => Err(Errno::ACCESS),
        None => Err(Errno::NOENT),
    }
}

fn is_trusted(root: &Path, folder: &Path, uid: Uid) -> Option<bool> {
    match folder == temporary(root, uid) {
        true => is_private(folder, uid),
        false => is_own(folder, uid),
    }
}

/// Where everybody can make folders, each user has one, as tmux(1) does it.
pub(crate) fn temporary(root: &Path, uid: Uid) -> PathBuf {
    root.join(format!("tmp/globstash-{uid}"))
}

/// Whether nobody but the user can have put something into a folder; `None` if it is not there:
/// there is no service then.
fn is_own(folder: &Path, uid: Uid) -> Option<bool> {
    is_closed(folder.metadata(), uid, 0o022)
}

/// The same of a folder in a place where everybody can make links.
pub(crate) fn is_private(folder: &Path, uid: Uid) -> Option<bool> {
    is_closed(folder.symlink_metadata(), uid, 0o077)
}

fn is_closed(found: io::Result<Metadata>, uid: Uid, to_others: u32) -> Option<bool> {
    match found {
        Ok(data) => {
            Some(data.is_dir() && data.uid() == uid.as_raw() && data.mode() & to_others == 0)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(false),
    }
}

impl fmt::Display for NoUserAddress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            NoUserAddress::RuntimeDirectory(InvalidAddress::Form) => {
                f.write_str("$XDG_RUNTIME_DIR is not an absolute path")
            }
            NoUserAddress::RuntimeDirectory(why) => {
                write!(f, "$XDG_RUNTIME_DIR cannot hold a socket: {why}")
            }
            NoUserAddress::Untrusted(folder) => write!(
                f,
                "{folder} is not trusted: it must be a folder of user {uid} that no other can write to\n  \
                 set XDG_RUNTIME_DIR to one",
                folder = folder.display(),
                uid = geteuid(),
            ),
        }
    }
}

impl std::error::Error for NoUserAddress {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::process::getuid;

    use super::*;

    #[test]
    fn the_machine_has_one_place() {
        assert_eq!(machine().to_string(), "unix:/run/globstash");
    }

    #[test]
    fn a_user_has_the_runtime_directory() {
        let user = |directory: &str| user_in(Path::new("/none"), getuid(), Some(directory.into()));
        let address = user("/run/user/7").unwrap();
        assert_eq!(address.to_string(), "unix:/run/user/7/globstash");
        for (directory, why) in [
            ("run/user/7".to_owned(), InvalidAddress::Form),
            (format!("/{}", "a".repeat(107)), InvalidAddress::TooLong),
        ] {
            let error = user(&directory).unwrap_err();
            assert_eq!(error, NoUserAddress::RuntimeDirectory(why));
        }
    }

    #[test]
    fn without_the_variable_the_folders_are_looked_for() {
        let root = tempfile::tempdir().unwrap();
        let uid = getuid();
        let user = || user_in(root.path(), uid, None);

        let temporary = root.path().join(format!("tmp/globstash-{uid}"));
        assert_eq!(user().unwrap().path(), Some(&*temporary.join("socket")));

        let run = root.path().join(format!("run/user/{uid}"));
        fs::create_dir_all(&run).unwrap();
        assert_eq!(user().unwrap().path(), Some(&*run.join("globstash")));
    }

    /// Whoever can write to it could put a socket there, and hear what is meant for the user alone.
    #[test]
    fn a_runtime_directory_that_others_can_write_to_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).unwrap();
        let user = |uid| user_in(Path::new("/none"), uid, Some(folder.path().into()));
        mode(0o755);
        assert!(user(getuid()).is_ok());
        let other = Uid::from_raw(getuid().as_raw() + 1);
        for refused in [user(other), {
            mode(0o1777);
            user(getuid())
        }] {
            let why = NoUserAddress::Untrusted(folder.path().into());
            assert_eq!(refused, Err(why));
        }
    }

    /// Others could make it between the look and the call: by moving a folder of their own there and
    /// away again, they heard one call in ten.
    #[test]
    fn nobody_is_called_in_a_folder_that_is_not_there() {
        let root = tempfile::tempdir().unwrap();
        let uid = getuid();
        let folder = root.path().join(format!("tmp/globstash-{uid}"));
        let address = user_in(root.path(), uid, None).unwrap();
        let check = |address: &Address| check_folder_in(root.path(), uid, address);
        assert_eq!(check(&address), Err(Errno::NOENT));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(
            check(&address),
            Err(Errno::ACCESS),
            "others can look into it"
        );
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(check(&address), Ok(()));
        fs::remove_dir(&folder).unwrap();
        let by_hand = Address::parse(address.place()).unwrap();
        assert_eq!(check(&by_hand), Ok(()), "whoever says where knows better");
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_trusted() {
        let root = tempfile::tempdir().unwrap();
        let uid = getuid();
        let folder = root.path().join(format!("tmp/globstash-{uid}"));
        let mode = |mode| fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).unwrap();
        let is_trusted = || user_in(root.path(), uid, None).is_ok();

        fs::create_dir_all(&folder).unwrap();
        mode(0o755);
        assert!(!is_trusted());
        mode(0o700);
        assert!(is_trusted());
        let other = Uid::from_raw(uid.as_raw() + 1);
        assert_eq!(is_private(&folder, other), Some(false));

        fs::remove_dir(&folder).unwrap();
        symlink(root.path(), &folder).unwrap();
        assert!(!is_trusted());
    }
}
