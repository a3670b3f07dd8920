//! Files for Python: parts of request bodies, and functions that need no connection.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::files::data_uri::DataUri;
use crate::files::disk;
use crate::files::download::{Counters, FileInfo};
use crate::http::body::{Part, Upload};

/// A part of a request body: bytes, or a file from an offset on, which is read while it is sent.
#[pyclass(name = "Part", frozen, module = "replicate_rs._core")]
pub(crate) struct PyPart(Part);

#[derive(FromPyObject)]
enum Content {
    Memory(PyBackedBytes),
    Disk(PathBuf),
}

#[pymethods]
impl PyPart {
    #[new]
    #[pyo3(signature = (content, *, offset=0, at_once=false))]
    fn new(py: Python<'_>, content: Content, offset: u64, at_once: bool) -> PyResult<Self> {
        Ok(Self(match content {
            Content::Memory(bytes) => Part::memory(Bytes::from_owner(bytes)),
            Content::Disk(path) => py.detach(|| Part::disk(&path, offset, at_once))?,
        }))
    }

    /// Return the same part, sent in base64.
    fn in_base64(&self) -> Self {
        Self(self.0.clone().in_base64())
    }

    /// Return the same part with a name for errors.
    fn named(&self, name: &str) -> Self {
        Self(self.0.clone().named(name))
    }

    /// The name in errors.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// Read the content as base64.
    fn read_base64(&self, py: Python<'_>) -> PyResult<String> {
        Ok(py.detach(|| self.0.read_base64())?)
    }

    /// The length of the content in bytes.
    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.0.content_length())?)
    }
}

/// A request body in parts.
#[pyclass(name = "Upload", frozen, module = "replicate_rs._core")]
pub(crate) struct PyUpload(pub(crate) Arc<Upload>);

#[derive(FromPyObject)]
enum PartOrBytes<'py> {
    Bytes(PyBackedBytes),
    Part(Bound<'py, PyPart>),
}

#[pymethods]
impl PyUpload {
    #[new]
    fn new(parts: Vec<PartOrBytes<'_>>) -> Self {
        let parts = parts.into_iter().map(|part| match part {
            PartOrBytes::Bytes(bytes) => Part::memory(Bytes::from_owner(bytes)),
            PartOrBytes::Part(part) => part.get().0.clone(),
        });
        Self(Arc::new(Upload::new(parts.collect())))
    }

    /// How many bytes the latest attempt has sent.
    #[getter]
    fn sent(&self) -> u64 {
        self.0.sent()
    }

    /// Read the whole body as it is sent.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &py.detach(|| self.0.read())?))
    }

    /// The length of the body in bytes.
    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.0.length())?)
    }
}

/// What downloads to disk have achieved; read while they go on.
#[pyclass(name = "DownloadCounters", frozen, module = "replicate_rs._core")]
pub(crate) struct PyDownloadCounters(pub(crate) Arc<Counters>);

#[pymethods]
impl PyDownloadCounters {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    /// The bytes of all files.
    #[getter]
    fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// The length of the file whose response came last; None if it is unknown.
    #[getter]
    fn length(&self) -> Option<u64> {
        let length = self.0.length.load(Ordering::Relaxed);
        (length > 0).then_some(length)
    }

    /// How many files are complete.
    #[getter]
    fn files(&self) -> u64 {
        self.0.files.load(Ordering::Relaxed)
    }
}

/// The metadata of a file from its host: media type, length, `Content-Disposition`, and an
/// identifier of the version.
#[derive(IntoPyObject)]
pub(crate) struct PyFileInfo(Option<String>, Option<u64>, Option<String>, Option<String>);

impl From<FileInfo> for PyFileInfo {
    fn from(info: FileInfo) -> Self {
        Self(
            info.content_type,
            info.length,
            info.disposition,
            info.validator,
        )
    }
}

/// Return the media type and the content of a `data:` URI; raise ValueError for other text.
#[pyfunction]
pub(crate) fn read_data_uri<'py>(
    py: Python<'py>,
    uri: &str,
) -> PyResult<(String, Bound<'py, PyBytes>)> {
    let DataUri {
        media_type,
        content,
    } = py.detach(|| DataUri::parse(uri))?;
    Ok((media_type, PyBytes::new(py, &content)))
}

/// Write a file that keeps its old content until the new content is complete; return the number of
/// bytes.
#[pyfunction]
#[pyo3(signature = (path, content, *, overwrite=true))]
pub(crate) fn write_file(
    py: Python<'_>,
    path: PathBuf,
    content: PyBackedBytes,
    overwrite: bool,
) -> PyResult<u64> {
    Ok(py.detach(|| disk::write(&path, &content, overwrite))?)
}
