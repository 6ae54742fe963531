//! What can stand at a place of the line, by the definition of the command.

use std::ffi::OsStr;

use clap::builder::StyledStr;
use clap::{Arg, Command};

use crate::client::address::Address;

use super::super::args::Service;
use super::Candidate;

/// A place on the line: what came before it.
pub(super) struct Place<'c> {
    command: &'c Command,
    /// The words that are no options, after the name of the command.
    positional: Vec<&'c str>,
    /// The options that were given.
    given: Vec<&'c str>,
    /// The option that needs a value here.
    pending: Option<&'c Arg>,
    /// Whether options are over: after "--", or after the key of `set`.
    is_literal: bool,
    is_after_dashes: bool,
    service: Service,
}

/// What should stand there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted<'c> {
    Nothing,
    Files,
    /// A command and its arguments.
    Command,
    OneOf(Vec<Candidate>),
    Key,
    Pattern,
    ValueOf(&'c str),
}

impl<'c> Place<'c> {
    pub(super) fn find(command: &'c Command, words: &'c [String]) -> Place<'c> {
        let mut place = Place {
            command,
            positional: Vec::new(),
            given: Vec::new(),
            pending: None,
            is_literal: false,
            is_after_dashes: false,
            service: Service {
                user: false,
                system: false,
                address: None,
            },
        };
        words.iter().for_each(|word| place.pass(word));
        place
    }

    /// Takes note of a word.
    fn pass(&mut self, word: &'c str) {
        if let Some(option) = self.pending.take() {
            self.value(option, word);
        } else if self.is_literal {
            self.positional.push(word);
        } else if word == "--" {
            (self.is_literal, self.is_after_dashes) = (true, true);
        } else if let Some(name) = word.strip_prefix("--") {
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (name, None),
            };
            self.option(|arg| arg.get_long() == Some(name), value);
        } else if let Some(letters) = word.strip_prefix('-').filter(|it| !it.is_empty()) {
            self.letters(letters);
        } else {
            self.word(word);
        }
    }

    fn letters(&mut self, letters: &'c str) {
        for (at, letter) in letters.char_indices() {
            let rest = &letters[at + letter.len_utf8()..];
            let value = Some(rest).filter(|rest| !rest.is_empty());
            if self.option(|arg| arg.get_short() == Some(letter), value) {
                return;
            }
        }
    }

    /// Takes note of an option, and of its value if there is one; whether it takes one.
    fn option(&mut self, is_it: impl Fn(&Arg) -> bool, value: Option<&'c str>) -> bool {
        let Some(option) = self.command.get_arguments().find(|&arg| is_it(arg)) else {
            return false;
        };
        match option.get_id().as_str() {
            "user" => self.service.user = true,
            "system" => self.service.system = true,
            id => self.given.push(id),
        }
        if !option.get_action().takes_values() {
            return false;
        }
        match value {
            Some(value) => self.value(option, value),
            None => self.pending = Some(option),
        }
        true
    }

    fn value(&mut self, option: &Arg, value: &str) {
        if option.get_id() == "address" {
            self.service.address = Address::parse(OsStr::new(value)).ok();
        }
    }

    fn word(&mut self, word: &'c str) {
        if let Some(command) = self.command.find_subcommand(word) {
            self.command = command;
            return;
        }
        self.positional.push(word);
        let arguments = self.command.get_positionals();
        self.is_literal = arguments.into_iter().any(Arg::is_trailing_var_arg_set);
    }

    /// Which service the words before mean.
    pub(super) fn service(&self) -> Service {
        Service {
            user: self.service.user,
            system: self.service.system,
            address: self.service.address.clone(),
        }
    }

    /// Whether a word that begins with '-' is taken for an option.
    pub(super) fn has_options(&self) -> bool {
        !self.is_literal
    }

    /// What may be meant by the beginning of a word.
    pub(super) fn wanted(&self, current: &str) -> Wanted<'c> {
        if let Some(option) = self.pending {
            return match option.get_id().as_str() {
                "address" => Wanted::Files,
                _ => values(option, current),
            };
        }
        if !self.is_literal && current.starts_with('-') {
            return Wanted::OneOf(self.options(current));
        }
        if self.command.has_subcommands() && self.positional.is_empty() {
            return Wanted::OneOf(subcommands(self.command, current));
        }
        self.argument(current)
    }

    fn argument(&self, current: &str) -> Wanted<'c> {
        let arguments: Vec<&Arg> = self.command.get_positionals().collect();
        if self.is_after_dashes && arguments.iter().any(|arg| arg.is_last_set()) {
            return Wanted::Command;
        }
        let mut arguments = arguments.into_iter().filter(|arg| !arg.is_last_set());
        let index = self.positional.len();
        // The last one may be there several times.
        let several = |arg: &&Arg| arg.get_num_args().is_some_and(|it| it.max_values() > index);
        let argument = arguments.clone().nth(index);
        let Some(argument) = argument.or_else(|| arguments.next_back().filter(several)) else {
            return Wanted::Nothing;
        };
        match (argument.get_id().as_str(), index) {
            ("key", _) if self.given.contains(&"glob") => Wanted::Pattern,
            ("patterns", _) if !self.given.contains(&"literal") => Wanted::Pattern,
            ("key" | "patterns", _) | ("words", 0) => Wanted::Key,
            ("words", 1) => Wanted::ValueOf(self.positional[0]),
            _ => values(argument, current),
        }
    }

    fn options(&self, current: &str) -> Vec<Candidate> {
        let shown = |arg: &&Arg| !arg.is_positional() && !arg.is_hide_set();
        let names = |arg: &Arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            let what = text(arg.get_help());
            let candidate = move |word| Candidate {
                word,
                what: what.clone(),
            };
            long.into_iter().chain(short).map(candidate)
        };
        let options = self.command.get_arguments().filter(shown).flat_map(names);
        options.filter(|it| it.word.starts_with(current)).collect()
    }
}

