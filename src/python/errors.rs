//! Failures of the core become exceptions of the Python tree, which `replicate_rs.exceptions` draws.

use std::any::Any;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use memchr::memmem;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;

use super::abort::{self, AbortSignal, Flag};
use super::log::Log;
use super::response::pairs;
use crate::error::{Error, Kind, Phase};
use crate::http::exchange::{Call, Home};
use crate::response::Response;
use crate::address::shown as shown_url;

const REDACTED: &str = "[REDACTED]";

/// What is known of a call before its answer.
#[derive(Default)]
pub struct About {
    /// The request, where there is one.
    pub call: Option<Arc<Call>>,
    /// The caller's signal.
    pub signal: Option<Py<AbortSignal>>,
}

impl About {
    /// What a worker watches.
    pub fn flag(&self, py: Python<'_>) -> Option<Flag> {
        self.signal
            .as_ref()
            .map(|signal| signal.bind(py).get().flag())
    }

    /// Visit what it holds.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.signal)
    }

    /// Writes what there is to log of it.
    pub fn write_log(&self, py: Python<'_>) {
        if let Some(observer) = self.call.as_ref().and_then(|call| call.observer.as_deref()) {
            let observer: &dyn Any = observer;
            observer
                .downcast_ref::<Log>()
                .into_iter()
                .for_each(|log| log.write(py));
        }
    }

    fn request(&self) -> Option<(String, String)> {
        self.call
            .as_ref()
            .map(|call| (call.method.to_string(), shown_url(&call.url)))
    }
}

/// The exception for a failure.
pub fn raised(py: Python<'_>, error: Error, about: &About) -> PyErr {
    let Error {
        kind,
        message,
        errno,
        path,
        sent,
        request_id,
        last,
        ..
    } = error;
    let name = match kind {
        Kind::Invalid => return PyValueError::new_err(message),
        Kind::Aborted => {
            return match &about.signal {
                Some(signal) => abort::error(py, signal.bind(py).get()),
                None => PyValueError::new_err(message),
            };
        }
        Kind::Status(response) => return from_response(py, about, &response),
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
    let path = path.as_deref().map(Path::as_os_str);
    made(py, "from_failure", |make| {
        let error = make.call1((
            name,
            message,
            about.request(),
            errno,
            sent,
            request_id.as_deref(),
            path,
        ))?;
        if let Some(last) = last {
            error.setattr("_last", &*last)?;
        }
        Ok(error)
    })
}

fn from_response(py: Python<'_>, about: &About, response: &Response) -> PyErr {
    let call = about.call.as_deref();
    let method = call.map_or("", |call| call.method.as_str());
    let (body, headers) = shown_of(py, call, response);
    made(py, "from_response", |make| {
        make.call1((
            response.status,
            method,
            printable(&response.url),
            headers,
            body,
        ))
    })
}

/// The exception for an answer that is not what the endpoint promises.
pub fn unexpected(py: Python<'_>, call: &Call, response: &Response, problem: &str) -> PyErr {
    let (body, headers) = shown_of(py, Some(call), response);
    made(py, "from_unexpected", |make| {
        make.call1((
            problem,
            response.status,
            call.method.as_str(),
            printable(&response.url),
            headers,
            body,
        ))
    })
}

/// The body and the headers that an error may show: a server that echoes requests must not put the token there.
fn shown_of<'py>(py: Python<'py>, call: Option<&Call>, response: &Response) -> Shown<'py> {
    shown(py, call.map(|call| &*call.home), response)
}

/// A body and headers without a token.
pub type Shown<'py> = (Bound<'py, PyBytes>, Vec<(String, String)>);

/// Return the body and the headers of a response without the token of `home`.
pub fn shown<'py>(py: Python<'py>, home: Option<&Home>, response: &Response) -> Shown<'py> {
    let sent = home
        .and_then(|home| home.headers.get(AUTHORIZATION))
        .map(HeaderValue::as_bytes);
    let token = sent
        .and_then(|value| value.strip_prefix(b"Bearer "))
        .unwrap_or_default();
    let headers = pairs(&response.headers).into_iter();
    let headers = headers.map(|(name, value)| match std::str::from_utf8(token) {
        Ok(token) if !token.is_empty() => (name, value.replace(token, REDACTED)),
        _ => (name, value),
    });
    (
        PyBytes::new(py, &without(token, &response.body)),
        headers.collect(),
    )
}

fn without<'a>(token: &[u8], body: &'a [u8]) -> Cow<'a, [u8]> {
    let mut found = memmem::find_iter(body, token)
        .filter(|_| !token.is_empty())
        .peekable();
    if found.peek().is_none() {
        return body.into();
    }
    let (mut kept, mut from) = (Vec::with_capacity(body.len()), 0);
    for at in found {
        kept.extend_from_slice(body.get(from..at).unwrap_or_default());
        kept.extend_from_slice(REDACTED.as_bytes());
        from = at + token.len();
    }
    kept.extend_from_slice(body.get(from..).unwrap_or_default());
    kept.into()
}

fn printable(url: &str) -> String {
    Url::parse(url).map_or_else(|_| url.to_owned(), |url| shown_url(&url))
}

/// The exception for a request to `base_url` without a token.
pub fn missing_token(py: Python<'_>, base_url: &str) -> PyErr {
    made(py, "missing_token", |make| make.call1((base_url,)))
}

fn made<'py>(
    py: Python<'py>,
    maker: &str,
    make: impl FnOnce(Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
) -> PyErr {
    match py
        .import("replicate_rs.exceptions")
        .and_then(|module| module.getattr(maker))
        .and_then(make)
    {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
