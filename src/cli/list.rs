//! `globstash list`: print variables while they arrive.

use std::fmt::Display;
use std::time::SystemTime;

use crate::client::escape::escape;
use crate::client::{Entry, Fields};

use super::args::List;
use super::outcome::{Answer, Failure};
use super::output::Output;
use super::units::span;
use super::{Context, one_of, patterns, process};

/// What is printed of a variable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Variable,
    Long,
    Record,
    Json,
}

pub(super) fn run(args: List, context: &Context) -> Result<Answer, Failure> {
    let form = one_of(&[
        (context.json, "--json", Form::Json),
        (args.variables.nul, "-0", Form::Record),
        (args.long, "-l", Form::Long),
    ])?
    .map_or(Form::Variable, |(_, form)| form);
    let values = match args.keys {
        true => Fields::KEYS,
        false => Fields::VALUES,
    };
    let fields = match form {
        Form::Json | Form::Long => values.and_metadata(),
        Form::Variable | Form::Record => values,
    };
    let mut output = Output::new();
    let mut client = context.connect()?;
    for entry in client.list_with(patterns(args.variables), fields)? {
        let entry = entry?;
        let value = entry.value.as_ref();
        match form {
            Form::Variable => output.variable(&entry.key, value)?,
            Form::Long => output.annotated(&entry.key, value, long(&entry, SystemTime::now()))?,
            Form::Record => output.record(&entry.key, value)?,
            Form::Json => output.json(&entry)?,
        }
    }
    output.finish()?;
    Ok(Answer::Yes)
}

/// What there is to know of a variable beside its value. Others choose the names of processes.
fn long(entry: &Entry, now: SystemTime) -> impl Display {
    let mut line = format!("revision={}", entry.revision);
    if let Some(modified) = entry.modified {
        // A clock that was set back makes no change later than now.
        let age = now.duration_since(modified).unwrap_or_default();
        line += &format!(" set {} ago", span(age));
    }
    if let Some(writer) = entry.writer {
        line += &format!(" by uid {}", writer.uid);
        if writer.pid != 0 {
            line += &format!(" pid {}", writer.pid);
        }
        let name = entry.modified.and_then(|time| process::name(writer, time));
        if let Some(name) = name {
            line += &format!(" ({})", escape(&name));
        }
    }
    if let Some(expires) = entry.expires {
        let left = expires.duration_since(now).unwrap_or_default();
        line += &format!(", expires in {}", span(left));
    }
    if let Some(pid) = entry.pid {
        line += &format!(", until process {pid} ends");
    }
    if let (Some(true), Some(owner)) = (entry.protected, entry.owner) {
        line += &format!(", protected for uid {owner}");
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::{Revision, Writer};

    #[test]
    fn a_long_line_tells_what_is_known() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let mut entry = Entry {
            key: "k".into(),
            value: None,
            revision: Revision(21),
            modified: Some(now - Duration::from_secs(3)),
            // No process has this ID: proc(5), pid_max.
            writer: Some(Writer {
                uid: 1000,
                pid: 1 << 23,
            }),
            expires: Some(now + Duration::from_secs(200)),
            pid: Some(815),
            protected: Some(true),
            owner: Some(1001),
        };
        let told = |entry: &Entry| long(entry, now).to_string();
        assert_eq!(
            told(&entry),
            "revision=21 set 3s ago by uid 1000 pid 8388608, expires in 3min 20s, \
             until process 815 ends, protected for uid 1001"
        );
        (entry.expires, entry.pid) = (None, None);
        entry.protected = Some(false);
        entry.writer = Some(Writer { uid: 0, pid: 0 });
        entry.modified = Some(now + Duration::from_secs(3));
        assert_eq!(told(&entry), "revision=21 set 0s ago by uid 0");
        (entry.modified, entry.writer) = (None, None);
        assert_eq!(told(&entry), "revision=21");
    }
}
