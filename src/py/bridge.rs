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
use std::time::Duration;

use futures_util::future::select_all;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::abort;
use super::engine::wait_until;
use super::exceptions::{self, About};
use super::hub::HubPort;
use super::locked;
use super::port::{Port, UnderWay};
use super::runtime::{Connections, Stop, StopOnDrop, block_on, forks, process};
use crate::error::{Error, Kind};
use crate::http::Body;
use crate::pool::Pool;

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

/// What is filled elsewhere, and can be waited for again and again, without a task for each time.
pub trait Feed: Send + Sync {
    /// Whether there is something.
    fn is_ready(&self) -> bool;
    /// Has `slot` finished when there is something; false if there is already.
    fn subscribe(&self, slot: Arc<Slot>, way: UnderWay) -> bool;
    /// Waits on this thread, at most for `limit`; whether there is something.
    fn wait(&self, limit: Option<Duration>) -> bool;
    /// Gives what is there.
    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

enum Work {
    Job(Mutex<Option<Job>>),
    Feed(Arc<dyn Feed>),
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
    /// Leaves an outcome, and sends word to whoever waits for it.
    pub fn finish(self: &Arc<Self>, outcome: Outcome, way: UnderWay) {
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

    fn is_new(&self) -> bool {
        matches!(*locked(&self.0), State::Working(None))
    }

    /// There is an answer, and nobody waited.
    fn set_done(&self) {
        *locked(&self.0) = State::Done(None, something());
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
    work: Work,
    connections: Arc<Connections>,
    about: About,
    slot: Arc<Slot>,
    running: OnceLock<Running>,
    begun: OnceLock<Begun>,
    blocking: AtomicBool,
}

/// Work that nobody waits for yet.
struct Begun {
    work: Stop,
    /// Cancelled when the work is over, however it ended.
    over: CancellationToken,
}

struct Running {
    /// None where no task is needed.
    work: Option<Stop>,
    forks: usize,
    port: Arc<Port>,
    event_loop: Py<PyAny>,
}

impl Pending {
    /// Work that begins when somebody waits for it.
    pub fn new(connections: Arc<Connections>, about: About, job: Job) -> Self {
        Self::of(Work::Job(Mutex::new(Some(job))), connections, about)
    }

    /// What a feed has next.
    pub fn next_of(feed: Arc<dyn Feed>, connections: Arc<Connections>) -> Self {
        Self::of(Work::Feed(feed), connections, About::default())
    }

    fn of(work: Work, connections: Arc<Connections>, about: About) -> Self {
        let slot = Arc::new(Slot(Mutex::new(State::Working(None))));
        Self {
            work,
            connections,
            about,
            slot,
            running: OnceLock::new(),
            begun: OnceLock::new(),
            blocking: AtomicBool::new(false),
        }
    }

    fn take_job(&self) -> PyResult<Job> {
        let job = match &self.work {
            Work::Job(job) => locked(job).take(),
            Work::Feed(_) => None,
        };
        job.ok_or_else(|| PyRuntimeError::new_err("this call has been awaited already"))
    }

    fn deliver(&self, py: Python<'_>, outcome: Outcome) -> PyResult<Py<PyAny>> {
        self.about.write_log(py);
        match (&self.work, outcome) {
            (Work::Feed(feed), _) => feed.take(py),
            (Work::Job(_), Ok(delivery)) => delivery(py),
            (Work::Job(_), Err(error)) => Err(exceptions::raised(py, error, &self.about)),
        }
    }

    /// Starts the work of an awaited call, on the loop that `find` gives; None if the answer is there already.
    fn start(&self, py: Python<'_>, find: impl FnOnce() -> PyResult<(Py<PyAny>, Arc<Port>)>) -> PyResult<Option<Running>> {
        match &self.work {
            Work::Job(_) => {
                let (event_loop, port) = find()?;
                let (job, signal) = (self.take_job()?, self.about.flag(py));
                let runtime = process().runtime().map_err(|error| exceptions::raised(py, error, &self.about))?;
                let work = job(self.connections.on_runtime());
                let (slot, way) = (self.slot.clone(), port.enter());
                let task = runtime.spawn(async move { slot.finish(abort::unless_aborted(signal, work).await, way) });
                Ok(Some(Running { work: Some(Stop::of(&task)), forks: forks(), port, event_loop }))
            }
            Work::Feed(_) if !self.slot.is_new() => {
                Err(PyRuntimeError::new_err("this part of a stream has been awaited already"))
            }
            Work::Feed(feed) if feed.is_ready() => Ok(None),
            Work::Feed(feed) => {
                let (event_loop, port) = find()?;
                let waits = feed.subscribe(self.slot.clone(), port.enter());
                Ok(waits.then_some(Running { work: None, forks: forks(), port, event_loop }))
            }
        }
    }

    /// Notes what was started.
    fn set_started(&self, started: Option<Running>) {
        match started {
            // Only the one who took the job comes here.
            Some(running) => drop(self.running.set(running)),
            None => self.slot.set_done(),
        }
    }
}

/// Which of some work that was begun is over first, or None after `limit`.
pub fn first_of(pendings: &[Bound<'_, Pending>], limit: Option<Duration>) -> PyResult<Job> {
    let over = |pending: &Bound<'_, Pending>| pending.get().begun.get().map(|begun| begun.over.clone());
    let tokens: Option<Vec<_>> = pendings.iter().map(over).collect();
    let tokens = tokens.filter(|tokens| !tokens.is_empty());
    let tokens = tokens.ok_or_else(|| PyRuntimeError::new_err("this call was not begun"))?;
    Ok(job(move |_| async move {
        let first = select_all(tokens.into_iter().map(|token| Box::pin(token.cancelled_owned())));
        let which = match limit {
            Some(limit) => timeout(limit, first).await.ok(),
            None => Some(first.await),
        };
        delivery(move |py| which.map(|((), index, _)| index).into_py_any(py))
    }))
}

/// The outcome of a feed, which keeps what it has until it is asked for it.
pub fn something() -> Outcome {
    delivery(|py| Ok(py.None()))
}

#[pymethods]
impl Pending {
    /// Runs the work on this thread and returns its answer.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Work::Feed(feed) = &self.work {
            wait_until(py, |limit| feed.wait(limit))?;
            return feed.take(py);
        }
        let (job, signal) = (self.take_job()?, self.about.flag(py));
        let long = self.about.call.as_ref().is_some_and(|call| matches!(call.body, Body::Upload(_)));
        let outcome = block_on(py, &self.connections, long, |pool| abort::unless_aborted(signal, job(pool)))?;
        self.deliver(py, outcome)
    }

    /// Starts the work as if it were awaited on a hub, whose port this is.
    fn start_on(&self, py: Python<'_>, event_loop: Py<PyAny>, port: &Bound<'_, HubPort>) -> PyResult<()> {
        self.set_started(self.start(py, || Ok((event_loop, port.get().0.clone())))?);
        Ok(())
    }

    /// Begins the work on the runtime, before anybody waits for it; it ends if this object goes first.
    fn begin(&self, py: Python<'_>) -> PyResult<()> {
        let (job, signal) = (self.take_job()?, self.about.flag(py));
        let runtime = process().runtime().map_err(|error| exceptions::raised(py, error, &self.about))?;
        let (work, over) = (job(self.connections.on_runtime()), CancellationToken::new());
        let at_end = over.clone().drop_guard();
        let task = runtime.spawn(async move {
            let _at_end = at_end;
            abort::unless_aborted(signal, work).await
        });
        self.begun.get_or_init(|| Begun { work: Stop::of(&task), over });
        if let Work::Job(place) = &self.work {
            let at_drop = StopOnDrop(Stop::of(&task));
            *locked(place) = Some(Box::new(|_| {
                Box::pin(async {
                    let _at_drop = at_drop;
                    task.await.unwrap_or_else(|_| Err(stopped()))
                })
            }));
        }
        Ok(())
    }

    /// Ends work that was begun, and that nobody waits for.
    fn give_up(&self) {
        if let Some(begun) = self.begun.get() {
            begun.work.stop();
        }
    }

    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (this, py) = (slf.get(), slf.py());
        this.set_started(this.start(py, || Port::of_this_loop(py))?);
        Ok(slf)
    }

