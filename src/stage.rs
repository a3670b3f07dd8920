//! Where a call is at a time, so that a deadline that passes can say so.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower_layer::Layer;
use tower_service::Service;

use crate::clock::deadline;
use crate::error::{Error, Phase};
use crate::stats::Counters;
use crate::upload::Progress;

const PHASES: [Phase; 6] = [Phase::Pool, Phase::Connect, Phase::Sending, Phase::Response, Phase::Body, Phase::Pause];

/// How often a connection that takes longer than an answer may is looked at.
const GLANCE: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Stage {
    at: AtomicU8,
    began: Instant,
    /// When a connection was made last, in milliseconds after the begin; 0 if none was.
    connected: AtomicU64,
    /// Whether the request under way has had a connection made for it.
    has_connected: AtomicBool,
    upload: Mutex<Option<Progress>>,
}

tokio::task_local! {
    static STAGE: Arc<Stage>;
}

/// Notes where this call is.
pub fn enter(phase: Phase) {
    let place = PHASES.iter().position(|each| *each == phase).and_then(|place| u8::try_from(place).ok());
    // A connection that another call has begun may be made on a task of its own.
    let _ = STAGE.try_with(|stage| stage.at.store(place.unwrap_or_default(), Ordering::Relaxed));
}

/// Notes what tells how much of the body was sent.
pub fn sending(progress: &Progress) {
    let _ = STAGE.try_with(|stage| *stage.upload.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone()));
}

/// Notes that a request begins, which may get a connection of an earlier one.
pub fn begin() {
    let _ = STAGE.try_with(|stage| stage.has_connected.store(false, Ordering::Relaxed));
}

/// Whether the request that began last was surely sent over a connection of an earlier one.
pub fn is_reused() -> bool {
    STAGE.try_with(|stage| !stage.has_connected.load(Ordering::Relaxed)).unwrap_or(false)
}

impl Stage {
    fn new() -> Self {
        Self {
            at: AtomicU8::new(0),
            began: Instant::now(),
            connected: AtomicU64::new(0),
            has_connected: AtomicBool::new(false),
            upload: Mutex::default(),
        }
    }

    fn is_connecting(&self) -> bool {
        self.phase() == Phase::Connect
    }

    fn phase(&self) -> Phase {
        let phase = PHASES.get(usize::from(self.at.load(Ordering::Relaxed))).copied().unwrap_or(Phase::Total);
        let upload = self.upload.lock().unwrap_or_else(PoisonError::into_inner);
        let is_sending = phase == Phase::Response && upload.as_ref().is_some_and(|upload| !upload.is_complete());
        if is_sending { Phase::Sending } else { phase }
    }

    fn connected(&self) -> Instant {
        deadline(self.began, Duration::from_millis(self.connected.load(Ordering::Relaxed)))
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
    let stage = Arc::new(Stage::new());
    let work = STAGE.scope(stage.clone(), work);
    match limit {
        Some(limit) => timeout(limit, work).await.unwrap_or_else(|_| Err(Error::late(limit, stage.phase()))),
        None => work.await,
    }
}

/// Ends when no answer has begun for `limit` after the request could be sent; making a connection has a limit of its own.
pub async fn silence(limit: Duration) {
    let mut due = deadline(Instant::now(), limit);
    loop {
        sleep_until(due).await;
        let Ok(stage) = STAGE.try_with(Arc::clone) else { return };
        let now = Instant::now();
        due = if stage.is_connecting() { now + GLANCE } else { deadline(stage.connected(), limit) };
        if due <= now {
            return;
        }
    }
}

/// Ends as `Progress::stalled` does, but for the time that making a connection takes, which has a limit of its own.
pub async fn stalled(progress: &Progress, write: Option<Duration>, read: Option<Duration>) -> Error {
    loop {
        let error = progress.stalled(write, read).await;
        if !STAGE.try_with(|stage| stage.is_connecting()).unwrap_or(false) {
            return error;
        }
        while STAGE.try_with(|stage| stage.is_connecting()).unwrap_or(false) {
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
        Connector { inner, counters: self.0.clone() }
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
        let connection = self.inner.call(request);
        Box::pin(async move {
            enter(Phase::Connect);
            let connected = connection.await;
            enter(Phase::Response);
            let _ = STAGE.try_with(|stage| {
                let millis = u64::try_from(stage.began.elapsed().as_millis()).unwrap_or(u64::MAX);
                stage.connected.store(millis, Ordering::Relaxed);
            });
            connected
        })
    }
}
