//! Calls that visit many variables, done in pieces so that others have their turn in between.

use std::ops::ControlFlow;
use std::time::Instant;

use super::contract::Unfinished;
use super::entry::{Fields, write_variable};
use super::failure::{Failure, REPLY_MAX};
use super::store::{Batch, Budget, Collection, Key, Progress, Refusal, Store, Walk, Writer, text};
use crate::wire::reply::Reply;

/// A reply to a List with `more` ends with the entry that makes it larger than this, in bytes.
const STREAM_REPLY: usize = 64 << 10;

/// What one entry of a reply takes beside its key, at least, in bytes: `{"key":"","revision":1},`.
const ENTRY_MIN: usize = 24;

/// How much work is done for one call before others have their turn, in the steps of [`Budget`]:
/// some tenths of a millisecond.
pub(crate) const SLICE: usize = 100_000;

/// A call that is being answered in pieces.
#[derive(Debug)]
pub(crate) struct Job {
    /// What is left to do.
    pub(crate) work: Work,
    /// The method, for error replies.
    pub(crate) method: String,
    /// The caller wants no reply.
    pub(crate) oneway: bool,
    /// Nothing is to be done until something happens to the variables.
    pub(crate) is_asleep: bool,
}

/// What a call has to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// List with `more`: replies of moderate size.
    Stream(Walk, Fields),
    /// List without: one reply, true at its revision.
    Gather(Collection, Fields),
    /// Delete by patterns: one change.
    Delete(Collection, Writer),
    /// Apply: one change, in one go. It waits only if it must wait for others to be told of one before.
    Apply(Box<Batch>, Writer),
    /// Apply, answered: what is to live for no time goes when all who listen have heard that it came.
    Expire(Box<Batch>),
    /// Watch: for as long as the caller listens. Keeps so many bytes of memory.
    Watch(usize),
    /// Wait, until then. Keeps so many bytes of memory.
    Wait(Option<Instant>, usize),
}

impl Unfinished for Job {
    fn is_asleep(&self) -> bool {
        self.is_asleep
    }

    fn wake(&mut self) {
        self.is_asleep = false;
    }

    fn changes_something(&self) -> bool {
        matches!(
            self.work,
            Work::Delete(..) | Work::Apply(..) | Work::Expire(_)
        )
    }

    fn ends_with_caller(&self) -> bool {
        matches!(self.work, Work::Watch(_) | Work::Wait(..))
    }

    fn is_endless(&self) -> bool {
        matches!(self.work, Work::Watch(_))
    }

    fn deadline(&self) -> Option<Instant> {
        match self.work {
            Work::Wait(deadline, _) => deadline,
            _ => None,
        }
    }

    fn is_silent(&self) -> bool {
        matches!(
            self.work,
            Work::Gather(..) | Work::Delete(..) | Work::Apply(..) | Work::Expire(_)
        )
    }

    fn memory(&self) -> usize {
        match &self.work {
            Work::Stream(walk, _) => walk.memory(),
            Work::Gather(collection, _) | Work::Delete(collection, _) => collection.memory(),
            Work::Apply(batch, _) | Work::Expire(batch) => batch.memory(),
            Work::Watch(memory) | Work::Wait(_, memory) => *memory,
        }
    }
}

impl Work {
    /// Does some of it. Replies go to `out`.
    pub(crate) fn run(
        &mut self,
        store: &mut Store,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Failure> {
        match self {
            Work::Stream(walk, fields) => Ok(stream(store, walk, *fields, out)),
            Work::Gather(collection, fields) => gather(store, collection, *fields, out),
            Work::Delete(collection, writer) => delete(store, collection, *writer, out),
            Work::Apply(batch, writer) => apply(store, batch, *writer, out),
            // The first are woken by changes, see [`super::watches`]; the last says nothing.
            Work::Watch(_) | Work::Wait(..) | Work::Expire(_) => Ok(Progress::Paused),
        }
    }
}

/// One reply, or none if nothing was found in the time.
fn stream(store: &Store, walk: &mut Walk, fields: Fields, out: &mut Vec<u8>) -> Progress {
    let start = out.len();
    let mut any = false;
    let mut reply = Reply::new(&mut *out).parameters();
    let mut entries = reply.array("entries");
    let progress = store.walk(walk, &mut Budget::new(SLICE), |variable| {
        any = true;
        write_variable(&mut entries.object(), variable, fields);
        match entries.len() - start < STREAM_REPLY {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    drop(entries);
    reply.count("revision", store.revision().0);
    if progress == Progress::Paused {
        reply.continues();
    }
    drop(reply);
    if progress == Progress::Paused && !any {
        out.truncate(start);
    }
    progress
}

/// The reply, once all keys are known.
fn gather(
    store: &Store,
    collection: &mut Collection,
    fields: Fields,
    out: &mut Vec<u8>,
) -> Result<Progress, Failure> {
    let progress = store.collect(collection, &mut Budget::new(SLICE));
    let (count, bytes) = collection.size();
    if count * ENTRY_MIN + bytes > REPLY_MAX {
        return Err(Failure::ReplyTooLarge);
    }
    if progress == Progress::Paused {
        return Ok(progress);
    }
    let start = out.len();
    let mut reply = Reply::new(out).parameters();
    let mut entries = reply.array("entries");
    for variable in store.collected(collection) {
        write_variable(&mut entries.object(), variable, fields);
        if entries.len() - start > REPLY_MAX {
            return Err(Failure::ReplyTooLarge);
        }
    }
    drop(entries);
    reply.count("revision", store.revision().0);
    Ok(progress)
}

/// Does all of a batch, or nothing.
fn apply(
    store: &mut Store,
    batch: &Batch,
    writer: Writer,
    out: &mut Vec<u8>,
) -> Result<Progress, Failure> {
    let limits = store.limits();
    let revision = store
        .apply(batch, writer)
        .map_err(|(key, refusal)| Failure::Refused(key.to_owned(), refusal, limits))?;
    let mut reply = Reply::new(out).parameters();
    reply.count("revision", revision.0);
    Ok(Progress::Finished)
}

/// Deletes, once all keys are known.
fn delete(
    store: &mut Store,
    collection: &mut Collection,
    writer: Writer,
    out: &mut Vec<u8>,
) -> Result<Progress, Failure> {
    let progress = store.collect(collection, &mut Budget::new(SLICE));
    if progress == Progress::Finished {
        let deleted = store.delete_collected(collection, writer);
        let denied = |key: Key| text(&key).to_owned();
        let (count, revision) = deleted
            .map_err(|key| Failure::Refused(denied(key), Refusal::Denied, store.limits()))?;
        let mut reply = Reply::new(out).parameters();
        reply.count("count", count);
        reply.count("revision", revision.0);
    }
    Ok(progress)
}
