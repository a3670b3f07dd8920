//! The context of a call, for errors, logging and cancellation.

use std::any::Any;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::abort::{AbortFlag, PyAbortSignal};
use super::log::Log;
use crate::http::request::Request;
use crate::http::stats::Observer;
use crate::redact::without_credentials;

/// Write the log lines that an observer has.
pub(crate) fn write_log(py: Python<'_>, observer: Option<&dyn Observer>) {
    if let Some(observer) = observer {
        let observer: &dyn Any = observer;
        if let Some(log) = observer.downcast_ref::<Log>() {
            log.write(py);
        }
    }
}

#[derive(Default)]
pub(crate) struct CallContext {
    pub(crate) request: Option<Arc<Request>>,
    /// The caller's signal.
    pub(crate) signal: Option<Py<PyAbortSignal>>,
}

impl CallContext {
    pub(crate) fn new(request: &Arc<Request>, signal: Option<Py<PyAbortSignal>>) -> Self {
        Self {
            request: Some(request.clone()),
            signal,
        }
    }

    /// Return what a worker watches for an abort.
    pub(crate) fn flag(&self) -> Option<AbortFlag> {
        self.signal.as_ref().map(|signal| signal.get().flag())
    }

    /// Write the log lines of the call.
    pub(crate) fn write_log(&self, py: Python<'_>) {
        if let Some(request) = &self.request {
            write_log(py, request.observer.as_deref());
        }
    }

    /// Return the method and the URL, as errors show them.
    pub(crate) fn describe(&self) -> Option<(String, String)> {
        let request = self.request.as_ref()?;
        Some((
            request.method.to_string(),
            without_credentials(&request.url),
        ))
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.signal)
    }
}
