//! varlink without I/O: bytes in, messages out.
//!
//! A peer's bytes go through [`frame`] (messages end with NUL), [`request`] (strict JSON), and the
//! generated `dispatch` of an interface, which reads the parameters with [`object`] and, when they
//! are wrong, names the culprit with [`table`]. Replies are written with [`reply`].
//! [`introspection`] answers `org.varlink.service`.
//!
//! [`text`] says what may be told as text; programs that call the service need that and [`frame`]
//! alone. `key` says what can be a key, [`pattern`] which keys a pattern means.
//!
//! Nothing here knows a socket or what keys and values mean; every part can be fuzzed as a pure
//! function.

#[cfg(feature = "service")]
pub(crate) mod fault;
pub(crate) mod frame;
#[cfg(feature = "service")]
pub(crate) mod introspection;
#[cfg(feature = "service")]
pub(crate) mod json;
pub(crate) mod key;
#[cfg(feature = "service")]
pub(crate) mod object;
// A program that only reads uses a part of it.
#[cfg_attr(not(feature = "service"), allow(dead_code))]
pub(crate) mod pattern;
#[cfg(feature = "service")]
pub(crate) mod reply;
#[cfg(feature = "service")]
pub(crate) mod request;
#[cfg(feature = "service")]
pub(crate) mod table;
pub(crate) mod text;

/// What generated stubs need in scope.
#[cfg(feature = "service")]
pub(crate) mod prelude {
    pub(crate) use super::fault::Fault;
    pub(crate) use super::object::{Items, Parameter, Text, object, word};
    pub(crate) use super::request::Request;
    pub(crate) use super::table::{Error, Field, Interface, Kind, Method};
}
