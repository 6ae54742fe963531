//! Which memory of the segment is free. Private to the writer, and rebuilt by recovery: nothing of
//! it stands in the segment, so that nothing of it can be left half done.
//!
//! Memory is handed out in pages. Sixteen pages in a row make a *slab* of equal blocks, in one of
//! some classes of sizes; larger blocks, and tables, have pages of their own. Free pages keep their
//! memory for a while and then give it back to the system.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::layout::{Granule, PAGE_GRANULES};
use super::words::Memory;

/// Pages in a slab: 64 KiB, and less in tests, which want to see them fill and empty.
const SLAB_PAGES: u32 = if cfg!(test) { 2 } else { 16 };

/// Granules in a slab.
const SLAB_GRANULES: u32 = SLAB_PAGES * PAGE_GRANULES;

/// Fewest blocks of a class in a slab: larger blocks have pages of their own.
const SLAB_BLOCKS_MIN: u32 = 4;

/// Up to this many granules (1 KiB) there is a class for every size; above, one for every number of
/// blocks that a slab can hold, so that no slab has a remainder.
const EXACT_MAX: u32 = 64;

/// How many classes there are.
const CLASSES: usize = (EXACT_MAX + SLAB_GRANULES / EXACT_MAX - SLAB_BLOCKS_MIN) as usize;

/// Free pages that keep their memory: 4 MiB, so that values of 1 MiB can be replaced all day
/// without asking the system.
const KEPT_PAGES: u32 = if cfg!(test) { 2 } else { 1024 };

/// Most pages given back in one step: some tens of µs.
const GIVE_BACK_PAGES: u32 = 256;

/// How many free runs are looked at for one in which a slab is aligned.
const TRIES: usize = 8;

/// How many slabs of a class are looked at for the emptiest.
const SAMPLE: usize = 16;

/// What a page is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Nothing, and there is no memory behind it.
    Hole,
    /// Nothing, but its memory is still there.
    Spare,
    /// A large block, or a table.
    Run,
    /// Part of a slab.
    Slab(u32),
}

/// Sixteen pages of equal blocks.
struct Slab {
    page: u32,
    class: usize,
    used: u32,
    /// Bit set: the block is used.
    bits: Box<[u64]>,
    /// Where it stands among those of its class that have room.
    position: Option<u32>,
    evacuated: bool,
}

#[derive(Default, Clone)]
struct Class {
    slabs: u32,
    used: u64,
    /// The slabs that have room.
    partial: Vec<u32>,
    is_fragmented: bool,
}

/// The memory behind the header.
pub(super) struct Arena {
    /// Those behind the last one are holes.
    pages: Vec<Use>,
    runs: Runs,
    slabs: Vec<Slab>,
    /// Numbers of slabs that are no more.
    vacant: Vec<u32>,
    classes: Vec<Class>,
    /// Classes that have come to hold much free memory.
    fragmented: VecDeque<usize>,
    /// Free pages that have memory behind them: how many, and where some may be.
    spare: u32,
    freed: VecDeque<(u32, u32)>,
    /// Pages in use.
    used_pages: u32,
}

/// There is no memory, or no room in the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoMemory;

impl Arena {
    /// All pages of `first..end` free, and no memory behind them.
    pub(super) fn new(first: u32, end: u32) -> Self {
        let mut runs = Runs::default();
        runs.insert(first, end - first);
        Arena {
            pages: Vec::new(),
            runs,
            slabs: Vec::new(),
            vacant: Vec::new(),
            classes: vec![Class::default(); CLASSES],
            fragmented: VecDeque::new(),
            spare: 0,
            freed: VecDeque::new(),
            used_pages: 0,
        }
    }

