//! Waiting until a variable is as wanted, also while the service is away for a moment.

use std::time::{Duration, Instant};

use super::connection::{Broken, Connection, Expect};
use super::entry::{Entry, Revision};
use super::error::Error;
use super::generated::{Wait_Args, Wait_Reply};
use super::message::{Problem, Replies, reply, request};
use super::question::{Condition, Until};
use super::route::{Outage, Route};

/// As long as the kernel is ever told to wait: a century, so that nothing overflows.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

pub(super) fn wait(
    route: &Route,
    idle: &mut Option<Connection>,
    key: &str,
    until: Until,
) -> Result<Option<Entry>, Error> {
    let started = Instant::now();
    let mut args = Wait_Args {
        key: key.to_owned(),
        condition: until.condition.map(Condition::into_wire),
        changedFrom: until.changed_from.map(Revision::into_wire),
        timeoutUSec: None,
    };
    let mut connection = match idle.take() {
        Some(connection) => connection,
        None => route.open()?,
    };
    let deadline = until
        .timeout
        .and_then(|timeout| started.checked_add(timeout));
    let mut outage: Option<Outage> = None;
    loop {
        let left = until
            .timeout
            .map(|timeout| timeout.saturating_sub(started.elapsed()).min(FOREVER));
        args.timeoutUSec = left.map(|left| left.as_micros() as i64);
        // A service that says nothing is one: there may be nothing to say.
        let opened = Instant::now();
        let request = request("Wait", &args, Replies::One);
        // The service counts the time; we only see whether it does.
        let expected = Expect::Event(left.map(|left| left + route.options.timeout));
        let received = connection
            .send(&request)
            .and_then(|()| connection.receive(expected, reply::<Wait_Reply>));
        let refusal = match received {
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
            Err(broken) => return Err(route.broken(broken)),
        };
        let mut this = Outage::of_lost(opened.elapsed(), outage.take()).until(deadline);
        if let Some(refusal) = refusal {
            this.because(refusal);
        }
        connection = route.reopen(&mut this).map_err(|error| match deadline {
            Some(deadline) if deadline <= Instant::now() => Error::TimedOut {
                key: key.to_owned(),
            },
            _ => error,
        })?;
        outage = Some(this);
    }
}
