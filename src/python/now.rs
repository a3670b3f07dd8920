//! The current time for webhooks: an argument, Python's clock if a test has replaced it, or the
//! system's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyCFunction, PyDict};

/// Return the seconds since 1970 of an argument: a number, a `datetime`, or a function that returns
/// one of these.
pub(crate) fn from_argument(now: &Bound<'_, PyAny>) -> PyResult<u64> {
    if now.is_callable() {
        to_seconds(&now.call0()?)
    } else {
        to_seconds(now)
    }
}

/// Check an argument. A function is not called yet.
pub(crate) fn check(now: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    now.filter(|now| !now.is_callable())
        .map_or(Ok(()), |now| to_seconds(now).map(drop))
}

fn to_seconds(now: &Bound<'_, PyAny>) -> PyResult<u64> {
    let invalid = || {
        let kind = now.get_type().name();
        let kind = kind.map_or_else(|_| "something else".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "now must be seconds since 1970, a datetime, or a function that returns one of these, not {kind}"
        ))
    };
    if now.is_instance_of::<PyBool>() {
        return Err(invalid());
    }
    let seconds: f64 = match now.getattr_opt(intern!(now.py(), "timestamp"))? {
        Some(timestamp) => timestamp.call0()?.extract()?,
        None => now.extract().map_err(|_| invalid())?,
    };
    if !seconds.is_finite() || seconds < 0.0 {
        let message = format!("now must be seconds since 1970, not {seconds}");
        return Err(PyValueError::new_err(message));
    }
    Ok(truncate(seconds))
}

/// Return the seconds since 1970 by Python's clock if it was replaced, else by the system's.
pub(crate) fn from_clock(py: Python<'_>) -> PyResult<u64> {
    static MODULES: PyOnceLock<(Py<PyDict>, Py<PyDict>)> = PyOnceLock::new();
    let (time_module, modules) = MODULES.get_or_try_init(py, || {
        let dict = |module, name: &str| -> PyResult<Py<PyDict>> {
            Ok(py.import(module)?.getattr(name)?.cast_into()?.unbind())
        };
        PyResult::Ok((dict("time", "__dict__")?, dict("sys", "modules")?))
    })?;
    // Freezegun and mocks replace the function by a Python one. time-machine, which only tests
    // load, changes the function itself.
    if let Some(time) = time_module.bind(py).get_item(intern!(py, "time"))?
        && (!time.is_exact_instance_of::<PyCFunction>()
            || modules.bind(py).contains(intern!(py, "time_machine"))?)
    {
        return Ok(truncate(time.call0()?.extract()?));
    }
    Ok(SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is before 1970 becomes 0, and what is too late for u64 the largest number"
)]
fn truncate(seconds: f64) -> u64 {
    seconds as u64
}
