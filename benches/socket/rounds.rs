//! Rounds: every case runs once a round, so that whatever else the machine does hits all alike.

use std::io;

/// Runs `case` with each number below `cases`, once uncounted and then `rounds` times; returns what
/// each case gave in each round. Every round begins with another case.
pub fn interleave<T>(
    rounds: usize,
    cases: usize,
    mut case: impl FnMut(usize) -> io::Result<T>,
) -> io::Result<Vec<Vec<T>>> {
    for number in 0..cases {
        case(number)?;
    }
    let mut readings: Vec<Vec<T>> = (0..cases).map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        for turn in 0..cases {
            let number = (turn + round) % cases;
            readings[number].push(case(number)?);
        }
    }
    Ok(readings)
}

/// One figure a round.
#[derive(Clone, Debug)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// The figure that `pick` takes from each reading.
    pub fn of<T>(readings: &[T], pick: impl Fn(&T) -> f64) -> Self {
        assert!(!readings.is_empty(), "a case has at least one round");
        Self(readings.iter().map(pick).collect())
    }

    /// The medians of `groups` runs of successive readings: for a case whose rounds are single
    /// events.
    pub fn grouped(readings: &[f64], groups: usize) -> Self {
        let size = readings.len().div_ceil(groups).max(1);
        Self(
            readings
                .chunks(size)
                .map(|chunk| median(chunk.to_vec()))
                .collect(),
        )
    }

    /// The same in another unit.
    pub fn scaled(&self, factor: f64) -> Self {
        Self(self.0.iter().map(|value| value * factor).collect())
    }

    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The ratio of both in each round: what slowed a whole round down cancels out.
    pub fn over(&self, other: &Self) -> Self {
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(mine, theirs)| mine / theirs).collect())
    }
}

/// The middle one of `values`, the upper one of two.
pub fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}

/// The mean of the middle eight tenths.
///
/// On one CPU the kernel has two ways through a round trip: the client goes to sleep before the
/// server runs, or is held up by it and need not sleep at all. They differ by a third and each is
/// taken about half of the time, so that a median jumps from one to the other.
pub fn typical(mut values: Vec<u32>) -> f64 {
    values.sort_unstable();
    let tenth = values.len() / 10;
    let middle = &values[tenth..values.len() - tenth];
    middle.iter().copied().map(f64::from).sum::<f64>() / middle.len() as f64
}

/// The value below which that part of `values` lies.
pub fn quantile<T: PartialOrd + Copy>(values: &mut [T], part: f64) -> T {
    let index = ((values.len() as f64 * part) as usize).min(values.len() - 1);
    let order = |a: &T, b: &T| a.partial_cmp(b).expect("times are ordered");
    *values.select_nth_unstable_by(index, order).1
}
