//! The memory file, mapped: the only unsafe code of the map.
//!
//! A [`Segment`] is what the one writer has, a [`View`] what readers have. The file has its full
//! length from the beginning, as a hole: memory is behind it only where it was reserved. It is
//! sealed against shrinking and growing, so that what is mapped stays mapped whatever others do.
//!
//! No reference into the mapping outlives a load: other processes may change it, and references
//! promise that nobody does. Words are loaded and stored as relaxed atomics of 64 bits, one by one.
#![allow(unsafe_code)]

use std::hint::{assert_unchecked, cold_path};
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rustix::fs::{OFlags, SealFlags, fcntl_get_seals, fcntl_getfl, fstat, fstatfs};
use rustix::io::{Errno, pread};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use super::layout::{FIRST_PAGE, LAYOUT, LINE, MAGIC, MAP_MAX, PAGE, SLOTS, header};
use super::words::{self, SHORT, Words};

/// Bytes in a word.
const WORD: usize = size_of::<u64>();

/// Words that every map has: those before the first page of the arena.
const LEAST: usize = FIRST_PAGE as usize * PAGE;

/// Bytes in two words, which longer values are copied in.
const PAIR: usize = 2 * WORD;

/// The file system of memory files, from `linux/magic.h`.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Where a whole memory file is mapped.
#[derive(Clone, Copy)]
struct Mapping {
    first: NonNull<AtomicU64>,
    words: usize,
}

/// Gives a mapping back. Whoever has the [`Mapping`] has this as well.
struct Mapped(Mapping);

/// A memory file that is mapped for reading only.
pub(crate) struct View {
    mapping: Mapping,
    _mapped: Mapped,
}

/// Why a file is not mapped that somebody says is a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unacceptable {
    /// It could become shorter while it is read.
    Unsealed,
    /// Its memory may not be had when it is read.
    Scarce,
    /// It came with leave to write it, which nobody but the service should have.
    Writable,
    /// It is longer or shorter than a map can be, or than was said.
    Size(u64),
    /// It is no map.
    NoMap,
    /// Its layout has this major version, which is not ours.
    Layout(u32),
    /// It is not the map of the instance that it should be.
    Instance,
    /// The system does not let us.
    System(Errno),
}

// SAFETY: a mapping belongs to the process, not to a thread, and is only used through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapped {
    fn new(file: BorrowedFd<'_>, protection: ProtFlags) -> io::Result<Self> {
        let bytes = usize::try_from(fstat(file)?.st_size).map_err(io::Error::other)?;
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        // SAFETY: a new mapping at a place that the kernel chooses overlaps no other.
        let first = unsafe { mmap(std::ptr::null_mut(), bytes, protection, flags, file, 0)? };
        let mapping = Mapping {
            first: NonNull::new(first.cast()).ok_or(io::ErrorKind::OutOfMemory)?,
            words: bytes / WORD,
        };
        // A memory file has no name, so a core dump would take all of it along.
        // SAFETY: the range is the mapping that was just made; what is advised changes no memory.
        unsafe { madvise(first, bytes, Advice::LinuxDontDump)? };
        Ok(Mapped(mapping))
    }
}

impl Mapping {
    #[inline(always)]
    fn load(&self, word: usize) -> u64 {
        if word >= self.words {
            // Nobody asks for it, and all others have no jump around this.
            cold_path();
            return 0;
        }
        // SAFETY: the word lies within the mapping, which lives as long as `self`, is aligned to
        // pages, and whose file can not shrink. Others may change it at any time: it is atomic. It
        // may be mapped for reading only, where relaxed loads of up to 8 bytes are allowed.
        unsafe { (*self.first.add(word).as_ptr()).load(Ordering::Relaxed) }
    }
}

/// The same words as one by one, with one look whether they are there instead of many.
impl Mapping {
    /// So many words in a row; `None` if not all of them lie within the mapping.
    #[inline(always)]
    fn row(&self, from: usize, count: usize) -> Option<impl Iterator<Item = u64> + Clone> {
        let first = self.place(from, count)?;
        // SAFETY: all of them lie within the mapping. What others do to them is as in `load`.
        let load = move |n| unsafe { (*first.add(n).as_ptr()).load(Ordering::Relaxed) };
        Some((0..count).map(load))
    }

