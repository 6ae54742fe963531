//! How long a string is.
//!
//! To call strlen(3) takes as long as to find the length of a key, and whoever calls something has to save
//! on the stack what it still needs. So on x86-64 a string is looked at here, as strlen(3) itself does it.

use std::ffi::c_char;

/// The bytes of a string before its NUL.
///
/// # Safety
///
/// It is a string that ends with NUL.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) unsafe fn length(text: *const c_char) -> usize {
    // SAFETY: passed on to the caller.
    unsafe { libc::strlen(text) }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn length(text: *const c_char) -> usize {
    let before = text.addr() % BLOCK;
    let mut block = text.wrapping_byte_sub(before);
    // SAFETY: the first byte of the string is in it.
    let mut zeros = unsafe { zeros(block) } >> before << before;
    while zeros == 0 {
        block = block.wrapping_byte_add(BLOCK);
        // SAFETY: the string has not ended, so its next byte is in this one.
        zeros = unsafe { self::zeros(block) };
    }
    block.addr() + zeros.trailing_zeros() as usize - text.addr()
}

/// Bytes that are looked at together, from where their number divides the address: so they are in one page,
/// and if one of them can be read, all can.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 16;

/// Which bytes of a block are 0, as bits.
///
/// # Safety
///
/// It begins where [`BLOCK`] says, and one of its bytes belongs to a string.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn zeros(block: *const c_char) -> u32 {
    use std::arch::asm;
    use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_setzero_si128};
    let bytes: __m128i;
    // SAFETY: the page is there. An instruction, and no load of Rust, because bytes around the string may
    // belong to something else; what they are is not looked at.
    unsafe {
        asm!(
            "movdqa {bytes}, xmmword ptr [{block}]",
            block = in(reg) block,
            bytes = out(xmm_reg) bytes,
            options(readonly, nostack, preserves_flags),
        );
    }
    // SAFETY: SSE2 is part of every x86-64.
    let zeros = unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128())) };
    zeros.cast_unsigned()
}
