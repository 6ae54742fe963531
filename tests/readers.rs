//! Readers of the map: what they do not do, what the service's coming and going does to them, and
//! what they can do to the service.
//!
//! A process that is to be alone is a fork of the test, which ends without a word and tells how by
//! its exit status.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_int;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Instant;
use std::{ptr, thread};

use globstash::{Attached, Client, Error, Revision, WhenGone};
use rustix::process::Signal;

use common::random::Random;
use common::{Daemon, WATCHDOG, eventually};

/// Counts what a thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn attach(daemon: &Daemon) -> (Client, Attached) {
    let client = daemon.client();
    let stash = client.attach().unwrap();
    assert!(stash.is_mapped());
    (client, stash)
}

/// Does something in a process of its own, and returns its ID. Whoever panics ends with 101.
fn fork(act: impl FnOnce()) -> c_int {
    // SAFETY: the child uses nothing that another thread can hold, but for the allocator, which the
    // C library looks after.
    match unsafe { libc::fork() } {
        0 => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            let status = if done.is_ok() { 0 } else { 101 };
            // SAFETY: ends this process, of which nothing is to be kept.
            unsafe { libc::_exit(status) }
        }
        child => {
            assert!(child > 0, "{}", std::io::Error::last_os_error());
            child
        }
    }
}

/// How a process ends: its exit status, or the signal that killed it, as a negative number.
fn end_of(child: c_int) -> c_int {
    let mut status = 0;
    let watchdog = Instant::now() + WATCHDOG;
    loop {
        // SAFETY: the status is written to a variable.
        match unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } {
            0 if Instant::now() < watchdog => thread::sleep(std::time::Duration::from_millis(1)),
            ended if ended == child => break,
            _ => {
                // SAFETY: it is our child, which was not waited for.
                unsafe { libc::kill(child, libc::SIGKILL) };
                panic!("the child does not end");
            }
        }
    }
    match libc::WIFEXITED(status) {
        true => libc::WEXITSTATUS(status),
        false => -libc::WTERMSIG(status),
    }
}

