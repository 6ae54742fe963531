//! The seam below the map: words that others see, and what orders them.
//!
//! The writer and the readers are generic over two small traits. Besides the real segment, a
//! simulator that stops the writer after every store, a reader that travels in time, and loom
//! implement them, so that they run the very code that serves variables.
//!
//! All accesses are of 64 bits and relaxed; order comes from [`Words::acquire`] and
//! [`Memory::release`] alone. Readers map the segment read-only, where Rust promises relaxed loads
//! only (`std::sync::atomic`, "Atomic accesses to read-only memory").

use std::io;
use std::ops::Range;

use super::layout::SLOTS;

/// How many bytes are copied without a call.
pub(super) const SHORT: usize = 64;

/// Words that another process may be changing.
pub(crate) trait Words: Sized {
    /// How many there are. Never changes.
    fn len(&self) -> usize;

    /// What a word holds; 0 behind the end.
    fn load(&self, word: usize) -> u64;

    /// The same words for one read: something in the reader's own hands, which so stays as it is.
    fn lend(&self) -> impl Words;

    /// A fence: what is loaded after it is at least as new as what was loaded before it says.
    fn acquire(&self);

    /// So many of them, from one on, as words of their own: one look whether they are there instead
    /// of many. `None` if they are not.
    #[inline]
    fn part(&self, from: usize, count: usize) -> Option<impl Words> {
        let is_there = from.saturating_add(count) <= self.len();
        let words = self;
        is_there.then_some(Part { words, from, count })
    }

    /// Which of the slots that these begin with have this upper half, as bits.
    #[inline]
    fn matching(&self, upper: u32) -> u32 {
        matching(self.row(0), upper)
    }

    /// Some words in a row.
    #[inline]
    fn row<const COUNT: usize>(&self, from: usize) -> [u64; COUNT] {
        std::array::from_fn(|n| self.load(from + n))
    }

    /// A word will be loaded soon: it may be fetched already.
    #[inline]
    fn prefetch(&self, _word: usize) {}

    /// Copies bytes out, from the beginning of a word on. If they reach behind the end, nothing is
    /// said about what is copied.
    #[inline]
    fn copy(&self, from: usize, out: &mut [u8]) {
        fill(out, (from..).map(|word| self.load(word)));
    }

    /// The same into as many bytes as there are.
    #[inline]
    fn copy_all(&self, from: usize, len: usize, out: &mut Vec<u8>) {
        out.resize(len, 0);
        self.copy(from, out);
    }

    /// The same if they are no more than [`SHORT`], and there is room for them with what fills the last
    /// pair of words; whether it was so. Calls nothing, so that the caller has nothing to save.
    ///
    /// Where nobody counts that, there always is room: so tests read in the short way.
    #[inline]
    fn copy_short(&self, from: usize, len: usize, out: &mut Vec<u8>) -> bool {
        let is_short = len <= SHORT;
        if is_short {
            self.copy_all(from, len, out);
        }
        is_short
    }

    /// Whether these bytes stand from the beginning of a word on, with zeros up to the end of the
    /// last one.
    #[inline]
    fn equal(&self, from: usize, bytes: &[u8]) -> bool {
        is_made_of(bytes, (from..).map(|word| self.load(word)))
    }
}

/// Some of other words.
struct Part<'w, W> {
    words: &'w W,
    from: usize,
    count: usize,
}

impl<W: Words> Words for Part<'_, W> {
    fn len(&self) -> usize {
        self.count
    }

    fn load(&self, word: usize) -> u64 {
        match word < self.count {
            true => self.words.load(self.from + word),
            false => 0,
        }
    }

    fn lend(&self) -> impl Words {
        Part { ..*self }
    }

    fn acquire(&self) {
        self.words.acquire();
    }
}

/// Where a value is copied to.
pub(crate) trait Room {
    /// Takes so many bytes from the beginning of a word on, behind which there are two more. If they
    /// reach behind the end, nothing is said about what is there then.
    fn take(&mut self, words: &impl Words, from: usize, len: usize);

    /// The same if they are few and there is room for them, without a call of anything; whether it was
    /// so.
    fn take_short(&mut self, words: &impl Words, from: usize, len: usize) -> bool;
}

impl Room for Vec<u8> {
    #[inline(always)]
    fn take(&mut self, words: &impl Words, from: usize, len: usize) {
        words.copy_all(from, len, self);
    }

    #[inline(always)]
    fn take_short(&mut self, words: &impl Words, from: usize, len: usize) -> bool {
        words.copy_short(from, len, self)
    }
}

/// Which of the slots of a line have this upper half, as bits.
#[inline(always)]
pub(super) fn matching(slots: [u64; SLOTS], upper: u32) -> u32 {
    let bit = |n: usize| u32::from((slots[n] >> 32) as u32 == upper) << n;
    (0..SLOTS).fold(0, |bits, n| bits | bit(n))
}

/// Fills `out` with the bytes of words, of which there are enough.
#[inline(always)]
pub(super) fn fill(out: &mut [u8], mut words: impl Iterator<Item = u64> + Clone) {
    let (chunks, rest) = out.as_chunks_mut();
    let count = chunks.len();
    for (chunk, word) in chunks.iter_mut().zip(words.clone()) {
        *chunk = word.to_le_bytes();
    }
    if !rest.is_empty() {
        let word = words.nth(count).unwrap_or(0).to_le_bytes();
        for (byte, of_word) in rest.iter_mut().zip(word) {
            *byte = of_word;
        }
    }
}

/// Whether `bytes` are those of words, of which there are enough, and zeros behind them.
#[inline(always)]
pub(super) fn is_made_of(bytes: &[u8], mut words: impl Iterator<Item = u64> + Clone) -> bool {
    let (chunks, rest) = bytes.as_chunks();
    for (chunk, word) in chunks.iter().zip(words.clone()) {
        if word != u64::from_le_bytes(*chunk) {
            return false;
        }
    }
    rest.is_empty() || words.nth(chunks.len()) == Some(last_word(bytes))
}

/// Bytes that fill one word and some or all of another, as these two.
#[inline(always)]
pub(super) fn ends(bytes: &[u8]) -> Option<(u64, u64)> {
    if !(9..=16).contains(&bytes.len()) {
        return None;
    }
    let first = bytes.first_chunk().copied().map(u64::from_le_bytes)?;
    let last = bytes.last_chunk().copied().map(u64::from_le_bytes)?;
    Some((first, last >> (8 * (16 - bytes.len()))))
}

/// The words of the one who writes them.
pub(crate) trait Memory: Words {
    /// Changes a word. The word must be within the memory.
    fn store(&self, word: usize, value: u64);

    /// Changes a word, after everything that was stored before.
    fn publish(&self, word: usize, value: u64);

    /// A fence: what is stored after it is not seen before what was stored before it.
    fn release(&self);

    /// Makes sure that these pages have memory behind them. New ones hold zeros.
    fn reserve(&self, pages: Range<u32>) -> io::Result<()>;

    /// Gives memory back. The pages hold zeros, and must be reserved before they are written.
    fn give_back(&self, pages: Range<u32>);
}

/// The bytes that are left if words of eight are taken from the front, the rest zeros.
#[inline(always)]
fn last_word(bytes: &[u8]) -> u64 {
    let rest = bytes.len() % 8;
    match bytes.last_chunk() {
        Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - rest)),
        None => bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}
