//! Compiled patterns, and how a key runs through them.
//!
//! A glob is usually matched by trying positions in the pattern for each character of the key.
//! We do it the other way round: the set of offsets in the key that the pattern can have come to
//! is kept while the *pattern* is read, once, from left to right. Keys are short, so that the set
//! is four words, and most steps are a handful of instructions for all offsets at once. `**` adds
//! every offset behind the first; `*` floods up to the next '/'; `{a,b}` runs each alternative
//! from the same set and joins the results. Nothing is tried twice, so nothing can explode.

use super::offsets::{Offsets, Text};
use super::{ALTERNATIVES_MAX, KEY_MAX};

/// How deep braces can nest: each adds an alternative to those inside it.
const DEPTH_MAX: usize = ALTERNATIVES_MAX - 1;

/// One thing that a pattern says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// This character.
    Literal(char),
    /// A '/' that was not escaped, which says more if it comes last.
    Slash,
    /// `?`
    Any,
    /// `*`; a `**` is two of them.
    Star,
    /// The pair of brackets with this number.
    Class(u16),
    /// A '{' with alternatives,
    Open,
    /// a comma between them,
    Or,
    /// and its '}'.
    Close,
}

// A step is about a byte of the pattern, and callers choose how many there are.
const _: () = assert!(size_of::<Step>() <= 8);

impl Step {
    /// The character, if only one will do.
    pub fn literal(&self) -> Option<char> {
        match *self {
            Self::Literal(c) => Some(c),
            Self::Slash => Some('/'),
            _ => None,
        }
    }
}

/// A pair of brackets.
#[derive(Debug)]
pub(super) struct Class {
    negated: bool,
    /// Sorted and disjoint, both ends included.
    ranges: Box<[(char, char)]>,
}

impl Class {
    pub fn new(negated: bool, mut ranges: Vec<(char, char)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let overlap = next.0 <= kept.1;
            if overlap {
                kept.1 = kept.1.max(next.1);
            }
            overlap
        });
        Self {
            negated,
            ranges: ranges.into(),
        }
    }

    /// With what the allocator adds: most classes are small, and there can be many.
    fn memory(&self) -> usize {
        const ALLOCATION: usize = 16;
        size_of::<Self>() + ALLOCATION + size_of_val(&*self.ranges)
    }

    fn contains(&self, c: char) -> bool {
        let behind = self.ranges.partition_point(|&(_, last)| last < c);
        let listed = self
            .ranges
            .get(behind)
            .is_some_and(|&(first, _)| first <= c);
        listed != self.negated
    }
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Program {
    steps: Box<[Step]>,
    classes: Box<[Class]>,
    alternatives: usize,
}

/// The offsets that the pattern has come to, by what it said last.
#[derive(Clone, Copy, Default)]
struct Reached {
    /// By a star: one more star makes it a `**`, also when a brace is between them.
    star: Offsets,
    /// By a '/': if the pattern ends here, it wants something below.
    slash: Offsets,
    /// By something else, or not at all.
    other: Offsets,
}

/// A brace whose alternatives are being run.
#[derive(Clone, Copy, Default)]
struct Fork {
    /// Where each of them begins.
    from: Reached,
    /// What those before have come to.
    to: Reached,
}

impl Program {
    pub fn new(steps: Vec<Step>, classes: Vec<Class>, alternatives: usize) -> Self {
        Self {
            steps: steps.into(),
            classes: classes.into(),
            alternatives,
        }
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many patterns the braces expand to.
    pub fn alternatives(&self) -> usize {
        self.alternatives
    }

    /// How many pairs of brackets it has.
    pub fn brackets(&self) -> usize {
        self.classes.len()
    }

    /// The most steps for one key: one each, but brackets look at every character.
    pub fn cost(&self) -> usize {
        self.steps.len() + self.classes.len() * KEY_MAX
    }

    /// How many bytes of memory it takes, roughly.
    pub fn memory(&self) -> usize {
        let classes = self.classes.iter().map(Class::memory);
        size_of_val(&*self.steps) + classes.sum::<usize>()
    }

    /// Tells whether the whole key matches.
    pub fn matches(&self, text: &Text) -> bool {
        match self.alternatives {
            1 => self.run(text, &mut []),
            _ => self.run(text, &mut [Fork::default(); DEPTH_MAX]),
        }
    }

    fn run(&self, text: &Text, forks: &mut [Fork]) -> bool {
        let mut reached = Reached::start();
        let mut depth = 0;
        for &step in &self.steps {
            count();
            match step {
                Step::Literal(c) => reached = Reached::other(text.literal(reached.all(), c)),
                Step::Slash => reached = Reached::slash(text.literal(reached.all(), '/')),
                Step::Any => reached = Reached::other(text.any(reached.all())),
                Step::Class(class) => {
                    let class = &self.classes[usize::from(class)];
                    let any_of = |c| {
                        count();
                        class.contains(c)
                    };
                    reached = Reached::other(text.any_of(reached.all(), any_of));
                }
                Step::Star => {
                    let segment = text.segment(reached.all());
                    reached = Reached::star(segment | text.onwards(reached.star));
                }
                Step::Open => {
                    forks[depth] = Fork {
                        from: reached,
                        to: Reached::default(),
                    };
                    depth += 1;
                }
                Step::Or => {
                    let fork = &mut forks[depth - 1];
                    fork.to = fork.to.or(reached);
                    reached = fork.from;
                }
                Step::Close => {
                    depth -= 1;
                    reached = reached.or(forks[depth].to);
                }
            }
            if depth == 0 && reached.all().is_empty() {
                return false;
            }
        }
        let exactly = (reached.star | reached.other).contains(text.end());
        exactly || text.is_within(reached.slash)
    }
}

impl Reached {
    fn start() -> Self {
        Self::other(Offsets::START)
    }

    fn star(star: Offsets) -> Self {
        Self {
            star,
            ..Self::default()
        }
    }

    fn slash(slash: Offsets) -> Self {
        Self {
            slash,
            ..Self::default()
        }
    }

    fn other(other: Offsets) -> Self {
        Self {
            other,
            ..Self::default()
        }
    }

    fn all(self) -> Offsets {
        self.star | self.slash | self.other
    }

    fn or(self, more: Self) -> Self {
        Self {
            star: self.star | more.star,
            slash: self.slash | more.slash,
            other: self.other | more.other,
        }
    }
}

#[cfg(test)]
thread_local! {
    /// The steps taken by this thread, for tests of the cost.
    pub(super) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Notes a step, in tests.
#[inline]
fn count() {
    #[cfg(test)]
    STEPS.set(STEPS.get() + 1);
}
