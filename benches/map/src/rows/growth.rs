//! The longest that the service is held up by one change while its map grows.

use std::io;
use std::time::Instant;

use crate::Bench;
use crate::keys::{Random, value};
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::{Samples, quantile};
use crate::subject;

/// What one way up has given, in µs. The time in which another process had the CPU counts only in
/// `elapsed`: it is not the map that takes it.
struct Growth {
    mean: f64,
    rare: f64,
    longest: f64,
    elapsed: f64,
}

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let (ways, count) = match bench.quick {
        true => (1, 50_000),
        false => (3, 5_000_000),
    };
    let ways = (0..ways)
        .map(|_| grow(count))
        .collect::<io::Result<Vec<_>>>()?;
    let line = |name: &str, pick: fn(&Growth) -> f64| Line {
        name: name.to_owned(),
        figure: Samples::of(&ways, pick),
        ratio: None,
    };
    let lines = [
        line("mean", |growth| growth.mean),
        line("one in 10,000 takes longer", |growth| growth.rare),
        line("longest", |growth| growth.longest),
        line("longest, with turns of others", |growth| growth.elapsed),
    ];
    table(&format!("set of a new key, {count} times"), "µs", &lines);
    // Of a virtual machine, the host takes CPU time that counts as the thread's: not in the same
    // place each time, as the map's own pauses are.
    let longest = lines[2].figure.min() / 1e3;
    Ok(vec![
        Judgement::new(
            "longest set while growing to 5,000,000 keys",
            longest,
            " ms",
        )
        .must(Bound::AtMost(5.0))
        .goal(Bound::AtMost(1.0)),
    ])
}

fn grow(count: usize) -> io::Result<Growth> {
    let mut map = subject::of_size(4 << 30)?;
    let mut random = Random::new();
    let mut times = Vec::with_capacity(count);
    let mut elapsed = 0;
    for number in 0..count {
        let key = format!("app/{:012x}", random.below(1 << 48));
        let value = value(number);
        let (start, before) = (Instant::now(), cpu_time());
        subject::set(&mut map, key.as_bytes(), value.as_bytes())?;
        times.push(u32::try_from(cpu_time() - before).map_err(io::Error::other)?);
        elapsed = elapsed.max(start.elapsed().as_nanos());
    }
    let sum: u64 = times.iter().copied().map(u64::from).sum();
    let longest = times.iter().copied().max().unwrap_or(0);
    Ok(Growth {
        mean: sum as f64 / count as f64 / 1e3,
        rare: f64::from(quantile(&mut times, 0.9999)) / 1e3,
        longest: f64::from(longest) / 1e3,
        elapsed: elapsed as f64 / 1e3,
    })
}

/// How long this thread has run, in nanoseconds.
fn cpu_time() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
