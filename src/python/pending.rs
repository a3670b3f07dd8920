//! Work of the core as a Python object that is waited for or awaited.
//!
//! Every method of the core that takes time returns a [`PyPending`]. `wait()` runs it on the
//! calling thread, and so does awaiting it after `blocking()`. Else, awaiting it spawns it on the
//! runtime; when it is done, the worker adds its slot to the mailbox of the event loop's [`Port`]
//! and wakes the loop. The loop takes all slots, and steps each waiting task at once, in its own
//! context, which saves a callback handle and a turn of the loop per response.
//!
//! Rules of this file:
//! * workers never take the GIL: they deliver Rust values, which become Python objects on the
//!   loop's thread;
//! * no Python object is dropped while a lock is held, since its destructor may use this object;
//! * dropping or cancelling the awaitable aborts the work, which closes its connection. A create
//!   request is finished instead, and the created prediction is cancelled;
//! * the slot is always finished, also after a panic, so that nothing waits forever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::future::select_all;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::abort::unless_aborted;
use super::context::CallContext;
use super::create;
use super::errors::{failure_to_py_err, forked_error, to_py_err};
use super::failure::Failure;
use super::fork::{AbortOnDrop, Generation, TaskHandle};
use super::imports::exception;
use super::port::{Arrival, Port, PyHubPort};
use super::process::{Connections, block_on, process};
use super::slot::{Slot, Waiter, schedule};
use super::work::{Delivery, Job, deliver, job, ready};
use crate::error::Error;
use crate::http::request::Body;
use crate::lock::{lock, take};
use crate::predictions::create::Create;
use crate::sync::slot::{Finish, Status, Subscribed, Waiters};

