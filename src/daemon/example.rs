//! Services for the examples in the documentation, which so run as they are read.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::{io, process, thread};

use clap::Parser as _;

use super::options::Options;
use super::server::{Ending, Listener};
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
    let address = spawn(|signals, listeners| {
        let options = Options::parse_from(["globstashd"]);
        serve(&options, signals, listeners, Vec::new(), Vec::new())
    });
    address.leak()
}

/// Serves what `serve` serves in a thread of its own. Returns its address.
pub(super) fn spawn(
    serve: impl FnOnce(Signals, Vec<Listener>) -> io::Result<Ending> + Send + 'static,
) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);

    let (process, number) = (process::id(), COUNT.fetch_add(1, Relaxed));
    let address = format!("unix:@globstash-example-{process}-{number}");
    let listener = bind(&Address::parse(&address).expect("it is short")).expect("the name is new");
    thread::spawn(move || {
        // Blocks signals in this thread alone.
        let signals = Signals::open().expect("signals can be waited for");
        serve(signals, vec![listener]).expect("the service works");
    });
    address
}
