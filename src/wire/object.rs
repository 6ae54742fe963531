//! Structs that read themselves from JSON objects and borrow from the message.
//!
//! Stricter than what serde derives: only an object will do (serde also takes an array of the
//! values in order), a name that is not known is an error, and so is a name that comes twice.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Visitor};

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
impl<T> Parameter for Vec<T> {}
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

pub(crate) use object;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        let plain: Text = serde_json::from_str(r#""plain""#).unwrap();
        assert!(matches!(plain.0, Cow::Borrowed("plain")));
        let escaped: Text = serde_json::from_str(r#""\u0041""#).unwrap();
        assert!(matches!(&escaped.0, Cow::Owned(text) if text == "A"));
    }
}
