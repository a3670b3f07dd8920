//! One request, one response: attempts, redirects, deadlines and limits over reqwest.
//!
//! Rules this file keeps:
//! * what belongs to the API's origin (the token, the caller's default headers) is added per hop, and only on that origin;
//! * only GET and HEAD follow redirects; none leads from https to http;
//! * elsewhere than at the API, only what `reach` allows is asked for, hop by hop;
//! * every wait has a limit: a free connection, the head, each part of the body, and all of it together.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use bytes::{Bytes, BytesMut};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
pub use reqwest::header::HeaderMap;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, LOCATION, RANGE, USER_AGENT};
use reqwest::{Method, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use url::Url;

use crate::clock;
use crate::error::{Error, Kind, Phase};
use crate::http::pool::{Pool, Wanted};
use crate::http::fetch_policy::Reach;
use crate::response::{Response, request_id};
use crate::retry::Attempts;
use crate::http::timing::{begin, enter, failed, is_reused, sending, silence, stalled, watched, within};
use crate::http::stats::{Attempt, Observer, UnderWay};
use crate::http::tls::refusal;
use crate::http::body::Upload;
use crate::address::Origin;

const MOST_REDIRECTS: usize = 10;
/// Bytes of the body of a status of 400 or more: its status matters more than the rest of it.
const LARGEST_COMPLAINT: usize = 1 << 20;
/// How long it may take where the caller set no limit; where he did, that one holds over all of it, not only from part to part.
const LONGEST_COMPLAINT: Duration = Duration::from_secs(60);
/// Bodies up to this size, in bytes, get their buffer at once; a larger claim has to be backed by data.
const TRUSTED_LENGTH: usize = 16 << 20;

/// How long each part of an exchange may take; None is without limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeouts {
    /// For the answer's head after the last byte sent, and between two parts of its body.
    pub read: Option<Duration>,
    /// For the connection to take a piece of the body.
    pub write: Option<Duration>,
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
    /// The caller's own headers of this request, for the origin that it was addressed to.
    pub own: HeaderMap,
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
    /// Whether its answer's body is given as it is sent, without decompression.
    pub raw: bool,
    /// Where it may go, elsewhere than to the API.
    pub reach: Reach,
    /// Is told of each attempt.
    pub observer: Option<Arc<dyn Observer>>,
    /// Cancelled when nobody waits for the answer any more: there is no other attempt then.
    pub left: Option<CancellationToken>,
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

    /// Whether the body is compressed, or encoded in another way (RFC 9110 §8.4); of what was decompressed already nobody knows that.
    pub fn is_encoded(&self) -> bool {
        let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        self.headers()
            .get(CONTENT_ENCODING)
            .is_some_and(|value| !identity(value))
    }

    /// The length the server claims, in bytes; None where it does not, or where the body was compressed.
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next part of the body as it came, or None at its end; without a limit in time.
    pub async fn part(&mut self) -> Result<Option<Bytes>, Error> {
        self.response
            .chunk()
            .await
            .map_err(|error| self.known(error.into()))
    }

    /// The next part of the body as it came, or None at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let (read, deadline) = (self.read, self.deadline);
        let came = {
            let next = pin!(async { self.response.chunk().await.map_err(Error::from) });
            let next = limited(read, Phase::Body, next);
            match deadline {
                Some((at, limit)) => timeout_at(at, next)
                    .await
                    .unwrap_or_else(|_| Err(Error::late(limit, Phase::Body, None))),
                None => next.await,
            }
        };
        came.map_err(|error| self.known(error))
    }

    /// What is known of a failure after the head came.
    fn known(&self, error: Error) -> Error {
        Error {
            sent: true,
            request_id: request_id(self.response.headers()).map(Into::into),
            ..error
        }
    }

    /// The whole body, refused above `limit` bytes.
    async fn whole(mut self, limit: usize) -> Result<Response, Error> {
        let claimed = self
            .response
            .content_length()
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(0);
        if claimed > limit {
            return Err(self.known(too_large(limit)));
        }
        let first = self.chunk().await?.unwrap_or_default();
        let second = if !first.is_empty() && first.len() == claimed {
            None
        } else {
            self.chunk().await?
        };
        let body = match second {
            None => first,
            Some(second) => {
                let mut body = BytesMut::with_capacity(
                    claimed.min(TRUSTED_LENGTH).max(first.len() + second.len()),
                );
                body.extend_from_slice(&first);
                let mut next = Some(second);
                while let Some(part) = next {
                    if body.len() + part.len() > limit {
                        return Err(self.known(too_large(limit)));
                    }
                    body.extend_from_slice(&part);
                    next = self.chunk().await?;
                }
                body.freeze()
            }
        };
        if body.len() > limit {
            return Err(self.known(too_large(limit)));
        }
        let (status, url) = (
            self.response.status().as_u16(),
            self.response.url().to_string(),
        );
        Ok(Response {
            status,
            url,
            headers: std::mem::take(self.response.headers_mut()),
            body,
        })
    }

    /// As much of the body of a complaint as is of use and comes in time; its connection is closed if there is more.
    async fn complaint(mut self) -> Response {
        let mut body = BytesMut::new();
        let end = clock::deadline(Instant::now(), self.read.unwrap_or(LONGEST_COMPLAINT));
        // A complaint that breaks off is a complaint.
        while let Ok(Ok(Some(part))) = timeout_at(end, self.chunk()).await {
            let room = LARGEST_COMPLAINT.saturating_sub(body.len());
            body.extend_from_slice(part.get(..room).unwrap_or(&part));
            if body.len() >= LARGEST_COMPLAINT {
                break;
            }
        }
        let (status, url) = (
            self.response.status().as_u16(),
            self.response.url().to_string(),
        );
        Response {
            status,
            url,
            headers: std::mem::take(self.response.headers_mut()),
            body: body.freeze(),
        }
    }
}

