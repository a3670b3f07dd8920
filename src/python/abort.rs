//! `AbortController` and `AbortSignal`, modelled on the web's (DOM standard, §3).

use std::sync::Mutex;
use std::time::Duration;

use pyo3::exceptions::{PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::imports::{checked, exception};
use crate::clock::deadline;
use crate::error::{Error, Kind};
use crate::lock::{lock, take};

/// What a worker watches: set by `abort()`, or at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct AbortFlag {
    token: CancellationToken,
    deadline: Option<Instant>,
}

impl AbortFlag {
    fn is_set(&self) -> bool {
        self.token.is_cancelled() || self.has_timed_out()
    }

    fn has_timed_out(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    async fn wait(&self) {
        match self.deadline {
            Some(deadline) => tokio::select! {
                () = self.token.cancelled() => {}
                () = sleep_until(deadline) => {}
            },
            None => self.token.cancelled().await,
        }
    }
}

/// Wait until the flag is set, forever without one.
pub(crate) async fn aborted(flag: Option<AbortFlag>) -> Error {
    match flag {
        Some(flag) => flag.wait().await,
        None => std::future::pending().await,
    }
    Error::new(Kind::Aborted, "aborted")
}

/// Run work until the flag is set. If it is set already, the work does not begin.
pub(crate) async fn unless_aborted<T>(
    flag: Option<AbortFlag>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    if flag.is_none() {
        return work.await;
    }
    tokio::select! {
        biased;
        error = aborted(flag) => Err(error),
        done = work => done,
    }
}

/// Tells a call to stop. Get one from an `AbortController`, or from `AbortSignal.timeout(seconds)`.
///
/// It may be passed to any number of calls, from any thread.
#[pyclass(name = "AbortSignal", frozen, weakref, module = "replicate_rs._core")]
#[derive(Default)]
pub(crate) struct PyAbortSignal {
    flag: AbortFlag,
    reason: Mutex<Option<Py<PyAny>>>,
}

impl PyAbortSignal {
    pub(crate) fn flag(&self) -> AbortFlag {
        self.flag.clone()
    }

    fn set(&self, py: Python<'_>, reason: Option<Py<PyAny>>) {
        if !self.flag.is_set() {
            // If two threads abort at the same time, the reason of the first is kept; the other one
            // is dropped after the mutex is unlocked.
            let reason = reason.unwrap_or_else(|| py.None());
            let mut kept = lock(&self.reason);
            if kept.is_none() {
                *kept = Some(reason);
            }
            drop(kept);
            self.flag.token.cancel();
        }
    }

    /// Return the `AbortError` for this signal.
    pub(crate) fn error(&self, py: Python<'_>) -> PyErr {
        exception(
            py,
            "replicate_rs.exceptions",
            "AbortError",
            (self.reason(py),),
        )
    }
}

#[pymethods]
impl PyAbortSignal {
    /// Return a signal that is already aborted.
    #[staticmethod]
    #[pyo3(signature = (reason=None))]
    fn abort(py: Python<'_>, reason: Option<Py<PyAny>>) -> Self {
        let signal = Self::default();
        signal.set(py, reason);
        signal
    }

    /// Return a signal that aborts `seconds` from now, with a `TimeoutError` as its reason.
    #[staticmethod]
    fn timeout(seconds: &Bound<'_, PyAny>) -> PyResult<Self> {
        let seconds: f64 = checked("interval", "seconds", seconds)?.extract()?;
        let wait = Duration::try_from_secs_f64(seconds).map_err(|_| {
            let message = format!("seconds must be a number of seconds, 0 or more, not {seconds}");
            PyValueError::new_err(message)
        })?;
        let deadline = Some(deadline(Instant::now(), wait));
        Ok(Self {
            flag: AbortFlag {
                deadline,
                ..AbortFlag::default()
            },
            reason: Mutex::default(),
        })
    }

    /// Whether `abort()` was called, or the timeout has passed.
    #[getter]
    fn aborted(&self) -> bool {
        self.flag.is_set()
    }

    /// The argument of `abort()`, or a `TimeoutError` after the timeout; None otherwise.
    #[getter]
    fn reason(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        if let Some(reason) = &*lock(&self.reason) {
            return Some(reason.clone_ref(py));
        }
        let timeout = || {
            PyTimeoutError::new_err("the signal timed out")
                .into_value(py)
                .into_any()
        };
        self.flag.has_timed_out().then(timeout)
    }

    /// Raise `AbortError` if the signal is aborted.
    fn throw_if_aborted(&self, py: Python<'_>) -> PyResult<()> {
        if self.flag.is_set() {
            Err(self.error(py))
        } else {
            Ok(())
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.reason
            .try_lock()
            .map_or(Ok(()), |reason| visit.call(&*reason))
    }

    fn __clear__(&self) {
        drop(take(&self.reason));
    }

    fn __repr__(&self) -> String {
        format!(
            "<AbortSignal aborted={}>",
            if self.flag.is_set() { "True" } else { "False" }
        )
    }
}

/// Aborts the calls that received its `signal`.
#[pyclass(
    name = "AbortController",
    frozen,
    weakref,
    module = "replicate_rs._core"
)]
pub(crate) struct PyAbortController {
    signal: Py<PyAbortSignal>,
}

#[pymethods]
impl PyAbortController {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        Ok(Self {
            signal: Py::new(py, PyAbortSignal::default())?,
        })
    }

    /// The signal to pass to calls.
    #[getter]
    fn signal(&self, py: Python<'_>) -> Py<PyAbortSignal> {
        self.signal.clone_ref(py)
    }

    /// Abort. A second call does nothing. May be called from any thread.
    #[pyo3(signature = (reason=None))]
    fn abort(&self, py: Python<'_>, reason: Option<Py<PyAny>>) {
        self.signal.get().set(py, reason);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.signal)
    }

    fn __repr__(&self) -> String {
        format!("<AbortController signal={}>", self.signal.get().__repr__())
    }
}
