//! JSON, written straight into a buffer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes that are looked at together: enough for the compiler to use vector instructions.
const BLOCK: usize = 32;

/// Appends `text` as a JSON string, quotes included. `text` must be text in the sense of
/// [`super::text`], or what is written is no JSON that everyone can read.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let blocks = text.chunks_exact(BLOCK);
    let rest = blocks.remainder();
    for block in blocks {
        match block
            .iter()
            .fold(false, |found, byte| found | needs_escape(*byte))
        {
            false => out.extend_from_slice(block),
            true => escape(out, block),
        }
    }
    escape(out, rest);
    out.push(b'"');
}

/// Quote, backslash and control characters as JSON demands, and DEL, which sd-json refuses raw.
fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == 0x7F)
}

fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";

    let mut plain = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if !needs_escape(byte) {
            continue;
        }
        out.extend_from_slice(&bytes[plain..index]);
        plain = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain..]);
}

/// Appends `bytes` as a JSON string in Base64 (RFC 4648 section 4, with padding).
pub(crate) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len() + 1;
    let length = base64::encoded_len(bytes.len(), true).expect("a value fits in memory four times");
    out.push(b'"');
    out.resize(start + length, 0);
    STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("the length was computed for it");
    out.push(b'"');
}

/// Reads Base64 (RFC 4648 section 4, with padding); `None` if it is anything else.
pub(crate) fn read_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Appends a number.
pub(crate) fn write_int(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_text(&mut out, text.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn del_is_written_as_an_escape() {
        assert_eq!(written("\u{7f}"), r#""\u007f""#);
        assert_eq!(written("a\"b\\c\n\u{1b}"), r#""a\"b\\c\n\u001b""#);
    }

    proptest! {
        #[test]
        fn any_text_reads_back_and_holds_no_raw_control_character(
            text in prop_oneof!["\\PC{0,100}", "[\\x01-\\x7f]{0,100}", "(a{30}[\\x01-\\x7f]?){0,5}"]
        ) {
            let json = written(&text);
            prop_assert!(json.bytes().all(|byte| byte >= 0x20 && byte != 0x7F));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn any_bytes_come_back_through_base64(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut out = Vec::new();
            write_base64(&mut out, &bytes);
            let text: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read_base64(&text), Some(bytes));
        }
    }

    #[test]
    fn base64_needs_its_padding() {
        assert_eq!(read_base64("aA=="), Some(b"h".to_vec()));
        for wrong in ["aA", "aA=", "aA==\n", "a-__", "aB=="] {
            assert_eq!(read_base64(wrong), None, "{wrong}");
        }
    }
}
