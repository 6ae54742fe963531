//! Changing: nothing must be, it is told for comparison.

use std::io;
use std::time::Instant;

use super::lines;
use crate::Bench;
use crate::keys::{Questions, key, shuffled, value};
use crate::peers::{HashMap, Lmdb, Set};
use crate::report::{Judgement, table};
use crate::rounds::interleave;
use crate::subject;

const NAMES: [&str; 3] = [
    "globstash",
    "hashbrown<String, String>",
    "LMDB, a transaction a set",
];

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let count = bench.many() / 10;
    let numbers = shuffled(count);
    let readings = interleave(bench.rounds().min(3), NAMES.len(), |case| match case {
        0 => define(&mut subject::empty()?, &numbers),
        1 => define(&mut HashMap::new(), &numbers),
        _ => define(&mut Lmdb::new()?, &numbers),
    })?;
    let title = format!("set, {count} new keys from none on");
    table(&title, "ns", &lines(&NAMES, &readings));

    overwrite(bench, 1000)?;
    overwrite(bench, bench.many())?;
    Ok(Vec::new())
}

/// Nanoseconds to define a key, with all that grows on the way.
fn define(peer: &mut impl Set, numbers: &[usize]) -> io::Result<f64> {
    let content: Vec<_> = numbers
        .iter()
        .map(|&number| (key(number), value(number)))
        .collect();
    let start = Instant::now();
    for (key, value) in &content {
        let key = key.as_bytes().try_into().expect("16 bytes");
        peer.set(key, value.as_bytes())?;
    }
    Ok(start.elapsed().as_nanos() as f64 / numbers.len() as f64)
}

fn overwrite(bench: &Bench, count: usize) -> io::Result<()> {
    let numbers = shuffled(count);
    let mut ours = subject::filled(numbers.iter().copied())?;
    let mut hash_map: HashMap = numbers.iter().map(|&n| (key(n), value(n))).collect();
    let mut lmdb = Lmdb::filled(0..count)?;
    let mut questions = Questions::new(count, count.max(4096));
    let mut serial = 0;
    let readings = interleave(bench.rounds(), NAMES.len(), |case| match case {
        0 => replace(bench, &mut ours, &mut questions, &mut serial),
        1 => replace(bench, &mut hash_map, &mut questions, &mut serial),
        _ => replace(bench, &mut lmdb, &mut questions, &mut serial),
    })?;
    let title = format!("set, one of {count} keys that are there");
    table(&title, "ns", &lines(&NAMES, &readings));
    Ok(())
}

fn replace(
    bench: &Bench,
    peer: &mut impl Set,
    questions: &mut Questions,
    serial: &mut u64,
) -> io::Result<f64> {
    let mut value = *b"0000000000000000";
    bench.pace(|| {
        *serial += 1;
        value[12..].copy_from_slice(&(*serial as u32 & 0x0f0f_0f0f | 0x3030_3030).to_le_bytes());
        peer.set(questions.next(), &value)
    })
}
