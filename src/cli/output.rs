//! Data on standard output.
//!
//! Everything that a command answers goes through [`Output`], so that a full disk is an error and
//! not a panic, and a list is not written line by line. Sentences go elsewhere.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use serde::ser::Serialize;
use serde_json::ser::Formatter;

use crate::client::Value;
use crate::client::escape::{escape, is_hidden};

use super::outcome::Failure;

/// Written at once; the size of a pipe.
const BUFFER: usize = 64 << 10;

pub(super) struct Output(BufWriter<Stdout>);

impl Output {
    pub(super) fn new() -> Output {
        Output(BufWriter::with_capacity(BUFFER, Stdout(io::stdout())))
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.0.get_ref().0.is_terminal()
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(Failure::Output)
    }

    pub(super) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(Failure::Output)
    }

    /// One line `KEY=VALUE`, or `KEY`. A key has no '=', and escaping makes none.
    pub(super) fn variable(&mut self, key: &str, value: Option<&Value>) -> Result<(), Failure> {
        let key = escape(key);
        match value {
            Some(value) => self.line(format_args!("{key}={}", escape(value))),
            None => self.line(key),
        }
    }

    /// The same with more to know behind it: the first two spaces in a row. No key has a '=' to imitate
    /// that with, and a value has no two spaces here.
    pub(super) fn annotated(
        &mut self,
        key: &str,
        value: Option<&Value>,
        note: impl Display,
    ) -> Result<(), Failure> {
        let key = escape(key);
        match value {
            Some(value) => self.line(format_args!("{key}={}  {note}", without_gaps(value))),
            None => self.line(format_args!("{key}  {note}")),
        }
    }

    /// One line with a value alone.
    pub(super) fn escaped(&mut self, value: &[u8]) -> Result<(), Failure> {
        self.line(escape(value))
    }

    /// Key, newline, value, NUL, as `git config -z` has it; or key, NUL.
    pub(super) fn record(&mut self, key: &str, value: Option<&Value>) -> Result<(), Failure> {
        self.bytes(key.as_bytes())?;
        if let Some(value) = value {
            self.bytes(b"\n")?;
            self.bytes(value.as_bytes())?;
        }
        self.bytes(b"\0")
    }

    /// One line of JSON.
    pub(super) fn json(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        let mut serializer = serde_json::Serializer::with_formatter(&mut self.0, Visible);
        object
            .serialize(&mut serializer)
            .map_err(|error| Failure::Output(error.into()))?;
        self.bytes(b"\n")
    }

    /// Writes what waits to be written.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(Failure::Output)
    }

    /// What is not written by now is not written: to be called at the end.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.flush()
    }

    /// Sleeps until a descriptor can be read; false if nobody reads standard output any more,
    /// which is seen without writing.
    pub(super) fn wait_for(&self, source: impl AsFd) -> Result<bool, Failure> {
        let stdout = &self.0.get_ref().0;
        let mut both = [
            PollFd::new(stdout, PollFlags::empty()),
            PollFd::new(&source, PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut both, None)).map_err(|errno| Failure::Output(errno.into()))?;
        // A pipe has an error then, a socket or terminal has been hung up.
        let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        Ok(!both[0].revents().intersects(gone))
    }
}

/// A value on one line, reversibly, in which no two spaces follow one another, nor end it.
fn without_gaps(value: &Value) -> String {
    let escaped = escape(value).to_string();
    let mut shown = String::with_capacity(escaped.len());
    for char in escaped.chars() {
        match char {
            ' ' if shown.ends_with(' ') => shown.push_str(r"\x20"),
            char => shown.push(char),
        }
    }
    if shown.ends_with(' ') {
        shown.pop();
        shown.push_str(r"\x20");
    }
    shown
}

/// Standard output without the buffer that std puts before it, which ends at each newline.
struct Stdout(io::Stdout);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// JSON on one line in which nothing is hidden: what serde_json leaves as it is, DEL for one, is
/// written as `\u007f`. Strict parsers want that, and it is safe on a terminal.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut written = 0;
        for (at, char) in fragment.match_indices(is_hidden) {
            writer.write_all(&fragment.as_bytes()[written..at])?;
            written = at + char.len();
            for unit in char.encode_utf16() {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::client::escape::unescape;

    fn json(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Visible);
        text.serialize(&mut serializer).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_hides_nothing() {
        assert_eq!(
            json("a\n\x7f\u{9b}\u{202e}ü"),
            r#""a\n\u007f\u009b\u202eü""#
        );
    }

    #[test]
    fn a_value_before_a_note_has_no_gaps() {
        for (value, shown) in [
            ("", ""),
            ("a b", "a b"),
            ("a  b", r"a \x20b"),
            ("   ", r" \x20\x20"),
            ("a ", r"a\x20"),
            ("a  revision=1 set 3s ago", r"a \x20revision=1 set 3s ago"),
            ("a\\ ", r"a\\\x20"),
        ] {
            let told = without_gaps(&value.into());
            assert_eq!(told, shown);
            assert_eq!(unescape(told.as_bytes()).as_deref(), Some(value.as_bytes()));
        }
    }

    proptest! {
        #[test]
        fn json_is_read_as_what_was_written(text: String) {
            let written = json(&text);
            prop_assert!(!written.contains(is_hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
