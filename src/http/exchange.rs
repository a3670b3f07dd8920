//! Sending a request and receiving its response: attempts, redirects, timeouts and size limits over
//! reqwest.
//!
//! Rules of this file:
//! * the token and the client's default headers are added per hop, and only on the API's origin;
//! * only GET and HEAD follow redirects, and none leads from https to http;
//! * outside of the API, the fetch policy is checked at every hop;
//! * every wait has a timeout: for a free connection, the head, each part of the body, and the
//!   whole call.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, LOCATION, RANGE,
};
use reqwest::{Method, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::decoding::{ACCEPTED, decoded};
use super::fetch_policy::FetchPolicy;
use super::pool::Pool;
use super::rate_limit::RateLimit;
use super::request::{Body, Request};
use super::stats::{ActiveCall, Attempt, Observer, Outcome};
use super::timing;
use crate::clock;
use crate::error::{Error, Kind, Phase};
use crate::response::{Response, request_id, request_ids};
use crate::retry::Attempts;

const MAX_REDIRECTS: usize = 10;
/// The maximum size of an error response that is read, in bytes.
const MAX_ERROR_BODY: usize = 1 << 20;
/// The timeout for the body of an error response if the caller set no read timeout. Here a read
/// timeout limits the whole body, not each part.
const MAX_ERROR_TIME: Duration = Duration::from_secs(60);
/// The largest buffer that is allocated because of a `Content-Length` alone, in bytes.
const MAX_TRUSTED_LENGTH: usize = 16 << 20;

/// A response whose body is still arriving. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Incoming {
    response: reqwest::Response,
    read_timeout: Option<Duration>,
    deadline: Option<(Instant, Duration)>,
    observer: Option<Arc<dyn Observer>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Incoming {
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Drop all headers but the request's id. Their values are slices of the buffer into which the
    /// connection has read them, which it uses again when nothing holds it any more.
    pub(crate) fn drop_headers(&mut self) {
        let ids = request_ids(self.headers());
        *self.response.headers_mut() = ids;
    }

    /// Return whether it is a part of the resource (206).
    pub(crate) fn is_partial(&self) -> bool {
        self.response.status() == StatusCode::PARTIAL_CONTENT
    }

    /// Return whether the body is compressed (RFC 9110 §8.4). reqwest removes the header when it
    /// decompresses.
    pub(crate) fn is_encoded(&self) -> bool {
        let encoding = self.headers().get(CONTENT_ENCODING);
        encoding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    }

    /// Return the length that the server announced, in bytes; None if the body was compressed.
    pub(crate) fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Return the next part of the body, or None at its end, without any timeout.
    pub(crate) async fn next_unlimited(&mut self) -> Result<Option<Bytes>, Error> {
        let part = self.response.chunk().await;
        let part = part.map_err(|error| self.with_id(error.into()))?;
        self.note_received(part.as_ref());
        Ok(part)
    }

    /// Return the next part of the body, or None at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let (read_timeout, deadline) = (self.read_timeout, self.deadline);
        let part = {
            let next = pin!(async { self.response.chunk().await.map_err(Error::from) });
            let next = limited(read_timeout, Phase::Body, next);
            match deadline {
                Some((time, limit)) => timeout_at(time, next)
                    .await
                    .unwrap_or_else(|_| Err(Error::deadline(limit, Phase::Body, None))),
                None => next.await,
            }
        };
        let part = part.map_err(|error| self.with_id(error))?;
        self.note_received(part.as_ref());
        Ok(part)
    }

    fn note_received(&self, part: Option<&Bytes>) {
        if let (Some(observer), Some(part)) = (&self.observer, part) {
            observer.on_received(part.len());
        }
    }

    /// Add to an error that the request was sent, and its id.
    fn with_id(&self, error: Error) -> Error {
        let id = request_id(self.response.headers()).map(Into::into);
        Error {
            sent: true,
            request_id: id,
            ..error
        }
    }

    /// Read the whole body, at most `limit` bytes.
    async fn read(mut self, limit: usize) -> Result<Response, Error> {
        let too_large = || {
            let message = format!("the response is larger than {limit} bytes");
            Error::new(Kind::TooLarge(limit), message)
        };
        let length = self
            .length()
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(0);
        if length > limit {
            return Err(self.with_id(too_large()));
        }
        let first = self.next().await?.unwrap_or_default();
        let is_whole = !first.is_empty() && first.len() == length;
        let second = if is_whole { None } else { self.next().await? };
        let body = match second {
            // One part needs no copy.
            None => first,
            Some(second) => {
                let size = length
                    .min(MAX_TRUSTED_LENGTH)
                    .max(first.len() + second.len());
                let mut body = BytesMut::with_capacity(size);
                body.extend_from_slice(&first);
                let mut next = Some(second);
                while let Some(part) = next {
                    if body.len() + part.len() > limit {
                        return Err(self.with_id(too_large()));
                    }
                    body.extend_from_slice(&part);
                    next = self.next().await?;
                }
                body.freeze()
            }
        };
        if body.len() > limit {
            return Err(self.with_id(too_large()));
        }
        Ok(self.into_response(body))
    }

    /// Read at most 1 MiB of an error response. A truncated error body is still reported.
    async fn error_response(mut self) -> Response {
        let mut body = BytesMut::new();
        let end = clock::deadline(Instant::now(), self.read_timeout.unwrap_or(MAX_ERROR_TIME));
        while let Ok(Ok(Some(part))) = timeout_at(end, self.next()).await {
            let left = MAX_ERROR_BODY.saturating_sub(body.len());
            body.extend_from_slice(part.get(..left).unwrap_or(&part));
            if body.len() >= MAX_ERROR_BODY {
                break;
            }
        }
        self.into_response(body.freeze())
    }

    fn into_response(mut self, body: Bytes) -> Response {
        Response {
            status: self.response.status().as_u16(),
            url: self.response.url().to_string(),
            headers: std::mem::take(self.response.headers_mut()),
            body,
        }
    }
}

