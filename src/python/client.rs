//! The core of a client: its options, and one method per kind of exchange.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use reqwest::Method;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue,
    USER_AGENT,
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::abort::PyAbortSignal;
use super::context::{CallContext, write_log};
use super::errors::{Redacted, missing_token, redacted};
use super::files::{PyDownloadCounters, PyFileInfo, PyUpload};
use super::headers::{Pairs, bearer, header, header_map};
use super::log::Log;
use super::pending::{PyPending, first_of};
use super::process::{Connections, process};
use super::response::{PyExpect, PyResponse, deliver_response};
use super::source::{PyResponseStream, PyStreamPosition, StreamContent, StreamRequest};
use super::work::{Job, deliver, job, ready};
use crate::address::{BaseUrl, parse_absolute};
use crate::error::{Error, Kind};
use crate::files::download;
use crate::http::body::{Part, Upload};
use crate::http::connect::ConnectOptions;
use crate::http::exchange;
use crate::http::fetch_policy::FetchPolicy;
use crate::http::proxy::Proxy;
use crate::http::request::{ApiOrigin, Body, Request, Timeouts};
use crate::http::tls::Trust;
use crate::lock::{lock, take};
use crate::predictions::create::{Create, Owner};
use crate::predictions::polls::{self, Target};
use crate::stream::batch::Form;

/// The largest body that is sent in one block, in bytes. A larger body is sent in several, so that
/// not all of it is sent if the request is abandoned.
const MAX_BLOCK: usize = 64 << 10;

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// The options of a client.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct CoreOptions {
    user_agent: PyBackedStr,
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
    #[pyo3(default)]
    write: Option<f64>,
    #[pyo3(default)]
    proxy: Option<PyBackedStr>,
    #[pyo3(default = true)]
    verify: bool,
    #[pyo3(default)]
    ssl_cert_file: Option<PathBuf>,
    #[pyo3(default)]
    cert: Option<(PathBuf, PathBuf)>,
}

impl CoreOptions {
    /// Create the connections, reading the certificates that the options name.
    fn connections(&self, py: Python<'_>) -> PyResult<Connections> {
        let options = ConnectOptions {
            timeout: parse_timeout("connect", self.connect)?,
            max_connections: self.max_connections,
            proxy: self
                .proxy
                .as_ref()
                .map(|text| Proxy::parse("proxy", text))
                .transpose()?,
            trust: if self.verify {
                Trust::System
            } else {
                Trust::Anyone
            },
            identity: None,
        };
        let (authorities, identity) = (self.ssl_cert_file.as_deref(), self.cert.as_ref());
        Ok(Connections::new(py.detach(|| {
            options.with_certificates(authorities, identity)
        })?))
    }

    fn timeouts(&self) -> PyResult<Timeouts> {
        Ok(Timeouts {
            read: parse_timeout("read", self.read)?,
            write: parse_timeout("write", self.write)?,
            pool: parse_timeout("pool", self.pool)?,
            total: parse_timeout("total", self.total)?,
            caller: None,
        })
    }
}

/// A timeout in seconds, above 0.
fn parse_timeout(name: &str, seconds: Option<f64>) -> PyResult<Option<Duration>> {
    let parse = |seconds: f64| {
        let timeout = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|_| seconds > 0.0);
        timeout.ok_or_else(|| {
            let message = format!("{name} must be a number of seconds above 0, or None");
            PyValueError::new_err(message)
        })
    };
    seconds.map(parse).transpose()
}

/// The API token of a client.
enum Token {
    /// In the headers of `ApiOrigin`, if there is one.
    Fixed,
    /// Returned by a function before each request; the last token, and the headers with it. The
    /// function is None after the garbage collector has cleared this.
    Callable(
        Mutex<Option<Py<PyAny>>>,
        Mutex<Option<(String, Arc<ApiOrigin>)>>,
    ),
}

