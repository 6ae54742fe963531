//! `globstash exists`: tell by the exit status whether a variable is defined.

use serde_derive::Serialize;

use crate::client::Revision;

use super::Context;
use super::args::Exists;
use super::outcome::{Answer, Failure};
use super::output::Output;

/// What is told of a variable.
#[derive(Serialize)]
struct Reply {
    defined: bool,
    revision: Revision,
}

pub(super) fn run(args: Exists, context: &Context) -> Result<Answer, Failure> {
    let revision = context.connect()?.revision(&args.key)?;
    let defined = revision != Revision::UNDEFINED;
    if context.json {
        let mut output = Output::new();
        output.json(&Reply { defined, revision })?;
        output.finish()?;
    }
    Ok(match defined {
        true => Answer::Yes,
        false => Answer::No,
    })
}
