//! The first `globstash set` where nothing runs and no systemd is there to start it.
//!
//! Each time in a runtime directory of its own, so that it is as on a fresh machine: the command finds
//! nobody, starts the service with its supervisor, waits until it is ready, and sets the variable.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Bench;
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::Samples;

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let starts = if bench.quick { 2 } else { 30 };
    let times = (0..=starts)
        .map(|_| first_and_second(bench))
        .collect::<io::Result<Vec<(f64, f64)>>>()?;
    // The first is not counted: it reads the programs from the disk.
    let first = Samples::of(&times[1..], |&(first, _)| first);
    let second = Samples::of(&times[1..], |&(_, second)| second);
    let line = |name: &str, figure: &Samples| Line {
        name: name.into(),
        figure: figure.clone(),
        ratio: None,
    };
    let lines = [
        line("the first, which starts it", &first),
        line("the second", &second),
    ];
    table("globstash --user set", "ms", &lines);
    let judgement = Judgement::new("first set on a fresh machine", first.median(), " ms");
    Ok(vec![judgement.must(Bound::AtMost(50.0))])
}

/// From fork to reap, in ms, of the command that starts the service and of the next one.
fn first_and_second(bench: &Bench) -> io::Result<(f64, f64)> {
    let folder = bench.address();
    fs::create_dir(&folder)?;
    let set = || {
        timed(
            &bench.globstash,
            &["--user", "set", "key", "value"],
            &folder,
        )
    };
    let times = set().and_then(|first| Ok((first, set()?)));
    timed(&bench.globstashd, &["--stop", "--user"], &folder)?;
    times
}

fn timed(program: &Path, arguments: &[&str], folder: &Path) -> io::Result<f64> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("XDG_RUNTIME_DIR", folder)
        .stdin(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let time = start.elapsed();
    if !status.success() {
        let problem = format!("{} ended: {status}", program.display());
        return Err(io::Error::other(problem));
    }
    Ok(time.as_secs_f64() * 1e3)
}
