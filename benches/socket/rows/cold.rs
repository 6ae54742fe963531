//! The first call at a socket whose service does not run yet.
//!
//! In place of systemd a child waits at the listening socket and becomes the service when somebody
//! calls. What is missing of a real first call is systemd's own fork and what its sandbox costs.

use std::io;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use crate::Bench;
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::Samples;
use crate::script::{Operation, Speech, converse, get, key};
use crate::server::{self, Process};

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let starts = if bench.quick { 2 } else { 30 };
    let times = (0..=starts)
        .map(|_| first_call(bench))
        .collect::<io::Result<Vec<f64>>>()?;
    // The first is not counted: it reads the program from the disk.
    let samples = Samples::of(&times[1..], |&time| time);
    let line = Line {
        name: "connect, Get, answer".into(),
        figure: samples.clone(),
        ratio: None,
    };
    table("Get", "ms", &[line]);
    let judgement = Judgement::new("first call on a cold socket", samples.median(), " ms");
    Ok(vec![
        judgement.must(Bound::AtMost(10.0)).goal(Bound::AtMost(5.0)),
    ])
}

/// From connecting to the answer, in ms.
fn first_call(bench: &Bench) -> io::Result<f64> {
    let address = bench.address();
    let listener = UnixListener::bind(&address)?;
    let _service = Process::activate(&[bench.globstashd.clone().into()], listener)?;

    let start = Instant::now();
    let mut connection = server::connect(&address)?;
    let request = get(Speech::Varlink, &key(Operation::Get, 0));
    let answer = converse(&mut connection, Speech::Varlink, &request)?;
    let time = start.elapsed();
    if memchr::memmem::find(&answer, br#""defined":false"#).is_none() {
        let answer = String::from_utf8_lossy(&answer);
        return Err(io::Error::other(format!("a wrong answer: {answer}")));
    }
    Ok(time.as_secs_f64() * 1e3)
}
