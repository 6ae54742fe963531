//! What the service tells and is told: values, entries, conditions.
//!
//! The wire has a value in one of two fields, `value` for text and `data` for anything in Base64.
//! Here it is one [`Value`], made of bytes; which field it travels in is decided here alone.
//! Serialised, these types have the fields of the interface, in its order.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::ser::{Serialize, Serializer};
use serde_derive::Serialize;

use super::generated;
use crate::wire::text::flaw;

/// The number of a change; 0 stands for "not defined". The service never tells a negative one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Revision(pub(crate) i64);

/// The value of a variable, serialised as the field that it travels in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Value {
    /// UTF-8 without NUL and without Unicode noncharacters.
    #[serde(rename = "value")]
    Text(String),
    /// Other bytes.
    #[serde(rename = "data", serialize_with = "base64")]
    Data(Vec<u8>),
}

/// The answer to a read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Variable {
    pub(crate) defined: bool,
    /// The empty text if the variable is not defined.
    #[serde(flatten)]
    pub(crate) value: Value,
    pub(crate) revision: Revision,
}

/// One variable of a list.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Left out if only keys were asked for.
    #[serde(flatten)]
    pub(crate) value: Option<Value>,
    pub(crate) revision: Revision,
    /// When it was last changed, in µs since the UNIX epoch.
    #[serde(rename = "modifiedUSec", skip_serializing_if = "Option::is_none")]
    pub(crate) modified: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) writer: Option<Writer>,
}

/// The process that last changed a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Writer {
    pub(crate) uid: i64,
    pub(crate) pid: i64,
}

/// How many variables a call deleted, and the revision after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Deleted {
    pub(crate) count: i64,
    pub(crate) revision: Revision,
}

/// What a variable must be like for a change to be made. All that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) defined: Option<bool>,
    pub(crate) revision: Option<Revision>,
    pub(crate) value: Option<Value>,
}

impl Value {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Value::Text(text) => text.as_bytes(),
            Value::Data(bytes) => bytes,
        }
    }

    /// The fields `value` and `data` of the wire.
    pub(super) fn into_fields(self) -> (Option<String>, Option<String>) {
        match self {
            Value::Text(text) => (Some(text), None),
            Value::Data(bytes) => (None, Some(BASE64_STANDARD.encode(bytes))),
        }
    }

    /// The value that the two fields tell; `None` if they tell none.
    pub(super) fn from_fields(
        value: Option<String>,
        data: Option<String>,
    ) -> Result<Option<Value>, base64::DecodeError> {
        Ok(match (value, data) {
            (Some(text), _) => Some(Value::Text(text)),
            (None, Some(data)) => Some(Value::Data(BASE64_STANDARD.decode(data)?)),
            (None, None) => None,
        })
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        match String::from_utf8(bytes) {
            Ok(text) if flaw(&text).is_none() => Value::Text(text),
            Ok(text) => Value::Data(text.into_bytes()),
            Err(error) => Value::Data(error.into_bytes()),
        }
    }
}

impl Condition {
    pub(super) fn into_wire(self) -> Option<generated::Condition> {
        if self == Condition::default() {
            return None;
        }
        let (value, data) = self.value.map_or((None, None), Value::into_fields);
        Some(generated::Condition {
            defined: self.defined,
            revision: self.revision.map(|revision| revision.0),
            value,
            data,
        })
    }
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    BASE64_STANDARD.encode(bytes).serialize(serializer)
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
            let value = Value::from(text.as_bytes().to_vec());
            assert_eq!(value, Value::Text(text.to_owned()));
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
            assert_eq!(Value::from(bytes.to_vec()), Value::Data(bytes.to_vec()));
        }
    }

    #[test]
    fn entries_are_told_in_the_fields_of_the_interface() {
        let mut entry = Entry {
            key: "player/volume".into(),
            value: Some(Value::Text("0.6".into())),
            revision: Revision(21),
            modified: Some(1790000000000000),
            writer: Some(Writer {
                uid: 1000,
                pid: 4711,
            }),
        };
        assert_eq!(
            serde_json::to_string(&entry).unwrap(),
            r#"{"key":"player/volume","value":"0.6","revision":21,"modifiedUSec":1790000000000000,"writer":{"uid":1000,"pid":4711}}"#
        );
        entry.value = Some(Value::Data(vec![0xff]));
        entry.modified = None;
        entry.writer = None;
        assert_eq!(
            serde_json::to_string(&entry).unwrap(),
            r#"{"key":"player/volume","data":"/w==","revision":21}"#
        );
        entry.value = None;
        assert_eq!(
            serde_json::to_string(&entry).unwrap(),
            r#"{"key":"player/volume","revision":21}"#
        );
    }

    proptest! {
        #[test]
        fn the_wire_gives_back_every_value(bytes: Vec<u8>) {
            let (value, data) = Value::from(bytes.clone()).into_fields();
            let told = Value::from_fields(value, data).unwrap().unwrap();
            prop_assert_eq!(told.as_bytes(), &bytes);
        }
    }
}
