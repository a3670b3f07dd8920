//! Responses that are read in parts: server-sent events, or bytes.
//!
//! A task reads ahead into an inbox. It lives as long as its `ResponseStream`, or until the last
//! event; then it only reads the rest of the response, so that the connection can be used again. It
//! runs on the runtime. Where a thread will wait for everything, it runs on the engine, which that
//! thread drives: that saves two changes of threads per wait.

use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use pyo3::IntoPyObjectExt;
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PySlice};
use pyo3::{PyTraverseError, PyVisit};
use tokio::task::AbortHandle;

use super::abort::{PyAbortSignal, unless_aborted};
use super::context::CallContext;
use super::failure::Failure;
use super::files::PyFileInfo;
use super::fork::{Generation, TaskHandle};
use super::greenlets::is_patched;
use super::inbox::{Inbox, subscribe, take_list};
use super::pending::{Feed, PyPending};
use super::port::Arrival;
use super::process::{BorrowedEngine, Connections, process};
use super::signals::{TICK, wait_until};
use super::slot::Slot;
use crate::error::Error;
use crate::files::download::FileInfo;
use crate::http::pool::Pool;
use crate::http::request::Request;
use crate::http::timing::with_deadline;
use crate::lock::lock;
use crate::platform::keep_freed_memory;
use crate::stream::batch::{Batch, Form};
use crate::stream::inbox::{Ended, WaitFor, busy};
use crate::stream::reader::{EventReader, parse_into, read_file};
use crate::stream::resume::{End, StreamPosition};
use crate::stream::sse::Parser;
use crate::sync::OnDrop;

/// The position in a stream of events, over all of its connections.
#[pyclass(name = "StreamPosition", frozen, module = "replicate_rs._core")]
#[derive(Clone, Default)]
pub(crate) struct PyStreamPosition(Arc<Mutex<StreamPosition>>);

#[pymethods]
impl PyStreamPosition {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// How many events were received.
    #[getter]
    fn count(&self) -> u64 {
        lock(&self.0).count()
    }

    /// The id to resume after.
    #[getter]
    pub(crate) fn last_event_id(&self) -> Option<String> {
        lock(&self.0).last_event_id().map(ToOwned::to_owned)
    }

    /// The event that ended the stream, ``done`` or ``error``, and its data.
    #[getter]
    fn end(&self) -> Option<(&'static str, String)> {
        let position = lock(&self.0);
        let (end, data) = position.end()?;
        let name = match end {
            End::Done => "done",
            End::Error => "error",
        };
        Some((name, data.to_owned()))
    }

    /// Return how many seconds to wait before the next connection, after this number of connections
    /// without a new event; None if the server asks for too long a wait.
    fn pause(&self, failures: u32) -> Option<f64> {
        let delay = lock(&self.0).reconnect_delay(failures, fastrand::f64());
        delay.map(|delay| delay.as_secs_f64())
    }

    /// Return the rest of an output after the received part, and record it; None if the output
    /// begins differently.
    fn rest_of_output(&self, items: Vec<String>) -> Option<Vec<String>> {
        let items: Vec<_> = items.iter().map(String::as_str).collect();
        lock(&self.0).rest_of_output(&items)
    }

    /// Return the rest of the logs in the same way; None too if the stream had none.
    fn rest_of_logs(&self, logs: &str) -> Option<String> {
        lock(&self.0).rest_of_logs(logs)
    }
}

/// A request with a response that is read in parts.
pub(crate) struct StreamRequest {
    pub(crate) request: Arc<Request>,
    pub(crate) signal: Option<Py<PyAbortSignal>>,
    pub(crate) content: StreamContent,
    /// Whether the response is read while nothing waits for it.
    pub(crate) read_ahead: bool,
    /// Counts streams that are being read.
    pub(crate) active: Arc<AtomicUsize>,
}

pub(crate) enum StreamContent {
    Events {
        form: Form,
        position: PyStreamPosition,
        idle_timeout: Option<Duration>,
    },
    /// A file from the byte `start` on.
    File { start: u64 },
}

/// A response that is read in parts. Dropping or closing it closes its connection.
#[pyclass(name = "ResponseStream", frozen, module = "replicate_rs._core")]
pub(crate) struct PyResponseStream {
    inner: Arc<StreamInner>,
    head: Arc<StreamWait>,
    parts: Arc<StreamWait>,
}