/// From here on any system call but the one that ends the thread kills the process.
fn forbid_system_calls() {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let mut filter = [
        step(LOAD, 0, 0),
        step(JUMP, 1, libc::SYS_exit as u32),
        step(RETURN, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: a filter of this length is read.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}

/// Does something in a process that dies of the first system call; how that ends.
fn without_system_calls(prepare: impl FnOnce(), act: impl FnOnce() -> bool) -> c_int {
    end_of(fork(|| {
        prepare();
        forbid_system_calls();
        let status = if act() { 0 } else { 1 };
        // SAFETY: ends this thread, which is the only one.
        unsafe { libc::syscall(libc::SYS_exit, status) };
    }))
}

#[test]
fn a_read_makes_no_system_call() {
    let daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    client.set("k", "v").unwrap();
    client.set("long", vec![b'v'; 100_000]).unwrap();
    let mut value = Vec::new();
    let mut handle = stash.handle("k");
    let mut read = || -> Result<bool, Error> {
        let mut is_right = true;
        for _ in 0..100_000 {
            is_right &= stash.get_into("k", &mut value)?.is_some() && value == b"v";
            is_right &= stash.get_into("other", &mut value)?.is_none();
            is_right &= handle.get()? == Some(b"v") && !handle.changed()?;
            is_right &= stash.is_served() && stash.is_mapped();
        }
        is_right &= stash.get_into("long", &mut value)?.is_some() && value.len() == 100_000;
        Ok(is_right)
    };
    // Once for the memory that it needs.
    assert!(read().unwrap());
    assert_eq!(without_system_calls(|| (), || read().unwrap_or(false)), 0);
    // Nor while the service does not move.
    daemon.signal(Signal::STOP);
    assert_eq!(without_system_calls(|| (), || read().unwrap_or(false)), 0);
    daemon.signal(Signal::CONT);
    // One that asks dies of it.
    assert_eq!(
        without_system_calls(|| (), || client.get("k").is_ok()),
        -libc::SIGSYS
    );
}

#[test]
fn reading_into_a_buffer_allocates_nothing() {
    let daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    client.set("k", "v").unwrap();
    let mut value = Vec::with_capacity(64);
    let mut handle = stash.handle("k");
    let mut read = || {
        for _ in 0..1000 {
            assert!(stash.get_into("k", &mut value).unwrap().is_some());
            assert!(stash.get_into("other", &mut value).unwrap().is_none());
            assert_eq!(handle.get().unwrap(), Some(&b"v"[..]));
            assert!(!handle.changed().unwrap());
        }
    };
    // The first read makes this thread's reader.
    read();
    let before = ALLOCATIONS.get();
    read();
    assert_eq!(ALLOCATIONS.get() - before, 0);
    // It does count.
    assert!(stash.get("k").unwrap().is_some());
    assert!(ALLOCATIONS.get() > before);
}

#[test]
fn readers_go_on_while_the_service_is_stopped_and_while_it_is_dead() {
    let mut daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    let revision = client.set("k", "v").unwrap();
    let mut handle = stash.handle("k");
    let read = |handle: &mut globstash::Handle| {
        assert_eq!(stash.get("k").unwrap(), Some("v".into()));
        assert_eq!(stash.get("other").unwrap(), None);
        assert_eq!(handle.get().unwrap(), Some(&b"v"[..]));
        assert!(!handle.changed().unwrap());
        assert_eq!(handle.revision(), revision);
        assert_eq!(stash.scan("*").unwrap().len(), 1);
    };
    daemon.signal(Signal::STOP);
    read(&mut handle);
    assert!(stash.is_served());
    daemon.signal(Signal::KILL);
    daemon.wait();
    assert!(!stash.is_served());
    let until = Instant::now() + std::time::Duration::from_millis(100);
    while Instant::now() < until {
        read(&mut handle);
    }
    // A thread that never read before.
    thread::scope(|scope| scope.spawn(|| read(&mut stash.handle("k"))).join().unwrap());
}

#[test]
fn after_a_crash_the_same_map_is_read_on() {
    let mut daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    client.set("k", "1").unwrap();
    let mut handle = stash.handle("k");
    assert_eq!(handle.get().unwrap(), Some(&b"1"[..]));
    for n in 2..6 {
        daemon.crash();
        assert!(stash.is_served());
        assert!(!handle.changed().unwrap());
        client.set("k", n.to_string()).unwrap();
        assert_eq!(stash.get("k").unwrap(), Some(n.to_string().into()));
        assert!(handle.changed().unwrap());
    }
}

#[test]
fn after_a_stop_everything_is_forgotten_and_another_instance_is_read() {
    for relayed in [WhenGone::Serve, WhenGone::Fail] {
        let mut daemon = Daemon::start();
        let mut client = daemon.client();
        let stash = client.attach_with(relayed).unwrap();
        client.set("k", "1").unwrap();
        let mut handle = stash.handle("k");
        assert!(handle.changed().unwrap());
        daemon.signal(Signal::TERM);
        daemon.wait();
        assert!(!stash.is_served());
        match relayed {
            WhenGone::Serve => {
                assert_eq!(stash.get("k").unwrap(), None);
                assert!(handle.changed().unwrap());
                assert_eq!(handle.get().unwrap(), None);
                assert_eq!(stash.scan("*").unwrap(), []);
            }
            _ => {
                let unreachable = |error| matches!(error, Error::Unreachable { .. });
                assert!(unreachable(stash.get("k").unwrap_err()));
                assert!(unreachable(handle.changed().unwrap_err()));
                assert!(unreachable(stash.scan("*").unwrap_err()));
            }
        }
        daemon.restart();
        // The same revision, of another instance.
        assert_eq!(client.set("k", "2").unwrap(), Revision(1));
        assert_eq!(stash.get("k").unwrap(), Some("2".into()));
        assert!(handle.changed().unwrap());
        assert!(stash.is_mapped() && stash.is_served());
        assert_eq!(handle.get().unwrap(), Some(&b"2"[..]));
    }
}

#[test]
fn who_wants_to_know_is_told_that_the_service_has_died() {
    let mut daemon = Daemon::start();
    let mut client = daemon.client();
    let stash = client.attach_with(WhenGone::Fail).unwrap();
    client.set("k", "v").unwrap();
    let mut handle = stash.handle("k");
    assert!(handle.changed().unwrap());
    daemon.signal(Signal::KILL);
    daemon.wait();
    let unreachable = |error| matches!(error, Error::Unreachable { .. });
    assert!(unreachable(stash.get("k").unwrap_err()));
    assert!(unreachable(handle.get().unwrap_err()));
    assert!(unreachable(stash.scan("*").unwrap_err()));
}

/// Nobody kept the map: there is another one, and the old one says nothing of it.
#[test]
fn a_service_that_takes_the_place_of_a_lost_one_is_noticed() {
    let mut daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    client.set("k", "old").unwrap();
    let mut handle = stash.handle("k");
    assert_eq!(handle.get().unwrap(), Some(&b"old"[..]));
    daemon.signal(Signal::KILL);
    daemon.restart();
    client.set("k", "new").unwrap();
    eventually("the other service is noticed", || {
        stash.get("k").unwrap() == Some("new".into())
    });
    assert!(stash.is_mapped() && stash.is_served());
    assert!(handle.changed().unwrap());
    assert_eq!(handle.get().unwrap(), Some(&b"new"[..]));
}

/// Who reads now and then is told by the first read already: not what the lost one knew, an hour later.
#[test]
fn the_first_read_sees_the_service_that_took_the_place_of_a_lost_one() {
    let mut daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    let mut seen = 0;
    for n in 0..10 {
        client.set("k", "old").unwrap();
        assert_eq!(stash.get("k").unwrap(), Some("old".into()));
        daemon.signal(Signal::KILL);
        daemon.restart();
        client.set("k", "new").unwrap();
        let first = match n % 3 {
            0 => stash.get("k").unwrap(),
            1 => stash.handle("k").get().unwrap().map(|value| value.into()),
            _ => stash.scan("k").unwrap().remove(0).value,
        };
        seen += u32::from(first == Some("new".into()));
        let sees_it = || stash.get("k").unwrap() == Some("new".into());
        eventually("the other service is noticed", sees_it);
    }
    // A read does not wait for long, and the machine may be busy.
    assert!(seen > 0);
}

/// Looks again and again whether there is another service, as who reads does, while something is done.
fn while_others_read<T>(stash: &Attached, act: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ends = Ends(&is_over);
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                drop(stash.get("k"));
            }
        });
        act()
    })
}