    /// How many bytes of the segment are in use, free ones within slabs included.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.used_pages) * 4096
    }

    /// A place for a block of so many granules.
    pub(super) fn take(
        &mut self,
        memory: &impl Memory,
        granules: u32,
    ) -> Result<Granule, NoMemory> {
        let Some(class) = class_of(granules) else {
            let count = granules.div_ceil(PAGE_GRANULES);
            let (start, _) = self.runs.at_least(count).next().ok_or(NoMemory)?;
            self.back(memory, start, count)?;
            self.occupy(start, count);
            return Ok(Granule(start * PAGE_GRANULES));
        };
        let number = match self.classes[class].partial.last() {
            Some(&number) => number,
            None => self.make_slab(memory, class)?,
        };
        let slab = &mut self.slabs[number as usize];
        let block = slab.first_free();
        self.mark(number, block);
        let slab = &self.slabs[number as usize];
        Ok(Granule(slab.page * PAGE_GRANULES + block * size_of(class)))
    }

    /// Gives back the place of a block of so many granules.
    pub(super) fn give(&mut self, place: Granule, granules: u32) {
        let Use::Slab(number) = self.pages[place.page() as usize] else {
            return self.give_pages(place.page(), granules.div_ceil(PAGE_GRANULES));
        };
        let slab = &mut self.slabs[number as usize];
        let block = (place.0 - slab.page * PAGE_GRANULES) / size_of(slab.class);
        slab.bits[block as usize / 64] &= !(1 << (block % 64));
        slab.used -= 1;
        let class = slab.class;
        self.classes[class].used -= 1;
        if slab.used == 0 {
            return self.end_slab(number);
        }
        if slab.position.is_none() && !slab.evacuated {
            self.list(number);
        }
        let class_state = &mut self.classes[class];
        if !class_state.is_fragmented && is_fragmented(class, class_state) {
            class_state.is_fragmented = true;
            self.fragmented.push_back(class);
        }
    }

    /// So many pages in a row, without memory behind them.
    pub(super) fn claim_pages(&mut self, count: u32) -> Result<u32, NoMemory> {
        let (start, _) = self.runs.at_least(count).next().ok_or(NoMemory)?;
        self.occupy(start, count);
        Ok(start)
    }

    /// Gives back pages behind which there is no memory.
    pub(super) fn give_holes(&mut self, start: u32, count: u32) {
        self.pages[start as usize..(start + count) as usize].fill(Use::Hole);
        self.runs.insert(start, count);
        self.used_pages -= count;
    }

    /// Gives back pages that were taken together.
    pub(super) fn give_pages(&mut self, start: u32, count: u32) {
        self.pages[start as usize..(start + count) as usize].fill(Use::Spare);
        self.runs.insert(start, count);
        self.spare += count;
        self.used_pages -= count;
        self.freed.push_back((start, count));
    }

    /// Whether there may be something to do for [`Self::evacuate`] or [`Self::trim`].
    #[inline]
    pub(super) fn is_untidy(&self) -> bool {
        !self.fragmented.is_empty() || self.is_untrimmed()
    }

    fn is_untrimmed(&self) -> bool {
        self.spare > KEPT_PAGES.max(self.used_pages / 8) && !self.freed.is_empty()
    }

    /// Gives some memory back to the system, if there is much that is free.
    pub(super) fn trim(&mut self, memory: &impl Memory) {
        if !self.is_untrimmed() {
            return;
        }
        let Some((start, count)) = self.freed.pop_front() else {
            return;
        };
        let now = count.min(GIVE_BACK_PAGES);
        if now < count {
            self.freed.push_front((start + now, count - now));
        }
        // Some of them may be in use again.
        let mut page = start;
        while page < start + now {
            let spare = self.pages[page as usize..(start + now) as usize]
                .iter()
                .take_while(|state| **state == Use::Spare)
                .count() as u32;
            if spare > 0 {
                memory.give_back(page..page + spare);
                self.pages[page as usize..(page + spare) as usize].fill(Use::Hole);
                self.spare -= spare;
            }
            page += spare.max(1);
        }
    }

    /// A slab whose blocks should move elsewhere, because its class holds too much free memory.
    /// No block is placed in it any more.
    pub(super) fn evacuate(&mut self) -> Option<u32> {
        while let Some(class) = self.fragmented.pop_front() {
            self.classes[class].is_fragmented = false;
            let state = &self.classes[class];
            if !is_fragmented(class, state) {
                continue;
            }
            let emptiest = state
                .partial
                .iter()
                .take(SAMPLE)
                .min_by_key(|number| self.slabs[**number as usize].used);
            let Some(&number) = emptiest else { continue };
            self.unlist(number);
            self.slabs[number as usize].evacuated = true;
            return Some(number);
        }
        None
    }

    /// Ends the evacuation of a slab whose blocks have nowhere to go: others may join them again.
    pub(super) fn keep(&mut self, number: u32) {
        self.slabs[number as usize].evacuated = false;
        self.list(number);
    }

    /// A block that is still in a slab that is evacuated.
    pub(super) fn block_in(&self, number: u32) -> Option<Granule> {
        let slab = &self.slabs[number as usize];
        if !slab.evacuated {
            return None; // It is empty: its number may be another's.
        }
        let (index, bits) = slab.bits.iter().enumerate().find(|(_, bits)| **bits != 0)?;
        let block = index as u32 * 64 + bits.trailing_zeros();
        Some(Granule(
            slab.page * PAGE_GRANULES + block * size_of(slab.class),
        ))
    }

    /// Marks a block as used that recovery has found. False if it cannot be one: it overlaps
    /// another, or stands where none is ever placed.
    pub(super) fn adopt(&mut self, place: Granule, granules: u32) -> bool {
        let Some(class) = class_of(granules) else {
            return place.0.is_multiple_of(PAGE_GRANULES)
                && self.adopt_pages(place.page(), granules.div_ceil(PAGE_GRANULES));
        };
        let first = place.page() / SLAB_PAGES * SLAB_PAGES;
        let offset = place.0 - first * PAGE_GRANULES;
        let block = offset / size_of(class);
        if !offset.is_multiple_of(size_of(class)) || block >= blocks_in(class) {
            return false;
        }
        let number = match self.state(first) {
            Use::Slab(number) => number,
            Use::Hole if self.adopt_pages(first, SLAB_PAGES) => self.add_slab(first, class),
            _ => return false,
        };
        let slab = &self.slabs[number as usize];
        if slab.class != class || slab.bits[block as usize / 64] >> (block % 64) & 1 != 0 {
            return false;
        }
        self.mark(number, block);
        true
    }

    /// Marks pages as used that recovery has found; false if they cannot be.
    pub(super) fn adopt_pages(&mut self, start: u32, count: u32) -> bool {
        let is_free = self.runs.hold(start, count);
        if is_free {
            self.occupy(start, count);
        }
        is_free
    }

    /// Gives back whatever memory is behind pages that recovery has not found in use.
    pub(super) fn settle(&mut self, memory: &impl Memory) {
        for (start, count) in self.runs.at_least(1) {
            memory.give_back(start..start + count);
        }
        // Some may have been a damaged block's for a while.
        let spare = self.pages.iter_mut().filter(|page| **page == Use::Spare);
        spare.for_each(|page| *page = Use::Hole);
        self.spare = 0;
        self.freed.clear();
    }

    /// Checks that what is in use is what must be: these blocks, with their lengths in granules, and
    /// these tables, with theirs in pages.
    #[cfg(test)]
    pub(super) fn check(
        &self,
        blocks: impl Iterator<Item = (Granule, u32)>,
        tables: impl Iterator<Item = (u32, u32)>,
    ) {
        let last = self.runs.by_start.last_key_value();
        let end = last.map_or(0, |(start, count)| start + count);
        let end = end.max(self.pages.len() as u32);
        let mut anew = Arena::new(super::layout::FIRST_PAGE, end);
        for (page, count) in tables {
            assert!(anew.adopt_pages(page, count));
        }
        for (block, granules) in blocks {
            assert!(anew.adopt(block, granules));
        }
        let slabs = |arena: &Arena| {
            let slabs = arena.slabs.iter().filter(|slab| slab.used > 0);
            let mut slabs: Vec<_> = slabs
                .map(|slab| (slab.page, slab.class, slab.used, slab.bits.clone()))
                .collect();
            slabs.sort();
            slabs
        };
        assert_eq!(slabs(self), slabs(&anew));
        assert_eq!(self.used_pages, anew.used_pages);
        let free = |arena: &Arena| arena.runs.by_start.clone();
        assert_eq!(free(self), free(&anew));
        let is_spare = |state: &&Use| **state == Use::Spare;
        let spare = self.pages.iter().filter(is_spare).count();
        assert_eq!(spare as u32, self.spare);
    }

    fn make_slab(&mut self, memory: &impl Memory, class: usize) -> Result<u32, NoMemory> {
        let aligned = |(start, count): (u32, u32)| {
            let first = start.next_multiple_of(SLAB_PAGES);
            (first + SLAB_PAGES <= start + count).then_some(first)
        };
        let first = self
            .runs
            .at_least(SLAB_PAGES)
            .take(TRIES)
            .find_map(aligned)
            .or_else(|| self.runs.at_least(2 * SLAB_PAGES).find_map(aligned))
            .ok_or(NoMemory)?;
        self.back(memory, first, SLAB_PAGES)?;
        self.occupy(first, SLAB_PAGES);
        Ok(self.add_slab(first, class))
    }

    /// Makes sure that there is memory behind free pages.
    fn back(&self, memory: &impl Memory, start: u32, count: u32) -> Result<(), NoMemory> {
        let is_spare = |page: u32| self.state(page) == Use::Spare;
        match (start..start + count).all(is_spare) {
            true => Ok(()),
            false => memory.reserve(start..start + count).map_err(|_| NoMemory),
        }
    }

    /// Makes free pages used ones.
    fn occupy(&mut self, start: u32, count: u32) {
        let range = start as usize..(start + count) as usize;
        if self.pages.len() < range.end {
            self.pages.resize(range.end, Use::Hole);
        }
        let pages = &mut self.pages[range];
        self.spare -= pages.iter().filter(|state| **state == Use::Spare).count() as u32;
        pages.fill(Use::Run);
        self.used_pages += count;
        self.runs.remove(start, count);
    }

    fn state(&self, page: u32) -> Use {
        *self.pages.get(page as usize).unwrap_or(&Use::Hole)
    }

    /// Sixteen pages in use become a slab.
    fn add_slab(&mut self, page: u32, class: usize) -> u32 {
        let slab = Slab {
            page,
            class,
            used: 0,
            bits: vec![0; blocks_in(class).div_ceil(64) as usize].into(),
            position: None,
            evacuated: false,
        };
        let number = match self.vacant.pop() {
            Some(number) => {
                self.slabs[number as usize] = slab;
                number
            }
            None => {
                self.slabs.push(slab);
                self.slabs.len() as u32 - 1
            }
        };
        self.pages[page as usize..(page + SLAB_PAGES) as usize].fill(Use::Slab(number));
        self.classes[class].slabs += 1;
        self.list(number);
        number
    }

    fn end_slab(&mut self, number: u32) {
        self.unlist(number);
        let slab = &mut self.slabs[number as usize];
        slab.bits = Box::default();
        slab.evacuated = false;
        let (page, class) = (slab.page, slab.class);
        self.classes[class].slabs -= 1;
        self.vacant.push(number);
        self.give_pages(page, SLAB_PAGES);
    }

    fn mark(&mut self, number: u32, block: u32) {
        let slab = &mut self.slabs[number as usize];
        slab.bits[block as usize / 64] |= 1 << (block % 64);
        slab.used += 1;
        let (class, is_full) = (slab.class, slab.used == blocks_in(slab.class));
        self.classes[class].used += 1;
        if is_full {
            self.unlist(number);
        }
    }

    /// Puts a slab among those of its class that have room.
    fn list(&mut self, number: u32) {
        let slab = &mut self.slabs[number as usize];
        let partial = &mut self.classes[slab.class].partial;
        slab.position = Some(partial.len() as u32);
        partial.push(number);
    }

    fn unlist(&mut self, number: u32) {
        let slab = &mut self.slabs[number as usize];
        let Some(position) = slab.position.take() else {
            return;
        };
        let partial = &mut self.classes[slab.class].partial;
        partial.swap_remove(position as usize);
        if let Some(moved) = partial.get(position as usize) {
            self.slabs[*moved as usize].position = Some(position);
        }
    }
}

