//! The attempts of a call, for Python's `logging` and for a tracer.
//!
//! Workers never take the GIL. They store lines, which are written when the response is delivered,
//! in the caller's own thread and context. Lines of a caller that waits, or has left, are written
//! by another thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use reqwest::header::HeaderMap;
use tokio::runtime::Handle;

use super::fork::TaskHandle;
use super::greenlets::is_patched;
use super::headers::{Pairs, header_map};
use crate::http::stats::{Attempt, Observer, Outcome};
use crate::lock::lock;
use crate::redact::without_query;

/// How long a line waits for the caller before another thread writes it.
const MAX_DELAY: Duration = Duration::from_millis(100);

/// The function that is called at the beginning of each call, and whether there is one.
static TRACER: Mutex<Option<Py<PyAny>>> = Mutex::new(None);
static IS_TRACED: AtomicBool = AtomicBool::new(false);

/// Have a function called at the beginning of each call, on the caller's thread. It returns an
/// object whose `attempt` and `received` are called with what happens in the call, or None; and
/// headers for the API.
#[pyfunction]
pub(crate) fn set_tracer(tracer: Option<Py<PyAny>>) {
    IS_TRACED.store(tracer.is_some(), Ordering::Relaxed);
    let before = std::mem::replace(&mut *lock(&TRACER), tracer);
    // Not under the lock: its destructor may run any code.
    drop(before);
}

/// What the tracer returned for a call.
type Traced = (Option<Py<PyAny>>, Option<Pairs>);

/// Call the tracer, if there is one. What it raises must not end the call.
fn trace(py: Python<'_>, is_api: bool) -> Option<(Option<Py<PyAny>>, HeaderMap)> {
    let tracer = lock(&TRACER).as_ref()?.clone_ref(py);
    let traced = tracer
        .call1(py, (is_api,))
        .and_then(|traced| traced.extract::<Traced>(py))
        .and_then(|(call, headers)| {
            let headers = headers.as_ref().map(header_map).transpose()?;
            Ok((call, headers.unwrap_or_default()))
        });
    traced
        .map_err(|error| error.write_unraisable(py, None))
        .ok()
}

/// The log of one call.
#[derive(Debug)]
pub(crate) struct Log {
    is_logged: bool,
    /// Receives what is traced.
    call: Option<Py<PyAny>>,
    state: Mutex<State>,
    /// The bytes that were received, and not yet reported.
    received: AtomicU64,
    /// Whether no other thread may write, since log handlers have locks that a greenlet may hold.
    is_for_caller: bool,
    this: Weak<Log>,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// The task that has another thread write the lines later.
    timer: Option<TaskHandle>,
}

#[derive(Debug)]
struct Line {
    method: String,
    /// Without query and user.
    url: String,
    is_api: bool,
    attempt: u32,
    status: Option<u16>,
    /// The kind of a failure, and what it says.
    failure: Option<(&'static str, String)>,
    duration: Duration,
    ended_at: SystemTime,
    next_delay: Option<f64>,
    sent: u64,
}

impl Log {
    /// Return a log for a call, if it is logged or traced, and headers for the API.
    pub(crate) fn if_enabled(
        py: Python<'_>,
        is_api: bool,
    ) -> PyResult<Option<(Arc<Self>, HeaderMap)>> {
        let traced = if IS_TRACED.load(Ordering::Relaxed) {
            trace(py, is_api)
        } else {
            None
        };
        let is_logged = is_logging(py)?;
        let (call, headers) = traced.unwrap_or_default();
        if !is_logged && call.is_none() && headers.is_empty() {
            return Ok(None);
        }
        let is_for_caller = is_patched(py)?;
        let log = Arc::new_cyclic(|this| Self {
            is_logged,
            call,
            state: Mutex::default(),
            received: AtomicU64::new(0),
            is_for_caller,
            this: this.clone(),
        });
        Ok(Some((log, headers)))
    }