/// Tells other threads to end, also if the test has failed.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// If somebody had just looked whether there is another service, the next look was not due, or not
/// answered: for 20 ms a program was told what the lost one knew, and not what it had set itself.
#[test]
fn a_program_reads_what_it_has_set_with_the_service_that_took_the_place_of_a_lost_one() {
    let mut daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    for n in 0..12 {
        client.set("k", "old").unwrap();
        let mut handle = stash.handle("k");
        assert_eq!(handle.get().unwrap(), Some(&b"old"[..]));
        assert_eq!(stash.get("k").unwrap(), Some("old".into()));
        daemon.signal(Signal::KILL);
        daemon.wait();
        while_others_read(&stash, || {
            daemon.restart();
            // Over a connection that takes the place of a lost one, or another one.
            let mut other = Client::at(&*daemon.socket()).unwrap();
            let writer = if n % 2 == 0 { &mut client } else { &mut other };
            writer.set("k", n.to_string()).unwrap();
            let value = match n % 3 {
                0 => stash.get("k").unwrap(),
                1 => handle.get().unwrap().map(|value| value.into()),
                _ => stash.scan("k").unwrap().remove(0).value,
            };
            assert_eq!(value, Some(n.to_string().into()));
        });
    }
}

/// Nor is anything read that is older than what a watch has told, or a child that was forked.
#[test]
fn what_was_told_by_the_service_that_took_the_place_of_a_lost_one_is_read() {
    let mut daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    client.set("k", "old").unwrap();
    let mut watch = client.watch("k").unwrap();
    assert_eq!(watch.catch_up().unwrap().len(), 1);
    for n in 0..6 {
        daemon.signal(Signal::KILL);
        daemon.wait();
        while_others_read(&stash, || {
            daemon.restart();
            client.set("k", n.to_string()).unwrap();
            let child = fork(|| {
                let mut client = Client::at(&*daemon.socket()).unwrap();
                let told = client.get("k").unwrap();
                assert_eq!(stash.get("k").unwrap(), told);
            });
            assert_eq!(end_of(child), 0);
            let told = watch.find_map(|event| event.unwrap().value);
            assert_eq!(told, Some(n.to_string().into()));
            assert_eq!(stash.get("k").unwrap(), told);
        });
    }
}

