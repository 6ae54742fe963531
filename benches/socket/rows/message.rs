//! What one message costs without a socket.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use crate::Bench;
use crate::peer::{self, Borrowing};
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::{Samples, interleave};
use crate::script::{KEYS, Operation, Speech, get, key, set, value};

/// Takes a whole message and appends the answer.
type Answer = dyn FnMut(&[u8], &mut Vec<u8>);

/// Something that answers messages.
struct Case {
    name: &'static str,
    answer: Box<Answer>,
}

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let gets: Vec<Vec<u8>> = (0..KEYS)
        .map(|number| get(Speech::Varlink, &key(Operation::Get, number)))
        .collect();
    let mut cases = cases();
    for case in &mut cases {
        fill(case)?;
    }
    let readings = interleave(bench.rounds(), cases.len(), |number| {
        Ok(nanoseconds(bench, &gets, &mut cases[number]))
    })?;
    let samples: Vec<Samples> = readings
        .iter()
        .map(|readings| Samples::of(readings, |&time| time))
        .collect();
    let lines: Vec<Line> = (cases.iter().zip(&samples))
        .map(|(case, figure)| Line {
            name: case.name.into(),
            figure: figure.clone(),
            ratio: (case.name != GLOBSTASHD).then(|| samples[0].over(figure)),
        })
        .collect();
    table("Get", "ns a message", &lines);
    if cases[0].name != GLOBSTASHD {
        return Err(io::Error::other(
            "the library has no door to the service's dispatch yet",
        ));
    }
    let floor = samples[0].over(&samples[1]).median();
    // The bounds in ns are those of one machine, on which the floor was 145 ns.
    let time = Judgement::new("a Get without a socket", samples[0].median(), " ns");
    let ratio = Judgement::new("a Get without a socket, against bare serde", floor, " ×");
    Ok(vec![
        time.must(Bound::AtMost(250.0)).goal(Bound::AtMost(180.0)),
        ratio.must(Bound::AtMost(1.72)).goal(Bound::AtMost(1.24)),
    ])
}

const GLOBSTASHD: &str = "globstashd";

fn cases() -> Vec<Case> {
    let mut borrowing = Borrowing::default();
    let service = peer::crate_service();
    vec![
        Case {
            name: "bare serde",
            answer: Box::new(move |message, output| {
                borrowing.answer(message, output);
            }),
        },
        Case {
            name: "varlink handle()",
            answer: Box::new(move |message, output| {
                peer::handle(&service, message, output);
            }),
        },
    ]
}

/// Stores all variables, and sees that they are answered.
fn fill(case: &mut Case) -> io::Result<()> {
    let mut output = Vec::new();
    for number in 0..KEYS {
        let (key, value) = (key(Operation::Get, number), value(number));
        (case.answer)(&set(Speech::Varlink, &key, &value), &mut output);
        output.clear();
        (case.answer)(&get(Speech::Varlink, &key), &mut output);
        if memchr::memmem::find(&output, value.as_bytes()).is_none() {
            let answer = String::from_utf8_lossy(&output);
            return Err(io::Error::other(format!(
                "{}: a wrong answer: {answer}",
                case.name
            )));
        }
    }
    Ok(())
}

/// The mean over a slice of time, in which the clock is read rarely.
fn nanoseconds(bench: &Bench, gets: &[Vec<u8>], case: &mut Case) -> f64 {
    let mut output = Vec::with_capacity(1 << 10);
    let mut messages = 0;
    let start = Instant::now();
    while start.elapsed() < bench.slice() {
        for message in gets {
            output.clear();
            (case.answer)(black_box(message), &mut output);
            black_box(&output);
        }
        messages += gets.len();
    }
    start.elapsed().as_nanos() as f64 / messages as f64
}
