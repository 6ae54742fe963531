//! The map that is measured.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use crate::keys::{key, value};
use crate::map::{Limits, Map, Origin, Reader, Segment, Stamp, View};

/// More than is measured.
pub const LIMITS: Limits = Limits {
    variables: 1 << 26,
    bytes: 1 << 34,
};

/// Size of the memory file, most of which is a hole: what the service makes by default.
const BYTES: u64 = (2 * 256 << 20) + (256 << 20) + (16 << 20);

/// What the service remembers with a variable.
pub const STAMP: Stamp = Stamp {
    time: 1_700_000_000_000_000,
    owner: 1000,
    setter: 1000,
    uid: 1000,
    pid: 4321,
    kind: 1,
    protected: false,
    deadline: None,
    process: None,
};

/// An empty map.
pub fn empty() -> io::Result<Map> {
    of_size(BYTES)
}

/// An empty map in a memory file of so many bytes.
pub fn of_size(bytes: u64) -> io::Result<Map> {
    let origin = Origin {
        instance: 1,
        born: 1,
    };
    let segment = Segment::create(bytes)?;
    Map::create(segment, LIMITS, origin, 42).map_err(|full| refused(&full))
}

/// A map with the keys of these numbers, defined in this order.
pub fn filled(numbers: impl IntoIterator<Item = usize>) -> io::Result<Map> {
    let mut map = empty()?;
    for number in numbers {
        set(&mut map, key(number).as_bytes(), value(number).as_bytes())?;
    }
    // What the service would do when it has time.
    while map.work() {}
    Ok(map)
}

/// A service in this process with the keys of these numbers, as programs read it.
pub fn attached(numbers: impl IntoIterator<Item = usize>) -> io::Result<globstash::Attached> {
    let client = globstash::Client::at(served(numbers)?).map_err(io::Error::other)?;
    let attached = client.attach().map_err(io::Error::other)?;
    match attached.is_mapped() {
        true => Ok(attached),
        false => Err(io::Error::other("the service gives no map")),
    }
}

/// The address of a service in this process with the keys of these numbers.
pub fn served(numbers: impl IntoIterator<Item = usize>) -> io::Result<&'static str> {
    use globstash::{Batch, Client};

    /// Most variables that one call sets.
    const TOGETHER: usize = 4096;
    let address = globstash::daemon::example::start();
    let mut client = Client::at(address).map_err(io::Error::other)?;
    let numbers: Vec<usize> = numbers.into_iter().collect();
    for some in numbers.chunks(TOGETHER) {
        let batch = some.iter().fold(Batch::new(), |batch, &number| {
            batch.set(&key(number), value(number))
        });
        client.apply(batch).map_err(io::Error::other)?;
    }
    Ok(address)
}

pub fn set(map: &mut Map, key: &[u8], value: &[u8]) -> io::Result<()> {
    match map.set(key, value, &STAMP) {
        Ok(_) => Ok(()),
        Err(full) => Err(refused(&full)),
    }
}

fn refused(why: &dyn std::fmt::Debug) -> io::Error {
    io::Error::other(format!("the map refused a change: {why:?}"))
}

/// A reader as another process would have it: a mapping of its own, for reading only.
pub fn reader(map: &Map) -> io::Result<Reader<View>> {
    let path = format!("/proc/self/fd/{}", map.memory().as_fd().as_raw_fd());
    Ok(Reader::new(View::open(File::open(path)?.as_fd())?))
}
