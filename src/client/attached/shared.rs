//! What all clones of an [`Attached`](super::Attached) share: which map is read, and the ways to the
//! service.
//!
//! The map that is read is found with one load, so a read takes no lock. Locks are for the moments at
//! which another map takes its place, and for asking. What is left of a map whose place was taken is
//! what a reader needs that is just reading it: addresses, with no memory behind them.
//!
//! A process that forks has the connections of its parent, and perhaps locks that threads hold which
//! it does not have: it must use none of them. So every process has its own [`Ways`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use super::super::address::Address;
use super::super::connection::{Broken, Connection};
use super::super::error::Error;
use super::super::route::Route;
use super::WhenGone;
use super::asking::Asking;
use super::offer::{Instance, Offer};
use super::witness::{self, Reading, heard};
use crate::map::{Answer, Reader, View};
use crate::sys::newest::Newest;
use crate::sys::own::{Inherited, Own};

/// How long between two looks whether another service has taken the place of one that has died. It
/// is back within 60 ms where systemd looks after it.
const LOOK: Duration = Duration::from_millis(10);

/// When nobody has looked for so long, a look waits for the answer, for up to [`LOOK`]: who reads that
/// seldom has time, and would be told by the next read only.
const SELDOM: Duration = Duration::from_secs(1);

/// How long between two attempts to get a map where there was none.
const RETRY: Duration = Duration::from_secs(10);

/// No map has this number.
pub(super) const NONE: usize = 0;

#[derive(Debug)]
pub(super) struct Shared {
    route: Route,
    when_gone: WhenGone,
    /// The map that is read.
    map: Newest<Mapped>,
    began: Instant,
    /// When somebody looked last whether there is another map, in ms since then; 0 if nobody has.
    looked: AtomicU64,
    /// How often a service has answered this program while nobody wrote the map: perhaps another one.
    doubts: AtomicU64,
    /// How many of these are settled.
    settled: AtomicU64,
    own: Own<Ways>,
    /// This.
    reader: Weak<Shared>,
    _reading: Reading,
}

/// The ways of one process to the service.
#[derive(Debug)]
struct Ways {
    asking: Asking,
    /// Held by who looks for the map that follows: over which it was asked for, if nothing was
    /// answered yet.
    question: Mutex<Option<Connection>>,
}

impl Inherited for Ways {
    fn is_whole(&self) -> bool {
        self.asking.is_whole() && self.question.is_whole()
    }
}

/// A map that is read.
pub(super) struct Mapped {
    pub(super) reader: Reader<View>,
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
    pub(super) fn open(route: Route, when_gone: WhenGone) -> Result<Arc<Shared>, Error> {
        let reading = Reading::begin();
        let (connection, offer) = Offer::wait_for(&route)?;
        let map = offer.take().map(Mapped::new);
        // Who has a map needs no connection.
        let is_absent = map.is_none();
        let idle = is_absent.then_some(connection);
        heard(&route.address);
        let shared = Arc::new_cyclic(|this| Shared {
            route,
            when_gone,
            map: Newest::new(map),
            began: Instant::now(),
            // Who was just told that there is none need not ask again at once.
            looked: AtomicU64::new(u64::from(is_absent)),
            doubts: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            own: Own::new(),
            reader: this.clone(),
            _reading: reading,
        });
        shared.asking().have(idle);
        Ok(shared)
    }

    /// The map that is read, if there is one.
    #[inline(always)]
    pub(super) fn map(&self) -> Option<&Mapped> {
        self.map.get()
    }

    /// The number of the map that is read, or [`NONE`].
    #[inline(always)]
    pub(super) fn current(&self) -> usize {
        self.map().map_or(NONE, Mapped::number)
    }

    /// The way to ask the service.
    pub(super) fn asking(&self) -> &Asking {
        &self.own().asking
    }

    /// What to do with what was read in a map, after which it was seen whether it is served.
    pub(super) fn judge(
        &self,
        number: usize,
        answer: Answer,
        is_served: bool,
    ) -> Result<Then, Error> {
        match answer {
            Answer::Found(_) | Answer::Absent if is_served => Ok(Then::Take),
            Answer::Found(_) | Answer::Absent => self.orphaned(number),
            // What is left of a map is nothing that could be read.
            Answer::Busy if self.current() != number => Ok(Then::Again),
            Answer::Busy => Ok(Then::Ask),
            Answer::Ended(_) => self.ended(number),
        }
    }

    /// No service writes the map: is there another one by now, with another map? Looks from time to
    /// time, and waits a moment only if nobody has for long.
    #[cold]
    pub(super) fn orphaned(&self, number: usize) -> Result<Then, Error> {
        if self.when_gone == WhenGone::Fail {
            return Ok(Then::Ask);
        }
        // Who begins here may have to hear of a doubt first.
        let own = self.own();
        if self.doubts() != self.settled.load(Ordering::Acquire) {
            // If nobody is there, or no longer, the doubt remains, for the next read.
            return match self.follow(number, Then::Take, Then::Take) {
                Err(Error::Lost { .. }) => Ok(Then::Take),
                then => then,
            };
        }
        Ok(self.look(own, number))
    }

