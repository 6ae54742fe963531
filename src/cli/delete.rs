//! `globstash delete`: delete one variable, or all that match a pattern.

use super::Context;
use super::args::Delete;
use super::outcome::{Answer, Failure};
use super::output::Output;

pub(super) fn run(args: Delete, context: &Context) -> Result<Answer, Failure> {
    let mut client = context.connect()?;
    let deleted = match args.glob {
        true => client.delete_matching(args.key.as_str())?,
        false => client.delete(&args.key)?,
    };
    let mut output = Output::new();
    if context.json {
        output.json(&deleted)?;
    } else if args.glob {
        output.line(deleted.count)?;
    }
    output.finish()?;
    Ok(match args.exists && deleted.count == 0 {
        true => Answer::No,
        false => Answer::Yes,
    })
}
