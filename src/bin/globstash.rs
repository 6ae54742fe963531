//! The command.
fn main() -> std::process::ExitCode {
    globstash::cli::main()
}
