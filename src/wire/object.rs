//! Structs that read themselves from JSON objects and borrow from the message.
//!
//! Stricter than what serde derives: only an object will do (serde also takes an array of the
//! values in order), a name that is not known is an error, and so is a name that comes twice.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

/// What a field is when its name does not occur.
pub(crate) trait Parameter: Sized {
    /// The value of a field that is left out; `None` if it must not be.
    fn absent() -> Option<Self> {
        None
    }
}

impl Parameter for bool {}
impl Parameter for i64 {}
impl Parameter for Text<'_> {}
impl<T> Parameter for Items<T> {}
impl<T> Parameter for Option<T> {
    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// A string in a message, borrowed from it unless it was written with escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<'m>(Cow<'m, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'m> Deserialize<'m> for Text<'m> {
    fn deserialize<D: Deserializer<'m>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'m> Visitor<'m> for Reader {
            type Value = Text<'m>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'m str) -> Result<Text<'m>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'m>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Text<'m>, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

/// Most items of an array. No method takes more, and who sends millions of them must be refused
/// before they are kept.
const ITEMS_MAX: usize = 4096;

/// An array in a message.
#[derive(Debug)]
pub(crate) struct Items<T>(Vec<T>);

impl<T> Deref for Items<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'m, T: Deserialize<'m>> Deserialize<'m> for Items<T> {
    fn deserialize<D: Deserializer<'m>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<'m, T: Deserialize<'m>> Visitor<'m> for Reader<T> {
            type Value = Items<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'m>>(self, mut items: A) -> Result<Items<T>, A::Error> {
                let mut kept = Vec::new();
                while let Some(item) = items.next_element()? {
                    if kept.len() == ITEMS_MAX {
                        return Err(A::Error::custom("too many items"));
                    }
                    kept.push(item);
                }
                Ok(Items(kept))
            }
        }

        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

/// Defines a struct with the given fields: `object! { Name { field: Type = "nameInJson", } }`.
/// `Type` may name the lifetime `'m` of the message.
macro_rules! object {
    ($name:ident { $($field:ident : $type:ty = $json:literal),* $(,)? }) => {
        #[derive(Debug)]
        pub(crate) struct $name<'m> {
            $(pub(crate) $field: $type,)*
            message: std::marker::PhantomData<&'m str>,
        }

        impl Parameter for $name<'_> {}

        impl<'m> serde::Deserialize<'m> for $name<'m> {
            fn deserialize<D: serde::Deserializer<'m>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;

                impl<'m> serde::de::Visitor<'m> for Reader {
                    type Value = $name<'m>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'m>>(
                        self,
                        mut map: A,
                    ) -> Result<Self::Value, A::Error> {
                        use serde::de::Error;

                        $(let mut $field: Option<$type> = None;)*
                        while let Some(name) = map.next_key::<Text<'m>>()? {
                            match &*name {
                                $($json => {
                                    if $field.replace(map.next_value()?).is_some() {
                                        return Err(A::Error::duplicate_field($json));
                                    }
                                })*
                                other => return Err(A::Error::unknown_field(other, &[$($json),*])),
                            }
                        }
                        Ok($name {
                            $($field: $field
                                .or_else(Parameter::absent)
                                .ok_or_else(|| A::Error::missing_field($json))?,)*
                            message: std::marker::PhantomData,
                        })
                    }
                }

                deserializer.deserialize_map(Reader)
            }
        }
    };
}

/// Defines an enum that is told by its words: `word! { Name { First = "first", } }`.
macro_rules! word {
    ($name:ident { $($word:ident = $json:literal),* $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($word,)*
        }

        impl Parameter for $name {}

        impl<'m> serde::Deserialize<'m> for $name {
            fn deserialize<D: serde::Deserializer<'m>>(deserializer: D) -> Result<Self, D::Error> {
                match &*Text::deserialize(deserializer)? {
                    $($json => Ok($name::$word),)*
                    other => Err(serde::de::Error::unknown_variant(other, &[$($json),*])),
                }
            }
        }
    };
}

