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
use std::os::unix::ffi::OsStrExt;
use std::process;
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use crate::client::address::Address;
use crate::client::escape::escape;
use crate::client::{Client, Condition, Entry, Error, Options, Terms, Until, Writer};

use super::Context;
use super::args::Lock;
use super::env::become_command;
use super::outcome::{Answer, Failure};
use super::process::{is_ancestor, name};

/// Whatever time is given, so long the service has to answer at all: it may have to be started.
const LEAST: Duration = Duration::from_secs(1);
/// So long it has for each answer, however little time is left.
const LATE: Duration = Duration::from_millis(200);

/// A lock that is to be taken.
struct Attempt<'a> {
    client: Client,
    key: &'a str,
    /// What others read in it: who holds it.
    value: String,
    deadline: Option<Instant>,
    /// When it is over also for a service that says nothing.
    patience: Option<Instant>,
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
    let taken = Attempt::begin(args, context).and_then(|mut attempt| attempt.take());
    let why = match taken {
        // What is open here closes when the command is executed.
        Ok(Taken::Ours) => return Err(become_command(&args.command, [("", ""); 0])),
        Ok(Taken::NotInTime(Some(holder))) => held(&holder),
        Ok(Taken::NotInTime(None)) => escape(&args.key).to_string(),
        Err(Failure::Service(error)) => match silent(&error) {
            // If we hold it after all, it is released by our end.
            Some(address) if args.timeout.is_some() => {
                let place = escape(address.place().as_bytes());
                format!("the service at {place} does not answer")
            }
            _ => return Err(error.into()),
        },
        Err(failure) => return Err(failure),
    };
    say(&format!("not in time: {why}"));
    Ok(Answer::Late)
}

impl<'a> Attempt<'a> {
    fn begin(args: &'a Lock, context: &Context) -> Result<Attempt<'a>, Failure> {
        let started = Instant::now();
        let patience = args.timeout.map(|it| it.max(LEAST));
        let options = Options::new();
        let options = patience.map_or(options.clone(), |it| options.timeout(it));
        Ok(Attempt {
            client: context.connect_with(&options)?,
            key: &args.key,
            value: process::id().to_string(),
            deadline: args.timeout.and_then(|it| started.checked_add(it)),
            patience: patience.and_then(|it| started.checked_add(it)),
            has_warned: false,
        })
    }

    fn take(&mut self) -> Result<Taken, Failure> {
        loop {
            let terms = Terms::new().only_if(Condition::undefined()).own_process();
            self.hurry();
            match self.client.set_with(self.key, &self.value, terms) {
                Ok(_) => return Ok(Taken::Ours),
                Err(Error::ConditionFailed { .. }) => {}
                Err(error) if self.patience.is_some() && silent(&error).is_some() => {
                    return Err(error.into());
                }
                Err(Error::OutcomeUnknown(why)) if self.is_ours(&why)? => return Ok(Taken::Ours),
                Err(Error::OutcomeUnknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
            self.hurry();
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

    /// Gives the service no more than the time that is left for its next answer.
    fn hurry(&mut self) {
        if let Some(patience) = self.patience {
            let left = patience.saturating_duration_since(Instant::now());
            self.client.set_timeout(left.max(LATE));
        }
    }

    /// Whether we hold it after all, when the answer to that was lost: the service may have died
    /// after it had done it. Asked again it would say that it is taken, if by ourselves.
    fn is_ours(&mut self, why: &Error) -> Result<bool, Failure> {
        self.hurry();
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

/// Where the service is that says nothing, if that is what went wrong.
fn silent(error: &Error) -> Option<&Address> {
    match error {
        Error::OutcomeUnknown(why) => silent(why),
        Error::Silent { address, .. } => Some(address),
        _ => None,
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
