//! Every order that a processor may give to the loads of a reader and the stores of the writer, as
//! far as they concern each other: loom plays them all.
//!
//! Only the words that one side changes while the other reads them are loom's; a dry run finds them.
//! The rest of the segment is plain memory, so the whole map can take part.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64 as PlainWord, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ::loom::model::Builder;
use ::loom::sync::atomic::{AtomicU64 as RacingWord, fence};
use ::loom::thread;

use super::history::LIMITS;
use crate::map::known::{Cell, Memo};
use crate::map::layout::PAGE;
use crate::map::reader::{Answer, Reader};
use crate::map::words::{Memory, Words};
use crate::map::{Map, Origin, Stamp};

const KEY: &[u8] = b"key";

/// Pages of the memory: the header, some tables, and two slabs.
const PAGES: usize = 26;

/// Most executions that are played of one race, if it is no long run.
const EXECUTIONS: usize = 10_000;

/// What a thread needs in a debug build, in words.
const STACK: usize = 1 << 16;

/// Memory of which some words are loom's.
#[derive(Clone)]
struct Racing(Arc<Parts>);

struct Parts {
    plain: Vec<PlainWord>,
    /// From the moment on that there are two threads.
    racing: OnceLock<BTreeMap<usize, RacingWord>>,
    /// What a dry run has seen, in such.
    seen: Mutex<Option<Seen>>,
}

#[derive(Default)]
struct Seen {
    loaded: BTreeSet<usize>,
    changed: BTreeSet<usize>,
}

impl Racing {
    fn new() -> Self {
        let plain = (0..PAGES * PAGE).map(|_| PlainWord::new(0)).collect();
        let (racing, seen) = Default::default();
        Racing(Arc::new(Parts {
            plain,
            racing,
            seen,
        }))
    }

    /// From now on these words are loom's.
    fn race(&self, words: &BTreeSet<usize>) {
        let value = |word: &usize| self.0.plain[*word].load(Ordering::Relaxed);
        let racing = words
            .iter()
            .map(|word| (*word, RacingWord::new(value(word))));
        let is_first = self.0.racing.set(racing.collect()).is_ok();
        assert!(is_first, "there is one race");
    }

    /// A reader, which shares what it remembers as the rest is shared.
    fn reader(&self) -> Reader<Self, Shared> {
        let is_racing = self.0.racing.get().is_some();
        let memo = Memo::new(|value| match is_racing {
            true => Shared::Racing(RacingWord::new(value)),
            false => Shared::Plain(PlainWord::new(value)),
        });
        Reader::remembering(self.clone(), memo)
    }

    /// Notes something if this is a dry run.
    fn note(&self, note: impl FnOnce(&mut Seen)) {
        if let Some(seen) = &mut *self.0.seen.lock().expect("nobody panics with it") {
            note(seen);
        }
    }

    /// Begins a dry run, or the next part of one; returns what was seen until then.
    fn see(&self) -> Seen {
        let seen = self
            .0
            .seen
            .lock()
            .expect("nobody panics with it")
            .replace(Seen::default());
        seen.unwrap_or_default()
    }

    fn racing(&self, word: usize) -> Option<&RacingWord> {
        self.0.racing.get()?.get(&word)
    }

    fn put(&self, word: usize, value: u64, order: Ordering) {
        if let Some(racing) = self.racing(word) {
            return racing.store(value, order);
        }
        let before = self.0.plain[word].swap(value, Ordering::Relaxed);
        if before != value {
            self.note(|seen| {
                seen.changed.insert(word);
            });
        }
    }
}

/// A word that readers share.
enum Shared {
    Plain(PlainWord),
    Racing(RacingWord),
}

impl Cell for Shared {
    fn load(&self, order: Ordering) -> u64 {
        match self {
            Shared::Plain(word) => word.load(order),
            Shared::Racing(word) => word.load(order),
        }
    }

    fn store(&self, value: u64, order: Ordering) {
        match self {
            Shared::Plain(word) => word.store(value, order),
            Shared::Racing(word) => word.store(value, order),
        }
    }

