//! Replies, written field by field into the connection's buffer.
//!
//! ```text
//! let mut parameters = reply.parameters();
//! parameters.bool("defined", true);
//! parameters.int("revision", 7);
//! // dropped: {"parameters":{"defined":true,"revision":7}} and NUL are in the buffer
//! ```
//! A reply holds `parameters`, always, and `error` or `continues` only when they say something:
//! anything else and sd-varlink drops the connection.

use super::json;

/// A reply to be written.
pub(crate) struct Reply<'o> {
    out: &'o mut Vec<u8>,
}

/// A JSON object that is being written. Dropping it closes it.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    /// What follows the last field.
    close: &'static [u8],
    first: bool,
}

/// A JSON array of objects that is being written. Dropping it closes it.
pub(crate) struct Array<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Reply<'o> {
    /// A reply that is appended to `out`.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        Reply { out }
    }

    /// The only reply, or one of several (see [`Object::continues`]).
    pub(crate) fn parameters(self) -> Object<'o> {
        Object::open(self.out, b"{\"parameters\":{", b"}}\0")
    }

    /// An error.
    pub(crate) fn error(self, interface: &str, name: &str) -> Object<'o> {
        self.out.extend_from_slice(b"{\"error\":\"");
        self.out.extend_from_slice(interface.as_bytes());
        self.out.push(b'.');
        self.out.extend_from_slice(name.as_bytes());
        Object::open(self.out, b"\",\"parameters\":{", b"}}\0")
    }
}

impl<'o> Object<'o> {
    fn open(out: &'o mut Vec<u8>, open: &[u8], close: &'static [u8]) -> Self {
        out.extend_from_slice(open);
        Object {
            out,
            close,
            first: true,
        }
    }

    /// Says of the parameters of a reply that other replies follow; only to a caller that set
    /// `more`.
    pub(crate) fn continues(&mut self) {
        self.close = b"},\"continues\":true}\0";
    }

    pub(crate) fn bool(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(crate) fn int(&mut self, name: &str, value: i64) {
        self.name(name);
        json::write_int(self.out, value);
    }

    /// A number that is never negative; what does not fit is told as the greatest that does.
    pub(crate) fn count(&mut self, name: &str, value: u64) {
        self.int(name, i64::try_from(value).unwrap_or(i64::MAX));
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.text(name, value.as_bytes());
    }

    /// Bytes that are known to be text, see [`super::text`].
    pub(crate) fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        json::write_text(self.out, value);
    }

    /// Bytes in Base64.
    pub(crate) fn data(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        json::write_base64(self.out, value);
    }

    pub(crate) fn strings(&mut self, name: &str, values: &[&str]) {
        self.name(name);
        self.out.push(b'[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            json::write_text(self.out, value.as_bytes());
        }
        self.out.push(b']');
    }

    pub(crate) fn object(&mut self, name: &str) -> Object<'_> {
        self.name(name);
        Object::open(self.out, b"{", b"}")
    }

    pub(crate) fn array(&mut self, name: &str) -> Array<'_> {
        self.name(name);
        self.out.push(b'[');
        Array {
            out: self.out,
            first: true,
        }
    }

    /// Field names come from the interface file: letters and digits, nothing to escape.
    fn name(&mut self, name: &str) {
        self.out
            .extend_from_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.out.extend_from_slice(self.close);
    }
}

impl Array<'_> {
    pub(crate) fn object(&mut self) -> Object<'_> {
        let open: &[u8] = if self.first { b"{" } else { b",{" };
        self.first = false;
        Object::open(self.out, open, b"}")
    }

    /// How many bytes the buffer holds so far, of this reply and of those before it.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }
}

impl Drop for Array<'_> {
    fn drop(&mut self) {
        self.out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(Reply<'_>)) -> String {
        let mut out = Vec::new();
        write(Reply::new(&mut out));
        assert_eq!(out.pop(), Some(0));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_reply_without_fields_still_has_parameters() {
        assert_eq!(
            written(|reply| drop(reply.parameters())),
            r#"{"parameters":{}}"#
        );
        assert_eq!(
            written(|reply| reply.parameters().continues()),
            r#"{"parameters":{},"continues":true}"#
        );
        assert_eq!(
            written(|reply| drop(reply.error("a.b", "C"))),
            r#"{"error":"a.b.C","parameters":{}}"#
        );
    }

    #[test]
    fn objects_nest() {
        let reply = written(|reply| {
            let mut parameters = reply.parameters();
            parameters.bool("yes", true);
            let mut entries = parameters.array("entries");
            entries.object().string("key", "a");
            entries.object().count("size", u64::MAX);
            drop(entries);
            parameters.object("writer").int("uid", -1);
            parameters.strings("names", &["a", "b"]);
            parameters.data("data", b"\xff");
        });
        let expected = r#"{"parameters":{"yes":true,"entries":[{"key":"a"},{"size":9223372036854775807}],"writer":{"uid":-1},"names":["a","b"],"data":"/w=="}}"#;
        assert_eq!(reply, expected);
    }
}
