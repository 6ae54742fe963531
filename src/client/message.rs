//! Requests and replies as bytes: varlink for one who calls.
//!
//! varlink_generator makes a client too, and only its types are used: that client goes through a
//! tree of JSON values twice on each way, cannot tell whether a request has left, and allows only
//! one reader for a connection. What it does with them takes these few lines.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::ser::Serialize;
use serde_derive::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::Error;

/// How many replies a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replies {
    One,
    Many,
}

/// A reply that is no error.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply<R> {
    pub(super) parameters: R,
    /// Whether others follow.
    pub(super) continues: bool,
}

/// Why a reply has no parameters.
#[derive(Debug)]
pub(super) enum Problem {
    /// It is an error.
    Refused(Error),
    /// It is no reply, or not one to this method.
    Nonsense(String),
}

#[derive(Serialize)]
struct Request<'r, P> {
    method: &'r str,
    parameters: &'r P,
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
}

#[derive(Deserialize)]
struct Success<R> {
    parameters: R,
    #[serde(default)]
    continues: bool,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Failure<'m> {
    error: String,
    #[serde(borrow)]
    parameters: Option<&'m RawValue>,
}

/// The message that calls a method of `io.globstash`.
pub(super) fn request(method: &str, parameters: &impl Serialize, replies: Replies) -> Vec<u8> {
    let method = format!("io.globstash.{method}");
    let mut message = Vec::with_capacity(256);
    let request = Request {
        method: &method,
        parameters,
        more: (replies == Replies::Many).then_some(true),
    };
    serde_json::to_writer(&mut message, &request).expect("memory is written to, with string keys");
    message.push(0);
    message
}

/// What a message says, given without its NUL.
pub(super) fn reply<R: DeserializeOwned>(message: &[u8]) -> Result<Reply<R>, Problem> {
    // Most replies are no errors, so that is what is tried first.
    let why = match serde_json::from_slice::<Success<R>>(message) {
        Ok(Success {
            parameters,
            continues,
            error: None,
        }) => {
            return Ok(Reply {
                parameters,
                continues,
            });
        }
        Ok(_) => None,
        Err(why) => Some(why),
    };
    match serde_json::from_slice::<Failure>(message) {
        Ok(Failure { error, parameters }) => {
            let parameters = parameters.map(RawValue::get);
            Err(Problem::Refused(Error::of_reply(&error, parameters)))
        }
        Err(other) => Err(Problem::Nonsense(why.unwrap_or(other).to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::generated::{Get_Args, Get_Reply};
    use super::*;

    fn read(message: &str) -> Result<Reply<Get_Reply>, Problem> {
        reply(message.as_bytes())
    }

    #[test]
    fn a_request_ends_with_nul() {
        let args = Get_Args {
            key: "k".into(),
            metadata: None,
        };
        assert_eq!(
            request("Get", &args, Replies::One),
            b"{\"method\":\"io.globstash.Get\",\"parameters\":{\"key\":\"k\"}}\0"
        );
        assert_eq!(
            request("Get", &args, Replies::Many),
            b"{\"method\":\"io.globstash.Get\",\"parameters\":{\"key\":\"k\"},\"more\":true}\0"
        );
    }

    #[test]
    fn a_reply_has_parameters() {
        let told = read(
            r#"{"parameters":{"defined":true,"value":"v","revision":7,"new":1},"continues":true}"#,
        );
        let told = told.unwrap();
        assert!(told.continues);
        assert_eq!(told.parameters.value.as_deref(), Some("v"));
        assert_eq!(told.parameters.revision, 7);
    }

    #[test]
    fn an_error_is_an_error_whatever_its_parameters_are() {
        for message in [
            r#"{"error":"io.globstash.InvalidKey","parameters":{"key":"k","reason":"r"}}"#,
            r#"{"parameters":{"defined":true,"revision":7,"key":"k","reason":"r"},"error":"io.globstash.InvalidKey"}"#,
        ] {
            match read(message) {
                Err(Problem::Refused(Error::InvalidKey { key, .. })) => assert_eq!(key, "k"),
                result => panic!("{result:?}"),
            }
        }
        let told = read(r#"{"error":"org.varlink.service.PermissionDenied"}"#);
        assert!(matches!(
            told,
            Err(Problem::Refused(Error::PermissionDenied))
        ));
    }

    #[test]
    fn what_is_no_reply_is_nonsense() {
        for message in [
            "",
            "hello",
            "{]",
            "{}",
            r#"{"parameters":{}}"#,
            r#"{"error":7}"#,
        ] {
            let told = read(message);
            assert!(matches!(told, Err(Problem::Nonsense(_))), "{message}");
        }
    }
}
