//! Waiting until a variable is as wanted, also while the service is away for a moment.
//!
//! A service that is back may be another instance, which knows nothing of the revisions of the one
//! before. So who waits for a change from a revision asks first which instance there is: in another
//! one than the first the variable was forgotten, which is a change whatever it is now.

use std::time::{Duration, Instant};

use serde_derive::Deserialize;

use super::connection::{Broken, Connection, Expect};
use super::entry::{Entry, Revision};
use super::error::Error;
use super::generated::{GetStatus_Args, Wait_Args, Wait_Reply};
use super::message::{Problem, Replies, Reply, reply, request};
use super::question::{Condition, Until};
use super::route::{Outage, Route};

/// As long as the kernel is ever told to wait: a century, so that nothing overflows.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
/// How long a service that is there may take to say that the time is over. Later than that it is over
/// without its word.
const LATE: Duration = Duration::from_millis(200);
/// Whatever time is given, so long the service has to answer at all: it may have to be started.
const LEAST: Duration = Duration::from_secs(1);
/// The revision that no variable has: whatever there is, it has changed from that.
const NEVER: i64 = i64::MAX;

/// What is waited for.
struct Question<'r> {
    route: &'r Route,
    args: Wait_Args,
    started: Instant,
    timeout: Option<Duration>,
    /// The instance that the revision in `args` belongs to.
    instance: Option<String>,
}

/// What is read of a GetStatus reply.
#[derive(Deserialize)]
struct Running {
    instance: String,
}

type Answer<R> = Result<Result<Reply<R>, Problem>, Broken>;

pub(super) fn wait(
    route: &Route,
    idle: &mut Option<Connection>,
    key: &str,
    until: Until,
) -> Result<Option<Entry>, Error> {
    let mut question = Question {
        route,
        args: Wait_Args {
            key: key.to_owned(),
            condition: until.condition.map(Condition::into_wire),
            changedFrom: until.changed_from.map(Revision::into_wire),
            timeoutUSec: None,
        },
        started: Instant::now(),
        timeout: until.timeout,
        instance: None,
    };
    let mut connection = match idle.take() {
        Some(connection) => connection,
        None => route.open()?,
    };
    let mut outage: Option<Outage> = None;
    loop {
        // A service that says nothing is one: there may be nothing to say.
        let opened = Instant::now();
        let refusal = match question.ask(&mut connection) {
            Ok(Ok(reply)) => {
                *idle = Some(connection);
                let reply = reply.parameters;
                let fields = (reply.value, reply.data);
                return Entry::defined(key, reply.defined, fields, reply.revision)
                    .map_err(|what| route.nonsense(what));
            }
            // All callers come back at the same time.
            Ok(Err(Problem::Refused(error))) if outage.is_some() && error.may_pass() => Some(error),
            Ok(Err(Problem::Refused(error))) => {
                *idle = Some(connection);
                return Err(error);
            }
            Ok(Err(Problem::Nonsense(what))) => return Err(route.nonsense(what)),
            Err(Broken::Lost) => None,
            Err(Broken::Silent) if question.left() == Some(Duration::ZERO) => {
                return Err(question.timed_out());
            }
            Err(broken) => return Err(route.broken(broken)),
        };
        let mut this = Outage::of_lost(opened.elapsed(), outage.take()).until(question.deadline());
        if let Some(refusal) = refusal {
            this.because(refusal);
        }
        connection = route
            .reopen(&mut this)
            .map_err(|error| match question.left() {
                Some(Duration::ZERO) => question.timed_out(),
                _ => error,
            })?;
        outage = Some(this);
    }
}

impl Question<'_> {
    /// Asks, and waits for the answer.
    fn ask(&mut self, connection: &mut Connection) -> Answer<Wait_Reply> {
        // What is not defined has the same revision in every instance.
        if self.args.changedFrom.is_some_and(|from| from != 0) {
            let request = request("GetStatus", &GetStatus_Args {}, Replies::One);
            connection.send(&request)?;
            let limit = self.route.options.timeout;
            let expected = Expect::Answer(self.patience().map_or(limit, |most| limit.min(most)));
            match connection.receive(expected, reply::<Running>)? {
                Ok(reply) => self.is_of(reply.parameters.instance),
                Err(problem) => return Ok(Err(problem)),
            }
        }
        let left = self.left();
        self.args.timeoutUSec = left.map(|left| left.as_micros() as i64);
        connection.send(&request("Wait", &self.args, Replies::One))?;
        // The service counts the time; we only see whether it does.
        connection.receive(Expect::Event(self.patience()), reply)
    }

    /// How long the service may say nothing.
    fn patience(&self) -> Option<Duration> {
        let patience = |left: Duration| left.max(LEAST) + LATE;
        self.left().map(patience)
    }

    fn timed_out(&self) -> Error {
        let key = self.args.key.clone();
        Error::TimedOut { key }
    }

    /// It is asked of this instance.
    fn is_of(&mut self, instance: String) {
        match &self.instance {
            Some(first) if *first != instance => self.args.changedFrom = Some(NEVER),
            Some(_) => {}
            None => self.instance = Some(instance),
        }
    }

    fn left(&self) -> Option<Duration> {
        let left = |timeout: Duration| timeout.saturating_sub(self.started.elapsed());
        self.timeout.map(|timeout| left(timeout).min(FOREVER))
    }

    fn deadline(&self) -> Option<Instant> {
        self.started.checked_add(self.timeout?)
    }
}
