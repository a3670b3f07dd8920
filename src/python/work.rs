//! Work of the core, and its conversion to a Python object.

use std::pin::Pin;
use std::sync::Arc;

use pyo3::prelude::*;

use crate::error::Error;
use crate::http::pool::Pool;

/// Creates the Python object for a result, on a thread that holds the GIL.
pub(crate) type Delivery = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
/// The result of some work.
pub(crate) type Outcome = Result<Delivery, Error>;
/// Work that has begun.
pub(crate) type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;
/// Work that has not begun.
pub(crate) type Job = Box<dyn FnOnce(Arc<Pool>) -> Work + Send>;

pub(crate) fn deliver(
    convert: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
) -> Outcome {
    Ok(Box::new(convert))
}

/// Return an outcome without a value.
pub(crate) fn ready() -> Outcome {
    deliver(|py| Ok(py.None()))
}

pub(crate) fn job<F>(work: impl FnOnce(Arc<Pool>) -> F + Send + 'static) -> Job
where
    F: Future<Output = Outcome> + Send + 'static,
{
    Box::new(|pool| Box::pin(work(pool)))
}
