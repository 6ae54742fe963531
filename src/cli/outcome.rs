//! How a command ends: its exit status, and what it says on standard error.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use rustix::process::geteuid;

use crate::client::address::{self, NoUserAddress};
use crate::client::escape::escape;
use crate::client::{Error, NotStarted, VALUE_MAX};
use crate::sys::place::Place;

use super::units;

const NO: u8 = 1;
const USAGE: u8 = 2;
const NO_SERVICE: u8 = 3;
const REFUSED: u8 = 4;
const STREAM: u8 = 5;
/// As timeout(1) has it.
const TIMED_OUT: u8 = 124;
/// As env(1) has them, of a command that is run for the caller.
const NOT_RUN: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// The end of a command that did what it should.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Yes,
    No,
    /// It did not come in time.
    Late,
    /// What a command answered that was run for the caller.
    Command(u8),
}

/// The end of a command that has something to say.
pub(super) enum Failure {
    /// clap's own words. Help is one of them.
    Clap(clap::Error),
    /// Wrong usage that clap cannot know of.
    Usage(String),
    /// The answer is no, and why.
    No(String),
    /// The service, or the way to it.
    Service(Error),
    /// Another one, after a part of what was asked was done.
    Partly { failure: Box<Failure>, done: String },
    /// There is no service, as told first, and none could be started, as told second.
    NotStarted(String, String),
    /// More on standard input than is ever sent.
    TooLarge { key: String },
    /// Standard input cannot be read.
    Input(io::Error),
    /// Standard output cannot be written.
    Output(io::Error),
    /// The service refuses what was typed, told in the words of the command.
    Refused(String),
    /// A command cannot be run.
    Command { name: OsString, error: io::Error },
    /// It did not come to running the command whose exit status was to be told.
    BeforeCommand(Box<Failure>),
}

pub(super) fn exit(result: Result<Answer, Failure>) -> ExitCode {
    match result {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(NO),
        Ok(Answer::Late) => ExitCode::from(TIMED_OUT),
        Ok(Answer::Command(status)) => ExitCode::from(status),
        Err(Failure::Clap(error)) => match error.print() {
            // Help that cannot be written is a failure; complaints are like all others below.
            Err(cause) if !error.use_stderr() => exit(Err(Failure::Output(cause))),
            _ => ExitCode::from(error.exit_code() as u8),
        },
        // Whoever reads has seen enough, as with `| head`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // If that cannot be written either, the status has to say it alone.
            let _ = writeln!(io::stderr(), "globstash: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

impl Failure {
    /// The same where the exit status is that of a command that was to be run.
    pub(super) fn before_command(self) -> Failure {
        match self {
            Failure::Command { .. } => self,
            failure => Failure::BeforeCommand(Box::new(failure)),
        }
    }

    fn status(&self) -> u8 {
        match self {
            Failure::Clap(_) | Failure::Usage(_) => USAGE,
            Failure::No(_) => NO,
            Failure::Service(Error::InvalidAddress(_) | Error::InvalidEnvironment { .. }) => USAGE,
            Failure::Service(Error::ConditionFailed { .. }) => NO,
            Failure::Service(error) if error.is_refusal() => REFUSED,
            Failure::Partly { failure, .. } => failure.status(),
            Failure::TooLarge { .. } | Failure::Refused(_) => REFUSED,
            Failure::Service(_) | Failure::NotStarted(..) => NO_SERVICE,
            Failure::Input(_) | Failure::Output(_) => STREAM,
            Failure::Command { error, .. } => match error.kind() {
                io::ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_EXECUTABLE,
            },
            Failure::BeforeCommand(_) => NOT_RUN,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Clap(error) => write!(f, "{error}"),
            Failure::Usage(sentence) | Failure::No(sentence) | Failure::Refused(sentence) => {
                f.write_str(sentence)
            }
            Failure::Service(error) => {
                write!(f, "{error}")?;
                let mut alternative = alternative(error).into_iter();
                alternative.try_for_each(|what| write!(f, "\n  {what}"))
            }
            Failure::NotStarted(found, why) => {
                write!(f, "{found}, and it cannot be started")?;
                let why = escape(why.as_bytes()).keeping("\\\n").to_string();
                why.lines()
                    .try_for_each(|line| write!(f, "\n  {}", line.trim()))
            }
            Failure::Partly { failure, done } => {
                write!(f, "{failure}\n  {done}, the others are not")
            }
            Failure::TooLarge { key } => write!(
                f,
                "the value of {} is too large: more than {}",
                escape(key),
                units::size(VALUE_MAX as u64)
            ),
            Failure::Input(error) => write!(f, "cannot read standard input: {error}"),
            Failure::Output(error) => write!(f, "cannot write standard output: {error}"),
            Failure::Command { name, error } => {
                let name = escape(name.as_encoded_bytes());
                write!(f, "cannot run '{name}': {error}")?;
                // execve(2), MAX_ARG_STRLEN.
                match error.kind() {
                    io::ErrorKind::ArgumentListTooLong => f.write_str(
                        "\n  a variable or an argument can have 128 KiB: leave out what is larger",
                    ),
                    _ => Ok(()),
                }
            }
            Failure::BeforeCommand(failure) => write!(f, "{failure}"),
        }
    }
}

/// What to do instead, if the machine's service was asked for and is not there.
fn alternative(error: &Error) -> Option<&'static str> {
    let Error::Unreachable { address, .. } = error else {
        return None;
    };
    if *address != address::machine() {
        None
    } else if address::is_user_there() {
        Some("or use your own, which is there: globstash --user")
    } else if !Place::Machine.has_manager() && !geteuid().is_root() {
        Some("or use your own: globstash --user")
    } else {
        None
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error.not_started() {
            Some(NotStarted { why, .. }) => {
                Failure::NotStarted(error.without_advice(), why.clone())
            }
            None => Failure::Service(error),
        }
    }
}

impl From<NoUserAddress> for Failure {
    fn from(error: NoUserAddress) -> Failure {
        Failure::Service(error.into())
    }
}
