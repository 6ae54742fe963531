//! The methods: from parameters to the store, from the store to replies.
//!
//! A call that can be answered at once is. One that visits many variables becomes a [`Job`], which
//! the event loop runs in pieces; the caller's next call waits until it is done. Everything goes
//! into the caller's buffer; nothing here knows a socket.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::batch::read_batch;
use super::clock;
use super::contract::{Caller, Delivery, Serve, Unfinished as _};
use super::entry::{Fields, write_value, write_variable};
use super::failure::Failure;
use super::guards::{Guards, Unguarded};
use super::interface::{
    self, Apply, Delete, Expire, Get, GetStatus, INTERFACE, List, OpenMap, Set,
};
use super::jobs::{Job, SLICE, Work};
use super::log::Sparingly;
use super::parameters::{
    Ttl, read_condition, read_decimal, read_filter, read_patterns, read_ttl, read_value,
};
use super::store::decimal::Decimal;
use super::store::{DELETE_MAX, Progress, Refusal, Store, Terms, VALUE_MAX, Walk, Writer};
use super::table::Token;
use super::timer::Timer;
use super::watch::{Begin, Watch};
use super::watches::{Wait, Watches};
use crate::map::{LAYOUT, Process, Revision};
use crate::sys::process::{NoPidfd, Pidfd};
use crate::wire::fault::Fault;
use crate::wire::introspection::{self, Introspection};
use crate::wire::object::Text;
use crate::wire::reply::Reply;
use crate::wire::request::Request;
use crate::wire::table::{Interface, reply_flaw};

/// Most variables that are deleted in one turn because their time has run out, and because their
/// processes have ended, so that many of them do not hold up the callers: some tenths of a
/// millisecond.
const DUE_MAX: usize = 128;

/// What we implement besides `org.varlink.service`.
static INTERFACES: [&Interface; 1] = [&INTERFACE];

/// What a method needs besides its parameters.
pub(crate) struct Call<'c> {
    /// Who calls.
    caller: Caller<'c>,
    /// Whether the caller takes several replies.
    more: bool,
    /// Whether the caller takes none.
    oneway: bool,
    /// Replies are appended here.
    out: &'c mut Vec<u8>,
}

impl Call<'_> {
    /// Who makes the change that is asked for.
    fn writer(&self) -> Writer {
        Writer {
            uid: self.caller.peer.uid,
            pid: self.caller.peer.pid,
        }
    }
}

/// How a method ends: answered, or with work to do.
type Answer = Result<Option<Work>, Failure>;

/// The service: its variables, and what it counts.
pub(crate) struct Service {
    store: Store,
    watches: Watches,
    /// Goes off when a variable expires.
    timer: Timer,
    /// The processes whose end deletes variables.
    guards: Guards,
    introspection: Introspection,
    /// The map, as readers are given it.
    view: Option<Rc<OwnedFd>>,
    /// What goes with the reply to the present call.
    enclosure: Option<Rc<OwnedFd>>,
    log: Sparingly,
    calls: u64,
    errors: u64,
}

impl Service {
    /// A service with these variables.
    pub(crate) fn new(store: Store) -> io::Result<Self> {
        let introspection = Introspection {
            interfaces: &INTERFACES,
        };
        let mut service = Service {
            store,
            watches: Watches::default(),
            timer: Timer::new()?,
            guards: Guards::new()?,
            introspection,
            view: None,
            enclosure: None,
            log: Sparingly::default(),
            calls: 0,
            errors: 0,
        };
        service.watch_processes();
        service.arm();
        Ok(service)
    }

    /// Watches again the processes that variables belonged to before this service began.
    fn watch_processes(&mut self) {
        for process in self.store.processes() {
            match self.guards.watch_again(process) {
                Ok(true) => {}
                Ok(false) => self.store.end_process(process),
                Err(problem) => {
                    let pid = process.pid;
                    log::error!(pid; "variables will outlive their process: {problem}");
                }
            }
        }
    }

    /// Says when this service is to be woken. To be called when something may have changed.
    fn arm(&mut self) {
        if !self.store.take_ledger_news() {
            return;
        }
        for process in self.store.take_idle_processes() {
            self.guards.forget(process);
        }
        self.timer.arm(self.store.next_due());
    }

    /// Its variables.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

impl Serve for Service {
    type Job = Job;

