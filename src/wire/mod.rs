//! varlink without I/O: bytes in, messages out.
//!
//! A peer's bytes go through [`frame`] (messages end with NUL), [`request`] (strict JSON), and the
//! generated `dispatch` of an interface, which reads the parameters with [`object`] and, when they
//! are wrong, names the culprit with [`table`]. Replies are written with [`reply`].
//! [`introspection`] answers `org.varlink.service`.
//!
//! Nothing here knows a socket, a key or a value's meaning; every part can be fuzzed as a pure
//! function.

pub(crate) mod fault;
pub(crate) mod frame;
pub(crate) mod introspection;
pub(crate) mod json;
mod object;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod table;
pub(crate) mod text;

/// What generated stubs need in scope.
pub(crate) mod prelude {
    pub(crate) use super::fault::Fault;
    pub(crate) use super::object::{Parameter, object};
    pub(crate) use super::request::Request;
    pub(crate) use super::table::{Error, Field, Interface, Kind, Method};
    pub(crate) use super::text::Text;
}
