//! Manual pages from what clap knows of a command.
//!
//! The help of each command begins with examples and ends with notes and its exit statuses, as
//! plain text in a form that is the same everywhere; here it is read.

use clap::{Arg, ArgAction, Command};

use crate::roff::Roff;

/// What stands before the options: a sentence, and examples.
struct Beginning {
    sentence: String,
    examples: Vec<String>,
}

/// What stands after them.
#[derive(Default)]
struct End {
    notes: Vec<String>,
    /// A term and its meaning.
    environment: Vec<(String, String)>,
    statuses: Vec<(String, String)>,
}

/// The examples of all of the command.
pub fn examples(command: &Command) -> String {
    let mut roff = Roff::default();
    let examples = beginning(command).examples;
    roff.verbatim(examples.iter().map(String::as_str));
    roff.finish()
}

/// One part for each command in it.
pub fn commands(command: &Command) -> String {
    let mut roff = Roff::default();
    for command in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        if command.get_name() != "help" {
            part(&mut roff, command);
        }
    }
    roff.finish()
}

fn part(roff: &mut Roff, command: &Command) {
    let Beginning { sentence, examples } = beginning(command);
    let End {
        notes, statuses, ..
    } = end(command);
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    roff.subsection(usage);
    roff.text(&sentence);
    let aliases: Vec<_> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        roff.text(&format!("Also: {}.", aliases.join(", ")));
    }
    roff.verbatim(examples.iter().map(String::as_str));
    for note in notes {
        roff.paragraph(&note);
    }
    let arguments = command.get_arguments();
    list(roff, arguments.filter(|it| !it.is_global_set()));
    // Those that are everywhere have a section of their own.
    let own: Vec<_> = statuses
        .iter()
        .filter(|(status, _)| !["2", "3", "4", "5"].contains(&status.as_str()))
        .map(|(status, meaning)| format!("{status}: {meaning}"))
        .collect();
    roff.paragraph(&format!("Exit status: {}.", own.join("; ")));
}

/// The options that go with every command.
pub fn options(command: &Command) -> String {
    let mut roff = Roff::default();
    list(&mut roff, command.get_arguments());
    roff.item("-h, --help", "Print help, of a command after its name");
    roff.finish()
}

pub fn statuses(command: &Command) -> String {
    items(&end(command).statuses)
}

pub fn environment(command: &Command) -> String {
    items(&end(command).environment)
}

fn items(items: &[(String, String)]) -> String {
    assert!(!items.is_empty());
    let mut roff = Roff::default();
    for (term, meaning) in items {
        roff.item(term, meaning);
    }
    roff.finish()
}

fn list<'a>(roff: &mut Roff, arguments: impl Iterator<Item = &'a Arg>) {
    for argument in arguments {
        // That there is help is said once.
        let is_known = argument.is_positional() || argument.get_id() == "help";
        let is_shown = !argument.is_hide_set() && !is_known;
        if let (true, Some(meaning)) = (is_shown, argument.get_help()) {
            let mut meaning = meaning.to_string();
            if let [default] = argument.get_default_values()
                && argument.get_action().takes_values()
            {
                meaning += &format!(" [{}]", default.display());
            }
            roff.item(&option(argument), &meaning);
        }
    }
}

/// An option as it is typed.
fn option(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names: Vec<_> = short.into_iter().chain(long).collect();
    let mut option = names.join(", ");
    if matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) {
        let names = argument.get_value_names().unwrap_or_default();
        for name in names {
            option += &format!(" {name}");
        }
    }
    option
}

fn beginning(command: &Command) -> Beginning {
    let text = command.get_before_help().or(command.get_before_long_help());
    let text = text
        .unwrap_or_else(|| panic!("{}: no examples", command.get_name()))
        .to_string();
    let (sentence, examples) = text.split_once("\n\n").expect("a sentence, then examples");
    let examples = examples.lines().map(|line| {
        let line = line.strip_prefix("  ");
        line.expect("examples are indented").to_owned()
    });
    Beginning {
        sentence: sentence.to_owned(),
        examples: examples.collect(),
    }
}

fn end(command: &Command) -> End {
    let text = command.get_after_help().expect("exit statuses").to_string();
    let mut end = End::default();
    for paragraph in text.split("\n\n") {
        match paragraph.split_once('\n') {
            Some(("Exit status:", rest)) => end.statuses = terms(rest),
            Some(("Environment:", rest)) => end.environment = terms(rest),
            // Two lists follow one another without a line between.
            _ => match paragraph.split_once("\nExit status:\n") {
                Some((note, rest)) => {
                    end.notes.push(note.to_owned());
                    end.statuses = terms(rest);
                }
                None => end.notes.push(paragraph.to_owned()),
            },
        }
    }
    assert!(!end.statuses.is_empty(), "{}", command.get_name());
    end
}

/// Lines of a term, two spaces or more, and its meaning; it goes on in lines with more space.
fn terms(lines: &str) -> Vec<(String, String)> {
    let mut terms: Vec<(String, String)> = Vec::new();
    for line in lines.lines() {
        let line = line.strip_prefix("  ").expect("lists are indented");
        match line.split_once("  ").map(|(a, b)| (a, b.trim_start())) {
            Some(("", rest)) => {
                let (_, meaning) = terms.last_mut().expect("a term before it");
                *meaning += &format!(" {rest}");
            }
            Some((term, meaning)) => terms.push((term.to_owned(), meaning.to_owned())),
            None => panic!("{line}: no meaning"),
        }
    }
    terms
}
