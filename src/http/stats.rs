//! What a client has done so far, in numbers, and one attempt for those who watch.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Error;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What all clients over the same connections have done.
#[derive(Debug, Default)]
pub struct Counters {
    /// Calls that were begun.
    pub requests: Counter,
    /// Those that are over, however they ended.
    pub finished: Counter,
    /// Those that ended in an error.
    pub failures: Counter,
    /// Attempts after the first of a call.
    pub retries: Counter,
    /// Connections that were opened, or tried to be.
    pub connections: Counter,
}

impl Counters {
    /// Counts a call for as long as the guard lives.
    pub fn enter(&self) -> UnderWay<'_> {
        self.requests.add();
        UnderWay(self)
    }
}

/// A call that is not over.
#[derive(Debug)]
pub struct UnderWay<'a>(&'a Counters);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.finished.add();
    }
}

/// One attempt of a call, for those who watch.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// From 1 on.
    pub number: u32,
    /// The status, or what went wrong.
    pub outcome: Result<u16, &'a Error>,
    /// From the attempt's begin to its end.
    pub took: Duration,
    /// How long the next attempt waits; None if there is none.
    pub wait: Option<Duration>,
}

/// Is told of every attempt of a call.
pub trait Observer: Any + fmt::Debug + Send + Sync {
    /// An attempt is over.
    fn attempted(&self, attempt: &Attempt<'_>);
}
