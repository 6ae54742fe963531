//! `globstash get`: print a value.

use std::fmt::Display;
use std::os::unix::ffi::OsStringExt;

use crate::client::escape::escape;

use super::Context;
use super::args::Get;
use super::outcome::{Answer, Failure};
use super::output::Output;

pub(super) fn run(args: Get, context: &Context) -> Result<Answer, Failure> {
    if context.json && args.raw {
        let sentence = "--json and --raw exclude one another";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let mut variable = context.connect()?.get(args.key)?;
    let mut is_told = variable.defined;
    if let Some(default) = args.default.filter(|_| !variable.defined) {
        variable.value = default.into_vec().into();
        is_told = true;
    }
    let mut output = Output::new();
    if context.json {
        output.json(&variable)?;
    } else if is_told {
        print(variable.value.as_bytes(), args.raw, &mut output)?;
    }
    output.finish()?;
    Ok(match args.exists && !variable.defined {
        true => Answer::No,
        false => Answer::Yes,
    })
}

fn print(value: &[u8], raw: bool, output: &mut Output) -> Result<(), Failure> {
    if raw {
        return output.bytes(value);
    }
    if output.is_terminal() {
        return output.line(shown(value));
    }
    output.bytes(value)?;
    output.bytes(b"\n")
}

/// A value for the eyes: newlines and tabs do no harm, and a backslash is one.
fn shown(value: &[u8]) -> impl Display {
    escape(value).keeping("\n\t\\")
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
