//! What every call of a client is made with: where it goes, whose token it carries, and how long it may take.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::client::Core;
use super::errors::{About, missing_token, raised};
use super::log::Log;
use crate::error::{Error, Kind};
use crate::http::exchange::{Body, Call, Home};
use crate::http::fetch_policy::Reach;
use crate::sync::locked;
use crate::address::absolute;

/// Names and values, as Python gives them.
pub type Pairs = Vec<(PyBackedStr, PyBackedStr)>;

/// Where the token comes from.
pub enum Token {
    /// Given once.
    Fixed,
    /// Asked for before each request; what it said last, and the headers made of it. The function is None once the collector has
    /// taken this apart.
    Asked(Mutex<Option<Py<PyAny>>>, Mutex<Option<(String, Arc<Home>)>>),
}

impl Token {
    /// One that a function gives.
    pub fn asked(function: Py<PyAny>) -> Self {
        Self::Asked(Mutex::new(Some(function)), Mutex::default())
    }

    /// Visit what it holds.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Asked(function, _) => function
                .try_lock()
                .map_or(Ok(()), |function| visit.call(&*function)),
            Self::Fixed => Ok(()),
        }
    }

    /// Let go of what it holds.
    pub fn clear(&self) {
        if let Self::Asked(function, _) = self {
            drop(locked(function).take());
        }
    }
}

/// One header from Python.
pub fn header(name: &str, value: &str) -> PyResult<(HeaderName, HeaderValue)> {
    let wrong = |what| {
        PyValueError::new_err(format!(
            "header {name:?}: its {what} holds characters that HTTP does not allow"
        ))
    };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("name"))?;
    Ok((
        parsed,
        HeaderValue::from_str(value).map_err(|_| wrong("value"))?,
    ))
}

/// Headers from names and values.
pub fn header_map(pairs: &Pairs) -> PyResult<HeaderMap> {
    pairs
        .iter()
        .map(|(name, value)| header(name, value))
        .collect()
}

