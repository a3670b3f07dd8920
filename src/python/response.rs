//! Responses as Python objects.

use std::sync::Arc;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::errors::unexpected_response;
use super::headers::{Pairs, header_map, to_pairs};
use super::imports::checked;
use super::json::decode;
use super::page::Page;
use super::work::{Outcome, deliver};
use crate::http::request::Request;
use crate::response::Response;
use crate::retry::server_delay;

/// What an endpoint returns.
#[pyclass(
    name = "Expect",
    frozen,
    eq,
    from_py_object,
    module = "replicate_rs._core",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PyExpect {
    /// A JSON object, as a dict.
    Object,
    /// A JSON object with an id.
    Record,
    /// A JSON object with a list of objects as its `results`, which are [`PyJsonObject`]s.
    Page,
    /// A JSON array of objects, as a list.
    Array,
    /// Text, as a str.
    Text,
    Bytes,
    /// Nothing of interest: the status, as an int.
    Status,
    /// Anything, as a [`PyResponse`].
    Response,
}

/// Why a response cannot be converted.
enum Unexpected {
    Problem(String),
    Error(PyErr),
}

impl From<PyErr> for Unexpected {
    fn from(error: PyErr) -> Self {
        Self::Error(error)
    }
}

impl From<&str> for Unexpected {
    fn from(problem: &str) -> Self {
        Self::Problem(problem.to_owned())
    }
}

impl PyExpect {
    /// Convert a response. `page` is what `find_page` returned.
    fn convert(
        self,
        py: Python<'_>,
        response: &Response,
        page: Option<Page>,
    ) -> Result<Py<PyAny>, Unexpected> {
        if let Some(page) = page {
            return Ok(page.into_dict(py)?.into_any().unbind());
        }
        Ok(match self {
            Self::Text => String::from_utf8_lossy(&response.body).into_py_any(py)?,
            Self::Bytes => PyBytes::new(py, &response.body).into_any().unbind(),
            Self::Status => response.status.into_py_any(py)?,
            Self::Response => PyResponse {
                inner: response.clone(),
            }
            .into_py_any(py)?,
            Self::Object | Self::Record | Self::Page | Self::Array => {
                let value = decode(py, &response.body).map_err(Unexpected::Problem)?;
                self.check(&value)?;
                if let Self::Page = self {
                    Page::wrap(value.cast().map_err(PyErr::from)?)?;
                }
                value.unbind()
            }
        })
    }

    /// Return the page in a response, if one is expected and can be read in parts.
    fn find_page(self, response: &Response) -> Option<Page> {
        if let Self::Page = self {
            return Page::find(response.body.clone());
        }
        None
    }

    /// Check a JSON value.
    fn check(self, value: &Bound<'_, PyAny>) -> Result<(), Unexpected> {
        let py = value.py();
        if let Self::Array = self {
            let list = value
                .cast::<PyList>()
                .map_err(|_| "is JSON, but not an array")?;
            return if are_objects(list) {
                Ok(())
            } else {
                Err("is a JSON array, but not one of objects".into())
            };
        }
        let object = value
            .cast::<PyDict>()
            .map_err(|_| "is JSON, but not an object")?;
        match self {
            Self::Record => match object.get_item(intern!(py, "id"))? {
                Some(id) if id.is_instance_of::<PyString>() => Ok(()),
                _ => Err("is JSON, but without an id that is text".into()),
            },
            Self::Page => match object.get_item(intern!(py, "results"))? {
                Some(results) if results.cast::<PyList>().is_ok_and(are_objects) => Ok(()),
                _ => Err("is JSON, but not a page: its results are not a list of objects".into()),
            },
            _ => Ok(()),
        }
    }
}

fn are_objects(list: &Bound<'_, PyList>) -> bool {
    list.iter().all(|item| item.is_instance_of::<PyDict>())
}

#[pymethods]
impl PyExpect {
    /// Convert a response; raise ValueError if it has another type.
    fn of(&self, py: Python<'_>, response: &Bound<'_, PyResponse>) -> PyResult<Py<PyAny>> {
        let response = &response.get().inner;
        self.convert(py, response, self.find_page(response))
            .map_err(|unexpected| match unexpected {
                Unexpected::Problem(problem) => PyValueError::new_err(problem),
                Unexpected::Error(error) => error,
            })
    }
}

/// Return how many seconds a response asks to wait, in its header `Retry-After` or in its body.
/// `date` is its header `Date`, the reference for a `Retry-After` that is a date.
#[pyfunction]
#[pyo3(signature = (header, date, body))]
pub(crate) fn retry_after(header: Option<&str>, date: Option<&str>, body: &[u8]) -> Option<f64> {
    server_delay(header, date, body).map(|delay| delay.as_secs_f64())
}

/// The largest body that is copied out of the connection's read buffer, in bytes.
const MAX_COPIED: usize = 64 << 10;

/// Return the outcome for a whole response.
pub(crate) fn deliver_response(
    request: Arc<Request>,
    mut response: Response,
    expect: PyExpect,
) -> Outcome {
    let keeps_headers = matches!(expect, PyExpect::Bytes | PyExpect::Response);
    if !keeps_headers && response.body.len() <= MAX_COPIED {
        response.compact();
    }
    // Before the GIL is taken.
    let page = expect.find_page(&response);
    deliver(move |py| {
        expect
            .convert(py, &response, page)
            .map_err(|unexpected| match unexpected {
                Unexpected::Problem(problem) => {
                    unexpected_response(py, &request, &response, &problem)
                }
                Unexpected::Error(error) => error,
            })
    })
}

/// A response that was read to its end.
#[pyclass(name = "Response", frozen, module = "replicate_rs._core")]
pub(crate) struct PyResponse {
    pub(crate) inner: Response,
}

#[pymethods]
impl PyResponse {
    /// Create a response, for middleware that answers a request itself.
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
        let status = match status {
            Some(status) => checked("http_status", "status", &status)?.extract()?,
            None => 200,
        };
        let mut pairs = Pairs::new();
        if let Some(headers) = headers {
            for pair in checked("headers", "headers", &headers)?.try_iter()? {
                pairs.push(pair?.extract()?);
            }
        }
        let body: Vec<u8> = match body {
            Some(body) => checked("content", "body", &body)?.extract()?,
            None => Vec::new(),
        };
        let url = match url {
            Some(url) => checked("text", "url", &url)?.extract()?,
            None => String::new(),
        };
        Ok(Self {
            inner: Response {
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

    /// The URL that answered, after redirects.
    #[getter]
    fn url(&self) -> &str {
        &self.inner.url
    }

    /// The headers by lower-case name; repeated ones are joined with a comma.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let joined = PyDict::new(py);
        for (name, value) in to_pairs(&self.inner.headers) {
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

    /// Parse the body as JSON; raise ValueError if it is not JSON.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let value = decode(py, &self.inner.body);
        value.map_err(|problem| PyValueError::new_err(format!("the body {problem}")))
    }

    fn __repr__(&self) -> String {
        format!("<Response {} {}>", self.inner.status, self.inner.url)
    }
}
