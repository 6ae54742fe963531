//! What callers get: values as str or bytes, and the named tuples of `globstash/types.py`.

use globstash::{Change, Entry, Event, Position, Status, Value, Writer};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyType};

const MODULE: &str = "globstash.types";

static ENTRY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static EVENT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static POSITION: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static STATUS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static WRITER: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Text as str, other bytes as bytes.
pub fn value<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyAny> {
    match str::from_utf8(bytes) {
        Ok(text) => PyString::new(py, text).into_any(),
        Err(_) => PyBytes::new(py, bytes).into_any(),
    }
}

fn told<'py>(py: Python<'py>, told: Option<&Value>) -> Option<Bound<'py, PyAny>> {
    told.map(|told| value(py, told.as_bytes()))
}

fn writer<'py>(py: Python<'py>, writer: Option<Writer>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let class = WRITER.import(py, MODULE, "Writer")?;
    writer
        .map(|writer| class.call1((writer.uid, writer.pid)))
        .transpose()
}

pub fn entry<'py>(py: Python<'py>, entry: &Entry) -> PyResult<Bound<'py, PyAny>> {
    ENTRY.import(py, MODULE, "Entry")?.call1((
        &entry.key,
        told(py, entry.value.as_ref()),
        entry.revision.0,
        entry.modified,
        entry.expires,
        entry.pid,
        entry.protected,
        entry.owner,
        writer(py, entry.writer)?,
    ))
}

pub fn event<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyAny>> {
    let change = match event.change {
        Change::Set => "set",
        Change::Expired => "expired",
        Change::Released => "released",
        _ => "deleted",
    };
    EVENT.import(py, MODULE, "Event")?.call1((
        PyString::intern(py, change),
        &event.key,
        told(py, event.value.as_ref()),
        event.revision.0,
        writer(py, event.writer)?,
    ))
}

pub fn position(py: Python, position: Position) -> PyResult<Bound<PyAny>> {
    let class = POSITION.import(py, MODULE, "Position")?;
    class.call1((position.revision.0, position.instance))
}

pub fn status(py: Python, status: Status) -> PyResult<Bound<PyAny>> {
    let class = STATUS.import(py, MODULE, "Status")?;
    let fields = [
        ("revision", status.revision.0),
        ("variables", status.variables),
        ("bytes", status.bytes),
        ("maximum_variables", status.maximum_variables),
        ("maximum_bytes", status.maximum_bytes),
        ("maximum_value_size", status.maximum_value_size),
        ("user_variables", status.user_variables),
        ("user_bytes", status.user_bytes),
        ("maximum_user_variables", status.maximum_user_variables),
        ("maximum_user_bytes", status.maximum_user_bytes),
        ("connections", status.connections),
        ("watches", status.watches),
        ("calls", status.calls),
        ("errors", status.errors),
        ("skipped_events", status.skipped_events),
    ];
    let named = pyo3::types::PyDict::new(py);
    named.set_item("instance", status.instance)?;
    named.set_item("version", status.version)?;
    named.set_item("started", status.started)?;
    for (name, number) in fields {
        named.set_item(name, number)?;
    }
    class.call((), Some(&named))
}