/// A source of values that is filled elsewhere, and can be waited for repeatedly without a task for
/// each time.
pub(crate) trait Feed: Send + Sync {
    fn is_ready(&self) -> bool;
    /// Have `slot` finished when a value is ready; return false if one is ready now.
    fn subscribe(&self, slot: &Arc<Slot>, arrival: Arrival) -> Result<bool, Error>;
    /// Block this thread until a value is ready.
    fn wait(&self, py: Python<'_>) -> Result<(), Failure>;
    /// Take the values that are ready.
    fn take(&self, py: Python<'_>) -> Result<Py<PyAny>, Failure>;
    /// Return whether the source belongs to a parent process.
    fn is_inherited(&self) -> bool;
    fn context(&self) -> &CallContext;
    /// Visit objects that nothing else visits.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

enum Provider {
    Job(Mutex<Option<Job>>),
    Feed(Arc<dyn Feed>),
}

/// Work of the core, to be waited for or awaited once.
#[pyclass(name = "Pending", frozen, module = "replicate_rs._core")]
pub(crate) struct PyPending {
    provider: Provider,
    connections: Arc<Connections>,
    context: CallContext,
    /// Set for a create request.
    create: Option<Arc<Create>>,
    /// Whether the work continues without its caller.
    is_lasting: bool,
    slot: Arc<Slot>,
    running: OnceLock<Running>,
    begun: OnceLock<Begun>,
    is_awaited: AtomicBool,
    is_blocking: AtomicBool,
    /// Whether `await` blocks this thread.
    blocks: AtomicBool,
    /// What makes the result from that of a request, and its second argument.
    convert: OnceLock<(Py<PyAny>, Py<PyAny>)>,
    /// The result, after `result()` or `exception()` and before it was awaited.
    result: Mutex<Option<Result<Py<PyAny>, Py<PyBaseException>>>>,
    /// The argument of `cancel()`.
    cancel_message: Mutex<Option<Py<PyAny>>>,
    /// The callbacks of a wait that was closed.
    closed: Mutex<Vec<Py<PyAny>>>,
}

/// Work that began before it was waited for.
struct Begun {
    task: TaskHandle,
    /// Cancelled at the end of the work, also after a panic.
    over: CancellationToken,
}

/// Work that is awaited.
struct Running {
    /// None if no task is needed.
    task: Option<TaskHandle>,
    generation: Generation,
    port: Arc<Port>,
    event_loop: Py<PyAny>,
}

impl PyPending {
    /// Create work that begins when it is waited for.
    pub(crate) fn new(connections: Arc<Connections>, context: CallContext, job: Job) -> Self {
        Self::with(Provider::Job(Mutex::new(Some(job))), connections, context)
    }

    /// Create the work of a create request.
    pub(crate) fn creating(
        connections: Arc<Connections>,
        context: CallContext,
        job: Job,
        create: Arc<Create>,
    ) -> Self {
        let mut this = Self::new(connections, context, job);
        this.create = Some(create);
        this
    }

    /// Let the work continue without its caller once it has begun.
    pub(crate) fn lasting(self) -> Self {
        let mut this = self;
        this.is_lasting = true;
        this
    }

    /// Create the wait for the next value of a feed.
    pub(crate) fn next_of(feed: Arc<dyn Feed>, connections: Arc<Connections>) -> Self {
        Self::with(Provider::Feed(feed), connections, CallContext::default())
    }

    fn with(provider: Provider, connections: Arc<Connections>, context: CallContext) -> Self {
        Self {
            provider,
            connections,
            context,
            create: None,
            is_lasting: false,
            slot: Arc::default(),
            running: OnceLock::new(),
            begun: OnceLock::new(),
            is_awaited: AtomicBool::new(false),
            is_blocking: AtomicBool::new(false),
            blocks: AtomicBool::new(false),
            convert: OnceLock::new(),
            result: Mutex::default(),
            cancel_message: Mutex::default(),
            closed: Mutex::default(),
        }
    }

    fn context(&self) -> &CallContext {
        match &self.provider {
            Provider::Job(_) => &self.context,
            Provider::Feed(feed) => feed.context(),
        }
    }

    /// Raise if the work belongs to a parent process, which would receive the result.
    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        let is_inherited = self.running.get().is_some_and(Running::is_inherited)
            || self
                .begun
                .get()
                .is_some_and(|begun| begun.task.is_inherited())
            || matches!(&self.provider, Provider::Feed(feed) if feed.is_inherited());
        if is_inherited {
            Err(forked_error(py))
        } else {
            Ok(())
        }
    }

    fn take_job(&self, py: Python<'_>) -> PyResult<Job> {
        self.check_process(py)?;
        let job = match &self.provider {
            Provider::Job(job) => lock(job).take(),
            Provider::Feed(_) => None,
        };
        job.ok_or_else(awaited_already)
    }

    /// Return the Python object of an outcome, or raise its exception.
    fn deliver(&self, py: Python<'_>, outcome: Result<Delivery, Failure>) -> PyResult<Py<PyAny>> {
        self.context().write_log(py);
        let delivered = match (&self.provider, outcome) {
            (Provider::Feed(feed), _) => feed.take(py),
            (Provider::Job(_), Ok(delivery)) => return self.converted(py, delivery(py)?),
            (Provider::Job(_), Err(failure)) => Err(failure),
        };
        delivered.map_err(|failure| {
            let is_core = matches!(failure, Failure::Core(_));
            let error = failure_to_py_err(py, failure, self.context());
            match &self.create {
                Some(create) if is_core => create::add_record(py, error, create),
                _ => error,
            }
        })
    }

    fn converted(&self, py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        match self.convert.get() {
            Some((convert, argument)) => convert.call1(py, (value, argument)),
            None => Ok(value),
        }
    }

    /// Note that the caller has received the result.
    fn set_delivered(&self) {
        if let Some(create) = &self.create {
            create.set_delivered(true);
        }
    }

    /// Begin awaited work, on the loop that `find_port` returns; None if a result is ready.
    fn start(
        &self,
        py: Python<'_>,
        find_port: impl FnOnce() -> PyResult<(Py<PyAny>, Arc<Port>)>,
    ) -> PyResult<Option<Running>> {
        let feed = match &self.provider {
            Provider::Job(_) => None,
            Provider::Feed(feed) => {
                self.check_process(py)?;
                if feed.is_ready() {
                    return Ok(None);
                }
                Some(feed)
            }
        };
        let (event_loop, port) = find_port()?;
        let task = match feed {
            None => Some(self.spawn(py, &port)?),
            Some(feed) => {
                let waits = feed.subscribe(&self.slot, port.expect());
                if !waits.map_err(|error| to_py_err(py, error, feed.context()))? {
                    return Ok(None);
                }
                None
            }
        };
        Ok(Some(Running {
            task,
            generation: Generation::current(),
            port,
            event_loop,
        }))
    }

    /// Spawn the job. Its outcome is delivered at `port`.
    fn spawn(&self, py: Python<'_>, port: &Arc<Port>) -> PyResult<TaskHandle> {
        let (job, flag) = (self.take_job(py)?, self.context.flag());
        let runtime = process().runtime()?;
        let pool = self.connections.on_runtime();
        let work = job(pool.clone());
        let arrival = port.expect();
        let arrive = move |slot| arrival.deliver(slot);
        let mut finish = Finish::new(self.slot.clone(), arrive, || Err(Error::internal()));
        let task = match self.create.clone() {
            Some(create) => {
                process().creates.add(&create);
                let deliver = move |outcome| finish.finish(outcome).is_ok();
                runtime.spawn(create::run(work, pool, create, flag, deliver))
            }
            None => runtime.spawn(async move {
                drop(finish.finish(unless_aborted(flag, work).await));
            }),
        };
        Ok(TaskHandle::of(&task))
    }

    /// Begin the work if it has not begun.
    fn ensure_started(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process(py)?;
        if self.running.get().is_none() && self.slot.status() == Status::Working {
            self.set_started(self.start(py, || Port::of_running_loop(py))?);
        }
        Ok(())
    }

    fn set_started(&self, started: Option<Running>) {
        match started {
            // Only one caller takes the job and comes here.
            Some(running) => drop(self.running.set(running)),
            // A result is ready, and nothing waits for it.
            None => drop(self.slot.finish(ready())),
        }
    }

    /// Return the result, and keep it for a later `await`.
    fn peek(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.check_process(py)?;
        let copy = |result: &Result<Py<PyAny>, Py<PyBaseException>>| match result {
            Ok(value) => Ok(value.clone_ref(py)),
            Err(error) => Err(PyErr::from_value(error.bind(py).clone().into_any())),
        };
        if let Some(result) = &*lock(&self.result) {
            return copy(result);
        }
        // The status first: the result may arrive between the two.
        let status = self.slot.status();
        match (self.slot.take(), status) {
            (Some(outcome), _) => {
                let result = self.deliver(py, outcome.map_err(Failure::from));
                let result = result.map_err(|error| error.into_value(py));
                let copied = copy(&result);
                *lock(&self.result) = Some(result);
                copied
            }
            (None, Status::Cancelled) => Err(self.cancelled(py)),
            (None, Status::Working) => Err(invalid_state(py, "the answer is not there yet")),
            (None, _) => Err(invalid_state(py, "the answer was taken")),
        }
    }

    /// Return the `CancelledError` of a cancelled wait.
    fn cancelled(&self, py: Python<'_>) -> PyErr {
        match self._cancel_message(py) {
            Some(message) => exception(py, "asyncio", "CancelledError", (message,)),
            None => exception(py, "asyncio", "CancelledError", ()),
        }
    }

    /// Give up the call for a caller who has left. A traceback may hold this object for long after
    /// that, so this does not happen only when it is dropped. Return what waited for it.
    fn abandon(&self) -> Option<Waiters<Waiter>> {
        if self.running.get().is_none_or(Running::is_inherited) {
            return None;
        }
        let was_working = self.slot.status() == Status::Working;
        let (outcome, waiters) = self.slot.close();
        if was_working {
            self.leave();
        }
        if let Some(create) = &self.create {
            // The response may have arrived after the caller had left.
            create::cancel_orphan(&self.connections, create.clone());
        }
        drop(outcome);
        Some(waiters)
    }

    /// Stop the work when its result is not wanted any more.
    fn leave(&self) {
        let Some(running) = self.running.get() else {
            return;
        };
        match (&self.create, &running.task) {
            (Some(create), _) => drop(create.abandon()),
            (None, Some(task)) if !self.is_lasting => task.abort(),
            (None, _) => {}
        }
    }
}

/// Return a job that waits for the first of several works to end, and returns its index; None after
/// `limit`.
pub(crate) fn first_of(
    pendings: &[Bound<'_, PyPending>],
    limit: Option<Duration>,
) -> PyResult<Job> {
    for pending in pendings {
        pending.get().check_process(pending.py())?;
    }
    let over = |pending: &Bound<'_, PyPending>| Some(pending.get().begun.get()?.over.clone());
    let tokens: Option<Vec<_>> = pendings.iter().map(over).collect();
    let tokens = tokens.filter(|tokens| !tokens.is_empty());
    let tokens = tokens.ok_or_else(|| PyRuntimeError::new_err("this call was not begun"))?;
    Ok(job(move |_| async move {
        let ends = tokens
            .into_iter()
            .map(|token| Box::pin(token.cancelled_owned()));
        let first = select_all(ends);
        let first = match limit {
            Some(limit) => timeout(limit, first).await.ok(),
            None => Some(first.await),
        };
        deliver(move |py| first.map(|((), index, _)| index).into_py_any(py))
    }))
}

#[pymethods]
impl PyPending {
    /// Run the work on this thread and return its result.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Provider::Feed(feed) = &self.provider {
            self.check_process(py)?;
            let waited = feed.wait(py);
            feed.context().write_log(py);
            let taken = waited.and_then(|()| feed.take(py));
            return taken.map_err(|failure| failure_to_py_err(py, failure, feed.context()));
        }
        let (job, flag) = (self.take_job(py)?, self.context.flag());
        let request = self.context.request.as_ref();
        let is_upload = request.is_some_and(|request| matches!(request.body, Body::Upload(_)));
        let outcome = match &self.create {
            Some(create) => create::wait(py, &self.connections, create, job, flag, is_upload),
            None => block_on(py, &self.connections, is_upload, |pool| {
                unless_aborted(flag, job(pool))
            }),
        };
        if let Err(Failure::Python(interrupt)) = outcome {
            return Err(interrupt);
        }
        let result = self.deliver(py, outcome)?;
        self.set_delivered();
        Ok(result)
    }

    /// Have `await` block this thread as `wait` does; return this object.
    fn blocking(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf.get().blocks.store(true, Ordering::Relaxed);
        slf
    }

    /// Have `convert(result, argument)` be the result of a request, which is called where that is
    /// received; return this object. It may be called once.
    fn then(
        slf: Bound<'_, Self>,
        convert: Py<PyAny>,
        argument: Py<PyAny>,
    ) -> PyResult<Bound<'_, Self>> {
        let set = slf.get().convert.set((convert, argument));
        set.map_err(|_| PyRuntimeError::new_err("this call has a conversion already"))?;
        Ok(slf)
    }

