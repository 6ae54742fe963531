//! Memory that remembers every store, so that a test can look at it as it was at any moment.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::rc::Rc;

use crate::map::layout::PAGE;
use crate::map::words::{Memory, Words};

/// Memory of one process, without pretensions; clones are the same memory.
#[derive(Clone)]
pub(in crate::map) struct Sim {
    words: Rc<Vec<Cell<u64>>>,
    /// Every store since recording began.
    log: Rc<RefCell<Option<Vec<Store>>>>,
    /// Pages that may be written, if that is watched.
    reserved: Rc<RefCell<Vec<bool>>>,
    /// Pages that may still be reserved.
    room: Rc<Cell<u32>>,
}

/// What a word became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::map) struct Store {
    pub(in crate::map) word: usize,
    pub(in crate::map) value: u64,
}

impl Sim {
    /// So many pages of zeros.
    pub(in crate::map) fn new(pages: usize) -> Self {
        Sim {
            words: Rc::new(vec![Cell::new(0); pages * PAGE]),
            log: Rc::default(),
            reserved: Rc::new(RefCell::new(vec![false; pages])),
            room: Rc::new(Cell::new(u32::MAX)),
        }
    }

    /// A copy that goes its own way.
    pub(in crate::map) fn copied(&self) -> Self {
        Sim {
            words: Rc::new((*self.words).clone()),
            log: Rc::default(),
            reserved: Rc::new(RefCell::new(self.reserved.borrow().clone())),
            room: Rc::new(self.room.as_ref().clone()),
        }
    }

    /// From now on stores are recorded.
    pub(in crate::map) fn record(&self) {
        *self.log.borrow_mut() = Some(Vec::new());
    }

    /// What was stored since recording began; it goes on.
    pub(in crate::map) fn recorded(&self) -> Vec<Store> {
        self.log.borrow().clone().unwrap_or_default()
    }

    /// How many stores were recorded.
    pub(in crate::map) fn time(&self) -> usize {
        self.log.borrow().as_ref().map_or(0, Vec::len)
    }

    /// Lets only so many more pages be reserved.
    pub(in crate::map) fn limit(&self, pages: u32) {
        self.room.set(pages);
    }

    pub(in crate::map) fn put(&self, word: usize, value: u64) {
        self.words[word].set(value);
        if let Some(log) = &mut *self.log.borrow_mut() {
            log.push(Store { word, value });
        }
    }
}

impl Words for Sim {
    fn len(&self) -> usize {
        self.words.len()
    }

    fn load(&self, word: usize) -> u64 {
        self.words.get(word).map_or(0, Cell::get)
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
        self.put(word, value);
    }

    fn release(&self) {}

    fn reserve(&self, pages: Range<u32>) -> io::Result<()> {
        let mut reserved = self.reserved.borrow_mut();
        let pages = &mut reserved[pages.start as usize..pages.end as usize];
        let new = pages.iter().filter(|page| !**page).count() as u32;
        let room = self.room.get().checked_sub(new);
        self.room.set(room.ok_or(io::ErrorKind::StorageFull)?);
        pages.fill(true);
        Ok(())
    }

    fn give_back(&self, pages: Range<u32>) {
        for page in pages {
            let was = std::mem::replace(&mut self.reserved.borrow_mut()[page as usize], false);
            self.room
                .set(self.room.get().saturating_add(u32::from(was)));
            for word in page as usize * PAGE..(page as usize + 1) * PAGE {
                if self.load(word) != 0 {
                    self.put(word, 0);
                }
            }
        }
    }
}