fn too_large(limit: usize) -> Error {
    Error {
        sent: true,
        ..Error::new(
            Kind::TooLarge(limit),
            format!("the response is larger than {limit} bytes"),
        )
    }
}

/// Sends a call and reads the whole answer; a status of 400 or more is an error.
pub async fn send(pool: &Pool, call: &Call) -> Result<Response, Error> {
    let attempts = pin!(async {
        let mut tries = Tries::new(pool, call);
        loop {
            match attempt(pool, call).await {
                Ok(response) => return Ok(tries.done(response.status, response)),
                Err(error) => tries.failed(error).await?,
            }
        }
    });
    within(call.timeouts.total, attempts).await
}

async fn attempt(pool: &Pool, call: &Call) -> Result<Response, Error> {
    exchange(pool, call).await?.whole(call.limit).await
}

/// Sends a call and returns as soon as the answer's head is there; a status of 400 or more is an error.
pub async fn open(pool: &Pool, call: &Call) -> Result<Incoming, Error> {
    let deadline = call
        .timeouts
        .total
        .map(|limit| (clock::deadline(Instant::now(), limit), limit));
    let attempts = pin!(async {
        let mut tries = Tries::new(pool, call);
        loop {
            match exchange(pool, call).await {
                Ok(incoming) => {
                    return Ok(tries.done(
                        incoming.response.status().as_u16(),
                        Incoming {
                            deadline,
                            ..incoming
                        },
                    ));
                }
                Err(error) => tries.failed(error).await?,
            }
        }
    });
    within(call.timeouts.total, attempts).await
}

/// The attempts of one call, counted and told of.
struct Tries<'a> {
    pool: &'a Pool,
    call: &'a Call,
    attempts: Attempts,
    began: Instant,
    _under_way: UnderWay<'a>,
}

impl<'a> Tries<'a> {
    fn new(pool: &'a Pool, call: &'a Call) -> Self {
        let attempts = Attempts::new(&call.method, call.retries);
        Self {
            pool,
            call,
            attempts,
            began: Instant::now(),
            _under_way: pool.shared.counters.enter(),
        }
    }

    fn tell(&self, number: u32, outcome: Result<u16, &Error>, wait: Option<Duration>) {
        if let Some(observer) = &self.call.observer {
            observer.attempted(&Attempt {
                number,
                outcome,
                took: self.began.elapsed(),
                wait,
            });
        }
    }

    fn done<T>(self, status: u16, answer: T) -> T {
        self.tell(self.attempts.made() + 1, Ok(status), None);
        answer
    }

