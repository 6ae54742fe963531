//! `--check`: could this program take the place of the running service?
//!
//! It is what `systemctl reload` asks first, of the program that is installed now. Having started it
//! can make a memory file, and so is allowed what the service needs; and it looks at the map of the
//! running service, as every process of its user may, for reading only.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::store::Store;

/// What the kernel calls the memory file of a map.
const MEMORY_FILE: &str = "/memfd:globstash (deleted)";

/// Fails with a sentence if it could not.
pub(super) fn check() -> io::Result<()> {
    let process = std::env::var("MAINPID").map_err(|_| {
        io::Error::other(
            "$MAINPID does not say which process to check against\n  \
             systemctl reload globstashd.service does it all",
        )
    })?;
    Store::check_system()?;
    let map = map_of(&process)?;
    let file = File::open(&map).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot look at {}: {error}", map.display()),
        )
    })?;
    Store::check_map(&file).map_err(|unfit| {
        let problem = format!("this program cannot take over the variables: {unfit}");
        io::Error::new(io::ErrorKind::InvalidData, problem)
    })
}

/// The memory file that a process has open.
fn map_of(process: &str) -> io::Result<PathBuf> {
    let folder = Path::new("/proc").join(process).join("fd");
    let entries = fs::read_dir(&folder).map_err(|error| {
        let problem = format!("cannot look into {}: {error}", folder.display());
        io::Error::new(error.kind(), problem)
    })?;
    let is_map = |path: &PathBuf| fs::read_link(path).is_ok_and(|to| to == Path::new(MEMORY_FILE));
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(is_map)
        .ok_or_else(|| {
            io::Error::other(format!(
                "process {process} is no service that can be taken over"
            ))
        })
}
