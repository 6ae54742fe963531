//! Reading while somebody writes.
//!
//! The writer has a CPU of its own, wakes up 10,000 times a second and sets one variable. For quiet
//! it does exactly that to another map, so that what differs is only what the reader sees.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::lines;
use crate::Bench;
use crate::cpus::Cpus;
use crate::keys::{Questions, key, shuffled};
use crate::map::{Answer, Map, Reader, View};
use crate::report::{Bound, Judgement, table};
use crate::rounds::interleave;
use crate::subject;

/// From one set to the next.
const PERIOD: Duration = Duration::from_micros(100);

const COUNT: usize = 1000;

/// What the writer does.
const ELSEWHERE: u8 = 0;
const OTHERS: u8 = 1;
const SAME: u8 = 2;
const END: u8 = 3;

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let cpus = Cpus::given()?;
    if cpus.count() < 2 {
        println!("left out: it needs two CPUs");
        return Ok(Vec::new());
    }
    let ours = subject::filled(shuffled(COUNT))?;
    let elsewhere = subject::filled(shuffled(COUNT))?;
    let reader = subject::reader(&ours)?;
    let (order, sets) = (AtomicU8::new(ELSEWHERE), AtomicU64::new(0));
    let (order, sets, cpus) = (&order, &sets, &cpus);
    let readings = thread::scope(|scope| {
        let writer = scope.spawn(move || write(ours, elsewhere, order, sets, cpus));
        let readings = read(bench, &reader, order, cpus);
        order.store(END, Ordering::Relaxed);
        let rate = writer.join().expect("the writer does not panic")?;
        println!("the writer did {rate:.0} sets a second");
        readings
    })?;
    cpus.roam()?;

    let names = [
        "one key, the writer elsewhere",
        "one key, the writer sets it",
        "1,000 keys, the writer elsewhere",
        "1,000 keys, the writer sets them",
    ];
    let mut lines = lines(&names, &readings);
    let others = lines[3].figure.over(&lines[2].figure);
    let same = lines[1].figure.over(&lines[0].figure);
    for line in &mut lines {
        line.ratio = None;
    }
    table("get", "ns", &lines);
    Ok(vec![
        Judgement::new(
            "mapped get while others change / quiet",
            others.median(),
            " ×",
        )
        .must(Bound::AtMost(1.1))
        .goal(Bound::AtMost(1.02)),
        Judgement::new("mapped get while it changes / quiet", same.median(), " ×")
            .must(Bound::AtMost(1.5))
            .goal(Bound::AtMost(1.1)),
    ])
}

fn read(
    bench: &Bench,
    reader: &Reader<View>,
    order: &AtomicU8,
    cpus: &Cpus,
) -> io::Result<Vec<Vec<f64>>> {
    cpus.stay_on(1)?;
    let mut questions = Questions::new(COUNT - 1, 4096);
    let one = key(COUNT - 1);
    let mut value = Vec::new();
    let mut get = |key: &[u8]| match reader.get(key, &mut value) {
        Answer::Found(_) => Ok(()),
        answer => Err(io::Error::other(format!("{answer:?}"))),
    };
    interleave(bench.rounds(), 4, |case| {
        let orders = [ELSEWHERE, SAME, ELSEWHERE, OTHERS];
        order.store(orders[case], Ordering::Relaxed);
        thread::sleep(10 * PERIOD); // It has read its order.
        match case {
            0 | 1 => bench.pace(|| get(one.as_bytes())),
            _ => bench.pace(|| get(questions.next())),
        }
    })
}

/// Sets a variable every period, and returns how many a second.
fn write(
    mut ours: Map,
    mut elsewhere: Map,
    order: &AtomicU8,
    sets: &AtomicU64,
    cpus: &Cpus,
) -> io::Result<f64> {
    cpus.stay_on(0)?;
    rustix::thread::set_current_timer_slack(std::num::NonZero::new(1))?;
    let mut questions = Questions::new(COUNT - 1, 4096);
    let start = Instant::now();
    let mut next = start;
    loop {
        let value = format!("{:016}", sets.fetch_add(1, Ordering::Relaxed));
        match order.load(Ordering::Relaxed) {
            END => break,
            SAME => subject::set(&mut ours, key(COUNT - 1).as_bytes(), value.as_bytes())?,
            OTHERS => subject::set(&mut ours, questions.next(), value.as_bytes())?,
            _ => subject::set(&mut elsewhere, questions.next(), value.as_bytes())?,
        }
        next += PERIOD;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(sets.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}
