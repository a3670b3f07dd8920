//! Answers that arrive in parts: server-sent events, or bytes.
//!
//! A task reads ahead into an inbox. It lives as long as its `Source`, or until the stream has ended by its own word; then it only
//! clears the connection for the next request. It is on the runtime; but where a thread will wait for all there is, on that thread's
//! engine, which saves two changes of threads for each wait.

use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use pyo3::IntoPyObjectExt;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PySlice};
use pyo3::{PyTraverseError, PyVisit};
use tokio::task::AbortHandle;

use super::abort::{AbortSignal, unless_aborted};
use super::batch::Form;
use super::pending::{Feed, Pending};
use super::engine::TICK;
use super::errors::{About, raised};
use super::files::{Said, said};
use super::greenlets::is_patched;
use super::inbox::{Ended, Entered, For, Inbox, Subscribed, busy};
use super::port::UnderWay;
use super::reader::{Reader, read_file, take};
use super::process::{Connections, Loan, Stop, forks, inherited, internal, process};
use super::slot::Slot;
use crate::files::download::Info;
use crate::error::Error;
use crate::http::exchange::Call;
use crate::http::pool::Pool;
use crate::stream::resume::{self, End};
use crate::stream::sse::Parser;
use crate::http::timing::within;
use crate::sync::{OnDrop, locked};

/// How far a stream of events has come, over all of its connections.
#[pyclass(frozen, module = "replicate_rs._core")]
#[derive(Clone, Default)]
pub struct Place(Arc<Mutex<resume::Place>>);

#[pymethods]
impl Place {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// How many events were given.
    #[getter]
    fn count(&self) -> u64 {
        locked(&self.0).count()
    }

    /// The id to resume after.
    #[getter]
    pub fn last_event_id(&self) -> Option<String> {
        locked(&self.0).last_event_id().map(ToOwned::to_owned)
    }

    /// How the stream ended: ``done`` or ``error``, and the data of the event that said so.
    #[getter]
    fn end(&self) -> Option<(&'static str, String)> {
        let place = locked(&self.0);
        let (end, data) = place.end()?;
        let name = match end {
            End::Done => "done",
            End::Error => "error",
        };
        Some((name, data.to_owned()))
    }

    /// Seconds to wait before connecting again, after so many connections that brought nothing; None: not before long.
    fn pause(&self, failures: u32) -> Option<f64> {
        locked(&self.0)
            .pause(failures, fastrand::f64())
            .map(|wait| wait.as_secs_f64())
    }

    /// What an output has beyond what was given, which it then was too; None if what was given is not its beginning.
    fn rest_of_output(&self, items: Vec<String>) -> Option<Vec<String>> {
        let items: Vec<_> = items.iter().map(String::as_str).collect();
        locked(&self.0).rest_of_output(&items)
    }

    /// The same of logs; None too if the stream gave none so far.
    fn rest_of_logs(&self, logs: &str) -> Option<String> {
        locked(&self.0).rest_of_logs(logs)
    }
}

/// A request whose answer is read in parts.
pub struct Opening {
    /// What to fetch.
    pub call: Arc<Call>,
    /// Stops it.
    pub signal: Option<Py<AbortSignal>>,
    /// What it is.
    pub what: What,
    /// Whether it is read on while nobody waits for it.
    pub ahead: bool,
    /// Counts those that are being read.
    pub open: Arc<AtomicUsize>,
}

/// What an answer is read as.
pub enum What {
    /// A stream of events.
    Events {
        /// What to make of it.
        form: Form,
        /// How far it has come.
        place: Place,
        /// How long it may be silent.
        idle: Option<Duration>,
    },
    /// A file, from some byte on.
    File {
        /// Which.
        start: u64,
    },
}

/// An answer that arrives in parts. Dropping or closing it closes its connection.
#[pyclass(frozen, module = "replicate_rs._core")]
pub struct Source {
    tap: Arc<Tap>,
    head: Arc<Wait>,
    parts: Arc<Wait>,
}

/// What `Source` and those who wait for its parts hold together.
struct Tap {
    inbox: Arc<Inbox>,
    about: About,
    connections: Arc<Connections>,
    reading: Mutex<Reading>,
    /// When it was made: a forked child leaves its parent's alone. None where it is all there already.
    forks: Option<usize>,
    /// Of a file.
    info: Arc<OnceLock<Info>>,
}