/// When one had found the other map, another one still went on with that of the lost service.
#[test]
fn what_one_reader_was_told_no_other_of_this_program_reads_older() {
    let mut daemon = Daemon::start();
    let (mut client, first) = attach(&daemon);
    let second = client.attach().unwrap();
    for _ in 0..10 {
        client.set("k", "old").unwrap();
        for stash in [&first, &second] {
            assert_eq!(stash.get("k").unwrap(), Some("old".into()));
        }
        daemon.signal(Signal::KILL);
        daemon.wait();
        assert_eq!(second.get("k").unwrap(), Some("old".into()));
        daemon.restart();
        // Looks, and does not wait for what it finds: it has looked just now.
        second.get("k").unwrap();
        // Has not looked yet, and waits a moment.
        if first.get("k").unwrap().is_none() {
            assert_eq!(second.get("k").unwrap(), None);
        }
    }
}

/// The one that took the place of a lost one may be lost as well. What the first knew is read on while
/// nobody is there, and not for 20 ms longer.
#[test]
fn nothing_older_is_read_once_somebody_is_there_again() {
    let mut daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    for signal in [Signal::KILL, Signal::TERM].repeat(5) {
        client.set("k", "old").unwrap();
        assert_eq!(stash.get("k").unwrap(), Some("old".into()));
        daemon.signal(Signal::KILL);
        daemon.restart();
        client.set("k", "new").unwrap();
        daemon.signal(signal);
        daemon.wait();
        for _ in 0..3 {
            assert_eq!(stash.get("k").unwrap(), Some("old".into()));
        }
        daemon.restart();
        assert_eq!(stash.get("k").unwrap(), None);
    }
}

/// A child that has called the service before it was lost was told nothing that is newer than the map.
#[test]
fn a_child_that_has_called_reads_on_after_a_crash() {
    let daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    client.set("k", "old").unwrap();
    let child = fork(|| {
        let mut client = daemon.client();
        client.set("k", "new").unwrap();
        daemon.signal(Signal::KILL);
        eventually("the service is lost", || !stash.is_served());
        assert_eq!(stash.get("k").unwrap(), Some("new".into()));
    });
    assert_eq!(end_of(child), 0);
}

#[test]
fn a_forked_process_reads_on_its_own() {
    let mut daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    client.set("k", "1").unwrap();
    assert_eq!(stash.get("k").unwrap(), Some("1".into()));
    // By the map alone, then also with what is asked, then with a map of its own.
    for (n, has_ended) in [(2, false), (3, true)] {
        let children = [0; 3].map(|_| {
            fork(|| {
                let is_there = || stash.get("k").unwrap() == Some(n.to_string().into());
                eventually("the value is read", is_there);
                assert!(stash.is_mapped());
                assert!(matches!(stash.get(""), Err(Error::InvalidKey { .. })));
                let grandchild = fork(|| assert!(is_there()));
                assert_eq!(end_of(grandchild), 0);
            })
        });
        if has_ended {
            daemon.signal(Signal::TERM);
            daemon.restart();
        }
        client.set("k", n.to_string()).unwrap();
        assert_eq!(stash.get("k").unwrap(), Some(n.to_string().into()));
        assert_eq!(children.map(end_of), [0; 3]);
    }
}

/// A thread that is asking holds a lock, and a child in which there is no such thread must not wait
/// for that.
#[test]
fn a_process_that_is_forked_while_others_ask_can_ask() {
    let daemon = Daemon::start();
    let mut client = common::client(&daemon.relay());
    client.set("k", "v").unwrap();
    let stash = client.attach().unwrap();
    assert!(!stash.is_mapped());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    assert_eq!(stash.get("k").unwrap(), Some("v".into()));
                }
            });
        }
        for _ in 0..20 {
            let child = fork(|| assert_eq!(stash.get("k").unwrap(), Some("v".into())));
            assert_eq!(end_of(child), 0);
        }
        is_over.store(true, SeqCst);
    });
}

