//! Words that a shell takes for nothing but themselves.
//!
//! What is quoted here may have been written by an enemy, and is read by `eval`. The form is one
//! that sh, bash, zsh and fish read alike: in single quotes everything stands for itself, but for
//! the quote, and in fish the backslash; so both stand outside of quotes, behind a backslash.

/// Quotes bytes for a shell; `db'1` becomes `'db'\''1'`. There must be no NUL in them: no shell has
/// a form for it.
pub(super) fn quote(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return b"''".to_vec();
    }
    let mut quoted = Vec::with_capacity(bytes.len() + 2);
    let mut is_open = false;
    for &byte in bytes {
        let stands_outside = matches!(byte, b'\'' | b'\\');
        if stands_outside == is_open {
            quoted.push(b'\'');
            is_open = !is_open;
        }
        if stands_outside {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    if is_open {
        quoted.push(b'\'');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_and_backslashes_stand_outside_of_quotes() {
        for (word, quoted) in [
            ("", "''"),
            ("db'1", r"'db'\''1'"),
            ("'", r"\'"),
            ("''", r"\'\'"),
            (r"a\", r"'a'\\"),
            ("$(reboot)\n`id` \"x\"", "'$(reboot)\n`id` \"x\"'"),
        ] {
            assert_eq!(String::from_utf8(quote(word.as_bytes())).unwrap(), quoted);
        }
    }

    proptest! {
        // Each starts a process.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_reads_what_was_quoted(
            words in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(1..=255u8, 0..40),
                    r#"['"\\$`(){};&|<>!*?~# \n\ta-]{0,20}"#.prop_map(String::into_bytes),
                ],
                0..20,
            ),
        ) {
            let mut script = b"printf '%s\\0' ".to_vec();
            for word in &words {
                script.extend(quote(word));
                script.push(b' ');
            }
            script.extend(b"end");
            for shell in ["sh", "bash"] {
                let script = OsStr::from_bytes(&script);
                let output = Command::new(shell).arg("-c").arg(script).output().unwrap();
                let read = output.stdout.split(|byte| *byte == 0);
                let expected = words.iter().map(Vec::as_slice).chain([&b"end"[..], b""]);
                prop_assert!(read.eq(expected), "{shell}: {output:?}");
            }
        }
    }
}
