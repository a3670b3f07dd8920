//! Answers as Python objects.

use std::sync::Arc;

use jiter::{PythonParse, StringCacheMode};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use reqwest::header::HeaderMap;

use super::bridge::{Outcome, delivery};
use super::call::header_map;
use super::exceptions;
use crate::http::Call;
use crate::response;
use crate::retry::advice;

/// What an endpoint answers with.
#[pyclass(frozen, eq, from_py_object, module = "replicate_rs._core", rename_all = "SCREAMING_SNAKE_CASE")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// A JSON object, given as a dict.
    Object,
    /// A JSON array, given as a list.
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
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect()
}

/// The JSON value that bytes hold, or what is wrong with them.
pub fn decode<'py>(py: Python<'py>, json: &[u8]) -> Result<Bound<'py, PyAny>, String> {
    let parser = PythonParse { cache_mode: StringCacheMode::Keys, ..PythonParse::default() };
    parser.python_parse(py, json).map_err(|error| format!("is not JSON: {}", error.description(json)))
}

/// The seconds after which to come back, where an answer says so: in its header `Retry-After`, or in its body.
#[pyfunction]
#[pyo3(signature = (header, body))]
pub fn retry_after(header: Option<&str>, body: &[u8]) -> Option<f64> {
    advice(header, body).map(|wait| wait.as_secs_f64())
}

/// Bodies up to this size, in bytes, are copied out of the connection's read buffer.
const SMALL: usize = 64 << 10;

/// The delivery of a whole response.
pub fn deliver(call: Arc<Call>, mut response: response::Response, expect: Expect) -> Outcome {
    if !matches!(expect, Expect::Bytes | Expect::Response) && response.body.len() <= SMALL {
        response.compact();
    }
    delivery(move |py| {
        let unexpected = |problem: &str| exceptions::unexpected(py, &call, &response, problem);
        match expect {
            Expect::Object | Expect::Array => {
                let value = decode(py, &response.body).map_err(|problem| unexpected(&problem))?;
                match expect {
                    Expect::Object if !value.is_instance_of::<PyDict>() => Err(unexpected("is JSON, but not an object")),
                    Expect::Array if !value.is_instance_of::<PyList>() => Err(unexpected("is JSON, but not an array")),
                    _ => Ok(value.unbind()),
                }
            }
            Expect::Text => String::from_utf8_lossy(&response.body).into_py_any(py),
            Expect::Bytes => Ok(PyBytes::new(py, &response.body).into_any().unbind()),
            Expect::Status => response.status.into_py_any(py),
            Expect::Response => Response { inner: response }.into_py_any(py),
        }
    })
}

/// A response that has been read to its end.
#[pyclass(frozen, module = "replicate_rs._core")]
pub struct Response {
    inner: response::Response,
}

#[pymethods]
impl Response {
    /// An answer made by hand, for those who answer a request themselves.
    #[new]
    #[pyo3(signature = (status=200, *, headers=None, body=Vec::new(), url=""))]
    fn new(status: u16, headers: Option<Bound<'_, PyDict>>, body: Vec<u8>, url: &str) -> PyResult<Self> {
        if !(100..=999).contains(&status) {
            return Err(PyValueError::new_err(format!("{status} is not an HTTP status")));
        }
        let given = headers.map(|headers| headers.items().extract()).transpose()?.unwrap_or_default();
        let (headers, url) = (header_map(&given)?, url.to_owned());
        Ok(Self { inner: response::Response { status, url, headers, body: body.into() } })
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
        decode(py, &self.inner.body).map_err(|problem| PyValueError::new_err(format!("the body {problem}")))
    }

    fn __repr__(&self) -> String {
        format!("<Response {} {}>", self.inner.status, self.inner.url)
    }
}
