//! Arguments that are checked by the rules of `replicate_rs._checks`, so that each rule is stated once.

use pyo3::prelude::*;

/// What a rule makes of an argument; its error names the argument.
pub fn checked<'py>(
    rule: &str,
    name: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    value
        .py()
        .import("replicate_rs._checks")?
        .getattr(rule)?
        .call1((name, value))
}
