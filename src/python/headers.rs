//! HTTP headers from and to Python.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Names and values from Python.
pub(crate) type Pairs = Vec<(PyBackedStr, PyBackedStr)>;

pub(crate) fn header(name: &str, value: &str) -> PyResult<(HeaderName, HeaderValue)> {
    let invalid = |what| {
        let message =
            format!("header {name:?}: its {what} holds characters that HTTP does not allow");
        PyValueError::new_err(message)
    };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("name"))?;
    Ok((
        parsed,
        HeaderValue::from_str(value).map_err(|_| invalid("value"))?,
    ))
}

pub(crate) fn header_map(pairs: &Pairs) -> PyResult<HeaderMap> {
    pairs
        .iter()
        .map(|(name, value)| header(name, value))
        .collect()
}

/// Return the value of `Authorization` for a token.
pub(crate) fn bearer(token: &str) -> PyResult<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        let message = "the API token holds a line break or another control character; remove it";
        PyValueError::new_err(message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Return names and values for Python. Bytes beyond ASCII are read as Latin-1, as HTTP once
/// specified.
pub(crate) fn to_pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
        .collect()
}
