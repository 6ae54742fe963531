//! A request: which method, with which parameters and flags.
//!
//! As strict as systemd's varlink, which also closes the connection over a request that is not
//! understood: who sends `"prameters"` must not have something else done instead.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::fault::Fault;
use super::object::Text;
use super::table::{Field, Of, culprit};

/// A call as it came in, borrowed from the message.
#[derive(Debug)]
pub(crate) struct Request<'m> {
    /// The full name of the method, such as `io.globstash.Get`.
    pub(crate) method: Text<'m>,
    /// The parameters, not looked into yet.
    pub(crate) parameters: Parameters<'m>,
    /// Whether the caller takes several replies.
    pub(crate) more: bool,
    /// Whether the caller wants no reply.
    pub(crate) oneway: bool,
}

/// The text of a JSON object with the parameters of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters<'m>(&'m str);

/// A message that is no request. The connection is to be closed.
#[derive(Debug)]
pub(crate) struct Malformed(serde_json::Error);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what serde_json says: that quotes the message, and this is for the log, where no
        // value may appear.
        let what = match self.0.classify() {
            Category::Syntax | Category::Io => "the message is no JSON",
            Category::Eof => "the message is no complete JSON",
            Category::Data => "the message is no varlink request",
        };
        write!(
            f,
            "{what}: line {}, column {}",
            self.0.line(),
            self.0.column()
        )
    }
}

impl<'m> Request<'m> {
    /// Reads a message.
    pub(crate) fn parse(message: &'m [u8]) -> Result<Self, Malformed> {
        // Checking the whole message once is cheaper than checking each string in it, which is what
        // serde_json does with bytes. Bytes that are no UTF-8 it refuses, and says where.
        match std::str::from_utf8(message) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(message),
        }
        .map_err(Malformed)
    }

    /// The name of the interface; all of the method's name if it has no dot.
    pub(crate) fn interface(&self) -> &str {
        self.method
            .rsplit_once('.')
            .map_or(&self.method, |(interface, _)| interface)
    }

    /// The name of the method within its interface.
    pub(crate) fn member(&self) -> &str {
        self.method
            .rsplit_once('.')
            .map_or("", |(_, member)| member)
    }
}

impl<'m> Parameters<'m> {
    /// Reads the parameters of a method whose fields are `fields`.
    pub(crate) fn read<T: Deserialize<'m>>(self, fields: &[Field]) -> Result<T, Fault> {
        serde_json::from_str(self.0).map_err(|_| {
            let culprit = culprit(self.0, fields, Of::Request);
            debug_assert!(
                culprit.is_some(),
                "the table and the struct differ: {}",
                self.0
            );
            Fault::InvalidParameter(culprit.unwrap_or_else(|| "parameters".to_owned()))
        })
    }
}