fn subcommands(command: &Command, current: &str) -> Vec<Candidate> {
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    let candidates = commands.map(|command| Candidate {
        word: command.get_name().to_owned(),
        what: text(command.get_about()),
    });
    candidates
        .filter(|it| it.word.starts_with(current))
        .collect()
}

/// The values that an argument can have, if they are few.
fn values(argument: &Arg, current: &str) -> Wanted<'static> {
    let candidates: Vec<_> = argument
        .get_possible_values()
        .iter()
        .map(|value| Candidate {
            word: value.get_name().to_owned(),
            what: text(value.get_help()),
        })
        .filter(|it| it.word.starts_with(current))
        .collect();
    match candidates.is_empty() {
        true => Wanted::Nothing,
        false => Wanted::OneOf(candidates),
    }
}

fn text(help: Option<&StyledStr>) -> String {
    help.map(StyledStr::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::super::args::Arguments;
    use super::*;

    /// What is wanted at the end of a line.
    fn wanted(line: &str) -> String {
        let mut command = Arguments::command();
        command.build();
        let mut words: Vec<String> = line.split(' ').skip(1).map(str::to_owned).collect();
        let current = words.pop().unwrap();
        match Place::find(&command, &words).wanted(&current) {
            Wanted::OneOf(candidates) => {
                let words = candidates.into_iter().map(|it| it.word);
                words.collect::<Vec<_>>().join(" ")
            }
            wanted => format!("{wanted:?}"),
        }
    }

    #[test]
    fn each_place_wants_something() {
        for (line, expected) in [
            ("globstash wa", "watch wait"),
            ("globstash --json wa", "watch wait"),
            ("globstash --js", "--json"),
            ("globstash --address x li", "list"),
            ("globstash --address ", "Files"),
            ("globstash help ge", "get"),
            ("globstash get ", "Key"),
            ("globstash get k ", "Nothing"),
            ("globstash get -d x ", "Key"),
            ("globstash get -dx ", "Key"),
            ("globstash get -d ", "Nothing"),
            ("globstash get --r", "--raw"),
            ("globstash get --user --s", "--system"),
            ("globstash rm ", "Key"),
            ("globstash delete --glob ", "Pattern"),
            ("globstash set ", "Key"),
            ("globstash set --new k ", "ValueOf(\"k\")"),
            ("globstash set k --", "ValueOf(\"k\")"),
            ("globstash set k v ", "Nothing"),
            ("globstash list ", "Pattern"),
            ("globstash list a b ", "Pattern"),
            ("globstash list -F ", "Key"),
            ("globstash watch -0F a ", "Key"),
            ("globstash watch a -- ", "Command"),
            ("globstash watch a -- sh -", "Command"),
            ("globstash env -- ", "Command"),
            ("globstash incr k ", "Nothing"),
            ("globstash completions ", "bash zsh fish"),
            ("globstash nonsense ", "Nothing"),
        ] {
            assert_eq!(wanted(line), expected, "{line}");
        }
    }

    #[test]
    fn the_service_is_the_one_that_was_typed() {
        let mut command = Arguments::command();
        command.build();
        let words = ["get", "--user", "--address=unix:@x"].map(str::to_owned);
        let service = Place::find(&command, &words).service();
        assert!(service.user && !service.system);
        assert_eq!(service.address, Address::parse("unix:@x").ok());
    }
}