impl Slab {
    /// The first block that is free; there is one.
    fn first_free(&self) -> u32 {
        let index = self
            .bits
            .iter()
            .position(|bits| *bits != u64::MAX)
            .expect("a slab with room has a free block");
        index as u32 * 64 + self.bits[index].trailing_ones()
    }
}

/// Whether a class holds more than a slab and a quarter of its memory for nothing.
fn is_fragmented(class: usize, state: &Class) -> bool {
    let all = u64::from(state.slabs) * u64::from(blocks_in(class));
    let free = all - state.used;
    free > u64::from(blocks_in(class)) && free > all / 4
}

/// The class of blocks of so many granules; `None` for those that have pages of their own.
fn class_of(granules: u32) -> Option<usize> {
    if granules <= EXACT_MAX {
        return Some(granules as usize - 1);
    }
    let blocks = SLAB_GRANULES / granules;
    let most = SLAB_GRANULES / EXACT_MAX;
    (blocks >= SLAB_BLOCKS_MIN).then(|| (EXACT_MAX + most - 1 - blocks) as usize)
}

/// How many granules a block of a class has.
fn size_of(class: usize) -> u32 {
    let class = class as u32;
    if class < EXACT_MAX {
        return class + 1;
    }
    let most = SLAB_GRANULES / EXACT_MAX;
    SLAB_GRANULES / (EXACT_MAX + most - 1 - class)
}

