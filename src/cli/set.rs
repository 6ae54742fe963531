//! `globstash set`: define a variable, replace its value, or delete it.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStringExt;

use serde_derive::Serialize;

use crate::client::escape::escape;
use crate::client::{Client, Condition, Error, Revision, Terms, VALUE_MAX};

use super::Context;
use super::args::{Lifetime, Set};
use super::outcome::{Answer, Failure};
use super::output::Output;

#[derive(Serialize)]
struct Reply {
    revision: Revision,
}

pub(super) fn run(args: Set, context: &Context) -> Result<Answer, Failure> {
    let mut words = args.words.into_iter();
    let key = key(words.next().expect("clap asks for one word or two"))?;
    let value = match words.next() {
        Some(_) if args.empty => return Err(usage("--empty takes no value")),
        Some(_) if args.raw => return Err(usage("--raw is for a value from standard input")),
        Some(value) if value.is_empty() => {
            refuse_terms(&args.lifetime)?;
            None
        }
        Some(value) => Some(value.into_vec()),
        None if args.empty => Some(Vec::new()),
        None => Some(read(&key, args.raw)?),
    };
    let conditions = Conditions {
        new: args.new,
        revision: args
            .if_revision
            .map(|revision| Revision(revision.unsigned_abs())),
        value: args.if_value.map(OsString::into_vec),
    };
    let revision = change(
        &mut context.connect()?,
        &key,
        value,
        conditions.sum(),
        &args.lifetime,
    )
    .map_err(|error| conditions.explain(error))?;
    if context.json {
        let mut output = Output::new();
        output.json(&Reply { revision })?;
        output.finish()?;
    }
    Ok(Answer::Yes)
}

/// Refuses what has no meaning for a variable that is deleted.
fn refuse_terms(lifetime: &Lifetime) -> Result<(), Failure> {
    let given = [
        (lifetime.ttl.is_some(), "--ttl"),
        (lifetime.pid.is_some(), "--pid"),
        (lifetime.protect, "--protect"),
        (lifetime.unprotect, "--unprotect"),
    ];
    match given.iter().find(|(is_given, _)| *is_given) {
        Some((_, option)) => Err(usage(&format!(
            "{option} needs a value: '' deletes\n  \
             to define the empty string: globstash set {option} … --empty KEY"
        ))),
        None => Ok(()),
    }
}

fn key(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| {
        let word = escape(word.as_encoded_bytes()).to_string();
        usage(&format!("'{word}' cannot be a key: it is not UTF-8"))
    })
}

/// The value from standard input. Nothing at all is refused: it comes from a command before the
/// pipe that failed, or where there is no input, more often than from the wish to delete.
fn read(key: &str, raw: bool) -> Result<Vec<u8>, Failure> {
    let input = io::stdin();
    if input.is_terminal() {
        return Err(usage(&format!(
            "a value is missing\n  say it: globstash set {key} VALUE",
            key = escape(key)
        )));
    }
    let mut value = Vec::new();
    // One more for a newline that is taken off, and one more to see that there is too much.
    input
        .lock()
        .take(VALUE_MAX as u64 + 2)
        .read_to_end(&mut value)
        .map_err(Failure::Input)?;
    if !raw && value.last() == Some(&b'\n') {
        value.pop();
    }
    if value.is_empty() {
        return Err(usage(&format!(
            "no value on standard input\n  \
             to delete: globstash delete {key}\n  \
             to define it as the empty string: globstash set --empty {key}",
            key = escape(key)
        )));
    }
    if value.len() > VALUE_MAX {
        let key = key.to_owned();
        return Err(Failure::TooLarge { key });
    }
    Ok(value)
}

/// Sets a variable, or deletes it, on a condition if there is one.
fn change(
    client: &mut Client,
    key: &str,
    value: Option<Vec<u8>>,
    condition: Option<Condition>,
    lifetime: &Lifetime,
) -> Result<Revision, Error> {
    let mut terms = condition.clone().map_or(Terms::new(), Terms::from);
    if let Some(ttl) = lifetime.ttl {
        terms = terms.ttl(ttl);
    }
    if let Some(pid) = lifetime.pid {
        terms = terms.process(pid);
    }
    if lifetime.protect {
        terms = terms.protected();
    }
    if lifetime.unprotect {
        terms = terms.unprotected();
    }
    match (value, condition) {
        (Some(value), _) => client.set_with(key, value, terms),
        (None, Some(condition)) => Ok(client.delete_if(key, condition)?.revision),
        (None, None) => Ok(client.delete(key)?.revision),
    }
}

/// What was typed that the variable must be like.
struct Conditions {
    new: bool,
    revision: Option<Revision>,
    value: Option<Vec<u8>>,
}

impl Conditions {
    fn sum(&self) -> Option<Condition> {
        let new = self.new.then(Condition::undefined);
        let revision = self.revision.map(Condition::revision);
        let value = self.value.clone().map(Condition::value);
        [new, revision, value]
            .into_iter()
            .flatten()
            .reduce(Condition::and)
    }

    /// Says of a variable that is not as it had to be in what it differs.
    fn explain(&self, error: Error) -> Failure {
        let Error::ConditionFailed { key, revision: is } = &error else {
            return error.into();
        };
        let (key, is) = (escape(key), *is);
        match self.revision {
            _ if is == Revision::UNDEFINED => error.into(),
            Some(must) if is != must => Failure::No(format!("{key} has revision {is}, not {must}")),
            _ if self.value.is_some() => {
                Failure::No(format!("{key} has another value (revision {is})"))
            }
            _ => error.into(),
        }
    }
}

fn usage(sentence: &str) -> Failure {
    Failure::Usage(sentence.to_owned())
}
