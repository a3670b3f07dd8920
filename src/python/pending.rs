//! From a Rust future to a Python answer, blocking or awaited.
//!
//! Every verb of the core returns a [`Pending`]. `wait()` runs it on the calling thread. Awaiting it spawns it on the runtime; when
//! it is done, the worker puts it into the mailbox of its event loop's [`Port`] and rings the bell. The loop drains the mailbox:
//! each waiting task is stepped right there, in its own context, which saves a callback handle and a turn of the loop per answer.
//!
//! Rules this file keeps:
//! * workers never take the GIL: they hand over Rust values, which become Python objects on the loop's thread;
//! * no Python object is dropped while a lock is held, since its destructor may come back here;
//! * dropping or cancelling the awaitable aborts the work, which closes its connection; but a create is finished, and what it
//!   made is cancelled;
//! * whatever becomes of the work, a panic included, its slot is finished: nobody waits for ever.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::future::select_all;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::abort;
use super::create;
use super::engine::wait_until;
use super::errors::{self, About};
use super::hub::HubPort;
use super::inbox::Entered;
use super::port::{Port, UnderWay};
use super::process::{
    Connections, Stop, StopOnDrop, block_on, forks, inherited, internal, process,
};
use super::slot::{Outcome, Slot, Waiter, schedule};
use crate::predictions::create::Creation;
use crate::error::{Error, Kind};
use crate::http::exchange::Body;
use crate::http::pool::Pool;
use crate::sync::locked;
use crate::sync::slot::{Finish, Stand, Subscribed, Waiters};

/// Work that is under way.
pub type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;
/// Work that has not begun.
pub type Job = Box<dyn FnOnce(Arc<Pool>) -> Work + Send>;

/// Box an answer's conversion.
pub fn delivery(make: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static) -> Outcome {
    Ok(Box::new(make))
}