    /// Waits until the next attempt, or gives the error back where there is none.
    async fn failed(&mut self, error: Error) -> Result<(), Error> {
        let shared = &self.pool.shared;
        let number = self.attempts.made() + 1;
        let left = self.call.left.as_ref();
        let has_left = left.is_some_and(CancellationToken::is_cancelled);
        let wait = if has_left {
            None
        } else {
            self.attempts.after(&error, fastrand::f64(), &shared.budget)
        };
        let outcome = if let Kind::Status(response) = &error.kind {
            Ok(response.status)
        } else {
            Err(&error)
        };
        self.tell(number, outcome, wait);
        let Some(wait) = wait else {
            shared.counters.failures.add();
            return Err(error);
        };
        shared.counters.retries.add();
        failed(&error);
        enter(Phase::Pause);
        sleep(wait).await;
        self.began = Instant::now();
        Ok(())
    }
}

/// One attempt, redirects included.
async fn exchange(pool: &Pool, call: &Call) -> Result<Incoming, Error> {
    enter(Phase::Pool);
    let permit = match &pool.shared.free {
        Some(free) => {
            let wait = pin!(async {
                free.clone()
                    .acquire_owned()
                    .await
                    .map_err(|error| Error::new(Kind::Connect, error.to_string()))
            });
            Some(limited(call.timeouts.pool, Phase::Pool, wait).await?)
        }
        None => None,
    };
    let mut target = None;
    for _ in 0..=MOST_REDIRECTS {
        let response = hop(pool, call, target.as_ref().unwrap_or(&call.url)).await?;
        let status = response.status();
        if call.home.origin.has(response.url()) && call.method == Method::GET {
            pool.shared
                .pace
                .observe(response.headers(), std::time::Instant::now());
        }
        if let Some(next) = redirect(call, &response)? {
            target = Some(next);
            continue;
        }
        enter(Phase::Body);
        let incoming = Incoming {
            response,
            read: call.timeouts.read,
            deadline: None,
            _permit: permit,
        };
        if status.as_u16() >= 400 {
            let response = incoming.complaint().await;
            let message = format!("the server answered {status}");
            return Err(Error {
                sent: true,
                ..Error::new(Kind::Status(Box::new(response)), message)
            });
        }
        if incoming.is_partial()
            && !call.headers.contains_key(RANGE)
            && !call.own.contains_key(RANGE)
        {
            let error = Error::new(
                Kind::Protocol,
                format!("the server answered {status}, where the whole was asked for"),
            );
            return Err(incoming.known(error));
        }
        return Ok(incoming);
    }
    Err(Error {
        sent: true,
        ..Error::new(
            Kind::Protocol,
            format!("more than {MOST_REDIRECTS} redirects"),
        )
    })
}

/// One request on the wire.
async fn hop(pool: &Pool, call: &Call, url: &Url) -> Result<reqwest::Response, Error> {
    let at_home = call.home.origin.has(url);
    if !at_home {
        call.reach.check(url, &call.home.origin)?;
    }
    let client = pool
        .client(
            url,
            Wanted {
                public_only: call.reach == Reach::Public && !at_home,
                raw: call.raw,
            },
        )
        .await?;
    let mut request = reqwest::Request::new(call.method.clone(), url.clone());
    let headers = request.headers_mut();
    if at_home {
        headers.clone_from(&call.home.headers);
    } else {
        headers.insert(USER_AGENT, call.home.user_agent.clone());
    }
    let is_addressed = call.own.is_empty() || Origin::of(&call.url).has(url);
    replace(headers, &call.headers);
    if is_addressed {
        replace(headers, &call.own);
    }
    let mut progress = None;
    let body = match &call.body {
        Body::Empty => None,
        Body::Bytes(bytes) => Some(watched(bytes.clone())),
        Body::Upload(upload) => {
            headers.insert(CONTENT_LENGTH, upload.length().into());
            let (body, sent) = upload.body();
            progress = Some(sent);
            Some(body)
        }
    };
    *request.body_mut() = body;
    enter(Phase::Response);
    begin();
    let answer = pin!(async {
        client
            .execute(request)
            .await
            .map_err(|error| broken(pool, url, error))
    });
    let Some(progress) = progress else {
        let Some(limit) = call.timeouts.read else {
            return answer.await;
        };
        return tokio::select! {
            biased;
            answer = answer => answer,
            () = silence(limit) => Err(Error::timeout(Phase::Response, limit)),
        };
    };
    sending(&progress);
    let stalled = pin!(stalled(&progress, call.timeouts.write, call.timeouts.read));
    let answer = tokio::select! {
        answer = answer => answer,
        stalled = stalled => Err(stalled),
    };
    answer.map_err(|error| progress.failure().unwrap_or(error))
}

