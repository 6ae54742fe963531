//! Prints what there is, and then what changes, in a loop that also waits for something else: here for
//! standard input to end. follower [PATTERN]
//!
//!     cargo run --example follower
//!
//! A program that has nothing else to wait for needs no more than `for event in client.watch("player/")?`.

use std::env;
use std::error::Error;
use std::io::{self, Read};
use std::process::ExitCode;

use globstash::{Change, Client, Event, Value};
use rustix::event::{PollFd, PollFlags, poll};

fn main() -> ExitCode {
    let pattern = env::args().nth(1);
    match follow(pattern.as_deref().unwrap_or("**")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("follower: {error}");
            ExitCode::FAILURE
        }
    }
}

fn follow(pattern: &str) -> Result<(), Box<dyn Error>> {
    let mut watch = Client::connect()?.watch(pattern)?;
    let mut input = io::stdin();
    loop {
        // All that there is before waiting for more.
        while let Some(event) = watch.try_next() {
            print(&event?);
        }
        // It may have another descriptor now, so the watch is named anew each time.
        let mut ready = [
            PollFd::new(&watch, PollFlags::IN),
            PollFd::new(&input, PollFlags::IN),
        ];
        poll(&mut ready, None)?;
        let has_input = !ready[1].revents().is_empty();
        if has_input && input.read(&mut [0; 64])? == 0 {
            return Ok(());
        }
    }
}

fn print(event: &Event) {
    let value = event.value.as_ref().map_or(&b""[..], Value::as_bytes);
    match event.change {
        Change::Set => println!("{}={}", event.key, String::from_utf8_lossy(value)),
        _ => println!("{} is gone", event.key),
    }
}
