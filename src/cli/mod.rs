//! The command `globstash`.

use std::process::ExitCode;

/// Runs the command with the arguments of the process.
pub fn main() -> ExitCode {
    eprintln!("globstash: this version cannot do anything yet");
    ExitCode::from(2)
}
