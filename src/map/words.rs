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

/// Words that another process may be changing.
pub(crate) trait Words {
    /// How many there are. Never changes.
    fn len(&self) -> usize;

    /// What a word holds; 0 behind the end.
    fn load(&self, word: usize) -> u64;

    /// A fence: what is loaded after it is at least as new as what was loaded before it says.
    fn acquire(&self);

    /// Copies bytes out, from the beginning of a word on. Behind the end they are 0.
    #[inline]
    fn copy(&self, from: usize, out: &mut [u8]) {
        let mut word = from;
        let mut chunks = out.chunks_exact_mut(8);
        for chunk in &mut chunks {
            chunk.copy_from_slice(&self.load(word).to_le_bytes());
            word += 1;
        }
        let rest = chunks.into_remainder();
        if !rest.is_empty() {
            rest.copy_from_slice(&self.load(word).to_le_bytes()[..rest.len()]);
        }
    }

    /// Whether these bytes stand from the beginning of a word on, with zeros up to the end of the
    /// last one.
    #[inline]
    fn equal(&self, from: usize, bytes: &[u8]) -> bool {
        let chunks = bytes.chunks_exact(8);
        let rest = chunks.remainder();
        let mut word = from;
        for chunk in chunks {
            if self.load(word) != u64::from_le_bytes(chunk.try_into().expect("eight bytes")) {
                return false;
            }
            word += 1;
        }
        rest.is_empty() || self.load(word) == last_word(rest)
    }
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

/// Up to seven bytes as a word, the rest zeros.
#[inline]
pub(super) fn last_word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}