/// Puts headers in place of those of the same names, each with all of its values.
fn replace(headers: &mut HeaderMap, others: &HeaderMap) {
    let mut last = None;
    // The values of one name follow each other.
    for (name, value) in others {
        if last == Some(name) {
            headers.append(name, value.clone());
        } else {
            headers.insert(name, value.clone());
        }
        last = Some(name);
    }
}

/// A failure on the wire before an answer; where no connection came about, with the way that was taken.
fn broken(pool: &Pool, url: &Url, error: reqwest::Error) -> Error {
    let mut error = match pool.connect_limit() {
        Some(limit) if error.is_connect() && error.is_timeout() => {
            Error::timeout(Phase::Connect, limit)
        }
        _ => error.into(),
    };
    match error.kind {
        Kind::Connect | Kind::Timeout(Phase::Connect, _) => error.message.push_str(&pool.way(url)),
        Kind::Untrusted => error.message.push_str(&pool.distrust()),
        Kind::Disconnected => error.stale = is_reused(),
        _ => {}
    }
    error
}

fn redirect(call: &Call, response: &reqwest::Response) -> Result<Option<Url>, Error> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refused = |why: &str| Error {
        sent: true,
        ..Error::new(Kind::Protocol, format!("the server redirects {why}"))
    };
    let Some(target) = response.headers().get(LOCATION) else {
        return Err(refused("without a Location"));
    };
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return Err(refused(&format!(
            "a {}, which is not followed",
            call.method
        )));
    }
    // Not only ASCII: many servers write the characters of a path as they are, in UTF-8.
    let target = std::str::from_utf8(target.as_bytes())
        .ok()
        .and_then(|text| response.url().join(text).ok());
    match target {
        Some(url)
            if url.scheme() == "https"
                || (url.scheme() == "http" && response.url().scheme() == "http") =>
        {
            Ok(Some(url))
        }
        Some(url) => Err(refused(&format!(
            "from {} to {}",
            response.url().scheme(),
            url.scheme()
        ))),
        None => Err(refused("to something that is not a URL")),
    }
}

/// Takes pinned work: moving a whole exchange about would cost more than the timer.
pub async fn limited<T, F>(
    limit: Option<Duration>,
    phase: Phase,
    work: Pin<&mut F>,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    match limit {
        Some(limit) => timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(Error::timeout(phase, limit))),
        None => work.await,
    }
}

/// What reqwest's connector fails with when a proxy opens no tunnel; it has no public name.
type TunnelError = <Tunnel<HttpConnector> as Service<Uri>>::Error;

/// Whether the connection ended before the exchange did.
fn is_disconnection(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || error.is_body_write_aborted()
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let (mut text, mut errno, mut untrusted) = (error.to_string(), None, None);
        let (mut is_broken, mut is_tunnel) = (false, false);
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text = inner.to_string();
            untrusted = untrusted.or_else(|| inner.downcast_ref().and_then(refusal));
            let io = inner.downcast_ref::<std::io::Error>();
            errno = io.and_then(std::io::Error::raw_os_error).or(errno);
            is_broken |= io.is_some() || inner.downcast_ref().is_some_and(is_disconnection);
            is_tunnel |= inner.is::<TunnelError>() && inner.source().is_none();
            // What an operating system's error wraps is not its source.
            cause = match io.and_then(std::io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => inner.source(),
            };
        }
        if let Some(why) = untrusted {
            return Error::new(Kind::Untrusted, why);
        }
        if is_tunnel {
            text = format!("the proxy did not open a tunnel to the server ({text})");
        }
        let kind = if error.is_connect() {
            Kind::Connect
        } else if error.is_builder() {
            Kind::Invalid
        } else if is_broken {
            Kind::Disconnected
        } else {
            Kind::Protocol
        };
        let sent = !matches!(kind, Kind::Connect | Kind::Invalid);
        Self {
            errno,
            sent,
            ..Self::new(kind, text)
        }
    }
}
