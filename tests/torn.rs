//! Nobody ever sees half a value, or an older one than before, or loses one that was acknowledged,
//! however often the writer is killed.
//!
//! A process writes a map as fast as it can and is killed at random moments; the next one recovers
//! the same memory file and goes on. Two others read it all the time through mappings that are
//! read-only, by name and by handle, and are stopped for a moment now and then. Every value carries
//! its revision, its length and a checksum.
//!
//! The books are kept in a second memory file, the [`Ledger`]: before an operation the writer
//! stores what it intends, after it what is acknowledged. After each kill every variable must be as
//! it was acknowledged, or as the one operation intended that was under way; and after the recovery,
//! which completes an operation that was half done, all variables of that one alike.
//!
//!     GLOBSTASH_SOAK=600 cargo test --release --test torn     # seconds; a few without it
//!
//! Without a harness: the processes are this program again, with an argument.

#[path = "../src/map/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the soak uses a part of it")]
mod map;

use std::env;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use map::{Answer, Change, Handle, Limits, Map, Memory as _, Origin, Reader, Segment, Stamp};
use map::{View, Words as _};
use rustix::process::{Pid, Signal, kill_process};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Variables that are watched over. The first half is never deleted.
const KEYS: usize = 200;

/// The first ones have values of up to 1 MiB.
const LARGE: usize = 6;

/// Smallest value: its revision, its length, and a checksum.
const VALUE_MIN: usize = 24;

/// Variables that come and go, so that the table grows and shrinks.
const PASSING: usize = 3000;

/// Most variables that one operation changes: many, so that some kills come in the midst of it.
const TOGETHER: usize = 100;

/// What the memory file may take: several times what all variables take at their largest.
const FILE_MAX: i64 = 96 << 20;

const LIMITS: Limits = Limits {
    variables: 1 << 20,
    bytes: 64 << 20,
};

const STAMP: Stamp = Stamp {
    time: 1,
    owner: 2,
    setter: 3,
    uid: 4,
    pid: 5,
    kind: 1,
    protected: false,
    deadline: None,
    process: None,
};

