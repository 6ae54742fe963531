//! What a signal stands for is for its handler to say, which Python runs when it is asked: Ctrl-C raises.

use std::cell::Cell;

use pyo3::prelude::*;

thread_local! {
    /// What a handler has raised while the library waited.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// Runs the handlers of signals that have come. If one raises, that is the end of what this thread waits
/// for, and [`heed`] raises it.
pub fn is_over() -> bool {
    let handled = Python::attach(|py| py.check_signals());
    let is_over = handled.is_err();
    RAISED.set(handled.err());
    is_over
}

/// The same, for who does not wait just now.
pub fn heed(py: Python) -> PyResult<()> {
    RAISED.take().map_or_else(|| py.check_signals(), Err)
}
