//! `globstash incr`: add to the number that a variable holds, and print the sum.

use crate::client::escape::escape;
use crate::client::{Error, Step};

use super::Context;
use super::args::Incr;
use super::outcome::{Answer, Failure};
use super::output::Output;

pub(super) fn run(args: Incr, context: &Context) -> Result<Answer, Failure> {
    let mut step = Step::by(&args.by);
    if let Some(minimum) = &args.min {
        step = step.minimum(minimum);
    }
    if let Some(maximum) = &args.max {
        step = step.maximum(maximum);
    }
    let sum = context
        .connect()?
        .increment_by(&args.key, step)
        .map_err(|error| explain(error, &args))?;
    let mut output = Output::new();
    match context.json {
        true => output.json(&sum)?,
        false => output.line(escape(&sum.value))?,
    }
    output.finish()?;
    Ok(Answer::Yes)
}

/// Says which word the service does not take for a number.
fn explain(error: Error, args: &Incr) -> Failure {
    let word = match &error {
        Error::InvalidParameter { parameter } => match parameter.as_str() {
            "by" => Some(&args.by),
            "minimum" => args.min.as_ref(),
            "maximum" => args.max.as_ref(),
            _ => None,
        },
        _ => None,
    };
    match word {
        Some(word) => Failure::Refused(format!(
            "'{word}' does not do: a number such as 3, -12 or 0.25 is needed{limits}",
            word = escape(word),
            limits = match args.min.is_some() && args.max.is_some() {
                true => ", and a minimum below the maximum",
                false => "",
            }
        )),
        None => error.into(),
    }
}
