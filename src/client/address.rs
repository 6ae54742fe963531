//! Where the service is, if nobody says otherwise.
//!
//! There are two places: one for the machine and one for each user. Neither is ever taken for the
//! other. What an address is, is settled in [`crate::sys::address`].

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{Uid, getuid};

pub use crate::sys::address::{Address, InvalidAddress};

use super::error::Error;

const MACHINE: &str = "/run/globstash";

/// The environment variable that says where the service is.
const VARIABLE: &str = "GLOBSTASH_ADDRESS";

/// Why it cannot be told where the user's own service is.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoUserAddress {
    /// `$XDG_RUNTIME_DIR` gives none.
    RuntimeDirectory(InvalidAddress),
    /// The folder in `/tmp` is there, but others could have put a socket into it.
    Untrusted(PathBuf),
}

/// What the environment says, or else the address of the service for all of the machine.
pub(crate) fn chosen() -> Result<Address, Error> {
    match env::var_os(VARIABLE) {
        Some(words) => {
            Address::parse(&words).map_err(|why| Error::InvalidEnvironment { words, why })
        }
        None => Ok(machine()),
    }
}

/// The address of the service for all of the machine.
pub(crate) fn machine() -> Address {
    Address::parse(MACHINE).expect("it is an absolute path, and short")
}

/// The address of the user's own service.
pub(crate) fn user() -> Result<Address, NoUserAddress> {
    // As the XDG specification has it, a variable that is empty counts as not set.
    let runtime_directory = env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
    user_in(Path::new("/"), getuid(), runtime_directory)
}

/// Whether the user's own service has a socket, so that it may be worth a try.
#[cfg(feature = "command")]
pub(crate) fn is_user_there() -> bool {
    user().is_ok_and(|address| address.path().is_some_and(|path| path.exists()))
}

/// [`user`], with all it depends on.
fn user_in(
    root: &Path,
    uid: Uid,
    runtime_directory: Option<OsString>,
) -> Result<Address, NoUserAddress> {
    use NoUserAddress::RuntimeDirectory;
    if let Some(directory) = runtime_directory.map(PathBuf::from) {
        if !directory.is_absolute() {
            return Err(RuntimeDirectory(InvalidAddress::Form));
        }
        return Address::parse(directory.join("globstash")).map_err(RuntimeDirectory);
    }
    let run = root.join(format!("run/user/{uid}"));
    if run.is_dir() {
        return Address::parse(run.join("globstash")).map_err(RuntimeDirectory);
    }
    let temporary = root.join(format!("tmp/globstash-{uid}"));
    if !is_private(&temporary, uid) {
        return Err(NoUserAddress::Untrusted(temporary));
    }
    Address::parse(temporary.join("socket")).map_err(RuntimeDirectory)
}

/// Whether nobody but the user can have put something into a folder. One that is not there is
/// fine: there is no service then.
fn is_private(folder: &Path, uid: Uid) -> bool {
    match folder.symlink_metadata() {
        Ok(data) => data.is_dir() && data.uid() == uid.as_raw() && data.mode() & 0o077 == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
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
                "{folder} is not trusted: it must be a folder that is yours alone\n  \
                 remove it, or set XDG_RUNTIME_DIR",
                folder = folder.display()
            ),
        }
    }
}

impl std::error::Error for NoUserAddress {}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

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
        assert!(!is_private(&folder, Uid::from_raw(uid.as_raw() + 1)));

        fs::remove_dir(&folder).unwrap();
        symlink(root.path(), &folder).unwrap();
        assert!(!is_trusted());
    }
}
