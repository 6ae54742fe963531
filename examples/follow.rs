//! Sets a variable, and follows it and its neighbours: the example of the README.

fn main() -> Result<(), globstash::Error> {
    let mut client = globstash::Client::connect()?;
    client.set("player/volume", "0.5")?;
    for event in client.watch("player/")? {
        let event = event?;
        println!("{} is {:?}", event.key, event.value);
    }
    Ok(())
}
