//! The phase that a call is in, so that a timeout can name it.
//!
//! A task-local holds the state of the call. A layer around reqwest's connector notes when a
//! connection is being made.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower_layer::Layer;
use tower_service::Service;

use super::body::Progress;
use super::stats::Counters;
use crate::clock::deadline;
use crate::error::{Error, Kind, Phase};
use crate::lock::lock;

const PHASES: [Phase; 6] = [
    Phase::Pool,
    Phase::Connect,
    Phase::Sending,
    Phase::Response,
    Phase::Body,
    Phase::Pause,
];

/// The index of `Phase::Connect`.
const CONNECT: u8 = 1;

/// How often a connection attempt that outlasts the read timeout is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The state of one call.
#[derive(Debug)]
pub(crate) struct Timing {
    /// An index of `PHASES`.
    phase: AtomicU8,
    /// Whether a connection has begun to send the body of the current attempt.
    is_sent: AtomicBool,
    start: Instant,
    /// When the latest connection was made, in milliseconds after the start; 0 without one.
    connected: AtomicU64,
    /// Whether a connection was made for the current request.
    has_connected: AtomicBool,
    upload: Mutex<Option<Progress>>,
    /// The failure of the attempt before.
    last_failure: Mutex<Option<Box<str>>>,
}

tokio::task_local! {
    static TIMING: Arc<Timing>;
}

/// Call a function with the state of the current call. A task that finishes a connection begun by
/// another call has no such state.
fn with_current<T>(look: impl FnOnce(&Arc<Timing>) -> T) -> Option<T> {
    TIMING.try_with(look).ok()
}

/// Note the phase that begins.
pub(crate) fn enter_phase(phase: Phase) {
    with_current(|timing| timing.enter(phase));
}

/// Note the failure of an attempt that is repeated.
pub(crate) fn note_failure(error: &Error) {
    let failure = match &error.kind {
        Kind::Status(response) => format!("last answer: {}", response.status),
        _ => format!("last attempt: {error}"),
    };
    with_current(|timing| *lock(&timing.last_failure) = Some(failure.into()));
}

/// Note the progress of the body.
pub(crate) fn note_upload(progress: &Progress) {
    with_current(|timing| *lock(&timing.upload) = Some(progress.clone()));
}

/// Note that a request begins. It may use a connection of an earlier one.
pub(crate) fn begin_request() {
    with_current(|timing| timing.has_connected.store(false, Ordering::Relaxed));
}

/// Return whether the current request was certainly sent over a reused connection.
pub(crate) fn is_connection_reused() -> bool {
    with_current(|timing| !timing.has_connected.load(Ordering::Relaxed)).unwrap_or(false)
}

fn is_connecting() -> bool {
    with_current(|timing| timing.current() == Phase::Connect).unwrap_or(false)
}

/// Return a body that notes when a connection takes it. Until then nothing of the request was sent:
/// hyper asks for the body after it has written the head, and not at all if the request is dropped
/// before.
pub(crate) fn tracked_body(bytes: Bytes) -> reqwest::Body {
    match with_current(Arc::clone) {
        Some(timing) => reqwest::Body::wrap(TrackedBody {
            bytes: Some(bytes),
            timing,
        }),
        None => bytes.into(),
    }
}

struct TrackedBody {
    bytes: Option<Bytes>,
    timing: Arc<Timing>,
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.timing.is_sent.store(true, Ordering::Release);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

impl Timing {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(0),
            is_sent: AtomicBool::new(false),
            start: Instant::now(),
            connected: AtomicU64::new(0),
            has_connected: AtomicBool::new(false),
            upload: Mutex::default(),
            last_failure: Mutex::default(),
        })
    }

    /// Run a call with this state as the current one.
    pub(crate) async fn track<F: Future>(self: Arc<Self>, call: F) -> F::Output {
        TIMING.scope(self, call).await
    }

    fn enter(&self, phase: Phase) {
        if matches!(phase, Phase::Pool | Phase::Pause) {
            // A new attempt begins.
            self.is_sent.store(false, Ordering::Release);
            *lock(&self.upload) = None;
        }
        let index = PHASES.iter().position(|each| *each == phase);
        let index = index
            .and_then(|index| u8::try_from(index).ok())
            .unwrap_or_default();
        self.phase.store(index, Ordering::Relaxed);
    }

    /// Return whether the server may have received the whole request of the current attempt.
    pub(crate) fn may_be_received(&self) -> bool {
        self.is_sent.load(Ordering::Acquire)
            || lock(&self.upload)
                .as_ref()
                .is_some_and(Progress::is_complete)
    }

    /// Return the error for the deadline of the whole call.
    pub(crate) fn deadline_error(&self, limit: Duration) -> Error {
        let last = lock(&self.last_failure).take();
        Error::deadline(limit, self.current(), last)
    }

    /// Return the current phase.
    fn current(&self) -> Phase {
        let index = usize::from(self.phase.load(Ordering::Relaxed));
        let phase = PHASES.get(index).copied().unwrap_or(Phase::Total);
        let upload = lock(&self.upload);
        let upload = upload.as_ref();
        let has_begun =
            self.is_sent.load(Ordering::Acquire) || upload.is_some_and(Progress::has_begun);
        match phase {
            Phase::Connect if !has_begun => phase,
            Phase::Connect | Phase::Response => {
                let is_sending = upload.is_some_and(|upload| !upload.is_complete());
                if is_sending {
                    Phase::Sending
                } else {
                    Phase::Response
                }
            }
            _ => phase,
        }
    }

    /// Note that the call has a connection.
    fn on_connected(&self) {
        if self.phase.load(Ordering::Relaxed) == CONNECT {
            self.enter(Phase::Response);
            let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.connected.store(millis, Ordering::Relaxed);
        }
    }

    fn connected(&self) -> Instant {
        deadline(
            self.start,
            Duration::from_millis(self.connected.load(Ordering::Relaxed)),
        )
    }
}

