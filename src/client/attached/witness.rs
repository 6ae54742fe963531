//! What this program was told by a service must not be older in a map that it reads.
//!
//! A map that nobody writes any more is read on, because its service is mostly back at once. If it
//! was lost with the map, another one answers at the same address. Who in this program is answered by
//! it, over whichever connection, leaves a note with all maps of this address that lie there
//! unwritten. A connection has the same service at its other end all the time: so its first answer is
//! enough, and no call after that, and no read, does anything for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use super::super::address::Address;
use super::shared::Shared;
use crate::sys::own::Own;

/// How many there are that read in a map.
static READERS: AtomicUsize = AtomicUsize::new(0);
/// Who must be told. Of each process: another thread may hold the lock when it forks.
static WITNESSES: Own<Mutex<Witnesses>> = Own::new();

#[derive(Debug, Default)]
struct Witnesses {
    all: Vec<Weak<Shared>>,
    /// Whether anything was heard, by this process, while somebody reads in a map.
    has_heard: bool,
}

/// That somebody reads in a map.
#[derive(Debug)]
pub(super) struct Reading(());

impl Reading {
    pub(super) fn begin() -> Reading {
        READERS.fetch_add(1, Ordering::SeqCst);
        Reading(())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// This one is told from now on. Returns whether something was heard before, that it was not told of.
pub(super) fn register(reader: &Weak<Shared>) -> bool {
    let mut witnesses = witnesses();
    if witnesses.all.iter().any(|known| known.ptr_eq(reader)) {
        return false;
    }
    witnesses.all.retain(|known| known.strong_count() > 0);
    witnesses.all.push(reader.clone());
    witnesses.has_heard
}

/// The service at this address has answered over a connection for the first time.
pub(in super::super) fn heard(address: &Address) {
    if READERS.load(Ordering::SeqCst) == 0 {
        return;
    }
    let mut witnesses = witnesses();
    witnesses.has_heard = true;
    let all: Vec<Arc<Shared>> = witnesses.all.iter().filter_map(Weak::upgrade).collect();
    // Who is the last to have one gives back what it has.
    drop(witnesses);
    for reader in all.iter().filter(|reader| reader.is_at(address)) {
        reader.doubt();
    }
}

fn witnesses() -> MutexGuard<'static, Witnesses> {
    let witnesses = WITNESSES.get(|parent| {
        let all = parent.map_or_else(Vec::new, readers_of_parent);
        let has_heard = false;
        Mutex::new(Witnesses { all, has_heard })
    });
    witnesses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child goes on with the maps of its parent. None if a thread was changing that list as it forked: then
/// each is told of when it is first needed.
fn readers_of_parent(parent: &Mutex<Witnesses>) -> Vec<Weak<Shared>> {
    match parent.try_lock() {
        Ok(witnesses) => witnesses.all.clone(),
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().all.clone(),
        Err(TryLockError::WouldBlock) => Vec::new(),
    }
}
