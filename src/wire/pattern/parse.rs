//! From the text of a pattern to its program, in one pass and without recursion.

use std::iter::Peekable;
use std::str::Chars;

use super::program::{Class, Program, Step};
use super::{ALTERNATIVES_MAX, PATTERN_MAX, Reason};

/// Compiles one pattern.
pub(super) fn parse(pattern: &str) -> Result<Program, Reason> {
    if pattern.len() > PATTERN_MAX {
        return Err(Reason::TooLong(pattern.len()));
    }
    let mut chars = pattern.chars().peekable();
    let mut steps = Vec::with_capacity(pattern.len());
    let mut classes = Vec::new();
    let mut braces = Braces::new();

    while let Some(c) = chars.next() {
        let step = match c {
            '\\' => Step::Literal(chars.next().ok_or(Reason::LastBackslash)?),
            '/' => Step::Slash,
            '?' => Step::Any,
            '*' => Step::Star,
            '[' => {
                let number = u16::try_from(classes.len()).expect("PATTERN_MAX is less");
                classes.push(class(&mut chars)?);
                Step::Class(number)
            }
            '{' => {
                braces.open(steps.len());
                Step::Open
            }
            ',' if braces.is_open() => {
                braces.comma()?;
                Step::Or
            }
            '}' if braces.is_open() => match braces.close()? {
                Closed::Alternatives => Step::Close,
                Closed::Literal { open } => {
                    steps[open] = Step::Literal('{');
                    Step::Literal('}')
                }
            },
            c => Step::Literal(c),
        };
        steps.push(step);
    }
    if braces.is_open() {
        return Err(Reason::UnclosedBrace);
    }
    Ok(Program::new(steps, classes, braces.alternatives))
}

/// The braces that are open, and how many patterns the text so far expands to: counted, not made.
struct Braces {
    open: Vec<Brace>,
    /// What the sequence that is being read expands to.
    alternatives: usize,
}

struct Brace {
    /// The step of the '{', which is a literal if no comma follows.
    step: usize,
    /// What the sequence in front of it expands to.
    before: usize,
    /// What the alternatives that ended with a comma expand to, together.
    ended: usize,
}

enum Closed {
    Alternatives,
    Literal { open: usize },
}

impl Braces {
    fn new() -> Self {
        Self {
            open: Vec::new(),
            alternatives: 1,
        }
    }

    fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    fn open(&mut self, step: usize) {
        self.open.push(Brace {
            step,
            before: self.alternatives,
            ended: 0,
        });
        self.alternatives = 1;
    }

    fn comma(&mut self) -> Result<(), Reason> {
        let brace = self.open.last_mut().expect("asked for in an open brace");
        brace.ended = limited(brace.ended + self.alternatives)?;
        self.alternatives = 1;
        Ok(())
    }

    fn close(&mut self) -> Result<Closed, Reason> {
        let brace = self.open.pop().expect("asked for in an open brace");
        self.alternatives = limited(brace.before * (brace.ended + self.alternatives))?;
        Ok(match brace.ended {
            0 => Closed::Literal { open: brace.step },
            _ => Closed::Alternatives,
        })
    }
}

/// A part never expands to more than the whole, so that the first excess is final.
fn limited(alternatives: usize) -> Result<usize, Reason> {
    match alternatives {
        0..=ALTERNATIVES_MAX => Ok(alternatives),
        _ => Err(Reason::TooManyAlternatives),
    }
}

/// The rest of a pair of brackets.
fn class(chars: &mut Peekable<Chars>) -> Result<Class, Reason> {
    let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    loop {
        let first = match chars.next().ok_or(Reason::UnclosedBracket)? {
            ']' if !ranges.is_empty() => return Ok(Class::new(negated, ranges)),
            c => literal(c, chars)?,
        };
        let last = match range_end(chars) {
            Some(c) => literal(c, chars)?,
            None => first,
        };
        if last < first {
            return Err(Reason::BackwardsRange(first, last));
        }
        ranges.push((first, last));
    }
}

/// What follows a '-' that makes a range: anything but the end of the brackets.
fn range_end(chars: &mut Peekable<Chars>) -> Option<char> {
    let mut ahead = chars.clone();
    ahead.next_if_eq(&'-')?;
    let end = ahead.next().filter(|&c| c != ']')?;
    *chars = ahead;
    Some(end)
}

/// The character that `c` stands for in brackets.
fn literal(c: char, chars: &mut Peekable<Chars>) -> Result<char, Reason> {
    match c {
        '\\' => chars.next().ok_or(Reason::LastBackslash),
        c => Ok(c),
    }
}
