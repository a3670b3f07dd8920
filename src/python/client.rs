//! The core of a client: its configuration, and one verb per kind of exchange.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyString;
use pyo3::{PyTraverseError, PyVisit};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, USER_AGENT,
};
use tokio_util::sync::CancellationToken;

use super::abort::AbortSignal;
use super::pending::{Pending, delivery, first_of, job};
use super::call::{Pairs, Token, bearer, header, header_map, seconds};
use super::errors::{About, Shown, raised, shown};
use super::files::{Upload, said};
use super::response::{Expect, Response, deliver};
use super::process::{Connections, process};
use super::source::{self, Opening, Place, Source, What};
use crate::predictions::create::Creation;
use crate::files::download;
use crate::error::Error;
use crate::http::exchange::{self as http, Body, Call, Home, Timeouts};
use crate::predictions::polls::{self, Wanted};
use crate::http::pool::Network;
use crate::http::proxy::Proxy;
use crate::http::fetch_policy::Reach;
use crate::sync::locked;
use crate::http::tls::Trust;
use crate::http::body::{self, Part};
use crate::address::{Base, absolute};

/// Bytes of a body that are sent at once.
const LARGEST_PIECE: usize = 64 << 10;

/// What a request carries.
#[derive(FromPyObject)]
enum Carried<'py> {
    Bytes(PyBackedBytes),
    Upload(Bound<'py, Upload>),
}

/// The core of a client.
#[pyclass(frozen, weakref, module = "replicate_rs._core")]
pub struct Core {
    pub(super) connections: Arc<Connections>,
    pub(super) base: Arc<Base>,
    pub(super) token: Token,
    pub(super) home: Arc<Home>,
    pub(super) timeouts: Timeouts,
    /// How long a stream of events may be silent.
    pub(super) idle: Option<Duration>,
    pub(super) retries: u32,
    pub(super) limit: usize,
    /// Where files and streams may be.
    pub(super) reach: Reach,
    pub(super) closed: AtomicBool,
    /// Tells this client's creates from those of others.
    number: u64,
    /// Cancelled when the client is closed: what waits for no request ends then.
    closing: CancellationToken,
    /// How much of this client's work goes on that nobody waits for.
    unattended: Arc<AtomicUsize>,
    /// Streams and files that are being read.
    streams: Arc<AtomicUsize>,
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// What a create makes, in the API's words.
fn collection(name: &str) -> PyResult<&'static str> {
    match name {
        "predictions" => Ok("predictions"),
        "trainings" => Ok("trainings"),
        _ => Err(PyValueError::new_err(format!(
            "creates must be 'predictions' or 'trainings', not {name:?}"
        ))),
    }
}