/// The token's header.
pub fn bearer(token: &str) -> PyResult<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        PyValueError::new_err(
            "the API token holds a line break or another control character; remove it",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A limit in seconds, above 0.
pub fn seconds(name: &str, value: Option<f64>) -> PyResult<Option<Duration>> {
    let wrong = || {
        PyValueError::new_err(format!(
            "{name} must be a number of seconds above 0, or None"
        ))
    };
    match value {
        None => Ok(None),
        Some(value) if value > 0.0 => Duration::try_from_secs_f64(value)
            .map(Some)
            .map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}

impl Core {
    /// An absolute or relative route, or the segments of a path.
    pub(super) fn resolve(
        &self,
        py: Python<'_>,
        target: &Bound<'_, PyAny>,
        query: Option<Pairs>,
    ) -> PyResult<Url> {
        let url = if let Ok(route) = target.cast::<PyString>() {
            self.base.resolve(route.to_str()?)
        } else {
            let tuple = target.cast::<PyTuple>()?;
            let parts: Vec<PyBackedStr> = tuple
                .iter()
                .map(|part| part.extract())
                .collect::<PyResult<_>>()
                .map_err(|_| unfit(tuple))?;
            self.base.join(parts.iter().map(|part| &**part))
        };
        let mut url = url.map_err(|error| raised(py, error, &About::default()))?;
        for (name, value) in query.iter().flatten() {
            url.query_pairs_mut().append_pair(name, value);
        }
        Ok(url)
    }

    pub(super) fn call(&self, py: Python<'_>, method: &str, url: Url) -> PyResult<Call> {
        if self.is_closed() {
            let error = Error::new(Kind::Closed, "this client is closed: make another one");
            return Err(raised(py, error, &About::default()));
        }
        self.unchecked_call(py, method, url)
    }

    /// The same for a last request, which a closed client sends too.
    pub(super) fn unchecked_call(&self, py: Python<'_>, method: &str, url: Url) -> PyResult<Call> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| PyValueError::new_err(format!("method {method:?}")))?;
        if matches!(method, Method::CONNECT | Method::TRACE) {
            // One is for proxies; the other is answered with the request itself, its token included (RFC 9110 §9.3.6, §9.3.8).
            return Err(PyValueError::new_err(format!(
                "method {method} is not for an API: give another"
            )));
        }
        let home = self.home(py, &url)?;
        let observer = Log::wanted(py, method.as_str(), &url)?;
        Ok(Call {
            method,
            url,
            headers: HeaderMap::new(),
            own: HeaderMap::new(),
            body: Body::Empty,
            home,
            timeouts: self.timeouts,
            retries: self.retries,
            limit: self.limit,
            raw: false,
            reach: Reach::Anywhere,
            observer: observer.map(|log| log as _),
            left: None,
        })
    }

    /// A GET of something that is not JSON, wherever it is; it is compressed already, and its length is worth knowing.
    pub(super) fn fetch(&self, py: Python<'_>, url: &str, total: Option<f64>) -> PyResult<Call> {
        let url = absolute(url).map_err(|error| raised(py, error, &About::default()))?;
        let mut call = self.call(py, "GET", url)?;
        call.headers
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        call.raw = true;
        call.reach = self.reach;
        self.limit_in_time(&mut call, total, None)?;
        Ok(call)
    }

    /// The token's headers, asked for only where they would be sent.
    fn home(&self, py: Python<'_>, url: &Url) -> PyResult<Arc<Home>> {
        if !self.home.origin.has(url) {
            return Ok(self.home.clone());
        }
        let token = match &self.token {
            Token::Asked(ask, last) => {
                let ask = locked(ask).as_ref().map(|ask| ask.clone_ref(py));
                let token = ask.map_or_else(|| Ok(py.None()), |ask| ask.call0(py))?;
                let token = token
                    .extract::<Option<PyBackedStr>>(py)
                    .map_err(|_| PyTypeError::new_err("the API token must be a str"))?;
                token
                    .filter(|token| !token.is_empty())
                    .map(|token| (token, last))
            }
            Token::Fixed => None,
        };
        let Some((token, last)) = token else {
            if self.home.headers.contains_key(AUTHORIZATION) || self.base.is_loopback() {
                return Ok(self.home.clone());
            }
            return Err(missing_token(py, self.base.as_str()));
        };
        if let Some((known, home)) = &*locked(last)
            && **known == *token
        {
            return Ok(home.clone());
        }
        let mut headers = self.home.headers.clone();
        headers.insert(AUTHORIZATION, bearer(&token)?);
        let home = Arc::new(Home {
            headers,
            ..Home::clone(&self.home)
        });
        *locked(last) = Some((token.to_string(), home.clone()));
        Ok(home)
    }

    pub(super) fn limit_in_time(
        &self,
        call: &mut Call,
        total: Option<f64>,
        read: Option<f64>,
    ) -> PyResult<()> {
        if total.is_some() {
            call.timeouts.total = seconds("timeout", total)?;
        }
        // A request that holds for output needs more time than others, never less than the client gives.
        if let (Some(own), Some(read)) = (call.timeouts.read, seconds("read", read)?) {
            call.timeouts.read = Some(own.max(read));
        }
        Ok(())
    }
}

/// Why a path cannot be made of these parts.
fn unfit(parts: &Bound<'_, PyTuple>) -> PyErr {
    let names = parts
        .iter()
        .filter(|part| !part.is_instance_of::<PyString>())
        .map(|part| part.get_type().name());
    let names: Vec<_> = names
        .filter_map(|name| name.ok().map(|name| name.to_string()))
        .collect();
    if names.is_empty() {
        return PyValueError::new_err(
            "ids and names must be Unicode text; this one holds half of a surrogate pair",
        );
    }
    PyTypeError::new_err(format!(
        "ids and names must be str, not {}",
        names.join(", ")
    ))
}
