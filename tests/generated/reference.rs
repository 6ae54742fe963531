//! The part of a manual page that a C header knows: its functions and its errors.

use crate::roff::Roff;

/// A declaration and the comment before it.
struct Item {
    comment: String,
    code: String,
}

/// What stands in the header's first comment, after the example: paragraphs.
pub fn description(beginning: &str) -> String {
    let comment = text(beginning.lines());
    let paragraphs = comment.split("\n\n").filter(|it| {
        let word = it.split([' ', '.']).next().unwrap_or_default();
        word.len() > 1 && word.chars().all(char::is_uppercase)
    });
    let mut roff = Roff::default();
    for paragraph in paragraphs {
        roff.paragraph(paragraph);
    }
    roff.finish()
}

/// The functions, each with its declaration.
pub fn functions(header: &str) -> String {
    let mut roff = Roff::default();
    for item in items(header).filter(|item| item.code.ends_with(");")) {
        let name = item.code.split('(').next().expect("a name");
        let name = name.rsplit([' ', '*']).next().expect("a name");
        roff.subsection(&format!("{name}()"));
        roff.verbatim(item.code.lines());
        prose(&mut roff, &item.comment);
    }
    roff.finish()
}

/// The numbers of failures.
pub fn errors(header: &str) -> String {
    let mut roff = Roff::default();
    for item in items(header).filter(|item| item.code.starts_with("GLOBSTASH_ERROR_")) {
        let name = item.code.split(' ').next().expect("a name");
        roff.item(name, &item.comment);
    }
    roff.finish()
}

/// Paragraphs, and examples, which are indented.
fn prose(roff: &mut Roff, comment: &str) {
    for part in comment.split("\n\n") {
        match part.strip_prefix("    ") {
            Some(_) => {
                roff.verbatim(
                    part.lines()
                        .map(|line| line.strip_prefix("    ").unwrap_or(line)),
                );
            }
            None => {
                roff.paragraph(part);
            }
        }
    }
}

/// Every declaration that has a comment.
fn items(header: &str) -> impl Iterator<Item = Item> {
    header.split("/**").skip(1).map(|rest| {
        let (comment, code) = rest.split_once("*/").expect("it ends");
        let code = code.trim_start();
        // A function has its parameters on several lines.
        let end = match code.split_once(['(', '\n']) {
            Some((before, _)) if code[before.len()..].starts_with('(') => ");",
            _ => "\n",
        };
        let end = code.find(end).map_or(code.len(), |it| it + end.len());
        let lines = code[..end].trim_end().lines().map(str::trim_end);
        let lines: Vec<_> = lines.collect();
        Item {
            comment: text(comment.lines()),
            code: lines.join("\n"),
        }
    })
}

/// A comment without what makes it one.
fn text<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let lines = lines.map(|line| {
        let line = line.trim_start();
        let line = line
            .strip_prefix("* ")
            .or(line.strip_prefix('*'))
            .unwrap_or(line);
        line.trim_end()
    });
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .trim_matches('\n')
        .trim_end()
        .to_owned()
}
