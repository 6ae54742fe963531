//! `globstash set`: define a variable, replace its value, or delete it.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStringExt;

use serde_derive::Serialize;

use crate::client::VALUE_MAX;
use crate::client::entry::{Condition, Revision, Value};
use crate::client::error::{Error, Refusal};
use crate::client::escape::escape;

use super::Context;
use super::args::Set;
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
        Some(value) => Some(value.into_vec()).filter(|value| !value.is_empty()),
        None if args.empty => Some(Vec::new()),
        None => Some(read(&key, args.raw)?),
    };
    let condition = Condition {
        defined: args.new.then_some(false),
        revision: args.if_revision.map(Revision),
        value: args.if_value.map(|value| value.into_vec().into()),
    };
    let revision = context
        .connect()?
        .set(key, value.map(Value::from), condition.clone())
        .map_err(|error| explain(error, condition))?;
    if context.json {
        let mut output = Output::new();
        output.json(&Reply { revision })?;
        output.finish()?;
    }
    Ok(Answer::Yes)
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

/// Says of a variable that is not as it had to be in what it differs.
fn explain(error: Error, condition: Condition) -> Failure {
    let Error::Refused(Refusal::ConditionFailed { key, revision }) = &error else {
        return error.into();
    };
    let key = escape(key);
    let Revision(is) = *revision;
    match condition.revision {
        Some(Revision(must)) if is != 0 && is != must => {
            Failure::No(format!("{key} has revision {is}, not {must}"))
        }
        _ if is != 0 && condition.value.is_some() => {
            Failure::No(format!("{key} has another value (revision {is})"))
        }
        _ => error.into(),
    }
}

fn usage(sentence: &str) -> Failure {
    Failure::Usage(sentence.to_owned())
}
