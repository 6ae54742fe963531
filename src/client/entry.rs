//! What the service tells: entries, events, sums, and how it is doing.
//!
//! Serialised, these types have the fields of the interface, in its order.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, Serializer};
use serde_derive::Serialize;

use super::generated;
use super::value::Value;

/// The number of a change: 1 for the first, and growing while the service's instance lives. 0
/// stands for "not defined".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Revision(pub u64);

/// The process that last changed a variable, as the kernel reported it when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Writer {
    /// Its user.
    pub uid: u32,
    /// Its process ID, as the service sees it; 0 if it has none there.
    pub pid: u32,
}

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value; `None` only if values were not asked for.
    #[serde(flatten)]
    pub value: Option<Value>,
    /// The revision of the last change.
    pub revision: Revision,
    /// When it was last changed, to the µs; `None` if metadata was not asked for.
    #[serde(
        rename = "modifiedUSec",
        skip_serializing_if = "Option::is_none",
        serialize_with = "microseconds"
    )]
    pub modified: Option<SystemTime>,
    /// When it expires, as the calendar is set now; `None` if it does not, or if metadata was not
    /// asked for.
    #[serde(
        rename = "expiresUSec",
        skip_serializing_if = "Option::is_none",
        serialize_with = "microseconds"
    )]
    pub expires: Option<SystemTime>,
    /// The process whose end deletes it; `None` if there is none, or if metadata was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Whether only its owner and root may change or delete it; `None` if metadata was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// The user that created it, or that protected it; `None` if metadata was not asked for.
    #[serde(rename = "ownerUid", skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// Who changed it last; `None` if metadata was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<Writer>,
}

/// What happened to a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Change {
    /// It was created or was given a value.
    Set,
    /// It was deleted, or it is gone for whatever other reason.
    Deleted,
    /// It is gone because its time to live has run out.
    Expired,
    /// It is gone because the process that it belonged to has ended.
    Released,
}

/// One change of one variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub change: Change,
    /// The key.
    pub key: String,
    /// The new value. On anything but [`Change::Set`], the last value that the variable had, if it is still known.
    #[serde(flatten)]
    pub value: Option<Value>,
    /// The revision of the change. Of what was found to be gone after a while in which nothing
    /// was heard of the service: the revision at which that was found.
    pub revision: Revision,
    /// Who made the change; `None` if nobody did, or if metadata was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<Writer>,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Deleted {
    /// How many variables.
    pub count: u64,
    /// The revision of the change; the present revision if nothing was deleted.
    pub revision: Revision,
}

/// The number that a variable holds after it was added to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sum {
    /// The number in decimal digits, such as `3`, `-12` or `0.25`: exact, and without superfluous
    /// zeros.
    pub value: String,
    /// The revision of the change.
    pub revision: Revision,
}

/// How the service is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Status {
    /// 32 hexadecimal digits, new whenever the service begins with no variables.
    pub instance: String,
    /// The version of the service.
    pub version: String,
    /// The revision of the last change of any variable.
    pub revision: Revision,
    /// When the instance began, to the µs.
    #[serde(rename = "startedUSec", serialize_with = "microseconds")]
    pub started: SystemTime,
    /// How many variables there are.
    pub variables: u64,
    /// How many bytes their keys and values have.
    pub bytes: u64,
    /// How many variables there can be.
    pub maximum_variables: u64,
    /// How many bytes keys and values can have.
    pub maximum_bytes: u64,
    /// How many bytes one value can have.
    pub maximum_value_size: u64,
    /// How many variables the caller's user was the last to set.
    pub user_variables: u64,
    /// How many bytes their keys and values have.
    pub user_bytes: u64,
    /// How many variables the caller's user can hold.
    pub maximum_user_variables: u64,
    /// How many bytes the caller's user can hold.
    pub maximum_user_bytes: u64,
    /// How many connections are open.
    pub connections: u64,
    /// How many watches are active.
    pub watches: u64,
    /// How many calls were answered.
    pub calls: u64,
    /// How many of them with an error.
    pub errors: u64,
    /// How many changes watches have missed because they did not keep up.
    pub skipped_events: u64,
}

impl Revision {
    /// The revision of what is not defined.
    pub const UNDEFINED: Revision = Revision(0);

    pub(super) fn from_wire(number: i64) -> Revision {
        Revision(natural(number))
    }

