//! The errors of `org.varlink.service`, which every service answers with.

use super::reply::Reply;
use super::text::echo;

/// How much of a name that the caller sent is told back, in bytes.
const ECHO_MAX: usize = 255;

/// Why a call did not reach its method.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The service has no interface of this name.
    InterfaceNotFound(String),
    /// The interface has no such method.
    MethodNotFound,
    /// The parameter of this name is missing, unknown or wrong.
    InvalidParameter(String),
    /// The method needs the flag `more`.
    #[allow(dead_code, reason = "no method needs it yet")]
    ExpectedMore,
}

impl Fault {
    /// Writes the error reply to a call of `method`.
    pub(crate) fn write(&self, method: &str, reply: Reply<'_>) {
        let (name, field) = match self {
            Fault::InterfaceNotFound(interface) => {
                ("InterfaceNotFound", Some(("interface", &**interface)))
            }
            Fault::MethodNotFound => ("MethodNotFound", Some(("method", method))),
            Fault::InvalidParameter(parameter) => {
                ("InvalidParameter", Some(("parameter", &**parameter)))
            }
            Fault::ExpectedMore => ("ExpectedMore", None),
        };
        let mut parameters = reply.error("org.varlink.service", name);
        if let Some((name, value)) = field {
            parameters.string(name, &echo(value, ECHO_MAX));
        }
    }
}
