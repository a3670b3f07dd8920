//! An error of the core, or of Python code that was called meanwhile.

use pyo3::PyErr;

use crate::error::Error;

#[derive(Debug)]
pub(crate) enum Failure {
    Core(Error),
    /// An exception, `KeyboardInterrupt` for example.
    Python(PyErr),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}
