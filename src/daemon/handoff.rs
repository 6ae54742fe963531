//! The map outlives the process: from where one that begins gets it, and to whom it is given.
//!
//! The service manager keeps two descriptors of the memory file, by name: one that can be mapped
//! for writing, and one that can not and is for readers. It hands both to the next process of the
//! service after a crash. Whatever comes that is no map of ours is set aside, so that there is never
//! a crash loop: an empty service is better than none, and an administrator can look at what it was.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::store::{Recovered, Store};
use crate::map::Limits;
use crate::sys::activation::Kept;
use crate::sys::manager;

/// What the manager calls the map.
const MAP: &str = "map";
/// The same, for readers only.
const VIEW: &str = "view";
/// A map that could not be taken over.
const DAMAGED: &str = "damaged";

/// The store that a process begins with: the one whose descriptors were kept, or an empty one. Once
/// this returns the manager has its descriptors, so that from the first answer on a crash loses
/// nothing.
pub(crate) fn begin(kept: Vec<Kept>, limits: Limits) -> io::Result<Store> {
    let mut store = None;
    for Kept { name, descriptor } in kept {
        match &*name {
            MAP if store.is_none() => store = take_over(descriptor, limits)?,
            MAP | VIEW => {}
            DAMAGED => continue, // It stays with the manager.
            name => log::warn!("forgetting the descriptor '{name}': nobody knows what it is for"),
        }
        manager::forget(&name);
    }
    let store = match store {
        Some(store) => store,
        None => Store::new(limits)?,
    };
    keep(&store);
    Ok(store)
}

/// Nothing is to be left for the next process.
pub(crate) fn end() {
    manager::forget(MAP);
    manager::forget(VIEW);
}

fn keep(store: &Store) {
    manager::keep(store.memory().as_fd(), MAP);
    match store.memory().reopen_for_reading() {
        Ok(view) => manager::keep(view.as_fd(), VIEW),
        Err(error) => log::warn!("the map cannot be kept for readers: {error}"),
    }
    if let Err(error) = manager::wait_until_told() {
        log::warn!("a crash may lose the variables: the service manager is silent: {error}");
    }
}

/// Takes over a map; `None` if that cannot be done, and it was set aside.
fn take_over(file: OwnedFd, limits: Limits) -> io::Result<Option<Store>> {
    let spare = file.try_clone()?;
    match Store::take_over(file, limits) {
        Ok((store, recovered)) => {
            report(&store, recovered);
            Ok(Some(store))
        }
        Err(why) => {
            log::error!(
                "beginning without variables: {why}; the memory file is kept as '{DAMAGED}'"
            );
            manager::forget(DAMAGED);
            manager::keep(spare.as_fd(), DAMAGED);
            Ok(None)
        }
    }
}

fn report(store: &Store, recovered: Recovered) {
    log::info!(
        variables = store.len(), revision = store.revision().0;
        "took over the variables of a service that is gone"
    );
    if recovered.dropped > 0 {
        log::error!("{} variables were damaged and are gone", recovered.dropped);
    }
    if recovered.broken_record {
        log::error!("a change of several variables was damaged and may be done in part");
    }
}
