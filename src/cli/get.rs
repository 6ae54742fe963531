//! `globstash get`: print a value.

use std::fmt::Display;
use std::os::unix::ffi::OsStringExt;

use serde_derive::Serialize;

use crate::client::escape::escape;
use crate::client::{Entry, Revision, Value};

use super::Context;
use super::args::Get;
use super::outcome::{Answer, Failure};
use super::output::Output;

/// What the service tells of a variable. One that is not defined has the empty text and revision 0.
#[derive(Serialize)]
pub(super) struct Variable {
    pub(super) defined: bool,
    #[serde(flatten)]
    pub(super) value: Value,
    pub(super) revision: Revision,
}

pub(super) fn run(args: Get, context: &Context) -> Result<Answer, Failure> {
    check(args.raw, context)?;
    let mut variable = Variable::from(context.connect()?.entry(&args.key)?);
    let mut is_told = variable.defined;
    if let Some(default) = args.default.filter(|_| !variable.defined) {
        variable.value = default.into_vec().into();
        is_told = true;
    }
    print(&variable, is_told, args.raw, context)?;
    Ok(match args.exists && !variable.defined {
        true => Answer::No,
        false => Answer::Yes,
    })
}

/// Refuses to print a value in two ways at once.
pub(super) fn check(raw: bool, context: &Context) -> Result<(), Failure> {
    match context.json && raw {
        true => Err(Failure::Usage(
            "--json and --raw exclude one another".to_owned(),
        )),
        false => Ok(()),
    }
}

/// Prints a variable as JSON, or its value if that is to be told.
pub(super) fn print(
    variable: &Variable,
    is_told: bool,
    raw: bool,
    context: &Context,
) -> Result<(), Failure> {
    let mut output = Output::new();
    let value = variable.value.as_bytes();
    if context.json {
        output.json(variable)?;
    } else if is_told && raw {
        output.bytes(value)?;
    } else if is_told && output.is_terminal() {
        output.line(shown(value))?;
    } else if is_told {
        output.bytes(value)?;
        output.bytes(b"\n")?;
    }
    output.finish()
}

/// A value for the eyes: newlines and tabs do no harm, and a backslash is one.
fn shown(value: &[u8]) -> impl Display {
    escape(value).keeping("\n\t\\")
}

impl From<Option<Entry>> for Variable {
    fn from(entry: Option<Entry>) -> Variable {
        match entry {
            Some(entry) => Variable {
                defined: true,
                value: entry.value.unwrap_or_default(),
                revision: entry.revision,
            },
            None => Variable {
                defined: false,
                value: Value::default(),
                revision: Revision::UNDEFINED,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_driven_by_values() {
        for (value, text) in [
            ("", ""),
            ("Welcome\n\tto C:\\new\n", "Welcome\n\tto C:\\new\n"),
            ("\x1b]0;title\x07\r", r"\x1b]0;title\x07\r"),
            ("ü\u{9b}2J", r"ü\xc2\x9b2J"),
        ] {
            assert_eq!(shown(value.as_bytes()).to_string(), text);
        }
    }
}
