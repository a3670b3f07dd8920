//! Greenlets, by which gevent and eventlet replace threads. How a wait gives way to others is in `_greenlets.py`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Whether this process may have greenlets; both libraries import the package of this name. It may be imported at any time.
pub fn has_greenlets(py: Python<'_>) -> PyResult<bool> {
    static MODULES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    MODULES
        .import(py, "sys", "modules")?
        .contains(intern!(py, "greenlet"))
}

/// Whether greenlets do here what threads do elsewhere. Then a lock of Python's may be held by a greenlet that goes on only when its
/// thread lets it, and a thread of ours must not wait for that.
pub fn is_patched(py: Python<'_>) -> PyResult<bool> {
    static IS_PATCHED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(has_greenlets(py)?
        && IS_PATCHED
            .import(py, "replicate_rs._greenlets", "is_patched")?
            .call0()?
            .is_truthy()?)
}
