//! Blocking work that is kept off the runtime's thread.

use std::cell::Cell;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::{Error, Kind};

thread_local! {
    static IS_SHARED: Cell<bool> = const { Cell::new(false) };
}

/// Note that the calls of many callers run on this thread, so that none may wait for a disk here.
pub(crate) fn mark_shared_thread() {
    IS_SHARED.set(true);
}

/// Return whether the runtime runs on the thread of a blocking call, which may wait for a disk
/// itself.
pub(crate) fn is_caller_thread() -> bool {
    if IS_SHARED.get() {
        return false;
    }
    Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread)
}

/// Run blocking work, on another thread if this one belongs to the shared runtime.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    if is_caller_thread() {
        work()
    } else {
        join(&mut spawn_blocking(work)).await
    }
}

/// Wait for work on another thread; a panic there becomes an error.
pub(crate) async fn join<T>(task: &mut JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    task.await
        .unwrap_or_else(|error| Err(Error::new(Kind::File, error.to_string())))
}
