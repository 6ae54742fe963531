//! The real memory file: what the kernel does for it.

use std::os::fd::AsFd;
use std::sync::Barrier;
use std::thread;

use crate::map::layout::State;
use crate::map::reader::{Answer, Handle, Reader};
use crate::map::recovery::Unfit;
use crate::map::segment::{Unacceptable, View};
use crate::map::{Limits, Map, Origin, Revision, Segment, Stamp};

const LIMITS: Limits = Limits {
    variables: 100_000,
    bytes: 64 << 20,
};

const ORIGIN: Origin = Origin {
    instance: 1 << 100 | 5,
    born: 1_000_000,
};

fn new_map() -> Map {
    Map::create(Segment::create(256 << 20).unwrap(), LIMITS, ORIGIN, 3).unwrap()
}

fn reader(map: &Map) -> Reader<View> {
    Reader::new(View::open(map.memory().as_fd()).unwrap())
}

fn recover(map: &Map) -> Result<Map, Unfit> {
    let file = map.memory().as_fd().try_clone_to_owned().unwrap();
    Map::recover(Segment::open(file).unwrap(), LIMITS, 4, |_| ()).map(|(map, _)| map)
}

#[test]
fn a_reader_sees_each_change_at_once() {
    let mut map = new_map();
    let reader = reader(&map);
    let mut value = Vec::new();
    assert_eq!(reader.get(b"key", &mut value), Answer::Absent);
    for len in [0, 1, 8, 47, 48, 4096, 100_000, 1 << 20] {
        let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let set = map.set(b"key", &bytes, &Stamp::default()).unwrap();
        assert_eq!(reader.get(b"key", &mut value), Answer::Found(set.revision));
        assert_eq!(value, bytes);
    }
    map.delete(&[b"key"]);
    assert_eq!(reader.get(b"key", &mut value), Answer::Absent);
}

#[test]
fn a_reader_goes_on_while_the_table_grows_and_shrinks() {
    let mut map = new_map();
    let reader = reader(&map);
    let mut handle = Handle::new(b"first");
    let mut value = Vec::new();
    map.set(b"first", b"1", &Stamp::default()).unwrap();
    let key = |n: u32| format!("key/{n}").into_bytes();
    for n in 0..20_000 {
        map.set(&key(n), b"value", &Stamp::default()).unwrap();
        assert_eq!(
            reader.get_cached(&mut handle, &mut value),
            Answer::Found(Revision(1))
        );
        assert!(matches!(
            reader.get(&key(n / 2), &mut value),
            Answer::Found(_)
        ));
    }
    for n in 0..20_000 {
        map.delete(&[key(n)]);
        assert_eq!(
            reader.get_cached(&mut handle, &mut value),
            Answer::Found(Revision(1))
        );
        assert_eq!(reader.get(&key(n), &mut value), Answer::Absent);
    }
    while map.work() {}
    map.check();
}

#[test]
fn a_handle_knows_whether_its_variable_has_changed() {
    let mut map = new_map();
    let reader = reader(&map);
    let mut handle = Handle::new(b"key");
    let mut value = Vec::new();
    assert!(reader.has_changed(&handle), "it was never read");
    map.set(b"key", b"1", &Stamp::default()).unwrap();
    reader.get_cached(&mut handle, &mut value);
    assert_eq!(handle.value(), b"1");
    assert!(!reader.has_changed(&handle));
    map.set(b"key", b"1", &Stamp::default()).unwrap();
    assert!(reader.has_changed(&handle));
    assert_eq!(
        reader.get_cached(&mut handle, &mut value),
        Answer::Found(Revision(2))
    );
}

#[test]
fn a_reader_notices_that_the_writer_has_died_and_reads_on() {
    let (reader, map) = thread::spawn(|| {
        let mut map = new_map();
        map.memory().own().unwrap();
        map.set(b"key", b"value", &Stamp::default()).unwrap();
        let reader = reader(&map);
        assert!(reader.is_served());
        (reader, map)
    })
    .join()
    .unwrap();
    // The thread has ended for us before it has for the kernel.
    while reader.is_served() {
        thread::yield_now();
    }
    let mut value = Vec::new();
    assert_eq!(reader.get(b"key", &mut value), Answer::Found(Revision(1)));
    let taken_over = recover(&map).unwrap();
    taken_over.memory().own().unwrap();
    assert!(reader.is_served());
    // Another program is about to take its place.
    taken_over.memory().disown();
    assert!(!reader.is_served());
}

#[test]
fn a_map_that_has_ended_is_empty_for_everybody_who_is_told_why() {
    for state in [State::Closed, State::Replaced] {
        let mut map = new_map();
        map.set(b"key", b"value", &Stamp::default()).unwrap();
        let reader = reader(&map);
        map.end(state);
        let mut value = Vec::new();
        assert_eq!(reader.get(b"key", &mut value), Answer::Ended(state));
        assert_eq!(recover(&map).map(|_| ()), Err(Unfit::Ended(state)));
    }
}

#[test]
fn memory_that_is_not_needed_goes_back_to_the_system() {
    let mut map = new_map();
    let used = |map: &Map| rustix::fs::fstat(map.memory()).unwrap().st_blocks * 512;
    let empty = used(&map);
    for n in 0..40 {
        map.set(format!("{n}").as_bytes(), &[1; 1 << 20], &Stamp::default())
            .unwrap();
    }
    assert!(used(&map) > 40 << 20);
    for n in 0..40 {
        map.delete(&[format!("{n}")]);
    }
    while map.work() {}
    // Some megabytes are kept for the next changes.
    assert!(
        used(&map) <= empty + (5 << 20),
        "{} bytes are kept",
        used(&map)
    );
}

/// Whoever reads it finds what was there, or is told to ask; never that it is not there.
#[test]
fn memory_can_be_given_back_while_it_is_read() {
    const THREADS: usize = 2;
    let mut map = new_map();
    map.set(b"key", b"value", &Stamp::default()).unwrap();
    for _ in 0..50 {
        let reader = reader(&map);
        let begun = Barrier::new(THREADS + 1);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mut value = Vec::new();
                    begun.wait();
                    while let answer @ Answer::Found(_) = reader.get(b"key", &mut value) {
                        assert_eq!(
                            (answer, &value[..]),
                            (Answer::Found(Revision(1)), &b"value"[..])
                        );
                    }
                    assert_eq!(reader.get(b"key", &mut value), Answer::Busy);
                });
            }
            begun.wait();
            reader.words().give_back();
        });
    }
}

/// Of which there need not be any: that it is in large pages is seen before anything is read.
#[test]
fn a_file_in_large_pages_is_no_map() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

    const LENGTH: u64 = 4 << 20;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB;
    let file = memfd_create("large", flags).unwrap();
    ftruncate(&file, LENGTH).unwrap();
    fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
    let refused = View::accept(file.as_fd(), LENGTH, 1).err();
    assert_eq!(refused, Some(Unacceptable::Scarce));
}