/// The kind of record that a request creates.
struct Collection(&'static str);

impl<'py> FromPyObject<'_, 'py> for Collection {
    type Error = PyErr;

    fn extract(name: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match name.cast::<PyString>()?.to_str()? {
            "predictions" => Ok(Self("predictions")),
            "trainings" => Ok(Self("trainings")),
            other => Err(PyValueError::new_err(format!(
                "creates must be 'predictions' or 'trainings', not {other:?}"
            ))),
        }
    }
}

#[derive(FromPyObject)]
enum BytesOrUpload<'py> {
    Bytes(PyBackedBytes),
    Upload(Bound<'py, PyUpload>),
}

impl From<BytesOrUpload<'_>> for Body {
    fn from(body: BytesOrUpload<'_>) -> Self {
        match body {
            BytesOrUpload::Bytes(bytes) if bytes.len() > MAX_BLOCK => {
                let part = Part::memory(Bytes::from_owner(bytes));
                Body::Upload(Arc::new(Upload::new(vec![part])))
            }
            BytesOrUpload::Bytes(bytes) => Body::Bytes(Bytes::from_owner(bytes)),
            BytesOrUpload::Upload(upload) => Body::Upload(upload.get().0.clone()),
        }
    }
}

/// The core of a client.
#[pyclass(name = "Core", frozen, weakref, module = "replicate_rs._core")]
pub(crate) struct PyCore {
    connections: Arc<Connections>,
    base: Arc<BaseUrl>,
    token: Token,
    api: Arc<ApiOrigin>,
    timeouts: Timeouts,
    /// How long a stream of events may be idle.
    idle_timeout: Option<Duration>,
    retries: u32,
    max_bytes: usize,
    /// For files and streams.
    fetch_policy: FetchPolicy,
    is_closed: AtomicBool,
    /// Identifies this client's create requests.
    number: u64,
    /// Cancelled when the client is closed, which ends waits that are not for a request.
    closing: CancellationToken,
    /// Counts background work.
    unattended: Arc<AtomicUsize>,
    /// Counts streams and files that are being read.
    streams: Arc<AtomicUsize>,
}

