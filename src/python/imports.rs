//! Functions of the Python package that the core calls.

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

/// Check an argument with a rule of `replicate_rs._base.checks`, and return its normal form.
pub(crate) fn checked<'py>(
    rule: &str,
    name: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    value
        .py()
        .import("replicate_rs._base.checks")?
        .getattr(rule)?
        .call1((name, value))
}

/// Return the exception that a function or a class returns or raises.
pub(crate) fn exception<'py>(
    py: Python<'py>,
    module: &str,
    name: &str,
    args: impl PyCallArgs<'py>,
) -> PyErr {
    let created = py
        .import(module)
        .and_then(|module| module.getattr(name)?.call1(args));
    created.map_or_else(|error| error, PyErr::from_value)
}
