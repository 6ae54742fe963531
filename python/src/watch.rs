//! `Watch`, as far as it does not need asyncio: `globstash/watch.py` has the rest.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, PoisonError};

use globstash::{Error, Event, Process};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::error::raised;
use crate::{signals, tell};

#[pyclass(frozen, module = "globstash._native")]
pub struct Watch {
    /// Two processes that read from one connection would each miss what the other has got.
    process: Process,
    state: Mutex<State>,
}

enum State {
    Idle(Box<globstash::Watch>),
    /// A thread waits for the next event.
    InUse,
    Closed,
}

impl Watch {
    pub fn new(watch: globstash::Watch) -> Watch {
        Watch {
            process: Process::this(),
            state: Mutex::new(State::Idle(Box::new(watch))),
        }
    }

    /// Does something with the watch, if nobody else does; None if it is closed.
    fn with<T>(&self, act: impl FnOnce(&mut globstash::Watch) -> T) -> PyResult<Option<T>> {
        if self.process != Process::this() {
            let problem = "a watch is of no use in a forked process: begin one there";
            return Err(PyRuntimeError::new_err(problem));
        }
        let state = std::mem::replace(&mut *self.state(), State::InUse);
        let mut watch = match state {
            State::Idle(watch) => watch,
            State::InUse => {
                let problem = "another thread waits for this watch: begin one for each";
                return Err(PyRuntimeError::new_err(problem));
            }
            State::Closed => {
                *self.state() = State::Closed;
                return Ok(None);
            }
        };
        let result = act(&mut watch);
        let mut state = self.state();
        if matches!(*state, State::InUse) {
            *state = State::Idle(watch);
        }
        Ok(Some(result))
    }

    fn told<'py>(
        &self,
        py: Python<'py>,
        next: Option<Result<Event, Error>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match next {
            Some(Ok(event)) => tell::event(py, &event).map(Some),
            Some(Err(error)) => Err(self.failed(py, error)),
            None => Ok(None),
        }
    }

    /// Nothing more comes after an error: whoever asks again is not to wait for it.
    fn failed(&self, py: Python, error: Error) -> PyErr {
        self.close();
        raised(py, error)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the next event in a way that a signal ends also while the service is away.
fn next(watch: &mut globstash::Watch) -> Option<Result<Event, Error>> {
    loop {
        if let Some(next) = watch.try_next() {
            return Some(next);
        }
        let mut descriptors = [PollFd::new(watch, PollFlags::IN)];
        // Whatever else can be wrong with it, its next step tells.
        if poll(&mut descriptors, None) == Err(Errno::INTR) {
            return Some(Err(Error::Interrupted));
        }
    }
}

#[pymethods]
impl Watch {
    /// The next event; None if there is none any more.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let next = self.with(|watch| py.detach(|| next(watch)))?.flatten();
            if let Some(Err(Error::Interrupted)) = next {
                // What a signal stands for is for its handler to say: Ctrl-C raises.
                signals::heed(py)?;
                continue;
            }
            return self.told(py, next);
        }
    }

    /// The next event, if it is there; does not sleep.
    fn try_next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let next = self.with(|watch| py.detach(|| watch.try_next()))?;
        self.told(py, next.flatten())
    }

    /// The events up to the present state.
    fn catch_up<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        loop {
            match self.with(|watch| py.detach(|| watch.catch_up()))? {
                Some(Err(Error::Interrupted)) => signals::heed(py)?,
                Some(Err(error)) => return Err(self.failed(py, error)),
                Some(Ok(events)) => {
                    return events.iter().map(|event| tell::event(py, event)).collect();
                }
                None => return Ok(Vec::new()),
            }
        }
    }

    fn fileno(&self) -> PyResult<i32> {
        self.with(|watch| watch.as_fd().as_raw_fd())?
            .ok_or_else(|| PyValueError::new_err("the watch is closed"))
    }

    #[getter]
    fn position<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let position = self.with(|watch| globstash::Watch::position(watch))?;
        let closed = || PyValueError::new_err("the watch is closed");
        tell::position(py, position.ok_or_else(closed)?)
    }

    #[getter]
    fn skipped(&self) -> PyResult<u64> {
        Ok(self.with(|watch| watch.skipped())?.unwrap_or(0))
    }

    #[getter]
    fn is_up_to_date(&self) -> PyResult<bool> {
        let is_up_to_date = self.with(|watch| watch.is_up_to_date())?;
        Ok(is_up_to_date.unwrap_or(false))
    }

    #[getter]
    fn closed(&self) -> bool {
        matches!(*self.state(), State::Closed)
    }

    /// Ends the watch; if a thread waits for it, with the next event.
    fn close(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Closed);
        drop(before);
    }
}
