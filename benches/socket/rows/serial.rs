//! One client, one call after the other, on the same CPU, on two, and at free placement.

use std::io;

use crate::Bench;
use crate::client::Serial;
use crate::place::{Cpus, Place};
use crate::report::{Bound, Judgement, table};
use crate::rounds::{Samples, interleave};
use crate::script::Operation;
use crate::subject::{Kind, Subject, lines, ratio};

const KINDS: [Kind; 6] = [
    Kind::Globstashd,
    Kind::Echo,
    Kind::Serde,
    Kind::Handle,
    Kind::Listen,
    Kind::Redis,
];

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let cpus = Cpus::given()?;
    let subjects = Subject::start_all(bench, &KINDS)?;
    let mut clients: Vec<Serial> = subjects
        .iter()
        .map(|subject| Serial::connect(&subject.server))
        .collect::<io::Result<_>>()?;

    for subject in &subjects {
        let sizes = Operation::ALL.map(|operation| subject.script(operation).sizes());
        let [(get, got), (set, was_set)] = sizes;
        println!(
            "{}: Get {get} B → {got} B, Set {set} B → {was_set} B",
            subject.kind.name()
        );
    }
    let mut judgements = Vec::new();
    for place in Place::ALL {
        if !cpus.allow(place) {
            println!("{}: this machine has one", place.name());
            continue;
        }
        for operation in Operation::ALL {
            let readings = interleave(bench.rounds(), subjects.len(), |number| {
                let subject = &subjects[number];
                cpus.put(place, subject.server.id())?;
                clients[number].run(subject.script(operation), bench.slice())
            })?;
            cpus.release()?;
            let samples: Vec<Samples> = readings
                .iter()
                .map(|readings| Samples::of(readings, |&trip| trip))
                .collect();
            let title = format!("{}, {}", operation.name(), place.name());
            let lines = lines(&subjects, &samples, |_, kind| kind.name().into());
            table(&title, "µs a round trip", &lines);
            if place == Place::OneCpu {
                judgements.extend(judge(operation, &subjects, &samples));
            }
        }
    }
    Ok(judgements)
}

fn judge(operation: Operation, subjects: &[Subject], samples: &[Samples]) -> Vec<Judgement> {
    let compare = |kind: Kind, must: f64, goal: f64| {
        let ratio = ratio(subjects, samples, kind)?;
        let what = format!("{}, one CPU, against {}", operation.name(), kind.name());
        let judgement = Judgement::new(what, ratio, " ×");
        Some(
            judgement
                .must(Bound::AtMost(must))
                .goal(Bound::AtMost(goal)),
        )
    };
    let against_floor = compare(Kind::Echo, 1.20, 1.08);
    let against_redis = compare(Kind::Redis, 0.95, 0.80);
    against_floor.into_iter().chain(against_redis).collect()
}
