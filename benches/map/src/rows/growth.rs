//! The longest that the service is held up by one change while its map grows.

use std::io;
use std::time::Instant;

use crate::Bench;
use crate::keys::{Random, value};
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::{Samples, quantile};
use crate::subject;

/// What one way up has given, in µs.
struct Growth {
    mean: f64,
    rare: f64,
    longest: f64,
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
    ];
    table(&format!("set of a new key, {count} times"), "µs", &lines);
    let longest = lines[2].figure.median() / 1e3;
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
    let start = Instant::now();
    let mut last = start;
    for number in 0..count {
        let key = format!("app/{:012x}", random.below(1 << 48));
        let value = value(number);
        let before = Instant::now();
        subject::set(&mut map, key.as_bytes(), value.as_bytes())?;
        last = Instant::now();
        times.push((last - before).as_nanos() as u32);
    }
    let mean = (last - start).as_nanos() as f64 / count as f64;
    let longest = times.iter().copied().max().unwrap_or(0);
    Ok(Growth {
        mean: mean / 1e3,
        rare: f64::from(quantile(&mut times, 0.9999)) / 1e3,
        longest: f64::from(longest) / 1e3,
    })
}
