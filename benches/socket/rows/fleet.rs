//! Many connections of one client process.

use std::io;

use crate::Bench;
use crate::client::{Fleet, Reading};
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::{Samples, interleave};
use crate::script::Operation;
use crate::subject::{Kind, Subject, position};

/// Connections of a busy machine.
const MANY: usize = 50;
/// Connections of an extraordinary one; the peer with a thread for each cannot do it.
const VERY_MANY: usize = 1_000;
/// Connections that must only work.
const CROWD: usize = 10_000;
/// Calls outstanding on a connection that pipelines.
const DEPTH: usize = 16;

pub fn fifty(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let kinds = [
        Kind::Globstashd,
        Kind::Echo,
        Kind::Serde,
        Kind::Handle,
        Kind::Listen,
        Kind::Redis,
    ];
    let subjects = Subject::start_all(bench, &kinds)?;
    let gets = measure(bench, &subjects, Operation::Get, MANY, 1)?;
    let sets = measure(bench, &subjects, Operation::Set, MANY, 1)?;

    let mut judgements = Vec::new();
    for (operation, rates) in [(Operation::Get, gets), (Operation::Set, sets)] {
        let what = format!("{MANY} × 1 {}", operation.name());
        judgements.extend(compare(&what, &subjects, &rates, Kind::Redis, 1.0, 1.3));
        judgements.extend(compare(&what, &subjects, &rates, Kind::Listen, 2.0, 2.6));
    }
    Ok(judgements)
}

pub fn pipelined(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let kinds = [
        Kind::Globstashd,
        Kind::Echo,
        Kind::Serde,
        Kind::Handle,
        Kind::Listen,
        Kind::Redis,
    ];
    let subjects = Subject::start_all(bench, &kinds)?;
    let rates = measure(bench, &subjects, Operation::Get, MANY, DEPTH)?;
    let what = format!("{MANY} × {DEPTH} Get");
    let judgement = compare(&what, &subjects, &rates, Kind::Handle, 2.0, 2.3);
    Ok(judgement.into_iter().collect())
}

pub fn thousand(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let kinds = [
        Kind::Globstashd,
        Kind::Echo,
        Kind::Serde,
        Kind::Handle,
        Kind::Redis,
    ];
    let subjects = Subject::start_all(bench, &kinds)?;
    let mut fleets = connect(&subjects, Operation::Get, VERY_MANY, 1)?;
    let mine = &subjects[0];
    let script = mine.script(Operation::Get);
    fleets.push(Fleet::connect(&mine.server, script, MANY, 1)?);

    let last = fleets.len() - 1;
    let readings = interleave(bench.rounds(), fleets.len(), |number| {
        let subject = if number == last {
            mine
        } else {
            &subjects[number]
        };
        fleets[number].run(subject.script(Operation::Get), bench.slice())
    })?;
    drop(fleets);
    let rates = print(
        &format!("Get, {VERY_MANY} × 1"),
        &subjects,
        &readings[..last],
    );

    let few = Samples::of(&readings[last], |reading| reading.rate / 1e3);
    let own = rates[0].over(&few);
    let p99 = Samples::of(&readings[0], |reading| reading.p99).median();
    let unanswered = unanswered(bench, mine);
    Ok(vec![
        Judgement::new(format!("{VERY_MANY} × 1 Get, p99"), p99, " ms").must(Bound::AtMost(5.0)),
        Judgement::new(
            format!("{VERY_MANY} × 1 Get, against own {MANY} × 1"),
            own.median(),
            " ×",
        )
        .goal(Bound::AtLeast(0.95)),
        Judgement::new(format!("{CROWD} × 1 Get, not answered"), unanswered, "")
            .goal(Bound::AtMost(0.0)),
    ])
}

/// How many of a crowd of connections are not answered: none or all, for one wrong answer spoils
/// everything.
fn unanswered(bench: &Bench, subject: &Subject) -> f64 {
    let script = subject.script(Operation::Get);
    let fleet = Fleet::connect(&subject.server, script, CROWD, 1);
    match fleet.and_then(|mut fleet| fleet.run(script, bench.slice())) {
        Ok(reading) => {
            println!("{CROWD} connections: {:.0} answers a second", reading.rate);
            0.0
        }
        Err(error) => {
            println!("{CROWD} connections: {error}");
            CROWD as f64
        }
    }
}

fn connect(
    subjects: &[Subject],
    operation: Operation,
    size: usize,
    depth: usize,
) -> io::Result<Vec<Fleet>> {
    subjects
        .iter()
        .map(|subject| Fleet::connect(&subject.server, subject.script(operation), size, depth))
        .collect()
}

/// Runs a fleet against each of the subjects; prints and returns the rates.
fn measure(
    bench: &Bench,
    subjects: &[Subject],
    operation: Operation,
    size: usize,
    depth: usize,
) -> io::Result<Vec<Samples>> {
    let mut fleets = connect(subjects, operation, size, depth)?;
    let readings = interleave(bench.rounds(), fleets.len(), |number| {
        fleets[number].run(subjects[number].script(operation), bench.slice())
    })?;
    let title = format!("{}, {size} × {depth}", operation.name());
    Ok(print(&title, subjects, &readings))
}

fn print(title: &str, subjects: &[Subject], readings: &[Vec<Reading>]) -> Vec<Samples> {
    let rates: Vec<Samples> = readings
        .iter()
        .map(|readings| Samples::of(readings, |reading| reading.rate / 1e3))
        .collect();
    let lines: Vec<Line> = (subjects.iter().zip(&rates).zip(readings))
        .map(|((subject, rate), readings)| {
            let p99 = Samples::of(readings, |reading| reading.p99).median();
            Line {
                name: format!("{}, p99 {p99:.2} ms", subject.kind.name()),
                figure: rate.clone(),
                ratio: (subject.kind != Kind::Globstashd).then(|| rates[0].over(rate)),
            }
        })
        .collect();
    table(title, "thousand answers a second", &lines);
    rates
}

fn compare(
    what: &str,
    subjects: &[Subject],
    rates: &[Samples],
    kind: Kind,
    must: f64,
    goal: f64,
) -> Option<Judgement> {
    let ratio = rates[0].over(&rates[position(subjects, kind)?]).median();
    let judgement = Judgement::new(format!("{what}, against {}", kind.name()), ratio, " ×");
    Some(
        judgement
            .must(Bound::AtLeast(must))
            .goal(Bound::AtLeast(goal)),
    )
}
