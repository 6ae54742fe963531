//! All variables that match, as they were at one moment.

use super::super::Client;
use super::super::entry::{Entry, Revision};
use super::super::error::Error;
use super::super::question::Patterns;
use super::Attached;
use super::shared::Then;
use crate::map::{Item, Reader, Scan, View};
use crate::wire::pattern::{self, PATTERNS_MAX};

/// How often a scan is begun again if variables change while it is made.
const SCANS: u32 = 16;

pub(super) fn scan(attached: &Attached, patterns: &Patterns) -> Result<Vec<Entry>, Error> {
    let compiled = compile(patterns)?;
    let is_wanted = |key: &[u8]| std::str::from_utf8(key).is_ok_and(|key| compiled.matches(key));
    match in_map(attached, &mut |reader| reader.scan(is_wanted))? {
        Some(items) => Ok(entries(items)),
        None => by_asking(attached, patterns),
    }
}

fn compile(Patterns(patterns): &Patterns) -> Result<pattern::Patterns, Error> {
    let Some(patterns) = patterns else {
        return Ok(pattern::Patterns::all());
    };
    if patterns.len() > PATTERNS_MAX {
        let parameter = "patterns".to_owned();
        return Err(Error::InvalidParameter { parameter });
    }
    pattern::Patterns::compile(patterns).map_err(|problem| Error::InvalidPattern {
        pattern: patterns[problem.index].clone(),
        reason: problem.to_string(),
    })
}

/// What the map tells; `None` if the service is to be asked.
fn in_map(
    attached: &Attached,
    scan: &mut impl FnMut(&Reader<View>) -> Scan,
) -> Result<Option<Vec<Item>>, Error> {
    let shared = &attached.shared;
    for _ in 0..SCANS {
        let Some(map) = shared.map() else {
            match shared.try_again() {
                true => continue,
                false => return Ok(None),
            }
        };
        let (scan, is_served) = (scan(&map.reader), map.reader.is_served());
        let then = match scan {
            Scan::Exact(_) if is_served => Then::Take,
            Scan::Blurred if is_served => Then::Again,
            Scan::Exact(_) | Scan::Blurred => shared.orphaned(map.number())?,
            Scan::Ended(_) => shared.ended(map.number())?,
        };
        match (then, scan) {
            (Then::Take, Scan::Exact(items)) => return Ok(Some(items)),
            // What died in the middle of a change is finished by the one that takes its place.
            (Then::Take, _) => return Err(Error::Busy),
            (Then::Nothing, _) => return Ok(Some(Vec::new())),
            (Then::Ask, _) => return Ok(None),
            (Then::Again, _) => {}
        }
    }
    // The service can tell in one reply what is not too much for that.
    Ok(None)
}

fn entries(mut items: Vec<Item>) -> Vec<Entry> {
    items.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    let entries = items.into_iter().map(|item| {
        let key = String::from_utf8_lossy(&item.key).into_owned();
        Entry::read(key, item.value.into(), Revision(item.revision.0))
    });
    entries.collect()
}

fn by_asking(attached: &Attached, patterns: &Patterns) -> Result<Vec<Entry>, Error> {
    let list = |client: &mut Client| client.list(patterns.clone())?.snapshot();
    for _ in 0..SCANS {
        if let Some(entries) = attached.shared.asking().ask(list)? {
            return Ok(entries);
        }
    }
    Err(Error::Busy)
}
