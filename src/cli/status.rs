//! `globstash status`: tell how the service is doing.

use std::time::{Duration, SystemTime};

use crate::client::address::Address;
use crate::client::escape::escape;
use crate::client::{Client, Status};

use super::Context;
use super::args;
use super::outcome::{Answer, Failure};
use super::output::Output;
use super::units::{size, span};

pub(super) fn run(args::Status {}: args::Status, context: &Context) -> Result<Answer, Failure> {
    let status = Client::connect(&context.address)?.status()?;
    let mut output = Output::new();
    if context.json {
        output.json(&status)?;
    } else {
        output.line(shown(&status, &context.address, SystemTime::now()))?;
    }
    output.finish()?;
    Ok(Answer::Yes)
}

fn shown(status: &Status, address: &Address, now: SystemTime) -> String {
    let started = SystemTime::UNIX_EPOCH + Duration::from_micros(natural(status.startedUSec));
    // A clock that was set back makes no service younger than new.
    let age = now.duration_since(started).unwrap_or_default();
    format!(
        "globstash {version} at {address}, instance {instance}, up {age}\n\
         variables {variables} of {maximum}, {bytes} of {maximum_bytes}, revision {revision}, {connections}",
        version = escape(&status.version),
        instance = escape(&status.instance),
        age = span(age),
        variables = status.variables,
        maximum = status.maximumVariables,
        bytes = size(natural(status.bytes)),
        maximum_bytes = size(natural(status.maximumBytes)),
        revision = status.revision,
        connections = count(status.connections, "connection"),
    )
}

fn count(count: i64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// A number that the wire cannot tell to be one of nature.
fn natural(number: i64) -> u64 {
    number.max(0).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lines_tell_how_the_service_is_doing() {
        let status = Status {
            instance: "5f0c".repeat(8),
            version: "0.1.0".into(),
            revision: 31,
            startedUSec: 1_790_000_000_000_000,
            variables: 42,
            bytes: 1229,
            maximumVariables: 1_048_576,
            maximumBytes: 256 << 20,
            maximumValueSize: 1 << 20,
            connections: 3,
            watches: 1,
            calls: 100,
            errors: 1,
            skippedEvents: 0,
        };
        let address = Address::parse("/run/globstash").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + 3 * 3600);
        assert_eq!(
            shown(&status, &address, now),
            "globstash 0.1.0 at unix:/run/globstash, \
             instance 5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c, up 3h\n\
             variables 42 of 1048576, 1.2 KiB of 256 MiB, revision 31, 3 connections"
        );
        let past = SystemTime::UNIX_EPOCH;
        assert!(shown(&status, &address, past).contains("up 0s\n"));
    }
}
