//! Sets a variable and gets it.
//!
//!     cargo run --example hello

use std::process::ExitCode;

fn main() -> ExitCode {
    match hello() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello: {error}");
            ExitCode::FAILURE
        }
    }
}

fn hello() -> Result<(), globstash::Error> {
    let mut client = globstash::Client::connect()?;
    client.set("player/volume", "0.5")?;
    let volume = client.get("player/volume")?.unwrap_or_default();
    println!("the volume is {}", volume.as_str().unwrap_or("no text"));
    Ok(())
}
