//! Looks at twenty variables a thousand times a second, and prints those that have changed.
//!
//!     cargo run --example poll

use std::thread;
use std::time::Duration;

fn main() -> Result<(), globstash::Error> {
    let mut client = globstash::Client::connect()?;
    client.set("sensor/7", "21.5")?;
    let stash = client.attach()?;
    let mut sensors: Vec<_> = (0..20)
        .map(|n| stash.handle(&format!("sensor/{n}")))
        .collect();
    loop {
        for sensor in &mut sensors {
            if sensor.changed()? {
                println!("{:?}", sensor.get()?.map(String::from_utf8_lossy));
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}