#[pymethods]
impl Core {
    #[new]
    #[pyo3(signature = (base_url, token, *, user_agent, headers, connect, read, pool, total, idle, max_retries, max_connections, max_bytes, public_only, write=None, proxy=None, verify=true, ssl_cert_file=None, cert=None, share=None))]
    #[allow(clippy::too_many_arguments, reason = "one call site, all by keyword")]
    fn new(
        py: Python<'_>,
        base_url: &str,
        token: Option<Bound<'_, PyAny>>,
        user_agent: &str,
        headers: Pairs,
        connect: Option<f64>,
        read: Option<f64>,
        pool: Option<f64>,
        total: Option<f64>,
        idle: Option<f64>,
        max_retries: u32,
        max_connections: Option<usize>,
        max_bytes: usize,
        public_only: bool,
        write: Option<f64>,
        proxy: Option<&str>,
        verify: bool,
        ssl_cert_file: Option<PathBuf>,
        cert: Option<(PathBuf, PathBuf)>,
        share: Option<&Core>,
    ) -> PyResult<Self> {
        let wrong = |error: Error| PyValueError::new_err(error.message);
        let base = Arc::new(Base::parse(base_url).map_err(wrong)?);
        if max_connections == Some(0) {
            return Err(PyValueError::new_err(
                "max_connections must be 1 or more, or None",
            ));
        }
        let mut at_home = header_map(&headers)?;
        let token = match token {
            None => Token::Fixed,
            Some(token) if token.is_callable() => Token::asked(token.unbind()),
            Some(token) => {
                let token = token.cast::<PyString>().map_err(|_| {
                    PyTypeError::new_err("the API token must be a str or a callable")
                })?;
                if !token.to_str()?.is_empty() {
                    at_home.insert(AUTHORIZATION, bearer(token.to_str()?)?);
                }
                Token::Fixed
            }
        };
        let (name, user_agent) = header(USER_AGENT.as_str(), user_agent)?;
        at_home.entry(name).or_insert(user_agent.clone());
        let connections = if let Some(core) = share {
            core.connections.join();
            core.connections.clone()
        } else {
            let network = Network {
                connect: seconds("connect", connect)?,
                most: max_connections,
                proxy: proxy
                    .map(|text| Proxy::parse("proxy", text))
                    .transpose()
                    .map_err(wrong)?,
                trust: if verify { Trust::System } else { Trust::Anyone },
                identity: None,
            };
            let certified =
                py.detach(|| network.certified(ssl_cert_file.as_deref(), cert.as_ref()));
            let network = certified.map_err(wrong)?;
            Arc::new(Connections::new(network))
        };
        Ok(Self {
            connections,
            home: Arc::new(Home {
                origin: base.origin().clone(),
                headers: at_home,
                user_agent,
            }),
            timeouts: Timeouts {
                read: seconds("read", read)?,
                write: seconds("write", write)?,
                pool: seconds("pool", pool)?,
                total: seconds("total", total)?,
            },
            idle: seconds("idle", idle)?,
            base,
            token,
            retries: max_retries,
            limit: max_bytes,
            reach: if public_only {
                Reach::Public
            } else {
                Reach::Secure
            },
            closed: AtomicBool::new(false),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            closing: CancellationToken::new(),
            unattended: Arc::default(),
            streams: Arc::default(),
        })
    }

    /// The API's address, which ends in its version.
    #[getter]
    fn base_url(&self) -> &str {
        self.base.as_str()
    }

    /// Close idle connections, and refuse further calls. Creates that are under way are finished, and what they made is cancelled.
    fn close(&self) {
        if !self.closed.swap(true, Ordering::Relaxed) {
            self.closing.cancel();
            process().leave_creates(Some(self.number));
            self.connections.leave();
        }
    }

    /// How much of this client's work goes on that nobody waits for.
    #[getter]
    fn unattended(&self) -> usize {
        self.unattended.load(Ordering::Relaxed)
    }

