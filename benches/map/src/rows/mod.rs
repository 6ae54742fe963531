//! The rows, each of which says what it measures and what that must be.

mod c;
mod get;
mod growth;
mod handle;
pub mod memory;
mod recovery;
mod set;
mod writing;

use std::io;

use crate::Bench;
use crate::report::{Judgement, Line};
use crate::rounds::Samples;

pub struct Row {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&Bench) -> io::Result<Vec<Judgement>>,
}

const ALL: [Row; 10] = [
    Row {
        name: "hot",
        about: "get by name, 1,000 keys",
        run: get::hot,
    },
    Row {
        name: "uniform",
        about: "get by name, 1,000,000 keys, each as likely as another",
        run: get::uniform,
    },
    Row {
        name: "absent",
        about: "get by name of what is not defined, next to 1,000 keys",
        run: get::absent,
    },
    Row {
        name: "handle",
        about: "a handle that remembers where its value is",
        run: handle::run,
    },
    Row {
        name: "c",
        about: "both, by a program in C",
        run: c::run,
    },
    Row {
        name: "set",
        about: "the writer, in its own process",
        run: set::run,
    },
    Row {
        name: "writing",
        about: "get while another thread sets 10,000 values a second",
        run: writing::run,
    },
    Row {
        name: "memory",
        about: "all that the service keeps of a variable, 16 + 16 bytes",
        run: memory::run,
    },
    Row {
        name: "recovery",
        about: "from the memory file to a map that can be written",
        run: recovery::run,
    },
    Row {
        name: "growth",
        about: "each single set from no key to 5,000,000",
        run: growth::run,
    },
];

/// The rows that were named, or all.
pub fn select(arguments: &[String]) -> io::Result<Vec<&'static Row>> {
    let names: Vec<&String> = arguments
        .iter()
        .filter(|argument| *argument != "--quick")
        .collect();
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    names
        .into_iter()
        .map(|name| {
            ALL.iter()
                .find(|row| row.name == name)
                .ok_or_else(|| io::Error::other(format!("no row is called '{name}'")))
        })
        .collect()
}

/// Lines of a table whose first case is ours.
fn lines(names: &[&str], readings: &[Vec<f64>]) -> Vec<Line> {
    let ours = Samples::of(&readings[0], |&ns| ns);
    names
        .iter()
        .zip(readings)
        .enumerate()
        .map(|(number, (name, readings))| {
            let figure = Samples::of(readings, |&ns| ns);
            Line {
                name: (*name).to_owned(),
                ratio: (number > 0).then(|| ours.over(&figure)),
                figure,
            }
        })
        .collect()
}

/// Our figure over that of another line.
fn ratio(lines: &[Line], number: usize) -> f64 {
    let ratio = lines[number].ratio.as_ref();
    ratio.expect("all lines but ours have one").median()
}
