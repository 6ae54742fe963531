//! `globstash list`: print variables while they arrive.

use crate::client::Fields;
use crate::client::entry::Entry;
use crate::client::escape::escape;

use super::Context;
use super::args::List;
use super::outcome::{Answer, Failure};
use super::output::Output;

pub(super) fn run(args: List, context: &Context) -> Result<Answer, Failure> {
    if context.json && args.nul {
        let sentence = "--json and -0 exclude one another";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let patterns: Vec<String> = match args.literal {
        true => args.patterns.iter().map(|key| literal(key)).collect(),
        false => args.patterns,
    };
    let fields = Fields {
        value: !args.keys,
        metadata: context.json,
    };
    let patterns = Some(patterns).filter(|patterns| !patterns.is_empty());
    let mut output = Output::new();
    for entry in context.connect()?.list(patterns, fields)? {
        let entry = entry?;
        if context.json {
            output.json(&entry)?;
        } else if args.nul {
            print_raw(&entry, &mut output)?;
        } else {
            print_line(&entry, &mut output)?;
        }
    }
    output.finish()?;
    Ok(Answer::Yes)
}

/// `KEY=VALUE`, or `KEY`. A key has no '=', and escaping makes none.
fn print_line(entry: &Entry, output: &mut Output) -> Result<(), Failure> {
    let key = escape(&entry.key);
    match &entry.value {
        Some(value) => output.line(format_args!("{key}={}", escape(value.as_bytes()))),
        None => output.line(key),
    }
}

/// Key, newline, value, NUL, as `git config -z` has it.
fn print_raw(entry: &Entry, output: &mut Output) -> Result<(), Failure> {
    output.bytes(entry.key.as_bytes())?;
    if let Some(value) = &entry.value {
        output.bytes(b"\n")?;
        output.bytes(value.as_bytes())?;
    }
    output.bytes(b"\0")
}

/// The pattern that matches a key and nothing else.
fn literal(key: &str) -> String {
    let mut pattern = String::with_capacity(key.len());
    for (at, char) in key.char_indices() {
        let is_last = at + char.len_utf8() == key.len();
        // A '/' at the end would mean all that is below.
        if r"\*?[]{},".contains(char) || (char == '/' && is_last) {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_pattern_has_nothing_that_matches_more() {
        for (key, pattern) in [
            ("player/volume", "player/volume"),
            ("player/", r"player\/"),
            ("a*b?[c]{d,e}\\", r"a\*b\?\[c\]\{d\,e\}\\"),
            ("!^-~", "!^-~"),
        ] {
            assert_eq!(literal(key), pattern);
        }
    }
}
