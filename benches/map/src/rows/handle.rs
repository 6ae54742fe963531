//! Reading one variable again and again.

use std::hint::black_box;
use std::io;

use super::{lines, ratio};
use crate::Bench;
use crate::keys::{key, shuffled, value};
use crate::map::{Answer, Handle};
use crate::peers::Blackboard;
use crate::report::{Bound, Judgement, table};
use crate::rounds::interleave;
use crate::subject;

pub fn run(bench: &Bench) -> io::Result<Vec<Judgement>> {
    let count = 1000;
    let map = subject::filled(shuffled(count))?;
    let reader = subject::reader(&map)?;
    let blackboard = Blackboard::filled(count)?;

    let name: [u8; 16] = key(7).into_bytes().try_into().expect("16 bytes");
    let mut handle = Handle::new(&name);
    reader.refresh(&mut handle);
    let theirs = blackboard.handle(&name)?;
    let current = theirs.get();
    if handle.value() != value(7).as_bytes() || *current != *handle.value() {
        return Err(io::Error::other("a handle reads a wrong value"));
    }

    let attached = subject::attached(shuffled(count))?;
    let mut public = attached.handle(&key(7));
    if public.get().map_err(io::Error::other)? != Some(value(7).as_bytes()) {
        return Err(io::Error::other("a handle reads a wrong value"));
    }

    let names = [
        "globstash, read 16 bytes",
        "iceoryx2, read 16 bytes",
        "globstash, has it changed?",
        "iceoryx2, is it up to date?",
        "globstash, Handle::get",
        "globstash, Handle::changed",
    ];
    let readings = interleave(bench.rounds(), names.len(), |case| match case {
        0 => bench.pace(|| match reader.refresh(black_box(&mut handle)) {
            Answer::Found(_) if handle.value().len() == 16 => {
                let value: [u8; 16] = handle.value().try_into().expect("16 bytes");
                black_box(value);
                Ok(())
            }
            answer => Err(io::Error::other(format!("{answer:?}"))),
        }),
        1 => bench.pace(|| {
            black_box(*black_box(&theirs).get());
            Ok(())
        }),
        2 => bench.pace(|| match reader.has_changed(black_box(&handle)) {
            false => Ok(()),
            true => Err(io::Error::other("nobody has changed it")),
        }),
        4 => bench.pace(|| match black_box(&mut public).get() {
            Ok(Some(value)) if value.len() == 16 => {
                let value: [u8; 16] = value.try_into().expect("16 bytes");
                black_box(value);
                Ok(())
            }
            answer => Err(io::Error::other(format!("{answer:?}"))),
        }),
        5 => bench.pace(|| match black_box(&mut public).changed() {
            Ok(false) => Ok(()),
            answer => Err(io::Error::other(format!("{answer:?}"))),
        }),
        _ => bench.pace(|| match black_box(&theirs).is_up_to_date(&current) {
            true => Ok(()),
            false => Err(io::Error::other("nobody has changed it")),
        }),
    })?;
    let mut lines = lines(&names, &readings);
    lines[2].ratio = None;
    let look = &lines[2].figure;
    let looks = [look.over(&lines[1].figure), look.over(&lines[3].figure)];
    lines[3].ratio = Some(looks[1].clone());
    lines[5].ratio = None;
    let public = [4, 5].map(|n: usize| lines[n].figure.over(&lines[1].figure).median());
    table("a handle", "ns", &lines);
    Ok(vec![
        Judgement::new("Handle::get / iceoryx2 read", public[0], " ×")
            .must(Bound::AtMost(1.0))
            .goal(Bound::AtMost(0.5)),
        Judgement::new("Handle::changed / iceoryx2 read", public[1], " ×")
            .must(Bound::AtMost(1.0))
            .goal(Bound::AtMost(0.5)),
        Judgement::new("handle, read / iceoryx2 read", ratio(&lines, 1), " ×")
            .must(Bound::AtMost(1.0))
            .goal(Bound::AtMost(0.5)),
        Judgement::new(
            "handle, has it changed? / iceoryx2 read",
            looks[0].median(),
            " ×",
        )
        .must(Bound::AtMost(1.0))
        .goal(Bound::AtMost(0.5)),
    ])
}