    fn call(
        &mut self,
        request: &Request<'_>,
        caller: Caller<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Job> {
        self.store.rest();
        let start = out.len();
        let before = self.store.revision();
        let (more, oneway) = (request.more, request.oneway);
        let call = Call {
            caller,
            more,
            oneway,
            out: &mut *out,
        };
        match self.dispatch(request, call) {
            Ok(Some(work)) => {
                let method = request.method.to_string();
                let job = Job {
                    work,
                    method,
                    oneway,
                    is_asleep: false,
                };
                return match job.work {
                    // It is told in its turn, like all who listen.
                    Work::Watch(_) => Some(job),
                    _ => self.resume(job, caller.who, out),
                };
            }
            answer => self.settle(&request.method, oneway, answer.map(drop), start, out),
        }
        self.tell_changes(before);
        self.arm();
        None
    }

    fn sources(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.timer.as_fd(), self.guards.as_fd()]
    }

    fn act(&mut self) {
        if self.watches.count_on(SLICE) {
            return;
        }
        let ended = self.guards.take_ended();
        for process in ended.expect("an epoll can be asked what is ready") {
            self.store.end_process(process);
        }
        let before = self.store.revision();
        self.store.expire_due(clock::now(), DUE_MAX);
        self.tell_changes(before);
        if !self.watches.is_counting() {
            let before = self.store.revision();
            self.store.release_due(DUE_MAX);
            self.tell_changes(before);
        }
        self.timer.rearm(self.store.next_due());
        self.arm();
    }

    fn is_untidy(&self) -> bool {
        self.store.is_untidy()
    }

    fn tidy(&mut self) {
        self.store.tidy();
    }

    fn resume(&mut self, mut job: Job, who: Token, out: &mut Vec<u8>) -> Option<Job> {
        if job.changes_something() && self.watches.count_on(SLICE) {
            return Some(job);
        }
        if let Work::Expire(batch) = &job.work {
            let before = self.store.revision();
            self.store.expire_of(batch, clock::now());
            self.tell_changes(before);
            self.arm();
            return None;
        }
        let start = out.len();
        let before = self.store.revision();
        job.is_asleep = match job.work {
            Work::Watch(_) => self.watches.catch_up(who, &self.store, out),
            Work::Wait(..) => true,
            _ => false,
        };
        match job.work.run(&mut self.store, out) {
            Ok(Progress::Paused) => {
                debug_check_replies(&job.method, &out[start..]);
                return Some(job);
            }
            result => self.settle(&job.method, job.oneway, result.map(drop), start, out),
        }
        self.tell_changes(before);
        self.arm();
        if let Work::Apply(batch, _) = job.work
            && batch.mortal().next().is_some()
        {
            job.work = Work::Expire(batch);
            return match self.watches.is_counting() {
                true => Some(job),
                false => self.resume(job, who, out),
            };
        }
        None
    }

    fn enclosure(&mut self) -> Option<Rc<OwnedFd>> {
        self.enclosure.take()
    }

    fn outbox(&mut self) -> &mut Vec<Delivery> {
        self.watches.outbox()
    }

    fn refuse(&mut self, request: &Request<'_>, maximum: u64, out: &mut Vec<u8>) {
        let failure = Failure::Connections(maximum);
        self.settle(
            &request.method,
            request.oneway,
            Err(failure),
            out.len(),
            out,
        );
    }

    fn time_out(&mut self, job: &Job, who: Token, out: &mut Vec<u8>) {
        let key = self.watches.leave(who).unwrap_or_default();
        let failure = Failure::TimedOut(key);
        self.settle(&job.method, job.oneway, Err(failure), out.len(), out);
    }

    fn is_stuck(&mut self, who: Token) {
        self.watches.is_stuck(who);
    }

    fn leave(&mut self, who: Token) {
        self.watches.leave(who);
    }

    fn end(&mut self) {
        log::info!(
            variables = self.store.len(), revision = self.store.revision().0;
            "ending, the variables are forgotten"
        );
        self.store.close();
    }
}

impl Service {
    /// If the store has changed since it was at revision `before`, whoever listens is told. To be
    /// called after each change: it tells of the last one.
    fn tell_changes(&mut self, before: Revision) {
        let now = self.store.revision();
        if now == before {
            return;
        }
        if !self.watches.is_empty() {
            self.watches.notify(&self.store, now);
        }
        self.store.trim_history();
        // What many are told is one reply, and large ones take long.
        let mut checked = BTreeSet::new();
        for delivery in self.watches.outbox() {
            match delivery {
                Delivery::Tell(_, reply) if cfg!(debug_assertions) => {
                    if checked.insert(reply.as_ptr()) {
                        debug_check_replies("io.globstash.Watch", reply);
                    }
                }
                Delivery::Tell(..) => {}
                Delivery::End(_, reply) => {
                    debug_check_replies("io.globstash.Wait", reply);
                    self.calls += 1;
                }
                Delivery::Wake(_) => {}
            }
        }
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
        debug_check_replies(method, &out[start..]);
        if oneway {
            out.truncate(start);
            self.enclosure = None;
        }
    }