/// Says to a test that it plays the process that is alone in a name space: at which address.
const PLAYS: &str = "GLOBSTASH_TEST_NAME_SPACE";

/// Runs a test of this program again, as the first process of a name space of processes.
fn play_in_name_space(name: &str, address: &std::path::Path) {
    let mut play = Command::new("timeout");
    play.args(["-k", "5", &WATCHDOG.as_secs().to_string()]);
    play.args(["unshare", "--user", "--map-root-user", "--pid", "--fork"]);
    play.arg(std::env::current_exe().unwrap());
    play.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    let play = play.env(PLAYS, address).output().unwrap();
    assert!(play.status.success(), "{play:?}");
    assert!(String::from_utf8_lossy(&play.stdout).contains("1 passed"));
}

/// Its processes are numbered anew: so a child can have the ID of its parent. It took the parent's
/// connections and locks for its own, and waited for a thread that it has not.
#[test]
fn a_child_with_the_id_of_its_parent_can_ask() {
    let Some(address) = std::env::var_os(PLAYS) else {
        let daemon = Daemon::start();
        let relay = daemon.relay();
        let mut client = Client::at(&*relay).unwrap();
        client.set("k", "v").unwrap();
        return play_in_name_space("a_child_with_the_id_of_its_parent_can_ask", &relay);
    };
    let client = Client::at(std::path::Path::new(&address)).unwrap();
    let stash = client.attach().unwrap();
    assert!(!stash.is_mapped());
    let is_right = || stash.get("k").unwrap() == Some("v".into());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    assert!(is_right());
                }
            });
        }
        for _ in 0..20 {
            let as_namesake = || {
                // SAFETY: the children of this thread alone are concerned.
                assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWPID) }, 0);
                let parent = std::process::id();
                end_of(fork(|| {
                    assert_eq!(std::process::id(), parent);
                    assert!(is_right());
                }))
            };
            assert_eq!(scope.spawn(as_namesake).join().unwrap(), 0);
        }
        is_over.store(true, SeqCst);
    });
}

/// Who was forked while a thread made what this process has of its own waited for that thread, which
/// it has not.
#[test]
fn a_process_that_is_forked_while_others_begin_to_ask_can_begin() {
    const STASHES: usize = 200;
    let mut daemon = Daemon::start();
    let client = Client::at(&*daemon.socket()).unwrap();
    let attach = |_| client.attach_with(WhenGone::Fail).unwrap();
    let stashes: Vec<Attached> = (0..STASHES).map(attach).collect();
    daemon.signal(Signal::KILL);
    daemon.wait();
    let ask = || {
        for stash in &stashes {
            assert!(matches!(stash.get("k"), Err(Error::Unreachable { .. })));
        }
    };
    for _ in 0..30 {
        // What the parent has of its own was made when it attached.
        let child = fork(|| {
            thread::scope(|scope| {
                let asking = scope.spawn(ask);
                while !asking.is_finished() {
                    let grandchild = fork(ask);
                    assert_eq!(end_of(grandchild), 0);
                }
            });
        });
        assert_eq!(end_of(child), 0);
    }
}

// ---- kills ----

/// Variables that are written.
const KEYS: usize = 8;

/// What all processes of a test see.
struct Ledger {
    /// Of each key the number of the last value that was acknowledged.
    acknowledged: [AtomicU64; KEYS],
    reads: AtomicU64,
}

/// Memory that forks share, never given back.
fn ledger() -> &'static Ledger {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: new memory, zeros, which is what a ledger begins with.
    unsafe {
        let place = libc::mmap(ptr::null_mut(), 4096, protection, flags, -1, 0);
        assert_ne!(place, libc::MAP_FAILED);
        &*place.cast()
    }
}

/// One of so many.
fn pick(random: &mut Random, limit: usize) -> usize {
    random.below(limit as u64) as usize
}