    /// Looks from time to time whether there is another map.
    fn look(&self, own: &Ways, number: usize) -> Then {
        // Before anything else: mostly it is not, and then nothing is to be asked of the system.
        let patience = match self.current() == number {
            true if self.is_time(SELDOM) => LOOK,
            true if !self.is_time(LOOK) => return Then::Take,
            _ => Duration::ZERO,
        };
        let mut waiting = match own.question.try_lock() {
            Ok(waiting) => waiting,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Then::Take,
        };
        if self.current() != number {
            return Then::Again;
        }
        let Some(mut question) = waiting.take().or_else(|| Offer::ask_for(&self.route)) else {
            return Then::Take;
        };
        match Offer::within(patience, &mut question) {
            Ok(offer) if offer.instance() == self.instance() => Then::Take,
            Ok(offer) => {
                self.read_on(&offer);
                Then::Again
            }
            Err(Broken::Silent) => {
                *waiting = Some(question);
                Then::Take
            }
            Err(Broken::Lost | Broken::TooLong | Broken::Interrupted) => Then::Take,
        }
    }

    /// The map has ended: waits for the one that follows it, which starts the service if that can be
    /// started by a call.
    #[cold]
    pub(super) fn ended(&self, number: usize) -> Result<Then, Error> {
        // If it is the same, it has still to say the last words.
        self.follow(number, Then::Ask, Then::Nothing)
    }

    /// Waits for the map that follows. If it is still the same, or nobody is there, what then?
    fn follow(&self, number: usize, same: Then, nobody: Then) -> Result<Then, Error> {
        let mut waiting = self.own().question();
        if self.current() != number {
            return Ok(Then::Again);
        }
        *waiting = None;
        let doubts = self.doubts();
        let offer = match Offer::wait_for(&self.route) {
            Ok((_, offer)) => offer,
            Err(Error::Unreachable { .. }) if self.when_gone == WhenGone::Serve => {
                return Ok(nobody);
            }
            Err(error) => return Err(error),
        };
        // Who is asked now is not older than who has answered before.
        self.settled.fetch_max(doubts, Ordering::AcqRel);
        if offer.instance() == self.instance() {
            return Ok(same);
        }
        self.read_on(&offer);
        Ok(Then::Again)
    }

    /// There is no map: perhaps there can be one by now. Tells whether there is.
    #[cold]
    pub(super) fn try_again(&self) -> bool {
        let Ok(_waiting) = self.own().question.try_lock() else {
            return false;
        };
        // If that goes wrong, so will the question that comes next, which tells why.
        if self.current() == NONE
            && self.is_time(RETRY)
            && let Ok((_, offer)) = Offer::wait_for(&self.route)
        {
            self.read_on(&offer);
        }
        self.current() != NONE
    }

    /// From now on this map is read, or none if it cannot be.
    fn read_on(&self, offer: &Offer) {
        let before = self.map();
        self.map.replace(offer.take().map(Mapped::new));
        let looked = match self.current() {
            NONE => self.age().max(1),
            _ => 0,
        };
        self.looked.store(looked, Ordering::Relaxed);
        if let Some(before) = before {
            before.reader.words().give_back();
        }
        // The other readers of this program must not tell what is older from now on.
        heard(&self.route.address);
    }

    pub(super) fn is_at(&self, address: &Address) -> bool {
        self.route.address == *address
    }

    /// A service has answered. If nobody writes the map now, it may have been another one.
    pub(super) fn doubt(&self) {
        if self.map().is_some_and(|map| !map.reader.is_served()) {
            self.doubts.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::Acquire)
    }

    fn instance(&self) -> Option<Instance> {
        self.map().map(|map| map.instance)
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

    fn own(&self) -> &Ways {
        self.own.get(|_| {
            if witness::register(&self.reader) {
                self.doubt();
            }
            Ways {
                asking: Asking::new(self.route.clone()),
                question: Mutex::default(),
            }
        })
    }
}

impl Ways {
    fn question(&self) -> MutexGuard<'_, Option<Connection>> {
        // It is as it was before what panicked, or after it.
        self.question.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mapped {
    fn new((view, instance): (View, Instance)) -> Mapped {
        let reader = Reader::new(view);
        Mapped { reader, instance }
    }

    /// What no other map has, of those that were read in the same way: where this stands. Nothing
    /// takes its place.
    #[inline(always)]
    pub(super) fn number(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl std::fmt::Debug for Mapped {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Mapped")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}