    /// Whether `close` was called.
    #[getter]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// One request, read to its end.
    #[pyo3(signature = (method, target, expect, *, query=None, body=None, content_type=None, headers=None, total=None, read=None, retries=None, signal=None, creates=None, keeps=false, last=false))]
    #[allow(clippy::too_many_arguments, reason = "one call site, all by keyword")]
    fn send(
        &self,
        py: Python<'_>,
        method: &str,
        target: &Bound<'_, PyAny>,
        expect: Expect,
        query: Option<Pairs>,
        body: Option<Carried<'_>>,
        content_type: Option<&str>,
        headers: Option<Pairs>,
        total: Option<f64>,
        read: Option<f64>,
        retries: Option<u32>,
        signal: Option<Py<AbortSignal>>,
        creates: Option<&str>,
        keeps: bool,
        last: bool,
    ) -> PyResult<Pending> {
        let url = self.resolve(py, target, query)?;
        let mut call = if last {
            self.unchecked_call(py, method, url)?
        } else {
            self.call(py, method, url)?
        };
        call.body = match body {
            None => Body::Empty,
            // In pieces, so that one that is given up does not go out whole when its connection closes.
            Some(Carried::Bytes(bytes)) if bytes.len() > LARGEST_PIECE => Body::Upload(Arc::new(
                body::Upload::new(vec![Part::memory(Bytes::from_owner(bytes))]),
            )),
            Some(Carried::Bytes(bytes)) => Body::Bytes(Bytes::from_owner(bytes)),
            Some(Carried::Upload(upload)) => Body::Upload(upload.get().0.clone()),
        };
        if let Some(content_type) = content_type {
            let (name, value) = header(CONTENT_TYPE.as_str(), content_type)?;
            call.headers.insert(name, value);
        }
        if expect == Expect::Bytes {
            // Files are compressed already, and a length of what arrives is worth more than a second compression.
            call.headers
                .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            call.limit = usize::MAX;
        }
        if let Some(headers) = headers {
            call.own = header_map(&headers)?;
        }
        self.limit_in_time(&mut call, total, read)?;
        call.retries = retries.unwrap_or(call.retries);
        if let Some(name) = creates {
            return self.create(call, (collection(name)?, keeps), signal, expect);
        }
        let call = Arc::new(call);
        let about = About {
            call: Some(call.clone()),
            signal,
        };
        let counted = last.then(|| process().unattended(&self.unattended).enter());
        let work = job(move |pool| async move {
            let _counted = counted;
            let response = http::send(&pool, &call).await?;
            deliver(call, response, expect)
        });
        let pending = Pending::new(self.connections.clone(), about, work);
        Ok(if last { pending.lasting() } else { pending })
    }

    /// Downloads to a path; gives what the host said of the file, with its length.
    #[pyo3(signature = (url, path, *, overwrite=true, total=None, signal=None))]
    fn download(
        &self,
        py: Python<'_>,
        url: &str,
        path: PathBuf,
        overwrite: bool,
        total: Option<f64>,
        signal: Option<Py<AbortSignal>>,
    ) -> PyResult<Pending> {
        let call = Arc::new(self.fetch(py, url, total)?);
        let about = About {
            call: Some(call.clone()),
            signal,
        };
        let work = job(move |pool| async move {
            let info = download::save(pool, &call, &path, overwrite).await?;
            delivery(move |py| Ok(said(info).into_pyobject(py)?.into_any().unbind()))
        });
        Ok(Pending::new(self.connections.clone(), about, work))
    }

    /// Downloads many to their paths, `most` at a time; gives what their hosts said, in order.
    #[pyo3(signature = (files, most, *, overwrite=true, total=None, signal=None))]
    fn download_all(
        &self,
        py: Python<'_>,
        files: Vec<(PyBackedStr, PathBuf)>,
        most: usize,
        overwrite: bool,
        total: Option<f64>,
        signal: Option<Py<AbortSignal>>,
    ) -> PyResult<Pending> {
        let calls = files
            .into_iter()
            .map(|(url, path)| Ok((self.fetch(py, &url, total)?, path)));
        let calls = calls.collect::<PyResult<Vec<_>>>()?;
        let work = job(move |pool| async move {
            let infos = download::save_all(pool, calls, overwrite, most).await?;
            delivery(move |py| {
                infos
                    .into_iter()
                    .map(said)
                    .collect::<Vec<_>>()
                    .into_py_any(py)
            })
        });
        Ok(Pending::new(
            self.connections.clone(),
            About { call: None, signal },
            work,
        ))
    }

    /// Opens a stream of server-sent events, from where `place` is on.
    #[pyo3(signature = (url, form, place, *, total=None, signal=None))]
    fn events(
        &self,
        py: Python<'_>,
        url: &str,
        form: &str,
        place: &Bound<'_, Place>,
        total: Option<f64>,
        signal: Option<Py<AbortSignal>>,
    ) -> PyResult<Source> {
        let mut call = self.fetch(py, url, total)?;
        call.raw = false;
        call.headers
            .insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        call.headers
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let place = place.get().clone();
        // An id that no header can carry is of no use.
        if let Some(Ok(id)) = place
            .last_event_id()
            .map(|id| HeaderValue::from_bytes(id.as_bytes()))
        {
            call.headers.insert("last-event-id", id);
        }
        let what = What::Events {
            form: source::form(form)?,
            place,
            idle: self.idle,
        };
        Source::open(
            py,
            self.connections.clone(),
            Opening {
                call: Arc::new(call),
                signal,
                what,
                ahead: true,
                open: self.streams.clone(),
            },
        )
    }

