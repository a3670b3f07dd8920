//! Greenlets: gevent's and eventlet's hubs are event loops too. Where the socket module is patched, a blocking wait gives way to
//! the hub of its thread. What is known of the two is in `_greenlets.py`, which is loaded when the first greenlet may be there.

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

/// The hub that a wait on this thread must give way to, as an event loop; None where it may block.
pub fn running_hub(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    static FIND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if !has_greenlets(py)? {
        return Ok(None);
    }
    let hub = FIND.import(py, "replicate_rs._greenlets", "running_hub")?.call0()?;
    Ok(Some(hub).filter(|hub| !hub.is_none()))
}
