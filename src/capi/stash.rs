//! Handles: the way to a service, which threads share and processes that fork can go on with.
//!
//! A call takes a client out of the pool of its process, or connects, and puts it back: so threads
//! never wait for one another, not even for one that waits. Reading goes through one `Attached`.
//!
//! There is no lock that a fork could leave locked in the child: each process has a pool of its own,
//! and a child begins with an empty one.

use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::client::{Address, Attached, Client, Error, Inherited, Options, Own, WhenGone};

/// How many connections of a process are kept for its next calls; as many threads as that can call at
/// the same time, again and again, without connecting each time.
const IDLE: usize = 8;

/// The way to a service.
#[derive(Debug)]
pub struct Stash {
    place: Place,
    /// How long the service may take to answer; `None`: as long as the client gives it.
    timeout: Option<Duration>,
    when_gone: WhenGone,
    /// Made by the first call that reads. NULL before.
    attached: AtomicPtr<Attached>,
    pool: Own<Pool>,
}

/// Where the service is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Where the environment says, or else where that of all the machine is. Looked up when there
    /// is something to ask.
    Chosen,
    /// The user's own.
    User,
    At(Address),
}

/// The connections of a process.
#[derive(Debug, Default)]
struct Pool {
    idle: Mutex<Vec<Client>>,
}

impl Inherited for Pool {
    fn is_whole(&self) -> bool {
        self.idle.is_whole()
    }
}

/// What is used where no handle is given.
pub(super) static DEFAULT: Stash = Stash::new(Place::Chosen, None, WhenGone::Serve);

impl Stash {
    pub(super) const fn new(place: Place, timeout: Option<Duration>, when_gone: WhenGone) -> Stash {
        Stash {
            place,
            timeout,
            when_gone,
            attached: AtomicPtr::new(ptr::null_mut()),
            pool: Own::new(),
        }
    }

    fn connect(&self) -> Result<Client, Error> {
        let options = Options::new();
        let options = match self.timeout {
            Some(timeout) => options.timeout(timeout),
            None => options,
        };
        match &self.place {
            Place::Chosen => options.connect(),
            Place::User => options.connect_user(),
            Place::At(address) => options.at(address.clone()),
        }
    }

    /// Asks the service, with a client that nobody else uses meanwhile.
    pub(super) fn ask<T>(
        &self,
        ask: impl FnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let pool = self.pool();
        let idle = pool.idle().pop();
        let mut client = match idle {
            Some(client) => client,
            None => self.connect()?,
        };
        // After an error, too, it can be used again.
        let result = ask(&mut client);
        let mut idle = pool.idle();
        if idle.len() < IDLE {
            idle.push(client);
        }
        result
    }

    /// Makes sure that there is a service.
    pub(super) fn reach(&self) -> Result<(), Error> {
        let client = self.connect()?;
        self.pool().idle().push(client);
        Ok(())
    }

    /// The way to read.
    #[inline]
    pub(super) fn attached(&self) -> Result<&Attached, Error> {
        self.attached_before().map_or_else(|| self.attach(), Ok)
    }

    /// The same if somebody has read before.
    #[inline(always)]
    pub(super) fn attached_before(&self) -> Option<&Attached> {
        // SAFETY: what was stored there is never taken away again while `self` lives.
        unsafe { self.attached.load(Acquire).as_ref() }
    }

    #[cold]
    fn attach(&self) -> Result<&Attached, Error> {
        let attached = self.ask(|client| client.attach_with(self.when_gone))?;
        let new = Box::into_raw(Box::new(attached));
        let stored = self
            .attached
            .compare_exchange(ptr::null_mut(), new, AcqRel, Acquire);
        let attached = match stored {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: another thread was faster, and nobody has seen ours.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
        // SAFETY: as in `attached_before`.
        Ok(unsafe { &*attached })
    }

    /// The pool of this process.
    fn pool(&self) -> &Pool {
        self.pool.get(|parent| {
            parent.inspect(|parent| parent.leave());
            Pool::default()
        })
    }
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Client>> {
        // Pushing and popping leaves nothing half done.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In a child: closes its copies of its parent's connections, if nobody was using them at the
    /// moment of the fork.
    fn leave(&self) {
        if let Ok(mut idle) = self.idle.try_lock() {
            idle.clear();
        }
    }
}

impl Drop for Stash {
    fn drop(&mut self) {
        let attached = self.attached.load(Relaxed);
        if !attached.is_null() {
            // SAFETY: it came from a box, and nobody uses `self` any more.
            drop(unsafe { Box::from_raw(attached) });
        }
    }
}
