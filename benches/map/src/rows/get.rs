//! Reading by name.

use std::io;

use super::{lines, ratio};
use crate::Bench;
use crate::keys::{Questions, key, shuffled, value};
use crate::peers::{Blackboard, Get, HashMap, Lmdb};
use crate::report::{Bound, Judgement, table};
use crate::rounds::interleave;
use crate::subject;

/// Few enough for the cache, in any form.
pub const FEW: usize = 1000;

pub fn hot(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let numbers = shuffled(FEW);
    let map = subject::filled(numbers.iter().copied())?;
    let ours = subject::reader(&map)?;
    let attached = subject::attached(numbers.iter().copied())?;
    let hash_map: HashMap = numbers.iter().map(|&n| (key(n), value(n))).collect();
    let lmdb = Lmdb::filled(numbers)?;
    let blackboard = Blackboard::filled(FEW)?;

    let names = [
        "globstash, mapped",
        "hashbrown<String, String>",
        "LMDB, a transaction a get",
        "globstash, Attached::get_into",
        "iceoryx2 blackboard, by name",
    ];
    let mut questions = Questions::new(FEW, 4096);
    check(&ours, FEW)?;
    check(&attached, FEW)?;
    let readings = interleave(bench.rounds(), names.len(), |case| match case {
        0 => get(bench, &ours, &mut questions),
        1 => get(bench, &hash_map, &mut questions),
        2 => get(bench, &lmdb, &mut questions),
        3 => get(bench, &attached, &mut questions),
        _ => get(bench, &blackboard, &mut questions),
    })?;
    let lines = lines(&names, &readings);
    table(
        "get, 1,000 keys of 16 bytes, values of 16 bytes",
        "ns",
        &lines,
    );
    let public = lines[3].figure.over(&lines[1].figure).median();
    let lmdb_to_public = lines[2].figure.over(&lines[3].figure).median();
    Ok(vec![
        Judgement::new("Attached::get_into, hot / hashbrown", public, " ×")
            .must(Bound::AtMost(2.5))
            .goal(Bound::AtMost(1.4)),
        Judgement::new("LMDB / Attached::get_into, hot", lmdb_to_public, " ×")
            .must(Bound::AtLeast(8.0))
            .goal(Bound::AtLeast(20.0)),
        Judgement::new("mapped get, hot / hashbrown", ratio(&lines, 1), " ×")
            .must(Bound::AtMost(2.5))
            .goal(Bound::AtMost(1.4)),
        Judgement::new("LMDB / mapped get, hot", 1.0 / ratio(&lines, 2), " ×")
            .must(Bound::AtLeast(8.0))
            .goal(Bound::AtLeast(20.0)),
    ])
}

pub fn uniform(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let many = bench.many();
    let numbers = shuffled(many);
    let map = subject::filled(numbers.iter().copied())?;
    let ours = subject::reader(&map)?;
    let attached = subject::attached(numbers.iter().copied())?;
    let hash_map: HashMap = numbers.iter().map(|&n| (key(n), value(n))).collect();
    let lmdb = Lmdb::filled(0..many)?;

    let names = [
        "globstash, mapped",
        "hashbrown<String, String>",
        "LMDB, a transaction a get",
        "globstash, Attached::get_into",
    ];
    let mut questions = Questions::new(many, many);
    check(&ours, many)?;
    check(&attached, many)?;
    let readings = interleave(bench.rounds(), names.len(), |case| match case {
        0 => get(bench, &ours, &mut questions),
        1 => get(bench, &hash_map, &mut questions),
        2 => get(bench, &lmdb, &mut questions),
        _ => get(bench, &attached, &mut questions),
    })?;
    let lines = lines(&names, &readings);
    let title = format!("get, {many} keys of 16 bytes, values of 16 bytes");
    table(&title, "ns", &lines);
    let public = lines[3].figure.over(&lines[1].figure).median();
    Ok(vec![
        Judgement::new("Attached::get_into, uniform / hashbrown", public, " ×")
            .must(Bound::AtMost(1.5))
            .goal(Bound::AtMost(0.6)),
        Judgement::new("mapped get, uniform / hashbrown", ratio(&lines, 1), " ×")
            .must(Bound::AtMost(1.5))
            .goal(Bound::AtMost(0.6)),
        Judgement::new("LMDB / mapped get, uniform", 1.0 / ratio(&lines, 2), " ×"),
    ])
}

pub fn absent(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let numbers = shuffled(FEW);
    let map = subject::filled(numbers.iter().copied())?;
    let ours = subject::reader(&map)?;
    let attached = subject::attached(numbers.iter().copied())?;
    let hash_map: HashMap = numbers.iter().map(|&n| (key(n), value(n))).collect();

    let names = [
        "globstash, mapped",
        "hashbrown<String, String>",
        "globstash, Attached::get_into",
    ];
    let mut questions = Questions::beyond(FEW, 4096);
    let readings = interleave(bench.rounds(), names.len(), |case| match case {
        0 => miss(bench, &ours, &mut questions),
        1 => miss(bench, &hash_map, &mut questions),
        _ => miss(bench, &attached, &mut questions),
    })?;
    let lines = lines(&names, &readings);
    table("get of what is not defined, keys of 16 bytes", "ns", &lines);
    Ok(Vec::new())
}

fn miss(bench: &Bench, peer: &impl Get, questions: &mut Questions) -> io::Result<f64> {
    let mut value = Vec::new();
    bench.pace(|| match peer.get(questions.next(), &mut value)? {
        false => Ok(()),
        true => Err(io::Error::other("a key has a value that has none")),
    })
}

pub fn get(bench: &Bench, peer: &impl Get, questions: &mut Questions) -> io::Result<f64> {
    let mut value = Vec::new();
    bench.pace(|| {
        let is_there = peer.get(questions.next(), &mut value)?;
        if !is_there || value.len() != 16 {
            return Err(io::Error::other("a key has no value"));
        }
        Ok(())
    })
}

/// Every key has its value, in ours.
pub fn check(peer: &impl Get, count: usize) -> io::Result<()> {
    let mut found = Vec::new();
    for number in 0..count {
        let key = key(number).into_bytes().try_into().expect("16 bytes");
        if !peer.get(&key, &mut found)? || found != value(number).as_bytes() {
            return Err(io::Error::other(format!("key {number} has a wrong value")));
        }
    }
    Ok(())
}
