//! `Stash`: the verbs. `globstash/stash.py` makes a mapping of it.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use globstash::{Error, Fields, Position, Start, Step, Terms, Until};
use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyString, PyTuple};

use crate::arguments::{Changed, Number, Pid, Seconds, Value, Which, condition, patterns};
use crate::batch::Batch;
use crate::error::{self, raised};
use crate::variable::Variable;
use crate::watch::Watch;
use crate::way::{Place, Way};
use crate::{signals, tell};

/// A buffer for values that was larger than this is not kept, in bytes.
const KEPT: usize = 64 << 10;

thread_local! {
    /// Where values are read to. Taken out while it is in use.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

#[pyclass(subclass, frozen, module = "globstash._native")]
pub struct Stash {
    /// Set by `_open`, or else by the first use.
    way: OnceLock<Arc<Way>>,
}

#[pymethods]
impl Stash {
    /// What is given is for `__init__`, also for that of a subclass, which may take something else.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<PyTuple>, _kwargs: Option<&Bound<PyDict>>) -> Stash {
        let way = OnceLock::new();
        Stash { way }
    }

    /// Says once which service is meant.
    fn _open(&self, address: Option<String>, user: bool, timeout: Option<Seconds>) -> PyResult<()> {
        let place = match (address, user) {
            (Some(_), true) => {
                let problem = "a stash is the user's own or at an address, not both";
                return Err(PyValueError::new_err(problem));
            }
            (Some(address), false) => Place::At(address),
            (None, true) => Place::User,
            (None, false) => Place::Chosen,
        };
        let timeout = timeout.map(|Seconds(timeout)| timeout);
        let way = Arc::new(Way::new(place, timeout));
        self.way.set(way).map_err(|_| {
            let problem = "a stash is of one service for good: make another";
            PyRuntimeError::new_err(problem)
        })
    }

    /// Reads a variable: its value, or default if it is not defined.
    ///
    /// The value is a str if it is UTF-8, else bytes. If the service lets variables be read through
    /// its map, that is no system call.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let read = self.read(py, key, |value| tell::value(py, value))?;
        Ok(read.or(default))
    }

    /// Reads a variable as bytes, also if they are text.
    #[pyo3(signature = (key, default=None))]
    fn get_bytes<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let read = self.read(py, key, |value| PyBytes::new(py, value).into_any())?;
        Ok(read.or(default))
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Bound<'py, PyAny>> {
        self.read(py, key, |value| tell::value(py, value))?
            .ok_or_else(|| PyKeyError::new_err(key.to_owned()))
    }

    fn __setitem__(&self, py: Python, key: &str, value: Value) -> PyResult<()> {
        self.way()
            .call(py, |client| client.set(key, value.0))
            .map(|_| ())
    }

    fn __delitem__(&self, py: Python, key: &str) -> PyResult<()> {
        let deleted = self.way().call(py, |client| client.delete(key))?;
        match deleted.count {
            0 => Err(PyKeyError::new_err(key.to_owned())),
            _ => Ok(()),
        }
    }

    fn __contains__(&self, py: Python, key: Bound<PyAny>) -> PyResult<bool> {
        // What cannot be a key is not there: to ask is no mistake, as with a dict.
        let key = key.cast::<PyString>().ok();
        let Some(key) = key.as_ref().and_then(|key| key.to_str().ok()) else {
            return Ok(false);
        };
        match self.try_read(py, key, |_| ())? {
            Err(Error::InvalidKey { .. }) => Ok(false),
            read => Ok(read.map_err(|error| raised(py, error))?.is_some()),
        }
    }

    fn __len__(&self, py: Python) -> PyResult<usize> {
        let status = self.way().call(py, |client| client.status())?;
        Ok(status.variables as usize)
    }

    /// Defines a variable or replaces its value. Returns the revision of the change.
    ///
    /// ttl: it expires after so many seconds. pid: it is deleted when this process ends.
    /// protected: True: only this user and root may change it from now on; False: everybody may.
    /// new, if_revision, if_value: only if it is not defined, was last changed by this revision, or
    /// has this value; otherwise ConditionFailed.
    #[pyo3(signature = (
        key, value, *, ttl=None, pid=None, protected=None, new=false, if_revision=None, if_value=None
    ))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords")]
    fn set(
        &self,
        py: Python,
        key: &str,
        value: Value,
        ttl: Option<Seconds>,
        pid: Option<Pid>,
        protected: Option<bool>,
        new: bool,
        if_revision: Option<Changed>,
        if_value: Option<Value>,
    ) -> PyResult<u64> {
        let mut terms = Terms::new();
        if let Some(condition) = condition(new, if_revision, if_value) {
            terms = terms.only_if(condition);
        }
        if let Some(Seconds(ttl)) = ttl {
            terms = terms.ttl(ttl);
        }
        if let Some(Pid(pid)) = pid {
            terms = terms.process(pid);
        }
        terms = match protected {
            Some(true) => terms.protected(),
            Some(false) => terms.unprotected(),
            None => terms,
        };
        let set = |client: &mut globstash::Client| client.set_with(key, value.0, terms);
        Ok(self.way().call(py, set)?.0)
    }

    /// Deletes a variable. Returns whether it was there.
    #[pyo3(signature = (key, *, if_revision=None, if_value=None))]
    fn delete(
        &self,
        py: Python,
        key: &str,
        if_revision: Option<Changed>,
        if_value: Option<Value>,
    ) -> PyResult<bool> {
        let condition = condition(false, if_revision, if_value);
        let deleted = self.way().call(py, |client| match condition {
            Some(condition) => client.delete_if(key, condition),
            None => client.delete(key),
        })?;
        Ok(deleted.count > 0)
    }

    /// Deletes all variables that match a pattern, or one of several. Returns how many there were.
    fn delete_matching(&self, py: Python, patterns: Which) -> PyResult<u64> {
        let delete = |client: &mut globstash::Client| client.delete_matching(patterns.0);
        Ok(self.way().call(py, delete)?.count)
    }

    /// Gives a variable so many seconds to live from now on, or with None no end. Returns whether it
    /// is defined.
    fn expire(&self, py: Python, key: &str, ttl: Option<Seconds>) -> PyResult<bool> {
        let ttl = ttl.map(|Seconds(ttl)| ttl);
        self.way().call(py, |client| client.expire(key, ttl))
    }

    /// Adds to the number that a variable holds, and keeps the sum between limits. Returns the sum.
    ///
    /// What is not defined counts as 0. What is kept is exact, however many decimals it has; what is
    /// returned is an int, or the nearest float.
    #[pyo3(signature = (key, by=None, *, minimum=None, maximum=None))]
    fn increment<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        by: Option<Number>,
        minimum: Option<Number>,
        maximum: Option<Number>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut step = Step::by(by.map_or_else(|| "1".to_owned(), |Number(by)| by));
        if let Some(Number(minimum)) = minimum {
            step = step.minimum(minimum);
        }
        if let Some(Number(maximum)) = maximum {
            step = step.maximum(maximum);
        }
        let sum = self
            .way()
            .try_call(py, |client| client.increment_by(key, step))
            .map_err(|error| refused(py, error))?;
        match sum.value.contains('.') {
            true => py.get_type::<PyFloat>().call1((sum.value,)),
            false => py.get_type::<PyInt>().call1((sum.value,)),
        }
    }

    /// Makes all changes of a batch at once, or none. Returns the revision of the change.
    fn apply(&self, py: Python, batch: &Batch) -> PyResult<u64> {
        let batch = batch.copy();
        Ok(self.way().call(py, |client| client.apply(batch))?.0)
    }

    /// Waits until a variable is defined, and returns its value.
    ///
    /// value: until it has this value. gone: until it is not defined; then None is returned.
    /// changed_from: until it has another revision than this. timeout: no longer than so many
    /// seconds, then TimedOut.
    #[pyo3(signature = (key, *, value=None, gone=false, changed_from=None, timeout=None))]
    fn wait<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        value: Option<Value>,
        gone: bool,
        changed_from: Option<Changed>,
        timeout: Option<Seconds>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let until = match (value, gone, changed_from) {
            (None, false, None) => Until::defined(),
            (Some(Value(value)), false, None) => Until::value(value),
            (None, true, None) => Until::undefined(),
            (None, false, Some(Changed(revision))) => Until::changed_from(revision),
            _ => {
                let problem = "wait for one of value, gone and changed_from";
                return Err(PyValueError::new_err(problem));
            }
        };
        let began = Instant::now();
        loop {
            let mut until = until.clone();
            if let Some(Seconds(timeout)) = timeout {
                until = until.within(timeout.saturating_sub(began.elapsed()));
            }
            let waited = self
                .way()
                .try_call(py, |client| client.wait_until(key, until));
            match waited {
                Ok(entry) => {
                    let value = entry.and_then(|entry| entry.value);
                    return Ok(value.map(|value| tell::value(py, value.as_bytes())));
                }
                Err(Error::Interrupted) => signals::heed(py)?,
                Err(error) => return Err(raised(py, error)),
            }
        }
    }

    /// A variable with all that is known about it; None if it is not defined.
    fn entry<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let entry = self.way().call(py, |client| client.entry(key))?;
        entry.map(|entry| tell::entry(py, &entry)).transpose()
    }

    /// The variables that match, with all that is known about them, in the order of their keys.
    #[pyo3(signature = (patterns=None))]
    fn entries<'py>(
        &self,
        py: Python<'py>,
        patterns: Option<Which>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let entries = self.list(py, patterns, Fields::VALUES.and_metadata())?;
        entries.iter().map(|entry| tell::entry(py, entry)).collect()
    }

    /// The revision of a variable's last change; 0 if it is not defined.
    fn revision(&self, py: Python, key: &str) -> PyResult<u64> {
        Ok(self.way().call(py, |client| client.revision(key))?.0)
    }

    /// One variable, to be read again and again.
    fn variable(&self, key: String) -> Variable {
        Variable::new(Arc::clone(self.way()), key)
    }

    /// How the service is doing.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let status = self.way().call(py, |client| client.status())?;
        tell::status(py, status)
    }

    /// Lets go of the connections. The stash can be used again: it connects anew then.
    fn close(&self) {
        self.way().close();
    }

    /// Whether variables are read without asking the service; None before the first.
    #[getter]
    fn is_mapped(&self) -> Option<bool> {
        self.way().is_mapped()
    }

    #[getter]
    fn _address(&self) -> (Option<String>, bool) {
        match &self.way().place {
            Place::Chosen => (None, false),
            Place::User => (None, true),
            Place::At(address) => (Some(address.clone()), false),
        }
    }

    #[getter]
    fn _timeout(&self) -> Option<f64> {
        self.way().timeout.map(|timeout| timeout.as_secs_f64())
    }

    /// The keys that match, as they were at one moment.
    fn _keys(&self, py: Python, patterns: Option<Which>) -> PyResult<Vec<String>> {
        let entries = self.list(py, patterns, Fields::KEYS)?;
        Ok(entries.into_iter().map(|entry| entry.key).collect())
    }

    /// The keys and values that match, as they were at one moment.
    fn _items<'py>(
        &self,
        py: Python<'py>,
        which: Option<Which>,
    ) -> PyResult<Vec<(String, Option<Bound<'py, PyAny>>)>> {
        let attached = self.way().attached(py)?;
        let entries = py.detach(|| attached.scan(patterns(which)));
        let told = entries.map_err(|error| raised(py, error))?.into_iter();
        let told = told.map(|entry| {
            let value = entry.value.map(|value| tell::value(py, value.as_bytes()));
            (entry.key, value)
        });
        Ok(told.collect())
    }

    #[pyo3(signature = (which, initial, after, known, values, writers))]
    #[allow(clippy::too_many_arguments, reason = "it is called in one place")]
    fn _watch(
        &self,
        py: Python,
        which: Option<Which>,
        initial: bool,
        after: Option<(Changed, String)>,
        known: Vec<String>,
        values: bool,
        writers: bool,
    ) -> PyResult<Watch> {
        let start = match after {
            Some((Changed(revision), instance)) => Start::After {
                position: Position { revision, instance },
                keys: known,
            },
            None if initial => Start::Present,
            None => Start::Now,
        };
        let fields = fields(values, writers);
        let begin =
            |client: &mut globstash::Client| client.watch_with(patterns(which), start, fields);
        self.way().call(py, begin).map(Watch::new)
    }
}

