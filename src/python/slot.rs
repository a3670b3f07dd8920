//! The slot of an awaited call: a Rust outcome, and the Python callbacks that wait for it.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use crate::error::Error;
use crate::sync::slot::{self, Waiters};

/// Makes the Python answer, on a thread that has the GIL.
pub type Delivery = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
/// What came of some work.
pub type Outcome = Result<Delivery, Error>;
/// Where a worker leaves an outcome.
pub type Slot = slot::Slot<Outcome, Waiter>;

/// Who waits for an answer: a callback, the context that it runs in, and the awaitable that it is called with.
pub struct Waiter {
    pub callback: Py<PyAny>,
    pub context: Option<Py<PyAny>>,
    pub pending: Py<PyAny>,
}

impl Waiter {
    /// Call it right here.
    fn wake(self, py: Python<'_>) -> PyResult<()> {
        match self.context {
            Some(context) => {
                context.call_method1(py, intern!(py, "run"), (self.callback, self.pending))?
            }
            None => self.callback.call1(py, (self.pending,))?,
        };
        Ok(())
    }

    /// Have the event loop call it in its next turn.
    fn schedule(self, py: Python<'_>, event_loop: &Py<PyAny>) -> PyResult<()> {
        let options = PyDict::new(py);
        options.set_item("context", self.context)?;
        event_loop.call_method(
            py,
            "call_soon",
            (self.callback, self.pending),
            Some(&options),
        )?;
        Ok(())
    }

    /// Visit what it holds.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.callback)?;
        visit.call(&self.context)?;
        visit.call(&self.pending)
    }
}

/// Call everybody who waits; return the first exception when all were called.
pub fn wake(py: Python<'_>, waiters: Waiters<Waiter>) -> PyResult<()> {
    let mut woken = Ok(());
    for waiter in waiters {
        woken = woken.and(waiter.wake(py));
    }
    woken
}

/// Have the event loop call everybody who waits.
pub fn schedule(py: Python<'_>, waiters: Waiters<Waiter>, event_loop: &Py<PyAny>) -> PyResult<()> {
    waiters
        .into_iter()
        .try_for_each(|waiter| waiter.schedule(py, event_loop))
}
