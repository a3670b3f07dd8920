//! Answers as Python objects.

use std::sync::Arc;

use jiter::{PythonParse, StringCacheMode};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use reqwest::header::HeaderMap;

use super::pending::delivery;
use super::call::header_map;
use super::check::checked;
use super::errors;
use super::slot::Outcome;
use crate::http::exchange::Call;
use crate::response;
use crate::retry::advice;

/// What an endpoint answers with.
#[pyclass(
    frozen,
    eq,
    from_py_object,
    module = "replicate_rs._core",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// A JSON object, given as a dict.
    Object,
    /// A JSON object with an id, by which it is asked for later.
    Record,
    /// A JSON object with a list of objects as its `results`.
    Page,
    /// A JSON array of objects, given as a list.
    Array,
    /// Text, given as str.
    Text,
    /// Bytes.
    Bytes,
    /// Nothing of interest: the status, given as int.
    Status,
    /// Anything: a [`Response`].
    Response,
}

/// Header names and values; what is not ASCII is read as Latin-1, as HTTP once said.
pub fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
        .collect()
}

/// The JSON value that bytes hold, or what is wrong with them.
pub fn decode<'py>(py: Python<'py>, json: &[u8]) -> Result<Bound<'py, PyAny>, String> {
    let parser = PythonParse {
        cache_mode: StringCacheMode::Keys,
        ..PythonParse::default()
    };
    parser
        .python_parse(py, json)
        .map_err(|error| format!("is not JSON: {}", error.description(json)))
}

impl Expect {
    /// What a response holds of this kind, or what is wrong with it.
    fn read(
        self,
        py: Python<'_>,
        response: &response::Response,
    ) -> PyResult<Result<Py<PyAny>, String>> {
        Ok(Ok(match self {
            Self::Text => String::from_utf8_lossy(&response.body).into_py_any(py)?,
            Self::Bytes => PyBytes::new(py, &response.body).into_any().unbind(),
            Self::Status => response.status.into_py_any(py)?,
            Self::Response => Response {
                inner: response.clone(),
            }
            .into_py_any(py)?,
            Self::Object | Self::Record | Self::Page | Self::Array => {
                let value = match decode(py, &response.body) {
                    Ok(value) => value,
                    Err(problem) => return Ok(Err(problem)),
                };
                match self.problem(&value)? {
                    Some(problem) => return Ok(Err(problem.to_owned())),
                    None => value.unbind(),
                }
            }
        }))
    }

    /// What is wrong with a JSON value.
    fn problem(self, value: &Bound<'_, PyAny>) -> PyResult<Option<&'static str>> {
        if let Self::Array = self {
            return Ok(match value.cast::<PyList>() {
                Ok(list) if are_objects(list) => None,
                Ok(_) => Some("is a JSON array, but not one of objects"),
                Err(_) => Some("is JSON, but not an array"),
            });
        }
        let Ok(object) = value.cast::<PyDict>() else {
            return Ok(Some("is JSON, but not an object"));
        };
        Ok(match self {
            Self::Record => match object.get_item(intern!(object.py(), "id"))? {
                Some(id) if id.is_instance_of::<PyString>() => None,
                _ => Some("is JSON, but without an id that is text"),
            },
            Self::Page => match object.get_item(intern!(object.py(), "results"))? {
                Some(results) if results.cast::<PyList>().is_ok_and(are_objects) => None,
                _ => Some("is JSON, but not a page: its results are not a list of objects"),
            },
            _ => None,
        })
    }
}

fn are_objects(list: &Bound<'_, PyList>) -> bool {
    list.iter().all(|each| each.is_instance_of::<PyDict>())
}

#[pymethods]
impl Expect {
    /// What a response holds of this kind; raises ValueError where it does not.
    #[pyo3(name = "of")]
    fn read_of(&self, py: Python<'_>, response: &Bound<'_, Response>) -> PyResult<Py<PyAny>> {
        self.read(py, &response.get().inner)?
            .map_err(PyValueError::new_err)
    }
}

/// The seconds after which to come back, where an answer says so: in its header `Retry-After`, or in its body. `date` is its header
/// `Date`, by whose clock a `Retry-After` that is a date is read.
#[pyfunction]
#[pyo3(signature = (header, date, body))]
pub fn retry_after(header: Option<&str>, date: Option<&str>, body: &[u8]) -> Option<f64> {
    advice(header, date, body).map(|wait| wait.as_secs_f64())
}

/// Bodies up to this size, in bytes, are copied out of the connection's read buffer.
const SMALL: usize = 64 << 10;

/// The delivery of a whole response.
pub fn deliver(call: Arc<Call>, mut response: response::Response, expect: Expect) -> Outcome {
    if !matches!(expect, Expect::Bytes | Expect::Response) && response.body.len() <= SMALL {
        response.compact();
    }
    delivery(move |py| {
        expect
            .read(py, &response)?
            .map_err(|problem| errors::unexpected(py, &call, &response, &problem))
    })
}

/// A response that has been read to its end.
#[pyclass(frozen, module = "replicate_rs._core")]
pub struct Response {
    inner: response::Response,
}

impl Response {
    /// Return what it has.
    pub fn inner(&self) -> &response::Response {
        &self.inner
    }
}

#[pymethods]
impl Response {
    /// An answer made by hand, for those who answer a request themselves.
    #[new]
    #[pyo3(
        signature = (status=None, *, headers=None, body=None, url=None),
        text_signature = "(status=200, *, headers=None, body=b'', url='')"
    )]
    fn new(
        status: Option<Bound<'_, PyAny>>,
        headers: Option<Bound<'_, PyAny>>,
        body: Option<Bound<'_, PyAny>>,
        url: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let status = status.map_or(Ok(200), |status| {
            checked("http_status", "status", &status)?.extract()
        })?;
        let headers = headers.map(|headers| {
            checked("headers", "headers", &headers)?
                .try_iter()?
                .collect()
        });
        let pairs: Vec<Bound<'_, PyAny>> = headers.transpose()?.unwrap_or_default();
        let pairs = pairs
            .iter()
            .map(|pair| pair.extract())
            .collect::<PyResult<_>>()?;
        let body: Vec<u8> = body.map_or(Ok(Vec::new()), |body| {
            checked("content", "body", &body)?.extract()
        })?;
        let url: String = url.map_or(Ok(String::new()), |url| {
            checked("text", "url", &url)?.extract()
        })?;
        Ok(Self {
            inner: response::Response {
                status,
                url,
                headers: header_map(&pairs)?,
                body: body.into(),
            },
        })
    }

    /// The HTTP status.
    #[getter]
    fn status(&self) -> u16 {
        self.inner.status
    }

    /// Where it came from, after redirects.
    #[getter]
    fn url(&self) -> &str {
        &self.inner.url
    }

    /// The headers by lower-case name; repeated ones are joined with a comma.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let joined = PyDict::new(py);
        for (name, value) in pairs(&self.inner.headers) {
            match joined.get_item(&name)? {
                Some(before) => joined.set_item(name, format!("{before}, {value}"))?,
                None => joined.set_item(name, value)?,
            }
        }
        Ok(joined)
    }

    /// The decompressed body.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.body)
    }

    /// The body as UTF-8 text.
    #[getter]
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.inner.body).into_owned()
    }

    /// The body as the JSON value it holds; raises ValueError where it holds none.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        decode(py, &self.inner.body)
            .map_err(|problem| PyValueError::new_err(format!("the body {problem}")))
    }

    fn __repr__(&self) -> String {
        format!("<Response {} {}>", self.inner.status, self.inner.url)
    }
}