impl Stash {
    /// The default one, if nothing was said.
    fn way(&self) -> &Arc<Way> {
        self.way
            .get_or_init(|| Arc::new(Way::new(Place::Chosen, None)))
    }

    /// Reads a variable; what `tell` makes of it, or None if it is not defined.
    fn read<T>(&self, py: Python, key: &str, tell: impl FnOnce(&[u8]) -> T) -> PyResult<Option<T>> {
        self.try_read(py, key, tell)?
            .map_err(|error| raised(py, error))
    }

    /// The same, for those who have something to do when it fails.
    fn try_read<T>(
        &self,
        py: Python,
        key: &str,
        tell: impl FnOnce(&[u8]) -> T,
    ) -> PyResult<Result<Option<T>, Error>> {
        let attached = self.way().attached(py)?;
        let mut buffer = BUFFER.take();
        let read = match attached.get_at_once(key, &mut buffer) {
            Some(revision) => Ok(revision),
            None => py.detach(|| attached.get_into(key, &mut buffer)),
        };
        let told = read.map(|revision| revision.map(|_| tell(&buffer)));
        if buffer.capacity() <= KEPT {
            BUFFER.set(buffer);
        }
        Ok(told)
    }

    fn list(
        &self,
        py: Python,
        which: Option<Which>,
        fields: Fields,
    ) -> PyResult<Vec<globstash::Entry>> {
        let list = |client: &mut globstash::Client| {
            let list = client.list_with(patterns(which), fields)?;
            list.collect()
        };
        self.way().call(py, list)
    }
}

/// What it means that a parameter of an increment is refused, as the arguments are numbers by now.
fn refused(py: Python, error: Error) -> PyErr {
    match error {
        Error::InvalidParameter { parameter } => {
            let problem = format!(
                "{parameter} does not do: a number has at most 18 digits and 18 decimals, \
                 and a minimum is below the maximum"
            );
            error::named(py, "InvalidValue", &problem)
        }
        error => raised(py, error),
    }
}

fn fields(values: bool, metadata: bool) -> Fields {
    match (values, metadata) {
        (true, true) => Fields::VALUES.and_metadata(),
        (true, false) => Fields::VALUES,
        (false, true) => Fields::KEYS.and_metadata(),
        (false, false) => Fields::KEYS,
    }
}
