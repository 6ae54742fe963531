//! `globstash exists`: tell by the exit status whether a variable is defined.

use serde_derive::Serialize;

use crate::client::Revision;

use super::Context;
use super::args::Exists;
use super::get::Variable;
use super::outcome::{Answer, Failure};
use super::output::Output;

/// What the service tells of a variable, but for its value.
#[derive(Serialize)]
struct Reply {
    defined: bool,
    revision: Revision,
}

pub(super) fn run(args: Exists, context: &Context) -> Result<Answer, Failure> {
    let variable = Variable::from(context.connect()?.entry(&args.key)?);
    if context.json {
        let mut output = Output::new();
        output.json(&Reply {
            defined: variable.defined,
            revision: variable.revision,
        })?;
        output.finish()?;
    }
    Ok(match variable.defined {
        true => Answer::Yes,
        false => Answer::No,
    })
}