    /// Watches a process to which a variable is going to belong; 0 is the caller.
    fn watch_process(&mut self, pid: i64, call: &Call<'_>) -> Result<Process, Failure> {
        let peer = call.caller.peer;
        let (pid, pidfd) = match (u32::try_from(pid), call.caller.socket) {
            (Err(_), _) if pid < 0 => return Err(Failure::parameter("pid")),
            (Err(_), _) => return Err(Failure::NoSuchProcess(pid)),
            (Ok(0), Some(socket)) => (peer.pid, Pidfd::of_peer(socket, peer.pid)),
            (Ok(0), None) => (peer.pid, Pidfd::open(peer.pid)),
            (Ok(pid), _) => (pid, Pidfd::open(pid)),
        };
        let watched = match pidfd {
            Ok(pidfd) => self.guards.watch(pidfd),
            Err(NoPidfd::Gone) => return Err(Failure::NoSuchProcess(pid.into())),
            Err(NoPidfd::Accident(error)) => Err(Unguarded::Accident(error)),
        };
        watched.map_err(|problem| {
            self.log
                .warn(|| log::warn!(pid; "cannot watch a process: {problem}"));
            Failure::Processes(self.guards.maximum())
        })
    }

    /// The map, to be given to a reader. `None` if the system has no room for that: readers can ask
    /// for each variable.
    fn view(&mut self) -> Option<Rc<OwnedFd>> {
        if self.view.is_none() {
            match self.store.memory().reopen_for_reading() {
                Ok(view) => self.view = Some(Rc::new(view)),
                Err(error) => self
                    .log
                    .warn(|| log::warn!("the map cannot be given to readers: {error}")),
            }
        }
        self.view.clone()
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
            ttl_u_sec,
            pid,
            protected,
            ..
        } = parameters;
        let value = read_value(&key, &value, &data, "data")?;
        let condition = read_condition(&key, "condition", condition.as_ref())?;
        let writer = call.writer();
        let Some(value) = value else {
            let deleted = self.store.delete(&key, &condition, writer);
            let (_, revision) = deleted.map_err(|refusal| self.refused(&key, refusal))?;
            Reply::new(call.out)
                .parameters()
                .count("revision", revision.0);
            return Ok(None);
        };
        let ttl = read_ttl("ttlUSec", ttl_u_sec)?;
        let process = pid.map(|pid| self.watch_process(pid, &call)).transpose()?;
        let terms = Terms {
            condition,
            deadline: ttl.deadline(),
            process,
            protected,
        };
        let before = self.store.revision();
        let set = self.store.set(&key, &value, &terms, writer);
        if let Some(process) = process.filter(|process| !self.store.has_process(*process)) {
            self.guards.forget(process);
        }
        let revision = set.map_err(|refusal| self.refused(&key, refusal))?;
        if let Ttl::Over = ttl {
            self.tell_changes(before);
            let gone = self.store.expire_now(&key, writer);
            gone.map_err(|refusal| self.refused(&key, refusal))?;
        }
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
        write_value(&mut reply, variable);
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
                let collection = self.store.collection(patterns, DELETE_MAX);
                Ok(Some(Work::Delete(collection, call.writer())))
            }
            (Some(key), None) => {
                let condition = read_condition(&key, "condition", condition.as_ref())?;
                let deleted = self.store.delete(&key, &condition, call.writer());
                let (count, revision) = deleted.map_err(|refusal| self.refused(&key, refusal))?;
                let mut reply = Reply::new(call.out).parameters();
                reply.count("count", count);
                reply.count("revision", revision.0);
                Ok(None)
            }
        }
    }

    fn expire(&mut self, parameters: Expire<'_>, call: Call<'_>) -> Answer {
        let key = parameters.key;
        let defined = match read_ttl("ttlUSec", parameters.ttl_u_sec)? {
            Ttl::Over => self.store.expire_now(&key, call.writer()),
            ttl => self.store.expire(&key, ttl.deadline(), call.writer()),
        };
        let defined = defined.map_err(|refusal| self.refused(&key, refusal))?;
        Reply::new(call.out).parameters().bool("defined", defined);
        Ok(None)
    }

    fn list(&mut self, parameters: List<'_>, call: Call<'_>) -> Answer {
        let patterns = read_filter(parameters.patterns.as_deref())?;
        let fields = Fields::wanted(parameters.keys_only, parameters.metadata);
        Ok(Some(match call.more {
            true => Work::Stream(Walk::new(patterns), fields),
            false => Work::Gather(self.store.collection(patterns, usize::MAX), fields),
        }))
    }

    fn watch(&mut self, parameters: interface::Watch<'_>, call: Call<'_>) -> Answer {
        let patterns = read_filter(parameters.patterns.as_deref())?;
        let fields = Fields::wanted(parameters.keys_only, parameters.metadata);
        let now = self.store.revision();
        let is_ours = |instance: &Text<'_>| **instance == *self.store.instance();
        let begin = match parameters.after_revision {
            _ if parameters.initial == Some(true) => Begin::Initial,
            None => Begin::Now,
            Some(_) if !parameters.instance.as_ref().is_none_or(is_ours) => Begin::Reset,
            Some(after) => match u64::try_from(after).map(Revision) {
                Err(_) => return Err(Failure::parameter("afterRevision")),
                Ok(after) if after > now => Begin::Reset,
                Ok(after) => Begin::After(after),
            },
        };
        let memory = patterns.memory();
        self.watches
            .watch(call.caller.who, Watch::new(patterns, fields, begin, now));
        self.calls += 1;
        Ok(Some(Work::Watch(memory)))
    }

    fn wait(&mut self, parameters: interface::Wait<'_>, call: Call<'_>) -> Answer {
        let key = parameters.key;
        let mut condition = read_condition(&key, "condition", parameters.condition.as_ref())?;
        let changed_from = parameters.changed_from;
        if parameters.condition.is_none() && changed_from.is_none() {
            condition.defined = Some(true);
        }
        let timeout = match parameters.timeout_u_sec.map(u64::try_from) {
            Some(Err(_)) => return Err(Failure::parameter("timeoutUSec")),
            Some(Ok(timeout)) => Some(Duration::from_micros(timeout)),
            None => None,
        };
        let variable = self
            .store
            .get(&key)
            .map_err(|refusal| self.refused(&key, refusal))?;
        let condition = condition.into_owned();
        let wait = Wait {
            key: key.to_string(),
            condition,
            changed_from,
        };
        // Who wants no reply need not wait for it.
        if call.oneway || wait.is_over(variable) {
            write_value(&mut Reply::new(call.out).parameters(), variable);
            return Ok(None);
        }
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Failure::TimedOut(wait.key));
        }
        let memory = wait.memory();
        self.watches.wait(call.caller.who, wait);
        // What is too far away to be counted never comes.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(Some(Work::Wait(deadline, memory)))
    }

    fn increment(&mut self, parameters: interface::Increment<'_>, call: Call<'_>) -> Answer {
        let key = parameters.key;
        let by = read_decimal("by", &parameters.by)?.unwrap_or(Decimal::ONE);
        let minimum = read_decimal("minimum", &parameters.minimum)?;
        let maximum = read_decimal("maximum", &parameters.maximum)?;
        if minimum
            .zip(maximum)
            .is_some_and(|(minimum, maximum)| minimum > maximum)
        {
            return Err(Failure::parameter("minimum"));
        }
        let writer = call.writer();
        let sum = self.store.increment(&key, by, (minimum, maximum), writer);
        let (sum, revision) = sum.map_err(|refusal| self.refused(&key, refusal))?;
        let mut reply = Reply::new(call.out).parameters();
        reply.string("value", &sum.to_string());
        reply.count("revision", revision.0);
        Ok(None)
    }

    fn apply(&mut self, parameters: Apply<'_>, call: Call<'_>) -> Answer {
        let batch = read_batch(&parameters)?;
        Ok(Some(Work::Apply(Box::new(batch), call.writer())))
    }

    fn open_map(&mut self, _: OpenMap<'_>, call: Call<'_>) -> Answer {
        self.enclosure = self.view();
        let mut reply = Reply::new(call.out).parameters();
        reply.count("mapFileDescriptor", 0);
        reply.count("size", self.store.memory().size());
        reply.count("layout", LAYOUT.into());
        reply.string("instance", self.store.instance());
        Ok(None)
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
        let (share, allowance) = self.store.share(call.caller.peer.uid);
        reply.count("userVariables", share.variables);
        reply.count("userBytes", share.bytes);
        reply.count("maximumUserVariables", allowance.variables);
        reply.count("maximumUserBytes", allowance.bytes);
        reply.count("connections", call.caller.connections);
        reply.count("watches", self.watches.count());
        reply.count("calls", self.calls);
        reply.count("errors", self.errors);
        reply.count("skippedEvents", self.watches.skipped());
        Ok(None)
    }
}

/// In debug builds, that is in tests, each reply must be as the interface file says.
fn debug_check_replies(method: &str, replies: &[u8]) {
    if !cfg!(debug_assertions) {
        return;
    }
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