fn main() -> ExitCode {
    let role = env::args().skip_while(|argument| argument != ROLE).nth(1);
    let result = match role.as_deref() {
        None => soak(),
        Some(WRITER) => write(),
        Some(seed) => read(seed.parse().expect("a number")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("torn: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The argument before the role of a process that is started again: [`WRITER`], or a reader's seed.
const ROLE: &str = "--role";
const WRITER: &str = "writer";

fn soak() -> io::Result<()> {
    let seconds = env::var("GLOBSTASH_SOAK").ok();
    let seconds = seconds.map_or(Ok(4), |seconds| seconds.parse());
    let end = Instant::now() + Duration::from_secs(seconds.map_err(io::Error::other)?);
    let mut random = Random::new(u64::from(std::process::id()));

    let segment = Segment::create(512 << 20)?;
    let origin = Origin {
        instance: 1,
        born: 1,
    };
    let file = segment.as_fd().try_clone_to_owned()?;
    drop(Map::create(segment, LIMITS, origin, 1).map_err(failure)?);
    let view = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let reader = Reader::new(View::open(view.as_fd())?);
    let ledger = Ledger::create()?;

    let mut readers = Vec::new();
    for seed in ["1", "2"] {
        readers.push(Process::start(seed, view.try_clone()?.into(), &ledger)?);
    }
    let mut kills = 0;
    while Instant::now() < end {
        let done = ledger.done();
        let mut writer = Process::start(WRITER, file.try_clone()?, &ledger)?;
        // Killed while it recovers, sometimes; else while it writes.
        while random.below(20) > 0 && ledger.done() == done {
            writer.check()?;
            sleep(Duration::from_micros(50));
        }
        sleep(Duration::from_micros(random.below(30_000) as u64));
        writer.check()?;
        writer.signal(Signal::KILL)?;
        writer.child.wait()?;
        kills += 1;
        // What is half done is completed by the next writer.
        let _ = verify(&ledger, |key, value| match reader.get(key, value) {
            Answer::Found(revision) => Ok(Some(revision.0)),
            Answer::Absent => Ok(None),
            answer => Err(failure(answer)),
        })
        .map_err(|error| in_context("before recovery", &error))?;
        let size = rustix::fs::fstat(&file)?.st_blocks * 512;
        if size > FILE_MAX {
            return Err(failure(("the memory file grows", size)));
        }
        for reader in &mut readers {
            reader.check()?;
        }
        let stopped = &readers[random.below(2)];
        stopped.signal(Signal::STOP)?;
        sleep(Duration::from_micros(random.below(5000) as u64));
        stopped.signal(Signal::CONT)?;
    }
    ledger.end();
    for mut reader in readers {
        match reader.child.wait()?.success() {
            true => {}
            false => return Err(failure("a reader has seen what it must not")),
        }
    }
    let (done, (reads, busy)) = (ledger.done(), ledger.reads());
    println!(
        "{kills} kills, {done} acknowledged operations, {reads} reads, {busy} of them in vain"
    );
    println!("nothing torn, nothing older than before, nothing lost");
    match reads > 0 && done > 0 {
        true => Ok(()),
        false => Err(failure("nothing was done")),
    }
}

fn failure(what: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("{what:?}"))
}

fn in_context(when: &str, error: &io::Error) -> io::Error {
    io::Error::other(format!("{when}: {error}"))
}

/// A process that ends with this one.
struct Process {
    child: Child,
}

impl Process {
    /// Starts this program again. Its standard input is the map, its standard output the ledger.
    fn start(role: &str, map: OwnedFd, ledger: &Ledger) -> io::Result<Self> {
        let ledger = ledger.words.as_fd().try_clone_to_owned()?;
        let child = Command::new(env::current_exe()?)
            .args([ROLE, role])
            .stdin(Stdio::from(map))
            .stdout(Stdio::from(ledger))
            .spawn()?;
        Ok(Process { child })
    }

    /// It runs.
    fn check(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(failure(("a process has ended by itself", status))),
        }
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.expect("a child has an ID"), signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is known of the variables, in shared memory.
struct Ledger {
    words: Segment,
}

/// A state of a variable: its revision and the length of its value, or that it is not defined.
type State = Option<(u64, usize)>;

impl Ledger {
    const DONE: usize = 0;
    const END: usize = 1;
    /// Two words for each reader: reads, and answers that said to ask the service.
    const READS: usize = 2;
    /// How many variables are about to be changed, and to which revision; then the variables.
    const INTENT: usize = 8;
    const REVISION: usize = 9;
    const CHANGES: usize = 10;
    /// Two words for each variable.
    const STATES: usize = Self::CHANGES + 2 * TOGETHER;
    const BYTES: u64 = (Self::STATES + 2 * KEYS) as u64 * 8;

    fn create() -> io::Result<Self> {
        let words = Segment::create(Self::BYTES)?;
        words.reserve(0..Self::BYTES.div_ceil(4096) as u32)?;
        Ok(Ledger { words })
    }

    /// That of the process which started this one.
    fn inherited() -> io::Result<Self> {
        let file = io::stdout().as_fd().try_clone_to_owned()?;
        let words = Segment::open(file)?;
        Ok(Ledger { words })
    }

    fn done(&self) -> u64 {
        self.words.load(Self::DONE)
    }

    fn end(&self) {
        self.words.publish(Self::END, 1);
    }

    fn has_ended(&self) -> bool {
        self.words.load(Self::END) != 0
    }

    /// How often both readers have read, and how often they were told to ask the service.
    fn reads(&self) -> (u64, u64) {
        let sum = |n| self.words.load(Self::READS + n) + self.words.load(Self::READS + 2 + n);
        (sum(0), sum(1))
    }

    fn count(&self, reader: usize, reads: u64, busy: u64) {
        self.words.store(Self::READS + 2 * (reader - 1), reads);
        self.words.store(Self::READS + 2 * (reader - 1) + 1, busy);
    }

    /// Before an operation: what variables it changes, and to what lengths.
    fn intend(&self, revision: u64, changes: &[(usize, Option<usize>)]) {
        for (n, (key, len)) in changes.iter().enumerate() {
            self.words.store(Self::CHANGES + 2 * n, *key as u64);
            let len = len.map_or(0, |len| len as u64 + 1);
            self.words.store(Self::CHANGES + 2 * n + 1, len);
        }
        self.words.store(Self::REVISION, revision);
        self.words.publish(Self::INTENT, changes.len() as u64);
        self.words.release();
    }

    /// What was intended last and is not yet acknowledged.
    fn intended(&self) -> Vec<(usize, State)> {
        let revision = self.words.load(Self::REVISION);
        (0..self.words.load(Self::INTENT) as usize)
            .map(|n| {
                let key = self.words.load(Self::CHANGES + 2 * n) as usize;
                let len = self.words.load(Self::CHANGES + 2 * n + 1) as usize;
                (key, len.checked_sub(1).map(|len| (revision, len)))
            })
            .collect()
    }

    /// After it: now it must never be undone.
    fn acknowledge(&self) {
        for (key, state) in self.intended() {
            let (revision, len) = state.map_or((0, 0), |(revision, len)| (revision, len as u64));
            self.words.store(Self::STATES + 2 * key + 1, len);
            self.words.publish(Self::STATES + 2 * key, revision);
        }
        self.words.publish(Self::INTENT, 0);
        self.words.publish(Self::DONE, self.done() + 1);
    }

    /// What was intended was not done, and will not be.
    fn forget(&self) {
        self.words.publish(Self::INTENT, 0);
    }

    /// The state of a variable that was acknowledged last; to be asked while nobody writes.
    fn acknowledged(&self, key: usize) -> State {
        let revision = self.revision(key);
        let len = self.words.load(Self::STATES + 2 * key + 1) as usize;
        (revision > 0).then_some((revision, len))
    }

    /// The revision of a variable that was acknowledged last; 0 if it is not defined.
    fn revision(&self, key: usize) -> u64 {
        self.words.load(Self::STATES + 2 * key)
    }
}

/// How much of the operation that was under way is done.
enum Done {
    All,
    Nothing,
    Half,
}

/// Checks that every variable is as it was acknowledged, or as what was under way wants it. To be
/// called while nobody writes.
fn verify(
    ledger: &Ledger,
    mut get: impl FnMut(&[u8], &mut Vec<u8>) -> io::Result<Option<u64>>,
) -> io::Result<Done> {
    let intended = ledger.intended();
    let mut value = Vec::new();
    let (mut old, mut new) = (0, 0);
    for key in 0..KEYS {
        let revision = get(&name(key), &mut value)?;
        let state = match revision {
            Some(revision) => Some((revision, check(key, revision, &value)?)),
            None => None,
        };
        let acknowledged = ledger.acknowledged(key);
        match intended.iter().find(|(other, _)| *other == key) {
            Some((_, wanted)) if state == *wanted => new += 1,
            Some((_, wanted)) if state == acknowledged && acknowledged != *wanted => old += 1,
            None if state == acknowledged => {}
            other => {
                let wrong = ("variable", key, "is", state, "but was", acknowledged, other);
                return Err(failure(wrong));
            }
        }
    }
    Ok(match (old, new) {
        (_, 0) => Done::Nothing,
        (0, _) => Done::All,
        _ => Done::Half,
    })
}

fn name(key: usize) -> Vec<u8> {
    format!("soak/{key}").into_bytes()
}

/// A value of this length that tells whose and of which revision it is.
fn fill(key: usize, revision: u64, len: usize, value: &mut Vec<u8>) {
    let mut random = Random::new(revision << 8 | key as u64);
    value.clear();
    value.extend(revision.to_le_bytes());
    value.extend((len as u64).to_le_bytes());
    value.extend([0; 8]);
    while value.len() < len {
        value.extend(random.next().to_le_bytes());
    }
    value.truncate(len);
    let sum = checksum(key, revision, value);
    value[16..VALUE_MIN].copy_from_slice(&sum.to_le_bytes());
}

fn checksum(key: usize, revision: u64, value: &[u8]) -> u64 {
    xxh3_64_with_seed(&value[VALUE_MIN..], revision ^ (key as u64) << 48)
}

/// The length of a value, which is whole and of this revision.
fn check(key: usize, revision: u64, value: &[u8]) -> io::Result<usize> {
    let word = |n: usize| {
        let bytes = value.get(8 * n..8 * n + 8);
        bytes.map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    };
    let is_whole = word(0) == Some(revision)
        && word(1) == Some(value.len() as u64)
        && word(2) == Some(checksum(key, revision, value));
    match is_whole {
        true => Ok(value.len()),
        false => Err(failure(("a torn value of", key, revision, value.len()))),
    }
}

/// The writer: takes over what its predecessor has left, checks it, and writes until it is killed.
fn write() -> io::Result<()> {
    let ledger = Ledger::inherited()?;
    let segment = Segment::open(io::stdin().as_fd().try_clone_to_owned()?)?;
    segment.own()?;
    let mut random = Random::new(u64::from(std::process::id()) << 20 | ledger.done());
    let (mut map, found) = Map::recover(segment, LIMITS, random.next(), |_| ()).map_err(failure)?;
    if found.dropped > 0 || found.broken_record {
        return Err(failure(found));
    }
    let done = verify(&ledger, |key, value| {
        let Some(entry) = map.get(key) else {
            return Ok(None);
        };
        value.clear();
        value.extend_from_slice(&entry.value());
        Ok(Some(entry.revision().0))
    })
    .map_err(|error| in_context("after recovery", &error))?;
    // What was under way is done or not, which is known now.
    match done {
        Done::All => ledger.acknowledge(),
        Done::Nothing => ledger.forget(),
        Done::Half => return Err(failure(("half of it is done", ledger.intended()))),
    }
    let mut passing = map.from(Bound::Included(b"t/")).count();
    let mut grows = random.below(2) == 0;
    let mut values = vec![Vec::new(); TOGETHER];
    loop {
        operate(&mut map, &ledger, &mut random, &mut values)?;
        // Some that come and go, in no order that the table could notice.
        let other = format!("t/{}", random.below(PASSING));
        match grows {
            true => {
                map.set(other.as_bytes(), b"here", &STAMP)
                    .map_err(failure)?;
            }
            false => drop(map.delete(&[other])),
        }
        passing += 1;
        if passing % (3 * PASSING) == 0 {
            grows = !grows;
        }
    }
}

/// Changes some variables and keeps the books.
fn operate(
    map: &mut Map,
    ledger: &Ledger,
    random: &mut Random,
    values: &mut [Vec<u8>],
) -> io::Result<()> {
    let revision = map.revision().0 + 1;
    let count = match random.below(4) {
        0 => TOGETHER,
        1 => 2,
        _ => 1,
    };
    let mut keys: Vec<usize> = (0..count).map(|_| random.below(KEYS)).collect();
    keys.sort_unstable_by_key(|key| name(*key));
    keys.dedup();
    let mut changes: Vec<(usize, Option<usize>)> = Vec::new();
    for key in keys {
        match key >= KEYS / 2 && random.below(3) == 0 {
            true if map.get(&name(key)).is_none() => {}
            true => changes.push((key, None)),
            false if count > 2 => changes.push((key, Some(VALUE_MIN))),
            false => changes.push((key, Some(length(key, random)))),
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    for ((key, len), value) in changes.iter().zip(&mut *values) {
        if let Some(len) = len {
            fill(*key, revision, *len, value);
        }
    }
    ledger.intend(revision, &changes);
    let names: Vec<Vec<u8>> = changes.iter().map(|(key, _)| name(*key)).collect();
    let done = match &changes[..] {
        [(_, Some(_))] => {
            map.set(&names[0], &values[0], &STAMP)
                .map_err(failure)?
                .revision
        }
        [(_, None)] => map.delete(&names).1,
        changes => {
            let changes: Vec<Change<'_>> = changes
                .iter()
                .zip(names.iter().zip(values))
                .map(|((_, len), (name, value))| match len {
                    Some(_) => Change::Set(name, value, &STAMP),
                    None => Change::Delete(name),
                })
                .collect();
            map.apply(&changes).map_err(failure)?.1
        }
    };
    if done.0 != revision {
        return Err(failure(("a revision was skipped", revision, done)));
    }
    ledger.acknowledge();
    Ok(())
}

/// Lengths of all magnitudes, most of them small.
fn length(key: usize, random: &mut Random) -> usize {
    let bits = if key < LARGE { 21 } else { 15 };
    let longest = 1 << random.below(bits).max(5);
    VALUE_MIN + random.below(longest + 1 - VALUE_MIN.min(longest))
}

/// A reader, until the ledger says that it is over.
fn read(number: usize) -> io::Result<()> {
    let ledger = Ledger::inherited()?;
    let reader = Reader::new(View::open(io::stdin().as_fd())?);
    let mut random = Random::new(number as u64);
    let mut handles: Vec<Handle> = (0..KEYS).map(|key| Handle::new(&name(key))).collect();
    let mut newest = vec![0; KEYS];
    let mut value = Vec::new();
    let (mut reads, mut busy) = (0, 0);
    while !ledger.has_ended() {
        let key = random.below(KEYS);
        let known = ledger.revision(key);
        ledger.words.acquire();
        let by_handle = random.below(2) == 0;
        let answer = match by_handle {
            true => reader.refresh(&mut handles[key]),
            false => reader.get(&name(key), &mut value),
        };
        match answer {
            Answer::Found(revision) => {
                let value = if by_handle {
                    handles[key].value()
                } else {
                    &value
                };
                check(key, revision.0, value)?;
                // What was deleted may come back, but never with an older revision.
                if revision.0 < newest[key] || revision.0 < known {
                    let backwards = ("variable", key, revision, "after", newest[key], known);
                    return Err(failure(backwards));
                }
                newest[key] = revision.0;
            }
            Answer::Absent if key < KEYS / 2 && known > 0 => {
                return Err(failure(("variable", key, "is gone")));
            }
            Answer::Absent => {}
            Answer::Busy => busy += 1,
            Answer::Ended(_) => return Err(failure("the map has ended")),
        }
        reads += 1;
        ledger.count(number, reads, busy);
    }
    Ok(())
}

/// Numbers in no order (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One below `end`.
    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}
