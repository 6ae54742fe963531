//! `globstash import`: set the variables that `globstash export` has printed.
//!
//! Everything is read and understood before anything is changed. What fits into one change is made
//! at once; what does not is refused, unless several changes are wanted.

use std::io::{self, IsTerminal, Read};

use serde_derive::Serialize;

use crate::client::escape::{escape, unescape};
use crate::client::{Batch, Client, Revision};

use super::Context;
use super::args::Import;
use super::outcome::{Answer, Failure};
use super::output::Output;
use super::units::size;

/// Most variables of one change, from the interface.
const COUNT_MAX: usize = 4096;
/// Most bytes of keys and values in one change: half of the longest message.
const BYTES_MAX: usize = 8 << 20;
/// Most bytes that they may take in JSON; the rest of the longest message is for what is around.
const WRITTEN_MAX: usize = 15 << 20;
/// What is written around a variable.
const AROUND: usize = 64;

/// A variable, and the line that it stands on.
struct Variable {
    line: usize,
    key: String,
    value: Vec<u8>,
}

#[derive(Serialize)]
struct Reply {
    count: usize,
    revision: Revision,
}

pub(super) fn run(args: Import, context: &Context) -> Result<Answer, Failure> {
    let variables = parse(&read()?)?;
    let count = variables.len();
    let parts = parts(variables);
    if parts.len() > 1 && !args.in_parts {
        return Err(Failure::Refused(format!(
            "this is too much for one change, which can have {COUNT_MAX} variables and {}\n  \
             to make several: globstash import --in-parts",
            size(BYTES_MAX as u64)
        )));
    }
    let mut revision = Revision::UNDEFINED;
    if !parts.is_empty() {
        revision = apply(parts, &mut context.connect()?)?;
    }
    if context.json {
        let mut output = Output::new();
        output.json(&Reply { count, revision })?;
        output.finish()?;
    }
    Ok(Answer::Yes)
}

fn read() -> Result<Vec<u8>, Failure> {
    let mut input = io::stdin();
    if input.is_terminal() {
        let sentence = "nothing to import\n  from a file: globstash import < FILE";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(Failure::Input)?;
    Ok(bytes)
}

fn parse(input: &[u8]) -> Result<Vec<Variable>, Failure> {
    let lines = input.strip_suffix(b"\n").unwrap_or(input);
    if lines.is_empty() && input.len() < 2 {
        return Ok(Vec::new());
    }
    let lines = lines.split(|byte| *byte == b'\n');
    (1..)
        .zip(lines)
        .map(|(at, line)| variable(at, line))
        .collect()
}

fn variable(at: usize, line: &[u8]) -> Result<Variable, Failure> {
    let wrong = |what: &str| Failure::Refused(format!("line {at} {what}; nothing was changed"));
    let equals = line.iter().position(|byte| *byte == b'=');
    let equals = equals.ok_or_else(|| wrong("has no '='"))?;
    let unescaped = |bytes| {
        let what = "has a backslash that is not in \\\\, \\n, \\t, \\r or \\x1b";
        unescape(bytes).ok_or_else(|| wrong(what))
    };
    let key = String::from_utf8(unescaped(&line[..equals])?);
    Ok(Variable {
        line: at,
        key: key.map_err(|_| wrong("has a key that is not UTF-8"))?,
        value: unescaped(&line[equals + 1..])?,
    })
}

/// As many to a part as one change can have.
fn parts(variables: Vec<Variable>) -> Vec<Vec<Variable>> {
    let mut parts: Vec<Vec<Variable>> = Vec::new();
    let (mut bytes, mut written) = (0, 0);
    for variable in variables {
        bytes += variable.key.len() + variable.value.len();
        written += variable.written();
        match parts.last_mut() {
            Some(part)
                if part.len() < COUNT_MAX && bytes <= BYTES_MAX && written <= WRITTEN_MAX =>
            {
                part.push(variable);
            }
            _ => {
                bytes = variable.key.len() + variable.value.len();
                written = variable.written();
                parts.push(vec![variable]);
            }
        }
    }
    parts
}

fn apply(parts: Vec<Vec<Variable>>, client: &mut Client) -> Result<Revision, Failure> {
    let mut revision = Revision::UNDEFINED;
    for (done, part) in parts.into_iter().enumerate() {
        let (first, key) = (part[0].line, part[0].key.clone());
        let batch = part.into_iter().fold(Batch::new(), |batch, variable| {
            batch.set(variable.key, variable.value)
        });
        revision = match client.apply(batch) {
            Ok(revision) => revision,
            Err(error) if done == 0 => return Err(error.into()),
            Err(error) => {
                return Err(Failure::Partly {
                    error,
                    done: format!(
                        "the variables before line {first} ({}) are set",
                        escape(&key)
                    ),
                });
            }
        };
    }
    Ok(revision)
}

impl Variable {
    /// How many bytes it takes in JSON, at most: text is escaped, other bytes are Base64.
    fn written(&self) -> usize {
        let in_json = |bytes: &[u8]| -> usize {
            let one = |byte: &u8| match byte {
                b' '..=b'~' if !b"\"\\".contains(byte) => 1,
                0x80.. => 1,
                _ => 6,
            };
            bytes.iter().map(one).sum()
        };
        let base64 = self.value.len().div_ceil(3) * 4;
        AROUND + in_json(self.key.as_bytes()) + in_json(&self.value).max(base64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        let variables = parse(input.as_bytes()).map_err(|failure| failure.to_string())?;
        Ok(variables.into_iter().map(|it| (it.key, it.value)).collect())
    }

    #[test]
    fn a_line_is_a_variable() {
        let one = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
        for (input, variables) in [
            ("", vec![]),
            ("\n", vec![]),
            ("a=1", vec![one("a", "1")]),
            ("a=1\nb=\n", vec![one("a", "1"), one("b", "")]),
            ("a b= x=y \n", vec![one("a b", " x=y ")]),
            ("C:\\\\x=\\n\\x41", vec![one("C:\\x", "\nA")]),
        ] {
            assert_eq!(lines(input), Ok(variables), "{input:?}");
        }
    }

    #[test]
    fn a_line_that_is_none_is_told() {
        for (input, told) in [
            ("a=1\n\nb=2\n", "line 2 has no '='"),
            ("a=1\nb", "line 2 has no '='"),
            ("a=1\n\n", "line 2 has no '='"),
            ("a=\\q", "line 1 has a backslash"),
            ("\\xff=1", "line 1 has a key that is not UTF-8"),
        ] {
            let said = lines(input).unwrap_err();
            assert!(said.starts_with(told), "{input:?}: {said}");
            assert!(said.ends_with("; nothing was changed"), "{said}");
        }
    }

    #[test]
    fn a_part_has_what_one_change_can_have() {
        let lengths = |count: usize, value: &[u8]| -> Vec<usize> {
            let variable = |line| Variable {
                line,
                key: line.to_string(),
                value: value.to_vec(),
            };
            let variables = (0..count).map(variable).collect();
            parts(variables).iter().map(Vec::len).collect()
        };
        assert_eq!(lengths(0, b""), [0; 0]);
        assert_eq!(lengths(4096, b""), [4096]);
        assert_eq!(lengths(8193, b""), [4096, 4096, 1]);
        assert_eq!(lengths(9, &vec![b'a'; 1 << 20]), [7, 2]);
        assert_eq!(lengths(3, &vec![1; 1 << 20]), [2, 1]);
    }
}
