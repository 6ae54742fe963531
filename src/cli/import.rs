//! `globstash import`: set the variables that `globstash export` has printed.
//!
//! Everything is read and understood before anything is changed. What fits into one change is made
//! at once; what does not is refused, unless several changes are wanted. Then as much is understood
//! before it is changed as is held in memory; what is read has no end perhaps.

mod lines;

use std::io::{self, BufRead, IsTerminal};

use serde_derive::Serialize;

use crate::client::escape::escape;
use crate::client::{Batch, Client, Revision};

use super::Context;
use super::args::Import;
use super::outcome::{Answer, Failure};
use super::output::Output;
use super::units::size;

use lines::{Lines, Variable, Wrong};

/// Most variables of one change, from the interface.
const COUNT_MAX: usize = 4096;
/// Most bytes of keys and values in one change: half of the longest message.
const BYTES_MAX: usize = 8 << 20;
/// Most bytes that they may take in JSON; the rest of the longest message is for what is around.
const WRITTEN_MAX: usize = 15 << 20;
/// What is written around a variable, and about what one takes in memory beside its bytes.
const AROUND: usize = 64;
/// How many bytes are held at once, of several changes: what a user can have in a service.
const HELD_MAX: usize = 64 << 20;

/// Variables, as many to a part as one change can have.
#[derive(Default)]
struct Parts {
    parts: Vec<Vec<Variable>>,
    /// What those of the last part take, in memory and in JSON.
    bytes: usize,
    written: usize,
    /// What all take in memory.
    held: usize,
}

#[derive(Serialize)]
struct Reply {
    count: usize,
    revision: Revision,
}

pub(super) fn run(args: Import, context: &Context) -> Result<Answer, Failure> {
    let input = io::stdin();
    if input.is_terminal() {
        let sentence = "nothing to import\n  from a file: globstash import < FILE";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let mut lines = Lines::of(input.lock());
    let mut client = None;
    let (mut count, mut revision) = (0, Revision::UNDEFINED);
    loop {
        let first = lines.at + 1;
        let parts = load(&mut lines, args.in_parts).map_err(|wrong| told(wrong, first))?;
        if parts.is_empty() {
            break;
        }
        if parts.len() > 1 && !args.in_parts {
            return Err(Failure::Refused(format!(
                "this is too much for one change, which can have {COUNT_MAX} variables and {}\n  \
                 to make several: globstash import --in-parts",
                size(BYTES_MAX as u64)
            )));
        }
        let client = match &mut client {
            Some(client) => client,
            None => client.insert(context.connect()?),
        };
        count += parts.iter().map(Vec::len).sum::<usize>();
        revision = apply(parts, client)?;
    }
    if context.json {
        let mut output = Output::new();
        output.json(&Reply { count, revision })?;
        output.finish()?;
    }
    Ok(Answer::Yes)
}

/// Reads as much as is set before more is read: more than one change only if that is wanted.
fn load(lines: &mut Lines<impl BufRead>, in_parts: bool) -> Result<Vec<Vec<Variable>>, Wrong> {
    let mut parts = Parts::default();
    while parts.held < HELD_MAX && (in_parts || parts.parts.len() < 2) {
        match lines.next()? {
            Some(variable) => parts.push(variable),
            None => break,
        }
    }
    Ok(parts.parts)
}

/// What is wrong, and what was changed: all before this line.
fn told(wrong: Wrong, first: usize) -> Failure {
    let is_first = first == 1;
    let failure = match wrong {
        Wrong::Line(what) if is_first => Failure::Refused(format!("{what}; nothing was changed")),
        Wrong::Line(what) => Failure::Refused(what),
        Wrong::Input(error) => Failure::Input(error),
    };
    match is_first {
        true => failure,
        false => Failure::Partly {
            failure: Box::new(failure),
            done: format!("the variables before line {first} are set"),
        },
    }
}

fn apply(parts: Vec<Vec<Variable>>, client: &mut Client) -> Result<Revision, Failure> {
    let mut revision = Revision::UNDEFINED;
    for part in parts {
        let (first, key) = (part[0].line, part[0].key.clone());
        let batch = part.into_iter().fold(Batch::new(), |batch, variable| {
            batch.set(variable.key, variable.value)
        });
        revision = match client.apply(batch) {
            Ok(revision) => revision,
            Err(error) if first == 1 => return Err(error.into()),
            Err(error) => {
                return Err(Failure::Partly {
                    failure: Box::new(error.into()),
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

impl Parts {
    fn push(&mut self, variable: Variable) {
        let bytes = variable.key.len() + variable.value.len();
        let written = written(&variable);
        self.held += AROUND + bytes;
        self.bytes += bytes;
        self.written += written;
        match self.parts.last_mut() {
            Some(part)
                if part.len() < COUNT_MAX
                    && self.bytes <= BYTES_MAX
                    && self.written <= WRITTEN_MAX =>
            {
                part.push(variable);
            }
            _ => {
                (self.bytes, self.written) = (bytes, written);
                self.parts.push(vec![variable]);
            }
        }
    }
}

/// How many bytes a variable takes in JSON, at most: text is escaped, other bytes are Base64.
fn written(variable: &Variable) -> usize {
    let in_json = |bytes: &[u8]| -> usize {
        let one = |byte: &u8| match byte {
            b' '..=b'~' if !b"\"\\".contains(byte) => 1,
            0x80.. => 1,
            _ => 6,
        };
        bytes.iter().map(one).sum()
    };
    let base64 = variable.value.len().div_ceil(3) * 4;
    AROUND + in_json(variable.key.as_bytes()) + in_json(&variable.value).max(base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(input: &[u8], in_parts: bool) -> Vec<usize> {
        let parts = load(&mut Lines::of(input), in_parts);
        let parts = parts.unwrap_or_else(|wrong| panic!("{}", told(wrong, 1)));
        parts.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_part_has_what_one_change_can_have() {
        let lengths = |count: usize, value: &[u8]| {
            let line = [b"k=", value, b"\n"].concat();
            loaded(&line.repeat(count), true)
        };
        assert_eq!(lengths(0, b""), [0; 0]);
        assert_eq!(lengths(4096, b""), [4096]);
        assert_eq!(lengths(8193, b""), [4096, 4096, 1]);
        assert_eq!(lengths(9, &vec![b'a'; 1 << 20]), [7, 2]);
        assert_eq!(lengths(3, &vec![1; 1 << 20]), [2, 1]);
    }

    #[test]
    fn no_more_is_read_than_can_be_held() {
        let line = [b"k=", &vec![b'a'; 1 << 20][..], b"\n"].concat();
        let input = line.repeat(70);
        let mut lines = Lines::of(&input[..]);
        let mut next = || {
            let parts = load(&mut lines, true).unwrap_or_default();
            parts.iter().map(Vec::len).sum::<usize>()
        };
        assert_eq!([next(), next(), next()], [64, 6, 0]);
        assert_eq!(loaded(&input, false), [7, 1]);
    }

    #[test]
    fn what_is_wrong_later_tells_what_was_set() {
        let wrong = || Wrong::Line("line 9 has no '='".to_owned());
        assert_eq!(
            told(wrong(), 1).to_string(),
            "line 9 has no '='; nothing was changed"
        );
        assert_eq!(
            told(wrong(), 8).to_string(),
            "line 9 has no '='\n  the variables before line 8 are set, the others are not"
        );
    }
}