    fn exchange(&self, expected: u64, value: u64) -> bool {
        let (order, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        match self {
            Shared::Plain(word) => word.compare_exchange(expected, value, order, failed),
            Shared::Racing(word) => word.compare_exchange(expected, value, order, failed),
        }
        .is_ok()
    }
}

impl Words for Racing {
    fn lend(&self) -> impl Words {
        self.clone()
    }

    fn len(&self) -> usize {
        self.0.plain.len()
    }

    fn load(&self, word: usize) -> u64 {
        if let Some(racing) = self.racing(word) {
            return racing.load(Ordering::Relaxed);
        }
        self.note(|seen| {
            seen.loaded.insert(word);
        });
        let plain = self.0.plain.get(word);
        plain.map_or(0, |plain| plain.load(Ordering::Relaxed))
    }

    fn acquire(&self) {
        if self.0.racing.get().is_some() {
            fence(Ordering::Acquire);
        }
    }
}

impl Memory for Racing {
    fn store(&self, word: usize, value: u64) {
        self.put(word, value, Ordering::Relaxed);
    }

    fn publish(&self, word: usize, value: u64) {
        self.put(word, value, Ordering::Release);
    }

    fn release(&self) {
        if self.0.racing.get().is_some() {
            fence(Ordering::Release);
        }
    }

    fn reserve(&self, _: Range<u32>) -> io::Result<()> {
        Ok(())
    }

    fn give_back(&self, pages: Range<u32>) {
        for word in pages.start as usize * PAGE..pages.end as usize * PAGE {
            if self.load(word) != 0 {
                self.store(word, 0);
            }
        }
    }
}

/// What the writer does while others read.
pub(super) struct Race {
    name: &'static str,
    prepare: fn(&mut Map<Racing>),
    steps: &'static [fn(&mut Map<Racing>)],
    /// Whether the reader has read before, so that it begins with a glance; otherwise its first read
    /// is a search.
    has_read: bool,
    /// How many threads read, with one reader.
    readers: usize,
    /// How often each of them reads.
    reads: usize,
    /// How often the scheduler may stop a thread that could go on; once more in long runs. Old values
    /// may be loaded however late that is, so that few suffice.
    preemptions: usize,
}

/// A variable gets two other values, the second in the memory of the present one.
pub(super) const OVERWRITE: Race = Race {
    name: "overwrite",
    prepare: |map| {
        set(map, 1);
        set(map, 2);
    },
    steps: &[|map| set(map, 3), |map| set(map, 4)],
    has_read: false,
    readers: 1,
    reads: 1,
    preemptions: 1,
};

/// The same for a reader that knows where the table is.
pub(super) const GLANCE: Race = Race {
    name: "glance",
    has_read: true,
    ..OVERWRITE
};

/// The table is made anew twice, the second time in the memory of the first.
pub(super) const SWITCH: Race = Race {
    name: "switch",
    prepare: |map| {
        set(map, 1);
        rebuild(map, 11);
        rebuild(map, 12);
    },
    steps: &[|map| rebuild(map, 13), |map| rebuild(map, 14)],
    has_read: false,
    readers: 1,
    reads: 2,
    preemptions: 1,
};

/// The table comes back to its place, and the variable to its block.
pub(super) const RETURN: Race = Race {
    name: "return",
    prepare: |map| {
        set(map, 1);
        rebuild(map, 11);
        rebuild(map, 11);
        set(map, 2);
    },
    steps: &[
        |map| rebuild(map, 11),
        |map| set(map, 3),
        |map| set(map, 4),
        |map| rebuild(map, 11),
    ],
    has_read: false,
    readers: 1,
    reads: 2,
    preemptions: 0,
};

/// The same by two threads, which tell each other where the table is.
pub(super) const SHARE: Race = Race {
    name: "share",
    prepare: SWITCH.prepare,
    steps: &[|map| rebuild(map, 13), |map| rebuild(map, 14)],
    has_read: false,
    readers: 2,
    reads: 1,
    preemptions: 1,
};

fn set(map: &mut Map<Racing>, value: u64) {
    let set = map.set(KEY, &value.to_le_bytes(), &Stamp::default());
    assert_eq!(set.map(|set| set.revision.0), Ok(value));
}

fn rebuild(map: &mut Map<Racing>, seed: u64) {
    map.begin_rebuild(seed, map.len());
    while map.work() {}
}

impl Race {
    /// The map before the race.
    fn begin(&self) -> Map<Racing> {
        let origin = Origin {
            instance: 7,
            born: 8,
        };
        let mut map = Map::create(Racing::new(), LIMITS, origin, 9).expect("there is memory");
        (self.prepare)(&mut map);
        map
    }