/// The task that reads, once it is known where its connection is.
type Task = Box<dyn FnOnce(Arc<Pool>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Who reads.
enum Reading {
    /// Nobody, before somebody waits.
    NotYet(Task),
    /// The runtime.
    There(Stop),
    /// Whoever waits, on the engine; None while it is in use.
    Here(Option<Loan>, AbortHandle),
    /// Nobody any more.
    Over,
}

impl Tap {
    /// Has the runtime read, if nobody does.
    fn begin(&self) -> Result<(), Error> {
        let mut reading = locked(&self.reading);
        if matches!(*reading, Reading::NotYet(_)) {
            let runtime = process().runtime()?;
            if let Reading::NotYet(task) = mem::replace(&mut *reading, Reading::Over) {
                let task = runtime.spawn(task(self.connections.on_runtime()));
                *reading = Reading::There(Stop::of(&task));
            }
        }
        Ok(())
    }

    /// The engine, if it is this thread that has to read.
    fn borrow_engine(&self) -> Result<Option<Loan>, Error> {
        let mut reading = locked(&self.reading);
        if matches!(*reading, Reading::NotYet(_)) {
            let Some(engine) = process().borrow_engine()? else {
                drop(reading);
                return self.begin().map(|()| None);
            };
            if let Reading::NotYet(task) = mem::replace(&mut *reading, Reading::Over) {
                let task = engine.begin(task(engine.pool(&self.connections)));
                *reading = Reading::Here(Some(engine), task);
            }
        }
        Ok(if let Reading::Here(engine, _) = &mut *reading {
            engine.take()
        } else {
            None
        })
    }

    /// Waits on this thread, which reads meanwhile if nobody else does; whether there is something.
    fn wait(&self, what: For, limit: Option<Duration>) -> bool {
        let engine = match self.borrow_engine() {
            Ok(Some(engine)) => engine,
            // Another thread reads at present, but perhaps not until this one has what it wants.
            Ok(None) if matches!(*locked(&self.reading), Reading::Here(..)) => {
                return self.inbox.wait(what, Some(limit.unwrap_or(TICK)));
            }
            Ok(None) => return self.inbox.wait(what, limit),
            Err(error) => {
                self.inbox.end(Err(error));
                return true;
            }
        };
        let came = engine.turn(self.inbox.until(what), limit).is_some();
        match &mut *locked(&self.reading) {
            Reading::Here(place, _) => *place = Some(engine),
            _ => engine.settle(),
        }
        came
    }

    fn is_inherited(&self) -> bool {
        self.forks.is_some_and(|made| made != forks())
    }

    /// Ends the reading, which closes its connection.
    fn stop(&self) {
        if self.is_inherited() {
            return;
        }
        match mem::replace(&mut *locked(&self.reading), Reading::Over) {
            Reading::There(task) => task.stop(),
            Reading::Here(engine, task) => {
                let is_over = task.is_finished();
                task.abort();
                if let Some(engine) = engine
                    && !is_over
                {
                    engine.settle();
                }
            }
            Reading::NotYet(_) | Reading::Over => {}
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One thing to wait for.
struct Wait(Arc<Tap>, For);

impl Feed for Wait {
    fn is_ready(&self) -> bool {
        self.0.inbox.has(self.1)
    }

    fn subscribe(&self, slot: &Arc<Slot>, way: UnderWay) -> Result<bool, Error> {
        if let Err(error) = self.0.begin() {
            self.0.inbox.end(Err(error));
        }
        if !self.is_ready() && matches!(*locked(&self.0.reading), Reading::Here(..)) {
            // Its bytes move only while a thread waits for them.
            return Err(busy());
        }
        match self.0.inbox.subscribe(self.1, slot, way) {
            Subscribed::Ready => Ok(false),
            Subscribed::Waits => Ok(true),
            Subscribed::Refused => Err(busy()),
        }
    }

    fn enter(&self) -> Result<Option<Entered>, Error> {
        self.0.inbox.enter(self.1)
    }

    fn wait(&self, limit: Option<Duration>) -> bool {
        self.0.wait(self.1, limit)
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // What others hold too is theirs to visit: visited twice, it would be taken for garbage while it is in use.
        if Arc::strong_count(&self.0) == 1 {
            self.0.about.traverse(visit)
        } else {
            Ok(())
        }
    }

    fn raised(&self, py: Python<'_>, error: Error) -> PyErr {
        raised(py, error, &self.0.about)
    }

    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if self.0.is_inherited() {
            Err(inherited(py))
        } else {
            Ok(())
        }
    }

    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let taken = match self.1 {
            For::Head => self.0.inbox.head().map(|()| py.None()),
            For::Parts | For::Much => self.0.inbox.take(py, self.1)?,
        };
        taken.map_err(|error| raised(py, error, &self.0.about))
    }
}

/// Bytes of a file that are copied to where the caller wants them.
struct Fill {
    parts: Wait,
    target: Py<PyMemoryView>,
    from: usize,
}

impl Feed for Fill {
    fn is_ready(&self) -> bool {
        self.parts.is_ready()
    }

    fn subscribe(&self, slot: &Arc<Slot>, way: UnderWay) -> Result<bool, Error> {
        self.parts.subscribe(slot, way)
    }

    fn enter(&self) -> Result<Option<Entered>, Error> {
        self.parts.enter()
    }

    fn wait(&self, limit: Option<Duration>) -> bool {
        self.parts.wait(limit)
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.target)?;
        self.parts.traverse(visit)
    }

    fn raised(&self, py: Python<'_>, error: Error) -> PyErr {
        self.parts.raised(py, error)
    }

    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        self.parts.check_process(py)
    }

    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Wait(tap, _) = &self.parts;
        let target = self.target.bind(py);
        let room = target.len()?.saturating_sub(self.from);
        let copy = |pieces: Vec<Bytes>| {
            let mut at = self.from;
            for piece in pieces {
                let end = at + piece.len();
                let place = target.get_item(PySlice::new(
                    py,
                    isize::try_from(at)?,
                    isize::try_from(end)?,
                    1,
                ))?;
                PyBuffer::<u8>::get(&place)?.copy_from_slice(py, &piece)?;
                at = end;
            }
            (at - self.from).into_py_any(py)
        };
        tap.inbox
            .take_bytes(room, copy)
            .map_err(|error| raised(py, error, &tap.about))?
    }
}

