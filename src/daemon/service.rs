//! The methods: from parameters to the store, from the store to replies.
//!
//! A call that can be answered at once is. One that visits many variables becomes a [`Job`], which
//! the event loop runs in pieces; the caller's next call waits until it is done. Everything goes
//! into the caller's buffer; nothing here knows a socket.

use super::entry::{Fields, write_content, write_variable};
use super::failure::Failure;
use super::interface::{self, Delete, Get, GetStatus, INTERFACE, List, Set};
use super::jobs::{Job, Work};
use super::parameters::{read_condition, read_patterns, read_value};
use super::store::pattern::Patterns;
use super::store::{DELETE_MAX, Progress, Refusal, Store, VALUE_MAX, Walk, Writer};
use crate::sys::peer::Peer;
use crate::wire::fault::Fault;
use crate::wire::introspection::{self, Introspection};
use crate::wire::reply::Reply;
use crate::wire::request::Request;
use crate::wire::table::{Interface, reply_flaw};

/// What we implement besides `org.varlink.service`.
static INTERFACES: [&Interface; 1] = [&INTERFACE];

/// What a method needs besides its parameters.
pub(crate) struct Call<'c> {
    /// The process that calls.
    pub(crate) peer: Peer,
    /// How many connections are open.
    pub(crate) connections: u64,
    /// Whether the caller takes several replies.
    pub(crate) more: bool,
    /// Replies are appended here.
    pub(crate) out: &'c mut Vec<u8>,
}

/// How a method ends: answered, or with work to do.
type Answer = Result<Option<Work>, Failure>;

/// The service: its variables, and what it counts.
pub(crate) struct Service {
    store: Store,
    introspection: Introspection,
    calls: u64,
    errors: u64,
}

impl Service {
    /// A service with these variables.
    pub(crate) fn new(store: Store) -> Self {
        let introspection = Introspection {
            interfaces: &INTERFACES,
        };
        Service {
            store,
            introspection,
            calls: 0,
            errors: 0,
        }
    }

    /// The variables.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Answers a call, or begins to.
    pub(crate) fn call(
        &mut self,
        request: &Request<'_>,
        peer: Peer,
        connections: u64,
        out: &mut Vec<u8>,
    ) -> Option<Job> {
        let start = out.len();
        let call = Call {
            peer,
            connections,
            more: request.more,
            out: &mut *out,
        };
        match self.dispatch(request, call) {
            Ok(Some(work)) => {
                let job = Job {
                    work,
                    method: request.method.to_string(),
                    oneway: request.oneway,
                };
                return self.resume(job, out);
            }
            answer => self.settle(
                &request.method,
                request.oneway,
                answer.map(drop),
                start,
                out,
            ),
        }
        None
    }

    /// Goes on with a call. Gives the job back if it is not done.
    pub(crate) fn resume(&mut self, mut job: Job, out: &mut Vec<u8>) -> Option<Job> {
        let start = out.len();
        match job.work.run(&mut self.store, out) {
            Ok(Progress::Paused) => return Some(job),
            result => self.settle(&job.method, job.oneway, result.map(drop), start, out),
        }
        None
    }

    /// Refuses a call on a connection that is one too many.
    pub(crate) fn refuse(&mut self, request: &Request<'_>, maximum: u64, out: &mut Vec<u8>) {
        let failure = Failure::Connections(maximum);
        self.settle(
            &request.method,
            request.oneway,
            Err(failure),
            out.len(),
            out,
        );
    }

    fn dispatch(&mut self, request: &Request<'_>, call: Call<'_>) -> Answer {
        let interface = request.interface();
        if interface == INTERFACE.name {
            interface::dispatch(self, request, call)?
        } else if interface == introspection::INTERFACE.name {
            introspection::dispatch(&mut self.introspection, request, Reply::new(call.out))??;
            Ok(None)
        } else {
            Err(Fault::InterfaceNotFound(interface.to_owned()).into())
        }
    }

    /// A call is over: counts it, writes the error if it is one, and takes the reply back from a
    /// caller that wants none.
    fn settle(
        &mut self,
        method: &str,
        oneway: bool,
        result: Result<(), Failure>,
        start: usize,
        out: &mut Vec<u8>,
    ) {
        self.calls += 1;
        if let Err(failure) = result {
            self.errors += 1;
            out.truncate(start);
            failure.write(method, Reply::new(out));
        }
        if cfg!(debug_assertions) {
            check_replies(method, &out[start..]);
        }
        if oneway {
            out.truncate(start);
        }
    }

    /// The answer to a call about `key` that the store refused.
    fn refused(&self, key: &str, refusal: Refusal) -> Failure {
        Failure::Refused(key.to_owned(), refusal, self.store.limits())
    }
}

impl interface::Service for Service {
    type Call<'c> = Call<'c>;
    type Answer = Answer;

