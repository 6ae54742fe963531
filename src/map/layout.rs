//! Where everything stands in the segment, drawn to scale in `docs/design.md`.
//!
//! The segment is an array of 64-bit words, little-endian. No Rust struct is ever placed on it: what
//! stands here are indices of words, and how fields are packed into one. Whoever changes anything
//! here changes the [`VERSION`].

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("the map is laid out for 64-bit little-endian machines");

/// Words in a cache line.
pub(super) const LINE: usize = 8;

/// Words in a page, the unit in which memory is taken from the system and given back.
pub(super) const PAGE: usize = 512;

/// Words in a granule, the unit in which blocks are placed: 2³² of them are 64 GiB.
pub(super) const GRANULE: usize = 2;

/// Longest segment, in bytes.
pub(crate) const MAP_MAX: u64 = 1 << 36;

/// Granules in a page.
pub(super) const PAGE_GRANULES: u32 = (PAGE / GRANULE) as u32;

/// What a segment begins with: "GLOBST1\0".
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"GLOBST1\0");

/// The layout's major version. A reader of another one must not read on.
pub(crate) const LAYOUT: u32 = 2;

/// Major and minor version of the layout.
pub(super) const VERSION: u64 = (LAYOUT as u64) << 32;

/// The header: constant after creation.
pub(super) mod header {
    pub(in crate::map) const MAGIC: usize = 0;
    pub(in crate::map) const VERSION: usize = 1;
    /// Two words.
    pub(in crate::map) const INSTANCE: usize = 2;
    /// Length of the segment, in words.
    pub(in crate::map) const WORDS: usize = 4;
    /// When the instance began; whoever made the map says what it means.
    pub(in crate::map) const BORN: usize = 5;
}

/// Read by every reader, written rarely: a cache line of its own.
///
/// Where the table is, and in the upper half its generation: how often this word was changed before.
pub(super) const ROOT: usize = LINE;
/// Whether the map is in use, see [`State`].
pub(super) const STATE: usize = LINE + 2;

/// Written with every change: a line that readers of values leave alone.
///
/// The revision that was taken last. Stored before anything of its change can be seen.
pub(super) const REVISION: usize = 2 * LINE;
/// The revision up to which every change can be seen.
pub(super) const PUBLISHED: usize = 2 * LINE + 1;
/// How often a service has begun to write this map.
pub(super) const EPOCH: usize = 2 * LINE + 2;

/// How many services have begun to take over this map, and have not come to the end.
pub(super) const ATTEMPTS: usize = 2 * LINE + 3;

/// How many entries of the redo record are to be replayed; 0 outside of a change of several keys.
pub(super) const REDO: usize = 3 * LINE;

/// The thread that writes, as the kernel's robust futexes have it.
pub(super) const OWNER: usize = 4 * LINE;

/// The redo record: pairs of a slot's word and what it becomes.
pub(super) const REDO_FIRST: usize = PAGE;

/// Most keys that one change can have.
pub(crate) const CHANGES_MAX: usize = 4096;

/// The first page of blocks and tables.
pub(super) const FIRST_PAGE: u32 = 1 + (CHANGES_MAX * 2 / PAGE) as u32;

/// Slots in a line of the table; its eighth word is the stamp.
pub(super) const SLOTS: usize = LINE - 1;

/// Most lines that are searched for a key.
///
/// A key that finds them all full is refused, so chance must not fill that many in a row. At load
/// `a` a line in a large table begins a row of `k` full ones with a probability of about
/// `exp(-7 k (ln(1/a) - 1 + a))`: at two thirds, where a larger table is begun, 10⁻¹⁴ for 64 lines,
/// and 10⁻⁷ for 32. (At three quarters it would be 10⁻⁷ and 10⁻⁴.)
pub(super) const PROBE_LINES: usize = 64;

/// Most keys whose search begins in the same line.
pub(crate) const SIMILAR_MAX: u64 = (PROBE_LINES * SLOTS) as u64;

/// A slot that has never held anything since its line was last full.
pub(super) const EMPTY: u64 = 0;

/// A slot that is free, in a line past which others have overflowed.
pub(super) const TOMB: u64 = 1;

/// Smallest table, as the logarithm of its lines: two pages with its header and overflow. Tests want
/// to see it grow often.
pub(super) const TABLE_BITS_MIN: u32 = if cfg!(test) { 2 } else { 6 };

/// Largest table: 2²⁶ lines hold the 2²⁸ variables nobody has.
pub(super) const TABLE_BITS_MAX: u32 = 26;

