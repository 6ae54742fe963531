//! Taking over after a crash.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Instant;

use crate::Bench;
use crate::keys::shuffled;
use crate::map::{Map, Segment};
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::Samples;
use crate::subject::{self, LIMITS};

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let many = bench.many();
    let map = subject::filled(shuffled(many))?;
    let file = map.memory().as_fd().try_clone_to_owned()?;
    drop(map);
    let mut seconds = Vec::new();
    for _ in 0..bench.rounds() {
        let file = file.try_clone()?;
        // As for a new process, nothing of the file is mapped yet.
        let start = Instant::now();
        let segment = Segment::open(file)?;
        let (map, found) = Map::recover(segment, LIMITS, 43, |_| ())
            .map_err(|unfit| io::Error::other(format!("{unfit:?}")))?;
        seconds.push(start.elapsed().as_secs_f64());
        if (map.len(), found.dropped) != (many as u64, 0) {
            return Err(io::Error::other(format!("{found:?}")));
        }
    }
    let figure = Samples::of(&seconds, |&seconds| seconds);
    let median = figure.median();
    let line = Line {
        name: format!("{many} keys, defined in no order"),
        figure,
        ratio: None,
    };
    table("recovery", "s", &[line]);
    Ok(vec![
        Judgement::new("recovery of 1,000,000 keys", median, " s")
            .must(Bound::AtMost(0.3))
            .goal(Bound::AtMost(0.15)),
    ])
}
