//! Greenlets, with which gevent and eventlet replace threads. `_base/greenlets.py` makes waits
//! yield to other greenlets.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Return whether this process may have greenlets. Both libraries import the package `greenlet`, at
/// any time.
pub(crate) fn has_greenlets(py: Python<'_>) -> PyResult<bool> {
    static MODULES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    MODULES
        .import(py, "sys", "modules")?
        .contains(intern!(py, "greenlet"))
}

/// Return whether greenlets replace threads. A Python lock may then be held by a greenlet that
/// continues only when its thread yields, so that no thread of the core must wait for it.
pub(crate) fn is_patched(py: Python<'_>) -> PyResult<bool> {
    static IS_PATCHED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(has_greenlets(py)?
        && IS_PATCHED
            .import(py, "replicate_rs._base.greenlets", "is_patched")?
            .call0()?
            .is_truthy()?)
}
