//! What is made from something else and committed all the same, so that nobody needs tools to read
//! or install it. Says which file is stale; `UPDATE=1 cargo test --test generated` makes it anew.
//!
//! A manual page is written by hand in `man/NAME.in`, in groff_man(7), but for its lines that begin
//! with `@`: there stands what the command, or the interface file, knows itself.
#![cfg(all(feature = "command", feature = "service"))]

mod header;
mod help;
mod interface;
mod reference;
mod roff;

use std::fs;
use std::path::Path;

use interface::Interface;

/// A page, with what stands in for the lines of its template that begin with `@`.
struct Page {
    file: &'static str,
    parts: Vec<(&'static str, String)>,
}

fn pages() -> Vec<Page> {
    let command = built(globstash::cli::definition());
    let service = built(globstash::daemon::definition());
    let text = fs::read_to_string(path("io.globstash.varlink")).unwrap();
    let interface = Interface::read(&text);
    let beginning = fs::read_to_string(path("include/globstash.h.in")).unwrap();
    let header = c_header();
    vec![
        Page {
            file: "globstash.1",
            parts: vec![
                ("@examples", help::examples(&command)),
                ("@commands", help::commands(&command)),
                ("@options", help::options(&command)),
                ("@statuses", help::statuses(&command)),
                ("@environment", help::environment(&command)),
            ],
        },
        Page {
            file: "globstash.3",
            parts: vec![
                ("@hello", code("examples/c/hello.c", "#include", "}")),
                (
                    "@follower",
                    code(
                        "examples/c/follower.c",
                        "    globstash_event event;",
                        "    }",
                    ),
                ),
                (
                    "@cpp",
                    code(
                        "examples/cpp/hello.cpp",
                        "        globstash::set",
                        "        std::cout",
                    ),
                ),
                ("@description", reference::description(&beginning)),
                ("@functions", reference::functions(&header)),
                ("@errors", reference::errors(&header)),
            ],
        },
        Page {
            file: "globstashd.8",
            parts: vec![("@options", help::options(&service))],
        },
        Page {
            file: "io.globstash.7",
            parts: vec![
                ("@description", interface.description()),
                ("@types", interface.members("type ")),
                ("@methods", interface.members("method ")),
                ("@errors", interface.members("error ")),
            ],
        },
    ]
}

fn c_header() -> String {
    let beginning = fs::read_to_string(path("include/globstash.h.in")).unwrap();
    header::write(&path("src/capi/mod.rs"), &beginning)
}

/// Lines of an example, from the first that begins with some words to the next that begins with others.
fn code(example: &str, first: &str, last: &str) -> String {
    let text = fs::read_to_string(path(example)).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with(first));
    let mut lines: Vec<_> = lines.collect();
    let end = lines.iter().position(|line| line.starts_with(last));
    lines.truncate(end.expect("it ends") + 1);
    let indent = lines[0].len() - lines[0].trim_start().len();
    let mut roff = roff::Roff::default();
    roff.verbatim(
        lines
            .iter()
            .map(|line| line.get(indent..).unwrap_or_default()),
    );
    roff.finish()
}

/// With the names of commands within commands.
fn built(mut command: clap::Command) -> clap::Command {
    command.build();
    command
}

fn path(place: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(place)
}

impl Page {
    /// The page as it should be.
    fn write(&self) -> String {
        let template = path("man").join(format!("{}.in", self.file));
        fill(&fs::read_to_string(template).unwrap(), &self.parts)
    }
}

/// The page that comes of the template; every part is used once.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::from(
        ".\\\" Made from the .in file beside it: UPDATE=1 cargo test --test generated\n",
    );
    let mut used = Vec::new();
    for line in template.lines() {
        let part = parts.iter().find(|(name, _)| *name == line);
        match part {
            Some((name, text)) => {
                used.push(*name);
                page += text;
            }
            None => {
                assert!(!line.starts_with('@'), "no such part: {line}");
                page += &line.replace("VERSION", env!("CARGO_PKG_VERSION"));
                page.push('\n');
            }
        }
    }
    let known: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
    let mut sorted = used.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(
        (used.len(), sorted.len()),
        (known.len(), known.len()),
        "{used:?}"
    );
    page
}

#[test]
fn manual_pages_are_fresh() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut stale = Vec::new();
    for page in pages() {
        let (file, page) = (page.file, page.write());
        let place = path("man").join(file);
        if update {
            fs::write(&place, &page).unwrap();
        }
        if fs::read_to_string(&place).ok().as_ref() != Some(&page) {
            stale.push(file);
        }
    }
    assert!(
        stale.is_empty(),
        "stale: {stale:?}; make them anew with: UPDATE=1 cargo test --test generated"
    );
}

#[test]
fn the_c_header_is_fresh() {
    let header = c_header();
    let place = path("include/globstash.h");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&place, &header).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&place).ok().as_ref(),
        Some(&header),
        "stale: include/globstash.h; make it anew with: UPDATE=1 cargo test --test generated"
    );
}

#[test]
fn manual_pages_begin_with_examples_and_tell_the_limits() {
    for page in pages() {
        let (file, page) = (page.file, page.write());
        let sections: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix(".SH "))
            .collect();
        assert_eq!(sections[..3], ["NAME", "SYNOPSIS", "EXAMPLES"], "{file}");
        let must = match file {
            "io.globstash.7" => &["LIMITS", "ERRORS"][..],
            "globstash.3" => &["LIMITS", "ERRORS", "ENVIRONMENT", "FILES"],
            _ => &["LIMITS", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES"],
        };
        for section in must {
            assert!(sections.contains(section), "{file}: {section}");
        }
    }
}

#[test]
fn every_command_is_in_the_manual() {
    let page = pages()[0].write();
    let command = globstash::cli::definition();
    for command in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        let heading = format!(".SS \"globstash {}", command.get_name());
        assert!(page.contains(&heading), "{heading}");
    }
}
