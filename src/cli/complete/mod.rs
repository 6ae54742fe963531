//! `globstash completions`, and `globstash complete`, which the scripts call.
//!
//! A script gives the line as far as it is typed and prints nothing of its own: what fits there is
//! said here, found in the `definition` of the command, or asked of the service. The answer is a
//! line with the kind of what follows, and candidates with a tab and what they are.
//!
//! It is called at each press of a key: it says nothing when something is wrong, does not last, and
//! starts no service.

mod definition;
mod line;
mod service;
mod variables;

use clap::CommandFactory;

use crate::client::escape::escape;

use super::args::{Arguments, Complete, Completions, Shell};
use super::choose;
use super::outcome::{Answer, Failure};
use super::output::Output;
use definition::{Place, Wanted};
use line::Line;
use variables::{Found, find};

/// As much of a value as is shown beside its key, in characters.
const SHOWN: usize = 60;

/// Something that may be meant, and what it is.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    word: String,
    what: String,
}

/// What a shell is told.
enum Told {
    Words(Vec<Candidate>),
    /// Of which more will be typed.
    Folders(Vec<Candidate>),
    Files,
    Command,
}

/// Prints the script for a shell.
pub(super) fn script(args: Completions) -> Result<Answer, Failure> {
    let mut output = Output::new();
    let script: &[u8] = match args.shell {
        Shell::Bash => include_bytes!("../../../completions/globstash.bash"),
        Shell::Zsh => include_bytes!("../../../completions/_globstash"),
        Shell::Fish => include_bytes!("../../../completions/globstash.fish"),
    };
    output.bytes(script)?;
    output.finish()?;
    Ok(Answer::Yes)
}

/// Prints what may be meant by the last of some words.
pub(super) fn run(args: Complete) -> Result<Answer, Failure> {
    let words: Vec<String> = args
        .words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = match (args.shell, &words[..]) {
        (Shell::Bash, [breaks, line]) => Line::of_bash(line, breaks),
        (Shell::Bash, _) | (_, []) => return Ok(Answer::Yes),
        (_, [words @ .., current]) => Line::of_words(words, current),
    };
    let told = tell(&line);
    let mut output = Output::new();
    output.line(match told {
        Told::Words(_) => "words",
        Told::Folders(_) => "folders",
        Told::Files => "files",
        Told::Command => "command",
    })?;
    if let Told::Words(candidates) | Told::Folders(candidates) = told {
        for Candidate { word, what } in candidates {
            output.line(format_args!("{}\t{what}", line.replacement(&word)))?;
        }
    }
    output.finish()?;
    Ok(Answer::Yes)
}

fn tell(line: &Line) -> Told {
    let mut command = Arguments::command();
    command.build();
    let place = Place::find(&command, line.words());
    let current = line.current();
    let with = |prefix: &str| {
        let mut found = find_in(place.service(), prefix);
        // Others choose keys, but not options.
        let is_key = |key: &str| !(place.has_options() && key.starts_with('-'));
        found.keys.retain(|(key, _)| is_key(key));
        found
    };
    match place.wanted(current) {
        Wanted::Nothing => Told::Words(Vec::new()),
        Wanted::Files => Told::Files,
        Wanted::Command => Told::Command,
        Wanted::OneOf(candidates) => Told::Words(candidates),
        Wanted::Key => told(with(current), str::to_owned),
        // What has a meaning in a pattern already is not looked for.
        Wanted::Pattern if current.contains(['*', '?', '[', '{', '\\']) => Told::Words(Vec::new()),
        Wanted::Pattern => told(with(current), crate::client::literal),
        Wanted::ValueOf(key) => Told::Words(present_value(with(key), key, current)),
    }
}

fn find_in(service: super::args::Service, prefix: &str) -> Found {
    match choose(service) {
        Ok((address, _)) => find(&address, prefix),
        Err(_) => Found::default(),
    }
}

fn told(found: Found, word: impl Fn(&str) -> String) -> Told {
    let candidate = |(key, value): &(String, Option<Vec<u8>>)| Candidate {
        word: word(key),
        what: value.as_deref().map(shown).unwrap_or_default(),
    };
    let candidates = found.keys.iter().map(candidate).collect();
    match found.are_folders {
        true => Told::Folders(candidates),
        false => Told::Words(candidates),
    }
}

/// The value that a variable has, if it is one that can be typed.
fn present_value(found: Found, key: &str, current: &str) -> Vec<Candidate> {
    let value = found.keys.into_iter().find(|(found, _)| found == key);
    let value = value.and_then(|(_, value)| String::from_utf8(value?).ok());
    let fits = |value: &String| {
        let is_plain = escape(value).keeping("\\").to_string() == *value;
        is_plain && value.chars().count() <= SHOWN && value.starts_with(current)
    };
    let candidate = |word| Candidate {
        word,
        what: "the present value".to_owned(),
    };
    value.filter(fits).map(candidate).into_iter().collect()
}

/// The beginning of a value, for the eyes.
fn shown(value: &[u8]) -> String {
    let value = escape(value).to_string();
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}
