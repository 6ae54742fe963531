//! `globstash lock`: hold a variable while a command runs.
//!
//! Whoever defines the variable holds it. It belongs to this process, which becomes the command: so
//! it is gone when the command ends, however that happens, and nothing has to be cleaned up. There
//! is no moment in which it is held by a process that would not release it: before the command
//! is executed, and if it cannot be, this process ends and releases it just so.
//!
//! Who finds it taken waits until it is gone, and tries again. All who wait do, and one of them gets
//! it: there is no order among them.

use std::io::{self, Write};
use std::process;
use std::time::Instant;

use rustix::process::geteuid;

use crate::client::escape::escape;
use crate::client::{Client, Condition, Entry, Error, Terms, Until, Writer};

use super::Context;
use super::args::Lock;
use super::env::become_command;
use super::outcome::{Answer, Failure};
use super::process::{is_ancestor, name};

/// A lock that is to be taken.
struct Attempt<'a> {
    client: Client,
    key: &'a str,
    /// What others read in it: who holds it.
    value: String,
    deadline: Option<Instant>,
    has_warned: bool,
}

/// What came of it.
enum Taken {
    Ours,
    /// Somebody else's, all the time that there was.
    NotInTime(Option<Entry>),
}

pub(super) fn run(args: Lock, context: &Context) -> Result<Answer, Failure> {
    take(&args, context).map_err(Failure::before_command)
}

fn take(args: &Lock, context: &Context) -> Result<Answer, Failure> {
    if context.json {
        let sentence = "--json is for printing, not for running a command";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let mut attempt = Attempt {
        client: context.connect()?,
        key: &args.key,
        value: process::id().to_string(),
        deadline: args.timeout.and_then(|it| Instant::now().checked_add(it)),
        has_warned: false,
    };
    match attempt.take()? {
        // What is open here closes when the command is executed.
        Taken::Ours => Err(become_command(&args.command, [("", ""); 0])),
        Taken::NotInTime(holder) => {
            let sentence = match holder {
                Some(holder) => format!("not in time: {}", held(&holder)),
                None => format!("not in time: {}", escape(&args.key)),
            };
            say(&sentence);
            Ok(Answer::Late)
        }
    }
}

impl Attempt<'_> {
    fn take(&mut self) -> Result<Taken, Failure> {
        loop {
            let terms = Terms::new().only_if(Condition::undefined()).own_process();
            match self.client.set_with(self.key, &self.value, terms) {
                Ok(_) => return Ok(Taken::Ours),
                Err(Error::ConditionFailed { .. }) => {}
                Err(Error::OutcomeUnknown(why)) if self.is_ours(&why)? => return Ok(Taken::Ours),
                Err(Error::OutcomeUnknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let holder = self.client.entry(self.key)?;
            if let Some(holder) = &holder {
                self.warn(holder)?;
            }
            let mut gone = Until::undefined();
            if let Some(deadline) = self.deadline {
                gone = gone.within(deadline.saturating_duration_since(Instant::now()));
            }
            match self.client.wait_until(self.key, gone) {
                Ok(_) => {}
                Err(Error::TimedOut { .. }) => return Ok(Taken::NotInTime(holder)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether we hold it after all, when the answer to that was lost: the service may have died
    /// after it had done it. Asked again it would say that it is taken, if by ourselves.
    fn is_ours(&mut self, why: &Error) -> Result<bool, Failure> {
        let Some(entry) = self.client.entry(self.key)? else {
            return Ok(false);
        };
        let looks_like_ours = entry
            .value
            .as_ref()
            .is_some_and(|value| *value == *self.value);
        let uid = entry.writer.map(|writer| writer.uid);
        match (looks_like_ours, entry.pid, uid) {
            (false, ..) => Ok(false),
            (true, Some(pid), Some(uid)) if pid == process::id() && uid == geteuid().as_raw() => {
                Ok(true)
            }
            // In another name space of processes we do not know our own number. If it is ours, it
            // is released by our end.
            (true, ..) => Err(Failure::Refused(format!(
                "{why}\n  whether {} is held cannot be told",
                escape(self.key)
            ))),
        }
    }

    /// Says that this may wait for ever, because the holder waits for us.
    fn warn(&mut self, holder: &Entry) -> Result<(), Failure> {
        match holder.pid {
            Some(pid) if pid == process::id() => Err(Failure::Refused(format!(
                "{} is held by this process already",
                escape(self.key)
            ))),
            Some(pid) if is_ancestor(pid) && !self.has_warned => {
                self.has_warned = true;
                say(&format!(
                    "{}, from which this was started\n  if that waits for this, neither goes on",
                    held(holder)
                ));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Who holds it.
fn held(holder: &Entry) -> String {
    let key = escape(&holder.key);
    let Some(pid) = holder.pid else {
        return format!(
            "{key} is defined and belongs to no process\n  \
             to take it from whoever set it: globstash delete {key}"
        );
    };
    let who = holder.writer.zip(holder.modified);
    let name = who.and_then(|(writer, modified)| name(Writer { pid, ..writer }, modified));
    match name {
        Some(name) => format!("{key} is held by process {pid} ({})", escape(&name)),
        None => format!("{key} is held by process {pid}"),
    }
}

/// A sentence beside the output of the command.
fn say(sentence: &str) {
    // If that cannot be written, the exit status has to say it alone.
    let _ = writeln!(io::stderr(), "globstash: {sentence}");
}
