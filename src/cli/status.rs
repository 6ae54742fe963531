//! `globstash status`: tell how the service is doing.

use std::time::SystemTime;

use crate::client::Status;
use crate::client::address::Address;
use crate::client::escape::escape;
use crate::sys::keeper::Keeper;
use crate::sys::place::Place;

use super::Context;
use super::args;
use super::outcome::{Answer, Failure};
use super::output::Output;
use super::units::{size, span};

pub(super) fn run(args::Status {}: args::Status, context: &Context) -> Result<Answer, Failure> {
    let mut client = context.connect()?;
    let status = client.status()?;
    let mut output = Output::new();
    if context.json {
        output.json(&status)?;
    } else {
        output.line(shown(&status, &context.address, SystemTime::now()))?;
        output.line(kept(client.keeper(), context))?;
    }
    output.finish()?;
    Ok(Answer::Yes)
}

fn shown(status: &Status, address: &Address, now: SystemTime) -> String {
    // A clock that was set back makes no service younger than new.
    let age = now.duration_since(status.started).unwrap_or_default();
    format!(
        "globstash {version} at {address}, instance {instance}, up {age}\n\
         variables {variables} of {maximum}, {bytes} of {maximum_bytes}, revision {revision}, {connections}, {watches}",
        version = escape(&status.version),
        instance = escape(&status.instance),
        age = span(age),
        variables = status.variables,
        maximum = status.maximum_variables,
        bytes = size(status.bytes),
        maximum_bytes = size(status.maximum_bytes),
        revision = status.revision,
        connections = count(status.connections, "connection", "s"),
        watches = count(status.watches, "watch", "es"),
    )
}

/// How it was started, and so how it is ended.
fn kept(keeper: Keeper, context: &Context) -> String {
    let place = || match context.place {
        Some(Place::Machine) => String::new(),
        Some(Place::User) => " --user".to_owned(),
        None => format!(" --address {}", context.address),
    };
    match keeper {
        Keeper::Manager => "started by systemd".to_owned(),
        Keeper::Supervisor(process) => format!(
            "started without systemd, supervised by process {process}; to end it: globstashd --stop{}",
            place()
        ),
        Keeper::Itself(process) => format!("started by hand, as process {process}"),
        Keeper::Gone => {
            "started by a process that is gone: a crash would lose the variables".to_owned()
        }
        Keeper::Unknown => "started by a process that cannot be seen from here".to_owned(),
    }
}

/// `1 watch`, or `3 watches`.
fn count(count: u64, what: &str, plural: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}{plural}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::Revision;

    #[test]
    fn two_lines_tell_how_the_service_is_doing() {
        let status = Status {
            instance: "5f0c".repeat(8),
            version: "0.1.0".into(),
            revision: Revision(31),
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000),
            variables: 42,
            bytes: 1229,
            maximum_variables: 1_048_576,
            maximum_bytes: 256 << 20,
            maximum_value_size: 1 << 20,
            user_variables: 0,
            user_bytes: 0,
            maximum_user_variables: 1 << 18,
            maximum_user_bytes: 64 << 20,
            connections: 3,
            watches: 1,
            calls: 100,
            errors: 1,
            skipped_events: 0,
        };
        let address = Address::parse("/run/globstash").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + 3 * 3600);
        assert_eq!(
            shown(&status, &address, now),
            "globstash 0.1.0 at unix:/run/globstash, \
             instance 5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c, up 3h\n\
             variables 42 of 1048576, 1.2 KiB of 256 MiB, revision 31, 3 connections, 1 watch"
        );
        let past = SystemTime::UNIX_EPOCH;
        assert!(shown(&status, &address, past).contains("up 0s\n"));
    }
}
