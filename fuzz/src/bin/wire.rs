//! Whatever a peer sends: frames are the same in whatever pieces they arrive, and a request is
//! read, or refused with the name of the parameter that is wrong.

#![no_main]

// Without the replies and `org.varlink.service`, whose stubs the service's build makes.
#[path = "."]
#[allow(dead_code, unused_imports, reason = "a target uses a part of it")]
mod wire {
    #[path = "../../../src/wire/fault.rs"]
    pub(crate) mod fault;
    #[path = "../../../src/wire/frame.rs"]
    pub(crate) mod frame;
    #[path = "../../../src/wire/json.rs"]
    pub(crate) mod json;
    #[path = "../../../src/wire/object.rs"]
    pub(crate) mod object;
    #[path = "../../../src/wire/reply.rs"]
    pub(crate) mod reply;
    #[path = "../../../src/wire/request.rs"]
    pub(crate) mod request;
    #[path = "../../../src/wire/table.rs"]
    pub(crate) mod table;
    #[path = "../../../src/wire/text.rs"]
    pub(crate) mod text;

    pub(crate) mod prelude {
        pub(crate) use super::fault::Fault;
        pub(crate) use super::object::{Items, Parameter, Text, object};
        pub(crate) use super::request::Request;
        pub(crate) use super::table::{Field, Kind};
    }
}

use libfuzzer_sys::fuzz_target;

use wire::frame::Framer;
use wire::prelude::*;
use wire::reply::Reply;

object! { Inner { sure: bool = "sure", size: Option<i64> = "size" } }
object! { Outer {
    key: Text<'m> = "key",
    value: Option<Text<'m>> = "value",
    count: i64 = "count",
    inner: Option<Inner<'m>> = "inner",
    words: Items<Text<'m>> = "words",
} }

const INNER: &[Field] = &[
    field("sure", Kind::Bool),
    field("size", Kind::Nullable(&Kind::Int)),
];

const OUTER: &[Field] = &[
    field("key", Kind::String),
    field("value", Kind::Nullable(&Kind::String)),
    field("count", Kind::Int),
    field("inner", Kind::Nullable(&Kind::Struct(INNER))),
    field("words", Kind::Array(&Kind::String)),
];

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, stream) = (usize::from(input.0) + 1, input.1);
    let mut framer = Framer::default();
    let mut messages = Vec::new();
    for bytes in stream.chunks(piece) {
        framer.push(bytes);
        while let Some(message) = framer.next().expect("the stream is short") {
            messages.push(message.to_vec());
        }
        framer.rest();
    }
    let mut expected: Vec<&[u8]> = stream.split(|byte| *byte == 0).collect();
    let rest = expected.pop().unwrap_or_default();
    assert_eq!(
        (messages, framer.waiting()),
        (expected.iter().map(|m| m.to_vec()).collect(), rest.len())
    );
    for message in expected.iter().chain([&rest]) {
        let Ok(request) = Request::parse(message) else {
            continue;
        };
        assert!(request.interface().len() + request.member().len() <= request.method.len());
        let mut out = Vec::new();
        match request.parameters.read::<Outer<'_>>(OUTER) {
            Ok(outer) => {
                let mut parameters = Reply::new(&mut out).parameters();
                parameters.text("key", outer.key.as_bytes());
                parameters.int("count", outer.count);
                parameters.data("data", message);
            }
            Err(fault) => fault.write(&request.method, Reply::new(&mut out)),
        }
        // One message, in JSON.
        assert_eq!(out.pop(), Some(0));
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok());
    }
});