    /// Where so many words begin that all lie within the mapping.
    #[inline(always)]
    fn place(&self, from: usize, count: usize) -> Option<NonNull<AtomicU64>> {
        if from > self.words.checked_sub(count)? {
            return None;
        }
        // SAFETY: the first word lies within the mapping, or none is asked for at its end.
        Some(unsafe { self.first.add(from) })
    }

    #[inline(always)]
    fn part(&self, from: usize, count: usize) -> Option<Mapping> {
        let first = self.place(from, count)?;
        let words = count;
        Some(Mapping { first, words })
    }

    #[inline(always)]
    fn matching(&self, upper: u32) -> u32 {
        self.place(0, SLOTS).map_or(0, |line| matching(line, upper))
    }

    #[inline(always)]
    fn prefetch(&self, word: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(place) = self.place(word, 1) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: it lies within the mapping, and nothing is read of it.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(place.as_ptr().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = word;
    }

    #[inline(always)]
    fn copy(&self, from: usize, out: &mut [u8]) {
        if let Some(row) = self.row(from, out.len().div_ceil(WORD)) {
            words::fill(out, row);
        }
    }

    #[inline(never)]
    fn copy_all(&self, from: usize, len: usize, out: &mut Vec<u8>) {
        let pairs = len.div_ceil(PAIR);
        let Some(from) = self.place(from, 2 * pairs) else {
            return;
        };
        out.clear();
        out.reserve(PAIR * pairs);
        let to = out.as_mut_ptr().cast::<[u64; 2]>();
        for n in 0..pairs {
            // SAFETY: there are so many pairs of words from here, and room for as many bytes.
            unsafe { copy_pair(from.add(2 * n), to.add(n)) };
        }
        // SAFETY: so many bytes, and perhaps some more, were written.
        unsafe { out.set_len(len) };
    }

    #[inline(always)]
    fn copy_short(&self, from: usize, len: usize, out: &mut Vec<u8>) -> bool {
        if len > PAIR {
            return len <= SHORT && self.copy_pairs(from, len, out);
        }
        let Some(from) = self.place(from, 2) else {
            return false;
        };
        if out.capacity() < PAIR {
            return false;
        }
        // SAFETY: there are two words from here, and room for as many bytes.
        unsafe { copy_pair(from, out.as_mut_ptr().cast()) };
        // SAFETY: so many bytes, and perhaps some more, were written.
        unsafe { out.set_len(len) };
        true
    }

    /// Two to four pairs. Not as a loop, which would want more registers than there are.
    #[inline(always)]
    fn copy_pairs(&self, from: usize, len: usize, out: &mut Vec<u8>) -> bool {
        let pairs = len.div_ceil(PAIR).min(SHORT / PAIR);
        let Some(from) = self.place(from, 2 * pairs) else {
            return false;
        };
        if out.capacity() < PAIR * pairs {
            return false;
        }
        let to = out.as_mut_ptr().cast::<[u64; 2]>();
        // SAFETY: there are so many pairs of words from here, and room for as many bytes.
        unsafe {
            copy_pair(from, to);
            copy_pair(from.add(2), to.add(1));
            if pairs > 2 {
                copy_pair(from.add(4), to.add(2));
            }
            if pairs > 3 {
                copy_pair(from.add(6), to.add(3));
            }
        }
        // SAFETY: so many bytes, and perhaps some more, were written.
        unsafe { out.set_len(len) };
        true
    }

    #[inline(always)]
    fn equal(&self, from: usize, bytes: &[u8]) -> bool {
        // As most keys are, of whatever length: without a loop.
        if let Some((first, last)) = words::ends(bytes)
            && let Some(from) = self.place(from, 2)
        {
            // SAFETY: there are two words from here. What others do to them is as in `load`.
            let load = |n| unsafe { (*from.add(n).as_ptr()).load(Ordering::Relaxed) };
            return load(0) == first && load(1) == last;
        }
        self.row(from, bytes.len().div_ceil(WORD))
            .is_some_and(|row| words::is_made_of(bytes, row))
    }
}

/// Copies two words.
///
/// # Safety
/// `from` is two words of a mapping, and `to` as many bytes that nobody else uses.
#[inline(always)]
unsafe fn copy_pair(from: NonNull<AtomicU64>, to: *mut [u64; 2]) {
    // SAFETY: the words lie within the mapping. What others do to them is as in `load`.
    let load = |n| unsafe { (*from.add(n).as_ptr()).load(Ordering::Relaxed) };
    // SAFETY: there is room.
    unsafe { to.write_unaligned([load(0), load(1)]) };
}

/// Which slots of a line have this upper half, as bits: four at once, in a third of the
/// instructions.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn matching(line: NonNull<AtomicU64>, upper: u32) -> u32 {
    use std::arch::asm;
    use std::arch::x86_64::{
        __m128i, _mm_castps_si128, _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_movemask_epi8,
        _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi32, _mm_shuffle_ps,
    };
    let (a, b, c, d): (__m128i, __m128i, __m128i, __m128i);
    // SAFETY: these are seven relaxed loads, of aligned words within the mapping, into the halves
    // of four registers, for which there are instructions and no functions. SSE2 is part of every
    // x86-64.
    unsafe {
        asm!(
            "movq {a}, qword ptr [{line}]",
            "movhps {a}, qword ptr [{line} + 8]",
            "movq {b}, qword ptr [{line} + 16]",
            "movhps {b}, qword ptr [{line} + 24]",
            "movq {c}, qword ptr [{line} + 32]",
            "movhps {c}, qword ptr [{line} + 40]",
            "movq {d}, qword ptr [{line} + 48]",
            line = in(reg) line.as_ptr(),
            a = out(xmm_reg) a,
            b = out(xmm_reg) b,
            c = out(xmm_reg) c,
            d = out(xmm_reg) d,
            options(readonly, nostack, preserves_flags),
        );
    }
    let equal = |low, high| {
        // SAFETY: as above.
        unsafe {
            let (low, high) = (_mm_castsi128_ps(low), _mm_castsi128_ps(high));
            let uppers = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(low, high));
            _mm_cmpeq_epi32(uppers, _mm_set1_epi32(upper.cast_signed()))
        }
    };
    // SAFETY: as above.
    let bits = unsafe {
        let equal = _mm_packs_epi32(equal(a, b), equal(c, d));
        _mm_movemask_epi8(_mm_packs_epi16(equal, equal))
    };
    // What stands for an eighth slot is not one.
    bits.cast_unsigned() & 0x7f
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn matching(line: NonNull<AtomicU64>, upper: u32) -> u32 {
    // SAFETY: all slots lie within the mapping. What others do to them is as in `load`.
    let load = |n| unsafe { (*line.add(n).as_ptr()).load(Ordering::Relaxed) };
    words::matching(std::array::from_fn(load), upper)
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let Mapped(Mapping { first, words }) = *self;
        // SAFETY: the mapping was made with this length, and nothing refers to it any more.
        let unmapped = unsafe { munmap(first.as_ptr().cast(), words * WORD) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

impl View {
    /// Maps a memory file for reading.
    pub(crate) fn open(file: BorrowedFd<'_>) -> io::Result<Self> {
        let mapped = Mapped::new(file, ProtFlags::READ)?;
        if mapped.0.words < LEAST {
            return Err(io::Error::other("the memory file is too short"));
        }
        Ok(View {
            mapping: mapped.0,
            _mapped: mapped,
        })
    }

    /// Gives the memory back: all words are zeros from now on, also for threads that are just reading
    /// them.
    pub(crate) fn give_back(&self) {
        let Mapping { first, words } = self.mapping;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the range is one mapping, ours, and stays mapped for reading. Its words change under
        // whoever reads them, as they may at any time.
        let given =
            unsafe { mmap_anonymous(first.as_ptr().cast(), words * WORD, ProtFlags::READ, flags) };
        // Otherwise it stays until nobody has it any more: nothing is wrong then.
        debug_assert!(given.is_ok());
    }

    /// Maps what somebody says is the map of an instance, of so many bytes: after a look whether that
    /// can do no harm, and whether it is one that we can read.
    pub(crate) fn accept(
        file: BorrowedFd<'_>,
        size: u64,
        instance: u128,
    ) -> Result<Self, Unacceptable> {
        // Behind the end of a file that has become shorter, reading is death. Only memory files have
        // seals, so whatever else is asked of this one comes from memory, and nobody waits for it.
        if !fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::SHRINK)) {
            return Err(Unacceptable::Unsealed);
        }
        // So is it in large pages (hugetlbfs), where none of these is left.
        if u64::try_from(fstatfs(file)?.f_type) != Ok(TMPFS_MAGIC) {
            return Err(Unacceptable::Scarce);
        }
        if fcntl_getfl(file)?.intersection(OFlags::RWMODE) != OFlags::RDONLY {
            return Err(Unacceptable::Writable);
        }
        let length = fstat(file)?.st_size.unsigned_abs();
        let sizes = (FIRST_PAGE as usize * PAGE * WORD) as u64..=MAP_MAX;
        if length != size || !sizes.contains(&length) {
            return Err(Unacceptable::Size(length));
        }
        let mut head = [0; LINE * WORD];
        if pread(file, &mut head, 0)? != head.len() {
            return Err(Unacceptable::NoMap);
        }
        let word = |word| {
            let bytes = head.as_chunks().0;
            u64::from_le_bytes(bytes[word])
        };
        if word(header::MAGIC) != MAGIC {
            return Err(Unacceptable::NoMap);
        }
        let layout = (word(header::VERSION) >> 32) as u32;
        if layout != LAYOUT {
            return Err(Unacceptable::Layout(layout));
        }
        let upper = u128::from(word(header::INSTANCE + 1)) << 64;
        if upper | u128::from(word(header::INSTANCE)) != instance {
            return Err(Unacceptable::Instance);
        }
        Self::open(file).map_err(|error| {
            let errno = error
                .raw_os_error()
                .map_or(Errno::INVAL, Errno::from_raw_os_error);
            Unacceptable::System(errno)
        })
    }
}

