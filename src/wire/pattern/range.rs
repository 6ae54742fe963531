//! Where in the order of keys the matches of patterns can be.

use super::program::{Program, Step};

/// What the ranges of one pattern may take in memory, in bytes. One alternative has room for any
/// key, 64 for their first 64 bytes each; what is cut is only less selective.
const TEXT_MAX: usize = 4096;

/// A range of keys: one key, or all that begin alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyRange {
    start: Box<str>,
    extent: Extent,
}

/// In this order, so that of two ranges with one start the larger comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    Prefix,
    Key,
}

impl KeyRange {
    pub(super) fn prefix(start: impl Into<Box<str>>) -> Self {
        Self {
            start: start.into(),
            extent: Extent::Prefix,
        }
    }

    pub(super) fn key(key: impl Into<Box<str>>) -> Self {
        Self {
            start: key.into(),
            extent: Extent::Key,
        }
    }

    /// The first key that the range can hold; the others follow it without a gap.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// How many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.start.len()
    }

    /// Whether the range holds one key only.
    pub fn is_key(&self) -> bool {
        self.extent == Extent::Key
    }

    /// Tells whether a key is in the range.
    pub fn holds(&self, key: &str) -> bool {
        match self.extent {
            Extent::Prefix => key.starts_with(&*self.start),
            Extent::Key => key == &*self.start,
        }
    }

    /// Tells whether all keys of the range come before this one.
    pub fn is_before(&self, key: &str) -> bool {
        &*self.start < key && !self.holds(key)
    }
}

/// Appends a range for each alternative of a pattern.
///
/// The program runs as it does for a key, but on all beginnings of keys that can match.
pub(super) fn collect(program: &Program, ranges: &mut Vec<KeyRange>) {
    let len_max = TEXT_MAX / program.alternatives();
    let mut open = vec![Beginning::default()];
    let mut forks = Vec::new();
    for &step in program.steps() {
        match step {
            Step::Literal(_) | Step::Slash => {
                let c = step.literal().unwrap_or_default();
                let full = |b: &mut Beginning| b.text.len() + c.len_utf8() > len_max;
                ranges.extend(open.extract_if(.., full).map(Beginning::into_prefix));
                for beginning in &mut open {
                    beginning.text.push(c);
                    beginning.wants_more = matches!(step, Step::Slash);
                }
            }
            Step::Any | Step::Star | Step::Class(_) => {
                ranges.extend(open.drain(..).map(Beginning::into_prefix));
            }
            Step::Open => forks.push((open.clone(), Vec::new())),
            Step::Or => {
                let (from, to) = forks.last_mut().expect("a comma is in a brace");
                to.append(&mut open);
                open.clone_from(from);
            }
            Step::Close => {
                let (_, mut to) = forks.pop().expect("a brace closes one that opened");
                open.append(&mut to);
            }
        }
    }
    let ended = open.into_iter().filter(|b| !b.text.is_empty());
    ranges.extend(ended.map(Beginning::into_range));
}

/// Sorts ranges and leaves out what others hold.
pub(super) fn reduce(mut ranges: Vec<KeyRange>) -> Vec<KeyRange> {
    // What begins with a prefix follows it directly in the order of bytes.
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| kept.holds(&next.start));
    ranges.shrink_to_fit();
    ranges
}

/// The beginning of keys that can match, while everything so far was literal.
#[derive(Clone, Default)]
struct Beginning {
    text: String,
    /// It ends with a '/', so that it is no key if the pattern ends here.
    wants_more: bool,
}

impl Beginning {
    fn into_prefix(self) -> KeyRange {
        KeyRange::prefix(self.text)
    }

    fn into_range(self) -> KeyRange {
        match self.wants_more {
            true => KeyRange::prefix(self.text),
            false => KeyRange::key(self.text),
        }
    }
}
