//! `AbortController` and `AbortSignal`, in the shape of the web's (DOM standard, §3): one side aborts, the other is told.

use std::sync::Mutex;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::check::checked;
use crate::clock::deadline;
use crate::error::{Error, Kind};
use crate::sync::locked;

/// What a worker watches: set by `abort()`, or by the clock.
#[derive(Clone, Debug, Default)]
pub struct Flag {
    token: CancellationToken,
    deadline: Option<Instant>,
}

impl Flag {
    fn is_set(&self) -> bool {
        self.token.is_cancelled() || self.is_late()
    }

    fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    async fn set(&self) {
        match self.deadline {
            Some(deadline) => tokio::select! {
                () = self.token.cancelled() => {}
                () = sleep_until(deadline) => {}
            },
            None => self.token.cancelled().await,
        }
    }
}

/// Ends when the flag is set; never without one.
pub async fn aborted(flag: Option<Flag>) -> Error {
    match flag {
        Some(flag) => flag.set().await,
        None => std::future::pending().await,
    }
    Error::new(Kind::Aborted, "aborted")
}

/// Runs `work` until the flag is set; set beforehand, the work does not begin.
pub async fn unless_aborted<T>(
    flag: Option<Flag>,
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
/// May be passed to any number of calls, from any thread.
#[pyclass(frozen, weakref, module = "replicate_rs._core")]
#[derive(Default)]
pub struct AbortSignal {
    flag: Flag,
    reason: Mutex<Option<Py<PyAny>>>,
}

impl AbortSignal {
    /// What workers watch.
    pub fn flag(&self) -> Flag {
        self.flag.clone()
    }
}

#[pymethods]
impl AbortSignal {
    /// A signal that is aborted already.
    #[staticmethod]
    #[pyo3(signature = (reason=None))]
    fn abort(py: Python<'_>, reason: Option<Py<PyAny>>) -> Self {
        let signal = Self::default();
        signal.set(py, reason);
        signal
    }

    /// A signal that aborts itself `seconds` from now, with a `TimeoutError` as its reason.
    #[staticmethod]
    fn timeout(seconds: &Bound<'_, PyAny>) -> PyResult<Self> {
        let seconds: f64 = checked("interval", "seconds", seconds)?.extract()?;
        let wait = Duration::try_from_secs_f64(seconds).map_err(|_| {
            PyValueError::new_err(format!(
                "seconds must be a number of seconds, 0 or more, not {seconds}"
            ))
        })?;
        let flag = Flag {
            deadline: Some(deadline(Instant::now(), wait)),
            ..Flag::default()
        };
        Ok(Self {
            flag,
            reason: Mutex::default(),
        })
    }

    /// Whether `abort()` was called, or the time is over.
    #[getter]
    fn aborted(&self) -> bool {
        self.flag.is_set()
    }

    /// What was given to `abort()`; a `TimeoutError` where the time is over; None otherwise.
    #[getter]
    pub fn reason(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if let Some(reason) = &*locked(&self.reason) {
            return Ok(Some(reason.clone_ref(py)));
        }
        if self.flag.is_late() {
            let late = py
                .import("builtins")?
                .getattr("TimeoutError")?
                .call1(("the signal timed out",))?;
            return Ok(Some(late.unbind()));
        }
        Ok(None)
    }

    /// Raises `AbortError` if the signal is aborted.
    fn throw_if_aborted(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().flag.is_set() {
            Err(error(slf.py(), slf.get()))
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
        drop(locked(&self.reason).take());
    }

    fn __repr__(&self) -> String {
        format!(
            "<AbortSignal aborted={}>",
            if self.flag.is_set() { "True" } else { "False" }
        )
    }
}

impl AbortSignal {
    fn set(&self, py: Python<'_>, reason: Option<Py<PyAny>>) {
        if !self.flag.is_set() {
            // Of two threads that abort at once, one gives the reason.
            locked(&self.reason).get_or_insert_with(|| reason.unwrap_or_else(|| py.None()));
            self.flag.token.cancel();
        }
    }
}

/// The `AbortError` for a signal.
pub fn error(py: Python<'_>, signal: &AbortSignal) -> PyErr {
    let made = || {
        let reason = signal.reason(py)?.unwrap_or_else(|| py.None());
        py.import("replicate_rs.exceptions")?
            .getattr("AbortError")?
            .call1((reason,))
    };
    match made() {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// Aborts the calls that were given its `signal`.
#[pyclass(frozen, weakref, module = "replicate_rs._core")]
pub struct AbortController {
    signal: Py<AbortSignal>,
}

#[pymethods]
impl AbortController {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        Ok(Self {
            signal: Py::new(py, AbortSignal::default())?,
        })
    }

    /// The signal to pass to calls.
    #[getter]
    fn signal(&self, py: Python<'_>) -> Py<AbortSignal> {
        self.signal.clone_ref(py)
    }

    /// Aborts; a second time does nothing. May be called from any thread.
    #[pyo3(signature = (reason=None))]
    fn abort(&self, py: Python<'_>, reason: Option<Py<PyAny>>) {
        self.signal.bind(py).get().set(py, reason);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.signal)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!(
            "<AbortController signal={}>",
            self.signal.bind(py).get().__repr__()
        )
    }
}
