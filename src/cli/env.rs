//! `globstash env`: variables as environment variables, for a shell or for a command.
//!
//! Everybody can set variables, and an environment is powerful. So a name begins with words that
//! the caller chose, values are quoted, and what others set last is left out unless it is wanted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::geteuid;
use serde_derive::Serialize;

use crate::client::escape::escape;
use crate::client::{Entry, Fields, Patterns, Value};

use super::Context;
use super::args::Env;
use super::outcome::{Answer, Failure};
use super::output::Output;
use super::quote::quote;

/// The first word of a name to which the pattern gives none.
const PREFIX: &str = "GLOBSTASH";
/// The name that would say to the next `globstash` where the service is.
const ADDRESS: &str = "GLOBSTASH_ADDRESS";

/// Environment variables by their names.
#[derive(Default)]
struct Environment {
    variables: BTreeMap<String, Variable>,
    left_out: Vec<Entry>,
}

/// What an environment variable is made of.
#[derive(Serialize)]
struct Variable {
    key: String,
    #[serde(flatten)]
    value: Value,
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'e> {
    name: &'e str,
    #[serde(flatten)]
    variable: &'e Variable,
}

pub(super) fn run(args: Env, context: &Context) -> Result<Answer, Failure> {
    match args.command.is_empty() {
        true => print(&gather(&args, context)?, context),
        false => execute(&args, context).map_err(Failure::before_command),
    }
}

/// Prints commands for a shell, all or none.
fn print(environment: &Environment, context: &Context) -> Result<Answer, Failure> {
    let mut output = Output::new();
    for (name, variable) in &environment.variables {
        if context.json {
            output.json(&Line { name, variable })?;
            continue;
        }
        output.bytes(format!("export {name}=").as_bytes())?;
        output.bytes(&quote(variable.value.as_bytes()))?;
        output.bytes(b"\n")?;
    }
    output.finish()?;
    Ok(Answer::Yes)
}

/// Becomes the command.
fn execute(args: &Env, context: &Context) -> Result<Answer, Failure> {
    if context.json {
        let sentence = "--json is for printing, not for running a command";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let environment = gather(args, context)?;
    let variables = environment.variables.iter();
    let variables = variables.map(|(name, it)| (name, OsStr::from_bytes(it.value.as_bytes())));
    Err(become_command(&args.command, variables))
}

/// Executes a command in the place of this process; comes back only if that fails.
pub(super) fn become_command<K: AsRef<OsStr>, V: AsRef<OsStr>>(
    command: &[OsString],
    variables: impl IntoIterator<Item = (K, V)>,
) -> Failure {
    let (name, arguments) = command.split_first().expect("there is a word");
    let error = Command::new(name).args(arguments).envs(variables).exec();
    let name = name.clone();
    Failure::Command { name, error }
}

/// All that match, so that nothing is printed or done if something is wrong with one of them.
fn gather(args: &Env, context: &Context) -> Result<Environment, Failure> {
    let mut environment = Environment::default();
    let mut client = context.connect()?;
    let fields = Fields::VALUES.and_metadata();
    let me = geteuid().as_raw();
    let is_trusted = |entry: &Entry| {
        entry
            .writer
            .is_some_and(|writer| writer.uid == 0 || writer.uid == me)
    };
    for (patterns, folder) in questions(args) {
        for entry in client.list_with(patterns, fields)? {
            let entry = entry?;
            match args.any_writer || is_trusted(&entry) {
                true => environment.add(name(&folder, &entry.key), entry)?,
                false => environment.left_out.push(entry),
            }
        }
    }
    environment.tell_what_is_left_out();
    Ok(environment)
}

/// What is asked for, one pattern at a time, and the folder of each.
fn questions(args: &Env) -> Vec<(Patterns, String)> {
    if args.patterns.is_empty() {
        return vec![(Patterns::all(), String::new())];
    }
    let patterns = args.patterns.iter();
    let question = |pattern: &String| match args.literal {
        true => (Patterns::keys([pattern]), folder(pattern)),
        false => (pattern.as_str().into(), folder(&literal_beginning(pattern))),
    };
    patterns.map(question).collect()
}

/// What every key begins with that matches a pattern, as far as that is easy to see.
fn literal_beginning(pattern: &str) -> String {
    let mut beginning = String::new();
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            '*' | '?' | '[' | '{' => break,
            '\\' => beginning.extend(chars.next()),
            char => beginning.push(char),
        }
    }
    beginning
}