#[pymethods]
impl Source {
    /// Waits for the head of the answer, and raises if it is not what it must be.
    fn opened(&self) -> Pending {
        Pending::next_of(self.head.clone(), self.tap.connections.clone())
    }

    /// Whether the head of the answer is there, and what it must be.
    #[getter]
    fn is_open(&self) -> bool {
        !self.tap.is_inherited() && self.tap.inbox.is_open()
    }

    /// All that is ready, or what comes next, as a list; empty at the end.
    fn next(&self) -> Pending {
        Pending::next_of(self.parts.clone(), self.tap.connections.clone())
    }

    /// All of a file that is small enough to wait for as one, as a list; of others it takes nothing, and they are ready to be filled in.
    fn whole(&self) -> Pending {
        Pending::next_of(
            Arc::new(Wait(self.tap.clone(), For::Much)),
            self.tap.connections.clone(),
        )
    }

    /// Copies what is ready, or what comes next, of a file to a writable memoryview of bytes, from `start` on; gives how many bytes
    /// those were, 0 at the end.
    #[pyo3(signature = (target, start=0))]
    fn fill(&self, target: Py<PyMemoryView>, start: usize) -> Pending {
        let fill = Fill {
            parts: Wait(self.tap.clone(), For::Much),
            target,
            from: start,
        };
        Pending::next_of(Arc::new(fill), self.tap.connections.clone())
    }

    /// Why there is no more, once everything was taken: ``complete``, ``closed``, ``silent`` or ``unproven``.
    #[getter]
    fn ended(&self) -> Option<&'static str> {
        let ended = if self.tap.is_inherited() {
            None
        } else {
            self.tap.inbox.ended()
        };
        ended.map(|ended| match ended {
            Ended::Complete => "complete",
            Ended::Closed => "closed",
            Ended::Silent => "silent",
            Ended::Unproven => "unproven",
        })
    }

    /// What the host said of a file, once it answered: its media type, its length, the header that may have its name, and what tells
    /// its version.
    #[getter]
    fn said(&self) -> Option<Said> {
        self.tap.info.get().cloned().map(said)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let own = [&self.head, &self.parts].map(Arc::strong_count) == [1, 1]
            && Arc::strong_count(&self.tap) == 3;
        // What those who wait hold too is theirs: visited from here, it would be taken for garbage while it is in use.
        if own {
            self.tap.about.traverse(&visit)
        } else {
            Ok(())
        }
    }

    /// Closes the connection.
    fn close(&self) {
        if self.tap.is_inherited() {
            return;
        }
        self.tap.inbox.end(Ok(Ended::Closed));
        self.tap.stop();
    }
}