#[pymethods]
impl PyCore {
    #[new]
    #[pyo3(
        signature = (base_url, token, *, share=None, **options),
        text_signature = "(base_url, token, *, user_agent, headers, connect, read, pool, total, idle, max_retries, max_connections, max_bytes, public_only, write=None, proxy=None, verify=True, ssl_cert_file=None, cert=None, share=None)"
    )]
    fn new(
        py: Python<'_>,
        base_url: &str,
        token: Option<Bound<'_, PyAny>>,
        share: Option<&PyCore>,
        options: Option<CoreOptions>,
    ) -> PyResult<Self> {
        let options = options.ok_or_else(|| PyTypeError::new_err("the options are missing"))?;
        let base = Arc::new(BaseUrl::parse(base_url)?);
        if options.max_connections == Some(0) {
            return Err(PyValueError::new_err(
                "max_connections must be 1 or more, or None",
            ));
        }
        let mut headers = header_map(&options.headers)?;
        let token = match token {
            None => Token::Fixed,
            Some(token) if token.is_callable() => {
                Token::Callable(Mutex::new(Some(token.unbind())), Mutex::default())
            }
            Some(token) => {
                let token = token.cast::<PyString>().map_err(|_| {
                    PyTypeError::new_err("the API token must be a str or a callable")
                })?;
                if !token.to_str()?.is_empty() {
                    headers.insert(AUTHORIZATION, bearer(token.to_str()?)?);
                }
                Token::Fixed
            }
        };
        let (name, user_agent) = header(USER_AGENT.as_str(), &options.user_agent)?;
        headers.entry(name).or_insert(user_agent.clone());
        let connections = match share {
            Some(core) => {
                core.connections.join();
                core.connections.clone()
            }
            None => Arc::new(options.connections(py)?),
        };
        Ok(Self {
            connections,
            api: Arc::new(ApiOrigin {
                origin: base.origin().clone(),
                headers,
                user_agent,
            }),
            timeouts: options.timeouts()?,
            idle_timeout: parse_timeout("idle", options.idle)?,
            base,
            token,
            retries: options.max_retries,
            max_bytes: options.max_bytes,
            fetch_policy: if options.public_only {
                FetchPolicy::Public
            } else {
                FetchPolicy::Secure
            },
            is_closed: AtomicBool::new(false),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            closing: CancellationToken::new(),
            unattended: Arc::default(),
            streams: Arc::default(),
        })
    }

    /// The base URL, which ends in the API's version.
    #[getter]
    fn base_url(&self) -> &str {
        self.base.as_str()
    }

    /// Close idle connections and refuse further calls. Create requests that are under way are
    /// finished, and what they created is cancelled.
    fn close(&self) {
        if !self.is_closed.swap(true, Ordering::Relaxed) {
            self.closing.cancel();
            for create in process().creates.all() {
                if create.owner.client == self.number {
                    create.revoke();
                }
            }
            self.connections.leave();
        }
    }

    /// How much background work of this client is under way.
    #[getter]
    fn unattended(&self) -> usize {
        self.unattended.load(Ordering::Relaxed)
    }

    /// Whether `close` was called.
    #[getter]
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Send a request and read the whole response.
    #[pyo3(signature = (method, target, expect, *, query=None, body=None, content_type=None, headers=None, total=None, read=None, retries=None, signal=None, creates=None, keeps=false, last=false))]
    #[allow(
        clippy::too_many_arguments,
        reason = "a dict of options costs every request time"
    )]
    fn send(
        &self,
        py: Python<'_>,
        method: &str,
        target: &Bound<'_, PyAny>,
        expect: PyExpect,
        query: Option<Pairs>,
        body: Option<BytesOrUpload<'_>>,
        content_type: Option<&str>,
        headers: Option<Pairs>,
        total: Option<f64>,
        read: Option<f64>,
        retries: Option<u32>,
        signal: Option<Py<PyAbortSignal>>,
        creates: Option<Collection>,
        keeps: bool,
        last: bool,
    ) -> PyResult<PyPending> {
        let url = self.resolve(target, query)?;
        if !last {
            self.check_open()?;
        }
        let mut request = self.request(py, method, url)?;
        request.body = body.map_or(Body::Empty, Into::into);
        if let Some(content_type) = content_type {
            let (name, value) = header(CONTENT_TYPE.as_str(), content_type)?;
            request.headers.insert(name, value);
        }
        if expect == PyExpect::Bytes {
            // Files are compressed already, and without another compression their length is known.
            request
                .headers
                .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            request.max_bytes = usize::MAX;
        }
        if let Some(headers) = headers {
            request.own_headers.extend(header_map(&headers)?);
        }
        set_timeouts(&mut request, total, read)?;
        request.retries = retries.unwrap_or(request.retries);
        if let Some(Collection(collection)) = creates {
            let create = Create::new(self.owner(), collection, keeps, request);
            return Ok(self.create(Arc::new(create), signal, expect));
        }
        let request = Arc::new(request);
        let context = CallContext::new(&request, signal);
        let counted = last.then(|| process().unattended(&self.unattended).enter());
        let work = job(move |pool| async move {
            let _counted = counted;
            let response = exchange::send(&pool, &request).await?;
            deliver_response(request, response, expect)
        });
        let pending = PyPending::new(self.connections.clone(), context, work);
        Ok(if last { pending.lasting() } else { pending })
    }

    /// Download to a path; return the file's metadata from the host, and its length.
    #[pyo3(signature = (url, path, *, overwrite=true, total=None, signal=None, counters=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn download(
        &self,
        py: Python<'_>,
        url: &str,
        path: PathBuf,
        overwrite: bool,
        total: Option<f64>,
        signal: Option<Py<PyAbortSignal>>,
        counters: Option<Bound<'_, PyDownloadCounters>>,
    ) -> PyResult<PyPending> {
        let request = Arc::new(self.fetch(py, url, total)?);
        let context = CallContext::new(&request, signal);
        let counters = counters.map(|it| it.get().0.clone()).unwrap_or_default();
        let work = job(move |pool| async move {
            let info = download::save(pool, &request, &path, overwrite, &counters).await?;
            deliver(move |py| PyFileInfo::from(info).into_py_any(py))
        });
        Ok(PyPending::new(self.connections.clone(), context, work))
    }

    /// Download many files to their paths, `most` at a time; return the metadata of each, in
    /// order.
    #[pyo3(signature = (files, most, *, overwrite=true, total=None, signal=None, counters=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn download_all(
        &self,
        py: Python<'_>,
        files: Vec<(PyBackedStr, PathBuf)>,
        most: usize,
        overwrite: bool,
        total: Option<f64>,
        signal: Option<Py<PyAbortSignal>>,
        counters: Option<Bound<'_, PyDownloadCounters>>,
    ) -> PyResult<PyPending> {
        let requests = files
            .into_iter()
            .map(|(url, path)| Ok((self.fetch(py, &url, total)?, path)));
        let requests = requests.collect::<PyResult<Vec<_>>>()?;
        let observed = requests.iter();
        let observers: Vec<_> = observed
            .filter_map(|(request, _)| request.observer.clone())
            .collect();
        let counters = counters.map(|it| it.get().0.clone()).unwrap_or_default();
        let work = job(move |pool| async move {
            let infos = download::save_all(pool, requests, overwrite, most, &counters).await?;
            let infos: Vec<_> = infos.into_iter().map(PyFileInfo::from).collect();
            deliver(move |py| {
                for observer in &observers {
                    write_log(py, Some(&**observer));
                }
                infos.into_py_any(py)
            })
        });
        Ok(self.pending(signal, work))
    }

    /// Open a stream of server-sent events, to continue at `place`.
    #[pyo3(signature = (url, form, place, *, total=None, signal=None))]
    fn events(
        &self,
        py: Python<'_>,
        url: &str,
        form: Form,
        place: &Bound<'_, PyStreamPosition>,
        total: Option<f64>,
        signal: Option<Py<PyAbortSignal>>,
    ) -> PyResult<PyResponseStream> {
        let mut request = self.fetch(py, url, total)?;
        request.is_raw = false;
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        request
            .headers
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let position = place.get().clone();
        // An id that a header cannot carry is not sent.
        let id = position
            .last_event_id()
            .map(|id| HeaderValue::from_bytes(id.as_bytes()));
        if let Some(Ok(id)) = id {
            request.headers.insert("last-event-id", id);
        }
        let content = StreamContent::Events {
            form,
            position,
            idle_timeout: self.idle_timeout,
        };
        self.stream(py, request, signal, content, true)
    }

    /// Open a file to be read in pieces from the byte `start` on. With `ahead`, it is read while
    /// nothing waits for it.
    #[pyo3(signature = (url, *, start=0, ahead=true, total=None, signal=None))]
    fn pieces(
        &self,
        py: Python<'_>,
        url: &str,
        start: u64,
        ahead: bool,
        total: Option<f64>,
        signal: Option<Py<PyAbortSignal>>,
    ) -> PyResult<PyResponseStream> {
        let request = self.fetch(py, url, total)?;
        self.stream(py, request, signal, StreamContent::File { start }, ahead)
    }

    /// Create a stream of content that is already known.
    fn recorded(
        &self,
        body: &[u8],
        form: Form,
        place: &Bound<'_, PyStreamPosition>,
    ) -> PyResponseStream {
        let connections = self.connections.clone();
        PyResponseStream::recorded(connections, form, place.get(), body, self.max_bytes)
    }

    /// Send a request in the background, within `total` seconds.
    fn detach(
        &self,
        py: Python<'_>,
        method: &str,
        target: &Bound<'_, PyAny>,
        total: f64,
    ) -> PyResult<()> {
        let mut request = self.request(py, method, self.resolve(target, None)?)?;
        set_timeouts(&mut request, Some(total), None)?;
        let pool = self.connections.on_runtime();
        let send = async move {
            // A failure is ignored: no caller waits for the result.
            let _ = exchange::send(&pool, &request).await;
        };
        Ok(process().run_unattended(process().unattended(&self.unattended), send)?)
    }

    /// Return the body and the headers of a response without the token.
    fn shown<'py>(&self, py: Python<'py>, response: &Bound<'_, PyResponse>) -> Redacted<'py> {
        let last = match &self.token {
            Token::Callable(_, last) => lock(last).as_ref().map(|(_, api)| api.clone()),
            Token::Fixed => None,
        };
        redacted(
            py,
            Some(last.as_ref().unwrap_or(&self.api)),
            &response.get().inner,
        )
    }

    /// Return the URL of a route, or of the segments of a path, with a query.
    #[pyo3(signature = (target, query=None))]
    fn url(&self, target: &Bound<'_, PyAny>, query: Option<Pairs>) -> PyResult<String> {
        Ok(self.resolve(target, query)?.into())
    }

    /// Return the URL of a file or a stream in its normal form; raise ValueError for other text.
    #[staticmethod]
    fn address(text: &str) -> PyResult<String> {
        Ok(parse_absolute(text)?.into())
    }

    /// Wait until a prediction or a training should be polled, at most for `limit` seconds. `age`
    /// is how long the caller has waited for it, in seconds. `watched` is whether its progress is
    /// wanted. `list` is whether the list of predictions may be read instead.
    #[pyo3(signature = (id, *, age, watched, list, limit=None, signal=None))]
    #[allow(clippy::too_many_arguments, reason = "one caller, by keyword")]
    fn turn(
        &self,
        py: Python<'_>,
        id: String,
        age: f64,
        watched: bool,
        list: bool,
        limit: Option<f64>,
        signal: Option<Py<PyAbortSignal>>,
    ) -> PyResult<PyPending> {
        let list = if list {
            self.check_open()?;
            // It is sent for all that wait.
            Some(self.unobserved_request(py, "GET", self.base.join(["predictions"])?)?)
        } else {
            None
        };
        let age = Duration::try_from_secs_f64(age).unwrap_or_default();
        let target = Target {
            id,
            age,
            has_progress: watched,
            list,
        };
        let limit = parse_timeout("limit", limit)?.unwrap_or(Duration::MAX);
        let (connections, closing) = (self.connections.clone(), self.closing.clone());
        let work = job(move |pool| async move {
            let pace = connections.pace();
            let turn = polls::wait_for_turn(&pool, &pace, &target);
            // At the limit, the caller polls in any case.
            drop(tokio::time::timeout(limit, closing.run_until_cancelled(turn)).await);
            ready()
        });
        Ok(self.pending(signal, work))
    }

    /// Return the counts of all clients with these connections in this process (requests, active
    /// requests, failures, retries and connections), and how many streams and files this client is
    /// reading.
    fn stats(&self) -> (u64, u64, u64, u64, u64, usize) {
        let shared = self.connections.shared();
        let counters = &shared.counters;
        // Read first, so that it is never larger than the number of requests.
        let finished = counters.finished.get();
        let requests = counters.requests.get();
        (
            requests,
            requests.saturating_sub(finished),
            counters.failures.get(),
            counters.retries.get(),
            counters.connections.get(),
            self.streams.load(Ordering::Relaxed),
        )
    }

    /// Return how many predictions a second may be created, by the latest responses; None if they
    /// did not say.
    fn create_rate(&self) -> Option<f64> {
        let shared = self.connections.shared();
        shared.create_limit.per_second(Instant::now())
    }

    /// Return the index of the first of several running calls to end; None if none ends within
    /// `limit` seconds.
    #[pyo3(signature = (pendings, *, limit=None, signal=None))]
    fn first(
        &self,
        pendings: Vec<Bound<'_, PyPending>>,
        limit: Option<f64>,
        signal: Option<Py<PyAbortSignal>>,
    ) -> PyResult<PyPending> {
        let work = first_of(&pendings, parse_timeout("limit", limit)?)?;
        Ok(self.pending(signal, work))
    }

    /// Wait for some seconds, or until the client is closed unless `closed_too` is true.
    #[pyo3(signature = (seconds, *, signal=None, closed_too=false))]
    fn sleep(
        &self,
        seconds: f64,
        signal: Option<Py<PyAbortSignal>>,
        closed_too: bool,
    ) -> PyResult<PyPending> {
        let wait = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err(format!("cannot sleep {seconds} s")))?;
        let closing = if closed_too {
            CancellationToken::new()
        } else {
            self.closing.clone()
        };
        let work = job(move |_| async move {
            let _ = closing.run_until_cancelled(tokio::time::sleep(wait)).await;
            ready()
        });
        Ok(self.pending(signal, work))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.token {
            Token::Callable(function, _) => function
                .try_lock()
                .map_or(Ok(()), |function| visit.call(&*function)),
            Token::Fixed => Ok(()),
        }
    }

    fn __clear__(&self) {
        if let Token::Callable(function, _) = &self.token {
            drop(take(function));
        }
    }

    fn __repr__(&self) -> String {
        format!("<Core {}>", self.base.as_str())
    }
}

