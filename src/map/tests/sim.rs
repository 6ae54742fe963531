//! Memory that remembers every store, so that a test can look at it as it was at any moment, and
//! that can end its writer before any store.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use crate::map::layout::PAGE;
use crate::map::words::{Memory, Words};

/// Memory of one process, without pretensions; clones are the same memory.
#[derive(Clone)]
pub(in crate::map) struct Sim {
    words: Rc<[Cell<u64>]>,
    /// Pages that may be written.
    reserved: Rc<RefCell<Vec<bool>>>,
    log: Rc<RefCell<Log>>,
    /// How many stores the writer may still make before it dies.
    life: Rc<Cell<usize>>,
    /// How many more pages may be reserved.
    room: Rc<Cell<usize>>,
}

/// What happened since recording began.
#[derive(Default, Clone)]
pub(in crate::map) struct Log {
    pub(in crate::map) stores: Vec<Store>,
    /// Pages that were reserved or given back, and how many stores there were before.
    pages: Vec<(usize, u32, bool)>,
    is_on: bool,
}

/// What a word became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::map) struct Store {
    pub(in crate::map) word: usize,
    before: u64,
    pub(in crate::map) value: u64,
}

/// What a writer that dies unwinds with.
struct Death;

impl Sim {
    /// So many pages of zeros.
    pub(in crate::map) fn new(pages: usize) -> Self {
        Sim {
            words: vec![Cell::new(0); pages * PAGE].into(),
            reserved: Rc::new(RefCell::new(vec![false; pages])),
            log: Rc::default(),
            life: Rc::new(Cell::new(usize::MAX)),
            room: Rc::new(Cell::new(usize::MAX)),
        }
    }

    /// A copy that goes its own way, and records nothing.
    pub(in crate::map) fn copied(&self) -> Self {
        Sim {
            words: self.words.iter().cloned().collect(),
            reserved: Rc::new(RefCell::new(self.reserved.borrow().clone())),
            log: Rc::default(),
            life: Rc::new(Cell::new(usize::MAX)),
            room: Rc::new(Cell::new(usize::MAX)),
        }
    }

    /// From now on only so many more pages can be reserved.
    pub(in crate::map) fn limit(&self, pages: usize) {
        self.room.set(pages);
    }

    /// Whether there is little room now.
    pub(in crate::map) fn is_short(&self) -> bool {
        self.room.get() < usize::MAX / 2
    }

    /// From now on stores are recorded, and what was recorded before is forgotten.
    pub(in crate::map) fn record(&self) {
        let is_on = true;
        *self.log.borrow_mut() = Log {
            is_on,
            ..Log::default()
        };
    }

    /// Whether stores are recorded.
    pub(in crate::map) fn is_recording(&self) -> bool {
        self.log.borrow().is_on
    }

    /// What was recorded.
    pub(in crate::map) fn recorded(&self) -> Log {
        self.log.borrow().clone()
    }

    /// How many stores were recorded.
    pub(in crate::map) fn time(&self) -> usize {
        self.log.borrow().stores.len()
    }

    /// Takes back everything that was stored after so many stores, and what else was done then.
    pub(in crate::map) fn rewind(&self, time: usize) {
        let log = &mut *self.log.borrow_mut();
        for store in log.stores.drain(time..).rev() {
            self.words[store.word].set(store.before);
        }
        while let Some((at, page, reserved)) = log.pages.pop() {
            if at < time {
                log.pages.push((at, page, reserved));
                return;
            }
            self.reserved.borrow_mut()[page as usize] = !reserved;
        }
    }

    /// Does what another memory has recorded, from one time to a later one.
    pub(in crate::map) fn play(&self, log: &Log, times: Range<usize>) {
        let first = log.pages.partition_point(|(at, ..)| *at < times.start);
        let changed = log.pages[first..].iter();
        for (_, page, reserved) in changed.take_while(|(at, ..)| *at <= times.end) {
            self.reserved.borrow_mut()[*page as usize] = *reserved;
        }
        for store in &log.stores[times] {
            self.put(store.word, store.value);
        }
    }

    /// Does something that ends before it makes another store than the first few; whether it came
    /// to its own end.
    pub(in crate::map) fn dies_after<T>(
        &self,
        stores: usize,
        act: impl FnOnce() -> T,
    ) -> Option<T> {
        self.life.set(stores);
        let end = catch_unwind(AssertUnwindSafe(act));
        self.life.set(usize::MAX);
        match end {
            Ok(value) => Some(value),
            Err(death) if death.is::<Death>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Makes all pages writable, whoever asked for them.
    pub(in crate::map) fn reserve_all(&self) {
        self.reserved.borrow_mut().fill(true);
    }

    /// How many pages have memory behind them.
    pub(in crate::map) fn pages(&self) -> usize {
        let reserved = self.reserved.borrow();
        reserved.iter().filter(|page| **page).count()
    }

    pub(in crate::map) fn put(&self, word: usize, value: u64) {
        if self.life.get() == 0 {
            resume_unwind(Box::new(Death));
        }
        self.life.set(self.life.get() - 1);
        let before = self.words[word].replace(value);
        let log = &mut *self.log.borrow_mut();
        if log.is_on {
            log.stores.push(Store {
                word,
                before,
                value,
            });
        }
    }

    fn set_reserved(&self, page: u32, reserved: bool) {
        let was = std::mem::replace(&mut self.reserved.borrow_mut()[page as usize], reserved);
        let log = &mut *self.log.borrow_mut();
        if log.is_on && was != reserved {
            let now = log.stores.len();
            log.pages.push((now, page, reserved));
        }
    }
}

impl Words for Sim {
    fn lend(&self) -> impl Words {
        self.clone()
    }

    fn len(&self) -> usize {
        self.words.len()
    }

    fn load(&self, word: usize) -> u64 {
        match word < self.words.len() {
            true => self.words[word].get(),
            false => 0,
        }
    }

    fn acquire(&self) {}
}

impl Memory for Sim {
    fn store(&self, word: usize, value: u64) {
        assert!(
            self.reserved.borrow()[word / PAGE],
            "word {word:#x} has no memory behind it"
        );
        self.put(word, value);
    }

    fn publish(&self, word: usize, value: u64) {
        self.store(word, value);
    }

    fn release(&self) {}

    fn reserve(&self, pages: Range<u32>) -> io::Result<()> {
        let is_new = |page: &u32| !self.reserved.borrow()[*page as usize];
        let new = pages.clone().filter(is_new).count();
        let room = self.room.get().checked_sub(new);
        self.room.set(room.ok_or(io::ErrorKind::StorageFull)?);
        for page in pages {
            self.set_reserved(page, true);
        }
        Ok(())
    }

    fn give_back(&self, pages: Range<u32>) {
        for page in pages {
            if !self.reserved.borrow()[page as usize] {
                continue; // It holds zeros already.
            }
            let first = page as usize * PAGE;
            for word in first..first + PAGE {
                if self.words[word].get() != 0 {
                    self.put(word, 0);
                }
            }
            self.set_reserved(page, false);
            self.room.set(self.room.get().saturating_add(1));
        }
    }
}
