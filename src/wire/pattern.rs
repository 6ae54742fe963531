//! Patterns: which keys a caller means.
//!
//! The language is defined at the head of `io.globstash.varlink`. Where a shell leaves a choice,
//! this is ours:
//!
//! - Braces mean the patterns that they expand to, as in a shell: `{a/,b}` is `a/` (everything
//!   below) and `b`; `{,a}` is the empty pattern, which matches nothing, and `a`; `{*,a}*` is `**`
//!   and `a*`. Alternatives are counted as they are written: `{a,a}` has two.
//! - Two stars or more in a row are `**`.
//! - A backslash works in brackets too, as POSIX has it for shells: `[\]]`, `[a\-z]`, `[\!a]`.
//! - An escaped '/' at the end is only a character: `a\/` is the key `a/` and nothing below it.
//! - '-' is literal first and last in brackets; `[--a]` is a range. What looks like a named class
//!   is characters: `[[:a:]` is one of `[`, `:`, `a`.
//! - `]`, `}` and `,` are literal where they close or part nothing.
//!
//! Callers choose the patterns and everybody waits for the result, so the cost is a promise:
//! [`Patterns::matches`] takes at most [`Patterns::cost`] steps, which grows with the length of
//! the patterns, whatever they are. There is no backtracking, no recursion, and no allocation.
//! The forms that people write (`a/b`, `a/`, `a/*`, `a/**`) are one comparison.
//!
//! Knows nothing of the index of keys: [`Patterns::ranges`] tells where in it matches can be.

mod offsets;
mod parse;
mod program;
mod range;
#[cfg(test)]
mod tests;

use std::fmt;

use self::offsets::Text;
use self::program::{Program, Step};
pub(crate) use self::range::KeyRange;

/// Longest pattern, in bytes. A pattern for any set of keys that people think of fits; 64 of them
/// compile to less than 2 MiB.
pub(crate) const PATTERN_MAX: usize = 1024;
/// Most patterns of one call. Callers of [`Patterns::compile`] check it, it has its own error.
pub(crate) const PATTERNS_MAX: usize = 64;
/// Most patterns that one may expand to. Bounds the ranges to visit, and how deep braces can nest.
pub(crate) const ALTERNATIVES_MAX: usize = 64;
/// Most pairs of brackets in the patterns of one call, all together. Each looks at every character
/// of a key: with so many, the worst patterns take half a millisecond for the longest key.
pub(crate) const BRACKETS_MAX: usize = 256;

/// Longest key, in bytes. The offsets into a key, with its end, are the bits of four words.
const KEY_MAX: usize = 255;

/// The patterns of one call, compiled. A key matches if it matches one of them.
#[derive(Debug)]
pub(crate) struct Patterns {
    patterns: Vec<Pattern>,
    ranges: Vec<KeyRange>,
    memory: usize,
}

impl Patterns {
    /// What a call without patterns means: every key.
    pub fn all() -> Self {
        let everything = Pattern {
            prefix: Box::default(),
            rest: Rest::Anything,
        };
        Self {
            patterns: vec![everything],
            ranges: vec![KeyRange::prefix("")],
            memory: 0,
        }
    }

    /// Compiles patterns; none at all match nothing.
    pub fn compile<S: AsRef<str>>(patterns: &[S]) -> Result<Self, PatternError> {
        let mut compiled = Vec::with_capacity(patterns.len());
        let mut ranges = Vec::new();
        let mut brackets = 0;
        for (index, pattern) in patterns.iter().enumerate() {
            let program =
                parse::parse(pattern.as_ref()).map_err(|reason| PatternError { index, reason })?;
            brackets += program.brackets();
            if brackets > BRACKETS_MAX {
                let reason = Reason::TooManyBrackets;
                return Err(PatternError { index, reason });
            }
            range::collect(&program, &mut ranges);
            compiled.push(Pattern::new(program));
        }
        let ranges = range::reduce(ranges);
        let memory = compiled.iter().map(Pattern::memory).sum::<usize>()
            + ranges.iter().map(KeyRange::memory).sum::<usize>();
        Ok(Self {
            patterns: compiled,
            ranges,
            memory,
        })
    }

    /// Tells whether a key matches. What is too long or too short for a key never does.
    pub fn matches(&self, key: &str) -> bool {
        if key.is_empty() || key.len() > KEY_MAX {
            return false;
        }
        let mut text = None;
        self.patterns.iter().any(|p| p.matches(key, &mut text))
    }

