//! What one message costs without a socket.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use globstash::daemon::loopback::Loopback;
use rustix::time::{ClockId, clock_gettime};

use crate::Bench;
use crate::peer::{self, Borrowing};
use crate::report::{Bound, Judgement, Line, table};
use crate::rounds::{Samples, interleave};
use crate::script::{KEYS, Operation, Speech, get, key, set, value};
use crate::subject::Kind;

/// Takes a whole message and appends the answer.
type Answer = dyn FnMut(&[u8], &mut Vec<u8>);

/// Something that answers messages.
struct Case {
    kind: Kind,
    answer: Box<Answer>,
}

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let mut cases = cases()?;
    for case in &mut cases {
        fill(case)?;
    }
    let gets = measure(bench, &mut cases, Operation::Get)?;
    measure(bench, &mut cases, Operation::Set)?;

    let floor = gets[0].over(&gets[1]).median();
    // The bounds in ns are those of a machine on which the floor is 145 ns.
    let time = Judgement::new("a Get without a socket", gets[0].median(), " ns");
    let ratio = Judgement::new("a Get without a socket, against bare serde", floor, " ×");
    Ok(vec![
        time.must(Bound::AtMost(250.0)).goal(Bound::AtMost(180.0)),
        ratio.must(Bound::AtMost(1.72)).goal(Bound::AtMost(1.24)),
    ])
}

/// The service and its floor first.
fn cases() -> io::Result<Vec<Case>> {
    let mut loopback = Loopback::new()?;
    let mut borrowing = Borrowing::default();
    let service = peer::crate_service();
    Ok(vec![
        Case {
            kind: Kind::Globstashd,
            answer: Box::new(move |message, output| {
                let answered = loopback.answer(message, output);
                answered.expect("the bench calls what there is");
            }),
        },
        Case {
            kind: Kind::Serde,
            answer: Box::new(move |message, output| {
                borrowing.answer(message, output);
            }),
        },
        Case {
            kind: Kind::Handle,
            answer: Box::new(move |message, output| {
                peer::handle(&service, message, output);
            }),
        },
    ])
}

/// Has each of the cases answer; prints and returns the times, in ns.
fn measure(bench: &Bench, cases: &mut [Case], operation: Operation) -> io::Result<Vec<Samples>> {
    let messages: Vec<Vec<u8>> = (0..KEYS)
        .map(|number| match operation {
            Operation::Get => get(Speech::Varlink, &key(operation, number)),
            Operation::Set => set(Speech::Varlink, &key(operation, number), &value(number)),
        })
        .collect();
    let readings = interleave(bench.rounds(), cases.len(), |number| {
        Ok(nanoseconds(bench, &messages, &mut cases[number]))
    })?;
    let samples: Vec<Samples> = readings
        .iter()
        .map(|readings| Samples::of(readings, |&time| time))
        .collect();
    let lines: Vec<Line> = (cases.iter().zip(&samples))
        .map(|(case, figure)| Line {
            name: case.kind.name().into(),
            figure: figure.clone(),
            ratio: (case.kind != Kind::Globstashd).then(|| samples[0].over(figure)),
        })
        .collect();
    table(operation.name(), "ns a message", &lines);
    Ok(samples)
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
                case.kind.name()
            )));
        }
    }
    Ok(())
}

/// The mean over a slice of time in which this thread ran: what others did meanwhile is not in it.
fn nanoseconds(bench: &Bench, messages: &[Vec<u8>], case: &mut Case) -> f64 {
    let mut output = Vec::with_capacity(1 << 10);
    let mut count = 0;
    let start = time_run();
    let mut time = Duration::ZERO;
    while time < bench.slice() {
        for message in messages {
            output.clear();
            (case.answer)(black_box(message), &mut output);
            black_box(&output);
        }
        count += messages.len();
        time = time_run() - start;
    }
    time.as_nanos() as f64 / count as f64
}

/// For how long this thread has run.
fn time_run() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it is not negative")
}
