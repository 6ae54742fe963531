//! What can be a key.

use std::fmt;

use super::text::is_noncharacter;

/// Longest key, in bytes.
pub(crate) const KEY_MAX: usize = 255;

/// Why a string is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFlaw {
    /// It has no character.
    Empty,
    /// It has more than [`KEY_MAX`] bytes.
    TooLong(usize),
    /// It contains a control character: a key is always one line.
    Control,
    /// It contains '=': `key=value` must mean one thing.
    Equals,
    /// It contains a code point that not every JSON parser takes.
    Noncharacter,
}

/// Whether `key` can be the key of a variable.
pub(crate) fn check(key: &str) -> Result<(), KeyFlaw> {
    if key.is_empty() {
        return Err(KeyFlaw::Empty);
    }
    if key.len() > KEY_MAX {
        return Err(KeyFlaw::TooLong(key.len()));
    }
    let plain = |byte: u8| matches!(byte, 0x20..0x7F) & (byte != b'=');
    if key.bytes().fold(true, |all, byte| all & plain(byte)) {
        return Ok(());
    }
    key.chars().try_for_each(|character| match character {
        '=' => Err(KeyFlaw::Equals),
        character if character.is_control() => Err(KeyFlaw::Control),
        character if is_noncharacter(character) => Err(KeyFlaw::Noncharacter),
        _ => Ok(()),
    })
}

impl fmt::Display for KeyFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFlaw::Empty => f.write_str("a key has at least one character"),
            KeyFlaw::TooLong(length) => {
                write!(
                    f,
                    "the key has {length} bytes, it can have at most {KEY_MAX}"
                )
            }
            KeyFlaw::Control => f.write_str("a key cannot contain control characters"),
            KeyFlaw::Equals => f.write_str("a key cannot contain '='"),
            KeyFlaw::Noncharacter => f.write_str("a key cannot contain Unicode noncharacters"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_every_line_can_be_a_key() {
        for key in [
            "a",
            "player/volume",
            "mit Leerzeichen",
            "*",
            "[x]",
            "\\",
            "-",
            "日本",
            "ä",
        ] {
            assert_eq!(check(key), Ok(()), "{key:?}");
        }
        assert_eq!(check(&"x".repeat(255)), Ok(()));
    }

    #[test]
    fn the_flaw_is_named() {
        assert_eq!(check(""), Err(KeyFlaw::Empty));
        assert_eq!(check(&"x".repeat(256)), Err(KeyFlaw::TooLong(256)));
        assert_eq!(
            check(&"ä".repeat(128)),
            Err(KeyFlaw::TooLong(256)),
            "in bytes"
        );
        for key in ["a\nb", "\0", "\u{7f}", "\u{80}", "ä\u{9f}"] {
            assert_eq!(check(key), Err(KeyFlaw::Control), "{key:?}");
        }
        assert_eq!(check("a=b"), Err(KeyFlaw::Equals));
        assert_eq!(check("\u{fdd0}"), Err(KeyFlaw::Noncharacter));
    }
}
