//! Text as manual pages have it: groff_man(7).

use std::fmt::Write as _;

/// A manual page, or a part of one.
#[derive(Default)]
pub struct Roff(String);

impl Roff {
    /// A macro, with its arguments as they are.
    pub fn request(&mut self, request: &str) -> &mut Self {
        writeln!(self.0, ".{request}").unwrap();
        self
    }

    /// A heading within a section.
    pub fn subsection(&mut self, title: &str) -> &mut Self {
        self.request(&format!("SS \"{}\"", escape(title)))
    }

    /// Lines that flow.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for line in text.lines() {
            writeln!(self.0, "{}", start(&escape(line))).unwrap();
        }
        self
    }

    /// A paragraph that flows.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        self.request("PP").text(text)
    }

    /// Lines as they are.
    pub fn verbatim<'l>(&mut self, lines: impl IntoIterator<Item = &'l str>) -> &mut Self {
        self.request("PP").request("RS 4").request("EX");
        for line in lines {
            writeln!(self.0, "{}", start(&escape(line))).unwrap();
        }
        self.request("EE").request("RE")
    }

    /// A term, in bold, and what it means.
    pub fn item(&mut self, term: &str, meaning: &str) -> &mut Self {
        self.request("TP");
        writeln!(self.0, "\\fB{}\\fR", escape(term)).unwrap();
        self.text(meaning)
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// Characters that mean something else, or that are printed as others: a '-' would become a hyphen,
/// which no shell takes.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '"' => escaped.push_str("\\(dq"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '`' => escaped.push_str("\\(ga"),
            char if char.is_ascii() => escaped.push(char),
            char => write!(escaped, "\\[u{:04X}]", u32::from(char)).unwrap(),
        }
    }
    escaped
}

/// A line that begins with a '.' is no macro.
fn start(line: &str) -> String {
    match line.starts_with('.') {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    }
}

#[test]
fn nothing_in_a_text_is_a_command() {
    let mut roff = Roff::default();
    roff.text(".SH \\fB'a-b'\n'x");
    assert_eq!(roff.finish(), "\\&.SH \\efB\\(aqa\\-b\\(aq\n\\(aqx\n");
}
