//! The map outlives the process: from where one that begins gets it, and to whom it is given.
//!
//! The service manager keeps two descriptors of the memory file, by name: one that can be mapped
//! for writing, and one that can not and is for readers. It hands both to the next process of the
//! service after a crash. Whatever comes that is no map of ours is set aside, so that there is never
//! a crash loop: an empty service is better than none, and an administrator can look at what it was.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::fstat;

use super::server::Listener;
use super::store::{Recovered, Store};
use crate::map::Limits;
use crate::sys::activation::{Kept, NAME};
use crate::sys::{channel, manager, succession};

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
    let (mut maps, mut views) = (Vec::new(), Vec::new());
    for Kept { name, descriptor } in kept {
        match &*name {
            MAP => maps.push(descriptor),
            VIEW => views.push(descriptor),
            DAMAGED => {} // It stays with the manager.
            name => {
                log::warn!("forgetting the descriptor '{name}': nobody knows what it is for");
                manager::forget(name);
            }
        }
    }
    let is_single = maps.len() == 1;
    let mut store = None;
    for map in maps {
        if store.is_none() {
            store = take_over(map, limits)?;
        }
    }
    match store {
        // The manager has it already: to take it away for a moment would be to risk it.
        Some(store) if is_single => {
            let is_view = |view: &OwnedFd| is_same_file(view, store.memory());
            if !(views.len() == 1 && views.iter().all(is_view)) {
                keep_view(&store);
            }
            Ok(store)
        }
        store => {
            let store = store.map_or_else(|| Store::new(limits), Ok)?;
            manager::forget(MAP);
            manager::keep(store.memory().as_fd(), MAP);
            keep_view(&store);
            Ok(store)
        }
    }
    .inspect(|_| {
        if let Err(error) = manager::wait_until_told() {
            log::warn!("a crash may lose the variables: the service manager is silent: {error}");
        }
    })
}

fn keep_view(store: &Store) {
    manager::forget(VIEW);
    match store.memory().reopen_for_reading() {
        Ok(view) => manager::keep(view.as_fd(), VIEW),
        Err(error) => log::warn!("the map cannot be kept for readers: {error}"),
    }
}

fn is_same_file(one: impl AsFd, other: impl AsFd) -> bool {
    let identity = |file: BorrowedFd<'_>| fstat(file).map(|status| (status.st_dev, status.st_ino));
    identity(one.as_fd()).is_ok_and(|one| Ok(one) == identity(other.as_fd()))
}

/// Lets the program that this process was started as, which may be a newer one by now, take its place
/// and go on with listeners and map. Returns only if that fails; then this one goes on.
pub(crate) fn succeed(listeners: &[Listener], store: &Store) {
    log::info!("another program takes over");
    let memory = store.memory();
    // The kernel would take our going for a death.
    memory.disown();
    let mut descriptors: Vec<_> = listeners
        .iter()
        .map(|listener| (listener.as_fd(), NAME))
        .collect();
    descriptors.push((memory.as_fd(), MAP));
    // The successor takes it for the manager's: it shall not give it another one.
    let view = memory.reopen_for_reading();
    descriptors.extend(view.iter().map(|view| (view.as_fd(), VIEW)));
    descriptors.extend(manager::channel().map(|channel| (channel, channel::NAME)));
    let error = succession::succeed(&descriptors, &manager::watchdog_environment());
    log::error!("going on, as no other program could take over: {error}");
    if let Err(error) = memory.own() {
        log::warn!("readers will not see when this service dies: {error}");
    }
}

/// Nothing is to be left for the next process.
pub(crate) fn end() {
    manager::forget(MAP);
    manager::forget(VIEW);
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
            // The manager refuses what it keeps already, under whatever name.
            manager::forget(MAP);
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