/// The state that a stream shares with its waiters.
struct StreamInner {
    inbox: Arc<Inbox>,
    context: CallContext,
    connections: Arc<Connections>,
    reader: Mutex<Reader>,
    /// None for a stream with complete content, which a forked child may use.
    generation: Option<Generation>,
    /// Set for a file.
    info: Arc<OnceLock<FileInfo>>,
}

/// Creates the reader with the connections of the runtime or of the engine.
type Start = Box<dyn FnOnce(Arc<Pool>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

enum Reader {
    /// Nothing waits yet.
    NotStarted(Start),
    OnRuntime(TaskHandle),
    /// On the engine, which the thread that waits drives; None while it does.
    OnEngine(Option<BorrowedEngine>, AbortHandle),
    Ended,
}

impl StreamInner {
    /// Start the reader on the runtime, if it has not started.
    fn start(&self) -> Result<(), Error> {
        let mut reader = lock(&self.reader);
        if matches!(*reader, Reader::NotStarted(_)) {
            let runtime = process().runtime()?;
            if let Reader::NotStarted(start) = mem::replace(&mut *reader, Reader::Ended) {
                let task = runtime.spawn(start(self.connections.on_runtime()));
                *reader = Reader::OnRuntime(TaskHandle::of(&task));
            }
        }
        Ok(())
    }

    /// Return the engine if this thread must drive it for the reader.
    fn take_engine(&self) -> Result<Option<BorrowedEngine>, Error> {
        let mut reader = lock(&self.reader);
        if matches!(*reader, Reader::NotStarted(_)) {
            let Some(engine) = self.connections.borrow_engine()? else {
                drop(reader);
                return self.start().map(|()| None);
            };
            if let Reader::NotStarted(start) = mem::replace(&mut *reader, Reader::Ended) {
                self.inbox.set_driven();
                let task = engine.spawn(start(engine.pool(&self.connections)));
                *reader = Reader::OnEngine(Some(engine), task);
            }
        }
        match &mut *reader {
            Reader::OnEngine(engine, _) => Ok(engine.take()),
            _ => Ok(None),
        }
    }

    fn is_on_engine(&self) -> bool {
        matches!(*lock(&self.reader), Reader::OnEngine(..))
    }

    /// Block this thread, at most for `limit`; return whether there is nothing more to wait for.
    fn wait(&self, what: WaitFor, limit: Option<Duration>) -> bool {
        let engine = match self.take_engine() {
            Ok(Some(engine)) => engine,
            // Another thread drives the engine, but it may stop before this one has its parts.
            Ok(None) if self.is_on_engine() => {
                return self.inbox.wait(what, Some(limit.unwrap_or(TICK)));
            }
            Ok(None) => return self.inbox.wait(what, limit),
            Err(error) => {
                self.inbox.end(Err(error));
                return true;
            }
        };
        let is_ready = engine.drive(self.inbox.until(what), limit).is_some();
        match &mut *lock(&self.reader) {
            Reader::OnEngine(place, _) => *place = Some(engine),
            _ => engine.settle(),
        }
        is_ready
    }

    fn is_inherited(&self) -> bool {
        self.generation.is_some_and(Generation::is_inherited)
    }

    /// Stop the reader, which closes its connection.
    fn stop(&self) {
        if self.is_inherited() {
            return;
        }
        match mem::replace(&mut *lock(&self.reader), Reader::Ended) {
            Reader::OnRuntime(task) => task.abort(),
            Reader::OnEngine(engine, task) => {
                let is_over = task.is_finished();
                task.abort();
                if let Some(engine) = engine
                    && !is_over
                {
                    engine.settle();
                }
            }
            Reader::NotStarted(_) | Reader::Ended => {}
        }
    }

    /// Copy the next bytes of a file to `target`, from `start` on; return how many.
    fn fill(&self, target: &Bound<'_, PyMemoryView>, start: usize) -> Result<Py<PyAny>, Failure> {
        let py = target.py();
        let max = target.len()?.saturating_sub(start);
        let copy = |pieces: Vec<Bytes>| -> PyResult<usize> {
            let mut at = start;
            for piece in pieces {
                let end = at + piece.len();
                let range = PySlice::new(py, isize::try_from(at)?, isize::try_from(end)?, 1);
                PyBuffer::<u8>::get(&target.get_item(range)?)?.copy_from_slice(py, &piece)?;
                at = end;
            }
            Ok(at - start)
        };
        let copied = self.inbox.lend(|batch| batch.take_bytes(max), copy)?;
        Ok(copied.ok_or_else(busy)??.into_py_any(py)?)
    }
}

impl Drop for StreamInner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A wait for something of a stream.
struct StreamWait {
    stream: Arc<StreamInner>,
    what: WaitFor,
    /// Where bytes are copied, and from which index on.
    target: Option<(Py<PyMemoryView>, usize)>,
}

impl StreamWait {
    fn new(stream: &Arc<StreamInner>, what: WaitFor) -> Self {
        Self {
            stream: stream.clone(),
            what,
            target: None,
        }
    }
}

impl Feed for StreamWait {
    fn is_ready(&self) -> bool {
        self.stream.inbox.has(self.what)
    }

    fn subscribe(&self, slot: &Arc<Slot>, arrival: Arrival) -> Result<bool, Error> {
        if let Err(error) = self.stream.start() {
            self.stream.inbox.end(Err(error));
        }
        if !self.is_ready() && self.stream.is_on_engine() {
            // Its bytes arrive only while a thread waits for them.
            return Err(busy());
        }
        subscribe(&self.stream.inbox, self.what, slot, arrival)
    }

    fn wait(&self, py: Python<'_>) -> Result<(), Failure> {
        if let Some(_waiting) = self.stream.inbox.enter(self.what)? {
            wait_until(py, |limit| self.stream.wait(self.what, limit))?;
        }
        Ok(())
    }

    fn take(&self, py: Python<'_>) -> Result<Py<PyAny>, Failure> {
        let inbox = &self.stream.inbox;
        match (&self.target, self.what) {
            (Some((target, start)), _) => self.stream.fill(target.bind(py), *start),
            (None, WaitFor::Head) => Ok(inbox.head().map(|()| py.None())?),
            (None, what) => Ok(take_list(py, inbox, what)?.into_any().unbind()),
        }
    }

    fn is_inherited(&self) -> bool {
        self.stream.is_inherited()
    }

    fn context(&self) -> &CallContext {
        &self.stream.context
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some((target, _)) = &self.target {
            visit.call(target)?;
        }
        // What has other holders is visited by them. Visited twice, it would be collected while in
        // use.
        if Arc::strong_count(&self.stream) == 1 {
            self.stream.context.traverse(visit)?;
        }
        Ok(())
    }
}

#[pymethods]
impl PyResponseStream {
    /// Wait for the head of the response; raise if it is an error.
    fn opened(&self) -> PyPending {
        self.pending(self.head.clone())
    }

    /// Whether the head of the response has arrived and is not an error.
    #[getter]
    fn is_open(&self) -> bool {
        !self.inner.is_inherited() && self.inner.inbox.is_open()
    }

    /// Return a list of all parts that have arrived, or the next one; empty at the end.
    fn next(&self) -> PyPending {
        self.pending(self.parts.clone())
    }

    /// Return the whole file as a list of one, if it fits into the buffer; else an empty list, and
    /// leave it to `fill`.
    fn whole(&self) -> PyPending {
        if !self.inner.is_inherited() {
            self.inner.inbox.resize(Batch::want_whole);
        }
        self.pending(Arc::new(StreamWait::new(&self.inner, WaitFor::FullBuffer)))
    }

    /// Copy the next bytes of a file to a writable memoryview of bytes, from `start` on; return how
    /// many, 0 at the end.
    #[pyo3(signature = (target, start=0))]
    fn fill(&self, target: Py<PyMemoryView>, start: usize) -> PyPending {
        let wait = StreamWait::new(&self.inner, WaitFor::FullBuffer);
        self.pending(Arc::new(StreamWait {
            target: Some((target, start)),
            ..wait
        }))
    }

    /// How the stream ended, once everything was taken: ``complete``, ``closed``, ``silent`` or
    /// ``unproven``.
    #[getter]
    fn ended(&self) -> Option<&'static str> {
        if self.inner.is_inherited() {
            return None;
        }
        Some(match self.inner.inbox.ended()? {
            Ended::Complete => "complete",
            Ended::Closed => "closed",
            Ended::Idle => "silent",
            Ended::Unproven => "unproven",
        })
    }

    /// The file's metadata from the response: media type, length, `Content-Disposition`, and an
    /// identifier of the version.
    #[getter]
    fn said(&self) -> Option<PyFileInfo> {
        self.inner.info.get().cloned().map(Into::into)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let waits = [&self.head, &self.parts].map(Arc::strong_count);
        // What has other holders is visited by them. Visited twice, it would be collected while in
        // use.
        if waits == [1, 1] && Arc::strong_count(&self.inner) == 3 {
            self.inner.context.traverse(&visit)?;
        }
        Ok(())
    }

    /// Close the connection.
    fn close(&self, py: Python<'_>) {
        if !self.inner.is_inherited() {
            self.inner.inbox.end(Ok(Ended::Closed));
            self.inner.stop();
            self.inner.context.write_log(py);
        }
    }
}

