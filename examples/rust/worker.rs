//! Waits for a flag, does what it says, and takes it down; the flag "stop" ends it.
//!
//!     cargo run --example worker
//!     globstash set worker/flag invoices
//!
//! That there is a worker, others see by worker/state: it goes with this process, however that ends.

use std::process::ExitCode;

use globstash::{Client, Condition, Error, Terms, Until};

fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<(), Error> {
    let mut client = Client::connect()?;
    loop {
        client.set_with("worker/state", "waiting", Terms::new().own_process())?;
        let Some(flag) = client.wait_until("worker/flag", Until::defined())? else {
            continue;
        };
        client.set_with("worker/state", "working", Terms::new().own_process())?;
        let job = flag.value.unwrap_or_default();
        if job != "stop" {
            println!("{}: done", String::from_utf8_lossy(job.as_bytes()));
        }
        // Only this one: if somebody has raised another meanwhile, it stays, and is the next.
        match client.delete_if("worker/flag", Condition::revision(flag.revision)) {
            Ok(_) | Err(Error::ConditionFailed { .. }) => {}
            Err(error) => return Err(error),
        }
        if job == "stop" {
            return Ok(());
        }
    }
}
