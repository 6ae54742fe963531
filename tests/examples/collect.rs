//! Where examples stand: the README, the help of each command, and the manual pages.

use std::fs;
use std::path::Path;

/// All lines that are examples for a shell, each once.
pub fn all() -> Vec<String> {
    let mut examples = of_readme();
    let mut command = globstash::cli::definition();
    command.build();
    examples.extend(of_help(&command));
    for command in command.get_subcommands() {
        examples.extend(of_help(command));
    }
    for page in ["globstash.1", "globstashd.8", "io.globstash.7"] {
        examples.extend(of_page(&read(&format!("man/{page}.in"))));
    }
    examples.sort();
    examples.dedup();
    examples
}

pub fn read(place: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(place)).unwrap()
}

/// The code blocks of a language in the README, but for the part about machines without systemd:
/// `tests/systemd/plain.sh` plays that from the README itself.
pub fn blocks(language: &str) -> Vec<String> {
    let readme = read("README.md");
    let (before, part) = readme.split_once("\n## Without systemd\n").unwrap();
    let (_, after) = part.split_once("\n## ").unwrap();
    let readme = format!("{before}\n## {after}");
    let begin = format!("```{language}\n");
    let blocks = readme.split(&begin).skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

/// What is typed after a '$'. What is built and installed without one, is in `.ci/run`.
fn of_readme() -> Vec<String> {
    let blocks = blocks("console");
    let lines = blocks.iter().flat_map(|block| block.lines());
    let lines = lines.filter_map(|line| line.strip_prefix("$ "));
    lines.map(|line| without_comment(line, "  #")).collect()
}

/// What is indented before the options.
fn of_help(command: &clap::Command) -> Vec<String> {
    let Some(help) = command.get_before_help() else {
        return Vec::new();
    };
    let help = help.to_string();
    let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
    lines.map(|line| without_comment(line, "  ")).collect()
}

/// What is in examples by hand; the others are those of the help.
fn of_page(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for block in page.split("\n.EX\n").skip(1) {
        let block = block.split("\n.EE").next().unwrap();
        lines.extend(block.lines().map(|line| {
            let line = line.replace("\\-", "-").replace("\\(aq", "'");
            assert!(!line.contains('\\'), "{line}: the test does not know this");
            line
        }));
    }
    lines
}

fn without_comment(line: &str, mark: &str) -> String {
    line.split(mark).next().unwrap().trim_end().to_owned()
}