impl<'m> Deserialize<'m> for Request<'m> {
    fn deserialize<D: Deserializer<'m>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'m> Visitor<'m> for Reader {
            type Value = Request<'m>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'m>>(self, mut map: A) -> Result<Request<'m>, A::Error> {
                let mut method: Option<Text<'m>> = None;
                let mut parameters: Option<Option<&'m RawValue>> = None;
                let (mut more, mut oneway, mut upgrade) = (None, None, None);
                while let Some(name) = map.next_key::<Text<'m>>()? {
                    let twice = match &*name {
                        "method" => method.replace(map.next_value()?).is_some(),
                        "parameters" => parameters.replace(map.next_value()?).is_some(),
                        "more" => more.replace(map.next_value()?).is_some(),
                        "oneway" => oneway.replace(map.next_value()?).is_some(),
                        // Answered as if it were not there, as systemd's services do.
                        "upgrade" => upgrade.replace(map.next_value::<bool>()?).is_some(),
                        _ => return Err(A::Error::custom("unknown field")),
                    };
                    if twice {
                        return Err(A::Error::custom("a field comes twice"));
                    }
                }
                let (more, oneway) = (more.unwrap_or(false), oneway.unwrap_or(false));
                if more && oneway {
                    return Err(A::Error::custom("'more' and 'oneway' exclude one another"));
                }
                // varlinkctl 262 leaves empty parameters out, varlink-cli sends null.
                let parameters = parameters.flatten().map_or("{}", RawValue::get);
                if !parameters.starts_with('{') {
                    return Err(A::Error::custom("'parameters' is no object"));
                }
                Ok(Request {
                    method: method.ok_or_else(|| A::Error::missing_field("method"))?,
                    parameters: Parameters(parameters),
                    more,
                    oneway,
                })
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::Value;

    use super::*;

    fn parse(message: &str) -> Result<Request<'_>, Malformed> {
        Request::parse(message.as_bytes())
    }

    #[test]
    fn a_method_belongs_to_the_interface_before_its_last_dot() {
        for (method, interface, member) in [
            ("a.b.C", "a.b", "C"),
            ("C", "C", ""),
            ("a.b.", "a.b", ""),
            ("", "", ""),
        ] {
            let message = format!(r#"{{"method":"{method}"}}"#);
            let request = parse(&message).unwrap();
            assert_eq!((request.interface(), request.member()), (interface, member));
        }
    }

    #[test]
    fn parameters_that_are_absent_or_null_are_empty() {
        for message in [
            r#"{"method":"a.B"}"#,
            r#"{"method":"a.B","parameters":null}"#,
            r#"{"method":"a.B","parameters":{}}"#,
        ] {
            assert_eq!(parse(message).unwrap().parameters.0, "{}", "{message}");
        }
    }

    #[test]
    fn a_name_may_be_spelled_with_escapes() {
        let request = parse(r#"{"m\u0065thod":"a.\u0042","more":true}"#).unwrap();
        assert_eq!((&*request.method, request.more), ("a.B", true));
        assert!(parse(r#"{"method":"a.B","m\u0065thod":"a.B"}"#).is_err());
    }

    const NAMES: &[&str] = &[
        "method",
        "parameters",
        "more",
        "oneway",
        "upgrade",
        "Method",
        "error",
        "",
    ];

    const VALUES: &[&str] = &[
        r#""a.b.C""#,
        r#""""#,
        "true",
        "false",
        "null",
        "{}",
        r#"{"key": [1, {"a": null}]}"#,
        "[]",
        r#"["a.b.C"]"#,
        "0",
        "1.5",
    ];

    /// Members as a request could have them, good ones more often.
    fn members() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
        let good = vec![
            (NAMES[0], VALUES[0]),
            (NAMES[1], VALUES[6]),
            (NAMES[2], VALUES[2]),
            (NAMES[3], VALUES[3]),
            (NAMES[4], VALUES[2]),
        ];
        let any = prop::collection::vec((select(NAMES), select(VALUES)), 0..3);
        (prop::sample::subsequence(good, 0..=5), any)
            .prop_map(|(good, any)| [good, any].concat())
            .prop_shuffle()
    }

    /// The same decision, taken member by member with nothing but plain values.
    fn is_request(members: &[(&str, &str)]) -> bool {
        let fits = |(name, value): &(&str, &str)| {
            let value: Value = serde_json::from_str(value).unwrap();
            match *name {
                "method" => value.is_string(),
                "parameters" => value.is_object() || value.is_null(),
                "more" | "oneway" | "upgrade" => value.is_boolean(),
                _ => false,
            }
        };
        let count = |name| members.iter().filter(|(given, _)| *given == name).count();
        let excluded = members.contains(&("more", "true")) && members.contains(&("oneway", "true"));
        let once = NAMES.iter().all(|name| count(*name) <= 1);
        members.iter().all(fits) && once && count("method") == 1 && !excluded
    }

    fn written(members: &[(&str, &str)], space: &str) -> String {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!(r#"{space}"{name}"{space}:{space}{value}{space}"#))
            .collect();
        format!("{space}{{{}}}{space}", members.join(","))
    }

    proptest! {
        #[test]
        fn a_request_is_what_the_rules_say(
            members in members(),
            space in select(vec!["", " ", "\t\r\n"]),
        ) {
            let message = written(&members, space);
            let request = parse(&message);
            prop_assert_eq!(request.is_ok(), is_request(&members), "{}", message);
            if let Ok(request) = request {
                let given = |name| members.iter().find(|(given, _)| *given == name);
                let is_set = |name| given(name).is_some_and(|(_, value)| *value == "true");
                prop_assert_eq!((request.more, request.oneway), (is_set("more"), is_set("oneway")));
                let parameters = given("parameters").map_or("{}", |(_, value)| *value);
                let expected = if parameters == "null" { "{}" } else { parameters };
                prop_assert_eq!(request.parameters.0, expected);
            }
        }

        /// Requests with some bytes replaced or left out, at any place.
        #[test]
        fn damaged_requests_are_no_danger(
            members in members(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(any::<u8>())), 0..4),
        ) {
            let mut message = written(&members, "").into_bytes();
            for (place, byte) in damage {
                if message.is_empty() {
                    break;
                }
                let place = place.index(message.len());
                match byte {
                    Some(byte) => message[place] = byte,
                    None => drop(message.remove(place)),
                }
            }
            if Request::parse(&message).is_ok() {
                let value: Value = serde_json::from_slice(&message).unwrap();
                prop_assert!(value["method"].is_string());
            }
        }

        #[test]
        fn any_bytes_are_no_danger(message in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Request::parse(&message).is_err());
        }
    }
}
