//! One request, one response: attempts, redirects, deadlines and limits over reqwest.
//!
//! Rules this file keeps:
//! * what belongs to the API's origin (the token, the caller's default headers) is added per hop, and only on that origin;
//! * only GET and HEAD follow redirects; none leads from https to http;
//! * elsewhere than at the API, only what `reach` allows is asked for, hop by hop;
//! * every wait has a limit: a free connection, the head, each part of the body, and all of it together.

use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use reqwest::{Client, ClientBuilder, Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use crate::error::{Error, Kind, Phase};
use crate::reach::{PublicOnly, Reach};
use crate::retry::Attempts;
use crate::tls::{Tls, get_or_try_init};
use crate::upload::Upload;
use crate::url::Origin;

const MOST_REDIRECTS: usize = 10;
/// Bodies up to this size, in bytes, get their buffer at once; a larger claim has to be backed by data.
const TRUSTED_LENGTH: usize = 16 << 20;

/// How long each part of an exchange may take; None is without limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeouts {
    /// For the answer's head after the last byte sent, and between two parts of its body.
    pub read: Option<Duration>,
    /// For one of the client's connections to become free.
    pub pool: Option<Duration>,
    /// For everything, retries included.
    pub total: Option<Duration>,
}

/// Headers for one origin only, however many redirects a request takes.
#[derive(Clone, Debug)]
pub struct Home {
    /// The only origin that sees them.
    pub origin: Origin,
    /// The token, the caller's default headers, and the user agent.
    pub headers: HeaderMap,
    /// What other origins see of them.
    pub user_agent: HeaderValue,
}

/// What a request carries.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// What is sent piece by piece.
    Upload(Arc<Upload>),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers for whichever origin answers.
    pub headers: HeaderMap,
    /// What it carries.
    pub body: Body,
    /// Headers for the API's own origin.
    pub home: Arc<Home>,
    /// Its limits in time.
    pub timeouts: Timeouts,
    /// Attempts after the first.
    pub retries: u32,
    /// The largest decompressed body, in bytes.
    pub limit: usize,
    /// Where it may go, elsewhere than to the API.
    pub reach: Reach,
}

/// A response that has been read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Where it came from, after redirects.
    pub url: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The decompressed body.
    pub body: Bytes,
}

impl Response {
    /// A response made by hand, for tests and for callers that answer themselves.
    pub fn new(status: u16, body: &str) -> Self {
        Self { status, url: String::new(), headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }
}

/// Headers that say which request an answer belongs to.
const REQUEST_IDS: [&str; 2] = ["x-request-id", "cf-ray"];

impl Response {
    /// Lets go of the connection's read buffer, which body and headers are slices of: the next answer is then read into memory
    /// that is still warm. Only the request's id is kept of the headers.
    pub fn compact(&mut self) {
        self.body = Bytes::copy_from_slice(&self.body);
        let ids = REQUEST_IDS.into_iter().filter_map(|name| {
            let value = HeaderValue::from_bytes(self.headers.get(name)?.as_bytes()).ok()?;
            Some((HeaderName::from_static(name), value))
        });
        self.headers = ids.collect();
    }
}

/// A response whose body is still arriving; dropping it closes the connection.
#[derive(Debug)]
pub struct Incoming {
    response: reqwest::Response,
    read: Option<Duration>,
    deadline: Option<(Instant, Duration)>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Incoming {
    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Whether it is a part of what was asked for (206).
    pub fn is_partial(&self) -> bool {
        self.response.status() == StatusCode::PARTIAL_CONTENT
    }

    /// The length the server claims, in bytes; None where it does not, or where the body was compressed.
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next part of the body as it came, or None at its end; without a limit in time.
    pub async fn part(&mut self) -> Result<Option<Bytes>, Error> {
        self.response.chunk().await.map_err(|error| Error { sent: true, ..error.into() })
    }

    /// The next part of the body as it came, or None at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let next = pin!(async { self.response.chunk().await.map_err(Error::from) });
        let next = limited(self.read, Phase::Body, next);
        match self.deadline {
            Some((at, limit)) => timeout_at(at, next).await.unwrap_or_else(|_| Err(Error::timeout(Phase::Total, limit))),
            None => next.await,
        }
        .map_err(|error| Error { sent: true, ..error })
    }