    /// Write the stored lines.
    pub(crate) fn write(&self, py: Python<'_>) {
        let State { lines, timer } = std::mem::take(&mut *lock(&self.state));
        if let Some(timer) = timer {
            timer.abort();
        }
        for line in lines {
            let written = self
                .write_line(py, &line)
                .and_then(|()| self.trace_line(py, line));
            if let Err(error) = written {
                // A filter of the caller that raises must not replace the response.
                error.write_unraisable(py, None);
            }
        }
        if let Some(call) = &self.call {
            let received = self.received.swap(0, Ordering::Relaxed);
            if received > 0
                && let Err(error) = call.call_method1(py, intern!(py, "received"), (received,))
            {
                error.write_unraisable(py, None);
            }
        }
    }

    fn write_line(&self, py: Python<'_>, line: &Line) -> PyResult<()> {
        let outcome = match (line.status, &line.failure) {
            (Some(status), _) => status.to_string(),
            (None, Some((_, message))) => message.clone(),
            // Abandoned.
            (None, None) => return Ok(()),
        };
        if self.is_logged {
            let args = (
                &line.method,
                &line.url,
                outcome,
                line.attempt,
                line.duration.as_secs_f64() * 1000.0,
                line.next_delay,
            );
            let log = py.import("replicate_rs._base.logging")?;
            log.getattr("write")?.call1(args)?;
        }
        Ok(())
    }

    fn trace_line(&self, py: Python<'_>, line: Line) -> PyResult<()> {
        if let Some(call) = &self.call {
            let ended_at = line.ended_at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let args = (
                line.method,
                line.url,
                line.is_api,
                line.attempt,
                line.status,
                line.failure.map(|(kind, _)| kind),
                ended_at.as_nanos(),
                line.duration.as_nanos(),
                line.next_delay,
                line.sent,
            );
            call.call_method1(py, intern!(py, "attempt"), args)?;
        }
        Ok(())
    }

    fn write_on_other_thread(&self) {
        if self.is_for_caller || lock(&self.state).lines.is_empty() {
            return;
        }
        // The call may end, and drop this, before the other thread runs.
        let this = self.this.upgrade();
        tokio::task::spawn_blocking(move || {
            Python::try_attach(|py| this.inspect(|log| log.write(py)));
        });
    }
}

/// Return whether attempts are logged.
fn is_logging(py: Python<'_>) -> PyResult<bool> {
    static MODULES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static WRITER: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    // A program that has not imported `logging` has no handlers.
    let modules = MODULES.import(py, "sys", "modules")?;
    if !modules.contains(intern!(py, "logging"))? {
        return Ok(false);
    }
    let (is_enabled_for, level) = WRITER.get_or_try_init(py, || {
        let log = py.import("replicate_rs._base.logging")?;
        let [is_enabled_for, level] =
            [log.getattr("is_enabled_for")?, log.getattr("MIN_LEVEL")?].map(Bound::unbind);
        PyResult::Ok((is_enabled_for, level))
    })?;
    is_enabled_for.bind(py).call1((level,))?.is_truthy()
}

impl Observer for Log {
    fn on_attempt(&self, attempt: &Attempt<'_>) {
        let (status, failure) = match attempt.outcome {
            Outcome::Status(status) => (Some(status), None),
            Outcome::Failed(error) => (None, Some((error.kind.name(), error.message.clone()))),
            Outcome::Abandoned => (None, None),
        };
        let mut state = lock(&self.state);
        state.lines.push(Line {
            method: attempt.method.to_string(),
            url: without_query(attempt.url),
            is_api: attempt.is_api,
            attempt: attempt.number,
            status,
            failure,
            duration: attempt.duration,
            ended_at: SystemTime::now(),
            next_delay: attempt.next_delay.map(|delay| delay.as_secs_f64()),
            sent: attempt.sent,
        });
        if attempt.next_delay.is_some() {
            drop(state);
            self.write_on_other_thread();
        } else if let (Some(log), Ok(runtime)) = (self.this.upgrade(), Handle::try_current()) {
            let timer = runtime.spawn(async move {
                tokio::time::sleep(MAX_DELAY).await;
                log.write_on_other_thread();
            });
            state.timer = Some(TaskHandle::of(&timer));
        }
    }

    fn on_received(&self, length: usize) {
        if self.call.is_some() {
            let length = length.try_into().unwrap_or(u64::MAX);
            self.received.fetch_add(length, Ordering::Relaxed);
        }
    }
}
