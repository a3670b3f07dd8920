//! Greenlets, by which gevent and eventlet replace threads. How a wait gives way to others is in `_greenlets.py`: no greenlet is
//! switched from within Rust, since PyO3 counts how often its thread has entered.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Whether this process may have greenlets; both libraries import the package of this name. It may be imported at any time.
pub fn has_greenlets(py: Python<'_>) -> PyResult<bool> {
    static MODULES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    MODULES.import(py, "sys", "modules")?.contains(intern!(py, "greenlet"))
}

/// Whether greenlets take the place of threads here: then a lock of Python's may be held by a greenlet that runs only when its
/// own thread gives way, so a thread of ours must not wait for it.
pub fn has_patched_locks(py: Python<'_>) -> PyResult<bool> {
    static IS_PATCHED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(has_greenlets(py)? && IS_PATCHED.import(py, "replicate_rs._greenlets", "is_patched")?.call0()?.is_truthy()?)
}