impl PyCore {
    fn pending(&self, signal: Option<Py<PyAbortSignal>>, work: Job) -> PyPending {
        let context = CallContext {
            request: None,
            signal,
        };
        PyPending::new(self.connections.clone(), context, work)
    }

    fn stream(
        &self,
        py: Python<'_>,
        request: Request,
        signal: Option<Py<PyAbortSignal>>,
        content: StreamContent,
        read_ahead: bool,
    ) -> PyResult<PyResponseStream> {
        let (request, active) = (Arc::new(request), self.streams.clone());
        let stream = StreamRequest {
            request,
            signal,
            content,
            read_ahead,
            active,
        };
        PyResponseStream::open(py, self.connections.clone(), stream)
    }

    fn owner(&self) -> Owner {
        Owner {
            client: self.number,
            base: self.base.clone(),
            creates: process().creates.clone(),
            unattended: process().unattended(&self.unattended),
            closing: self.closing.clone(),
        }
    }

    fn create(
        &self,
        create: Arc<Create>,
        signal: Option<Py<PyAbortSignal>>,
        expect: PyExpect,
    ) -> PyPending {
        let context = CallContext::new(create.request(), signal);
        let sending = create.clone();
        let work = job(move |pool| async move {
            let response = sending.send(&pool).await?;
            deliver_response(sending.request().clone(), response, expect)
        });
        PyPending::creating(self.connections.clone(), context, work, create)
    }

