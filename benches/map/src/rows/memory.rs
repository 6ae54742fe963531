//! What a variable costs, in bytes of memory beyond its key and its value.
//!
//! Counted in a process of its own: the private memory that came to it from the system, and what
//! the memory file takes. So nothing is left out, also not what an allocator or a page wastes.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode};

use crate::keys::{key, shuffled, value};
use crate::peers::HashMap;
use crate::report::{Bound, Judgement};
use crate::{Bench, CHILD, subject};

/// What Redis 7.0 takes of a variable beyond key and value, without knowing who set it or when.
const REDIS: f64 = 98.0;

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let many = bench.many();
    let measure = |case: &str| -> io::Result<f64> {
        let this = std::env::current_exe()?;
        let output = Command::new(this)
            .args([CHILD, case, &many.to_string()])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let bytes = text
            .trim()
            .lines()
            .last()
            .and_then(|line| line.parse().ok());
        let bytes: f64 = bytes.ok_or_else(|| io::Error::other(format!("no figure: {text}")))?;
        Ok(bytes / many as f64 - 32.0)
    };
    println!(
        "\n{:<42} {:>26}",
        "beyond key and value, a variable", "bytes"
    );
    let mut largest: f64 = 0.0;
    for (case, name) in [
        ("shuffled", "globstash, keys in no order"),
        ("sorted", "globstash, keys in order"),
        ("file", "  of which the memory file"),
        ("overwritten", "globstash, each key set three times"),
    ] {
        let bytes = measure(case)?;
        // Of the file alone nothing must be said.
        if case == "file" {
            println!("{name:<42} {bytes:>26.1}");
            continue;
        }
        largest = largest.max(bytes);
        println!("{name:<42} {bytes:>26.1}");
    }
    let peer = measure("hashbrown")?;
    println!("{:<42} {peer:>26.1}", "hashbrown<String, String>");
    println!("{:<42} {REDIS:>26.1}", "Redis 7.0, as once measured");
    Ok(vec![
        Judgement::new("memory of a variable, the largest", largest, " B")
            .must(Bound::AtMost(104.0))
            .goal(Bound::AtMost(96.0)),
    ])
}

/// Prints how many bytes one case takes.
pub fn child(arguments: &[String]) -> io::Result<ExitCode> {
    let [case, count] = arguments else {
        return Err(io::Error::other("a case and a number are missing"));
    };
    let count: usize = count.parse().map_err(io::Error::other)?;
    // The numbers are there before and after, and not counted.
    let numbers = shuffled(count);
    let before = private()?;
    let bytes = match case.as_str() {
        "hashbrown" => {
            let map: HashMap = numbers.iter().map(|&n| (key(n), value(n))).collect();
            let bytes = private()? - before;
            assert_eq!(map.len(), count);
            bytes
        }
        case => {
            let mut map = match case {
                "sorted" => subject::filled(0..count)?,
                _ => subject::filled(numbers.iter().copied())?,
            };
            if case == "overwritten" {
                for &number in numbers.iter().rev().chain(&numbers) {
                    subject::set(&mut map, key(number).as_bytes(), value(number).as_bytes())?;
                }
                while map.work() {}
            }
            let file = rustix::fs::fstat(map.memory().as_fd())?.st_blocks as u64 * 512;
            match case {
                "file" => file,
                _ => private()? - before + file,
            }
        }
    };
    println!("{bytes}");
    Ok(ExitCode::SUCCESS)
}

/// Private memory of this process, in bytes.
fn private() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let kib = kib.ok_or_else(|| io::Error::other("the kernel does not tell RssAnon"))?;
    Ok(kib << 10)
}