/// Send a request and read the whole response. A status of 400 or more is an error.
pub(crate) async fn send(pool: &Pool, request: &Request) -> Result<Response, Error> {
    let call = pin!(async {
        let mut call = Call::new(pool, request);
        loop {
            let attempt = async { exchange(pool, request).await?.read(request.max_bytes).await };
            match attempt.await {
                Ok(response) => {
                    call.finish(response.status);
                    return Ok(response);
                }
                Err(error) => call.wait_to_retry(error).await?,
            }
        }
    });
    timing::with_deadline(request.timeouts.total, call).await
}

/// Send a request and return when the head of the response has arrived. A status of 400 or more is
/// an error.
pub(crate) async fn open(pool: &Pool, request: &Request) -> Result<Incoming, Error> {
    let total = request.timeouts.total;
    let deadline = total.map(|limit| (clock::deadline(Instant::now(), limit), limit));
    let call = pin!(async {
        let mut call = Call::new(pool, request);
        loop {
            match exchange(pool, request).await {
                Ok(incoming) => {
                    call.finish(incoming.response.status().as_u16());
                    return Ok(Incoming {
                        deadline,
                        ..incoming
                    });
                }
                Err(error) => call.wait_to_retry(error).await?,
            }
        }
    });
    timing::with_deadline(total, call).await
}

/// The attempts of one call, which are counted and observed.
struct Call<'a> {
    pool: &'a Pool,
    request: &'a Request,
    attempts: Attempts,
    /// The number of the current attempt, from 1 on.
    number: u32,
    attempt_start: Instant,
    /// Whether an attempt is under way, so that it is observed if this is dropped.
    is_attempting: bool,
    /// Whether the current attempt was made in turn.
    had_turn: bool,
    _active: ActiveCall<'a>,
}

impl<'a> Call<'a> {
    fn new(pool: &'a Pool, request: &'a Request) -> Self {
        let limit = request.timeouts.total.or(request.timeouts.caller);
        let deadline = limit.map(|limit| clock::deadline(std::time::Instant::now(), limit));
        let attempts = Attempts::new(&request.method, request.retries).until(deadline);
        let active = pool.shared.counters.enter();
        Self {
            pool,
            request,
            attempts,
            number: 1,
            attempt_start: Instant::now(),
            is_attempting: true,
            had_turn: false,
            _active: active,
        }
    }

    fn observe(&mut self, outcome: Outcome<'_>, next_delay: Option<Duration>) {
        self.is_attempting = false;
        let request = self.request;
        if let Some(observer) = &request.observer {
            let is_answered = matches!(outcome, Outcome::Status(_));
            observer.on_attempt(&Attempt {
                method: &request.method,
                url: &request.url,
                is_api: request.api.origin.contains(&request.url),
                number: self.number,
                outcome,
                duration: self.attempt_start.elapsed(),
                next_delay,
                sent: if is_answered {
                    request.body.length()
                } else {
                    0
                },
            });
        }
    }

