//! Where a call is at a time, so that a deadline that passes can say so.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower_layer::Layer;
use tower_service::Service;

use crate::clock::deadline;
use crate::error::{Error, Kind, Phase};
use crate::http::stats::Counters;
use crate::http::body::Progress;

const PHASES: [Phase; 6] = [
    Phase::Pool,
    Phase::Connect,
    Phase::Sending,
    Phase::Response,
    Phase::Body,
    Phase::Pause,
];

/// Where `Phase::Connect` is among them.
const CONNECT: u8 = 1;

/// How often a connection that takes longer than an answer may is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// Where one call is.
#[derive(Debug)]
pub struct Stage {
    at: AtomicU8,
    /// Whether a connection has begun to send the body of the attempt that is under way.
    is_sent: AtomicBool,
    began: Instant,
    /// When a connection was made last, in milliseconds after the begin; 0 if none was.
    connected: AtomicU64,
    /// Whether the request under way has had a connection made for it.
    has_connected: AtomicBool,
    upload: Mutex<Option<Progress>>,
    /// What ended the last attempt that is followed by another one.
    last: Mutex<Option<Box<str>>>,
}

tokio::task_local! {
    static STAGE: Arc<Stage>;
}

/// Note where this call is.
pub fn enter(phase: Phase) {
    // A connection that another call has begun may be made on a task of its own.
    let _ = STAGE.try_with(|stage| stage.enter(phase));
}

/// Note what ended an attempt that is followed by another one.
pub fn failed(error: &Error) {
    let last = match &error.kind {
        Kind::Status(response) => format!("last answer: {}", response.status),
        _ => format!("last attempt: {error}"),
    };
    let _ = STAGE.try_with(|stage| {
        *stage.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last.into())
    });
}

/// Note what tells how much of the body was sent.
pub fn sending(progress: &Progress) {
    let _ = STAGE.try_with(|stage| *stage.upload() = Some(progress.clone()));
}

/// Return a body that tells this call's stage when a connection takes it. Until then, nothing of the request was sent: hyper asks
/// for a body after it has written the head, and for no body of a request that it gives up before.
pub fn watched(bytes: Bytes) -> reqwest::Body {
    match STAGE.try_with(Arc::clone) {
        Ok(stage) => reqwest::Body::wrap(Watched {
            bytes: Some(bytes),
            stage,
        }),
        Err(_) => bytes.into(),
    }
}

struct Watched {
    bytes: Option<Bytes>,
    stage: Arc<Stage>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.stage.is_sent.store(true, Ordering::Release);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// Notes that a request begins, which may get a connection of an earlier one.
pub fn begin() {
    let _ = STAGE.try_with(|stage| stage.has_connected.store(false, Ordering::Relaxed));
}

/// Whether the request that began last was surely sent over a connection of an earlier one.
pub fn is_reused() -> bool {
    STAGE
        .try_with(|stage| !stage.has_connected.load(Ordering::Relaxed))
        .unwrap_or(false)
}

impl Stage {
    /// Create the stage of a call that has not begun.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            at: AtomicU8::new(0),
            is_sent: AtomicBool::new(false),
            began: Instant::now(),
            connected: AtomicU64::new(0),
            has_connected: AtomicBool::new(false),
            upload: Mutex::default(),
            last: Mutex::default(),
        })
    }

    /// Run a call whose stage this is.
    pub async fn watch<F: Future>(self: Arc<Self>, call: F) -> F::Output {
        STAGE.scope(self, call).await
    }

    fn enter(&self, phase: Phase) {
        if matches!(phase, Phase::Pool | Phase::Pause) {
            // What was known of the attempt before does not hold for the next one.
            self.is_sent.store(false, Ordering::Release);
            *self.upload() = None;
        }
        let place = PHASES
            .iter()
            .position(|each| *each == phase)
            .and_then(|place| u8::try_from(place).ok());
        self.at.store(place.unwrap_or_default(), Ordering::Relaxed);
    }

    fn upload(&self) -> MutexGuard<'_, Option<Progress>> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_connecting(&self) -> bool {
        self.phase() == Phase::Connect
    }

    /// Return whether a server may have taken the request of the attempt that is under way: no server takes half a request.
    pub fn may_be_taken(&self) -> bool {
        self.is_sent.load(Ordering::Acquire)
            || self.upload().as_ref().is_some_and(Progress::is_complete)
    }

    /// Return whether a connection has begun to send the request.
    fn is_under_way(&self) -> bool {
        self.is_sent.load(Ordering::Acquire)
            || self.upload().as_ref().is_some_and(Progress::has_begun)
    }

    /// Return the error for a deadline over everything that has passed.
    pub fn late(&self, limit: Duration) -> Error {
        let last = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Error::late(limit, self.phase(), last)
    }

    /// Return the part of the exchange that is under way.
    fn phase(&self) -> Phase {
        let phase = PHASES
            .get(usize::from(self.at.load(Ordering::Relaxed)))
            .copied()
            .unwrap_or(Phase::Total);
        let is_under_way = self.is_under_way();
        match phase {
            Phase::Connect if !is_under_way => phase,
            Phase::Connect | Phase::Response => {
                let is_sending = self
                    .upload()
                    .as_ref()
                    .is_some_and(|upload| !upload.is_complete());
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
    fn has_connection(&self) {
        if self.at.load(Ordering::Relaxed) == CONNECT {
            self.enter(Phase::Response);
            let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.connected.store(millis, Ordering::Relaxed);
        }
    }

    fn connected(&self) -> Instant {
        deadline(
            self.began,
            Duration::from_millis(self.connected.load(Ordering::Relaxed)),
        )
    }
}

/// Runs a call under its deadline over everything, if it has one.
pub async fn within<T, F>(limit: Option<Duration>, work: Pin<&mut F>) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    if limit.is_none() && STAGE.try_with(|_| ()).is_ok() {
        // A part of a call that is watched already.
        return work.await;
    }
    let stage = Stage::new();
    let work = stage.clone().watch(work);
    match limit {
        Some(limit) => timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(stage.late(limit))),
        None => work.await,
    }
}

