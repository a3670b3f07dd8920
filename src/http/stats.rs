//! Counters of a client, and an observer of its attempts.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use url::Url;

use crate::error::Error;

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of all clients that share their connections.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Calls that began.
    pub(crate) requests: Counter,
    /// Calls that ended, with or without an error.
    pub(crate) finished: Counter,
    /// Calls that ended with an error.
    pub(crate) failures: Counter,
    /// Attempts after the first of a call.
    pub(crate) retries: Counter,
    /// Connections that were opened, failed ones included.
    pub(crate) connections: Counter,
}

impl Counters {
    /// Count a call as active while the guard lives.
    pub(crate) fn enter(&self) -> ActiveCall<'_> {
        self.requests.increment();
        ActiveCall(self)
    }
}

#[derive(Debug)]
pub(crate) struct ActiveCall<'a>(&'a Counters);

impl Drop for ActiveCall<'_> {
    fn drop(&mut self) {
        self.0.finished.increment();
    }
}

/// One attempt of a call.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    /// Whether the URL is the API's.
    pub(crate) is_api: bool,
    /// From 1 on.
    pub(crate) number: u32,
    pub(crate) outcome: Outcome<'a>,
    pub(crate) duration: Duration,
    /// How long the call waits before the next attempt; None if there is none.
    pub(crate) next_delay: Option<Duration>,
    /// The length of the request's body, in bytes, if it was sent.
    pub(crate) sent: u64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a> {
    /// With a response of this status.
    Status(u16),
    Failed(&'a Error),
    /// The caller left, or its deadline passed.
    Abandoned,
}

/// Receives what happens in a call.
pub(crate) trait Observer: Any + fmt::Debug + Send + Sync {
    /// Receive an attempt when it ends.
    fn on_attempt(&self, attempt: &Attempt<'_>);
    /// Receive the length of a part of a response's body, in bytes.
    fn on_received(&self, length: usize);
}