impl PyResponseStream {
    /// Send a request and read its response.
    pub(crate) fn open(
        py: Python<'_>,
        connections: Arc<Connections>,
        stream: StreamRequest,
    ) -> PyResult<Self> {
        let StreamRequest {
            request,
            signal,
            content,
            read_ahead,
            active,
        } = stream;
        let context = CallContext::new(&request, signal);
        let form = match &content {
            StreamContent::Events { form, .. } => *form,
            StreamContent::File { .. } => {
                keep_freed_memory();
                Form::Bytes
            }
        };
        let (inbox, info) = (Arc::new(Inbox::new(form)), Arc::default());
        let (flag, inbox_of_reader, info_of_reader) =
            (context.flag(), inbox.clone(), Arc::clone(&info));
        let limit = request.timeouts.total;
        let start: Start = Box::new(move |pool| {
            let inbox = inbox_of_reader;
            let counted = ActiveStream::enter(active);
            // Boxed once: futures that wrap others hold them by value, some of them twice.
            let read: Pin<Box<dyn Future<Output = _> + Send>> = match content {
                StreamContent::Events {
                    position,
                    idle_timeout,
                    ..
                } => {
                    let (position, inbox) = (position.0, inbox.clone());
                    Box::pin(
                        EventReader {
                            pool,
                            request,
                            position,
                            inbox,
                            idle_timeout,
                        }
                        .read(),
                    )
                }
                StreamContent::File { start } => Box::pin(read_file(
                    pool,
                    request,
                    start,
                    inbox.clone(),
                    info_of_reader,
                )),
            };
            // Takes effect only after a panic, since only the first end counts.
            let inbox_at_drop = inbox.clone();
            let at_drop = OnDrop::new(move || inbox_at_drop.end(Err(Error::internal())));
            Box::pin(async move {
                let _at_drop = at_drop;
                let ended = with_deadline(limit, pin!(unless_aborted(flag, read))).await;
                // Update the count first, so that it is correct when the consumer sees the end.
                drop(counted);
                inbox.end(ended);
            })
        });
        let reader = Mutex::new(Reader::NotStarted(start));
        let generation = Some(Generation::current());
        let inner = StreamInner {
            inbox,
            context,
            connections,
            reader,
            generation,
            info,
        };
        // A thread that drives the engine cannot yield to greenlets, which may be patched in
        // between two waits.
        if read_ahead || is_patched(py)? {
            inner.start()?;
        }
        Ok(Self::new(inner))
    }

