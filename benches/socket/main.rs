//! How fast the service is through its socket, next to floors and peers, in one run.
//!
//!     cargo bench --bench socket -- [--quick] [ROW…]
//!
//! Every figure is a ratio to something measured in the same minutes on the same machine: rounds
//! of all cases are interleaved, the first round is not counted, and what is told is the median of
//! the rounds with the smallest and the largest. `benches/README.md` explains the rows.
//!
//! Servers are child processes in a temporary directory that end with this one. The exit status is
//! 1 if a row could not be run, and never depends on a time.

mod client;
mod guise;
mod news;
mod peer;
mod place;
mod report;
mod rounds;
mod rows;
mod script;
mod server;
mod subject;

use std::cell::Cell;
use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use report::Judgement;

/// What every row needs to know about this run.
pub struct Bench {
    /// Only see that everything runs: the figures mean little.
    pub quick: bool,
    directory: tempfile::TempDir,
    addresses: Cell<u32>,
    /// The service to measure.
    pub globstashd: PathBuf,
    /// The command to measure.
    pub globstash: PathBuf,
}

impl Bench {
    /// A place for a socket, never the same twice.
    pub fn address(&self) -> PathBuf {
        let number = self.addresses.get();
        self.addresses.set(number + 1);
        self.directory.path().join(number.to_string())
    }

    /// How many rounds are counted.
    pub fn rounds(&self) -> usize {
        if self.quick { 1 } else { 9 }
    }

    /// How long a case runs in a round.
    pub fn slice(&self) -> Duration {
        Duration::from_millis(if self.quick { 20 } else { 120 })
    }
}

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if arguments
        .first()
        .is_some_and(|first| first == server::CHILD)
    {
        return server::child(arguments.split_off(1));
    }
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("socket: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[OsString]) -> io::Result<ExitCode> {
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    // `cargo test --all-targets` runs benches too, without this argument: time is no test.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("socket: nothing is measured without --bench; use: cargo bench --bench socket");
        return Ok(ExitCode::SUCCESS);
    }
    let selected = select(&arguments)?;
    let bench = Bench {
        quick: arguments.iter().any(|argument| argument == "--quick"),
        // Other users may connect, see `guise`.
        directory: tempfile::Builder::new()
            .prefix("globstash-")
            .permissions(Permissions::from_mode(0o711))
            .tempdir()?,
        addresses: Cell::new(0),
        globstashd: program("GLOBSTASHD", env!("CARGO_BIN_EXE_globstashd")),
        globstash: program("GLOBSTASH", env!("CARGO_BIN_EXE_globstash")),
    };
    place::prepare();
    let programs = format!(
        "globstashd: {}, globstash: {}",
        linking(&bench.globstashd),
        linking(&bench.globstash)
    );
    report::preamble(&programs, bench.rounds(), bench.quick);

    let mut judgements: Vec<Judgement> = Vec::new();
    let mut failed = false;
    for row in selected {
        println!("\n## {}: {}", row.name, row.about);
        match (row.run)(&bench) {
            Ok(more) => judgements.extend(more),
            Err(error) => {
                println!("could not be run: {error}");
                failed = true;
            }
        }
    }
    report::verdicts(&judgements);
    Ok(ExitCode::from(u8::from(failed)))
}

/// The rows that were named, or all.
fn select(arguments: &[String]) -> io::Result<Vec<&'static rows::Row>> {
    let names: Vec<&String> = arguments
        .iter()
        .filter(|argument| !["--bench", "--quick"].contains(&argument.as_str()))
        .collect();
    if names.is_empty() {
        return Ok(rows::ALL.iter().collect());
    }
    names
        .into_iter()
        .map(|name| {
            rows::ALL
                .iter()
                .find(|row| row.name == name)
                .ok_or_else(|| io::Error::other(format!("no row is called '{name}'")))
        })
        .collect()
}

/// The program that the environment names, or else the one that cargo built.
fn program(variable: &str, built: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| built.into(), PathBuf::from)
}

/// Whether a program needs a loader.
fn linking(program: &Path) -> &'static str {
    let bytes = fs::read(program).unwrap_or_default();
    let interpreter = memchr::memmem::find(&bytes, b"/ld-linux");
    if interpreter.is_some() {
        "dynamic"
    } else {
        "static"
    }
}
