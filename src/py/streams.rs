//! Responses that arrive in parts: server-sent events, or bytes.
//!
//! A task on the runtime reads ahead into a short queue, and stops reading the socket while it is full. Whoever asks next gets
//! everything that is ready at once.

use std::sync::Arc;

use bytes::Bytes;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::abort::AbortSignal;
use super::bridge::{Outcome, Pending, delivery, job};
use super::exceptions::About;
use super::locked;
use super::runtime::{Connections, process};
use crate::error::{Error, Kind};
use crate::http::{self, Call, Incoming};
use crate::sse::{Event, Parser};

/// Parts that wait for the consumer before the socket is left alone.
const AHEAD: usize = 16;

/// What a stream carries.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Server-sent events, each of at most `limit` bytes.
    Events {
        /// In bytes.
        limit: usize,
    },
    /// Bytes as they come.
    Bytes,
}

enum Part {
    Events(Vec<Event>),
    Bytes(Bytes),
}

/// The consumer's end of the queue.
struct Queue {
    receive: Receiver<Result<Part, Error>>,
    /// What ended the stream, kept until all that came before it is handed out.
    failed: Option<Error>,
}

impl Queue {
    /// Waits for one part, and adds those that are ready; empty at the end.
    async fn ready(&mut self) -> Result<Vec<Part>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut ready = Vec::new();
        let mut next = self.receive.recv().await;
        loop {
            match next {
                Some(Ok(part)) => ready.push(part),
                Some(Err(error)) if ready.is_empty() => return Err(error),
                Some(Err(error)) => self.failed = Some(error),
                None => {}
            }
            if self.failed.is_some() || ready.len() >= AHEAD {
                return Ok(ready);
            }
            match self.receive.try_recv() {
                Ok(part) => next = Some(part),
                Err(_) => return Ok(ready),
            }
        }
    }
}

/// An open stream. Dropping or closing it closes its connection.
#[pyclass(frozen, module = "replicate_rs._core")]
pub struct Stream {
    connections: Arc<Connections>,
    call: Arc<Call>,
    signal: Option<Py<AbortSignal>>,
    queue: Arc<Mutex<Queue>>,
    reading: CancellationToken,
    _closing: DropGuard,
}

impl Stream {
    /// Sends the request, and reads once the answer's head is there.
    pub async fn open(connections: Arc<Connections>, call: Arc<Call>, what: What, signal: Option<Py<AbortSignal>>) -> Outcome {
        let (send, receive) = channel(AHEAD);
        let reading = CancellationToken::new();
        let closing = reading.clone().drop_guard();
        let (pool, request, stop) = (connections.on_runtime(), call.clone(), reading.clone());
        let (opened, open) = tokio::sync::oneshot::channel();
        process().runtime()?.spawn(async move {
            let read = async {
                match http::open(&pool, &request).await.and_then(|incoming| checked(incoming, what)) {
                    Ok(incoming) => {
                        // Nobody waits for an answer any more if this fails; the next send tells.
                        let _ = opened.send(Ok(()));
                        pump(incoming, what, &send).await;
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            };
            tokio::select! {
                () = read => {}
                () = stop.cancelled() => {}
            }
        });
        open.await.unwrap_or_else(|_| Err(Error::new(Kind::Disconnected, "the stream was given up")))?;
        let queue = Arc::new(Mutex::new(Queue { receive, failed: None }));
        delivery(move |py| Self { connections, call, signal, queue, reading, _closing: closing }.into_py_any(py))
    }
}

fn checked(incoming: Incoming, what: What) -> Result<Incoming, Error> {
    let media_type = incoming.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    if matches!(what, What::Events { .. }) && !kind.eq_ignore_ascii_case("text/event-stream") {
        let message = format!("expected an event stream, but the server answered {media_type:?}");
        return Err(Error { sent: true, ..Error::new(Kind::Protocol, message) });
    }
    Ok(incoming)
}

async fn pump(mut incoming: Incoming, what: What, send: &Sender<Result<Part, Error>>) {
    let mut parser = match what {
        What::Events { limit } => Some(Parser::new(limit)),
        What::Bytes => None,
    };
    loop {
        let part = match incoming.chunk().await {
            Ok(Some(bytes)) => match &mut parser {
                Some(parser) => parsed(parser, &bytes),
                None => Ok(Part::Bytes(bytes)),
            },
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let last = part.is_err();
        if matches!(&part, Ok(Part::Events(events)) if events.is_empty()) {
            continue;
        }
        if send.send(part).await.is_err() || last {
            return;
        }
    }
}

fn parsed(parser: &mut Parser, bytes: &[u8]) -> Result<Part, Error> {
    let mut events = Vec::new();
    let fed = parser.feed(bytes, &mut events);
    fed.map_err(|large| Error {
        sent: true,
        ..Error::new(Kind::TooLarge(large.0), format!("an event is larger than {} bytes", large.0))
    })?;
    Ok(Part::Events(events))
}

#[pymethods]
impl Stream {
    /// All that is ready, or what comes next: a list of `(event, data, id, retry)` or of bytes; empty at the end.
    fn next(&self, py: Python<'_>) -> Pending {
        let queue = self.queue.clone();
        let about = About { call: Some(self.call.clone()), signal: self.signal.as_ref().map(|signal| signal.clone_ref(py)) };
        let work = job(move |_| async move {
            let ready = queue.lock().await.ready().await?;
            delivery(move |py| listed(py, ready))
        });
        Pending::new(self.connections.clone(), about, work)
    }

    /// Closes the connection.
    fn close(&self) {
        self.reading.cancel();
    }
}

fn listed(py: Python<'_>, parts: Vec<Part>) -> PyResult<Py<PyAny>> {
    let list = PyList::empty(py);
    for part in parts {
        match part {
            Part::Bytes(bytes) => list.append(PyBytes::new(py, &bytes))?,
            Part::Events(events) => add(&list, events)?,
        }
    }
    list.into_py_any(py)
}

fn add(list: &Bound<'_, PyList>, events: Vec<Event>) -> PyResult<()> {
    events.into_iter().try_for_each(|Event { event, data, id, retry }| list.append((event, data, id, retry)))
}

/// The parser of event streams, for those who have the bytes from elsewhere.
#[pyclass(frozen, module = "replicate_rs._core")]
pub struct EventDecoder {
    parser: std::sync::Mutex<Parser>,
}

#[pymethods]
impl EventDecoder {
    #[new]
    fn new(max_bytes: usize) -> Self {
        Self { parser: std::sync::Mutex::new(Parser::new(max_bytes)) }
    }

    /// Takes the next bytes; gives the events that they complete, as `(event, data, id, retry)`.
    fn feed<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let mut events = Vec::new();
        locked(&self.parser)
            .feed(bytes, &mut events)
            .map_err(|large| PyValueError::new_err(format!("an event is larger than {} bytes", large.0)))?;
        let list = PyList::empty(py);
        add(&list, events)?;
        Ok(list)
    }
}
