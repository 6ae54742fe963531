//! Values that are copied to where somebody wants them who is not Rust.

use std::hint::cold_path;
use std::mem::MaybeUninit;

use super::words::{Room, Words};

/// Memory that may hold anything, with a value in it, if there is room for that and a NUL behind it.
pub(crate) struct Outside<'a> {
    room: &'a mut [MaybeUninit<u8>],
    /// How long the value is, also if there is no room for it.
    pub(crate) len: usize,
}

/// Words that are copied together. What has more is not short.
const ROW: usize = 8;

impl<'a> Outside<'a> {
    #[inline(always)]
    pub(crate) fn new(room: &'a mut [MaybeUninit<u8>]) -> Outside<'a> {
        Outside { room, len: 0 }
    }

    /// Ends the value with a NUL; if it did not fit, it is an empty string.
    #[inline(always)]
    pub(crate) fn end(self) {
        if let Some(end) = self.room.get_mut(self.len) {
            end.write(0);
        } else if let Some(first) = self.room.first_mut() {
            first.write(0);
        }
    }
}

impl Room for Outside<'_> {
    fn take(&mut self, words: &impl Words, from: usize, len: usize) {
        self.len = len;
        if len >= self.room.len() {
            return;
        }
        let (rows, rest) = self.room[..len].as_chunks_mut::<{ 8 * ROW }>();
        let end = from + ROW * rows.len();
        for (from, row) in (from..).step_by(ROW).zip(rows) {
            let row = row.as_chunks_mut().0.iter_mut();
            for (bytes, word) in row.zip(words.row::<ROW>(from)) {
                put(bytes, word);
            }
        }
        for (word, bytes) in (end..).zip(rest.chunks_mut(8)) {
            let word = words.load(word).to_le_bytes();
            for (byte, of_word) in bytes.iter_mut().zip(word) {
                byte.write(of_word);
            }
        }
    }

    #[inline(always)]
    fn take_short(&mut self, words: &impl Words, from: usize, len: usize) -> bool {
        self.len = len;
        if len >= self.room.len() {
            return false;
        }
        // Whole words, also of the last one: what is behind a value in it are zeros.
        let (room, _) = self.room.as_chunks_mut();
        match room {
            // As most values are: both words are read, whatever the length is.
            [first, second, ..] if (1..=16).contains(&len) => {
                let words: [u64; 2] = words.row(from);
                put(first, words[0]);
                if len > 8 {
                    put(second, words[1]);
                }
                true
            }
            _ => {
                cold_path();
                let count = len.div_ceil(8);
                let (true, Some(words), Some(room)) =
                    (count <= ROW, words.part(from, count), room.get_mut(..count))
                else {
                    return false;
                };
                // Not as a loop, which would want more registers than there are.
                for (n, bytes) in room.iter_mut().enumerate().take(ROW) {
                    put(bytes, words.load(n));
                }
                true
            }
        }
    }
}

#[inline(always)]
fn put(bytes: &mut [MaybeUninit<u8>; 8], word: u64) {
    *bytes = word.to_le_bytes().map(MaybeUninit::new);
}
