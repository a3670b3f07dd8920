//! Files for Python that need no connection.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::exceptions::{About, raised};
use crate::files::{self, DataUri};

/// The media type and the content of a `data:` URI; raises ValueError where it is none.
#[pyfunction]
pub fn read_data_uri<'py>(py: Python<'py>, uri: &str) -> PyResult<(String, Bound<'py, PyBytes>)> {
    let DataUri { media_type, content } = DataUri::parse(uri).map_err(|error| raised(py, error, &About::default()))?;
    Ok((media_type, PyBytes::new(py, &content)))
}

/// Writes a file that is either as before or complete; gives the number of bytes.
#[pyfunction]
pub fn write_file(py: Python<'_>, path: PathBuf, content: PyBackedBytes) -> PyResult<u64> {
    py.detach(|| files::write(&path, &content)).map_err(|error| raised(py, error, &About::default()))
}