impl From<Errno> for Unacceptable {
    fn from(errno: Errno) -> Self {
        Unacceptable::System(errno)
    }
}

/// Lends its mapping, which is all that reading takes.
trait Lends {
    fn mapping(&self) -> &Mapping;
}

impl Lends for Mapping {
    #[inline(always)]
    fn mapping(&self) -> &Mapping {
        self
    }
}

impl Lends for View {
    #[inline(always)]
    fn mapping(&self) -> &Mapping {
        // SAFETY: nothing that is shorter is mapped.
        unsafe { assert_unchecked(self.mapping.words >= LEAST) };
        &self.mapping
    }
}

impl<M: Lends> Words for M {
    #[inline(always)]
    fn len(&self) -> usize {
        self.mapping().words
    }

    #[inline(always)]
    fn load(&self, word: usize) -> u64 {
        self.mapping().load(word)
    }

    #[inline(always)]
    fn lend(&self) -> impl Words {
        *self.mapping()
    }

    #[inline(always)]
    fn acquire(&self) {
        fence(Ordering::Acquire);
    }

    #[inline(always)]
    fn part(&self, from: usize, count: usize) -> Option<impl Words> {
        self.mapping().part(from, count)
    }

    #[inline(always)]
    fn matching(&self, upper: u32) -> u32 {
        self.mapping().matching(upper)
    }