    /// Where in the order of the keys matches can be; elsewhere there are none. The ranges are
    /// sorted and do not overlap.
    ///
    /// A walk that goes on after `key` skips what is behind it with
    /// `ranges.partition_point(|r| r.is_before(key))`, and seeks to the start of each range that
    /// follows.
    pub fn ranges(&self) -> &[KeyRange] {
        &self.ranges
    }

    /// The most steps that [`matches`](Self::matches) takes for one key; a step is a few
    /// nanoseconds.
    pub fn cost(&self) -> usize {
        self.patterns.iter().map(Pattern::cost).sum()
    }

    /// How many bytes of memory they take, roughly.
    pub fn memory(&self) -> usize {
        self.memory
    }
}

/// One pattern: its fixed beginning, which decides most cases alone, and the rest of it.
#[derive(Debug)]
struct Pattern {
    prefix: Box<str>,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    /// The prefix is a key.
    Nothing,
    /// A last '/': at least one character more.
    Below,
    /// `*`
    Segment,
    /// `**`
    Anything,
    /// Whatever else, from the beginning of the key.
    Program(Program),
}

impl Pattern {
    fn new(program: Program) -> Self {
        let steps = program.steps();
        let fixed = steps.iter().take_while(|s| s.literal().is_some()).count();
        let (head, tail) = steps.split_at(fixed);
        let prefix = head.iter().filter_map(Step::literal).collect::<String>();
        let rest = match tail {
            [] if matches!(head.last(), Some(Step::Slash)) => Rest::Below,
            [] => Rest::Nothing,
            [Step::Star] => Rest::Segment,
            stars if stars.iter().all(|s| matches!(s, Step::Star)) => Rest::Anything,
            _ => Rest::Program(program),
        };
        Self {
            prefix: prefix.into(),
            rest,
        }
    }

    /// `text` is the key as programs see it, made for the first that needs it.
    fn matches<'k>(&self, key: &'k str, text: &mut Option<Text<'k>>) -> bool {
        let Some(rest) = key.strip_prefix(&*self.prefix) else {
            return false;
        };
        match &self.rest {
            Rest::Nothing => rest.is_empty(),
            Rest::Below => !rest.is_empty(),
            Rest::Segment => memchr::memchr(b'/', rest.as_bytes()).is_none(),
            Rest::Anything => true,
            Rest::Program(program) => program.matches(text.get_or_insert_with(|| Text::new(key))),
        }
    }

    fn cost(&self) -> usize {
        match &self.rest {
            Rest::Program(program) => program.cost(),
            _ => 1,
        }
    }

    fn memory(&self) -> usize {
        let rest = match &self.rest {
            Rest::Program(program) => program.memory(),
            _ => 0,
        };
        size_of::<Self>() + self.prefix.len() + rest
    }
}

/// Which pattern of a call is none, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PatternError {
    /// Which of the patterns, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It has so many bytes.
    TooLong(usize),
    /// Its braces expand to too many patterns.
    TooManyAlternatives,
    /// With it, the patterns have too many brackets.
    TooManyBrackets,
    /// A '[' has no ']'.
    UnclosedBracket,
    /// A '{' has no '}'.
    UnclosedBrace,
    /// A range in brackets ends before it begins.
    BackwardsRange(char, char),
    /// It ends with a backslash that is not escaped.
    LastBackslash,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for PatternError {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(len) => write!(
                f,
                "the pattern has {len} bytes, it can have at most {PATTERN_MAX}"
            ),
            Self::TooManyAlternatives => write!(
                f,
                "the braces expand to more than {ALTERNATIVES_MAX} patterns"
            ),
            Self::TooManyBrackets => write!(
                f,
                "there are more than {BRACKETS_MAX} pairs of brackets in all"
            ),
            Self::UnclosedBracket => {
                f.write_str(r"a bracket is not closed, write \[ for the character")
            }
            Self::UnclosedBrace => {
                f.write_str(r"a brace is not closed, write \{ for the character")
            }
            Self::BackwardsRange(first, last) => {
                write!(f, "the range '{first}-{last}' runs backwards")
            }
            Self::LastBackslash => {
                f.write_str(r"the last backslash escapes nothing, write \\ for the character")
            }
        }
    }
}
