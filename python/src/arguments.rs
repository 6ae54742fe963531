//! What callers hand in: values, times, patterns, conditions.

use std::time::Duration;

use globstash::{Condition, Patterns, Revision};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDelta, PyFloat, PyInt, PyMemoryView, PyString, PyTypeMethods,
};

/// What a time is.
const SECONDS: &str = "a time is a number of seconds from 0 on";

/// A value: text, bytes, or a number, which is kept as its digits.
#[derive(Clone)]
pub struct Value(pub Vec<u8>);

/// A time, in seconds or as a timedelta.
#[derive(Clone, Copy)]
pub struct Seconds(pub Duration);

/// The ID of a process.
#[derive(Clone, Copy)]
pub struct Pid(pub u32);

/// A revision, 0 of what is not defined.
#[derive(Clone, Copy)]
pub struct Changed(pub Revision);

/// A pattern, or several.
pub struct Which(pub Vec<String>);

/// A number as it is added: exactly as it prints, without an exponent.
pub struct Number(pub String);

impl<'py> FromPyObject<'_, 'py> for Value {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Value> {
        if let Ok(text) = given.cast::<PyString>() {
            return Ok(Value(text.to_str()?.as_bytes().to_vec()));
        }
        if let Ok(bytes) = given.cast::<PyBytes>() {
            return Ok(Value(bytes.as_bytes().to_vec()));
        }
        if given.is_instance_of::<PyByteArray>() || given.is_instance_of::<PyMemoryView>() {
            let bytes = given.py().get_type::<PyBytes>().call1((given,))?;
            return Ok(Value(bytes.extract()?));
        }
        if is_number(&given) {
            return Ok(Value(digits(&given)?.into_bytes()));
        }
        let given = given.get_type().name();
        let given = given.map_or_else(|_| "something else".into(), |name| name.to_string());
        let problem = format!("a value is str, bytes, int or float, not {given}");
        Err(PyTypeError::new_err(problem))
    }
}

impl<'py> FromPyObject<'_, 'py> for Number {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Number> {
        if !is_number(&given) {
            return Err(PyTypeError::new_err("a number is int or float"));
        }
        let digits = digits(&given)?;
        if digits.contains(['n', 'i']) {
            let problem = format!("{digits} cannot be added, nor be a limit of a sum");
            return Err(PyValueError::new_err(problem));
        }
        if !digits.contains('e') {
            return Ok(Number(digits));
        }
        // The service takes no exponents.
        let decimal = given.py().import("decimal")?.getattr("Decimal")?;
        let plain = decimal
            .call1((digits,))?
            .call_method1("__format__", ("f",))?;
        Ok(Number(plain.extract()?))
    }
}

/// True is an int, but hardly meant to be 'True'.
fn is_number(given: &Bound<PyAny>) -> bool {
    let is_number = given.is_instance_of::<PyInt>() || given.is_instance_of::<PyFloat>();
    is_number && !given.is_instance_of::<PyBool>()
}

/// How int and float print it: types that are made of them may print something else, such as a name.
fn digits(given: &Bound<PyAny>) -> PyResult<String> {
    let class = match given.is_instance_of::<PyInt>() {
        true => given.py().get_type::<PyInt>(),
        false => given.py().get_type::<PyFloat>(),
    };
    class.call_method1("__repr__", (given,))?.extract()
}

impl<'py> FromPyObject<'_, 'py> for Pid {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Pid> {
        in_range(given, "a process ID is a whole number from 0 to 4294967295").map(Pid)
    }
}

impl<'py> FromPyObject<'_, 'py> for Changed {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Changed> {
        let revision = in_range(given, "a revision is a whole number from 0 to 2**64-1")?;
        Ok(Changed(Revision(revision)))
    }
}

/// A number, if it can be one of these; else a ValueError that says which can.
fn in_range<'a, 'py, T: FromPyObject<'a, 'py>>(
    given: Borrowed<'a, 'py, PyAny>,
    which: &str,
) -> PyResult<T> {
    given.extract::<T>().map_err(|error| {
        let error: PyErr = error.into();
        match error.is_instance_of::<PyOverflowError>(given.py()) {
            true => PyValueError::new_err(format!("{which}, not {}", shown(&given))),
            false => error,
        }
    })
}

/// As it prints, if it is not too long for that.
fn shown(given: &Bound<PyAny>) -> String {
    let shown = given.str().map(|text| text.to_string()).ok();
    let short = shown.filter(|text| text.len() <= 30);
    short.unwrap_or_else(|| "one so large".to_owned())
}

impl<'py> FromPyObject<'_, 'py> for Seconds {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Seconds> {
        let seconds: f64 = match given.cast::<PyDelta>() {
            Ok(delta) => delta.call_method0("total_seconds")?.extract()?,
            Err(_) => in_range(given, SECONDS)?,
        };
        // Rounded to the µs that the service counts in: 0.1 is not to be 100001 of them.
        let micros = (seconds * 1e6).round();
        match micros >= 0.0 && micros < u64::MAX as f64 {
            true => Ok(Seconds(Duration::from_micros(micros as u64))),
            false => Err(PyValueError::new_err(format!("{SECONDS}, not {seconds}"))),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Which {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Which> {
        if let Ok(pattern) = given.cast::<PyString>() {
            return Ok(Which(vec![pattern.to_str()?.to_owned()]));
        }
        let patterns = given.try_iter()?.map(|pattern| pattern?.extract());
        patterns.collect::<PyResult<_>>().map(Which)
    }
}

/// All variables, if nothing is said.
pub fn patterns(which: Option<Which>) -> Patterns {
    which.map_or_else(Patterns::all, |Which(patterns)| patterns.into())
}

/// What a variable must be like, if anything.
pub fn condition(
    new: bool,
    if_revision: Option<Changed>,
    if_value: Option<Value>,
) -> Option<Condition> {
    let conditions = [
        new.then(Condition::undefined),
        if_revision.map(|Changed(revision)| Condition::revision(revision)),
        if_value.map(|Value(value)| Condition::value(value)),
    ];
    conditions.into_iter().flatten().reduce(Condition::and)
}
