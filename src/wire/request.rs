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
use super::table::{Field, culprit};

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
        serde_json::from_slice(message).map_err(Malformed)
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
            let culprit = culprit(self.0, fields);
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
