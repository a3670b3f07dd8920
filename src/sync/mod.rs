//! Primitives where threads meet.
//!
//! They know neither Python nor a runtime, so that `cargo test` can check them with loom: every order in which their users' steps
//! can come is tried. Outside of these checks they are built on the standard library.

pub mod inbox;
pub mod mailbox;
pub mod slot;

#[cfg(all(test, not(feature = "python")))]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(all(test, not(feature = "python"))))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

use std::sync::PoisonError;

/// Does something when it goes: at the end of what holds it, by a panic too.
pub struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    /// Create a guard that does this.
    pub fn new(end: F) -> Self {
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

/// Locks a mutex. A panic of another holder does not matter: each holder leaves the value consistent.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