/// Ends when no answer has begun for `limit` after the request could be sent; making a connection has a limit of its own.
pub async fn silence(limit: Duration) {
    let mut due = deadline(Instant::now(), limit);
    loop {
        sleep_until(due).await;
        let Ok(stage) = STAGE.try_with(Arc::clone) else {
            return;
        };
        let now = Instant::now();
        due = if stage.is_connecting() {
            now + GLANCE
        } else {
            deadline(stage.connected(), limit)
        };
        if due <= now {
            return;
        }
    }
}

/// Ends as `Progress::stalled` does, but for the time that making a connection takes, which has a limit of its own.
pub async fn stalled(
    progress: &Progress,
    write: Option<Duration>,
    read: Option<Duration>,
) -> Error {
    loop {
        let error = progress.stalled(write, read).await;
        if !STAGE
            .try_with(|stage| stage.is_connecting())
            .unwrap_or(false)
        {
            return error;
        }
        while STAGE
            .try_with(|stage| stage.is_connecting())
            .unwrap_or(false)
        {
            sleep(GLANCE).await;
        }
        progress.touch();
    }
}

/// Tells a call that a connection is made for it, and counts that.
#[derive(Clone, Debug)]
pub struct Connecting(pub Arc<Counters>);

impl<S> Layer<S> for Connecting {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Connector<S> {
        Connector {
            inner,
            counters: self.0.clone(),
        }
    }
}

/// A connector that says when it is at work.
#[derive(Clone, Debug)]
pub struct Connector<S> {
    inner: S,
    counters: Arc<Counters>,
}

impl<S, R> Service<R> for Connector<S>
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
        self.counters.connections.add();
        let _ = STAGE.try_with(|stage| stage.has_connected.store(true, Ordering::Relaxed));
        Box::pin(Connection {
            making: Box::pin(self.inner.call(request)),
            whose: None,
        })
    }
}

/// A connection that is being made, and the call that waits for it.
///
/// hyper gives a call whichever connection is there first: its own, or one that another call has left. In the second case it moves
/// the making of its own to a task apart, which this notices: the call that had begun it is not connecting any more.
struct Connection<F> {
    making: Pin<Box<F>>,
    /// The call that polled this first; None inside, once it does not wait for this any more.
    whose: Option<Option<Arc<Stage>>>,
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for Connection<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match &self.whose {
            None => {
                let stage = STAGE.try_with(Arc::clone).ok();
                if let Some(stage) = &stage {
                    stage.enter(Phase::Connect);
                }
                self.whose = Some(stage);
            }
            Some(Some(stage))
                if !STAGE
                    .try_with(|current| Arc::ptr_eq(current, stage))
                    .unwrap_or(false) =>
            {
                stage.has_connection();
                self.whose = Some(None);
            }
            Some(_) => {}
        }
        let connected = std::task::ready!(self.making.as_mut().poll(context));
        if let Some(Some(stage)) = &self.whose {
            stage.has_connection();
        }
        Poll::Ready(connected)
    }
}
