//! What all clones of an [`Attached`](super::Attached) share: which map is read, and the ways to the
//! service.
//!
//! Which map it is is one atomic number, so that a read need not take a lock to know that nothing
//! has changed. Locks are for the moments at which another map takes its place, and for asking.
//!
//! A process that forks has the connections of its parent, and perhaps locks that threads hold which
//! it does not have: it must use none of them. So every process has its own, and goes by the others.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::super::connection::{Broken, Connection};
use super::super::error::Error;
use super::super::route::Route;
use super::WhenGone;
use super::asking::Asking;
use super::offer::{Instance, Offer};
use crate::map::View;

/// How long between two looks whether another service has taken the place of one that has died. It
/// is back within 60 ms where systemd looks after it.
const LOOK: Duration = Duration::from_millis(10);

/// When nobody has looked for so long, a look waits for the answer, for up to [`LOOK`]: who reads that
/// seldom has time, and would be told by the next read only.
const SELDOM: Duration = Duration::from_secs(1);

/// How long between two attempts to get a map where there was none.
const RETRY: Duration = Duration::from_secs(10);

/// No map has this number.
pub(super) const NONE: u64 = 0;

/// How many maps were mapped in this process and those that it was forked from: each has a number.
static MAPPED: AtomicU64 = AtomicU64::new(NONE);

#[derive(Debug)]
pub(super) struct Shared {
    route: Route,
    when_gone: WhenGone,
    /// The number of the map that is read, or [`NONE`].
    current: AtomicU64,
    began: Instant,
    /// When somebody looked last whether there is another map, in ms since then; 0 if nobody has.
    looked: AtomicU64,
    first: Own,
}

/// What is one process's own.
#[derive(Debug)]
struct Own {
    process: u32,
    asking: Asking,
    following: Mutex<Following>,
    /// That of a process that was forked from this one.
    next: OnceLock<Box<Own>>,
}

/// What is known of the map and of who may follow it.
#[derive(Debug, Default)]
struct Following {
    map: Option<Mapped>,
    /// Over which it was asked for, and nothing was answered yet.
    question: Option<Connection>,
}

/// A map that is read.
#[derive(Clone)]
pub(super) struct Mapped {
    pub(super) number: u64,
    pub(super) view: View,
    pub(super) instance: Instance,
}

/// What to do with what a map has said that no service writes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It holds.
    Take,
    /// There is another map.
    Again,
    /// Ask the service.
    Ask,
    /// Everything was forgotten.
    Nothing,
}

impl Shared {
    pub(super) fn open(route: Route, when_gone: WhenGone) -> Result<Shared, Error> {
        let (connection, offer) = Offer::wait_for(&route)?;
        let map = offer.take().map(Mapped::new);
        let current = map.as_ref().map_or(NONE, |map| map.number);
        // Who has a map needs no connection.
        let idle = map.is_none().then_some(connection);
        let question = None;
        let following = Following { map, question };
        Ok(Shared {
            first: Own::new(Asking::new(route.clone(), idle), following),
            route,
            when_gone,
            current: AtomicU64::new(current),
            began: Instant::now(),
            // Who was just told that there is none need not ask again at once.
            looked: AtomicU64::new(u64::from(current == NONE)),
        })
    }

    /// The number of the map that is read, or [`NONE`].
    #[inline(always)]
    pub(super) fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// The way to ask the service.
    pub(super) fn asking(&self) -> &Asking {
        &self.own().asking
    }

    /// The map that is read. `None` if there is none, or none any more.
    pub(super) fn map(&self) -> Option<Mapped> {
        let own = self.own();
        let mut following = own.following();
        let current = self.current();
        if following.map.is_none() && current != NONE {
            // This process was forked from one that has it.
            following.map = self.inherited(own.process, current);
            if following.map.is_none() {
                self.open_anew(&mut following).ok()?;
            }
        }
        following.map.clone()
    }

