//! `globstash wait`: wait until a variable is as wanted, then print its value.

use std::os::unix::ffi::OsStringExt;

use crate::client::{Condition, Error, Revision, Until};

use super::Context;
use super::args::Wait;
use super::get::{Variable, check, print};
use super::outcome::{Answer, Failure};

pub(super) fn run(args: Wait, context: &Context) -> Result<Answer, Failure> {
    check(args.raw, context)?;
    let value = args.value.map(|value| Condition::value(value.into_vec()));
    let gone = args.gone.then(Condition::undefined);
    let mut until = match (args.changed_from, value.or(gone)) {
        (None, None) => Until::defined(),
        (None, Some(condition)) => Until::holds(condition),
        (Some(revision), condition) => {
            let changed = Until::changed_from(Revision(revision.unsigned_abs()));
            match condition {
                Some(condition) => changed.and(condition),
                None => changed,
            }
        }
    };
    if let Some(timeout) = args.timeout {
        until = until.within(timeout);
    }
    let variable = match context.connect()?.wait_until(&args.key, until) {
        Err(Error::TimedOut { .. }) => return Ok(Answer::Late),
        entry => Variable::from(entry?),
    };
    print(&variable, variable.defined, args.raw, context)?;
    Ok(Answer::Yes)
}