    pub(super) fn into_wire(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Writer {
    fn from_wire(writer: generated::Writer) -> Result<Writer, String> {
        Ok(Writer {
            uid: id(writer.uid)?,
            pid: id(writer.pid)?,
        })
    }

    /// The same where there may be none.
    pub(super) fn told(writer: Option<generated::Writer>) -> Result<Option<Writer>, String> {
        writer.map(Writer::from_wire).transpose()
    }
}

impl Entry {
    pub(super) fn from_wire(entry: generated::Entry) -> Result<Entry, String> {
        Ok(Entry {
            key: entry.key,
            value: value(entry.value, entry.data)?,
            revision: Revision::from_wire(entry.revision),
            modified: entry.modifiedUSec.map(time),
            expires: entry.expiresUSec.map(time),
            pid: entry.pid.map(id).transpose()?,
            protected: entry.protected,
            owner: entry.ownerUid.map(id).transpose()?,
            writer: Writer::told(entry.writer)?,
        })
    }

    /// A variable of which nothing but its value and revision is told; `None` if there is none.
    pub(super) fn defined(
        key: &str,
        is_defined: bool,
        fields: (Option<String>, Option<String>),
        revision: i64,
    ) -> Result<Option<Entry>, String> {
        if !is_defined {
            return Ok(None);
        }
        let value = value(fields.0, fields.1)?.ok_or("a variable without value")?;
        let revision = Revision::from_wire(revision);
        Ok(Some(Entry::read(key.to_owned(), value, revision)))
    }

    /// A variable of which nothing but its value and revision is known.
    pub(super) fn read(key: String, value: Value, revision: Revision) -> Entry {
        Entry {
            key,
            value: Some(value),
            revision,
            modified: None,
            expires: None,
            pid: None,
            protected: None,
            owner: None,
            writer: None,
        }
    }
}

impl From<generated::GetStatus_Reply> for Status {
    fn from(reply: generated::GetStatus_Reply) -> Status {
        Status {
            instance: reply.instance,
            version: reply.version,
            revision: Revision::from_wire(reply.revision),
            started: time(reply.startedUSec),
            variables: natural(reply.variables),
            bytes: natural(reply.bytes),
            maximum_variables: natural(reply.maximumVariables),
            maximum_bytes: natural(reply.maximumBytes),
            maximum_value_size: natural(reply.maximumValueSize),
            user_variables: natural(reply.userVariables),
            user_bytes: natural(reply.userBytes),
            maximum_user_variables: natural(reply.maximumUserVariables),
            maximum_user_bytes: natural(reply.maximumUserBytes),
            connections: natural(reply.connections),
            watches: natural(reply.watches),
            calls: natural(reply.calls),
            errors: natural(reply.errors),
            skipped_events: natural(reply.skippedEvents),
        }
    }
}

/// A value as the two fields of the wire tell it.
pub(super) fn value(value: Option<String>, data: Option<String>) -> Result<Option<Value>, String> {
    Value::from_fields(value, data).map_err(|error| error.to_string())
}

/// The number of a user or a process.
fn id(number: i64) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| format!("an ID of {number}"))
}

/// A number that the wire cannot tell to be one of nature.
pub(super) fn natural(number: i64) -> u64 {
    number.max(0).unsigned_abs()
}

fn time(microseconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(natural(microseconds))
}

/// Serialises a time, where there is one, as µs since the UNIX epoch.
fn microseconds<S: Serializer>(
    time: &(impl Into<Option<SystemTime>> + Clone),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let since_epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH);
    let time: Option<SystemTime> = time.clone().into();
    time.map(|time| since_epoch(time).unwrap_or_default().as_micros() as u64)
        .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> generated::Entry {
        generated::Entry {
            key: "player/volume".into(),
            value: Some("0.6".into()),
            data: None,
            revision: 21,
            modifiedUSec: Some(1790000000000000),
            expiresUSec: Some(1790000000000001),
            pid: Some(815),
            protected: Some(true),
            ownerUid: Some(1001),
            writer: Some(generated::Writer {
                uid: 1000,
                pid: 4711,
            }),
        }
    }

    #[test]
    fn entries_are_serialised_in_the_fields_of_the_interface() {
        let mut entry = Entry::from_wire(entry()).unwrap();
        assert_eq!(
            serde_json::to_string(&entry).unwrap(),
            r#"{"key":"player/volume","value":"0.6","revision":21,"modifiedUSec":1790000000000000,"expiresUSec":1790000000000001,"pid":815,"protected":true,"ownerUid":1001,"writer":{"uid":1000,"pid":4711}}"#
        );
        entry.value = Some(b"\xff".into());
        (entry.modified, entry.expires, entry.pid) = (None, None, None);
        (entry.protected, entry.owner) = (None, None);
        entry.writer = None;
        assert_eq!(
            serde_json::to_string(&entry).unwrap(),
            r#"{"key":"player/volume","data":"/w==","revision":21}"#
        );
        entry.value = None;
        assert_eq!(
            serde_json::to_string(&entry).unwrap(),
            r#"{"key":"player/volume","revision":21}"#
        );
    }

    #[test]
    fn events_are_serialised_in_the_fields_of_the_interface() {
        let event = Event {
            change: Change::Set,
            key: "k".into(),
            value: Some("v".into()),
            revision: Revision(30),
            writer: None,
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"change":"set","key":"k","value":"v","revision":30}"#
        );
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let mut wrong = entry();
        (wrong.value, wrong.data) = (None, Some("?".into()));
        assert!(Entry::from_wire(wrong).is_err());
        let mut wrong = entry();
        wrong.writer = Some(generated::Writer { uid: -1, pid: 1 });
        assert!(Entry::from_wire(wrong).is_err());
        assert!(Entry::defined("k", true, (None, None), 1).is_err());
        assert_eq!(Entry::defined("k", false, (None, None), 0), Ok(None));
    }
}
