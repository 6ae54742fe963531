//! Many connections of one client process.

use std::io;

use crate::Bench;
use crate::client::{Fleet, Reading};
use crate::guise;
use crate::report::{Bound, Judgement, table};
use crate::rounds::{Samples, interleave};
use crate::script::Operation;
use crate::subject::{Kind, Subject, lines, ratio};

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
    let mut subjects = Subject::start_all(bench, &kinds)?;
    let many = subjects.len();
    // The fleets of few have servers of their own: a user may not have more connections to one.
    subjects.extend(Subject::start_all(bench, &kinds[..2])?);
    let mut fleets = connect(&subjects[..many], Operation::Get, VERY_MANY, 1)?;
    fleets.extend(connect(&subjects[many..], Operation::Get, MANY, 1)?);
    let readings = interleave(bench.rounds(), fleets.len(), |number| {
        fleets[number].run(subjects[number].script(Operation::Get), bench.slice())
    })?;
    drop(fleets);
    let title = |size| format!("Get, {size} × 1");
    let rates = print(&title(VERY_MANY), &subjects[..many], &readings[..many]);
    let few = print(&title(MANY), &subjects[many..], &readings[many..]);
    let own = rates[0].over(&few[0]).median();
    let floor = rates[1].over(&few[1]).median();
    let p99 = Samples::of(&readings[0], |reading| reading.p99).median();
    println!("\nwith {VERY_MANY}, of the rate with {MANY}: {own:.2}; the echo: {floor:.2}");

    let what = format!("{VERY_MANY} × 1 Get");
    let mut judgements = vec![
        Judgement::new(format!("{what}, p99"), p99, " ms").must(Bound::AtMost(5.0)),
        Judgement::new(format!("{what}, against own {MANY} × 1"), own, " ×")
            .goal(Bound::AtLeast(0.95)),
    ];
    if guise::is_possible() {
        let answered = crowd(bench, &subjects[many])?;
        let what = format!("{CROWD} × 1 Get, connections answered");
        let all = Bound::AtLeast(CROWD as f64);
        judgements.push(Judgement::new(what, answered, "").goal(all));
    } else {
        println!("{CROWD} connections: only root can play enough users");
    }
    Ok(judgements)
}

/// How many of a crowd of connections are answered: the row ends at the first that is not.
fn crowd(bench: &Bench, subject: &Subject) -> io::Result<f64> {
    let script = subject.script(Operation::Get);
    let sockets = guise::connect(&subject.server, CROWD)?;
    let reading = Fleet::of(sockets, script, 1)?.run(script, bench.slice())?;
    println!("{CROWD} connections: {:.0} answers a second", reading.rate);
    Ok(CROWD as f64)
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
    let lines = lines(subjects, &rates, |number, kind| {
        let p99 = Samples::of(&readings[number], |reading| reading.p99).median();
        format!("{}, p99 {p99:.2} ms", kind.name())
    });
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
    let ratio = ratio(subjects, rates, kind)?;
    let judgement = Judgement::new(format!("{what}, against {}", kind.name()), ratio, " ×");
    Some(
        judgement
            .must(Bound::AtLeast(must))
            .goal(Bound::AtLeast(goal)),
    )
}