    fn finish(mut self, status: u16) {
        self.observe(Outcome::Status(status), None);
    }

    /// Wait until the next attempt, or return the error if there is none.
    async fn wait_to_retry(&mut self, mut error: Error) -> Result<(), Error> {
        let shared = &self.pool.shared;
        let abandoned = self.request.abandoned.as_ref();
        let delay = if abandoned.is_some_and(CancellationToken::is_cancelled) {
            None
        } else {
            self.attempts
                .next_delay(&error, fastrand::f64(), &shared.budget)
        };
        let outcome = match &error.kind {
            Kind::Status(response) => Outcome::Status(response.status),
            _ => Outcome::Failed(&error),
        };
        self.observe(outcome, delay);
        let Some(delay) = delay else {
            shared.counters.failures.increment();
            if let Kind::Status(response) = &error.kind {
                error.is_late = self.attempts.is_too_late(response);
            }
            return Err(error);
        };
        shared.counters.retries.increment();
        timing::note_failure(&error);
        timing::enter_phase(Phase::Pause);
        let is_throttled = matches!(&error.kind, Kind::Status(response) if response.status == 429);
        if is_throttled && self.request.takes_turns {
            let start = self.attempt_start.into_std();
            shared.throttle.refuse(start, delay, self.had_turn);
            sleep(delay).await;
            self.wait_for_turn(error).await?;
        } else {
            sleep(delay).await;
        }
        self.number = self.number.saturating_add(1);
        self.attempt_start = Instant::now();
        self.is_attempting = true;
        Ok(())
    }

    /// Wait for the turn to repeat a request that was refused, or return the error if that takes too
    /// long.
    async fn wait_for_turn(&mut self, error: Error) -> Result<(), Error> {
        let (shared, start) = (&self.pool.shared, Instant::now());
        let turn = pin!(async {
            shared.throttle.turn().await;
            Ok(())
        });
        let waited = match self.attempts.throttle_left() {
            Some(left) => timeout(left, turn).await.unwrap_or(Err(error)),
            None => turn.await,
        };
        self.attempts.note_throttled(start.elapsed());
        self.had_turn = true;
        waited.inspect_err(|_| shared.counters.failures.increment())
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.is_attempting {
            self.observe(Outcome::Abandoned, None);
        }
    }
}

/// Make one attempt, redirects included.
async fn exchange(pool: &Pool, request: &Request) -> Result<Incoming, Error> {
    timing::enter_phase(Phase::Pool);
    let permit = match &pool.shared.permits {
        Some(permits) => {
            let permit = pin!(async {
                let permit = permits.clone().acquire_owned().await;
                permit.map_err(|error| Error::new(Kind::Connect, error.to_string()))
            });
            Some(limited(request.timeouts.pool, Phase::Pool, permit).await?)
        }
        None => None,
    };
    let mut target = None;
    for _ in 0..=MAX_REDIRECTS {
        let response = hop(pool, request, target.as_ref().unwrap_or(&request.url)).await?;
        let status = response.status();
        if request.api.origin.contains(response.url())
            && let Some(limit) = limit_of(pool, request)
        {
            limit.update(response.headers(), std::time::Instant::now());
        }
        if let Some(next) = redirect_target(request, &response)? {
            target = Some(next);
            continue;
        }
        timing::enter_phase(Phase::Body);
        let read_timeout = request.timeouts.read;
        let incoming = Incoming {
            response,
            read_timeout,
            deadline: None,
            observer: request.observer.clone(),
            _permit: permit,
        };
        if status.as_u16() >= 400 {
            return Err(Error::status(incoming.error_response().await));
        }
        let has_range = [&request.headers, &request.own_headers]
            .into_iter()
            .any(|headers| headers.contains_key(RANGE));
        if incoming.is_partial() && !has_range {
            let message = format!("the server answered {status}, where the whole was asked for");
            return Err(incoming.with_id(Error::protocol(message)));
        }
        return Ok(incoming);
    }
    Err(Error::protocol(format!("more than {MAX_REDIRECTS} redirects")).sent())
}

