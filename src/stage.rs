//! Where a call is at a time, so that a deadline that passes can say so.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::{Error, Phase};
use crate::stats::Counters;
use crate::upload::Progress;

const PHASES: [Phase; 6] = [Phase::Pool, Phase::Connect, Phase::Sending, Phase::Response, Phase::Body, Phase::Pause];

#[derive(Debug, Default)]
struct Stage {
    at: AtomicU8,
    upload: Mutex<Option<Progress>>,
}

tokio::task_local! {
    static STAGE: Arc<Stage>;
}

/// Notes where this call is; nothing for calls without a deadline.
pub fn enter(phase: Phase) {
    let place = PHASES.iter().position(|each| *each == phase).and_then(|place| u8::try_from(place).ok());
    // Outside of a deadline nobody asks.
    let _ = STAGE.try_with(|stage| stage.at.store(place.unwrap_or_default(), Ordering::Relaxed));
}

/// Notes what tells how much of the body was sent.
pub fn sending(progress: &Progress) {
    let _ = STAGE.try_with(|stage| *stage.upload.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone()));
}

impl Stage {
    fn phase(&self) -> Phase {
        let phase = PHASES.get(usize::from(self.at.load(Ordering::Relaxed))).copied().unwrap_or(Phase::Total);
        let upload = self.upload.lock().unwrap_or_else(PoisonError::into_inner);
        let is_sending = phase == Phase::Response && upload.as_ref().is_some_and(|upload| !upload.is_complete());
        if is_sending { Phase::Sending } else { phase }
    }
}

/// Runs a call under its deadline over everything.
pub async fn within<T, F>(limit: Option<Duration>, work: Pin<&mut F>) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let Some(limit) = limit else { return work.await };
    let stage = Arc::new(Stage::default());
    let done = timeout(limit, STAGE.scope(stage.clone(), work)).await;
    done.unwrap_or_else(|_| Err(Error::late(limit, stage.phase())))
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
        let connection = self.inner.call(request);
        Box::pin(async move {
            enter(Phase::Connect);
            let connected = connection.await;
            enter(Phase::Response);
            connected
        })
    }
}