    /// Create a stream of content that is already known.
    pub(crate) fn recorded(
        connections: Arc<Connections>,
        form: Form,
        position: &PyStreamPosition,
        body: &[u8],
        max_bytes: usize,
    ) -> Self {
        let inbox = Arc::new(Inbox::new(form));
        inbox.begin();
        let ended = inbox.fill(|batch| {
            if form == Form::Bytes {
                batch.push_bytes(Bytes::copy_from_slice(body));
                return Ok(None);
            }
            let position = &mut lock(&position.0);
            position.connect();
            parse_into(&mut Parser::new(max_bytes), position, body, batch)
        });
        inbox.end(ended.map(|ended| ended.unwrap_or(Ended::Closed)));
        Self::new(StreamInner {
            inbox,
            context: CallContext::default(),
            connections,
            reader: Mutex::new(Reader::Ended),
            generation: None,
            info: Arc::default(),
        })
    }

    fn new(inner: StreamInner) -> Self {
        let inner = Arc::new(inner);
        let [head, parts] =
            [WaitFor::Head, WaitFor::Parts].map(|what| Arc::new(StreamWait::new(&inner, what)));
        Self { inner, head, parts }
    }

    fn pending(&self, wait: Arc<StreamWait>) -> PyPending {
        PyPending::next_of(wait, self.inner.connections.clone())
    }
}

/// Counts a stream while it is read.
struct ActiveStream(Arc<AtomicUsize>);

impl ActiveStream {
    fn enter(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
