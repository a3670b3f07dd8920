//! From a Rust future to a Python answer, blocking or awaited.
//!
//! Every verb of the core returns a [`Pending`]. `wait()` runs it on the calling thread. Awaiting it spawns it on the runtime; when
//! it is done, the worker puts it on the queue of its event loop's [`Port`] and rings the bell if the queue was empty. The loop
//! drains the queue: each waiting task is stepped right there, in its own context, which saves a callback handle and a turn of
//! the loop per answer.
//!
//! Rules this file keeps:
//! * workers never take the GIL: they hand over Rust values, which become Python objects on the loop's thread;
//! * no Python object is dropped while a lock is held, since its destructor may come back here;
//! * dropping or cancelling the awaitable aborts the work, which closes its connection.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::task::AbortHandle;
use tokio_util::task::AbortOnDropHandle;

use super::abort;
use super::exceptions::{self, About};
use super::locked;
use super::port::{Port, UnderWay};
use super::runtime::{Connections, block_on, process};
use crate::error::{Error, Kind};
use crate::http::Pool;

/// Makes the Python answer, on a thread that has the GIL.
pub type Delivery = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
/// What came of some work.
pub type Outcome = Result<Delivery, Error>;
/// Work that has not begun.
pub type Job = Box<dyn FnOnce(Arc<Pool>) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send>;

/// Boxes an answer's conversion.
pub fn delivery(make: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static) -> Outcome {
    Ok(Box::new(make))
}

