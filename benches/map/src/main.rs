//! How fast the map is without the service, next to peers, in one run.
//!
//!     cargo run --release --manifest-path benches/map/Cargo.toml -- [--quick] [ROW…]
//!
//! Every figure is a ratio to something measured in the same minutes on the same machine, as with
//! the socket's bench, whose rounds and tables it uses. `benches/README.md` explains the rows. The
//! exit status is 1 if a row could not be run, and never depends on a time.

#[path = "../../../src/map/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the bench uses a part of it")]
mod map;
#[path = "../../socket/report.rs"]
mod report;
#[path = "../../socket/rounds.rs"]
#[allow(dead_code, reason = "as above")]
mod rounds;

mod cpus;
mod keys;
mod peers;
mod rows;
mod subject;

use std::env;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use report::Judgement;

/// The argument that makes this program measure its own memory with one row's content.
const CHILD: &str = "--child";

/// What every row needs to know about this run.
pub struct Bench {
    /// Only see that everything runs: the figures mean little.
    pub quick: bool,
}

/// Operations between two looks at the clock: a look costs as much as one of them.
const BATCH: usize = 512;

impl Bench {
    /// How many rounds are counted.
    pub fn rounds(&self) -> usize {
        if self.quick { 1 } else { 9 }
    }

    /// How long a case runs in a round.
    pub fn slice(&self) -> Duration {
        Duration::from_millis(if self.quick { 5 } else { 120 })
    }

    /// How many keys are many.
    pub fn many(&self) -> usize {
        if self.quick { 20_000 } else { 1_000_000 }
    }

    /// The nanoseconds that an operation takes, done over and over for a slice: the mean of the
    /// middle eight tenths of all batches, so that a turn of another process does not count.
    pub fn pace(&self, mut operation: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
        let begin = Instant::now();
        let mut batches = Vec::with_capacity(1 << 14);
        let mut last = begin;
        while last - begin < self.slice() {
            for _ in 0..BATCH {
                operation()?;
            }
            let now = Instant::now();
            batches.push((now - last).as_nanos() as u32);
            last = now;
        }
        Ok(rounds::typical(batches) / BATCH as f64)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, case)) if first == CHILD => rows::memory::child(case),
        _ => run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("map: {error}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &[String]) -> io::Result<ExitCode> {
    let selected = rows::select(arguments)?;
    let bench = Bench {
        quick: arguments.iter().any(|argument| argument == "--quick"),
    };
    // Before other work, where that is allowed.
    let _ = rustix::process::setpriority_process(None, -15);
    report::preamble("map in one process", bench.rounds(), bench.quick);

    let mut judgements: Vec<Judgement> = Vec::new();
    let mut failed = false;
    for row in selected {
        println!("\n## {}: {}", row.name, row.about);
        match (row.run)(&bench) {
            Ok(more) => judgements.extend(more),
            Err(error) => {
                println!("could not be run: {error}");
                failed = true;
            }
        }
    }
    report::verdicts(&judgements);
    Ok(ExitCode::from(u8::from(failed)))
}