    /// Opens a file, to be read in pieces from its byte `start` on; `ahead`, whether it is read on while nobody waits for it.
    #[pyo3(signature = (url, *, start=0, ahead=true, total=None, signal=None))]
    fn pieces(
        &self,
        py: Python<'_>,
        url: &str,
        start: u64,
        ahead: bool,
        total: Option<f64>,
        signal: Option<Py<AbortSignal>>,
    ) -> PyResult<Source> {
        let call = Arc::new(self.fetch(py, url, total)?);
        Source::open(
            py,
            self.connections.clone(),
            Opening {
                call,
                signal,
                what: What::File { start },
                ahead,
                open: self.streams.clone(),
            },
        )
    }

    /// A stream whose content is there already.
    fn recorded(&self, body: &[u8], form: &str, place: &Bound<'_, Place>) -> PyResult<Source> {
        Ok(Source::recorded(
            self.connections.clone(),
            source::form(form)?,
            place.get(),
            body,
            self.limit,
        ))
    }

    /// Sends a request that nobody waits for, at most for `total` seconds.
    fn detach(
        &self,
        py: Python<'_>,
        method: &str,
        target: &Bound<'_, PyAny>,
        total: f64,
    ) -> PyResult<()> {
        let mut call = self.unchecked_call(py, method, self.resolve(py, target, None)?)?;
        self.limit_in_time(&mut call, Some(total), None)?;
        let (pool, about) = (self.connections.on_runtime(), About::default());
        let process = process();
        process
            .detach(process.unattended(&self.unattended), async move {
                // Best effort: whoever cared has gone.
                let _ = http::send(&pool, &call).await;
            })
            .map_err(|error| raised(py, error, &about))
    }

    /// The body and the headers of a response as an error may show them: without the token.
    fn shown<'py>(&self, py: Python<'py>, response: &Bound<'_, Response>) -> Shown<'py> {
        let asked = match &self.token {
            Token::Asked(_, last) => locked(last).as_ref().map(|(_, home)| home.clone()),
            Token::Fixed => None,
        };
        shown(
            py,
            Some(asked.as_ref().unwrap_or(&self.home)),
            response.get().inner(),
        )
    }

    /// Where a request goes: a route or the segments of a path, and a query.
    #[pyo3(signature = (target, query=None))]
    fn url(
        &self,
        py: Python<'_>,
        target: &Bound<'_, PyAny>,
        query: Option<Pairs>,
    ) -> PyResult<String> {
        Ok(self.resolve(py, target, query)?.into())
    }

    /// The address of a file or of a stream as it is sent, if it is one.
    #[staticmethod]
    fn address(py: Python<'_>, text: &str) -> PyResult<String> {
        let url = absolute(text).map_err(|error| raised(py, error, &About::default()))?;
        Ok(url.into())
    }

    /// Waits until it is worth asking for a prediction or a training again, at most for `limit` seconds. `age` is for how many
    /// seconds it has been waited for; `watched`, whether more than its end is of interest; `list`, whether the list of
    /// predictions may be asked instead.
    #[pyo3(signature = (id, *, age, watched, list, limit=None, signal=None))]
    #[allow(clippy::too_many_arguments, reason = "one call site, all by keyword")]
    fn turn(
        &self,
        py: Python<'_>,
        id: String,
        age: f64,
        watched: bool,
        list: bool,
        limit: Option<f64>,
        signal: Option<Py<AbortSignal>>,
    ) -> PyResult<Pending> {
        let list = if list {
            let url = self
                .base
                .join(["predictions"])
                .map_err(|error| raised(py, error, &About::default()))?;
            Some(Call {
                observer: None,
                ..self.call(py, "GET", url)?
            })
        } else {
            None
        };
        let age = Duration::try_from_secs_f64(age).unwrap_or_default();
        let (wanted, limit) = (
            Wanted {
                id,
                age,
                watched,
                list,
            },
            seconds("limit", limit)?,
        );
        let closing = self.closing.clone();
        let work = job(move |pool| async move {
            let turn = closing.run_until_cancelled(polls::turn(&pool, &wanted));
            match limit {
                // At the limit it is the caller's turn in any case.
                Some(limit) => drop(tokio::time::timeout(limit, turn).await),
                None => {
                    let _ = turn.await;
                }
            }
            delivery(|py| Ok(py.None()))
        });
        Ok(Pending::new(
            self.connections.clone(),
            About { call: None, signal },
            work,
        ))
    }

