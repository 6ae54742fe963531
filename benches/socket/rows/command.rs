//! The command as a whole process: what a shell script pays for one `globstash get`.

use std::ffi::OsString;
use std::io;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Bench;
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::{Samples, interleave};
use crate::script::{Operation, key};
use crate::server::is_installed;
use crate::subject::{Kind, Subject, position};

/// Launches are told in as many groups as other rows have rounds.
const GROUPS: usize = 9;

/// A program that is launched and waited for.
struct Program {
    name: &'static str,
    words: Vec<OsString>,
}

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let subjects = Subject::start_all(bench, &[Kind::Globstashd, Kind::Redis])?;
    let programs = programs(bench, &subjects);
    let launches = if bench.quick { 10 } else { 300 };
    let readings = interleave(launches, programs.len(), |number| programs[number].launch())?;
    let samples: Vec<Samples> = readings
        .iter()
        .map(|readings| Samples::grouped(readings, GROUPS))
        .collect();
    let lines: Vec<Line> = (programs.iter().zip(&samples).enumerate())
        .map(|(number, (program, figure))| Line {
            name: program.name.into(),
            figure: figure.clone(),
            ratio: (number > 0).then(|| samples[0].over(figure)),
        })
        .collect();
    table("launched, waited for and reaped", "µs", &lines);

    let mut judgements = Vec::new();
    for (program, figure) in programs.iter().zip(&samples).skip(1) {
        let ratio = samples[0].over(figure).median();
        let judgement = Judgement::new(
            format!("globstash get, against {}", program.name),
            ratio,
            " ×",
        );
        judgements.push(match program.name {
            "/bin/true" => judgement.goal(Bound::AtMost(1.35)),
            _ => judgement.must(Bound::AtMost(0.4)).goal(Bound::AtMost(0.25)),
        });
    }
    Ok(judgements)
}

impl Program {
    fn new(name: &'static str, words: &[&str]) -> Self {
        let words = words.iter().map(OsString::from).collect();
        Self { name, words }
    }

    /// How long it took, in µs.
    fn launch(&self) -> io::Result<f64> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let start = Instant::now();
        let status = command.status()?;
        let time = start.elapsed();
        if !status.success() {
            return Err(io::Error::other(format!("{} ended: {status}", self.name)));
        }
        Ok(time.as_secs_f64() * 1e6)
    }
}

/// The command first.
fn programs(bench: &Bench, subjects: &[Subject]) -> Vec<Program> {
    let address = |kind| {
        let position = position(subjects, kind)?;
        subjects[position].server.address().to_str()
    };
    let key = key(Operation::Get, 0);
    let service = address(Kind::Globstashd).expect("it runs, in a folder whose name we made");
    let globstash = bench
        .globstash
        .to_str()
        .expect("cargo and users use plain names");
    let mut programs = vec![
        Program::new(
            "globstash get",
            &[globstash, "--address", service, "get", &key],
        ),
        Program::new("/bin/true", &["/bin/true"]),
    ];
    match address(Kind::Redis).filter(|_| is_installed("redis-cli")) {
        Some(redis) => {
            let words = ["redis-cli", "-s", redis, "get", &key];
            programs.push(Program::new("redis-cli get", &words));
        }
        None => println!("redis-cli: not installed"),
    }
    // Words, so that it may be a loader with a library path.
    let varlinkctl = std::env::var("VARLINKCTL").unwrap_or("varlinkctl".into());
    let mut words: Vec<&str> = varlinkctl.split_whitespace().collect();
    if words.len() == 1 && words[0] == "varlinkctl" && !is_installed("varlinkctl") {
        println!("varlinkctl: not installed");
        return programs;
    }
    let parameters = format!(r#"{{"key":"{key}"}}"#);
    words.extend(["call", service, "io.globstash.Get", &parameters]);
    programs.push(Program::new("varlinkctl call", &words));
    programs
}