const _: () = {
    assert!(STATE < REVISION && REVISION / LINE != STATE / LINE);
    assert!(PUBLISHED / LINE == REVISION / LINE && OWNER / LINE != REDO / LINE);
    assert!(OWNER + LINE <= REDO_FIRST && REDO_FIRST.is_multiple_of(PAGE));
    assert!(FIRST_PAGE as usize * PAGE == REDO_FIRST + 2 * CHANGES_MAX);
    assert!(
        MAP_MAX / (PAGE as u64 * 8) <= 1 << 24,
        "a page has 24 bits in the root"
    );
    assert!(PAGE * 8 == 4096 && PAGE.is_multiple_of(LINE) && LINE * 8 == 64);
};

/// Whether a map is in use. As wide as a revision, so that the answer to a read, which may hold
/// either, comes in two registers.
#[repr(u64)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// A service writes it, or will again.
    Live,
    /// It was forgotten: there are no variables any more.
    Closed,
    /// Another map has taken its place, with the same variables.
    Replaced,
}

impl State {
    pub(super) fn to_word(self) -> u64 {
        match self {
            State::Live => 1,
            State::Closed => 2,
            State::Replaced => 3,
        }
    }

    /// `None` if the word is none that this version writes.
    pub(super) fn from_word(word: u64) -> Option<Self> {
        [State::Live, State::Closed, State::Replaced]
            .into_iter()
            .find(|state| state.to_word() == word)
    }
}

/// Where a block stands, in granules from the beginning of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Granule(pub(super) u32);

impl Granule {
    /// The first word of the block.
    pub(super) fn word(self) -> usize {
        self.0 as usize * GRANULE
    }

    /// The page it begins in.
    pub(super) fn page(self) -> u32 {
        self.0 / PAGE_GRANULES
    }
}

/// What an occupied slot holds: 32 bits of its key's hash, and where its block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) hash: Hash,
    pub(super) block: Granule,
}

/// The upper half of the 64-bit hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(pub(super) u32);

impl Meta {
    pub(super) fn to_word(self) -> u64 {
        u64::from(self.hash.0) << 32 | u64::from(self.block.0)
    }

    pub(super) fn from_word(word: u64) -> Self {
        Meta {
            hash: Hash((word >> 32) as u32),
            block: Granule(word as u32),
        }
    }
}

/// A table: a line with its seed, 2^`bits` lines in which keys are at home, and as many behind them
/// as the last of these can overflow into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) page: u32,
    pub(super) bits: u32,
}

impl Table {
    /// What the root says of it.
    pub(super) fn to_root(self, generation: u32) -> u64 {
        u64::from(generation) << 32 | u64::from(self.page) << 8 | u64::from(self.bits)
    }

    /// What a root says; `None` if there can be no such table in any segment.
    pub(super) fn from_root(root: u64) -> Option<Self> {
        let bits = (root & 0xff) as u32;
        let page = root as u32 >> 8;
        let is_table = (TABLE_BITS_MIN..=TABLE_BITS_MAX).contains(&bits);
        is_table.then_some(Table { page, bits })
    }

    /// Whether it lies within a segment of so many words.
    #[inline]
    pub(super) fn fits(self, words: usize) -> bool {
        self.page >= FIRST_PAGE && self.first_word() + self.words() <= words
    }

    /// How many lines it has.
    #[inline]
    pub(super) fn lines(self) -> usize {
        (1 << self.bits) + PROBE_LINES - 1
    }

    /// How many slots its home lines have: what load is counted against.
    pub(super) fn capacity(self) -> u64 {
        (SLOTS as u64) << self.bits
    }

    /// Where it begins: the word with the seed of its hashes.
    #[inline]
    pub(super) fn first_word(self) -> usize {
        self.page as usize * PAGE
    }

    /// How many words it takes.
    #[inline]
    pub(super) fn words(self) -> usize {
        (1 + self.lines()) * LINE
    }

    /// How many pages it takes.
    pub(super) fn pages(self) -> u32 {
        self.words().div_ceil(PAGE) as u32
    }

    /// The line in which the search for a key begins.
    #[inline]
    pub(super) fn home(self, hash: Hash) -> usize {
        (hash.0 >> (32 - self.bits)) as usize
    }

    /// The first word of a line.
    #[inline]
    pub(super) fn line(self, line: usize) -> usize {
        self.first_word() + (1 + line) * LINE
    }

    /// The line that a slot's word is in.
    pub(super) fn line_of(self, slot: usize) -> usize {
        (slot - self.first_word()) / LINE - 1
    }
}

/// The generation that a root is of.
pub(super) fn generation(root: u64) -> u32 {
    (root >> 32) as u32
}

/// The stamp of the line that a slot is in.
#[inline]
pub(super) fn stamp_of(slot: usize) -> usize {
    slot | (LINE - 1)
}