    /// The whole body, refused above `limit` bytes.
    async fn whole(mut self, limit: usize) -> Result<Response, Error> {
        let claimed = self.response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        if claimed > limit {
            return Err(too_large(limit));
        }
        let first = self.chunk().await?.unwrap_or_default();
        let second = if !first.is_empty() && first.len() == claimed { None } else { self.chunk().await? };
        let body = match second {
            None => first,
            Some(second) => {
                let mut body = BytesMut::with_capacity(claimed.min(TRUSTED_LENGTH).max(first.len() + second.len()));
                body.extend_from_slice(&first);
                let mut next = Some(second);
                while let Some(part) = next {
                    if body.len() + part.len() > limit {
                        return Err(too_large(limit));
                    }
                    body.extend_from_slice(&part);
                    next = self.chunk().await?;
                }
                body.freeze()
            }
        };
        if body.len() > limit {
            return Err(too_large(limit));
        }
        let (status, url) = (self.response.status().as_u16(), self.response.url().to_string());
        Ok(Response { status, url, headers: std::mem::take(self.response.headers_mut()), body })
    }
}

fn too_large(limit: usize) -> Error {
    Error { sent: true, ..Error::new(Kind::TooLarge(limit), format!("the response is larger than {limit} bytes")) }
}

/// The connections of one client on one runtime.
#[derive(Debug)]
pub struct Pool {
    connect: Option<Duration>,
    free: Option<Arc<Semaphore>>,
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
    public: OnceLock<Client>,
    tls: Arc<Tls>,
}

impl Pool {
    /// `free` is shared by all pools of a client; `tls` by all pools of the process.
    pub fn new(connect: Option<Duration>, free: Option<Arc<Semaphore>>, tls: Arc<Tls>) -> Self {
        let [plain, secure, public] = [const { OnceLock::new() }; 3];
        Self { connect, free, plain, secure, public, tls }
    }

    fn client(&self, url: &Url, public_only: bool) -> Result<&Client, Error> {
        if public_only {
            let set_up = || self.build(self.tls.trusting_the_system()?, |builder| builder.dns_resolver(PublicOnly));
            return get_or_try_init(&self.public, set_up);
        }
        if url.scheme() == "http" && !a_proxy_may_be_set() {
            return get_or_try_init(&self.plain, || self.build(self.tls.unused()?, |builder| builder));
        }
        get_or_try_init(&self.secure, || self.build(self.tls.trusting_the_system()?, |builder| builder))
    }

