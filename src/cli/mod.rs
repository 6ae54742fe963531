//! The command `globstash`.
//!
//! `args` says what can be typed, one file for each command does it (parse, call, print),
//! `output` writes answers and `outcome` everything else. What the service is told and how
//! is the client's.

mod args;
mod complete;
mod delete;
mod env;
mod exists;
mod export;
mod get;
mod hook;
mod import;
mod incr;
mod list;
mod lock;
mod outcome;
mod output;
mod process;
mod quote;
mod set;
mod start;
mod status;
mod units;
mod wait;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::client::address::{self, Address};
use crate::client::{Client, Options, Patterns};
use crate::sys::place::Place;

use args::{Arguments, Command, Service, Variables};
use outcome::{Answer, Failure};

/// Runs the command with the arguments of the process.
pub fn main() -> ExitCode {
    let arguments = Arguments::try_parse().map_err(Failure::Clap);
    outcome::exit(arguments.and_then(run))
}

/// What can be typed; for the manual.
#[doc(hidden)]
pub fn definition() -> clap::Command {
    Arguments::command()
}

fn run(arguments: Arguments) -> Result<Answer, Failure> {
    // Neither asks a service for anything that could fail.
    let command = match arguments.command {
        Command::Completions(args) => return complete::script(args),
        Command::Complete(args) => return complete::run(args),
        command => command,
    };
    let (address, place) = choose(arguments.service)?;
    let context = Context {
        address,
        place,
        json: arguments.json,
    };
    match command {
        Command::Set(args) => set::run(args, &context),
        Command::Get(args) => get::run(args, &context),
        Command::Delete(args) => delete::run(args, &context),
        Command::List(args) => list::run(args, &context),
        Command::Watch(args) => watch::run(args, &context),
        Command::Wait(args) => wait::run(args, &context),
        Command::Incr(args) => incr::run(args, &context),
        Command::Exists(args) => exists::run(args, &context),
        Command::Lock(args) => lock::run(args, &context),
        Command::Env(args) => env::run(args, &context),
        Command::Export(args) => export::run(args, &context),
        Command::Import(args) => import::run(args, &context),
        Command::Status(args) => status::run(args, &context),
        Command::Completions(_) | Command::Complete(_) => unreachable!("they are done above"),
    }
}

/// What all commands are told.
struct Context {
    address: Address,
    /// Unless the address was given by hand: which of the places it is.
    place: Option<Place>,
    json: bool,
}

impl Context {
    /// Connects. Where no systemd runs that would start the service with a call, we do.
    fn connect(&self) -> Result<Client, Failure> {
        self.connect_with(&Options::new())
    }

    /// The same, where the ordinary way does not do.
    fn connect_with(&self, options: &Options) -> Result<Client, Failure> {
        let options = options.clone().starting(self.place.map(start::at));
        Ok(options.at(&self.address)?)
    }
}

/// Which service is meant. What was typed counts more than the environment; nothing here depends
/// on which service is there.
fn choose(service: Service) -> Result<(Address, Option<Place>), Failure> {
    let place = match (service.address, service.user, service.system) {
        (Some(address), false, false) => return Ok((address, None)),
        (None, true, false) => Place::User,
        (None, false, true) => Place::Machine,
        (None, false, false) => match address::of_environment()? {
            Some(address) => return Ok((address, None)),
            None => Place::Machine,
        },
        _ => {
            return Err(Failure::Usage(
                "--user, --system and --address exclude one another".to_owned(),
            ));
        }
    };
    Ok((place.address()?, Some(place)))
}

/// The form that was asked for, and the option that did; none if no option did. Two exclude one
/// another.
fn one_of<Form: Copy>(
    forms: &[(bool, &'static str, Form)],
) -> Result<Option<(&'static str, Form)>, Failure> {
    let mut wanted = forms.iter().filter(|(is_wanted, ..)| *is_wanted);
    match (wanted.next(), wanted.next()) {
        (Some((_, one, _)), Some((_, other, _))) => Err(Failure::Usage(format!(
            "{one} and {other} exclude one another"
        ))),
        (form, _) => Ok(form.map(|(_, option, form)| (*option, *form))),
    }
}

/// The variables that are meant by patterns, or by keys; all without any.
fn patterns(variables: Variables) -> Patterns {
    meant(variables.patterns, variables.literal)
}

fn meant(patterns: Vec<String>, are_keys: bool) -> Patterns {
    match (patterns.is_empty(), are_keys) {
        (true, _) => Patterns::all(),
        (false, true) => Patterns::keys(patterns),
        (false, false) => patterns.into(),
    }
}
