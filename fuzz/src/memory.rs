//! Memory of this process, in which a map is made and then damaged.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::rc::Rc;

use arbitrary::Arbitrary;

use crate::map::{Limits, Map, Memory, Origin, Stamp, Words};

/// Words in a page.
const PAGE: usize = 512;

/// Large enough for a slab of each size that the sample has, and for some more.
const PAGES: usize = 512;

/// Clones are the same memory.
#[derive(Clone)]
pub struct Plain {
    words: Rc<[Cell<u64>]>,
    /// Which pages may be written, and how many more may be reserved.
    reserved: Rc<RefCell<Vec<bool>>>,
    pub room: Rc<Cell<u32>>,
}

impl Plain {
    pub fn new() -> Self {
        Self {
            words: vec![Cell::new(0); PAGES * PAGE].into(),
            reserved: Rc::new(RefCell::new(vec![false; PAGES])),
            room: Rc::new(Cell::new(u32::MAX)),
        }
    }

    /// A copy that goes its own way.
    pub fn copied(&self) -> Self {
        let copy = Self::new();
        copy.reserved
            .borrow_mut()
            .clone_from(&self.reserved.borrow());
        for page in (0..PAGES).filter(|page| copy.reserved.borrow()[*page]) {
            for word in page * PAGE..(page + 1) * PAGE {
                copy.words[word].set(self.words[word].get());
            }
        }
        copy.room.set(self.room.get());
        copy
    }
}

impl Plain {
    /// Takes back what was damaged, the last first.
    pub fn repair(&self, damaged: Vec<(usize, u64)>) {
        for (word, before) in damaged.into_iter().rev() {
            self.words[word].set(before);
        }
    }
}

impl Words for Plain {
    fn lend(&self) -> impl Words {
        self.clone()
    }

    fn len(&self) -> usize {
        self.words.len()
    }

    fn load(&self, word: usize) -> u64 {
        self.words.get(word).map_or(0, Cell::get)
    }

    fn acquire(&self) {}
}

impl Memory for Plain {
    fn store(&self, word: usize, value: u64) {
        let is_reserved = self.reserved.borrow()[word / PAGE];
        assert!(is_reserved, "word {word:#x} has no memory behind it");
        self.words[word].set(value);
    }

    fn publish(&self, word: usize, value: u64) {
        self.store(word, value);
    }

    fn release(&self) {}

    fn reserve(&self, pages: Range<u32>) -> io::Result<()> {
        let pages = pages.start as usize..pages.end as usize;
        let mut reserved = self.reserved.borrow_mut();
        let new = reserved[pages.clone()]
            .iter()
            .filter(|page| !**page)
            .count() as u32;
        let room = self.room.get().checked_sub(new);
        self.room.set(room.ok_or(io::ErrorKind::OutOfMemory)?);
        reserved[pages].fill(true);
        Ok(())
    }

    fn give_back(&self, pages: Range<u32>) {
        let pages = pages.start as usize..pages.end as usize;
        self.reserved.borrow_mut()[pages.clone()].fill(false);
        for word in &self.words[pages.start * PAGE..pages.end * PAGE] {
            word.set(0);
        }
    }
}

pub const LIMITS: Limits = Limits {
    variables: 200,
    bytes: 200_000,
};

pub const ORIGIN: Origin = Origin {
    instance: 1 << 64 | 2,
    born: 3,
};

/// Some of the variables of [`sample`].
pub fn key(number: u8) -> Vec<u8> {
    // Of all remainders of eight.
    format!("{:1$}", number, 1 + usize::from(number % 20)).into_bytes()
}

/// A map with some variables, and the memory it stands in.
pub fn sample() -> (Map<Plain>, Plain) {
    let memory = Plain::new();
    let map = Map::create(memory.clone(), LIMITS, ORIGIN, 4);
    let mut map = map.expect("there is memory");
    for number in 0..60 {
        let value = vec![number; [0, 9, 100, 5000][usize::from(number % 4)]];
        let set = map.set(&key(number), &value, &Stamp::default());
        set.expect("they are below the limits");
    }
    for number in (0..60).step_by(7) {
        map.delete(&[key(number)]);
    }
    (map, memory)
}

/// A word that is damaged.
#[derive(Debug, Arbitrary)]
pub struct Damage {
    place: Place,
    value: Value,
}

#[derive(Debug, Arbitrary)]
enum Place {
    /// In the header.
    Header(u8),
    /// In the table, which stands first.
    Table(u16),
    /// In one of the first words of one of the blocks that a slot leads to.
    Block(u16, u8),
    Anywhere(u32),
}

#[derive(Debug, Arbitrary)]
enum Value {
    Word(u64),
    Small(u8),
    Flip(u8),
    /// What another word holds.
    Copy(Box<Place>),
    /// The upper half of what is there, with another lower one.
    Lower(u16),
    /// A head of a block: lengths.
    Head(u8, u8, u32),
}

/// Where the first table stands: behind the header and the redo record.
const TABLE: usize = 17 * PAGE;

/// Words of the first table.
const TABLE_WORDS: usize = 2 * PAGE;

impl Place {
    fn word(&self, memory: &Plain) -> usize {
        match *self {
            Self::Header(n) => usize::from(n) % 40,
            Self::Table(n) => TABLE + usize::from(n) % TABLE_WORDS,
            Self::Block(slot, n) => {
                let slot = TABLE + usize::from(slot) % TABLE_WORDS;
                let block = memory.load(slot) as u32 as usize * 2;
                (block + usize::from(n % 16)) % (PAGES * PAGE)
            }
            Self::Anywhere(n) => n as usize % (PAGES * PAGE),
        }
    }
}

impl Damage {
    /// Damages the word, and returns which it is and what it was.
    pub fn apply(&self, memory: &Plain) -> (usize, u64) {
        let word = self.place.word(memory);
        let before = memory.load(word);
        let value = match &self.value {
            Value::Word(value) => *value,
            Value::Small(value) => u64::from(*value),
            Value::Flip(bit) => before ^ 1 << (bit % 64),
            Value::Copy(place) => memory.load(place.word(memory)),
            Value::Lower(lower) => before >> 32 << 32 | u64::from(*lower),
            Value::Head(flags, key, value) => {
                u64::from(*flags) << 48 | u64::from(*key) << 32 | u64::from(*value)
            }
        };
        memory.words[word].set(value);
        (word, before)
    }
}
