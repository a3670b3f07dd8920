//! One line per attempt for Python's `logging`, where somebody listens.
//!
//! Workers never take the GIL: they leave lines, which are written when the answer is handed over, in the caller's own thread and
//! context. A caller that has to wait, or that has gone, gets them from another thread.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use url::Url;

use super::greenlets::is_patched;
use super::process::Stop;
use crate::http::stats::{Attempt, Observer};
use crate::sync::locked;
use crate::address::unsigned;

/// Lines that nobody has taken for so long are written by another thread.
const PATIENCE: Duration = Duration::from_millis(100);

/// The lines of one call.
#[derive(Debug)]
pub struct Log {
    /// The method, and the address without query and user.
    what: (String, String),
    state: Mutex<State>,
    /// Only whoever calls may write them: handlers have locks.
    is_for_caller: bool,
    own: Weak<Log>,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// What writes them from another thread, if nobody has done it before.
    timer: Option<Stop>,
}

#[derive(Debug)]
struct Line {
    attempt: u32,
    outcome: String,
    millis: f64,
    wait: Option<f64>,
}

impl Log {
    /// For a call, if anybody listens.
    pub fn wanted(py: Python<'_>, method: &str, url: &Url) -> PyResult<Option<Arc<Self>>> {
        static MODULES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static ASKED: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
        // A program that never imported `logging` has set nothing up to listen.
        let modules = MODULES.import(py, "sys", "modules")?;
        if !modules.contains(intern!(py, "logging"))? {
            return Ok(None);
        }
        let (is_enabled_for, least) = ASKED.get_or_try_init(py, || {
            let log = writer(py)?;
            PyResult::Ok((
                log.getattr("is_enabled_for")?.unbind(),
                log.getattr("LEAST")?.unbind(),
            ))
        })?;
        if !is_enabled_for.bind(py).call1((least,))?.is_truthy()? {
            return Ok(None);
        }
        let what = (method.to_owned(), unsigned(url));
        let is_for_caller = is_patched(py)?;
        Ok(Some(Arc::new_cyclic(|own| Self {
            what,
            state: Mutex::default(),
            is_for_caller,
            own: own.clone(),
        })))
    }

    /// Writes what there is.
    pub fn write(&self, py: Python<'_>) {
        let State { lines, timer } = std::mem::take(&mut *locked(&self.state));
        if let Some(timer) = timer {
            timer.stop();
        }
        for Line {
            attempt,
            outcome,
            millis,
            wait,
        } in lines
        {
            let (method, url) = &self.what;
            let written = writer(py)
                .and_then(|writer| writer.getattr("write"))
                .and_then(|write| write.call1((method, url, outcome, attempt, millis, wait)));
            if let Err(error) = written {
                // A filter of the caller's that fails must not cost him the answer.
                error.write_unraisable(py, None);
            }
        }
    }

    fn write_beside(&self) {
        if self.is_for_caller || locked(&self.state).lines.is_empty() {
            return;
        }
        let own = self.own.clone();
        tokio::task::spawn_blocking(move || {
            own.upgrade()
                .and_then(|log| Python::try_attach(|py| log.write(py)))
        });
    }
}

fn writer(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("replicate_rs.log")
}

impl Observer for Log {
    fn attempted(&self, attempt: &Attempt<'_>) {
        let outcome = match attempt.outcome {
            Ok(status) => status.to_string(),
            Err(error) => error.message.clone(),
        };
        let (millis, wait) = (
            attempt.took.as_secs_f64() * 1000.0,
            attempt.wait.map(|wait| wait.as_secs_f64()),
        );
        let mut state = locked(&self.state);
        state.lines.push(Line {
            attempt: attempt.number,
            outcome,
            millis,
            wait,
        });
        if wait.is_some() {
            drop(state);
            self.write_beside();
        } else if let Some(log) = self.own.upgrade() {
            let timer = tokio::spawn(async move {
                tokio::time::sleep(PATIENCE).await;
                log.write_beside();
            });
            state.timer = Some(Stop::of(&timer));
        }
    }
}
