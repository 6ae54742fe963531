//! Sets of offsets in a key, and how each step of a program moves them.
//!
//! An offset stands between two characters, or at an end of the key. An operation takes all
//! offsets of a set at once; a set that a [`Text`] gives back has offsets between characters only.

use std::array;
use std::ops::{BitAnd, BitOr, Sub};

use super::KEY_MAX;

const BITS: usize = u64::BITS as usize;
/// Words of a set; the end of the longest key is an offset too.
const WORDS: usize = (KEY_MAX + 1).div_ceil(BITS);

/// A set of offsets in a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets([u64; WORDS]);

impl Offsets {
    /// The beginning of the key.
    pub const START: Self = {
        let mut words = [0; WORDS];
        words[0] = 1;
        Self(words)
    };

    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub fn contains(self, offset: usize) -> bool {
        self.0[offset / BITS] >> (offset % BITS) & 1 == 1
    }

    fn insert(&mut self, offset: usize) {
        self.0[offset / BITS] |= 1 << (offset % BITS);
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(i, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
                word &= word - 1;
                Some(i * BITS + bit)
            })
        })
    }

    /// Each offset moved by one byte.
    fn next(self) -> Self {
        let mut carry = 0;
        Self(self.0.map(|word| {
            let moved = word << 1 | carry;
            carry = word >> (BITS - 1);
            moved
        }))
    }

    /// These offsets and all that can be come to by moving over bytes of `path`.
    fn flood(self, path: Self) -> Self {
        // An addition carries through ones and stops at the first zero: what it changes in `path`
        // is what a move from each offset would visit. It misses the offsets from which a
        // second move starts in the middle of a first; those we have.
        let start = self & path;
        let mut carry = false;
        Self(array::from_fn(|i| {
            let sum;
            (sum, carry) = path.0[i].carrying_add(start.0[i], carry);
            self.0[i] | (sum ^ path.0[i])
        }))
    }

    /// The first offset and all that follow, beyond the end of the key too.
    fn onwards(self) -> Self {
        let mut found = false;
        Self(self.0.map(|word| {
            let onwards = if found {
                !0
            } else {
                word | word.wrapping_neg()
            };
            found |= word != 0;
            onwards
        }))
    }
}

impl BitAnd for Offsets {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] & other.0[i]))
    }
}

impl Sub for Offsets {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] & !other.0[i]))
    }
}

impl BitOr for Offsets {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] | other.0[i]))
    }
}

/// A key, indexed.
pub(super) struct Text<'k> {
    key: &'k str,
    /// Where each upper half of a byte is, and each lower half: a byte is where both are. A table
    /// of whole bytes would take longer to clear than most keys take to match.
    upper: [Offsets; 16],
    lower: [Offsets; 16],
    /// Where a '/' is not.
    path: Offsets,
    /// In front of each character, and the end.
    borders: Offsets,
    /// Inside of characters.
    insides: Offsets,
}

impl<'k> Text<'k> {
    /// Indexes a key of at most [`KEY_MAX`] bytes.
    pub fn new(key: &'k str) -> Self {
        let mut upper = [Offsets::default(); 16];
        let mut lower = [Offsets::default(); 16];
        for (offset, byte) in key.bytes().enumerate() {
            upper[usize::from(byte >> 4)].insert(offset);
            lower[usize::from(byte & 15)].insert(offset);
        }
        let slashes = upper[usize::from(b'/' >> 4)] & lower[usize::from(b'/' & 15)];
        // In UTF-8, 10xxxxxx.
        let insides = upper[8] | upper[9] | upper[10] | upper[11];
        let mut end = Offsets::default();
        end.insert(key.len());
        let within = Offsets::START.onwards() - end.onwards();
        Self {
            key,
            upper,
            lower,
            path: within - slashes,
            borders: (within | end) - insides,
            insides,
        }
    }

    pub fn end(&self) -> usize {
        self.key.len()
    }

    /// Tells whether something of the key is left at one of the offsets.
    pub fn is_within(&self, offsets: Offsets) -> bool {
        offsets.iter().any(|offset| offset < self.end())
    }

    /// Where this byte is.
    fn byte(&self, byte: u8) -> Offsets {
        self.upper[usize::from(byte >> 4)] & self.lower[usize::from(byte & 15)]
    }

    /// Moves over this character.
    pub fn literal(&self, offsets: Offsets, c: char) -> Offsets {
        let mut bytes = [0; 4];
        let bytes = c.encode_utf8(&mut bytes).bytes();
        bytes.fold(offsets, |offsets, byte| (offsets & self.byte(byte)).next())
    }

    /// Moves over any character but '/'.
    pub fn any(&self, offsets: Offsets) -> Offsets {
        let mut moved = (offsets & self.path).next();
        loop {
            let inside = moved & self.insides;
            if inside.is_empty() {
                return moved;
            }
            moved = (moved - inside) | inside.next();
        }
    }

    /// Moves over a character that is accepted, and no '/'.
    pub fn any_of(&self, offsets: Offsets, accept: impl Fn(char) -> bool) -> Offsets {
        let mut accepted = Offsets::default();
        for offset in (offsets & self.path).iter() {
            if self.key[offset..].starts_with(&accept) {
                accepted.insert(offset);
            }
        }
        self.any(accepted)
    }

    /// Moves over any number of characters, none of them '/'.
    pub fn segment(&self, offsets: Offsets) -> Offsets {
        offsets.flood(self.path) & self.borders
    }

    /// Moves over any number of characters.
    pub fn onwards(&self, offsets: Offsets) -> Offsets {
        offsets.onwards() & self.borders
    }
}
