//! An interface as data: which fields its methods and errors have, and of which kind.
//!
//! Parameters are read straight into a method's struct. Only when that fails is the table asked,
//! to name the culprit; so a correct call pays nothing for it. In debug builds every reply is
//! checked against it too, so that no reply can drift from the interface file unnoticed by tests.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::object::{Items, Text};

/// An interface.
pub(crate) struct Interface {
    /// Its name, such as `io.globstash`.
    pub(crate) name: &'static str,
    /// Its definition, word for word.
    pub(crate) description: &'static str,
    /// Its methods, in the order of the file.
    pub(crate) methods: &'static [Method],
    /// Its errors.
    pub(crate) errors: &'static [Error],
}

/// A method.
pub(crate) struct Method {
    /// Its name without the interface.
    pub(crate) name: &'static str,
    /// Its parameters.
    pub(crate) inputs: &'static [Field],
    /// What it replies.
    pub(crate) outputs: &'static [Field],
}

/// An error.
pub(crate) struct Error {
    /// Its name without the interface.
    pub(crate) name: &'static str,
    /// Its parameters.
    pub(crate) fields: &'static [Field],
}

/// A field of an object.
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
}

/// What a field can hold.
#[allow(dead_code, reason = "no interface needs all of them")]
pub(crate) enum Kind {
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `string`
    String,
    /// `?T`: null, or left out, or T
    Nullable(&'static Kind),
    /// `[]T`
    Array(&'static Kind),
    /// A named type
    Named(&'static Kind),
    /// An object with these fields
    Struct(&'static [Field]),
    /// One of these words
    Enum(&'static [&'static str]),
}

/// What an object belongs to: a request has arrays that others have made, and no longer ones than we
/// take; those of a reply are our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Request,
    Reply,
}

/// The first field in `object` (the text of a JSON object) that is not as `fields` says: missing,
/// unknown, there twice, or of the wrong kind. Of a nested object, the outermost field is named.
pub(crate) fn culprit(object: &str, fields: &[Field], of: Of) -> Option<String> {
    let Some(members) = members(object) else {
        // Not to be reached with a whole message, which was parsed before.
        return Some("parameters".to_owned());
    };
    for (index, (name, value)) in members.iter().enumerate() {
        let twice = members[..index]
            .iter()
            .any(|(earlier, _)| **earlier == **name);
        let fits = |field: &Field| *field.name == **name && field.kind.fits(value, of);
        if twice || !fields.iter().any(fits) {
            return Some(name.to_string());
        }
    }
    let given = |field: &&Field| members.iter().any(|(name, _)| **name == *field.name);
    let missing = fields
        .iter()
        .find(|field| !matches!(field.kind, Kind::Nullable(_)) && !given(field));
    missing.map(|field| field.name.to_owned())
}

/// What is wrong with `message`, a reply without its NUL to a method with these outputs, if
/// anything is.
pub(crate) fn reply_flaw(
    interfaces: &[&Interface],
    outputs: &'static [Field],
    message: &str,
) -> Option<String> {
    let Some(members) = members(message) else {
        return Some("no JSON object".to_owned());
    };
    let mut fields = Some(outputs);
    for (name, value) in &members {
        match (&**name, value.get()) {
            ("continues", "true") | ("parameters", _) => {}
            ("error", error) => fields = error_fields(interfaces, error.trim_matches('"')),
            (name, value) => return Some(format!("{name}: {value}")),
        }
    }
    let Some(fields) = fields else {
        return Some("an error that no interface defines".to_owned());
    };
    match members.iter().find(|(name, _)| **name == *"parameters") {
        Some((_, parameters)) => culprit(parameters.get(), fields, Of::Reply),
        None => Some("no parameters".to_owned()),
    }
}

fn error_fields(interfaces: &[&Interface], error: &str) -> Option<&'static [Field]> {
    let (interface, member) = error.rsplit_once('.')?;
    let interface = interfaces.iter().find(|known| known.name == interface)?;
    let error = interface.errors.iter().find(|known| known.name == member)?;
    Some(error.fields)
}

impl Kind {
    /// Whether `value`, the text of a JSON value, is of this kind.
    fn fits(&self, value: &RawValue, of: Of) -> bool {
        let text = value.get();
        match self {
            Kind::Bool => serde_json::from_str::<bool>(text).is_ok(),
            Kind::Int => serde_json::from_str::<i64>(text).is_ok(),
            Kind::String => serde_json::from_str::<Text<'_>>(text).is_ok(),
            Kind::Nullable(inner) => text == "null" || inner.fits(value, of),
            Kind::Array(inner) => {
                let all = |items: &[&RawValue]| items.iter().all(|item| inner.fits(item, of));
                match of {
                    Of::Request => serde_json::from_str::<Items<&RawValue>>(text)
                        .is_ok_and(|items| all(&items)),
                    Of::Reply => {
                        serde_json::from_str::<Vec<&RawValue>>(text).is_ok_and(|items| all(&items))
                    }
                }
            }
            Kind::Named(inner) => inner.fits(value, of),
            Kind::Struct(fields) => text.starts_with('{') && culprit(text, fields, of).is_none(),
            Kind::Enum(words) => {
                serde_json::from_str::<Text<'_>>(text).is_ok_and(|word| words.contains(&&*word))
            }
        }
    }
}

/// A member of a JSON object.
type Member<'m> = (Text<'m>, &'m RawValue);

/// More members than any object of ours has: what follows need not be looked at, for one of these
/// is unknown or there twice.
const ENOUGH: usize = 64;

/// The members of a JSON object, in order, not merged, up to [`ENOUGH`]; `None` if it is none.
fn members(object: &str) -> Option<Vec<Member<'_>>> {
    let mut members = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let read = Members(&mut members).deserialize(&mut deserializer);
    (read.is_ok() || members.len() == ENOUGH).then_some(members)
}