/// A value that tells its number, and whether it is whole.
fn value(number: u64, random: &mut Random) -> Vec<u8> {
    let length = [3, 20, 300, 9000][pick(random, 4)] + pick(random, 40);
    let mut value = number.to_le_bytes().to_vec();
    value.extend((0..length as u64).map(|n| (n * 31 + number * 7) as u8));
    value
}

fn number(value: &[u8]) -> u64 {
    let (head, rest) = value.split_first_chunk().expect("a number");
    let number = u64::from_le_bytes(*head);
    let is_whole = |(n, byte): (usize, &u8)| *byte == (n as u64 * 31 + number * 7) as u8;
    assert!(rest.iter().enumerate().all(is_whole), "a torn value");
    number
}

fn key(n: usize) -> String {
    format!("key/{n}")
}

/// Reads until it is killed.
fn read_for_ever(stash: &Attached, ledger: &Ledger, seed: u64) -> ! {
    let mut random = Random(seed + 1);
    let mut handles: Vec<_> = (0..KEYS).map(|n| stash.handle(&key(n))).collect();
    let mut last = [0; KEYS];
    let mut buffer = Vec::new();
    loop {
        let n = pick(&mut random, KEYS);
        let acknowledged = ledger.acknowledged[n].load(SeqCst);
        let seen = match random.below(2) {
            0 => stash
                .get_into(&key(n), &mut buffer)
                .unwrap()
                .map(|_| number(&buffer)),
            _ => handles[n].get().unwrap().map(number),
        };
        let seen = seen.unwrap_or(0);
        assert!(seen >= acknowledged, "older than acknowledged");
        assert!(seen >= last[n], "older than before");
        last[n] = seen;
        ledger.reads.fetch_add(1, SeqCst);
    }
}

/// Readers are stopped, killed and replaced, while a service is killed again and again under load.
#[test]
fn readers_outlive_the_service_and_it_outlives_them() {
    let kills: usize = std::env::var("GLOBSTASH_KILLS").map_or(500, |kills| kills.parse().unwrap());
    let mut daemon = Daemon::start();
    let (mut client, stash) = attach(&daemon);
    let ledger = ledger();
    let mut random = Random(7);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ends = Ends(&is_over);
        scope.spawn(|| {
            let mut random = Random(11);
            for count in 1.. {
                if is_over.load(SeqCst) {
                    break;
                }
                let n = pick(&mut random, KEYS);
                if client.set(&key(n), value(count, &mut random)).is_ok() {
                    ledger.acknowledged[n].store(count, SeqCst);
                }
            }
        });
        let mut readers: Vec<c_int> = Vec::new();
        for round in 0..kills {
            while readers.len() < 3 {
                let seed = (round + readers.len()) as u64;
                readers.push(fork(|| read_for_ever(&stash, ledger, seed)));
            }
            let victim = pick(&mut random, readers.len());
            let send = |signal| {
                // SAFETY: it is our child, which was not waited for.
                assert_eq!(unsafe { libc::kill(readers[victim], signal) }, 0);
            };
            send(libc::SIGSTOP);
            let before = ledger.reads.load(SeqCst);
            daemon.crash();
            eventually("the others read on", || {
                ledger.reads.load(SeqCst) > before + 100
            });
            if round % 4 == 0 {
                send(libc::SIGKILL);
                assert_eq!(end_of(readers.remove(victim)), -libc::SIGKILL);
            } else {
                send(libc::SIGCONT);
            }
        }
        drop(ends);
        for reader in readers {
            // SAFETY: as above.
            assert_eq!(unsafe { libc::kill(reader, libc::SIGKILL) }, 0);
            // One that has found something wrong has ended before, with another status.
            assert_eq!(end_of(reader), -libc::SIGKILL);
        }
    });
    // Whoever read this map all the time reads it still.
    for n in 0..KEYS {
        let seen = stash
            .get(&key(n))
            .unwrap()
            .map(|value| number(value.as_bytes()));
        assert!(seen.unwrap_or(0) >= ledger.acknowledged[n].load(SeqCst));
    }
    println!("{kills} kills, {} reads", ledger.reads.load(SeqCst));
}
