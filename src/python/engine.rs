//! The engine of blocking calls: a runtime without a thread of its own, driven by the thread that waits; and how a thread that waits
//! for something of Rust sees signals.

use std::cell::Cell;
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinHandle, yield_now};
use tokio::time::timeout;

use super::greenlets::has_greenlets;
use super::process::{forks, internal};
use crate::error::Error;

/// How often a blocking call looks for Ctrl-C.
pub const TICK: Duration = Duration::from_millis(50);
/// Turns of an idle engine after which its connections have seen that their client is gone.
const SETTLING_TURNS: usize = 4;

/// A runtime without a thread of its own. Its connections are moved on only while somebody drives it.
pub struct Engine(Runtime);

impl Engine {
    /// One that nobody drives yet.
    pub fn new() -> std::io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(Self)
    }

    /// Runs `work` on this thread, as a task: tokio pays a system call for each wake of what it blocks on, but not for tasks.
    pub fn drive<T, F>(&self, work: F) -> PyResult<Result<T, Error>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut task = self.spawn(work);
        let result = loop {
            if let Some(done) = self.turn(&mut task, gets_signals().then_some(TICK)) {
                break Ok(done.unwrap_or_else(|_| Err(internal())));
            }
            if let Err(interrupt) = look_for_signals() {
                task.abort();
                break Err(interrupt);
            }
        };
        if !matches!(result, Ok(Ok(_))) {
            self.settle();
        }
        result
    }

    /// Begins work that goes on in whoever's turns.
    pub fn begin(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.spawn(work).abort_handle()
    }

    /// Drives it on this thread until something has come about, at most for `limit`.
    pub fn turn<T>(&self, until: impl Future<Output = T>, limit: Option<Duration>) -> Option<T> {
        self.0.block_on(async {
            match limit {
                Some(limit) => timeout(limit, until).await.ok(),
                None => Some(until.await),
            }
        })
    }

    /// Lets connections notice what happened while nobody drove them: a client that is gone, a request that was given up.
    pub fn settle(&self) {
        self.0.block_on(async {
            for _ in 0..SETTLING_TURNS {
                yield_now().await;
            }
        });
    }

    /// Spawned from within, which costs no wake-up.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        #[allow(
            clippy::async_yields_async,
            reason = "the task is awaited elsewhere, in turns"
        )]
        self.0.block_on(async {
            tokio::spawn(async {
                // Connections first: one that the server closed meanwhile must not be taken for this request.
                yield_now().await;
                work.await
            })
        })
    }
}

/// Waits without the GIL until `wait` says that it is over, at most for as long as it is told; signals interrupt it.
pub fn wait_until(py: Python<'_>, wait: impl Fn(Option<Duration>) -> bool + Sync) -> PyResult<()> {
    py.detach(|| {
        while !wait(gets_signals().then_some(TICK)) {
            look_for_signals()?;
        }
        Ok(())
    })
}

thread_local! {
    /// Set, with the number of forks, on threads that Python never gives a signal to.
    static NO_SIGNALS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Whether Python may give this thread a signal.
pub fn gets_signals() -> bool {
    NO_SIGNALS.get() != Some(forks())
}

/// On a thread that waits without the GIL. Where Python has ended meanwhile, this thread waits for the process to follow.
pub fn look_for_signals() -> PyResult<()> {
    loop {
        if let Some(looked) = Python::try_attach(check_signals) {
            return looked;
        }
        std::thread::park();
    }
}

fn check_signals(py: Python<'_>) -> PyResult<()> {
    let threading = py.import("threading")?;
    // A greenlet of the main thread is not the main thread to a patched `threading`.
    if !has_greenlets(py)?
        && !threading
            .call_method0("current_thread")?
            .is(&threading.call_method0("main_thread")?)
    {
        NO_SIGNALS.set(Some(forks()));
    }
    py.check_signals()
}
