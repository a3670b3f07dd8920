//! Forks of the process. A child never uses inherited state: its locks may be held by threads that
//! exist only in the parent.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::{AbortHandle, JoinHandle};

static FORKS: AtomicUsize = AtomicUsize::new(0);

/// The number of forks between the first process and the owner of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(pub usize);

impl Generation {
    /// Return the generation of this process.
    pub(crate) fn current() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Note that this process was forked.
    pub(crate) fn advance() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    /// Return whether this generation is that of a parent process.
    pub(crate) fn is_inherited(self) -> bool {
        self != Self::current()
    }
}

/// A task of one process.
#[derive(Debug)]
pub(crate) struct TaskHandle {
    task: AbortHandle,
    generation: Generation,
}

impl TaskHandle {
    /// Return the handle of a task of this process.
    pub(crate) fn of<T>(task: &JoinHandle<T>) -> Self {
        Self {
            task: task.abort_handle(),
            generation: Generation::current(),
        }
    }

    pub(crate) fn is_inherited(&self) -> bool {
        self.generation.is_inherited()
    }

    /// Abort the task, unless it belongs to a parent process.
    pub(crate) fn abort(&self) {
        if !self.is_inherited() {
            self.task.abort();
        }
    }
}

/// Aborts a task when it is dropped.
#[derive(Debug)]
pub(crate) struct AbortOnDrop(pub(crate) TaskHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
