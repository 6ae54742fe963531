//! `globstash export`: variables as lines that `globstash import` reads.

use crate::client::Fields;

use super::args::Export;
use super::outcome::{Answer, Failure};
use super::output::Output;
use super::{Context, meant};

pub(super) fn run(args: Export, context: &Context) -> Result<Answer, Failure> {
    if context.json {
        let sentence = "export has a form of its own\n  for JSON: globstash list --json";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let mut output = Output::new();
    let mut client = context.connect()?;
    for entry in client.list_with(meant(args.patterns, args.literal), Fields::VALUES)? {
        let entry = entry?;
        let value = entry.value.unwrap_or_default();
        output.variable(&entry.key, Some(&value))?;
    }
    output.finish()?;
    Ok(Answer::Yes)
}