    /// Finds the words that are changed and read, by reading after each step.
    fn words(&self) -> BTreeSet<usize> {
        let mut map = self.begin();
        let memory = map.memory().clone();
        let (mut loaded, mut changed) = (BTreeSet::new(), BTreeSet::new());
        for step in [None].into_iter().chain(self.steps.iter().map(Some)) {
            memory.see();
            step.inspect(|step| step(&mut map));
            changed.extend(memory.see().changed);
            self.read(&memory.reader());
            loaded.extend(memory.see().loaded);
        }
        loaded.intersection(&changed).copied().collect()
    }

    /// Reads the variable, which was always there and always as large as its revision.
    fn read(&self, reader: &Reader<Racing, Shared>) {
        let mut value = Vec::new();
        let mut last = 0;
        for _ in 0..self.reads {
            let answer = reader.get(KEY, &mut value);
            let Answer::Found(revision) = answer else {
                panic!("{answer:?}, though it was always there");
            };
            assert_eq!(revision.0.to_le_bytes(), value[..], "the value is torn");
            assert!(revision.0 >= last, "it was there before");
            last = revision.0;
        }
    }

    /// One of all executions.
    fn write(&'static self, words: &BTreeSet<usize>) {
        let mut map = self.begin();
        let memory = map.memory().clone();
        memory.race(words);
        let reader = Arc::new(memory.reader());
        if self.has_read {
            self.read(&reader);
        }
        let threads: Vec<_> = (0..self.readers)
            .map(|_| {
                let reader = reader.clone();
                spawn(move || self.read(&reader))
            })
            .collect();
        for step in self.steps {
            step(&mut map);
        }
        for thread in threads {
            thread.join().expect("a panic would have ended the test");
        }
    }

    /// Plays every order, or many; returns how many.
    pub(super) fn run(&'static self) -> usize {
        let words = self.words();
        let executions = Arc::new(AtomicUsize::new(0));
        let count = executions.clone();
        let mut builder = Builder::new();
        let is_long = std::env::var_os("GLOBSTASH_SEEDS").is_some();
        builder.preemption_bound = Some(self.preemptions + if is_long { 1 } else { 0 });
        builder.max_permutations = Some(EXECUTIONS).filter(|_| !is_long);
        builder.checkpoint_interval = EXECUTIONS; // When it looks at the line above.
        builder.check(move || {
            count.fetch_add(1, Ordering::Relaxed);
            let words = words.clone();
            let writer = spawn(move || self.write(&words));
            writer.join().expect("a panic would have ended the test");
        });
        let executions = executions.load(Ordering::Relaxed);
        println!("{}: {executions} executions", self.name);
        executions
    }
}

/// Starts a thread; those of loom have small stacks.
fn spawn<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    let builder = thread::Builder::new().stack_size(STACK);
    builder.spawn(act).expect("loom refuses no thread")
}

#[test]
fn a_value_is_never_torn_in_any_order() {
    assert!(OVERWRITE.run() > 100);
}

#[test]
fn a_value_is_never_torn_at_a_glance_in_any_order() {
    assert!(GLANCE.run() > 100);
}

#[test]
fn a_table_that_returns_is_never_taken_for_the_old_one() {
    assert!(RETURN.run() > 100);
}

#[test]
fn a_table_is_never_read_half_made_in_any_order() {
    assert!(SWITCH.run() > 100);
}

#[test]
fn a_table_that_another_thread_has_found_is_the_right_one() {
    assert!(SHARE.run() > 100);
}
