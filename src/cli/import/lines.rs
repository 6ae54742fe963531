//! Lines that are variables: read one by one, understood, or refused with their number.

use std::io::{self, BufRead, Read};

use crate::client::escape::unescape;
use crate::wire::key::{self, KEY_MAX};

/// Longest value, from the interface.
const VALUE_MAX: usize = 1 << 20;
/// Longest line of a variable, without its end: each byte may be written as `\x1b`.
const LINE_MAX: usize = 4 * KEY_MAX + 1 + 4 * VALUE_MAX;
/// What programs elsewhere write at the beginning of files; `export` never does.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A variable, and the line that it stands on.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: Vec<u8>,
}

/// Why there is no variable.
#[derive(Debug)]
pub(super) enum Wrong {
    Line(String),
    Input(io::Error),
}

pub(super) struct Lines<R> {
    input: R,
    /// How many were read.
    pub(super) at: usize,
    /// The last one.
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(input: R) -> Lines<R> {
        Lines {
            input,
            at: 0,
            line: Vec::new(),
        }
    }

    /// The next variable; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Variable>, Wrong> {
        self.line.clear();
        let mut input = self.input.by_ref().take(LINE_MAX as u64 + 1);
        input.read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        self.at += 1;
        // A single end of a line is what is left of nothing.
        if self.at == 1 && self.line == b"\n" && self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let variable = variable(self.at, line);
        variable
            .map(Some)
            .map_err(|what| Wrong::Line(format!("line {} {what}", self.at)))
    }
}

fn variable(at: usize, line: &[u8]) -> Result<Variable, String> {
    if at == 1 && line.starts_with(BYTE_ORDER_MARK) {
        return Err("begins with a byte order mark, which has to be taken off".to_owned());
    }
    if line.len() > LINE_MAX {
        return Err("is longer than a variable can be".to_owned());
    }
    if line.ends_with(b"\r") {
        let what = "ends with CR LF, not with LF alone: tr -d '\\r' makes it so; \
                    what belongs to a value is written \\r";
        return Err(what.to_owned());
    }
    let equals = line.iter().position(|byte| *byte == b'=');
    let equals = equals.ok_or("has no '='")?;
    let unescaped = |bytes| {
        unescape(bytes).ok_or("has a backslash that is not in \\\\, \\n, \\t, \\r or \\x1b")
    };
    let key = String::from_utf8(unescaped(&line[..equals])?);
    let key = key.map_err(|_| "has a key that is not UTF-8")?;
    key::check(&key).map_err(|flaw| format!("has a key that cannot be one: {flaw}"))?;
    let value = unescaped(&line[equals + 1..])?;
    if value.len() > VALUE_MAX {
        let size = value.len();
        return Err(format!(
            "has a value of {size} bytes, {VALUE_MAX} are allowed"
        ));
    }
    Ok(Variable {
        line: at,
        key,
        value,
    })
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Wrong {
        Wrong::Input(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut lines = Lines::of(input);
        let mut variables = Vec::new();
        loop {
            match lines.next() {
                Ok(Some(it)) => variables.push((it.key, it.value)),
                Ok(None) => return Ok(variables),
                Err(Wrong::Line(what)) => return Err(what),
                Err(Wrong::Input(error)) => panic!("{error}"),
            }
        }
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
            ("a=\r1\\r\n", vec![one("a", "\r1\r")]),
            ("a=\u{feff}", vec![one("a", "\u{feff}")]),
        ] {
            assert_eq!(lines(input.as_bytes()), Ok(variables), "{input:?}");
        }
    }

    #[test]
    fn a_line_that_is_none_is_told() {
        for (input, told) in [
            ("a=1\n\nb=2\n", "line 2 has no '='"),
            ("a=1\nb", "line 2 has no '='"),
            ("a=1\n\n", "line 2 has no '='"),
            ("\n\n", "line 1 has no '='"),
            ("a=\\q", "line 1 has a backslash"),
            ("\\xff=1", "line 1 has a key that is not UTF-8"),
            ("a=1\n=2\n", "line 2 has a key that cannot be one: "),
            ("a=1\nb=2\r\n", "line 2 ends with CR LF"),
            ("a=1\nb=2\r", "line 2 ends with CR LF"),
            ("\u{feff}a=1", "line 1 begins with a byte order mark"),
        ] {
            let said = lines(input.as_bytes()).unwrap_err();
            assert!(said.starts_with(told), "{input:?}: {said}");
        }
    }

    #[test]
    fn the_longest_line_is_read_and_none_that_is_longer() {
        let value = vec![0x1b; VALUE_MAX];
        let key = "\u{e4}".repeat(KEY_MAX / 2) + "k";
        let key_written: String = key.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        let line = key_written + "=" + &"\\x1b".repeat(VALUE_MAX);
        assert_eq!(line.len(), LINE_MAX);
        let twice = format!("{line}\n{line}");
        let both = vec![(key.clone(), value.clone()), (key, value)];
        assert!(lines(twice.as_bytes()) == Ok(both));
        let longer = format!("{line}1\n");
        let told = "line 1 is longer than a variable can be";
        assert_eq!(lines(longer.as_bytes()).unwrap_err(), told);
    }
}
