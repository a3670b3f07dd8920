//! What time it is for whoever verifies a webhook: a moment that is given, Python's clock where a test has replaced it, or the system's.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyCFunction, PyDict};

/// Seconds since 1970 of a moment that a caller gave: a number, a `datetime`, or a function that returns one of these.
pub fn given(now: &Bound<'_, PyAny>) -> PyResult<u64> {
    if now.is_callable() {
        moment(&now.call0()?)
    } else {
        moment(now)
    }
}

/// Refuses what is no moment; a function is asked later.
pub fn check(now: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    now.filter(|now| !now.is_callable())
        .map_or(Ok(()), |now| moment(now).map(drop))
}

fn moment(now: &Bound<'_, PyAny>) -> PyResult<u64> {
    let unfit = || {
        let kind = now
            .get_type()
            .name()
            .map_or_else(|_| "something else".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "now must be seconds since 1970, a datetime, or a function that returns one of these, not {kind}"
        ))
    };
    if now.is_instance_of::<PyBool>() {
        return Err(unfit());
    }
    let seconds: f64 = match now.getattr_opt(intern!(now.py(), "timestamp"))? {
        Some(timestamp) => timestamp.call0()?.extract()?,
        None => now.extract().map_err(|_| unfit())?,
    };
    if !seconds.is_finite() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!(
            "now must be seconds since 1970, not {seconds}"
        )));
    }
    Ok(whole(seconds))
}

/// Seconds since 1970, by Python's clock if it was replaced.
pub fn clock(py: Python<'_>) -> PyResult<u64> {
    static NAMES: PyOnceLock<(Py<PyDict>, Py<PyDict>)> = PyOnceLock::new();
    let (clocks, modules) = NAMES.get_or_try_init(py, || {
        let of = |module, name: &str| -> PyResult<Py<PyDict>> {
            Ok(py.import(module)?.getattr(name)?.cast_into()?.unbind())
        };
        PyResult::Ok((of("time", "__dict__")?, of("sys", "modules")?))
    })?;
    // Freezegun and mocks put a Python function there; time-machine changes the function itself, and is loaded in tests only.
    let Some(time) = clocks.bind(py).get_item(intern!(py, "time"))? else {
        return Ok(system());
    };
    if time.is_exact_instance_of::<PyCFunction>()
        && !modules.bind(py).contains(intern!(py, "time_machine"))?
    {
        return Ok(system());
    }
    Ok(whole(time.call0()?.extract()?))
}

fn system() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is before 1970 is 0, and what is later than any clock says is the end"
)]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}