    /// Return the URL of a route, absolute or relative, or of the segments of a path.
    fn resolve(&self, target: &Bound<'_, PyAny>, query: Option<Pairs>) -> PyResult<Url> {
        let mut url = if let Ok(route) = target.cast::<PyString>() {
            self.base.resolve(route.to_str()?)?
        } else {
            let tuple = target.cast::<PyTuple>()?;
            let segments = tuple.iter().map(|segment| segment.extract());
            let segments: Vec<PyBackedStr> = segments
                .collect::<PyResult<_>>()
                .map_err(|_| invalid_segments(tuple))?;
            self.base.join(segments.iter().map(|segment| &**segment))?
        };
        for (name, value) in query.iter().flatten() {
            url.query_pairs_mut().append_pair(name, value);
        }
        Ok(url)
    }

    fn check_open(&self) -> PyResult<()> {
        if self.is_closed() {
            let message = "this client is closed: make another one";
            return Err(Error::new(Kind::Closed, message).into());
        }
        Ok(())
    }

    /// Create a request, which a closed client may send too.
    fn request(&self, py: Python<'_>, method: &str, url: Url) -> PyResult<Request> {
        let mut request = self.unobserved_request(py, method, url)?;
        if let Some((log, headers)) = Log::if_enabled(py, self.api.origin.contains(&request.url))? {
            request.observer = Some(log);
            request.own_headers = headers;
        }
        Ok(request)
    }

