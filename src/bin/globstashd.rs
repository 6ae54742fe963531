//! The service.
fn main() -> std::process::ExitCode {
    globstash::daemon::main()
}
