//! One line per attempt for Python's `logging`.
//!
//! Workers never take the GIL. They store lines, which are written when the response is delivered,
//! in the caller's own thread and context. Lines of a caller that waits, or has left, are written
//! by another thread.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use url::Url;

use super::fork::TaskHandle;
use super::greenlets::is_patched;
use crate::http::stats::{Attempt, Observer};
use crate::lock::lock;
use crate::redact::without_query;

/// How long a line waits for the caller before another thread writes it.
const MAX_DELAY: Duration = Duration::from_millis(100);

/// The log of one call.
#[derive(Debug)]
pub(crate) struct Log {
    method: String,
    /// Without query and user.
    url: String,
    state: Mutex<State>,
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
    attempt: u32,
    outcome: String,
    millis: f64,
    next_delay: Option<f64>,
}

impl Log {
    /// Return a log for a call, if logging is enabled.
    pub(crate) fn if_enabled(
        py: Python<'_>,
        method: &str,
        url: &Url,
    ) -> PyResult<Option<Arc<Self>>> {
        static MODULES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static WRITER: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
        // A program that has not imported `logging` has no handlers.
        let modules = MODULES.import(py, "sys", "modules")?;
        if !modules.contains(intern!(py, "logging"))? {
            return Ok(None);
        }
        let (is_enabled_for, level) = WRITER.get_or_try_init(py, || {
            let log = py.import("replicate_rs._base.logging")?;
            let [is_enabled_for, level] =
                [log.getattr("is_enabled_for")?, log.getattr("MIN_LEVEL")?].map(Bound::unbind);
            PyResult::Ok((is_enabled_for, level))
        })?;
        if !is_enabled_for.bind(py).call1((level,))?.is_truthy()? {
            return Ok(None);
        }
        let (method, url, is_for_caller) = (method.to_owned(), without_query(url), is_patched(py)?);
        Ok(Some(Arc::new_cyclic(|this| Self {
            method,
            url,
            state: Mutex::default(),
            is_for_caller,
            this: this.clone(),
        })))
    }

    /// Write the stored lines.
    pub(crate) fn write(&self, py: Python<'_>) {
        let State { lines, timer } = std::mem::take(&mut *lock(&self.state));
        if let Some(timer) = timer {
            timer.abort();
        }
        for line in lines {
            let Line {
                attempt,
                outcome,
                millis,
                next_delay,
            } = line;
            let args = (
                &self.method,
                &self.url,
                outcome,
                attempt,
                millis,
                next_delay,
            );
            let written = py
                .import("replicate_rs._base.logging")
                .and_then(|log| log.getattr("write")?.call1(args));
            if let Err(error) = written {
                // A filter of the caller that raises must not replace the response.
                error.write_unraisable(py, None);
            }
        }
    }

    fn write_on_other_thread(&self) {
        if self.is_for_caller || lock(&self.state).lines.is_empty() {
            return;
        }
        let this = self.this.clone();
        tokio::task::spawn_blocking(move || {
            let log = this.upgrade()?;
            Python::try_attach(|py| log.write(py))
        });
    }
}

impl Observer for Log {
    fn on_attempt(&self, attempt: &Attempt<'_>) {
        let outcome = match attempt.outcome {
            Ok(status) => status.to_string(),
            Err(error) => error.message.clone(),
        };
        let mut state = lock(&self.state);
        state.lines.push(Line {
            attempt: attempt.number,
            outcome,
            millis: attempt.duration.as_secs_f64() * 1000.0,
            next_delay: attempt.next_delay.map(|delay| delay.as_secs_f64()),
        });
        if attempt.next_delay.is_some() {
            drop(state);
            self.write_on_other_thread();
        } else if let Some(log) = self.this.upgrade() {
            let timer = tokio::spawn(async move {
                tokio::time::sleep(MAX_DELAY).await;
                log.write_on_other_thread();
            });
            state.timer = Some(TaskHandle::of(&timer));
        }
    }
}