/// How many blocks of a class a slab has.
fn blocks_in(class: usize) -> u32 {
    SLAB_GRANULES / size_of(class)
}

/// Free pages in a row, found by place and by length.
#[derive(Default)]
struct Runs {
    by_start: BTreeMap<u32, u32>,
    by_len: BTreeSet<(u32, u32)>,
}

impl Runs {
    /// The runs of at least so many pages, shortest first: where they start, and how long they are.
    fn at_least(&self, count: u32) -> impl Iterator<Item = (u32, u32)> {
        self.by_len
            .range((count, 0)..)
            .map(|(count, start)| (*start, *count))
    }

    /// Adds pages, joined with their neighbours.
    fn insert(&mut self, mut start: u32, mut count: u32) {
        if count == 0 {
            return;
        }
        if let Some((&before, &len)) = self.by_start.range(..start).next_back()
            && before + len == start
        {
            self.forget(before, len);
            (start, count) = (before, len + count);
        }
        if let Some(&len) = self.by_start.get(&(start + count)) {
            self.forget(start + count, len);
            count += len;
        }
        self.by_start.insert(start, count);
        self.by_len.insert((count, start));
    }

    /// The run that holds all of these pages, if one does.
    fn around(&self, start: u32, count: u32) -> Option<(u32, u32)> {
        let (&first, &len) = self.by_start.range(..=start).next_back()?;
        let end = start.checked_add(count)?;
        (end <= first + len).then_some((first, len))
    }

    /// Whether all of these pages are free.
    fn hold(&self, start: u32, count: u32) -> bool {
        self.around(start, count).is_some()
    }

    /// Takes out pages that are free.
    fn remove(&mut self, start: u32, count: u32) {
        let (first, len) = self.around(start, count).expect("free pages are in a run");
        self.forget(first, len);
        self.insert(first, start - first);
        self.insert(start + count, first + len - start - count);
    }

    fn forget(&mut self, start: u32, count: u32) {
        self.by_start.remove(&start);
        self.by_len.remove(&(count, start));
    }
}
