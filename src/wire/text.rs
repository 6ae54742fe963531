//! What may be told as text.
//!
//! Text is UTF-8 without NUL and without Unicode noncharacters: so a text is always a C string,
//! and every JSON parser takes it. sd-json, for one, drops the connection over `\u0000`, U+FFFE,
//! U+FDD0 and their like, also in a reply: a value that is no text would harm whoever lists it.
#![cfg_attr(not(feature = "service"), allow(dead_code))]

use std::borrow::Cow;
use std::fmt;

/// Why some UTF-8 is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It contains the character U+0000.
    Nul,
    /// It contains one of the 66 code points that Unicode sets apart for internal use.
    Noncharacter,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::Nul => "contains NUL",
            Flaw::Noncharacter => "contains a Unicode noncharacter",
        })
    }
}

/// Whether these bytes can be told as text.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| flaw(text).is_none())
}

/// What keeps a string from being text, if anything does.
pub(crate) fn flaw(text: &str) -> Option<Flaw> {
    // Noncharacters are encoded with a first byte of 0xEF or more: few texts have any.
    let suspect = text
        .bytes()
        .fold(false, |found, byte| found | (byte == 0) | (byte >= 0xEF));
    if !suspect {
        return None;
    }
    text.chars().find_map(|character| match character {
        '\0' => Some(Flaw::Nul),
        character if is_noncharacter(character) => Some(Flaw::Noncharacter),
        _ => None,
    })
}

/// Unicode standard, section 23.7: U+FDD0..U+FDEF and the last two code points of each plane.
pub(crate) fn is_noncharacter(character: char) -> bool {
    let code = u32::from(character);
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// What an error reply may repeat of what the caller sent: at most `limit` bytes, and text, so that
/// the reply itself harms nobody.
pub(crate) fn echo(sent: &str, limit: usize) -> Cow<'_, str> {
    let sent = &sent[..sent.floor_char_boundary(limit)];
    match flaw(sent) {
        None => Cow::Borrowed(sent),
        Some(_) => {
            let replaced: String = sent
                .chars()
                .map(
                    |character| match character == '\0' || is_noncharacter(character) {
                        true => char::REPLACEMENT_CHARACTER,
                        false => character,
                    },
                )
                .collect();
            let end = replaced.floor_char_boundary(limit);
            Cow::Owned(replaced[..end].to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utf8_without_nul_and_noncharacters() {
        for text in [
            "",
            "bar",
            "zwei\nZeilen",
            "\x01\x1b\x7f",
            "\u{80}",
            "\u{feff}",
            "日本",
            "🦀",
        ] {
            assert!(is_text(text.as_bytes()), "{text:?}");
        }
        for other in [
            "\0",
            "a\0b",
            "\u{fffe}",
            "\u{ffff}",
            "\u{fdd0}",
            "\u{fdef}",
            "\u{1fffe}",
            "\u{10ffff}",
        ] {
            assert!(!is_text(other.as_bytes()), "{other:?}");
        }
        assert!(!is_text(b"\xff"));
        assert!(!is_text(b"\xed\xa0\x80"), "a surrogate is no UTF-8");
    }

    #[test]
    fn an_echo_is_short_and_text() {
        assert_eq!(echo("foo", 255), "foo");
        assert_eq!(echo("foo", 2), "fo");
        assert_eq!(echo("fü", 2), "f", "never half a character");
        assert_eq!(echo("a\0\u{fffe}", 255), "a\u{fffd}\u{fffd}");
        assert_eq!(echo(&"\0".repeat(300), 255).len(), 255);
    }
}
