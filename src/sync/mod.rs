//! Synchronisation primitives.
//!
//! They depend neither on Python nor on a runtime, so that `cargo test` can check them with loom,
//! which tries every order of the steps of their users. Otherwise they use the standard library.

pub(crate) mod inbox;
pub(crate) mod mailbox;
pub(crate) mod slot;

#[cfg(all(test, not(feature = "python")))]
use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(all(test, not(feature = "python"))))]
use std::sync::{Condvar, Mutex, MutexGuard};

use std::sync::PoisonError;

/// Calls a function when it is dropped, by a panic too.
pub(crate) struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub(crate) fn new(end: F) -> Self {
        Self(Some(end))
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

/// Lock a mutex, as `crate::lock` does, with loom's types in its checks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