    /// Create a request that is neither logged nor traced.
    fn unobserved_request(&self, py: Python<'_>, method: &str, url: Url) -> PyResult<Request> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| PyValueError::new_err(format!("method {method:?}")))?;
        if matches!(method, Method::CONNECT | Method::TRACE) {
            // CONNECT is for proxies; TRACE returns the request, token included (RFC 9110 §9.3.6,
            // §9.3.8).
            let message = format!("method {method} is not for an API: give another");
            return Err(PyValueError::new_err(message));
        }
        let api = self.api_origin(py, &url)?;
        Ok(Request {
            method,
            url,
            headers: HeaderMap::new(),
            own_headers: HeaderMap::new(),
            body: Body::Empty,
            api,
            timeouts: self.timeouts,
            retries: self.retries,
            max_bytes: self.max_bytes,
            is_raw: false,
            fetch_policy: FetchPolicy::Anywhere,
            observer: None,
            abandoned: None,
            takes_turns: false,
        })
    }

    /// Create a request for a file or a stream at any origin. The response must not be compressed:
    /// most files are already, and their length is needed.
    fn fetch(&self, py: Python<'_>, url: &str, total: Option<f64>) -> PyResult<Request> {
        let url = parse_absolute(url)?;
        self.check_open()?;
        let mut request = self.request(py, "GET", url)?;
        request
            .headers
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        request.is_raw = true;
        request.fetch_policy = self.fetch_policy;
        set_timeouts(&mut request, total, None)?;
        Ok(request)
    }

