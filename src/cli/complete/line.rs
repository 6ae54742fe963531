//! What was typed, up to the cursor.
//!
//! zsh and fish give words without their quotes, and quote what they insert. bash leaves both to
//! us, and replaces only what follows the last of some characters in a word, or an open quote.

/// The words before the cursor.
#[derive(Debug, Default)]
pub(super) struct Line {
    words: Vec<String>,
    current: String,
    insertion: Option<Insertion>,
}

/// How bash inserts.
#[derive(Debug, Default)]
struct Insertion {
    /// How much of the current word stays, in bytes, without quotes.
    kept: usize,
    quote: Option<char>,
}

impl Line {
    pub(super) fn of_words(words: &[String], current: &str) -> Line {
        Line {
            words: words.iter().skip(1).cloned().collect(),
            current: current.to_owned(),
            insertion: None,
        }
    }

    /// Reads a line as bash does, as far as there are no expansions in it.
    pub(super) fn of_bash(line: &str, breaks: &str) -> Line {
        let mut words = Vec::new();
        let mut word = None::<String>;
        let (mut kept, mut quote) = (0, None);
        let mut chars = line.chars().peekable();
        while let Some(char) = chars.next() {
            if quote.is_none() && char.is_whitespace() {
                words.extend(word.take());
                kept = 0;
                continue;
            }
            let word = word.get_or_insert_default();
            match (quote, char) {
                (Some(open), _) if open == char => (quote, kept) = (None, 0),
                (None, '\'' | '"') => (quote, kept) = (Some(char), word.len()),
                (None, '\\') => word.extend(chars.next()),
                (Some('"'), '\\') => {
                    // Before others it stands for itself.
                    let is_escape = |next: &char| matches!(next, '"' | '\\' | '$' | '`');
                    word.push(chars.next_if(is_escape).unwrap_or(char));
                }
                (None, _) if breaks.contains(char) => {
                    word.push(char);
                    kept = word.len();
                }
                _ => word.push(char),
            }
        }
        Line {
            words: words.into_iter().skip(1).collect(),
            current: word.unwrap_or_default(),
            insertion: Some(Insertion { kept, quote }),
        }
    }

    /// Those that are complete, after the name of the command.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The one that is being typed.
    pub(super) fn current(&self) -> &str {
        &self.current
    }

    /// What the shell is to be told so that the current word becomes this one.
    pub(super) fn replacement(&self, word: &str) -> String {
        let Some(Insertion { kept, quote }) = self.insertion else {
            return word.to_owned();
        };
        // A candidate begins with what is typed.
        let rest = word.get(kept..).unwrap_or_default();
        match quote {
            Some('\'') => rest.replace('\'', r"'\''"),
            // Within double quotes a backslash does not keep '!' from the history, and stays.
            Some(_) => escaped(rest, |char| "\"\\$`".contains(char)).replace('!', r#""\!""#),
            None => escaped(rest, |char| {
                char.is_ascii() && !char.is_ascii_alphanumeric() && !"/_-.,:@%+=".contains(char)
            }),
        }
    }
}

fn escaped(text: &str, has_meaning: impl Fn(char) -> bool) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        if has_meaning(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKS: &str = " \t\n\"'@><=;|&(:";

    #[test]
    fn words_are_those_of_bash() {
        for (line, words, current) in [
            ("globstash ", &[][..], ""),
            ("globstash get pl", &["get"], "pl"),
            ("globstash get 'a b' c", &["get", "a b"], "c"),
            (r#"globstash  get "a\"\b$" "#, &["get", "a\"\\b$"], ""),
            (r"globstash get a\ b", &["get"], "a b"),
            ("globstash get a:b=c", &["get"], "a:b=c"),
            ("globstash get 'it is", &["get"], "it is"),
            ("globstash set k '' x", &["set", "k", ""], "x"),
        ] {
            let line = Line::of_bash(line, BREAKS);
            assert_eq!(line.words(), words);
            assert_eq!(line.current(), current);
        }
    }

    #[test]
    fn only_what_bash_replaces_is_given_and_nothing_in_it_has_a_meaning() {
        for (line, word, replacement) in [
            ("globstash get pl", "player/volume", "player/volume"),
            ("globstash get ", "a b", r"a\ b"),
            ("globstash get ", "$(reboot)", r"\$\(reboot\)"),
            ("globstash get ", "it's;~`", r"it\'s\;\~\`"),
            ("globstash get a:", "a:b c", r"b\ c"),
            ("globstash get a:b", "a:bc:d", "bc:d"),
            (r"globstash get a\:b", "a:bc", "a:bc"),
            ("globstash get 'it", "it's $x", r"it'\''s $x"),
            ("globstash get \"a", "a\"$(x)`\\'", "a\\\"\\$(x)\\`\\\\'"),
            ("globstash get \"a", "a!b!", r#"a"\!"b"\!""#),
            ("globstash get a", "a!b", r"a\!b"),
            ("globstash get a'b", "ab c", "b c"),
            ("globstash get grü", "größe", "größe"),
        ] {
            let told = Line::of_bash(line, BREAKS).replacement(word);
            assert_eq!(told, replacement, "{line}");
        }
        let line = Line::of_words(&["globstash".into(), "get".into()], "a");
        assert_eq!(line.replacement("a b"), "a b");
    }
}
