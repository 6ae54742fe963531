//! Variables as replies tell them.

use super::store::{Content, Variable, Writer};
use crate::wire::reply::Object;

/// Which fields of an entry are wanted, besides key and revision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// The value.
    pub(crate) values: bool,
    /// When it was changed last, and by whom.
    pub(crate) metadata: bool,
}

/// Writes the fields of an `Entry`.
pub(crate) fn write_variable(entry: &mut Object<'_>, variable: Variable<'_>, fields: Fields) {
    entry.text("key", variable.key());
    if fields.values {
        write_content(entry, variable);
    }
    entry.count("revision", variable.revision().0);
    if fields.metadata {
        entry.count("modifiedUSec", variable.modified());
        let Writer { uid, pid } = variable.writer();
        let mut writer = entry.object("writer");
        writer.count("uid", uid.into());
        writer.count("pid", pid.into());
    }
}

/// Writes `value` or `data`.
pub(crate) fn write_content(object: &mut Object<'_>, variable: Variable<'_>) {
    match variable.content() {
        Content::Text(text) => object.text("value", text),
        Content::Data(data) => object.data("data", data),
    }
}
