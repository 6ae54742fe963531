//! Keys and values on one line of text, and back.
//!
//! Values come from other people: printed as they are, they could forge lines or drive the
//! terminal. [`escape`] gives text that has no control characters, however long; it loses nothing,
//! because a backslash is always doubled. `printf %b` of a shell turns it back.
//!
//! | what it was                                              | what is shown            |
//! |----------------------------------------------------------|--------------------------|
//! | a backslash, newline, tab, carriage return               | `\\`, `\n`, `\t`, `\r`   |
//! | another hidden character (see [`is_hidden`])             | `\xNN` for each byte     |
//! | a byte that is not UTF-8                                 | `\xNN`                   |

use std::fmt;

/// Bytes that show themselves escaped.
#[derive(Clone, Copy)]
pub(crate) struct Escaped<'a> {
    bytes: &'a [u8],
    kept: &'static str,
}

/// Shows bytes on one line, reversibly.
pub(crate) fn escape<T: AsRef<[u8]> + ?Sized>(bytes: &T) -> Escaped<'_> {
    let bytes = bytes.as_ref();
    Escaped { bytes, kept: "" }
}

impl Escaped<'_> {
    /// Leaves some characters as they are: for eyes only, this cannot be turned back.
    pub(crate) fn keeping(self, kept: &'static str) -> Self {
        Escaped { kept, ..self }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for chunk in self.bytes.utf8_chunks() {
            // Most text has nothing to escape, so it is written in as few pieces as possible.
            let text = chunk.valid();
            let mut written = 0;
            for (at, char) in text.char_indices() {
                if char != '\\' && !is_hidden(char) || self.kept.contains(char) {
                    continue;
                }
                f.write_str(&text[written..at])?;
                written = at + char.len_utf8();
                match char {
                    '\\' => f.write_str("\\\\")?,
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    '\r' => f.write_str("\\r")?,
                    _ => hexadecimal(&text.as_bytes()[at..written], f)?,
                }
            }
            f.write_str(&text[written..])?;
            hexadecimal(chunk.invalid(), f)?;
        }
        Ok(())
    }
}

/// Whether a character is not seen, but does something to what is: control characters, ends of
/// lines and paragraphs, the marks that turn the direction of writing, and the one of the order of
/// bytes, which at the beginning of a file is taken for no part of it.
pub(crate) fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

fn hexadecimal(bytes: &[u8], f: &mut fmt::Formatter) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

/// What was escaped; `None` if this cannot come of escaping. Bytes that would have been escaped may
/// stand for themselves.
#[cfg(feature = "command")]
pub(crate) fn unescape(line: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'x' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
                _ => return None,
            },
            _ => byte,
        });
    }
    Some(bytes)
}

#[cfg(feature = "command")]
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(all(test, feature = "command"))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        for text in ["", "0.5", "a=b", "player/volume", "Grüße, 世界 👩‍🔬"] {
            assert_eq!(escape(text).to_string(), text);
        }
    }

    #[test]
    fn what_could_fool_is_shown() {
        for (bytes, shown) in [
            (b"a\nb\tc\rd".as_slice(), r"a\nb\tc\rd"),
            (br"C:\new", r"C:\\new"),
            (b"\x1b[2J\0\x7f", r"\x1b[2J\x00\x7f"),
            ("\u{9b}2J".as_bytes(), r"\xc2\x9b2J"),
            ("\u{202e}txt.exe".as_bytes(), r"\xe2\x80\xaetxt.exe"),
            ("one\u{2028}line".as_bytes(), r"one\xe2\x80\xa8line"),
            ("\u{feff}a".as_bytes(), r"\xef\xbb\xbfa"),
            (b"\xff\xfea\xc3", r"\xff\xfea\xc3"),
        ] {
            assert_eq!(escape(bytes).to_string(), shown);
        }
    }

    #[test]
    fn what_cannot_come_of_escaping_is_refused() {
        for line in [r"\", r"a\", r"\x", r"\x1", r"\xg0", r"\x+1", r"\0", r"\q"] {
            assert_eq!(unescape(line.as_bytes()), None, "{line}");
        }
        assert_eq!(unescape(b"a\xff\tb").unwrap(), b"a\xff\tb");
        assert_eq!(unescape(br"\x1B\\n").unwrap(), b"\x1b\\n");
    }

    proptest! {
        #[test]
        fn escaping_is_reversible_and_gives_one_line(
            bytes in prop_oneof![
                any::<Vec<u8>>(),
                any::<String>().prop_map(String::into_bytes),
                r"[\\nx0a\n\t\r\x1b\x7f\u{80}-\u{9f}\u{2028}-\u{202e}=]*".prop_map(String::into_bytes),
            ],
        ) {
            let shown = escape(&bytes).to_string();
            prop_assert!(!shown.contains(is_hidden), "{shown:?}");
            prop_assert_eq!(unescape(shown.as_bytes()), Some(bytes));
        }

        #[test]
        fn escaping_never_writes_an_equals_sign(key in "[^=]*") {
            prop_assert!(!escape(&key).to_string().contains('='));
        }
    }
}
