//! Variables as replies tell them.

use super::clock;
use super::store::{Cause, Content, Past, Variable, Writer};
use crate::wire::reply::Object;

/// Which fields of an entry are wanted, besides key and revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fields {
    /// The value.
    pub(crate) values: bool,
    /// When it was changed last and by whom, and what else is kept with it.
    pub(crate) metadata: bool,
}

impl Fields {
    /// How many different ones there are.
    pub(crate) const COUNT: usize = 4;

    /// Which of them this is, from 0.
    pub(crate) fn number(self) -> usize {
        2 * usize::from(self.values) + usize::from(self.metadata)
    }

    /// What a caller of List or Watch wants.
    pub(crate) fn wanted(keys_only: Option<bool>, metadata: Option<bool>) -> Self {
        Fields {
            values: keys_only != Some(true),
            metadata: metadata == Some(true),
        }
    }
}

/// Writes the fields of an `Entry`.
pub(crate) fn write_variable(entry: &mut Object<'_>, variable: Variable<'_>, fields: Fields) {
    entry.text("key", &variable.key());
    if fields.values {
        write_content(entry, &variable.content());
    }
    entry.count("revision", variable.revision().0);
    if fields.metadata {
        entry.count("modifiedUSec", variable.modified());
        if let Some(deadline) = variable.deadline() {
            entry.count("expiresUSec", clock::calendar(deadline));
        }
        if let Some(pid) = variable.process() {
            entry.count("pid", pid.into());
        }
        entry.bool("protected", variable.is_protected());
        entry.count("ownerUid", variable.owner().into());
        write_writer(entry, variable.writer());
    }
}

/// Writes the fields of an `Event`.
pub(crate) fn write_event(event: &mut Object<'_>, past: &Past<'_>, fields: Fields) {
    let variable = past.variable();
    let cause = past.tombstone().map(|tombstone| tombstone.cause);
    let (change, deleter) = match cause {
        None => ("set", None),
        Some(Cause::Deleted(writer)) => ("deleted", Some(writer)),
        Some(Cause::Expired) => ("expired", None),
        Some(Cause::Released) => ("released", None),
    };
    event.string("change", change);
    event.text("key", &past.key);
    let last = past.tombstone().and_then(|tombstone| tombstone.content());
    let content = variable.map(|variable| variable.content()).or(last);
    if let Some(content) = content.filter(|_| fields.values) {
        write_content(event, &content);
    }
    event.count("revision", past.revision.0);
    if let Some(writer) = variable.map(|variable| variable.writer()).or(deleter)
        && fields.metadata
    {
        write_writer(event, writer);
    }
}

/// Writes what a read replies: `defined`, `value` or `data`, `revision`.
pub(crate) fn write_value(reply: &mut Object<'_>, variable: Option<Variable<'_>>) {
    reply.bool("defined", variable.is_some());
    match variable {
        Some(variable) => write_content(reply, &variable.content()),
        None => reply.string("value", ""),
    }
    reply.count(
        "revision",
        variable.map_or(0, |variable| variable.revision().0),
    );
}

fn write_writer(object: &mut Object<'_>, writer: Writer) {
    let Writer { uid, pid } = writer;
    let mut writer = object.object("writer");
    writer.count("uid", uid.into());
    writer.count("pid", pid.into());
}

/// Writes `value` or `data`.
fn write_content(object: &mut Object<'_>, content: &Content) {
    match content {
        Content::Text(text) => object.text("value", text),
        Content::Data(data) => object.data("data", data),
    }
}