/// Send one HTTP request and return the head of its response.
async fn hop(pool: &Pool, request: &Request, url: &Url) -> Result<reqwest::Response, Error> {
    let is_api = request.api.origin.contains(url);
    if !is_api {
        request.fetch_policy.check(url, &request.api.origin)?;
    }
    let is_public_only = request.fetch_policy == FetchPolicy::Public && !is_api;
    let client = pool.client(url, is_public_only).await?;
    let mut sent = reqwest::Request::new(request.method.clone(), url.clone());
    *sent.headers_mut() = request.headers_for(url);
    if !request.is_raw {
        let accepted = sent.headers_mut().entry(ACCEPT_ENCODING);
        accepted.or_insert(ACCEPTED);
    }
    let mut progress = None;
    *sent.body_mut() = match &request.body {
        Body::Empty => None,
        Body::Bytes(bytes) => Some(timing::tracked_body(bytes.clone())),
        Body::Upload(upload) => {
            sent.headers_mut()
                .insert(CONTENT_LENGTH, upload.length().into());
            let (body, upload_progress) = upload.body();
            progress = Some(upload_progress);
            Some(body)
        }
    };
    timing::enter_phase(Phase::Response);
    timing::begin_request();
    let response = pin!(async {
        let response = client.execute(sent).await.map_err(|error| {
            let mut error = pool.describe(url, error);
            error.stale =
                matches!(error.kind, Kind::Disconnected) && timing::is_connection_reused();
            error
        })?;
        Ok(if request.is_raw {
            response
        } else {
            decoded(response)
        })
    });
    let (read, write) = (request.timeouts.read, request.timeouts.write);
    match (progress, read) {
        (Some(progress), _) => {
            timing::note_upload(&progress);
            let timed_out = pin!(timing::upload_timeout(&progress, write, read));
            let response = tokio::select! {
                response = response => response,
                timed_out = timed_out => Err(timed_out),
            };
            response.map_err(|error| progress.failure().unwrap_or(error))
        }
        (None, Some(limit)) => tokio::select! {
            biased;
            response = response => response,
            () = timing::read_timeout(limit) => Err(Error::timeout(Phase::Response, limit)),
        },
        (None, None) => response.await,
    }
}

/// Return the rate limit that the response to a request tells of: creates have one of their own.
fn limit_of<'a>(pool: &'a Pool, request: &Request) -> Option<&'a RateLimit> {
    if request.method == Method::GET {
        return Some(&pool.shared.rate_limit);
    }
    request.takes_turns.then_some(&pool.shared.create_limit)
}

/// Return the URL that a response redirects to; None if it is not a redirect.
fn redirect_target(request: &Request, response: &reqwest::Response) -> Result<Option<Url>, Error> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refused = |why: &str| Error::protocol(format!("the server redirects {why}")).sent();
    let Some(location) = response.headers().get(LOCATION) else {
        return Err(refused("without a Location"));
    };
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(refused(&format!(
            "a {}, which is not followed",
            request.method
        )));
    }
    // Read as UTF-8: many servers do not percent-encode the characters of a path.
    let location = std::str::from_utf8(location.as_bytes()).ok();
    let target = location.and_then(|text| response.url().join(text).ok());
    let target = target.ok_or_else(|| refused("to something that is not a URL"))?;
    let (from, to) = (response.url().scheme(), target.scheme());
    if to == "https" || (to == "http" && from == "http") {
        Ok(Some(target))
    } else {
        Err(refused(&format!("from {from} to {to}")))
    }
}

/// Run work under a timeout. The work is pinned: moving a whole exchange costs more than the timer.
async fn limited<T, F>(limit: Option<Duration>, phase: Phase, work: Pin<&mut F>) -> Result<T, Error>
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

#[cfg(test)]
mod tests {
    use super::super::connect::ConnectOptions;
    use super::super::test_server::{get, pool, run, serve};
    use super::*;

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const UNAVAILABLE: &str = "HTTP/1.1 503 X\r\nContent-Length: 4\r\nx-request-id: r1\r\n\r\nbusy";

    #[test]
    fn a_response_is_read_after_retries() {
        run(async {
            let (url, _requests) = serve(vec![UNAVAILABLE, OK]).await;
            let pool = pool(ConnectOptions::default());
            let response = send(&pool, &get(url)).await.unwrap();
            assert_eq!((response.status, &*response.body), (200, &b"hello"[..]));
            let counters = &pool.shared.counters;
            assert_eq!((counters.retries.get(), counters.failures.get()), (1, 0));
            assert_eq!((counters.requests.get(), counters.finished.get()), (1, 1));
        });
    }

    const LIMITED: &str = "HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: 0.01\r\n\r\n";

