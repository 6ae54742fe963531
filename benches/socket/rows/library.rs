//! Set through the library, one call after the other: asking for the answer for some µs before going
//! to sleep shows where client and service have a CPU each, and must do no harm anywhere.

use std::io;
use std::time::{Duration, Instant};

use globstash::{Client, Options};

use crate::Bench;
use crate::client::Serial;
use crate::place::{Cpus, Place};
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::{Samples, interleave, typical};
use crate::script::{KEYS, Operation, key, value};
use crate::subject::{Kind, Subject};

/// The cases, in the order of the table.
const NAMES: [&str; 3] = ["Client::set", "Client::set without spinning", "Redis"];

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let cpus = Cpus::given()?;
    let subjects = Subject::start_all(bench, &[Kind::Globstashd, Kind::Redis])?;
    let server = &subjects[0].server;
    let variables: Vec<(String, String)> = (0..KEYS)
        .map(|number| (key(Operation::Set, number), value(number)))
        .collect();

    let mut judgements = Vec::new();
    for place in [Place::TwoCpus, Place::Free] {
        if !cpus.allow(place) {
            println!("{}: this machine has one", place.name());
            continue;
        }
        // New ones at each place: a client learns from experience whether spinning helps.
        let connect = |options: Options| options.at(server.address()).map_err(io::Error::other);
        let mut clients = [
            connect(Options::new())?,
            connect(Options::new().without_spinning())?,
        ];
        let mut redis = match subjects.get(1) {
            Some(subject) => Some((subject, Serial::connect(&subject.server)?)),
            None => None,
        };
        let cases = clients.len() + usize::from(redis.is_some());
        let readings = interleave(bench.rounds(), cases, |number| match &mut redis {
            Some((subject, serial)) if number == clients.len() => {
                cpus.put(place, subject.server.id())?;
                serial.run(subject.script(Operation::Set), bench.slice())
            }
            _ => {
                cpus.put(place, server.id())?;
                set(&mut clients[number], &variables, bench.slice())
            }
        })?;
        cpus.release()?;
        let samples: Vec<Samples> = readings
            .iter()
            .map(|readings| Samples::of(readings, |&trip| trip))
            .collect();
        print(place, &samples);
        judgements.extend(judge(place, &samples));
    }
    Ok(judgements)
}

/// Sets for as long as `slice`; returns the typical time of a call, in µs.
fn set(client: &mut Client, variables: &[(String, String)], slice: Duration) -> io::Result<f64> {
    let mut trips: Vec<u32> = Vec::with_capacity(1 << 16);
    let mut revision = None;
    let start = Instant::now();
    let mut last = start;
    for (key, value) in variables.iter().cycle() {
        let next = client.set(key, value.as_str()).map_err(io::Error::other)?;
        if revision.replace(next) >= Some(next) {
            return Err(io::Error::other("a revision that is not greater"));
        }
        let now = Instant::now();
        trips.push(u32::try_from((now - last).as_nanos()).unwrap_or(u32::MAX));
        last = now;
        if last - start >= slice {
            break;
        }
    }
    Ok(typical(trips) / 1e3)
}

fn print(place: Place, samples: &[Samples]) {
    let lines: Vec<Line> = samples
        .iter()
        .zip(NAMES)
        .enumerate()
        .map(|(number, (figure, name))| Line {
            name: name.into(),
            figure: figure.clone(),
            ratio: (number > 0).then(|| samples[0].over(figure)),
        })
        .collect();
    table(place.name(), "µs a call", &lines);
}

fn judge(place: Place, samples: &[Samples]) -> Option<Judgement> {
    let what = format!("library Set, {}", place.name());
    let (other, must) = match place {
        Place::TwoCpus => (2, 0.3),
        _ => (1, 1.0),
    };
    let ratio = samples[0].over(samples.get(other)?).median();
    let what = format!(
        "{what}, against {}",
        NAMES[other].replace("Client::set ", "")
    );
    let judgement = Judgement::new(what, ratio, " ×").must(Bound::AtMost(must));
    Some(match place {
        Place::TwoCpus => judgement.goal(Bound::AtMost(0.12)),
        _ => judgement,
    })
}