    /// Begin the work as if it were awaited on the hub that `port` leads to.
    fn start_on(
        &self,
        py: Python<'_>,
        event_loop: Py<PyAny>,
        port: &Bound<'_, PyHubPort>,
    ) -> PyResult<()> {
        self.set_started(self.start(py, || Ok((event_loop, port.get().0.clone())))?);
        Ok(())
    }

    /// Begin the work on the runtime before it is waited for. It ends if this object is dropped
    /// first.
    fn begin(&self, py: Python<'_>) -> PyResult<()> {
        let (job, flag) = (self.take_job(py)?, self.context.flag());
        let runtime = process().runtime()?;
        let (work, over) = (job(self.connections.on_runtime()), CancellationToken::new());
        let guard = over.clone().drop_guard();
        let task = runtime.spawn(async move {
            let _guard = guard;
            unless_aborted(flag, work).await
        });
        self.begun.get_or_init(|| Begun {
            task: TaskHandle::of(&task),
            over,
        });
        if let Provider::Job(job) = &self.provider {
            let abort = AbortOnDrop(TaskHandle::of(&task));
            *lock(job) = Some(Box::new(|_| {
                Box::pin(async {
                    let _abort = abort;
                    task.await.unwrap_or_else(|error| {
                        let stopped = "the request was stopped before it was answered";
                        Err(if error.is_panic() {
                            Error::internal()
                        } else {
                            Error::disconnected(stopped)
                        })
                    })
                })
            }));
        }
        Ok(())
    }