/// The beginning up to the last '/'.
fn folder(beginning: &str) -> String {
    let end = beginning.rfind('/').map_or(0, |slash| slash + 1);
    beginning[..end].to_owned()
}

/// The name of an environment variable: `APP_HOST` for `app/host` in the folder `app/`, or in
/// `my/app/` if the key is `my/app/host`.
fn name(folder: &str, key: &str) -> String {
    let inside = key.strip_prefix(folder).unwrap_or(key);
    let last = folder.trim_end_matches('/').rsplit('/').next();
    let first_word = last.filter(|word| !word.is_empty()).unwrap_or(PREFIX);
    let name = format!("{}_{}", word(first_word), word(inside));
    match name.starts_with(|char: char| char.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

/// Upper case, and '_' for each character that cannot be in a name.
fn word(text: &str) -> String {
    let char = |char: char| match char.is_ascii_alphanumeric() {
        true => char.to_ascii_uppercase(),
        false => '_',
    };
    text.chars().map(char).collect()
}

impl Environment {
    fn add(&mut self, name: String, entry: Entry) -> Result<(), Failure> {
        let Entry { key, value, .. } = entry;
        let value = value.unwrap_or_default();
        if value.as_bytes().contains(&0) {
            return Err(Failure::Refused(format!(
                "the value of {} has a NUL, which an environment cannot hold\n  \
                 leave it out with other patterns",
                escape(&key)
            )));
        }
        if name == ADDRESS {
            return Err(Failure::Refused(format!(
                "{} would become {ADDRESS}, which says where the service is\n  \
                 leave it out with other patterns",
                escape(&key)
            )));
        }
        match self.variables.entry(name) {
            // Two patterns may match the same variable.
            Occupied(it) if it.get().key != key => Err(Failure::Refused(format!(
                "{} and {} would both become {}\n  leave one out with other patterns",
                escape(&it.get().key),
                escape(&key),
                it.key()
            ))),
            Occupied(_) => Ok(()),
            Vacant(place) => {
                place.insert(Variable { key, value });
                Ok(())
            }
        }
    }

    /// Says on standard error what is missing, and why: who looks for it should find the reason.
    fn tell_what_is_left_out(&self) {
        let Some(Entry { key, writer, .. }) = self.left_out.first() else {
            return;
        };
        let uid = writer.map_or("unknown".to_owned(), |writer| writer.uid.to_string());
        let others = match self.left_out.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        // The answer is on standard output; if this cannot be written, nothing is lost.
        let _ = writeln!(
            io::stderr(),
            "globstash: left out what others set last: {key} (uid {uid}){others}\n  \
             to take it all the same: --any-writer",
            key = escape(key)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_with_what_the_pattern_begins_with() {
        for (pattern, key, expected) in [
            ("app/", "app/host", "APP_HOST"),
            ("app/*", "app/db-host", "APP_DB_HOST"),
            ("app/ho*", "app/host", "APP_HOST"),
            ("app/host", "app/host", "APP_HOST"),
            ("my/app/**", "my/app/db/host", "APP_DB_HOST"),
            ("my/*/host", "my/app/host", "MY_APP_HOST"),
            (r"a\*b/\?", "a*b/?", "A_B__"),
            ("7up/", "7up/x", "_7UP_X"),
            ("grün/", "grün/größe", "GR_N_GR__E"),
            ("*", "hits", "GLOBSTASH_HITS"),
            ("**", "app/host", "GLOBSTASH_APP_HOST"),
            ("{a,b}/x", "a/x", "GLOBSTASH_A_X"),
            ("hits", "hits", "GLOBSTASH_HITS"),
            ("/x", "/x", "GLOBSTASH_X"),
            ("//*", "//x", "GLOBSTASH_X"),
        ] {
            let folder = folder(&literal_beginning(pattern));
            assert_eq!(name(&folder, key), expected, "{pattern}");
        }
    }
}
