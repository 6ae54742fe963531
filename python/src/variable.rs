//! `Variable`: one variable, read again and again.

use std::sync::{Arc, Mutex, PoisonError};

use globstash::{Error, Handle, Revision};
use pyo3::prelude::*;

use crate::arguments::{Seconds, Value};
use crate::error::raised;
use crate::tell;
use crate::way::Way;

/// One variable, to be read again and again: made by Stash.variable.
///
/// While it does not change, reading it costs little more than asking whether it has.
#[pyclass(frozen, module = "globstash")]
pub struct Variable {
    way: Arc<Way>,
    #[pyo3(get)]
    key: String,
    /// What was read; nothing while a thread is at it.
    known: Mutex<Option<Box<Known>>>,
}

struct Known {
    handle: Handle,
    /// As it was told last; None if the variable was not defined.
    value: Option<Py<PyAny>>,
    /// Whether it has changed since.
    is_stale: bool,
}

impl Variable {
    pub fn new(way: Arc<Way>, key: String) -> Variable {
        let known = Mutex::new(None);
        Variable { way, key, known }
    }

    /// Does something with what is known; a thread that comes meanwhile begins anew.
    fn with<T>(&self, py: Python, act: impl FnOnce(&mut Known) -> Result<T, Error>) -> PyResult<T> {
        let known = self.lock().take();
        let mut known = match known {
            Some(known) => known,
            None => Box::new(Known {
                handle: self.way.attached(py)?.handle(&self.key),
                value: None,
                is_stale: true,
            }),
        };
        let result = act(&mut known);
        // What another thread has learned meanwhile is dropped only when the lock is open again.
        let other = self.lock().replace(known);
        drop(other);
        result.map_err(|error| raised(py, error))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Box<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn read(&mut self, py: Python) -> Result<Option<Py<PyAny>>, Error> {
        let Known { handle, value, .. } = self;
        if self.is_stale || !handle.is_current() {
            let bytes = py.detach(|| handle.get().map(|bytes| bytes.map(<[u8]>::to_vec)))?;
            *value = bytes.map(|bytes| tell::value(py, &bytes).unbind());
            self.is_stale = false;
        }
        Ok(value.as_ref().map(|value| value.clone_ref(py)))
    }

    fn changed(&mut self, py: Python) -> Result<bool, Error> {
        let handle = &mut self.handle;
        if handle.is_current() {
            return Ok(false);
        }
        let changed = py.detach(|| handle.changed())?;
        self.is_stale |= changed;
        Ok(changed)
    }
}

#[pymethods]
impl Variable {
    /// Its value, or default if it is not defined.
    #[pyo3(signature = (default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = self.with(py, |known| known.read(py))?;
        Ok(value.map(|value| value.into_bound(py)).or(default))
    }

    /// Whether it has changed since it was last read, or asked about with this.
    fn changed(&self, py: Python) -> PyResult<bool> {
        self.with(py, |known| known.changed(py))
    }

    /// The revision that was last seen; 0 if it was not defined, or was never read.
    #[getter]
    fn revision(&self) -> u64 {
        let known = self.lock();
        let revision = known.as_ref().map(|known| known.handle.revision());
        revision.unwrap_or(Revision::UNDEFINED).0
    }

    /// Replaces its value, for ttl seconds if that is given. Returns the revision of the change.
    #[pyo3(signature = (value, *, ttl=None))]
    fn set(&self, py: Python, value: Value, ttl: Option<Seconds>) -> PyResult<u64> {
        let mut terms = globstash::Terms::new();
        if let Some(Seconds(ttl)) = ttl {
            terms = terms.ttl(ttl);
        }
        let key = self.key.as_str();
        let set = |client: &mut globstash::Client| client.set_with(key, value.0, terms);
        Ok(self.way.call(py, set)?.0)
    }

    fn __repr__(&self, py: Python) -> PyResult<String> {
        let key = pyo3::types::PyString::new(py, &self.key).repr()?;
        Ok(format!("<globstash.Variable {key}>"))
    }
}
