//! `globstash list`: print variables while they arrive.

use crate::client::Fields;

use super::args::List;
use super::outcome::{Answer, Failure};
use super::output::Output;
use super::{Context, patterns};

pub(super) fn run(args: List, context: &Context) -> Result<Answer, Failure> {
    if context.json && args.variables.nul {
        let sentence = "--json and -0 exclude one another";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let values = match args.keys {
        true => Fields::KEYS,
        false => Fields::VALUES,
    };
    let fields = match context.json {
        true => values.and_metadata(),
        false => values,
    };
    let nul = args.variables.nul;
    let mut output = Output::new();
    let mut client = context.connect()?;
    for entry in client.list_with(patterns(args.variables), fields)? {
        let entry = entry?;
        let value = entry.value.as_ref();
        if context.json {
            output.json(&entry)?;
        } else if nul {
            output.record(&entry.key, value)?;
        } else {
            output.variable(&entry.key, value)?;
        }
    }
    output.finish()?;
    Ok(Answer::Yes)
}