    /// Cancel what a create request has created, because its caller did not receive it: a signal
    /// handler, which raised an exception, ran after the request had returned it.
    fn cancel_created(&self) {
        if let Some(create) = &self.create
            && !self.running.get().is_some_and(Running::is_inherited)
        {
            create.set_delivered(false);
            create::cancel_orphan(&self.connections, create.clone());
        }
    }

    /// Abort work that was begun.
    fn give_up(&self) {
        if let Some(begun) = self.begun.get() {
            begun.task.abort();
        }
    }

    /// Raise an error where the coroutine waits, as Python does when a task is cancelled whose result
    /// is there already: its caller does not receive it.
    #[pyo3(signature = (error, value=None, traceback=None))]
    fn throw(
        &self,
        error: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        drop(traceback);
        drop(self.abandon());
        Err(match (error.cast_into::<PyType>(), value) {
            (Ok(kind), Some(value)) if !value.is_instance(&kind)? => {
                PyErr::from_type(kind, (value.unbind(),))
            }
            (Ok(_), Some(value)) => PyErr::from_value(value),
            (Ok(kind), None) => PyErr::from_type(kind, ()),
            (Err(failure), _) => PyErr::from_value(failure.into_inner()),
        })
    }

    /// End the wait of a coroutine that is closed, or is dropped. Its task is kept, as a future of
    /// asyncio keeps it: when the collector closes coroutines, a task that ended here would close
    /// the outermost one while those within are being closed.
    fn close(&self) {
        let waiters = self.abandon().into_iter().flatten();
        let callbacks: Vec<_> = waiters.map(|waiter| waiter.callback).collect();
        lock(&self.closed).extend(callbacks);
    }

    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let this = slf.get();
        if this.blocks.load(Ordering::Relaxed) {
            return Ok(slf);
        }
        // A callback may have started the work.
        this.ensure_started(slf.py())?;
        if this.is_awaited.swap(true, Ordering::Relaxed) {
            return Err(awaited_already());
        }
        Ok(slf)
    }

    fn __next__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (this, py) = (slf.get(), slf.py());
        if this.blocks.load(Ordering::Relaxed) {
            let value = this.wait(py)?;
            return Err(stop_iteration(value.into_bound(py)));
        }
        this.check_process(py)?;
        if let Some(result) = take(&this.result) {
            this.set_delivered();
            return Err(match result {
                Ok(value) => stop_iteration(value.into_bound(py)),
                Err(error) => PyErr::from_value(error.into_bound(py).into_any()),
            });
        }
        // The status first: the result may arrive between the two.
        let status = this.slot.status();
        match (this.slot.take(), status) {
            (Some(outcome), _) => {
                let value = this.deliver(py, outcome.map_err(Failure::from))?;
                this.set_delivered();
                Err(stop_iteration(value.into_bound(py)))
            }
            (None, Status::Working) => {
                this.is_blocking.store(true, Ordering::Relaxed);
                Ok(slf)
            }
            (None, Status::Cancelled) => Err(this.cancelled(py)),
            (None, _) => Err(awaited_already()),
        }
    }

    // The protocol of an asyncio future, for tasks and for debuggers.

    #[getter]
    fn _asyncio_future_blocking(&self) -> bool {
        self.is_blocking.load(Ordering::Relaxed)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.is_blocking.store(blocking, Ordering::Relaxed);
    }

    fn get_loop(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.ensure_started(py)?;
        Ok(self
            .running
            .get()
            .map(|running| running.event_loop.clone_ref(py)))
    }

    #[pyo3(signature = (callback, *, context=None))]
    fn add_done_callback(
        slf: Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let (this, py) = (slf.get(), slf.py());
        this.ensure_started(py)?;
        let waiter = Waiter {
            callback,
            context,
            pending: slf.clone().into_any().unbind(),
        };
        match (this.slot.subscribe(waiter), this.running.get()) {
            (Subscribed::Waits, _) => Ok(()),
            (Subscribed::IsDone, Some(running)) => {
                running.port.deliver([this.slot.clone()]);
                Ok(())
            }
            (Subscribed::IsDone, None) => {
                // The work ended before anything waited for it, so there is no loop yet.
                let (event_loop, _) = Port::of_running_loop(py)?;
                schedule(py, this.slot.call_waiters(), &event_loop)
            }
            (Subscribed::Refused(waiter), Some(running)) => {
                schedule(py, Waiters::from(waiter), &running.event_loop)
            }
            (Subscribed::Refused(_), None) => Err(this.cancelled(py)),
        }
    }

    /// Remove a callback and return how often it was registered.
    fn remove_done_callback(&self, py: Python<'_>, callback: &Bound<'_, PyAny>) -> usize {
        // Compared without the slot's lock: a comparison may run Python code.
        let callbacks = self.slot.waiters(|waiter| waiter.callback.clone_ref(py));
        let is_equal = |each: &Py<PyAny>| each.bind(py).eq(callback).unwrap_or(false);
        let equal: Vec<_> = callbacks.into_iter().filter(is_equal).collect();
        let is_removed = |waiter: &Waiter| equal.iter().any(|each| each.is(&waiter.callback));
        self.slot.unsubscribe(is_removed).len()
    }

    fn done(&self) -> bool {
        self.slot.status() != Status::Working
    }

    #[pyo3(name = "cancelled")]
    fn is_cancelled(&self) -> bool {
        self.slot.status() == Status::Cancelled
    }

    /// Return the result or raise its exception, until it was awaited.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.peek(py)
    }

    /// Return the exception, or None for a result.
    fn exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let result = self.peek(py);
        let has_result = lock(&self.result).is_some();
        match result {
            Ok(_) => Ok(None),
            Err(error) if has_result => Ok(Some(error.into_value(py).into_any())),
            // The work was cancelled, is not done, or its result was taken.
            Err(error) => Err(error),
        }
    }

    /// Read by `asyncio.gather`, which calls the next method too.
    #[getter]
    fn _cancel_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.cancel_message)
            .as_ref()
            .map(|message| message.clone_ref(py))
    }

    fn _make_cancelled_error(&self, py: Python<'_>) -> Py<PyBaseException> {
        self.cancelled(py).into_value(py)
    }

    /// While the loop is open, the work keeps its waiter alive, as asyncio's transports do. A loop
    /// that was closed with pending tasks leaves a reference cycle that only the collector can
    /// break.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.context.traverse(&visit)?;
        if let Some((convert, argument)) = self.convert.get() {
            visit.call(convert)?;
            visit.call(argument)?;
        }
        if let Ok(result) = self.result.try_lock() {
            match &*result {
                Some(Ok(value)) => visit.call(value)?,
                Some(Err(error)) => visit.call(error)?,
                None => {}
            }
        }
        if let Provider::Feed(feed) = &self.provider
            && Arc::strong_count(feed) == 1
        {
            feed.traverse(&visit)?;
        }
        if let Ok(message) = self.cancel_message.try_lock() {
            visit.call(&*message)?;
        }
        if let Ok(closed) = self.closed.try_lock() {
            closed
                .iter()
                .try_for_each(|callback| visit.call(callback))?;
        }
        match self.running.get() {
            Some(running) if !running.is_inherited() && !running.port.is_open() => {
                visit.call(&running.event_loop)?;
                self.slot.try_each_waiter(|waiter| waiter.traverse(&visit))
            }
            _ => Ok(()),
        }
    }

    fn __clear__(&self) {
        drop(take(&self.result));
        drop(take(&self.cancel_message));
        let closed = std::mem::take(&mut *lock(&self.closed));
        drop(closed);
        if self
            .running
            .get()
            .is_some_and(|running| !running.is_inherited())
        {
            self.leave();
            drop(self.slot.close());
        }
    }

    /// Cancel the wait unless there is a result. Waiters are called in the next turn of the loop.
    #[pyo3(signature = (msg=None))]
    fn cancel(&self, py: Python<'_>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let Some(running) = self.running.get() else {
            return Ok(false);
        };
        if self.slot.status() != Status::Working {
            // The first message counts.
            return Ok(false);
        }
        let before = std::mem::replace(&mut *lock(&self.cancel_message), msg);
        drop(before);
        let Some(waiters) = self.slot.cancel() else {
            return Ok(false);
        };
        self.leave();
        schedule(py, waiters, &running.event_loop)?;
        Ok(true)
    }
}

impl Drop for PyPending {
    fn drop(&mut self) {
        drop(self.abandon());
    }
}

impl Running {
    /// Return whether the work belongs to a parent process, where its locks may be held forever.
    fn is_inherited(&self) -> bool {
        self.generation.is_inherited()
    }
}

/// Return the `StopIteration` of an awaitable. A plain value creates no exception object in CPython
/// 3.11; a tuple or an exception must be wrapped, since it would be taken for the arguments or the
/// exception itself.
fn stop_iteration(value: Bound<'_, PyAny>) -> PyErr {
    if value.is_instance_of::<PyTuple>() || value.is_instance_of::<PyBaseException>() {
        return PyStopIteration::new_err((value.unbind(),));
    }
    PyStopIteration::new_err(value.unbind())
}

fn awaited_already() -> PyErr {
    PyRuntimeError::new_err("this call has been awaited already")
}

fn invalid_state(py: Python<'_>, message: &'static str) -> PyErr {
    exception(py, "asyncio", "InvalidStateError", (message,))
}
