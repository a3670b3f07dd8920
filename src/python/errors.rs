//! Errors of the core as exceptions of `replicate_rs.exceptions`.

use std::path::Path;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use reqwest::header::AUTHORIZATION;
use url::Url;

use super::context::CallContext;
use super::failure::Failure;
use super::headers::to_pairs;
use super::imports::exception;
use crate::error::{Error, Kind, Phase};
use crate::http::request::{ApiOrigin, Request};
use crate::redact::{replace_secret, without_credentials};
use crate::response::Response;

const EXCEPTIONS: &str = "replicate_rs.exceptions";

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        Python::attach(|py| to_py_err(py, error, &CallContext::default()))
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Core(error) => error.into(),
            Failure::Python(error) => error,
        }
    }
}

/// Return the exception for an error of a call.
pub(crate) fn to_py_err(py: Python<'_>, error: Error, context: &CallContext) -> PyErr {
    let name = match error.kind {
        Kind::Invalid => return PyValueError::new_err(error.message),
        Kind::Aborted => {
            return match &context.signal {
                Some(signal) => signal.get().error(py),
                None => PyValueError::new_err(error.message),
            };
        }
        Kind::Status(response) => {
            let exception = from_response(py, context, &response);
            if error.is_late
                && let Err(error) = exception.value(py).setattr("is_deadline", true)
            {
                return error;
            }
            return exception;
        }
        Kind::Timeout(Phase::Total, _) => "deadline",
        Kind::Timeout(..) => "timeout",
        Kind::Connect | Kind::Untrusted => "connect",
        Kind::Disconnected => "disconnected",
        Kind::Protocol => "protocol",
        Kind::TooLarge(_) => "too_large",
        Kind::EventTooLarge => "event_too_large",
        Kind::File => "file",
        Kind::Busy => "busy",
        Kind::Closed => "closed",
        Kind::Internal => "internal",
    };
    let Error {
        message,
        errno,
        sent,
        request_id,
        last,
        ..
    } = error;
    let path = error.path.as_deref().map(Path::as_os_str);
    let args = (
        name,
        message,
        context.describe(),
        errno,
        sent,
        request_id.as_deref(),
        path,
    );
    let error = exception(py, EXCEPTIONS, "from_failure", args);
    if let Some(last) = last
        && let Err(error) = error.value(py).setattr("_last", &*last)
    {
        return error;
    }
    error
}

/// Return the exception of a failed call. `context` is only needed for errors of the core.
pub(crate) fn failure_to_py_err(py: Python<'_>, failure: Failure, context: &CallContext) -> PyErr {
    match failure {
        Failure::Core(error) => to_py_err(py, error, context),
        Failure::Python(error) => error,
    }
}

fn from_response(py: Python<'_>, context: &CallContext, response: &Response) -> PyErr {
    let request = context.request.as_deref();
    let method = request.map_or("", |request| request.method.as_str());
    let (body, headers) = redacted(py, request.map(|request| &*request.api), response);
    let args = (
        response.status,
        method,
        redacted_url(&response.url),
        headers,
        body,
    );
    exception(py, EXCEPTIONS, "from_response", args)
}

/// Return the exception for a response that cannot be converted, as `problem` describes.
pub(crate) fn unexpected_response(
    py: Python<'_>,
    request: &Request,
    response: &Response,
    problem: &str,
) -> PyErr {
    let (body, headers) = redacted(py, Some(&request.api), response);
    let (method, url) = (request.method.as_str(), redacted_url(&response.url));
    let args = (problem, response.status, method, url, headers, body);
    exception(py, EXCEPTIONS, "from_unexpected", args)
}

/// The body and the headers of a response without the token.
pub(crate) type Redacted<'py> = (Bound<'py, PyBytes>, Vec<(String, String)>);

/// Return the body and the headers of a response without the token, which an error would otherwise
/// show if the server echoes requests.
pub(crate) fn redacted<'py>(
    py: Python<'py>,
    api: Option<&ApiOrigin>,
    response: &Response,
) -> Redacted<'py> {
    let authorization = api.and_then(|api| api.headers.get(AUTHORIZATION));
    let token = authorization.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let token = token.unwrap_or_default();
    let headers = to_pairs(&response.headers)
        .into_iter()
        .map(|(name, value)| {
            let redacted = replace_secret(token, value.as_bytes());
            (name, String::from_utf8_lossy(&redacted).into_owned())
        });
    (
        PyBytes::new(py, &replace_secret(token, &response.body)),
        headers.collect(),
    )
}

fn redacted_url(url: &str) -> String {
    Url::parse(url).map_or_else(|_| url.to_owned(), |url| without_credentials(&url))
}

/// Return the exception for a request without a token.
pub(crate) fn missing_token(py: Python<'_>, base_url: &str) -> PyErr {
    exception(py, EXCEPTIONS, "missing_token", (base_url,))
}

/// Return the exception for a call that began before a fork.
pub(crate) fn forked_error(py: Python<'_>) -> PyErr {
    let message =
        "this call was begun before the process was forked: make it again in this process";
    exception(py, EXCEPTIONS, "ForkedError", (message,))
}
