//! The binding half: the only place that knows Python.

pub mod abort;
pub mod bridge;
pub mod call;
pub mod client;
pub mod engine;
pub mod event;
pub mod exceptions;
pub mod files;
pub mod greenlets;
pub mod hub;
pub mod inbox;
pub mod json;
pub mod log;
pub mod port;
pub mod reader;
pub mod response;
pub mod runtime;
pub mod source;
pub mod webhook;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex; a panic elsewhere while it was held does not matter, since each holder leaves it consistent.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