    fn set(&mut self, parameters: Set<'_>, call: Call<'_>) -> Answer {
        let Set {
            key,
            value,
            data,
            condition,
            ..
        } = parameters;
        let value = read_value(&key, &value, &data, "data")?;
        let condition = read_condition(&key, &condition)?;
        let writer = Writer {
            uid: call.peer.uid,
            pid: call.peer.pid,
        };
        let revision = match value {
            Some(value) => self.store.set(&key, &value, &condition, writer),
            None => self
                .store
                .delete(&key, &condition)
                .map(|(_, revision)| revision),
        }
        .map_err(|refusal| self.refused(&key, refusal))?;
        Reply::new(call.out)
            .parameters()
            .count("revision", revision.0);
        Ok(None)
    }

    fn get(&mut self, parameters: Get<'_>, call: Call<'_>) -> Answer {
        let key = parameters.key;
        let variable = self
            .store
            .get(&key)
            .map_err(|refusal| self.refused(&key, refusal))?;
        let mut reply = Reply::new(call.out).parameters();
        reply.bool("defined", variable.is_some());
        match variable {
            Some(variable) => write_content(&mut reply, variable),
            None => reply.string("value", ""),
        }
        reply.count(
            "revision",
            variable.map_or(0, |variable| variable.revision().0),
        );
        if let Some(variable) = variable.filter(|_| parameters.metadata == Some(true)) {
            let mut entry = reply.object("entry");
            write_variable(
                &mut entry,
                variable,
                Fields {
                    values: false,
                    metadata: true,
                },
            );
        }
        Ok(None)
    }

    fn delete(&mut self, parameters: Delete<'_>, call: Call<'_>) -> Answer {
        let Delete {
            key,
            patterns,
            condition,
            ..
        } = parameters;
        match (key, patterns) {
            (None, None) => Err(Failure::parameter("key")),
            (Some(_), Some(_)) => Err(Failure::parameter("patterns")),
            (None, Some(_)) if condition.is_some() => Err(Failure::parameter("condition")),
            (None, Some(patterns)) => {
                let patterns = read_patterns(&patterns)?;
                Ok(Some(Work::Delete(
                    self.store.collection(patterns, DELETE_MAX),
                )))
            }
            (Some(key), None) => {
                let condition = read_condition(&key, &condition)?;
                let deleted = self.store.delete(&key, &condition);
                let (count, revision) = deleted.map_err(|refusal| self.refused(&key, refusal))?;
                let mut reply = Reply::new(call.out).parameters();
                reply.count("count", count);
                reply.count("revision", revision.0);
                Ok(None)
            }
        }
    }

    fn list(&mut self, parameters: List<'_>, call: Call<'_>) -> Answer {
        let patterns = match &parameters.patterns {
            Some(patterns) => read_patterns(patterns)?,
            None => Patterns::all(),
        };
        let fields = Fields {
            values: parameters.keys_only != Some(true),
            metadata: parameters.metadata == Some(true),
        };
        Ok(Some(match call.more {
            true => Work::Stream(Walk::new(patterns), fields),
            false => Work::Gather(self.store.collection(patterns, usize::MAX), fields),
        }))
    }

    fn watch(&mut self, _: interface::Watch<'_>, _: Call<'_>) -> Answer {
        Err(Fault::MethodNotFound.into())
    }

    fn wait(&mut self, _: interface::Wait<'_>, _: Call<'_>) -> Answer {
        Err(Fault::MethodNotFound.into())
    }

    fn increment(&mut self, _: interface::Increment<'_>, _: Call<'_>) -> Answer {
        Err(Fault::MethodNotFound.into())
    }

    fn get_status(&mut self, _: GetStatus<'_>, call: Call<'_>) -> Answer {
        let limits = self.store.limits();
        let mut reply = Reply::new(call.out).parameters();
        reply.string("instance", self.store.instance());
        reply.string("version", env!("CARGO_PKG_VERSION"));
        reply.count("revision", self.store.revision().0);
        reply.count("startedUSec", self.store.started());
        reply.count("variables", self.store.len());
        reply.count("bytes", self.store.bytes());
        reply.count("maximumVariables", limits.variables);
        reply.count("maximumBytes", limits.bytes);
        reply.count("maximumValueSize", VALUE_MAX as u64);
        reply.count("connections", call.connections);
        reply.count("watches", 0);
        reply.count("calls", self.calls);
        reply.count("errors", self.errors);
        reply.count("skippedEvents", 0);
        Ok(None)
    }
}

/// In debug builds, that is in tests, each reply must be as the interface file says.
fn check_replies(method: &str, replies: &[u8]) {
    let interfaces = [&INTERFACE, &introspection::INTERFACE];
    let (interface, member) = method.rsplit_once('.').unwrap_or(("", method));
    let outputs = interfaces
        .iter()
        .filter(|known| known.name == interface)
        .flat_map(|known| known.methods)
        .find(|known| known.name == member)
        .map_or(&[][..], |known| known.outputs);
    for reply in replies.split_inclusive(|byte| *byte == 0) {
        let message = reply
            .strip_suffix(&[0])
            .and_then(|message| std::str::from_utf8(message).ok());
        let flaw = message.map_or(Some("not text that ends with NUL".to_owned()), |message| {
            reply_flaw(&interfaces, outputs, message)
        });
        assert_eq!(
            flaw,
            None,
            "reply to {method}: {}",
            String::from_utf8_lossy(reply)
        );
    }
}