impl Source {
    /// Sends the request, and reads from then on.
    pub fn open(py: Python<'_>, connections: Arc<Connections>, opening: Opening) -> PyResult<Self> {
        let Opening {
            call,
            signal,
            what,
            ahead,
            open,
        } = opening;
        let about = About {
            call: Some(call.clone()),
            signal,
        };
        let form = match &what {
            What::Events { form, .. } => *form,
            What::File { .. } => Form::Bytes,
        };
        let (inbox, info) = (Arc::new(Inbox::new(form)), Arc::default());
        let (flag, to, of_file) = (about.flag(py), inbox.clone(), Arc::clone(&info));
        let limit = call.timeouts.total;
        let task: Task = Box::new(move |pool| {
            open.fetch_add(1, Ordering::Relaxed);
            let is_open = Open(open);
            // Boxed once: what wraps a future holds it by value, and some hold it twice.
            let read: Pin<Box<dyn Future<Output = _> + Send>> = match what {
                What::Events { form, place, idle } => Box::pin(
                    Reader {
                        pool,
                        call,
                        form,
                        place: place.0,
                        inbox: to.clone(),
                        idle,
                    }
                    .read(),
                ),
                What::File { start } => Box::pin(read_file(pool, call, start, to.clone(), of_file)),
            };
            let inbox = to.clone();
            // Whatever becomes of the task: it may panic. Only the first end counts.
            let at_end = OnDrop::new(move || to.end(Err(internal())));
            Box::pin(async move {
                let _at_end = at_end;
                let ended = within(limit, pin!(unless_aborted(flag, read))).await;
                // Whoever learns of the end finds it counted no more.
                drop(is_open);
                inbox.end(ended);
            })
        });
        let tap = Tap {
            inbox,
            about,
            connections,
            reading: Mutex::new(Reading::NotYet(task)),
            forks: Some(forks()),
            info,
        };
        // A thread that reads for itself cannot give way, and whether it must may change from one wait to the next.
        if ahead || is_patched(py)? {
            tap.begin().map_err(|error| raised(py, error, &tap.about))?;
        }
        Ok(Self::new(tap))
    }

    /// One whose content is there already.
    pub fn recorded(
        connections: Arc<Connections>,
        form: Form,
        place: &Place,
        body: &[u8],
        limit: usize,
    ) -> Self {
        let inbox = Arc::new(Inbox::new(form));
        inbox.begin();
        let ended = if form == Form::Bytes {
            inbox.fill(|batch| batch.push_bytes(Bytes::copy_from_slice(body)));
            Ok(Ended::Closed)
        } else {
            locked(&place.0).connect();
            let took = inbox
                .fill(|batch| take(&mut Parser::new(limit), &mut locked(&place.0), body, batch));
            took.map(|ended| ended.unwrap_or(Ended::Closed))
        };
        inbox.end(ended);
        let reading = Mutex::new(Reading::Over);
        Self::new(Tap {
            inbox,
            about: About::default(),
            connections,
            reading,
            forks: None,
            info: Arc::default(),
        })
    }

    fn new(tap: Tap) -> Self {
        let tap = Arc::new(tap);
        let [head, parts] = [For::Head, For::Parts].map(|what| Arc::new(Wait(tap.clone(), what)));
        Self { tap, head, parts }
    }
}

/// Counts a stream for as long as it is read.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a form is called in Python.
pub fn form(name: &str) -> PyResult<Form> {
    match name {
        "events" => Ok(Form::Events),
        "text" => Ok(Form::Text),
        "frames" => Ok(Form::Frames),
        "bytes" => Ok(Form::Bytes),
        _ => Err(PyValueError::new_err(format!(
            "a stream has no form {name:?}"
        ))),
    }
}
