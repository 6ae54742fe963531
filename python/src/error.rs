//! Errors, as Python has them: `globstash/errors.py` says which there are.

use globstash::Error;
use pyo3::prelude::*;

const MODULE: &str = "globstash.errors";

/// The exception that tells of an error.
pub fn raised(py: Python, error: Error) -> PyErr {
    made(py, error).unwrap_or_else(|failed| failed)
}

/// An exception of a class in `globstash/errors.py`.
pub fn named(py: Python, class: &str, problem: &str) -> PyErr {
    let class = || py.import(MODULE)?.getattr(class);
    let exception = class().and_then(|class| class.call1((problem,)));
    exception.map_or_else(|failed| failed, PyErr::from_value)
}

fn made(py: Python, error: Error) -> PyResult<PyErr> {
    let class = py.import(MODULE)?.getattr(class(&error))?;
    let exception = class.call1((error.to_string(),))?;
    match &error {
        Error::ConditionFailed { key, revision } => {
            exception.setattr("key", key)?;
            exception.setattr("revision", revision.0)?;
        }
        Error::InvalidKey { key, .. }
        | Error::InvalidValue { key, .. }
        | Error::NotNumeric { key }
        | Error::NumberOverflow { key }
        | Error::Protected { key }
        | Error::TimedOut { key } => exception.setattr("key", key)?,
        Error::ValueTooLarge { key, size, maximum } => {
            exception.setattr("key", key)?;
            exception.setattr("size", size)?;
            exception.setattr("maximum", maximum)?;
        }
        Error::LimitExceeded { limit, maximum } => {
            exception.setattr("limit", limit)?;
            exception.setattr("maximum", maximum)?;
        }
        _ => {}
    }
    let exception = PyErr::from_value(exception);
    if let Error::OutcomeUnknown(cause) = error {
        exception.set_cause(py, Some(raised(py, *cause)));
    }
    Ok(exception)
}

fn class(error: &Error) -> &'static str {
    match error {
        Error::InvalidAddress(_) | Error::InvalidEnvironment { .. } | Error::NoUserAddress(_) => {
            "InvalidAddress"
        }
        Error::Unreachable { .. } => "Unreachable",
        Error::Silent { .. } => "Silent",
        Error::Lost { .. } => "Lost",
        Error::Nonsense { .. } => "Nonsense",
        Error::OutcomeUnknown(_) => "OutcomeUnknown",
        Error::InvalidKey { .. } => "InvalidKey",
        Error::InvalidPattern { .. } => "InvalidPattern",
        Error::InvalidValue { .. } | Error::InvalidParameter { .. } => "InvalidValue",
        Error::ValueTooLarge { .. } | Error::RequestTooLarge { .. } => "TooLarge",
        Error::LimitExceeded { .. } => "LimitExceeded",
        Error::ConditionFailed { .. } => "ConditionFailed",
        Error::NotNumeric { .. } => "NotNumeric",
        Error::NumberOverflow { .. } => "NumberOverflow",
        Error::Protected { .. } | Error::PermissionDenied => "Protected",
        Error::NoSuchProcess { .. } => "NoSuchProcess",
        Error::TimedOut { .. } => "TimedOut",
        Error::Busy => "Busy",
        Error::Unsupported { .. } => "Unsupported",
        // What this version of the package has no name for.
        _ => "Error",
    }
}
