//! What the service takes when nobody calls: memory, memory for each connection, wake-ups.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::Bench;
use crate::report::{Bound, Judgement};
use crate::script::{Operation, Speech, converse, get, key};
use crate::server::Server;

/// Connections that are opened, used once and left alone.
const CONNECTIONS: usize = 1_000;

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let server = Server::globstashd(bench, &bench.address())?;
    let first = call(&server, 0)?;
    let resident = resident(server.id())?;

    let connections = (1..=CONNECTIONS)
        .map(|number| call(&server, number))
        .collect::<io::Result<Vec<UnixStream>>>()?;
    let crowded = self::resident(server.id())?;
    let each = (crowded.saturating_sub(resident)) as f64 / CONNECTIONS as f64;

    let pause = Duration::from_secs(if bench.quick { 1 } else { 2 });
    wait_asleep(server.id())?;
    let before = switches(server.id())?;
    thread::sleep(pause);
    let wake_ups = switches(server.id())? - before;
    drop((first, connections));

    println!("resident: {resident} B; with {CONNECTIONS} connections: {crowded} B");
    println!("wake-ups in {pause:?} with {CONNECTIONS} connections: {wake_ups}");
    Ok(vec![
        Judgement::new(
            "idle: resident",
            resident as f64 / f64::from(1 << 20),
            " MiB",
        )
        .must(Bound::AtMost(3.0))
        .goal(Bound::AtMost(1.5)),
        Judgement::new("idle: each connection", each, " B")
            .must(Bound::AtMost(2048.0))
            .goal(Bound::AtMost(512.0)),
        Judgement::new("idle: wake-ups", wake_ups as f64, "").must(Bound::AtMost(0.0)),
    ])
}

/// A connection that has made one call.
fn call(server: &Server, number: usize) -> io::Result<UnixStream> {
    let mut connection = server.connect()?;
    let request = get(Speech::Varlink, &key(Operation::Get, number));
    converse(&mut connection, Speech::Varlink, &request)?;
    Ok(connection)
}

/// Resident memory in bytes, counted page by page: the sum in `status` is allowed to be wrong by
/// some dozens of pages a CPU.
fn resident(process: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    Ok(number(&rollup, "Rss:") * 1024)
}

/// Waits until a process has done what the last call left to do.
fn wait_asleep(process: u32) -> io::Result<()> {
    let status = format!("/proc/{process}/status");
    while !fs::read_to_string(&status)?.contains("State:\tS") {
        thread::yield_now();
    }
    Ok(())
}

/// How often the threads of a process went to sleep.
fn switches(process: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        sum += number(&status, "voluntary_ctxt_switches:");
    }
    Ok(sum)
}

/// The number behind a word at the beginning of a line, 0 if there is none.
fn number(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    let digits = line.and_then(|line| line.split_whitespace().next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
