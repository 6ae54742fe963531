//! How long a change takes to those who wait for it: to one who sleeps, and to a thousand.

use std::io;

use crate::Bench;
use crate::news::{Carrier, Channel, Pause};
use crate::place::{Cpus, Place};
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::{Samples, interleave};

/// Watchers of a variable that everybody wants to know.
const MANY: usize = 1_000;
/// Changes in a round, for one watcher: about as long as the slice of other rows.
const CHANGES: usize = 400;
/// The same for many of them.
const CHANGES_TO_MANY: usize = 40;

pub fn one(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let mut channels = open(bench, &Carrier::ALL, 1)?;
    let mut judgements = Vec::new();
    let cases = [
        (Place::OneCpu, Pause::Awake, "one CPU"),
        (Place::OneCpu, Pause::Asleep, "one CPU that was idle"),
        (Place::TwoCpus, Pause::Asleep, "two CPUs"),
        (Place::Free, Pause::Asleep, "free placement"),
    ];
    for (place, pause, name) in cases {
        if !Cpus::given()?.allow(place) {
            println!("{name}: this machine has one");
            continue;
        }
        let samples = measure(bench, &mut channels, (place, pause), CHANGES)?;
        print(name, "µs one way", &channels, &samples);
        let compare = |mine, theirs, must, goal| {
            let what = format!("watch, {name}");
            compare(&what, &channels, &samples, (mine, theirs), must, goal)
        };
        if place != Place::TwoCpus {
            let against_relay = compare(Carrier::Globstashd, Carrier::Relay, Some(1.25), 1.06);
            judgements.extend(against_relay);
        }
        if place == Place::OneCpu {
            let against_redis = compare(Carrier::Globstashd, Carrier::Redis, Some(0.75), 0.6);
            judgements.extend(against_redis);
            let mine = Carrier::GlobstashdAnswering;
            let against_redis = compare(mine, Carrier::RedisAnswering, Some(0.75), 0.6);
            judgements.extend(against_redis);
        }
    }
    Ok(judgements)
}

pub fn fanout(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let carriers = [Carrier::Globstashd, Carrier::Relay, Carrier::Redis];
    let mut channels = open(bench, &carriers, MANY)?;
    let place = Place::Free;
    let samples: Vec<Samples> = measure(
        bench,
        &mut channels,
        (place, Pause::Asleep),
        CHANGES_TO_MANY,
    )?
    .iter()
    .map(|samples| samples.scaled(1e-3))
    .collect();
    let title = format!("{MANY} watchers, {}", place.name());
    print(&title, "ms until the last has it", &channels, &samples);

    let what = format!("fanout to {MANY}");
    let compare = |theirs, must, goal| {
        let pair = (Carrier::Globstashd, theirs);
        compare(&what, &channels, &samples, pair, must, goal)
    };
    let against_floor = compare(Carrier::Relay, None, 1.2);
    let against_redis = compare(Carrier::Redis, Some(1.0), 1.0);
    Ok(against_floor.into_iter().chain(against_redis).collect())
}

/// Opens a channel for each carrier that is installed.
fn open(bench: &Bench, carriers: &[Carrier], size: usize) -> io::Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for &carrier in carriers {
        if carrier.is_installed() {
            channels.push(Channel::open(bench, carrier, size)?);
        } else {
            println!("{}: not installed", carrier.name());
        }
    }
    Ok(channels)
}

/// The times of each channel, in µs.
fn measure(
    bench: &Bench,
    channels: &mut [Channel],
    (place, pause): (Place, Pause),
    changes: usize,
) -> io::Result<Vec<Samples>> {
    let cpus = Cpus::given()?;
    let changes = if bench.quick { changes / 10 } else { changes };
    let readings = interleave(bench.rounds(), channels.len(), |number| {
        let channel = &mut channels[number];
        cpus.put(place, channel.server.id())?;
        channel.run(changes, pause)
    })?;
    cpus.release()?;
    Ok(readings
        .iter()
        .map(|readings| Samples::of(readings, |&time| time))
        .collect())
}

fn print(title: &str, unit: &str, channels: &[Channel], samples: &[Samples]) {
    let lines: Vec<Line> = channels
        .iter()
        .zip(samples)
        .map(|(channel, figure)| {
            // Like with like: what waits for an answer against what does so too.
            let mine = match channel.carrier {
                Carrier::Globstashd | Carrier::GlobstashdAnswering => None,
                Carrier::RedisAnswering => Some(Carrier::GlobstashdAnswering),
                Carrier::Relay | Carrier::Redis => Some(Carrier::Globstashd),
            };
            let mine = mine.and_then(|mine| of(mine, channels, samples));
            Line {
                name: channel.carrier.name().into(),
                figure: figure.clone(),
                ratio: mine.map(|mine| mine.over(figure)),
            }
        })
        .collect();
    table(title, unit, &lines);
}

/// The times of a carrier, if it runs.
fn of<'a>(carrier: Carrier, channels: &[Channel], samples: &'a [Samples]) -> Option<&'a Samples> {
    let mut pairs = channels.iter().zip(samples);
    let pair = pairs.find(|(channel, _)| channel.carrier == carrier);
    pair.map(|(_, samples)| samples)
}

/// The first of a pair against the second, if both run.
fn compare(
    what: &str,
    channels: &[Channel],
    samples: &[Samples],
    (mine, theirs): (Carrier, Carrier),
    must: Option<f64>,
    goal: f64,
) -> Option<Judgement> {
    let of = |carrier| of(carrier, channels, samples);
    let ratio = of(mine)?.over(of(theirs)?).median();
    let judgement = Judgement::new(format!("{what}, against {}", theirs.name()), ratio, " ×")
        .goal(Bound::AtMost(goal));
    Some(match must {
        Some(must) => judgement.must(Bound::AtMost(must)),
        None => judgement,
    })
}