pub(crate) use object;
pub(crate) use word;

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::prelude::*;
    use super::super::table::{Of, culprit};

    object! { Inner { sure: bool = "sure", size: Option<i64> = "size" } }
    object! { Outer {
        key: Text<'m> = "key",
        count: i64 = "count",
        flag: Option<bool> = "flag",
        names: Option<Items<Text<'m>>> = "names",
        inner: Option<Inner<'m>> = "inner",
    } }

    static INNER: Kind = Kind::Struct(&[
        field("sure", Kind::Bool),
        field("size", Kind::Nullable(&Kind::Int)),
    ]);
    static OUTER: [Field; 5] = [
        field("key", Kind::String),
        field("count", Kind::Int),
        field("flag", Kind::Nullable(&Kind::Bool)),
        field("names", Kind::Nullable(&Kind::Array(&Kind::String))),
        field("inner", Kind::Nullable(&Kind::Named(&INNER))),
    ];

    word! { Heat { Hot = "hot", RatherCold = "rather_cold" } }

    #[test]
    fn an_enum_is_one_of_its_words() {
        let heat = |text| serde_json::from_str::<Heat>(text);
        assert_eq!(heat(r#""hot""#).unwrap(), Heat::Hot);
        assert_eq!(heat(r#""rather\u005fcold""#).unwrap(), Heat::RatherCold);
        for other in [r#""warm""#, r#""Hot""#, "0", "null", r#"["hot"]"#] {
            assert!(heat(other).is_err(), "{other}");
        }
    }

    const fn field(name: &'static str, kind: Kind) -> Field {
        Field { name, kind }
    }

    fn read(object: &str) -> Result<Outer<'_>, serde_json::Error> {
        serde_json::from_str(object)
    }

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        let plain: Text = serde_json::from_str(r#""plain""#).unwrap();
        assert!(matches!(plain.0, Cow::Borrowed("plain")));
        let escaped: Text = serde_json::from_str(r#""\u0041""#).unwrap();
        assert!(matches!(&escaped.0, Cow::Owned(text) if text == "A"));
    }

    #[test]
    fn fields_are_read_by_name_in_any_order() {
        let outer = read(
            r#"{"inner":{"sure":true},"count":-7,"flag":null,"names":["a","\u0062"],"key":"k"}"#,
        )
        .unwrap();
        assert_eq!((&*outer.key, outer.count, outer.flag), ("k", -7, None));
        let names = outer.names.unwrap();
        assert_eq!([&*names[0], &*names[1]], ["a", "b"]);
        let inner = outer.inner.unwrap();
        assert_eq!((inner.sure, inner.size), (true, None));
    }

    #[test]
    fn only_an_object_will_do() {
        for other in [r#"["k",1,null,null,null]"#, "null", r#""key""#, ""] {
            assert!(read(other).is_err(), "{other}");
        }
        assert!(read(r#"{"key":"k","count":1,"inner":[true,1]}"#).is_err());
    }

    /// Some JSON, and the one field of `OUTER` that it fits, if any; null fits all that may be
    /// left out.
    const VALUES: &[(&str, &str)] = &[
        (r#""""#, "key"),
        (r#""a\u0000\ufffe""#, "key"),
        (r#""\ud800""#, "nothing: half a character"),
        ("0", "count"),
        ("-9223372036854775808", "count"),
        ("9223372036854775808", "nothing: too large"),
        ("1.0", "nothing: no integer"),
        ("1e999", "nothing: no number at all"),
        ("true", "flag"),
        ("[]", "names"),
        (r#"[ "a", "a" ]"#, "names"),
        (r#"["a", null]"#, "nothing: null is no name"),
        ("[[[[[[[[]]]]]]]]", "nothing"),
        (r#"{"sure": true}"#, "inner"),
        (r#"{ "size": null, "s\u0075re": false }"#, "inner"),
        ("{}", "nothing: 'sure' is missing"),
        (r#"{"sure":1}"#, "nothing: 1 is not sure"),
        (r#"{"sure":true,"sure":true}"#, "nothing: twice sure"),
        (r#"{"sure":true,"unsure":null}"#, "nothing: unknown"),
        ("[true]", "nothing: positions are no names"),
        ("null", "null"),
    ];

    /// Names as they are spelled, and what they mean.
    const NAMES: &[(&str, &str)] = &[
        ("key", "key"),
        ("k\\u0065y", "key"),
        ("count", "count"),
        ("flag", "flag"),
        ("names", "names"),
        ("inner", "inner"),
        ("Key", "Key"),
        ("", ""),
    ];

    type Member = ((&'static str, &'static str), (&'static str, &'static str));

    /// Mostly the two members that must be there, so that often nothing is wrong.
    fn members() -> impl Strategy<Value = Vec<Member>> {
        let usual = vec![(NAMES[0], VALUES[0]), (NAMES[2], VALUES[3])];
        let fitting = VALUES.iter().filter_map(|value| {
            let name = NAMES.iter().find(|(_, name)| *name == value.1)?;
            Some((*name, *value))
        });
        let any = (select(NAMES), select(VALUES));
        let others =
            prop::collection::vec(prop_oneof![select(fitting.collect::<Vec<_>>()), any], 0..4);
        (prop::sample::subsequence(usual, 0..=2), others)
            .prop_map(|(usual, others)| [usual, others].concat())
            .prop_shuffle()
    }

    /// The names of all fields with which something is wrong.
    fn wrong(members: &[Member]) -> Vec<&'static str> {
        let optional = ["flag", "names", "inner"];
        let misfits = members.iter().filter(|((_, name), (_, fits))| {
            name != fits && !(*fits == "null" && optional.contains(name))
        });
        let mut names: Vec<_> = misfits.map(|((_, name), _)| *name).collect();
        for (_, name) in NAMES {
            let count = members
                .iter()
                .filter(|((_, given), _)| given == name)
                .count();
            let is_missing = count == 0 && ["key", "count"].contains(name);
            if is_missing || count > 1 {
                names.push(name);
            }
        }
        names
    }

    proptest! {
        /// The struct refuses an object if and only if the table names a culprit, and that is one.
        #[test]
        fn the_struct_and_the_table_agree(members in members()) {
            let texts: Vec<String> = members
                .iter()
                .map(|((name, _), (value, _))| format!(r#" "{name}" : {value} "#))
                .collect();
            let object = format!("{{{}}}", texts.join(","));
            let wrong = wrong(&members);
            let named = culprit(&object, &OUTER, Of::Request);
            prop_assert_eq!(read(&object).is_err(), named.is_some(), "{}", object);
            prop_assert_eq!(named.is_some(), !wrong.is_empty(), "{} {:?}", object, named);
            prop_assert!(named.is_none_or(|named| wrong.contains(&&*named)), "{}", object);
        }
    }
}
