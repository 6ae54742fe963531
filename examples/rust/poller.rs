//! Looks at twenty variables a thousand times a second, as a control loop does, and prints those that
//! have changed: poller [ROUNDS]
//!
//!     cargo run --example poller
//!
//! To look costs some nanoseconds where the service shares its memory. So the loop needs no events, and
//! is never late because of them.

use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    let rounds = env::args().nth(1).map(|rounds| rounds.parse());
    let Ok(rounds) = rounds.unwrap_or(Ok(u64::MAX)) else {
        eprintln!("poller: how many rounds is a number");
        return ExitCode::from(2);
    };
    match poll(rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("poller: {error}");
            ExitCode::FAILURE
        }
    }
}

fn poll(rounds: u64) -> Result<(), globstash::Error> {
    let stash = globstash::Client::connect()?.attach()?;
    let mut axes: Vec<_> = (0..20)
        .map(|number| stash.handle(&format!("machine/axis-{number}")))
        .collect();
    let mut next = Instant::now();
    for _ in 0..rounds {
        for (number, axis) in axes.iter_mut().enumerate() {
            if axis.changed()? {
                let value = axis.get()?.unwrap_or_default();
                println!("axis {number} is at {}", String::from_utf8_lossy(value));
            }
        }
        // The next millisecond of the clock, however long the round took.
        next += PERIOD;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