    #[test]
    fn a_429_is_waited_for_beyond_the_retries() {
        run(async {
            let slow = "HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n";
            for (responses, limit, is_accepted) in [
                (vec![LIMITED, LIMITED, OK], None, true),
                (vec![LIMITED, LIMITED, OK], Some(60), true),
                (vec![slow], Some(4), false),
            ] {
                for takes_turns in [true, false] {
                    let (url, _requests) = serve(responses.clone()).await;
                    let pool = pool(ConnectOptions::default());
                    let mut request = Request {
                        retries: 1,
                        takes_turns,
                        ..get(url)
                    };
                    request.timeouts.caller = limit.map(Duration::from_secs);
                    match send(&pool, &request).await {
                        Ok(response) => assert_eq!((response.status, is_accepted), (200, true)),
                        Err(error) => assert_eq!((error.is_late, is_accepted), (true, false)),
                    }
                }
            }
        });
    }

    #[test]
    fn a_call_that_waits_for_its_turn_ends_when_it_is_dropped() {
        run(async {
            let (url, _requests) = serve(vec![LIMITED, OK]).await;
            let pool = pool(ConnectOptions::default());
            let hour = Duration::from_secs(3600);
            pool.shared
                .throttle
                .refuse(std::time::Instant::now(), hour, false);
            let mut request = Request {
                takes_turns: true,
                ..get(url)
            };
            request.timeouts.total = Some(Duration::from_millis(100));
            let error = send(&pool, &request).await.unwrap_err();
            assert!(
                matches!(error.kind, Kind::Timeout(Phase::Total, _)) && !error.sent,
                "{error:?}"
            );
            assert_eq!(error.last.as_deref(), Some("last answer: 429"));
        });
    }

    #[test]
    fn an_error_response_is_an_error_with_its_body() {
        run(async {
            let (url, _requests) = serve(vec![UNAVAILABLE]).await;
            let request = Request {
                retries: 0,
                ..get(url)
            };
            let error = send(&pool(ConnectOptions::default()), &request)
                .await
                .unwrap_err();
            let Kind::Status(response) = error.kind else {
                panic!("{error:?}")
            };
            assert_eq!((response.status, &*response.body), (503, &b"busy"[..]));
        });
    }

    #[test]
    fn a_redirect_to_another_origin_does_not_receive_the_token() {
        run(async {
            let (target, mut redirected) = serve(vec![OK]).await;
            let response =
                format!("HTTP/1.1 302 X\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
            let (url, mut requests) = serve(vec![response.leak()]).await;
            send(&pool(ConnectOptions::default()), &get(url))
                .await
                .unwrap();
            assert!(requests.recv().await.unwrap().contains("Bearer secret"));
            assert!(!redirected.recv().await.unwrap().contains("secret"));
        });
    }

    #[test]
    fn a_body_over_the_limit_is_refused_with_and_without_a_length() {
        run(async {
            let chunked =
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
            for response in [OK, chunked] {
                let (url, _requests) = serve(vec![response]).await;
                let request = Request {
                    max_bytes: 4,
                    ..get(url)
                };
                let error = send(&pool(ConnectOptions::default()), &request)
                    .await
                    .unwrap_err();
                assert!(matches!(error.kind, Kind::TooLarge(4)), "{error:?}");
            }
        });
    }

    #[test]
    fn a_part_that_was_not_asked_for_is_refused() {
        run(async {
            let partial = "HTTP/1.1 206 X\r\nContent-Length: 5\r\n\r\nhello";
            let (url, _requests) = serve(vec![partial]).await;
            let error = send(&pool(ConnectOptions::default()), &get(url))
                .await
                .unwrap_err();
            assert!(matches!(error.kind, Kind::Protocol), "{error:?}");
        });
    }

    #[test]
    fn a_wait_for_a_free_connection_has_a_timeout() {
        run(async {
            let (url, _requests) = serve(vec![OK, OK]).await;
            let pool = pool(ConnectOptions {
                max_connections: Some(1),
                ..ConnectOptions::default()
            });
            let mut request = get(url);
            request.timeouts.pool = Some(Duration::from_millis(10));
            let open = open(&pool, &request).await.unwrap();
            let error = send(&pool, &request).await.unwrap_err();
            assert!(
                matches!(error.kind, Kind::Timeout(Phase::Pool, _)),
                "{error:?}"
            );
            drop(open);
            send(&pool, &request).await.unwrap();
        });
    }
}