/// Box work.
pub fn job<F>(work: impl FnOnce(Arc<Pool>) -> F + Send + 'static) -> Job
where
    F: Future<Output = Outcome> + Send + 'static,
{
    Box::new(|pool| Box::pin(work(pool)))
}

/// What is filled elsewhere, and can be waited for again and again, without a task for each time.
pub trait Feed: Send + Sync {
    /// Return whether there is something.
    fn is_ready(&self) -> bool;
    /// Have `slot` finished when there is something; return false if there is already.
    fn subscribe(&self, slot: &Arc<Slot>, way: UnderWay) -> Result<bool, Error>;
    /// Have this thread be the one that waits, for as long as the guard lives.
    fn enter(&self) -> Result<Option<Entered>, Error>;
    /// Wait on this thread, at most for `limit`; return whether there is something.
    fn wait(&self, limit: Option<Duration>) -> bool;
    /// Raise if it was begun by the process that this one was forked from: nobody fills it here.
    fn check_process(&self, py: Python<'_>) -> PyResult<()>;
    /// Return what is there.
    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>>;
    /// Return the exception for an error.
    fn raised(&self, py: Python<'_>, error: Error) -> PyErr;
    /// Visit what only this holds.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

enum Provider {
    Job(Mutex<Option<Job>>),
    Feed(Arc<dyn Feed>),
}

/// Some work of the core, to be waited for or awaited, once.
#[pyclass(frozen, module = "replicate_rs._core")]
pub struct Pending {
    work: Provider,
    connections: Arc<Connections>,
    about: About,
    /// Set for a request that creates something.
    creation: Option<Arc<Creation>>,
    /// Whether the work goes on when nobody waits for it any more.
    is_lasting: bool,
    slot: Arc<Slot>,
    running: OnceLock<Running>,
    begun: OnceLock<Begun>,
    is_awaited: AtomicBool,
    blocking: AtomicBool,
    /// The answer, once `result()` or `exception()` was asked for it and nobody has taken it by awaiting.
    answer: Mutex<Option<Result<Py<PyAny>, Py<PyBaseException>>>>,
    /// What `cancel()` was told.
    message: Mutex<Option<Py<PyAny>>>,
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
        Self::of(
            Provider::Job(Mutex::new(Some(job))),
            connections,
            about,
            None,
        )
    }

    /// A request that creates something.
    pub fn creating(
        connections: Arc<Connections>,
        about: About,
        job: Job,
        creation: Arc<Creation>,
    ) -> Self {
        Self::of(
            Provider::Job(Mutex::new(Some(job))),
            connections,
            about,
            Some(creation),
        )
    }

    /// The same work, which goes on once it has begun, whether somebody waits for it or not.
    pub fn lasting(self) -> Self {
        let mut this = self;
        this.is_lasting = true;
        this
    }

    /// What a feed has next.
    pub fn next_of(feed: Arc<dyn Feed>, connections: Arc<Connections>) -> Self {
        Self::of(Provider::Feed(feed), connections, About::default(), None)
    }

    fn of(
        work: Provider,
        connections: Arc<Connections>,
        about: About,
        creation: Option<Arc<Creation>>,
    ) -> Self {
        Self {
            work,
            connections,
            about,
            creation,
            is_lasting: false,
            slot: Arc::default(),
            running: OnceLock::new(),
            begun: OnceLock::new(),
            is_awaited: AtomicBool::new(false),
            blocking: AtomicBool::new(false),
            answer: Mutex::default(),
            message: Mutex::default(),
        }
    }

    /// Return whether its work was begun by the process that this one was forked from.
    fn is_inherited(&self) -> bool {
        self.begun
            .get()
            .is_some_and(|begun| begun.work.is_inherited())
            || self.running.get().is_some_and(Running::is_inherited)
    }

    fn take_job(&self, py: Python<'_>) -> PyResult<Job> {
        if self.is_inherited() {
            return Err(inherited(py));
        }
        let job = match &self.work {
            Provider::Job(job) => locked(job).take(),
            Provider::Feed(_) => None,
        };
        job.ok_or_else(|| PyRuntimeError::new_err("this call has been awaited already"))
    }

    fn deliver(&self, py: Python<'_>, outcome: Outcome) -> PyResult<Py<PyAny>> {
        self.about.write_log(py);
        match (&self.work, outcome) {
            (Provider::Feed(feed), _) => feed.take(py),
            (Provider::Job(_), Ok(delivery)) => delivery(py),
            (Provider::Job(_), Err(error)) => {
                let error = errors::raised(py, error, &self.about);
                Err(match &self.creation {
                    Some(creation) => create::with_record(py, error, creation),
                    None => error,
                })
            }
        }
    }

    /// Note that the caller has the answer.
    fn claim(&self) {
        if let Some(creation) = &self.creation {
            creation.claim();
        }
    }

    /// Begin the work of an awaited call, on the loop that `find` gives; None if the answer is there already.
    fn start(
        &self,
        py: Python<'_>,
        find: impl FnOnce() -> PyResult<(Py<PyAny>, Arc<Port>)>,
    ) -> PyResult<Option<Running>> {
        match &self.work {
            Provider::Job(_) => {
                let (event_loop, port) = find()?;
                let (job, signal) = (self.take_job(py)?, self.about.flag(py));
                let runtime = process()
                    .runtime()
                    .map_err(|error| errors::raised(py, error, &self.about))?;
                let pool = self.connections.on_runtime();
                let work = job(pool.clone());
                let way = port.enter();
                let mut finish = Finish::new(
                    self.slot.clone(),
                    move |slot| way.arrive(slot),
                    || Err(internal()),
                );
                let task = match self.creation.clone() {
                    Some(creation) => {
                        process().creates.remember(&creation);
                        let give = move |outcome| finish.finish(outcome).is_ok();
                        runtime.spawn(create::run(work, pool, creation, signal, give))
                    }
                    None => runtime.spawn(async move {
                        drop(finish.finish(abort::unless_aborted(signal, work).await));
                    }),
                };
                Ok(Some(Running {
                    work: Some(Stop::of(&task)),
                    forks: forks(),
                    port,
                    event_loop,
                }))
            }
            Provider::Feed(feed) => {
                feed.check_process(py)?;
                if feed.is_ready() {
                    return Ok(None);
                }
                let (event_loop, port) = find()?;
                let waits = feed.subscribe(&self.slot, port.enter());
                let waits = waits.map_err(|error| feed.raised(py, error))?;
                Ok(waits.then_some(Running {
                    work: None,
                    forks: forks(),
                    port,
                    event_loop,
                }))
            }
        }
    }

    /// Raise if it is awaited in the process that this one was forked from: nobody brings the answer here.
    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if self.running.get().is_some_and(Running::is_inherited) {
            Err(inherited(py))
        } else {
            Ok(())
        }
    }

    /// Begin the work, if that has not been done.
    fn ensure_started(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process(py)?;
        if self.running.get().is_none() && self.slot.stand() == Stand::Working {
            self.set_started(self.start(py, || Port::of_this_loop(py))?);
        }
        Ok(())
    }

    /// Note what was started.
    fn set_started(&self, started: Option<Running>) {
        match started {
            // Only the one who took the job comes here.
            Some(running) => drop(self.running.set(running)),
            // There is an answer, and nobody waits.
            None => drop(self.slot.finish(super::inbox::ready())),
        }
    }

    /// Return the answer, and keep it for whoever awaits this.
    fn answer(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.check_process(py)?;
        let copied = |answer: &Result<Py<PyAny>, Py<PyBaseException>>| match answer {
            Ok(answer) => Ok(answer.clone_ref(py)),
            Err(error) => Err(PyErr::from_value(error.bind(py).clone().into_any())),
        };
        if let Some(answer) = &*locked(&self.answer) {
            return copied(answer);
        }
        match (self.slot.take(), self.slot.stand()) {
            (Some(outcome), _) => {
                let answer = self
                    .deliver(py, outcome)
                    .map_err(|error| error.into_value(py));
                let copy = copied(&answer);
                *locked(&self.answer) = Some(answer);
                copy
            }
            (None, Stand::Cancelled) => Err(self.cancelled(py)),
            (None, Stand::Working) => Err(invalid_state(py, "the answer is not there yet")),
            (None, _) => Err(invalid_state(py, "the answer was taken")),
        }
    }

    fn cancelled(&self, py: Python<'_>) -> PyErr {
        let message = locked(&self.message)
            .as_ref()
            .map(|message| message.clone_ref(py));
        let make = || {
            let class = py.import("asyncio")?.getattr("CancelledError")?;
            match message {
                Some(message) => class.call1((message,)),
                None => class.call0(),
            }
        };
        make().map_or_else(|error| error, PyErr::from_value)
    }

    /// Stop the work when nobody wants its answer any more; a forked child leaves it to its parent.
    fn leave(&self) {
        let Some(running) = self.running.get() else {
            return;
        };
        match &self.creation {
            Some(creation) => drop(creation.leave()),
            None if self.is_lasting => {}
            None => running.stop(),
        }
    }
}

/// Which of some work that was begun is over first, or None after `limit`.
pub fn first_of(pendings: &[Bound<'_, Pending>], limit: Option<Duration>) -> PyResult<Job> {
    if let Some(py) = pendings
        .iter()
        .find(|each| each.get().is_inherited())
        .map(Bound::py)
    {
        return Err(inherited(py));
    }
    let over =
        |pending: &Bound<'_, Pending>| pending.get().begun.get().map(|begun| begun.over.clone());
    let tokens: Option<Vec<_>> = pendings.iter().map(over).collect();
    let tokens = tokens.filter(|tokens| !tokens.is_empty());
    let tokens = tokens.ok_or_else(|| PyRuntimeError::new_err("this call was not begun"))?;
    Ok(job(move |_| async move {
        let first = select_all(
            tokens
                .into_iter()
                .map(|token| Box::pin(token.cancelled_owned())),
        );
        let which = match limit {
            Some(limit) => timeout(limit, first).await.ok(),
            None => Some(first.await),
        };
        delivery(move |py| which.map(|((), index, _)| index).into_py_any(py))
    }))
}

#[pymethods]
impl Pending {
    /// Run the work on this thread and return its answer.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Provider::Feed(feed) = &self.work {
            feed.check_process(py)?;
            if let Some(_entered) = feed.enter().map_err(|error| feed.raised(py, error))? {
                wait_until(py, |limit| feed.wait(limit))?;
            }
            return feed.take(py);
        }
        let (job, signal) = (self.take_job(py)?, self.about.flag(py));
        let long = self
            .about
            .call
            .as_ref()
            .is_some_and(|call| matches!(call.body, Body::Upload(_)));
        let outcome = match &self.creation {
            Some(creation) => create::wait(py, &self.connections, creation, job, signal, long)?,
            None => block_on(py, &self.connections, long, |pool| {
                abort::unless_aborted(signal, job(pool))
            })?,
        };
        let answer = self.deliver(py, outcome)?;
        self.claim();
        Ok(answer)
    }

    /// Begin the work as if it were awaited on a hub, whose port this is.
    fn start_on(
        &self,
        py: Python<'_>,
        event_loop: Py<PyAny>,
        port: &Bound<'_, HubPort>,
    ) -> PyResult<()> {
        self.set_started(self.start(py, || Ok((event_loop, port.get().0.clone())))?);
        Ok(())
    }

    /// Begin the work on the runtime, before anybody waits for it; it ends if this object goes first.
    fn begin(&self, py: Python<'_>) -> PyResult<()> {
        let (job, signal) = (self.take_job(py)?, self.about.flag(py));
        let runtime = process()
            .runtime()
            .map_err(|error| errors::raised(py, error, &self.about))?;
        let (work, over) = (job(self.connections.on_runtime()), CancellationToken::new());
        let at_end = over.clone().drop_guard();
        let task = runtime.spawn(async move {
            let _at_end = at_end;
            abort::unless_aborted(signal, work).await
        });
        self.begun.get_or_init(|| Begun {
            work: Stop::of(&task),
            over,
        });
        if let Provider::Job(place) = &self.work {
            let at_drop = StopOnDrop(Stop::of(&task));
            *locked(place) = Some(Box::new(|_| {
                Box::pin(async {
                    let _at_drop = at_drop;
                    task.await.unwrap_or_else(|error| {
                        Err(if error.is_panic() {
                            internal()
                        } else {
                            stopped()
                        })
                    })
                })
            }));
        }
        Ok(())
    }

    /// End work that was begun, and that nobody waits for.
    fn give_up(&self) {
        if let Some(begun) = self.begun.get() {
            begun.work.stop();
        }
    }

    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (this, py) = (slf.get(), slf.py());
        // It may have begun before, for those who added a callback.
        this.ensure_started(py)?;
        if this.is_awaited.swap(true, Ordering::Relaxed) {
            return Err(PyRuntimeError::new_err(
                "this call has been awaited already",
            ));
        }
        Ok(slf)
    }

    fn __next__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (this, py) = (slf.get(), slf.py());
        this.check_process(py)?;
        if let Some(answer) = locked(&this.answer).take() {
            this.claim();
            return Err(match answer {
                Ok(answer) => stop(answer.into_bound(py)),
                Err(error) => PyErr::from_value(error.into_bound(py).into_any()),
            });
        }
        match (this.slot.take(), this.slot.stand()) {
            (Some(outcome), _) => {
                let answer = this.deliver(py, outcome)?;
                this.claim();
                Err(stop(answer.into_bound(py)))
            }
            (None, Stand::Working) => {
                this.blocking.store(true, Ordering::Relaxed);
                Ok(slf)
            }
            (None, Stand::Cancelled) => Err(this.cancelled(py)),
            (None, _) => Err(PyRuntimeError::new_err(
                "this call has been awaited already",
            )),
        }
    }

    // What follows makes it a future to asyncio, and to whoever looks at what a task waits for.

    #[getter]
    fn _asyncio_future_blocking(&self) -> bool {
        self.blocking.load(Ordering::Relaxed)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.blocking.store(blocking, Ordering::Relaxed);
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
                running.port.hand_over([this.slot.clone()]);
                Ok(())
            }
            (Subscribed::IsDone, None) => {
                // It was done before anybody had to wait, so it has no way to a loop yet.
                let (event_loop, _) = Port::of_this_loop(py)?;
                schedule(py, this.slot.call_waiters(), &event_loop)
            }
            (Subscribed::Refused(waiter), Some(running)) => {
                schedule(py, Waiters::from(waiter), &running.event_loop)
            }
            (Subscribed::Refused(_), None) => Err(this.cancelled(py)),
        }
    }

    /// Remove a callback; return how often it was there.
    fn remove_done_callback(&self, py: Python<'_>, callback: &Bound<'_, PyAny>) -> usize {
        // Compared apart from the slot's lock: comparing may run code of the caller's.
        let meant: Vec<_> = self.slot.waiters(|waiter| waiter.callback.clone_ref(py));
        let meant: Vec<_> = meant
            .into_iter()
            .filter(|each| each.bind(py).eq(callback).unwrap_or(false))
            .collect();
        self.slot
            .unsubscribe(|waiter| meant.iter().any(|each| each.is(&waiter.callback)))
            .len()
    }

    fn done(&self) -> bool {
        self.slot.stand() != Stand::Working
    }

    #[pyo3(name = "cancelled")]
    fn is_cancelled(&self) -> bool {
        self.slot.stand() == Stand::Cancelled
    }

    /// Return the answer, or raise what it is; as long as nobody has taken it by awaiting this.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.answer(py)
    }

    /// Return the exception that the answer is, or None.
    fn exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let answer = self.answer(py);
        let kept = locked(&self.answer).is_some();
        match answer {
            Ok(_) => Ok(None),
            Err(error) if kept => Ok(Some(error.into_value(py).into_any())),
            // That it was cancelled, is not there yet, or was taken.
            Err(error) => Err(error),
        }
    }

    /// What `asyncio.gather` asks a future for that was cancelled, and it calls what follows.
    #[getter]
    fn _cancel_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        locked(&self.message)
            .as_ref()
            .map(|message| message.clone_ref(py))
    }

    fn _make_cancelled_error(&self, py: Python<'_>) -> Py<PyBaseException> {
        self.cancelled(py).into_value(py)
    }

    /// While its loop is open, the work itself keeps its waiter alive, as a transport of asyncio's would; a loop that was closed
    /// with tasks pending leaves a circle that nobody else can break.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.about.traverse(&visit)?;
        if let Ok(answer) = self.answer.try_lock()
            && let Some(answer) = &*answer
        {
            match answer {
                Ok(answer) => visit.call(answer)?,
                Err(error) => visit.call(error)?,
            }
        }
        if let Provider::Feed(feed) = &self.work
            && Arc::strong_count(feed) == 1
        {
            feed.traverse(&visit)?;
        }
        if let Ok(message) = self.message.try_lock() {
            visit.call(&*message)?;
        }
        let is_closed = |running: &&Running| !running.is_inherited() && !running.port.is_open();
        let Some(running) = self.running.get().filter(is_closed) else {
            return Ok(());
        };
        visit.call(&running.event_loop)?;
        self.slot.try_each_waiter(|waiter| waiter.traverse(&visit))
    }

    fn __clear__(&self) {
        drop(locked(&self.answer).take());
        drop(locked(&self.message).take());
        if self
            .running
            .get()
            .is_some_and(|running| !running.is_inherited())
        {
            self.leave();
            drop(self.slot.close());
        }
    }

    /// Cancel the wait, unless the answer is there. Those who wait are told in the loop's next turn, with this message.
    #[pyo3(signature = (msg=None))]
    fn cancel(&self, py: Python<'_>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let Some(running) = self.running.get() else {
            return Ok(false);
        };
        if self.slot.stand() != Stand::Working {
            // The first message counts.
            return Ok(false);
        }
        let before = std::mem::replace(&mut *locked(&self.message), msg);
        drop(before);
        let Some(waiters) = self.slot.cancel() else {
            return Ok(false);
        };
        self.leave();
        schedule(py, waiters, &running.event_loop)?;
        Ok(true)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.running.get().is_none_or(Running::is_inherited) {
            return;
        }
        let was_working = self.slot.stand() == Stand::Working;
        let (left, waiters) = self.slot.close();
        if was_working {
            self.leave();
        }
        if let Some(creation) = self
            .creation
            .take()
            .filter(|creation| creation.is_orphaned())
        {
            // The answer came, and its caller had gone.
            let (pool, counted) = (self.connections.on_runtime(), creation.unattended());
            drop(process().detach(counted, async move { creation.undo(&pool).await }));
        }
        drop((left, waiters));
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
    Error {
        sent: true,
        ..Error::new(
            Kind::Disconnected,
            "the request was stopped before it was answered",
        )
    }
}

fn invalid_state(py: Python<'_>, message: &'static str) -> PyErr {
    let class = py
        .import("asyncio")
        .and_then(|asyncio| asyncio.getattr("InvalidStateError"));
    class
        .and_then(|class| class.call1((message,)))
        .map_or_else(|error| error, PyErr::from_value)
}