    /// Return the API's origin with the token's header. The token's function is called only if the
    /// token will be sent.
    fn api_origin(&self, py: Python<'_>, url: &Url) -> PyResult<Arc<ApiOrigin>> {
        if !self.api.origin.contains(url) {
            return Ok(self.api.clone());
        }
        if let Token::Callable(function, last) = &self.token {
            let function = lock(function)
                .as_ref()
                .map(|function| function.clone_ref(py));
            let token = function.map_or_else(|| Ok(py.None()), |function| function.call0(py))?;
            let token: Option<PyBackedStr> = token
                .extract(py)
                .map_err(|_| PyTypeError::new_err("the API token must be a str"))?;
            if let Some(token) = token.filter(|token| !token.is_empty()) {
                return self.with_token(&token, last);
            }
        }
        if self.api.headers.contains_key(AUTHORIZATION) || self.base.is_loopback() {
            return Ok(self.api.clone());
        }
        Err(missing_token(py, self.base.as_str()))
    }

    /// Return the API's origin with a token's header, which is kept for the next request.
    fn with_token(
        &self,
        token: &str,
        last: &Mutex<Option<(String, Arc<ApiOrigin>)>>,
    ) -> PyResult<Arc<ApiOrigin>> {
        if let Some((known, api)) = &*lock(last)
            && known == token
        {
            return Ok(api.clone());
        }
        let mut api = ApiOrigin::clone(&self.api);
        api.headers.insert(AUTHORIZATION, bearer(token)?);
        let api = Arc::new(api);
        *lock(last) = Some((token.to_owned(), api.clone()));
        Ok(api)
    }
}

impl Drop for PyCore {
    fn drop(&mut self) {
        if !*self.is_closed.get_mut() {
            self.connections.leave();
        }
    }
}

fn set_timeouts(request: &mut Request, total: Option<f64>, read: Option<f64>) -> PyResult<()> {
    if total.is_some() {
        request.timeouts.total = parse_timeout("timeout", total)?;
    }
    // A response that the server holds back needs a longer timeout, never a shorter one.
    if let (Some(own), Some(read)) = (request.timeouts.read, parse_timeout("read", read)?) {
        request.timeouts.read = Some(own.max(read));
    }
    Ok(())
}

/// Return the exception for a path with a segment that is not text.
fn invalid_segments(segments: &Bound<'_, PyTuple>) -> PyErr {
    let others = segments
        .iter()
        .filter(|segment| !segment.is_instance_of::<PyString>());
    let types: Vec<_> = others
        .filter_map(|other| Some(other.get_type().name().ok()?.to_string()))
        .collect();
    if types.is_empty() {
        let message = "ids and names must be Unicode text; this one holds half of a surrogate pair";
        return PyValueError::new_err(message);
    }
    PyTypeError::new_err(format!(
        "ids and names must be str, not {}",
        types.join(", ")
    ))
}