    /// No service writes the map: is there another one by now, with another map? Looks from time to
    /// time, and waits a moment only if nobody has for long.
    #[cold]
    pub(super) fn orphaned(&self, number: u64) -> Then {
        if self.when_gone == WhenGone::Fail {
            return Then::Ask;
        }
        // Before anything else: mostly it is not, and then nothing is to be asked of the system.
        let patience = match self.current() == number {
            true if self.is_time(SELDOM) => LOOK,
            true if !self.is_time(LOOK) => return Then::Take,
            _ => Duration::ZERO,
        };
        let mut following = match self.own().following.try_lock() {
            Ok(following) => following,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Then::Take,
        };
        if self.current() != number {
            return Then::Again;
        }
        let question = following.question.take();
        let Some(mut question) = question.or_else(|| Offer::ask_for(&self.route)) else {
            return Then::Take;
        };
        match Offer::within(patience, &mut question) {
            Ok(offer) if offer.instance() == following.instance() => Then::Take,
            Ok(offer) => {
                self.read_on(&mut following, &offer);
                Then::Again
            }
            Err(Broken::Silent) => {
                following.question = Some(question);
                Then::Take
            }
            Err(Broken::Lost | Broken::TooLong | Broken::Interrupted) => Then::Take,
        }
    }

    /// The map has ended: waits for the one that follows it, which starts the service if that can be
    /// started by a call.
    #[cold]
    pub(super) fn ended(&self, number: u64) -> Result<Then, Error> {
        let mut following = self.own().following();
        if self.current() != number {
            return Ok(Then::Again);
        }
        following.question = None;
        match Offer::wait_for(&self.route) {
            // It has still to say the last words.
            Ok((_, offer)) if offer.instance() == following.instance() => Ok(Then::Ask),
            Ok((_, offer)) => {
                self.read_on(&mut following, &offer);
                Ok(Then::Again)
            }
            Err(Error::Unreachable { .. }) if self.when_gone == WhenGone::Serve => {
                Ok(Then::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// There is no map: perhaps there can be one by now. Tells whether there is.
    #[cold]
    pub(super) fn try_again(&self) -> bool {
        let Ok(mut following) = self.own().following.try_lock() else {
            return false;
        };
        if self.is_time(RETRY) {
            // If that goes wrong, so will the question that comes next, which tells why.
            let _ = self.open_anew(&mut following);
        }
        self.current() != NONE
    }

    fn open_anew(&self, following: &mut Following) -> Result<(), Error> {
        let (_, offer) = Offer::wait_for(&self.route)?;
        self.read_on(following, &offer);
        Ok(())
    }

    /// From now on this map is read, or none if it cannot be.
    fn read_on(&self, following: &mut Following, offer: &Offer) {
        following.map = offer.take().map(Mapped::new);
        let (number, looked) = match &following.map {
            Some(map) => (map.number, 0),
            None => (NONE, self.age().max(1)),
        };
        self.looked.store(looked, Ordering::Relaxed);
        self.current.store(number, Ordering::Release);
    }

    /// The map as a process has it from which this one was forked, unless a thread that is not here
    /// was just about to change it.
    fn inherited(&self, process: u32, number: u64) -> Option<Mapped> {
        let mut own = &self.first;
        while own.process != process {
            let following = own.following.try_lock().ok();
            let map = following.and_then(|following| following.map.clone());
            if let Some(map) = map.filter(|map| map.number == number) {
                return Some(map);
            }
            own = own.next.get()?;
        }
        None
    }

    /// Whether the last look was so long ago, or there was none; if so, this is the next one.
    fn is_time(&self, pause: Duration) -> bool {
        let now = self.age();
        let looked = self.looked.load(Ordering::Relaxed);
        let is_time = looked == 0 || u128::from(now.saturating_sub(looked)) >= pause.as_millis();
        if is_time {
            self.looked.store(now.max(1), Ordering::Relaxed);
        }
        is_time
    }

    /// In ms.
    fn age(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn own(&self) -> &Own {
        let process = process::id();
        let mut own = &self.first;
        while own.process != process {
            own = own.next.get_or_init(|| {
                let asking = Asking::new(self.route.clone(), None);
                Box::new(Own::new(asking, Following::default()))
            });
        }
        own
    }
}

impl Own {
    fn new(asking: Asking, following: Following) -> Own {
        Own {
            process: process::id(),
            asking,
            following: Mutex::new(following),
            next: OnceLock::new(),
        }
    }

    fn following(&self) -> std::sync::MutexGuard<'_, Following> {
        // It is as it was before what panicked, or after it.
        self.following
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Following {
    fn instance(&self) -> Option<Instance> {
        self.map.as_ref().map(|map| map.instance)
    }
}

impl Mapped {
    fn new((view, instance): (View, Instance)) -> Mapped {
        Mapped {
            number: MAPPED.fetch_add(1, Ordering::Relaxed) + 1,
            view,
            instance,
        }
    }
}

impl std::fmt::Debug for Mapped {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Mapped")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