    #[inline(always)]
    fn row<const COUNT: usize>(&self, from: usize) -> [u64; COUNT] {
        match self.mapping().row(from, COUNT) {
            Some(mut row) => std::array::from_fn(|_| row.next().unwrap_or(0)),
            None => [0; COUNT],
        }
    }

    #[inline(always)]
    fn prefetch(&self, word: usize) {
        self.mapping().prefetch(word);
    }

    #[inline(always)]
    fn copy(&self, from: usize, out: &mut [u8]) {
        self.mapping().copy(from, out);
    }

    #[inline(always)]
    fn copy_all(&self, from: usize, len: usize, out: &mut Vec<u8>) {
        self.mapping().copy_all(from, len, out);
    }

    #[inline(always)]
    fn copy_short(&self, from: usize, len: usize, out: &mut Vec<u8>) -> bool {
        self.mapping().copy_short(from, len, out)
    }

    #[inline(always)]
    fn equal(&self, from: usize, bytes: &[u8]) -> bool {
        self.mapping().equal(from, bytes)
    }
}

#[cfg(feature = "service")]
pub(crate) use self::writing::Segment;

/// The writer's half.
#[cfg(feature = "service")]
mod writing {
    use std::cell::RefCell;
    use std::ops::Range;
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};

    use rustix::fs::{
        FallocateFlags, MemfdFlags, Mode, fallocate, fchmod, fcntl_add_seals, ftruncate,
        memfd_create, open,
    };
    use rustix::process::{Pid, geteuid};
    use rustix::thread::gettid;

    use super::super::layout::OWNER;
    use super::super::words::Memory;
    use super::*;

    /// What nobody may do with the file any more.
    const SEALS: SealFlags = SealFlags::SHRINK
        .union(SealFlags::GROW)
        .union(SealFlags::SEAL);

    /// Who may open it: we alone, and for reading only. Others who hold a descriptor for reading could
    /// open it for writing otherwise.
    const MODE: Mode = Mode::RUSR;

    /// Bytes in a page.
    const PAGE_BYTES: u64 = (PAGE * WORD) as u64;

    /// A memory file that is mapped for writing.
    pub(crate) struct Segment {
        mapping: Mapping,
        _mapped: Mapped,
        file: OwnedFd,
        will: RefCell<Option<Will>>,
    }

    impl Segment {
        /// A new memory file with room for so many bytes, rounded up to pages; all of them zeros.
        pub(crate) fn create(bytes: u64) -> io::Result<Self> {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            // Kernels before 6.3 do not know the last flag.
            let file = memfd_create("globstash", flags | MemfdFlags::NOEXEC_SEAL)
                .or_else(|_| memfd_create("globstash", flags))?;
            ftruncate(&file, bytes.next_multiple_of(PAGE_BYTES))?;
            fchmod(&file, MODE)?;
            fcntl_add_seals(&file, SEALS)?;
            Self::open(file)
        }

        /// Fails with a sentence unless nobody else can change the file: not its length, not what stands in
        /// it, and not who may. Each of the three is worth nothing without the others.
        pub(crate) fn check_protection(file: BorrowedFd<'_>) -> io::Result<()> {
            let is_sealed = fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALS));
            if !is_sealed {
                return Err(io::Error::other("it is no sealed memory file"));
            }
            let status = fstat(file)?;
            if status.st_uid != geteuid().as_raw() {
                let problem = format!("it belongs to user {}", status.st_uid);
                return Err(io::Error::other(problem));
            }
            if Mode::from_raw_mode(status.st_mode) != MODE {
                return Err(io::Error::other("others may open it"));
            }
            Ok(())
        }

        /// A memory file that another process of the service has made.
        pub(crate) fn open(file: OwnedFd) -> io::Result<Self> {
            Self::check_protection(file.as_fd())?;
            let mapped = Mapped::new(file.as_fd(), ProtFlags::READ | ProtFlags::WRITE)?;
            let will = RefCell::default();
            Ok(Segment {
                mapping: mapped.0,
                _mapped: mapped,
                file,
                will,
            })
        }

        /// Makes the calling thread the owner: when it dies, however it does, the kernel marks the
        /// owner's word, and readers see that.
        pub(crate) fn own(&self) -> io::Result<()> {
            self.store(
                OWNER,
                u64::from(gettid().as_raw_nonzero().get().unsigned_abs()),
            );
            // SAFETY: the word lies within the mapping: it is in the header.
            let word = unsafe { self.mapping.first.add(OWNER) };
            *self.will.borrow_mut() = Some(Will::make(word)?);
            Ok(())
        }

        /// The owner ends in good order, or is about to execute another program.
        pub(crate) fn disown(&self) {
            *self.will.borrow_mut() = None;
            self.store(OWNER, 0);
        }

        /// How long it is, in bytes.
        pub(crate) fn size(&self) -> u64 {
            (self.mapping.words * WORD) as u64
        }

        /// The same file, as it may be given to readers.
        pub(crate) fn reopen_for_reading(&self) -> io::Result<OwnedFd> {
            let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            Ok(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
        }

        fn allocate(&self, flags: FallocateFlags, pages: Range<u32>) -> io::Result<()> {
            let start = u64::from(pages.start) * PAGE_BYTES;
            let len = u64::from(pages.end - pages.start) * PAGE_BYTES;
            Ok(fallocate(&self.file, flags, start, len)?)
        }
    }

    impl AsFd for Segment {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.file.as_fd()
        }
    }

    /// What the kernel does when the thread dies that made it: a list of one robust futex (see
    /// `Documentation/locking/robust-futex-ABI.rst` of Linux). The list of the C library is put back
    /// afterwards; it is for mutexes between processes, of which there are none here.
    struct Will {
        before: usize,
        thread: Pid,
    }

    #[repr(C)]
    struct RobustList {
        /// The kernel's `struct robust_list_head`: the address of the first link, the way from a link
        /// to its futex in bytes, and the address of a link that is about to be added.
        first: usize,
        offset: isize,
        pending: usize,
        /// The only link: the address of the next one, which is the head.
        link: usize,
    }

    impl Will {
        fn make(futex: NonNull<AtomicU64>) -> io::Result<Self> {
            // Leaked, because the kernel reads it when the thread ends.
            let list = Box::leak(Box::new(RobustList {
                first: 0,
                offset: 0,
                pending: 0,
                link: 0,
            }));
            list.first = (&raw const list.link).addr();
            list.link = (&raw const *list).addr();
            // The futex is the lower half of the word.
            list.offset = futex.addr().get().wrapping_sub(list.first).cast_signed();
            let (mut before, mut len) = (0_usize, 0_usize);
            // SAFETY: the kernel writes an address and a length into the two variables.
            check(unsafe {
                libc::syscall(libc::SYS_get_robust_list, 0, &raw mut before, &raw mut len)
            })?;
            set_robust_list((&raw const *list).addr())?;
            let thread = gettid();
            Ok(Will { before, thread })
        }
    }

    impl Drop for Will {
        fn drop(&mut self) {
            if self.thread == gettid() {
                let restored = set_robust_list(self.before);
                debug_assert!(restored.is_ok());
            }
        }
    }

    fn set_robust_list(head: usize) -> io::Result<()> {
        let len = std::mem::offset_of!(RobustList, link);
        // SAFETY: the head is the C library's or one of ours, which are never freed.
        check(unsafe { libc::syscall(libc::SYS_set_robust_list, head, len) })
    }

    fn check(result: libc::c_long) -> io::Result<()> {
        match result {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    impl Lends for Segment {
        #[inline(always)]
        fn mapping(&self) -> &Mapping {
            &self.mapping
        }
    }

    impl Memory for Segment {
        #[inline(always)]
        fn store(&self, word: usize, value: u64) {
            self.write(word, value, Ordering::Relaxed);
        }

        #[inline(always)]
        fn publish(&self, word: usize, value: u64) {
            self.write(word, value, Ordering::Release);
        }

        #[inline(always)]
        fn release(&self) {
            fence(Ordering::Release);
        }

        fn reserve(&self, pages: Range<u32>) -> io::Result<()> {
            self.allocate(FallocateFlags::empty(), pages)
        }

        fn give_back(&self, pages: Range<u32>) {
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            if let Err(error) = self.allocate(punch, pages) {
                // It stays in use by nobody: a pity, and no reason to end.
                debug_assert!(false, "punching a hole: {error}");
            }
        }
    }

    impl Segment {
        #[inline(always)]
        fn write(&self, word: usize, value: u64, order: Ordering) {
            assert!(word < self.mapping.words, "the writer knows its memory");
            // SAFETY: the word lies within the mapping, as in `load`, and it is mapped for writing.
            unsafe { (*self.mapping.first.add(word).as_ptr()).store(value, order) };
        }
    }
}
