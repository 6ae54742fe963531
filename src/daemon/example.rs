//! Services for the examples in the documentation, which so run as they are read.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use clap::Parser as _;

use super::options::Options;
use super::{bind, serve};
use crate::sys::address::Address;
use crate::sys::signals::Signals;

/// Starts a service without variables in a thread of its own, to end with the process. Returns its
/// address.
///
/// # Panics
///
/// If it cannot.
pub fn start() -> &'static str {
    static COUNT: AtomicU32 = AtomicU32::new(0);

    let (process, number) = (process::id(), COUNT.fetch_add(1, Relaxed));
    let address = format!("unix:@globstash-example-{process}-{number}");
    let listener = bind(&Address::parse(&address).expect("it is short")).expect("the name is new");
    thread::spawn(move || {
        let options = Options::parse_from(["globstashd"]);
        // Blocks signals in this thread alone.
        let signals = Signals::open().expect("signals can be waited for");
        serve(&options, signals, vec![listener], Vec::new()).expect("the service works");
    });
    address.leak()
}
