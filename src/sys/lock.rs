//! One at a time: a file beside an address that exists while somebody changes what is there.
//!
//! The folder itself could be locked by everybody who may read it, and `/run` by every user. The
//! file is ours alone, and so is its lock.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open};
use rustix::io::Errno;
use rustix::process::geteuid;

/// How often, and how long after one another, we try. What is locked takes no time, but a process
/// that was stopped meanwhile must not hold up everybody for ever.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// What belongs to a path is ours. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: OwnedFd,
}

impl Lock {
    /// Waits its turn.
    pub(crate) fn of(path: &Path) -> io::Result<Lock> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        for _ in 0..TRIES {
            if let Some(file) = take(&path)? {
                return Ok(Lock { path, _file: file });
            }
            std::thread::sleep(PAUSE);
        }
        let problem = "another program has locked it for too long";
        Err(io::Error::new(io::ErrorKind::TimedOut, problem))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is ours: whoever opened it before sees that it is gone, and makes another.
        let _ = fs::remove_file(&self.path);
    }
}

/// The file, if nobody else has it now.
fn take(path: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::RUSR | Mode::WUSR)?;
    let status = fstat(&file)?;
    if status.st_uid != geteuid().as_raw() {
        let problem = format!("{} belongs to user {}", path.display(), status.st_uid);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    let is_there = fs::symlink_metadata(path)
        .is_ok_and(|there| (there.dev(), there.ino()) == (status.st_dev, status.st_ino));
    Ok(is_there.then_some(file))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::thread;

    use super::*;

    #[test]
    fn one_has_it_at_a_time_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let is_taken = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _lock = Lock::of(&path).unwrap();
                        assert!(!is_taken.swap(true, Relaxed));
                        is_taken.store(false, Relaxed);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn it_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("socket.lock")).unwrap();
        assert!(Lock::of(&folder.path().join("socket")).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}