    fn __next__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (this, py) = (slf.get(), slf.py());
        if matches!(*locked(&this.slot.0), State::Working(_)) {
            this.blocking.store(true, Ordering::Relaxed);
            return Ok(slf);
        }
        match this.slot.close() {
            State::Done(_, outcome) => Err(stop(this.deliver(py, outcome)?.into_bound(py))),
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

    /// While its loop is open, the work itself keeps its waiter alive, as a transport of asyncio's would; a loop that was closed
    /// with tasks pending leaves a circle that nobody else can break.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(running) = self.running.get().filter(|running| !running.port.is_open()) else { return Ok(()) };
        visit.call(&running.event_loop)?;
        let Ok(state) = self.slot.0.try_lock() else { return Ok(()) };
        if let State::Working(Some(waiter)) | State::Done(Some(waiter), _) = &*state {
            visit.call(&waiter.callback)?;
            visit.call(&waiter.context)?;
            visit.call(&waiter.pending)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        if let Some(running) = self.running.get().filter(|running| !running.is_inherited()) {
            running.stop();
            drop(self.slot.close());
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
        running.stop();
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
            && !running.is_inherited()
            && matches!(self.slot.close(), State::Working(_))
        {
            running.stop();
        }
    }
}

impl Running {
    /// Whether the work is the process's that this one was forked from: what is locked then may be so for ever.
    fn is_inherited(&self) -> bool {
        self.forks != forks()
    }

    fn stop(&self) {
        if let Some(work) = &self.work {
            work.stop();
        }
    }
}

/// The end of an awaitable's iterator, with its answer. Given as it is, it becomes no exception object in CPython 3.11 unless
/// somebody looks; but the arguments of an exception, and exceptions themselves, would be taken for what they are.
fn stop(answer: Bound<'_, PyAny>) -> PyErr {
    if answer.is_instance_of::<PyTuple>() || answer.is_instance_of::<PyBaseException>() {
        return PyStopIteration::new_err((answer.unbind(),));
    }
    PyStopIteration::new_err(answer.unbind())
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
