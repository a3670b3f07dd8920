//! Signals during waits without the GIL.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use pyo3::prelude::*;

use super::fork::Generation;
use super::greenlets::has_greenlets;

/// How often a wait checks for Ctrl-C.
pub(crate) const TICK: Duration = Duration::from_millis(50);

thread_local! {
    /// Set on threads that receive no signals: the process in which this was detected.
    static NO_SIGNALS: Cell<Option<Generation>> = const { Cell::new(None) };
}

/// Return how long a wait may be before it checks for signals; None on a thread that receives none.
pub(crate) fn tick() -> Option<Duration> {
    (NO_SIGNALS.get() != Some(Generation::current())).then_some(TICK)
}

/// Run the handlers of signals that have arrived. After the end of the interpreter, wait for the
/// end of the process.
pub(crate) fn check_signals() -> PyResult<()> {
    loop {
        if let Some(checked) = Python::try_attach(check_signals_attached) {
            return checked;
        }
        std::thread::park();
    }
}

fn check_signals_attached(py: Python<'_>) -> PyResult<()> {
    let threading = py.import("threading")?;
    let is_main = || -> PyResult<bool> {
        let main = threading.call_method0("main_thread")?;
        Ok(threading.call_method0("current_thread")?.is(&main))
    };
    // For a patched `threading`, a greenlet of the main thread is another thread.
    if !has_greenlets(py)? && !is_main()? {
        NO_SIGNALS.set(Some(Generation::current()));
    }
    py.check_signals()
}

/// Wait without the GIL until `wait` returns true; its argument limits each call. A signal handler
/// that raises ends the wait.
pub(crate) fn wait_until(
    py: Python<'_>,
    wait: impl Fn(Option<Duration>) -> bool + Sync,
) -> PyResult<()> {
    py.detach(|| {
        while !wait(tick()) {
            check_signals()?;
        }
        Ok(())
    })
}

/// Receive a value without the GIL; None if its sender is gone. A signal handler that raises ends
/// the wait.
pub(crate) fn receive<T>(receiver: &Receiver<T>) -> PyResult<Option<T>> {
    loop {
        let received = match tick() {
            Some(limit) => receiver.recv_timeout(limit),
            None => receiver.recv().map_err(Into::into),
        };
        match received {
            Ok(value) => return Ok(Some(value)),
            Err(RecvTimeoutError::Timeout) => check_signals()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}
