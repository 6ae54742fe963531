//! What programs use to talk to the service.
//!
//! A `Client` is one connection; its verbs are the methods of `io.globstash`, told in Rust:
//! values are bytes, what is not there is no error, and an `Error` says whether a change may
//! have been made. Nothing is tried twice here.
//!
//! The interface itself comes from varlink_generator; nothing of that is seen outside.

// For now the command is the only caller.
#![cfg_attr(not(feature = "command"), allow(dead_code))]

pub(crate) mod address;
mod connection;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod escape;

use std::vec;

use address::Address;
use connection::Connection;
use entry::{Condition, Deleted, Entry, Revision, Value, Variable, Writer};
use error::{Error, Refusal};
use generated::VarlinkClientInterface;

pub(crate) use generated::GetStatus_Reply as Status;

/// Types and client as varlink_generator makes them from the interface file. An implementation
/// detail: what is public is written by hand, so that it does not change with a nullable field.
#[allow(
    non_camel_case_types,
    non_snake_case,
    dead_code,
    missing_docs,
    unused_qualifications
)]
#[allow(clippy::all, clippy::pedantic, clippy::nursery)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/io.globstash.rs"));
}

/// Longest value that is sent. The service takes 1 MiB; what is a little longer it shall refuse
/// itself, with its own limit. What is much longer would not fit in a message (16 MiB, with up
/// to six bytes for one in JSON), and the connection would end without a word.
pub(crate) const VALUE_MAX: usize = 2 << 20;

/// How many variables one call deletes at most, from the interface.
const DELETED_MAX: i64 = 4096;

/// One connection to the service.
pub(crate) struct Client(Connection);

/// What a list tells of each variable, beside its key and revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) value: bool,
    /// Who changed it last, and when.
    pub(crate) metadata: bool,
}

/// A list, while it arrives.
pub(crate) struct Entries {
    connection: Connection,
    call: varlink::MethodCall<generated::List_Args, generated::List_Reply, generated::Error>,
    arrived: vec::IntoIter<generated::Entry>,
    /// After an error the generated iterator would give another one forever.
    has_failed: bool,
}

impl Client {
    pub(crate) fn connect(address: &Address) -> Result<Client, Error> {
        Connection::open(address).map(Client)
    }

    /// Defines a variable or replaces its value; without a value, deletes it.
    pub(crate) fn set(
        &mut self,
        key: String,
        value: Option<Value>,
        condition: Condition,
    ) -> Result<Revision, Error> {
        let size = value.as_ref().map_or(0, |value| value.as_bytes().len());
        if size > VALUE_MAX {
            return Err(Error::Refused(Refusal::ValueTooLarge {
                key,
                size: size as i64,
                maximum: VALUE_MAX as i64,
            }));
        }
        let (value, data) = value.map_or((None, None), Value::into_fields);
        let reply = self
            .0
            .client
            .set(key, value, data, condition.into_wire())
            .call()
            .map_err(|error| self.0.change_failed(error))?;
        Ok(Revision(reply.revision))
    }

    /// Reads a variable, also one that is not defined.
    pub(crate) fn get(&mut self, key: String) -> Result<Variable, Error> {
        let reply = self
            .0
            .client
            .get(key, None)
            .call()
            .map_err(|error| self.0.read_failed(error))?;
        let value = match Value::from_fields(reply.value, reply.data) {
            Ok(Some(value)) => value,
            Ok(None) if reply.defined => return Err(self.0.nonsense("a variable without value")),
            Ok(None) => Value::Text(String::new()),
            Err(error) => return Err(self.0.nonsense(error)),
        };
        Ok(Variable {
            defined: reply.defined,
            value,
            revision: Revision(reply.revision),
        })
    }

    /// Deletes one variable, if it is there.
    pub(crate) fn delete(&mut self, key: String) -> Result<Deleted, Error> {
        self.delete_by(Some(key), None)
    }

    /// Deletes all variables that match one of the patterns, however many calls that takes.
    pub(crate) fn delete_matching(&mut self, patterns: Vec<String>) -> Result<Deleted, Error> {
        let mut count = 0;
        loop {
            let deleted = self.delete_by(None, Some(patterns.clone()))?;
            count += deleted.count;
            if deleted.count < DELETED_MAX {
                return Ok(Deleted { count, ..deleted });
            }
        }
    }

    fn delete_by(
        &mut self,
        key: Option<String>,
        patterns: Option<Vec<String>>,
    ) -> Result<Deleted, Error> {
        let reply = self
            .0
            .client
            .delete(key, patterns, None)
            .call()
            .map_err(|error| self.0.change_failed(error))?;
        Ok(Deleted {
            count: reply.count,
            revision: Revision(reply.revision),
        })
    }

    /// Lists the variables that match one of the patterns, or all, in the order of their keys.
    /// The connection is used for this alone.
    pub(crate) fn list(
        mut self,
        patterns: Option<Vec<String>>,
        fields: Fields,
    ) -> Result<Entries, Error> {
        let keys_only = (!fields.value).then_some(true);
        let metadata = fields.metadata.then_some(true);
        let mut call = self.0.client.list(patterns, keys_only, metadata);
        call.more().map_err(|error| self.0.read_failed(error))?;
        Ok(Entries {
            connection: self.0,
            call,
            arrived: Vec::new().into_iter(),
            has_failed: false,
        })
    }

    /// Asks how the service is doing.
    pub(crate) fn status(&mut self) -> Result<Status, Error> {
        self.0
            .client
            .get_status()
            .call()
            .map_err(|error| self.0.read_failed(error))
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Result<Entry, Error>> {
        while !self.has_failed {
            if let Some(entry) = self.arrived.next() {
                return Some(self.entry(entry));
            }
            match self.call.next()? {
                Ok(reply) => self.arrived = reply.entries.into_iter(),
                Err(error) => {
                    self.has_failed = true;
                    return Some(Err(self.connection.read_failed(error)));
                }
            }
        }
        None
    }
}

impl Entries {
    fn entry(&self, entry: generated::Entry) -> Result<Entry, Error> {
        let value = Value::from_fields(entry.value, entry.data)
            .map_err(|error| self.connection.nonsense(error))?;
        Ok(Entry {
            key: entry.key,
            value,
            revision: Revision(entry.revision),
            modified: entry.modifiedUSec,
            writer: entry.writer.map(|writer| Writer {
                uid: writer.uid,
                pid: writer.pid,
            }),
        })
    }
}