/// Boxes work.
pub fn job<F>(work: impl FnOnce(Arc<Pool>) -> F + Send + 'static) -> Job
where
    F: Future<Output = Outcome> + Send + 'static,
{
    Box::new(|pool| Box::pin(work(pool)))
}

/// Who waits for an answer: the task's wake-up, its context, and the awaitable it was given.
struct Waiter {
    callback: Py<PyAny>,
    context: Option<Py<PyAny>>,
    pending: Py<Pending>,
}

impl Waiter {
    fn wake(self, py: Python<'_>) -> PyResult<()> {
        match self.context {
            Some(context) => context.call_method1(py, intern!(py, "run"), (self.callback, self.pending))?,
            None => self.callback.call1(py, (self.pending,))?,
        };
        Ok(())
    }
}

enum State {
    Working(Option<Waiter>),
    Done(Option<Waiter>, Outcome),
    Over,
}

/// Where a worker leaves an outcome.
pub struct Slot(Mutex<State>);

impl Slot {
    fn finish(self: &Arc<Self>, outcome: Outcome, way: UnderWay) {
        let mut state = locked(&self.0);
        let State::Working(waiter) = &mut *state else { return };
        let waiter = waiter.take();
        let awaited = waiter.is_some();
        *state = State::Done(waiter, outcome);
        drop(state);
        if awaited {
            way.arrive(self.clone());
        }
    }

    /// Steps whoever waits for this, if somebody does.
    pub fn wake(&self, py: Python<'_>) -> PyResult<()> {
        self.waiter().map_or(Ok(()), |waiter| waiter.wake(py))
    }

    fn waiter(&self) -> Option<Waiter> {
        match &mut *locked(&self.0) {
            State::Working(waiter) | State::Done(waiter, _) => waiter.take(),
            State::Over => None,
        }
    }

    /// Ends the wait; returns what stood there.
    fn close(&self) -> State {
        mem::replace(&mut *locked(&self.0), State::Over)
    }
}

/// Some work of the core, to be waited for or awaited, once.
#[pyclass(frozen, module = "replicate_rs._core")]
pub struct Pending {
    job: Mutex<Option<Job>>,
    connections: Arc<Connections>,
    about: About,
    slot: Arc<Slot>,
    running: OnceLock<Running>,
    blocking: AtomicBool,
}

struct Running {
    abort: AbortHandle,
    port: Arc<Port>,
    event_loop: Py<PyAny>,
}

impl Pending {
    /// Work that begins when somebody waits for it.
    pub fn new(connections: Arc<Connections>, about: About, job: Job) -> Self {
        let slot = Arc::new(Slot(Mutex::new(State::Working(None))));
        let blocking = AtomicBool::new(false);
        Self { job: Mutex::new(Some(job)), connections, about, slot, running: OnceLock::new(), blocking }
    }

    fn take_job(&self) -> PyResult<Job> {
        locked(&self.job).take().ok_or_else(|| PyRuntimeError::new_err("this call has been awaited already"))
    }

    fn deliver(&self, py: Python<'_>, outcome: Outcome) -> PyResult<Py<PyAny>> {
        match outcome {
            Ok(delivery) => delivery(py),
            Err(error) => Err(exceptions::raised(py, error, &self.about)),
        }
    }
}

#[pymethods]
impl Pending {
    /// Runs the work on this thread and returns its answer.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (job, signal) = (self.take_job()?, self.about.flag(py));
        let outcome = block_on(py, &self.connections, |pool| abort::unless_aborted(signal, job(pool)))?;
        self.deliver(py, outcome)
    }

    /// Begins the work on the runtime, before anybody waits for it; it ends if this object goes first.
    fn begin(&self, py: Python<'_>) -> PyResult<()> {
        let job = self.take_job()?;
        let runtime = process().runtime().map_err(|error| exceptions::raised(py, error, &self.about))?;
        let task = AbortOnDropHandle::new(runtime.spawn(job(self.connections.on_runtime())));
        *locked(&self.job) = Some(Box::new(|_| Box::pin(async { task.await.unwrap_or_else(|_| Err(stopped())) })));
        Ok(())
    }

    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (this, py) = (slf.get(), slf.py());
        let (event_loop, port) = Port::of_this_loop(py)?;
        let (job, signal) = (this.take_job()?, this.about.flag(py));
        let runtime = process().runtime().map_err(|error| exceptions::raised(py, error, &this.about))?;
        let work = job(this.connections.on_runtime());
        let (slot, way) = (this.slot.clone(), port.enter());
        let task = runtime.spawn(async move { slot.finish(abort::unless_aborted(signal, work).await, way) });
        let running = Running { abort: task.abort_handle(), port, event_loop };
        // Only the one who took the job comes here.
        let _ = this.running.set(running);
        Ok(slf)
    }

    fn __next__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (this, py) = (slf.get(), slf.py());
        if matches!(*locked(&this.slot.0), State::Working(_)) {
            this.blocking.store(true, Ordering::Relaxed);
            return Ok(slf);
        }
        match this.slot.close() {
            State::Done(_, outcome) => Err(PyStopIteration::new_err((this.deliver(py, outcome)?,))),
            State::Working(_) | State::Over => Err(cancelled(py)),
        }
    }

    // What follows is the part of a future that a task asks of whatever it awaits.

    #[getter]
    fn _asyncio_future_blocking(&self) -> bool {
        self.blocking.load(Ordering::Relaxed)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.blocking.store(blocking, Ordering::Relaxed);
    }

    fn get_loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.running.get().map(|running| running.event_loop.clone_ref(py))
    }

    #[pyo3(signature = (callback, *, context=None))]
    fn add_done_callback(slf: Bound<'_, Self>, callback: Py<PyAny>, context: Option<Py<PyAny>>) -> PyResult<()> {
        let this = slf.get();
        let new = Waiter { callback, context, pending: slf.clone().unbind() };
        let mut state = locked(&this.slot.0);
        let refused = match &mut *state {
            State::Working(waiter @ None) => {
                *waiter = Some(new);
                return Ok(());
            }
            State::Done(waiter @ None, _) => {
                *waiter = Some(new);
                None
            }
            _ => Some(new),
        };
        drop(state);
        match (refused, this.running.get()) {
            (None, Some(running)) => {
                if running.port.push([this.slot.clone()]) {
                    running.port.ring();
                }
                Ok(())
            }
            _ => Err(PyRuntimeError::new_err("this call is awaited already")),
        }
    }

    /// Raises if the work was cancelled; the answer itself comes through the iterator.
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        match *locked(&self.slot.0) {
            State::Over => Err(cancelled(py)),
            _ => Ok(()),
        }
    }

    #[pyo3(signature = (msg=None))]
    fn cancel(slf: Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        drop(msg);
        let (this, py) = (slf.get(), slf.py());
        if !matches!(*locked(&this.slot.0), State::Working(_)) {
            return Ok(false);
        }
        let (State::Working(waiter), Some(running)) = (this.slot.close(), this.running.get()) else { return Ok(false) };
        running.abort.abort();
        if let Some(waiter) = waiter {
            let options = PyDict::new(py);
            options.set_item("context", waiter.context)?;
            running.event_loop.call_method(py, "call_soon", (waiter.callback, waiter.pending), Some(&options))?;
        }
        Ok(true)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(running) = self.running.get()
            && matches!(self.slot.close(), State::Working(_))
        {
            running.abort.abort();
        }
    }
}

fn stopped() -> Error {
    Error { sent: true, ..Error::new(Kind::Disconnected, "the request was stopped before it was answered") }
}

fn cancelled(py: Python<'_>) -> PyErr {
    match py.import("asyncio").and_then(|asyncio| asyncio.getattr("CancelledError")).and_then(|class| class.call0()) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