/// Takes in members until there are enough.
struct Members<'a, 'm>(&'a mut Vec<Member<'m>>);

impl<'m> DeserializeSeed<'m> for Members<'_, 'm> {
    type Value = ();

    fn deserialize<D: Deserializer<'m>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'m> Visitor<'m> for Members<'_, 'm> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'m>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(member) = map.next_entry()? {
            self.0.push(member);
            if self.0.len() == ENOUGH {
                return Err(A::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static WORD: Kind = Kind::Enum(&["hot", "cold"]);
    static OUTPUTS: [Field; 1] = [Field {
        name: "word",
        kind: Kind::Named(&WORD),
    }];
    static INTERFACE: Interface = Interface {
        name: "a.b",
        description: "",
        methods: &[],
        errors: &[Error {
            name: "Failed",
            fields: &[],
        }],
    };

    fn named(object: &str) -> Option<String> {
        culprit(object, &OUTPUTS, Of::Request)
    }

    #[test]
    fn the_first_wrong_field_is_named_and_only_then_a_missing_one() {
        assert_eq!(named(r#"{"word":"hot"}"#), None);
        assert_eq!(named("{}").as_deref(), Some("word"));
        assert_eq!(named(r#"{"wrod":"hot"}"#).as_deref(), Some("wrod"));
        assert_eq!(named(r#"{"x":1,"y":1,"word":1}"#).as_deref(), Some("x"));
    }

    #[test]
    fn an_enum_is_one_of_its_words() {
        for other in [r#"{"word":"warm"}"#, r#"{"word":0}"#, r#"{"word":null}"#] {
            assert_eq!(named(other).as_deref(), Some("word"), "{other}");
        }
    }

    #[test]
    fn more_members_than_any_method_has_still_have_a_culprit() {
        let members: Vec<String> = (0..1000).map(|n| format!(r#""x{n}":0"#)).collect();
        let object = format!("{{{}}}", members.join(","));
        assert_eq!(named(&object).as_deref(), Some("x0"));
    }

    #[test]
    fn a_reply_is_held_to_the_interface() {
        let flaw = |message| reply_flaw(&[&INTERFACE], &OUTPUTS, message);
        for good in [
            r#"{"parameters":{"word":"cold"}}"#,
            r#"{"parameters":{"word":"cold"},"continues":true}"#,
            r#"{"error":"a.b.Failed","parameters":{}}"#,
        ] {
            assert_eq!(flaw(good), None, "{good}");
        }
        for bad in [
            "{}",
            "[]",
            r#"{"parameters":null}"#,
            r#"{"parameters":{}}"#,
            r#"{"parameters":{"word":"cold"},"continues":false}"#,
            r#"{"parameters":{"word":"cold"},"other":1}"#,
            r#"{"error":"a.b.Other","parameters":{}}"#,
            r#"{"error":null,"parameters":{"word":"cold"}}"#,
            r#"{"error":"a.b.Failed","parameters":{"word":"cold"}}"#,
        ] {
            assert!(flaw(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_reply_may_have_more_items_than_a_request() {
        static NUMBERS: [Field; 1] = [Field {
            name: "numbers",
            kind: Kind::Array(&Kind::Int),
        }];
        let parameters = format!(r#"{{"numbers":{:?}}}"#, vec![0; 100_000]);
        let reply = format!(r#"{{"parameters":{parameters}}}"#);
        assert_eq!(reply_flaw(&[&INTERFACE], &NUMBERS, &reply), None);
    }
}
