//! Files for Python: what a request carries of them, and what needs no connection.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::errors::{About, raised};
use crate::files::data_uri::DataUri;
use crate::files::disk;
use crate::files::download::Info;
use crate::http::body;

/// A piece of a request's body: bytes, or a file from some offset on, which is read while it is sent.
#[pyclass(frozen, module = "replicate_rs._core")]
pub struct Part(body::Part);

#[derive(FromPyObject)]
enum Content {
    Memory(PyBackedBytes),
    Disk(PathBuf),
}

#[pymethods]
impl Part {
    #[new]
    #[pyo3(signature = (content, *, offset=0, at_once=false))]
    fn new(py: Python<'_>, content: Content, offset: u64, at_once: bool) -> PyResult<Self> {
        let part = match content {
            Content::Memory(bytes) => Ok(body::Part::memory(Bytes::from_owner(bytes))),
            Content::Disk(path) => py.detach(|| body::Part::disk(&path, offset, at_once)),
        };
        let part = part.map_err(|error| raised(py, error, &About::default()))?;
        Ok(Self(part))
    }

    /// The same, sent in base64.
    fn in_base64(&self) -> Self {
        Self(self.0.clone().in_base64())
    }

    /// The same, called `name` in errors.
    fn named(&self, name: &str) -> Self {
        Self(self.0.clone().named(name))
    }

    /// What it is called in errors.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// Its content as text in base64.
    fn read_base64(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.0.read_base64())
            .map_err(|error| raised(py, error, &About::default()))
    }

    /// The bytes of its content.
    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.0.content_length())?)
    }
}

/// A request's body in pieces.
#[pyclass(frozen, module = "replicate_rs._core")]
pub struct Upload(pub Arc<body::Upload>);

#[derive(FromPyObject)]
enum Piece<'py> {
    Memory(PyBackedBytes),
    Part(Bound<'py, Part>),
}

#[pymethods]
impl Upload {
    #[new]
    fn new(parts: Vec<Piece<'_>>) -> Self {
        let parts = parts.into_iter().map(|part| match part {
            Piece::Memory(bytes) => body::Part::memory(Bytes::from_owner(bytes)),
            Piece::Part(part) => part.get().0.clone(),
        });
        Self(Arc::new(body::Upload::new(parts.collect())))
    }

    /// How much of it has been sent, in bytes; an attempt after the first begins anew.
    #[getter]
    fn sent(&self) -> u64 {
        self.0.sent()
    }

    /// The whole body, as it is sent.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let body = py
            .detach(|| self.0.read())
            .map_err(|error| raised(py, error, &About::default()))?;
        Ok(PyBytes::new(py, &body))
    }

    /// The bytes it takes.
    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.0.length())?)
    }
}

/// What a host says of a file: its media type, its length, the header that may have its name, and what tells its version.
pub type Said = (Option<String>, Option<u64>, Option<String>, Option<String>);

/// The same for Python.
pub fn said(info: Info) -> Said {
    (
        info.content_type,
        info.length,
        info.disposition,
        info.validator,
    )
}

/// The media type and the content of a `data:` URI; raises ValueError where it is none.
#[pyfunction]
pub fn read_data_uri<'py>(py: Python<'py>, uri: &str) -> PyResult<(String, Bound<'py, PyBytes>)> {
    let read = py.detach(|| DataUri::parse(uri));
    let DataUri {
        media_type,
        content,
    } = read.map_err(|error| raised(py, error, &About::default()))?;
    Ok((media_type, PyBytes::new(py, &content)))
}

/// Writes a file that is either as before or complete; gives the number of bytes.
#[pyfunction]
#[pyo3(signature = (path, content, *, overwrite=true))]
pub fn write_file(
    py: Python<'_>,
    path: PathBuf,
    content: PyBackedBytes,
    overwrite: bool,
) -> PyResult<u64> {
    py.detach(|| disk::write(&path, &content, overwrite))
        .map_err(|error| raised(py, error, &About::default()))
}
