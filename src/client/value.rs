//! Values: any bytes, with a view as text.
//!
//! The wire has a value in one of two fields, `value` for text and `data` for anything in Base64.
//! Here it is one [`Value`]; which field it travels in is decided here alone.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::ser::{Serialize, Serializer};
use serde_derive::Serialize;

use crate::wire::text;

/// The value of a variable: any bytes, up to 1 MiB unless the service says otherwise.
///
/// ```
/// use globstash::Value;
///
/// let volume = Value::from("0.5");
/// assert_eq!(volume, "0.5");
/// assert_eq!(volume.as_str(), Some("0.5"));
/// assert_eq!(Value::from(b"\xff").as_str(), None);
/// ```
///
/// Serialised, it is an object with the one field that it travels in: `value` if it is text, else
/// `data`, in Base64.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Vec<u8>);

impl Value {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without copying them.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The value as text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        str::from_utf8(&self.0).ok()
    }

    /// The fields `value` and `data` of the wire.
    pub(super) fn into_fields(self) -> (Option<String>, Option<String>) {
        match String::from_utf8(self.0) {
            Ok(text) if text::flaw(&text).is_none() => (Some(text), None),
            Ok(text) => (None, Some(BASE64_STANDARD.encode(text))),
            Err(error) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
        }
    }

    /// The value that the two fields tell; `None` if they tell none.
    pub(super) fn from_fields(
        value: Option<String>,
        data: Option<String>,
    ) -> Result<Option<Value>, base64::DecodeError> {
        Ok(match (value, data) {
            (Some(text), _) => Some(text.into()),
            (None, Some(data)) => Some(BASE64_STANDARD.decode(data)?.into()),
            (None, None) => None,
        })
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value(bytes)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value(text.into_bytes())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Value {
        Value(bytes.to_vec())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value(text.as_bytes().to_vec())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        text.as_str().into()
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<str> for Value {
    fn eq(&self, text: &str) -> bool {
        self.0 == text.as_bytes()
    }
}

impl PartialEq<&str> for Value {
    fn eq(&self, text: &&str) -> bool {
        self == *text
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.as_str() {
            Some(text) => text.fmt(f),
            None => write!(f, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}

/// A value as the field that it travels in.
#[derive(Serialize)]
enum Field<'v> {
    #[serde(rename = "value")]
    Text(&'v str),
    #[serde(rename = "data")]
    Data(String),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let field = match self.as_str() {
            Some(text) if text::flaw(text).is_none() => Field::Text(text),
            _ => Field::Data(BASE64_STANDARD.encode(&self.0)),
        };
        field.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_what_every_parser_takes() {
        for text in [
            "",
            "0.5",
            "Grüße\n\x1b[m\x7f",
            "\u{feff}\u{fdcf}\u{fdf0}\u{fffd}",
        ] {
            let fields = Value::from(text).into_fields();
            assert_eq!(fields, (Some(text.to_owned()), None));
        }
    }

    #[test]
    fn anything_else_is_data() {
        for bytes in [
            b"\xff".as_slice(),
            b"a\0b",
            "\u{fffe}".as_bytes(),
            "\u{ffff}".as_bytes(),
            "\u{fdd0}".as_bytes(),
            "\u{fdef}".as_bytes(),
            "\u{1fffe}".as_bytes(),
            "\u{10ffff}".as_bytes(),
            b"\xed\xa0\x80", // a lone surrogate, as WTF-8 has it
        ] {
            let fields = Value::from(bytes).into_fields();
            assert_eq!(fields, (None, Some(BASE64_STANDARD.encode(bytes))));
        }
    }

    #[test]
    fn a_value_shows_its_text_or_its_bytes() {
        assert_eq!(format!("{:?}", Value::from("a\n")), r#""a\n""#);
        assert_eq!(format!("{:?}", Value::from(b"a\xff")), r#"b"a\xff""#);
    }

    proptest! {
        #[test]
        fn the_wire_gives_back_every_value(bytes: Vec<u8>) {
            let (value, data) = Value::from(bytes.clone()).into_fields();
            let told = Value::from_fields(value, data).unwrap().unwrap();
            prop_assert_eq!(told.into_bytes(), bytes);
        }

        #[test]
        fn a_value_is_serialised_as_the_field_that_it_travels_in(bytes: Vec<u8>) {
            let value = Value::from(bytes);
            let json = serde_json::to_value(&value).unwrap();
            let (text, data) = value.into_fields();
            prop_assert_eq!(json, match (text, data) {
                (Some(text), _) => serde_json::json!({ "value": text }),
                (None, data) => serde_json::json!({ "data": data }),
            });
        }
    }
}
