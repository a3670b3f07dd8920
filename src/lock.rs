//! A mutex that ignores poisoning, and a cell with a fallible initialiser.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Lock a mutex. Poisoning is ignored: every holder leaves the value consistent, a panicking one
/// too.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Take an optional value. It is dropped after the mutex is unlocked, because the destructor of a
/// Python object may run any code.
pub(crate) fn take<T>(mutex: &Mutex<Option<T>>) -> Option<T> {
    lock(mutex).take()
}

/// Initialise a cell with a fallible initialiser.
pub(crate) fn get_or_try_init<T, E>(
    cell: &OnceLock<T>,
    init: impl FnOnce() -> Result<T, E>,
) -> Result<&T, E> {
    match cell.get() {
        Some(value) => Ok(value),
        None => {
            let value = init()?;
            Ok(cell.get_or_init(|| value))
        }
    }
}
