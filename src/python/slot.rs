//! The slot of an awaited call, and the Python callbacks that wait for it.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use super::work::Outcome;
use crate::sync::slot::{self, Waiters};

/// Where a worker stores the outcome of a call.
pub(crate) type Slot = slot::Slot<Outcome, Waiter>;

/// A callback with its context and its argument.
pub(crate) struct Waiter {
    pub(crate) callback: Py<PyAny>,
    pub(crate) context: Option<Py<PyAny>>,
    pub(crate) pending: Py<PyAny>,
}

impl Waiter {
    /// Call the callback.
    fn wake(self, py: Python<'_>) -> PyResult<()> {
        match self.context {
            Some(context) => {
                let args = (self.callback, self.pending);
                context.call_method1(py, intern!(py, "run"), args)?
            }
            None => self.callback.call1(py, (self.pending,))?,
        };
        Ok(())
    }

    /// Have the event loop call the callback in its next turn.
    fn schedule(self, py: Python<'_>, event_loop: &Py<PyAny>) -> PyResult<()> {
        let options = PyDict::new(py);
        options.set_item("context", self.context)?;
        let args = (self.callback, self.pending);
        event_loop.call_method(py, "call_soon", args, Some(&options))?;
        Ok(())
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.callback)?;
        visit.call(&self.context)?;
        visit.call(&self.pending)
    }
}

/// Call all callbacks, and return the first exception afterwards.
pub(crate) fn wake(py: Python<'_>, waiters: Waiters<Waiter>) -> PyResult<()> {
    let mut woken = Ok(());
    for waiter in waiters {
        woken = woken.and(waiter.wake(py));
    }
    woken
}

/// Have the event loop call all callbacks in its next turn.
pub(crate) fn schedule(
    py: Python<'_>,
    waiters: Waiters<Waiter>,
    event_loop: &Py<PyAny>,
) -> PyResult<()> {
    waiters
        .into_iter()
        .try_for_each(|waiter| waiter.schedule(py, event_loop))
}
