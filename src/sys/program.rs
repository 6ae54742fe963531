//! Where a program is, if all that is known is its name.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The first file with that name in these folders that can be executed, as a shell looks for it. If none
/// can be, the first there is: to execute that tells why.
pub(crate) fn find(folders: impl IntoIterator<Item = PathBuf>, name: &Path) -> Option<PathBuf> {
    let mut other = None;
    for folder in folders {
        let file = folder.join(name);
        // The empty word in `$PATH` means wherever we happen to be.
        if !file.is_absolute() || !file.is_file() {
            continue;
        }
        if access(&file, Access::EXEC_OK).is_ok() {
            return Some(file);
        }
        other.get_or_insert(file);
    }
    other
}
