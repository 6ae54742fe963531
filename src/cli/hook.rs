//! Commands that are run for changes, one at a time.
//!
//! What changes while one runs stays with the service, and is taken when it has ended: the newest
//! change of each key, in the order in which they were made.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::client::{Change, Event, Value};

use super::outcome::{Answer, Failure};

/// Longest value that fits into the environment: Linux takes strings of 128 KiB, with the name
/// and a NUL.
const VALUE_MAX: usize = (128 << 10) - "GLOBSTASH_VALUE=\0".len();

/// A command and its arguments.
pub(super) struct Hook(pub(super) Vec<OsString>);

/// The changes for which nothing was run yet.
#[derive(Default)]
pub(super) struct Pending {
    /// In the order in which they came.
    events: BTreeMap<u64, Event>,
    /// Where in it the change of each key is.
    places: HashMap<String, u64>,
    next: u64,
}

impl Hook {
    /// Runs the command for a change, until it ends.
    pub(super) fn run(&self, event: &Event) -> Result<ExitStatus, Failure> {
        let (name, arguments) = self
            .0
            .split_first()
            .expect("clap asks for one word or more");
        let failed = |error| Failure::Command {
            name: name.clone(),
            error,
        };
        let mut command = Command::new(name);
        command
            .args(arguments)
            .env("GLOBSTASH_CHANGE", change(event.change))
            .env("GLOBSTASH_KEY", &event.key)
            .env("GLOBSTASH_REVISION", event.revision.to_string())
            .stdin(input(event.value.as_ref()).map_err(failed)?);
        match environment(event) {
            Some(value) => command.env("GLOBSTASH_VALUE", value),
            None => command.env_remove("GLOBSTASH_VALUE"),
        };
        command.status().map_err(failed)
    }
}

/// The status of a command as a shell tells it.
pub(super) fn answer(status: ExitStatus) -> Answer {
    let of_signal = || 128 + status.signal().expect("there is no other way to end");
    Answer::Command(status.code().unwrap_or_else(of_signal) as u8)
}

fn change(change: Change) -> &'static str {
    match change {
        Change::Set => "set",
        Change::Deleted => "deleted",
        Change::Expired => "expired",
        Change::Released => "released",
    }
}

/// The new value, if there is one and the environment can hold it.
fn environment(event: &Event) -> Option<&OsStr> {
    let value = event
        .value
        .as_ref()
        .filter(|_| event.change == Change::Set)?;
    let fits = value.as_bytes().len() <= VALUE_MAX && !value.as_bytes().contains(&0);
    fits.then(|| OsStr::from_bytes(value.as_bytes()))
}

/// A file with the value. A pipe would have to be fed while the command runs.
fn input(value: Option<&Value>) -> io::Result<File> {
    let mut file = File::from(memfd_create("globstash", MemfdFlags::CLOEXEC)?);
    file.write_all(value.map_or(&[], Value::as_bytes))?;
    file.rewind()?;
    Ok(file)
}

/// A change takes the place of an earlier one of the same key, and the last place in the order.
impl Extend<Event> for Pending {
    fn extend<I: IntoIterator<Item = Event>>(&mut self, events: I) {
        events.into_iter().for_each(|event| self.add(event));
    }
}

impl Pending {
    fn add(&mut self, event: Event) {
        if let Some(place) = self.places.insert(event.key.clone(), self.next) {
            self.events.remove(&place);
        }
        self.events.insert(self.next, event);
        self.next += 1;
    }

    /// The change that waits for longest.
    pub(super) fn take(&mut self) -> Option<Event> {
        let (_, event) = self.events.pop_first()?;
        self.places.remove(&event.key);
        Some(event)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_as_a_shell_tells_it() {
        for (raw, told) in [(0, 0), (3 << 8, 3), (9, 137), (15, 143)] {
            let answer = answer(ExitStatus::from_raw(raw));
            assert!(matches!(answer, Answer::Command(status) if status == told));
        }
    }
}
