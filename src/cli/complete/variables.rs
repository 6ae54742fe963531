//! Which keys begin so, and what their values are: what the service can tell in time.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::address::Address;
use crate::client::{Error, Fields, Options, literal};

use super::SHOWN;
use super::service::would_start;

/// As long as the service is waited for: a fifth of a second is what people take for at once, and
/// the shell needs some of it.
const LIMIT: Duration = Duration::from_millis(150);
/// As many keys are told, and as many values are asked for. Beyond that, folders.
const KEYS_MAX: usize = 1000;
/// As much of a value is kept, in bytes: enough to see that it has more characters than are shown.
/// To turn all of some large values into what is shown would take seconds.
const KEPT: usize = 4 * (SHOWN + 1);

/// What was found: keys, with the beginnings of values as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) keys: Vec<(String, Option<Vec<u8>>)>,
    /// Whether they are only beginnings of keys, up to a '/'.
    pub(super) are_folders: bool,
}

/// What the service tells, in this order.
enum Told {
    Keys(Vec<String>),
    Value(String, Vec<u8>),
}

/// The keys that begin so.
pub(super) fn find(address: &Address, prefix: &str) -> Found {
    if would_start(address) {
        return Found::default();
    }
    let deadline = Instant::now() + LIMIT;
    let (sender, receiver) = mpsc::channel();
    let (address, pattern) = (address.clone(), format!("{}**", literal(prefix)));
    // It may be anywhere when the time is up, and ends with the process.
    thread::spawn(move || ask(&address, &pattern, &sender));
    let mut keys = Vec::new();
    let mut values = BTreeMap::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(Told::Keys(told)) => keys = told,
            Ok(Told::Value(key, value)) => _ = values.insert(key, value),
            Err(_) => break,
        }
    }
    if keys.len() > KEYS_MAX {
        return Found {
            keys: folders(&keys, prefix),
            are_folders: true,
        };
    }
    let keys = keys.into_iter().map(|key| {
        let value = values.remove(&key);
        (key, value)
    });
    Found {
        keys: keys.collect(),
        are_folders: false,
    }
}

/// Asks for the keys first, and for the values only if there are not too many. All of the keys: of
/// some of them a shell would take what they have in common for what all have.
fn ask(address: &Address, pattern: &str, sender: &Sender<Told>) -> Result<(), Error> {
    let mut client = Options::new().timeout(LIMIT).at(address)?;
    let keys = client.list_with(pattern, Fields::KEYS)?;
    let keys: Vec<String> = keys
        .map(|entry| entry.map(|entry| entry.key))
        .collect::<Result<_, _>>()?;
    let are_few = keys.len() <= KEYS_MAX;
    // Nobody listens any more when the time is up.
    let _ = sender.send(Told::Keys(keys));
    if are_few {
        for entry in client.list_with(pattern, Fields::VALUES)? {
            let entry = entry?;
            let value = entry.value.unwrap_or_default();
            let value = value.as_bytes();
            let value = value[..value.len().min(KEPT)].to_vec();
            let _ = sender.send(Told::Value(entry.key, value));
        }
    }
    Ok(())
}

/// The keys, or their beginnings up to the next '/' after a prefix, if these are not too many.
fn folders(keys: &[String], prefix: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let mut folders: Vec<_> = keys
        .iter()
        .map(|key| match key[prefix.len()..].find('/') {
            Some(slash) => key[..=prefix.len() + slash].to_owned(),
            None => key.to_owned(),
        })
        .collect();
    folders.dedup();
    match folders.len() <= KEYS_MAX {
        true => folders.into_iter().map(|key| (key, None)).collect(),
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_are_told_as_folders() {
        let keys = ["a", "b/1", "b/2/x", "c/1"].map(str::to_owned);
        let told = |prefix, keys: &[String]| -> Vec<String> {
            let folders = folders(keys, prefix);
            folders.into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(told("", &keys), ["a", "b/", "c/"]);
        assert_eq!(told("b/", &keys[1..3]), ["b/1", "b/2/"]);
        let many: Vec<_> = (0..=KEYS_MAX).map(|key| key.to_string()).collect();
        assert_eq!(told("", &many), [""; 0]);
    }
}