/// Run a call under its deadline for the whole call, if it has one.
pub(crate) async fn with_deadline<T, F>(
    limit: Option<Duration>,
    work: Pin<&mut F>,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    if limit.is_none() && with_current(|_| ()).is_some() {
        // A part of a call that has its state already.
        return work.await;
    }
    let timing = Timing::new();
    let work = timing.clone().track(work);
    match limit {
        Some(limit) => timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(timing.deadline_error(limit))),
        None => work.await,
    }
}

/// Wait until no response has begun within `limit` after the request could be sent. Making a
/// connection has its own timeout, and does not count.
pub(crate) async fn read_timeout(limit: Duration) {
    let mut due = deadline(Instant::now(), limit);
    loop {
        sleep_until(due).await;
        let Some(connected) = with_current(|timing| timing.connected()) else {
            return;
        };
        let now = Instant::now();
        due = if is_connecting() {
            now + CHECK_INTERVAL
        } else {
            deadline(connected, limit)
        };
        if due <= now {
            return;
        }
    }
}

/// Wait for `Progress::timed_out`, without the time that making a connection takes, which has its
/// own timeout.
pub(crate) async fn upload_timeout(
    progress: &Progress,
    write: Option<Duration>,
    read: Option<Duration>,
) -> Error {
    loop {
        let error = progress.timed_out(write, read).await;
        if !is_connecting() {
            return error;
        }
        while is_connecting() {
            sleep(CHECK_INTERVAL).await;
        }
        progress.touch();
    }
}

/// Adds `TimedConnector` to a client.
#[derive(Clone, Debug)]
pub(crate) struct TimingLayer(pub(crate) Arc<Counters>);

impl<S> Layer<S> for TimingLayer {
    type Service = TimedConnector<S>;

    fn layer(&self, inner: S) -> TimedConnector<S> {
        TimedConnector {
            inner,
            counters: self.0.clone(),
        }
    }
}

/// A connector that counts connections, and notes them in the state of the call that needs them.
#[derive(Clone, Debug)]
pub(crate) struct TimedConnector<S> {
    inner: S,
    counters: Arc<Counters>,
}

impl<S, R> Service<R> for TimedConnector<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.counters.connections.increment();
        with_current(|timing| timing.has_connected.store(true, Ordering::Relaxed));
        Box::pin(Connecting {
            connection: Box::pin(self.inner.call(request)),
            caller: None,
        })
    }
}

/// A connection that is being made, and the call that waits for it.
///
/// hyper gives a call the first connection that is free: the new one, or one that another call has
/// released. In the second case hyper moves the new connection to another task. This future detects
/// the move, and notes that the call is no longer connecting.
struct Connecting<F> {
    connection: Pin<Box<F>>,
    /// The call that polled this first; None inside when that call no longer waits for it.
    caller: Option<Option<Arc<Timing>>>,
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for Connecting<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match &self.caller {
            None => {
                let timing = with_current(Arc::clone);
                if let Some(timing) = &timing {
                    timing.enter(Phase::Connect);
                }
                self.caller = Some(timing);
            }
            Some(Some(timing))
                if !with_current(|current| Arc::ptr_eq(current, timing)).unwrap_or(false) =>
            {
                timing.on_connected();
                self.caller = Some(None);
            }
            Some(_) => {}
        }
        let connected = std::task::ready!(self.connection.as_mut().poll(context));
        if let Some(Some(timing)) = &self.caller {
            timing.on_connected();
        }
        Poll::Ready(connected)
    }
}

#[cfg(test)]
mod tests {
    use super::super::connect::ConnectOptions;
    use super::super::exchange::send;
    use super::super::request::Request;
    use super::super::test_server::{get, pool, run, serve, serve_on};
    use super::*;

    async fn late(request: &Request) -> Error {
        send(&pool(ConnectOptions::default()), request)
            .await
            .unwrap_err()
    }

    #[test]
    fn a_timeout_names_its_phase() {
        run(async {
            let limit = Duration::from_millis(20);
            let (url, _requests) = serve_on(vec![""], true).await;
            let mut request = Request {
                retries: 0,
                ..get(url)
            };
            request.timeouts.read = Some(limit);
            let error = late(&request).await;
            assert!(
                matches!(error.kind, Kind::Timeout(Phase::Response, _)),
                "{error}"
            );

            let (url, _requests) = serve_on(
                vec!["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"],
                true,
            )
            .await;
            let error = late(&Request {
                url,
                ..request.clone()
            })
            .await;
            assert!(
                matches!(error.kind, Kind::Timeout(Phase::Body, _)),
                "{error}"
            );
        });
    }

    #[test]
    fn a_deadline_names_the_phase_and_the_failure_before() {
        run(async {
            let unavailable = "HTTP/1.1 503 X\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n";
            let (url, _requests) = serve(vec![unavailable]).await;
            let mut request = get(url);
            request.timeouts.total = Some(Duration::from_millis(50));
            let error = late(&request).await;
            assert!(
                matches!(error.kind, Kind::Timeout(Phase::Total, _)),
                "{error}"
            );
            assert!(
                error
                    .message
                    .ends_with("waiting to try again; last answer: 503"),
                "{error}"
            );
            assert!(!error.sent);
        });
    }
}
