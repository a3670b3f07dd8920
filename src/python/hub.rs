//! The way from the workers to a hub of gevent's or eventlet's. No greenlet is switched from within Rust, since PyO3 counts how often
//! its thread has entered; that is in `_greenlets.py`.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::port::Port;

/// The way from the workers to a hub. It is kept by the hub's `EventLoop`, and not for the thread as those of asyncio's loops are: what a
/// thread keeps is dropped when it ends, when PyO3 may still count a greenlet that has entered and never left.
#[pyclass(frozen, module = "replicate_rs._core")]
pub struct HubPort(pub Arc<Port>);

#[pymethods]
impl HubPort {
    /// Has `event_loop` watch it.
    #[new]
    fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let reference = PyWeakrefReference::new(event_loop)?.unbind();
        Port::open(event_loop, &reference).map(Self)
    }
}