    fn build(&self, tls: rustls::ClientConfig, more: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, Error> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_keepalive(Duration::from_secs(15))
            .pool_idle_timeout(Duration::from_secs(60));
        if let Some(limit) = self.connect {
            builder = builder.connect_timeout(limit);
        }
        more(builder).build().map_err(|error| Error::new(Kind::Connect, format!("the HTTP client cannot be set up: {error}")))
    }
}

/// reqwest reads these variables itself; a proxy may be spoken to over TLS even for an http URL.
fn a_proxy_may_be_set() -> bool {
    static NAMES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    static SET: OnceLock<bool> = OnceLock::new();
    *SET.get_or_init(|| NAMES.iter().any(|name| std::env::var_os(name).is_some()))
}

/// Sends a call and reads the whole answer; a status of 400 or more is an error.
pub async fn send(pool: &Pool, call: &Call) -> Result<Response, Error> {
    let attempts = pin!(async {
        let mut attempts = Attempts::new(&call.method, call.retries);
        loop {
            match attempt(pool, call).await {
                Ok(response) => return Ok(response),
                Err(error) => pause(&mut attempts, error).await?,
            }
        }
    });
    limited(call.timeouts.total, Phase::Total, attempts).await
}

async fn attempt(pool: &Pool, call: &Call) -> Result<Response, Error> {
    exchange(pool, call).await?.whole(call.limit).await
}

/// Sends a call and returns as soon as the answer's head is there; a status of 400 or more is an error.
pub async fn open(pool: &Pool, call: &Call) -> Result<Incoming, Error> {
    let deadline = call.timeouts.total.map(|limit| (Instant::now() + limit, limit));
    let attempts = pin!(async {
        let mut attempts = Attempts::new(&call.method, call.retries);
        loop {
            match exchange(pool, call).await {
                Ok(incoming) => return Ok(Incoming { deadline, ..incoming }),
                Err(error) => pause(&mut attempts, error).await?,
            }
        }
    });
    limited(call.timeouts.total, Phase::Total, attempts).await
}

async fn pause(attempts: &mut Attempts, error: Error) -> Result<(), Error> {
    match attempts.after(&error, fastrand::f64()) {
        Some(wait) => {
            sleep(wait).await;
            Ok(())
        }
        None => Err(error),
    }
}

/// One attempt, redirects included.
async fn exchange(pool: &Pool, call: &Call) -> Result<Incoming, Error> {
    let permit = match &pool.free {
        Some(free) => {
            let wait =
                pin!(async { free.clone().acquire_owned().await.map_err(|error| Error::new(Kind::Connect, error.to_string())) });
            Some(limited(call.timeouts.pool, Phase::Pool, wait).await?)
        }
        None => None,
    };
    let mut target = None;
    for _ in 0..=MOST_REDIRECTS {
        let response = hop(pool, call, target.as_ref().unwrap_or(&call.url)).await?;
        let status = response.status();
        if let Some(next) = redirect(call, &response)? {
            target = Some(next);
            continue;
        }
        let incoming = Incoming { response, read: call.timeouts.read, deadline: None, _permit: permit };
        if status.is_client_error() || status.is_server_error() {
            let response = incoming.whole(call.limit).await?;
            let message = format!("the server answered {status}");
            return Err(Error { sent: true, ..Error::new(Kind::Status(Box::new(response)), message) });
        }
        return Ok(incoming);
    }
    Err(Error { sent: true, ..Error::new(Kind::Protocol, format!("more than {MOST_REDIRECTS} redirects")) })
}

/// One request on the wire.
async fn hop(pool: &Pool, call: &Call, url: &Url) -> Result<reqwest::Response, Error> {
    let at_home = call.home.origin.has(url);
    if !at_home {
        call.reach.check(url)?;
    }
    let client = pool.client(url, call.reach == Reach::Public && !at_home)?;
    let mut request = reqwest::Request::new(call.method.clone(), url.clone());
    let headers = request.headers_mut();
    if at_home {
        headers.clone_from(&call.home.headers);
    } else {
        headers.insert(USER_AGENT, call.home.user_agent.clone());
    }
    for (name, value) in &call.headers {
        headers.insert(name, value.clone());
    }
    let mut progress = None;
    let body = match &call.body {
        Body::Empty => None,
        Body::Bytes(bytes) => Some(bytes.clone().into()),
        Body::Upload(upload) => {
            headers.insert(CONTENT_LENGTH, upload.length().into());
            let (body, sent) = upload.body();
            progress = Some(sent);
            Some(body)
        }
    };
    *request.body_mut() = body;
    let answer = pin!(async { client.execute(request).await.map_err(|error| connect_timeout(pool, error)) });
    let Some(progress) = progress else { return limited(call.timeouts.read, Phase::Response, answer).await };
    let stalled = pin!(async {
        match call.timeouts.read {
            Some(limit) => {
                progress.stalled(limit).await;
                Err(Error::timeout(Phase::Response, limit))
            }
            None => std::future::pending().await,
        }
    });
    let answer = tokio::select! {
        answer = answer => answer,
        stalled = stalled => stalled,
    };
    answer.map_err(|error| progress.failure().unwrap_or(error))
}

fn connect_timeout(pool: &Pool, error: reqwest::Error) -> Error {
    match pool.connect {
        Some(limit) if error.is_connect() && error.is_timeout() => Error::timeout(Phase::Connect, limit),
        _ => error.into(),
    }
}

fn redirect(call: &Call, response: &reqwest::Response) -> Result<Option<Url>, Error> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refused = |why: &str| Error { sent: true, ..Error::new(Kind::Protocol, format!("the server redirects {why}")) };
    let Some(target) = response.headers().get(LOCATION) else { return Err(refused("without a Location")) };
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return Err(refused(&format!("a {}, which is not followed", call.method)));
    }
    let target = target.to_str().ok().and_then(|text| response.url().join(text).ok());
    match target {
        Some(url) if url.scheme() == "https" || (url.scheme() == "http" && response.url().scheme() == "http") => Ok(Some(url)),
        Some(url) => Err(refused(&format!("from {} to {}", response.url().scheme(), url.scheme()))),
        None => Err(refused("to something that is not a URL")),
    }
}

/// Takes pinned work: moving a whole exchange about would cost more than the timer.
pub async fn limited<T, F>(limit: Option<Duration>, phase: Phase, work: Pin<&mut F>) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    match limit {
        Some(limit) => timeout(limit, work).await.unwrap_or_else(|_| Err(Error::timeout(phase, limit))),
        None => work.await,
    }
}
