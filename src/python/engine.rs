//! The engine of blocking calls: a runtime that is driven by the thread that waits.

use std::time::Duration;

use pyo3::PyResult;
use tokio::runtime::Runtime;
use tokio::task::{AbortHandle, JoinHandle, yield_now};
use tokio::time::timeout;

use super::failure::Failure;
use super::signals::{check_signals, tick};
use crate::error::Error;
use crate::shared_runtime::Threads;

/// After this number of turns, the connections of an idle engine have noticed that their client or
/// request is gone.
const SETTLING_TURNS: usize = 4;

/// A runtime without a thread of its own. Its connections make progress only while a thread drives
/// it.
pub(crate) struct Engine(Runtime);

impl Engine {
    pub(crate) fn new(threads: &Threads) -> std::io::Result<Self> {
        threads.runtime().build().map(Self)
    }

    /// Run work on this thread. It is a task, because tokio makes a system call for each wake-up of
    /// the future that it blocks on, but not for those of tasks.
    pub(crate) fn run<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut task = self.spawn_task(work);
        let result = match self.wait(&mut task) {
            Ok(done) => done
                .unwrap_or_else(|_| Err(Error::internal()))
                .map_err(Failure::from),
            Err(interrupt) => {
                task.abort();
                Err(interrupt.into())
            }
        };
        if result.is_err() {
            self.settle();
        }
        result
    }

    /// Begin work that makes progress while any thread drives the engine.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.spawn_task(work).abort_handle()
    }

    /// Drive the engine until a future is ready. A signal handler that raises ends the wait.
    pub(crate) fn wait<F: Future + Unpin>(&self, mut until: F) -> PyResult<F::Output> {
        loop {
            if let Some(output) = self.drive(&mut until, tick()) {
                return Ok(output);
            }
            check_signals()?;
        }
    }

    /// Drive the engine until a future is ready, at most for `limit`.
    pub(crate) fn drive<T>(
        &self,
        until: impl Future<Output = T>,
        limit: Option<Duration>,
    ) -> Option<T> {
        self.0.block_on(async {
            match limit {
                Some(limit) => timeout(limit, until).await.ok(),
                None => Some(until.await),
            }
        })
    }

    /// Let connections notice that their client or request is gone.
    pub(crate) fn settle(&self) {
        self.0.block_on(async {
            for _ in 0..SETTLING_TURNS {
                yield_now().await;
            }
        });
    }

    /// Spawn a task from within the runtime, which needs no wake-up.
    fn spawn_task<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        #[allow(clippy::async_yields_async, reason = "the caller awaits the task")]
        self.0.block_on(async {
            tokio::spawn(async {
                // Connections run first, so that one that the server closed meanwhile is not used.
                yield_now().await;
                work.await
            })
        })
    }
}
