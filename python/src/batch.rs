//! Several changes at once.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::arguments::{Changed, Number, Seconds, Value, condition};

/// Several changes, to be made at once or not at all: see Stash.batch and Stash.apply.
///
/// All checks are made before the first change. The changes are made in the order in which they
/// are named, each seeing those before it: up to 4,096.
#[pyclass(frozen, module = "globstash")]
pub struct Batch {
    batch: Mutex<globstash::Batch>,
}

#[pymethods]
impl Batch {
    #[new]
    fn new() -> Batch {
        let batch = Mutex::new(globstash::Batch::new());
        Batch { batch }
    }

    /// Only if this variable is so before: not defined, last changed by this revision, or of this
    /// value.
    #[pyo3(signature = (key, *, new=false, if_revision=None, if_value=None))]
    fn check(
        &self,
        key: String,
        new: bool,
        if_revision: Option<Changed>,
        if_value: Option<Value>,
    ) -> PyResult<()> {
        let condition = condition(new, if_revision, if_value).ok_or_else(|| {
            let problem = "a check needs one of new, if_revision and if_value";
            pyo3::exceptions::PyValueError::new_err(problem)
        })?;
        self.add(|batch| batch.check(key, condition));
        Ok(())
    }

    /// Defines a variable or replaces its value, for ttl seconds if that is given.
    #[pyo3(signature = (key, value, *, ttl=None))]
    fn set(&self, key: String, value: Value, ttl: Option<Seconds>) {
        self.add(|batch| match ttl {
            Some(Seconds(ttl)) => batch.set_for(key, value.0, ttl),
            None => batch.set(key, value.0),
        });
    }

    /// Deletes a variable, if it is there.
    fn delete(&self, key: String) {
        self.add(|batch| batch.delete(key));
    }

    /// Adds to the number that a variable holds.
    #[pyo3(signature = (key, by=None))]
    fn increment(&self, key: String, by: Option<Number>) {
        let by = by.map_or_else(|| "1".to_owned(), |Number(by)| by);
        self.add(|batch| batch.increment(key, by));
    }
}

impl Batch {
    /// What was asked for so far.
    pub fn copy(&self) -> globstash::Batch {
        let batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        batch.clone()
    }

    fn add(&self, add: impl FnOnce(globstash::Batch) -> globstash::Batch) {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        *batch = add(std::mem::take(&mut batch));
    }
}
