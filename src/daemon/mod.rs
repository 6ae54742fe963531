//! The service `globstashd`.

use std::process::ExitCode;

/// Runs the service with the arguments of the process.
pub fn main() -> ExitCode {
    eprintln!("globstashd: this version cannot do anything yet");
    ExitCode::from(2)
}