    /// What all clients over these connections have done in this process: requests, those under way, failures, retries and
    /// connections; and how many streams and files this one reads.
    fn stats(&self) -> (u64, u64, u64, u64, u64, usize) {
        let shared = self.connections.shared();
        let (counters, finished) = (&shared.counters, shared.counters.finished.get());
        let requests = counters.requests.get();
        let under_way = requests.saturating_sub(finished);
        let streams = self.streams.load(Ordering::Relaxed);
        (
            requests,
            under_way,
            counters.failures.get(),
            counters.retries.get(),
            counters.connections.get(),
            streams,
        )
    }

    /// Which of some calls that were begun is over first; None if none is within `limit` seconds.
    #[pyo3(signature = (pendings, *, limit=None, signal=None))]
    fn first(
        &self,
        pendings: Vec<Bound<'_, Pending>>,
        limit: Option<f64>,
        signal: Option<Py<AbortSignal>>,
    ) -> PyResult<Pending> {
        let work = first_of(&pendings, seconds("limit", limit)?)?;
        Ok(Pending::new(
            self.connections.clone(),
            About { call: None, signal },
            work,
        ))
    }

    /// Nothing, for some seconds; or until the client is closed, unless it is to be waited for after that too.
    #[pyo3(signature = (seconds, *, signal=None, closed_too=false))]
    fn sleep(
        &self,
        seconds: f64,
        signal: Option<Py<AbortSignal>>,
        closed_too: bool,
    ) -> PyResult<Pending> {
        let wait = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err(format!("cannot sleep {seconds} s")))?;
        let closing = if closed_too {
            CancellationToken::new()
        } else {
            self.closing.clone()
        };
        let about = About { call: None, signal };
        let work = job(move |_| async move {
            let _ = closing.run_until_cancelled(tokio::time::sleep(wait)).await;
            delivery(|py| Ok(py.None()))
        });
        Ok(Pending::new(self.connections.clone(), about, work))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.token.traverse(&visit)
    }

    fn __clear__(&self) {
        self.token.clear();
    }

    fn __repr__(&self) -> String {
        format!("<Core {}>", self.base.as_str())
    }
}

impl Core {
    /// A request that creates something: finished even when its caller has gone, and then undone, unless that is to be kept.
    fn create(
        &self,
        call: Call,
        made: (&'static str, bool),
        signal: Option<Py<AbortSignal>>,
        expect: Expect,
    ) -> PyResult<Pending> {
        let (unattended, others) = (
            process().unattended(&self.unattended),
            process().creates.clone(),
        );
        let creation = Arc::new(Creation::new(
            self.number,
            self.base.clone(),
            made,
            call,
            unattended,
            others,
            self.closing.clone(),
        ));
        let about = About {
            call: Some(creation.call().clone()),
            signal,
        };
        let made = creation.clone();
        let work = job(move |pool| async move {
            let response = made.send(&pool).await?;
            deliver(made.call().clone(), response, expect)
        });
        Ok(Pending::creating(
            self.connections.clone(),
            about,
            work,
            creation,
        ))
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if !*self.closed.get_mut() {
            self.connections.leave();
        }
    }
}
