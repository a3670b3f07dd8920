//! The parts of a stream that were received and not yet taken, for a reader that runs on tokio.

use std::ops::Deref;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::batch::{Batch, Form};
use crate::error::{Error, Kind};
use crate::sync::inbox;
pub(crate) use crate::sync::inbox::{Ended, Subscribed, WaitFor, Waiter};

/// The inbox of a stream. `W` is a task of the consumer that waits.
pub(crate) struct Inbox<W> {
    pub(crate) form: Form,
    inner: Arc<inbox::Inbox<Batch, Error, W>>,
}

impl<W> Deref for Inbox<W> {
    type Target = inbox::Inbox<Batch, Error, W>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<W: Waiter + Send + 'static> Inbox<W> {
    pub(crate) fn new(form: Form) -> Self {
        Self {
            form,
            inner: Arc::new(inbox::Inbox::new(Batch::new(form))),
        }
    }

    /// Note that the head of the response has arrived.
    pub(crate) fn begin(&self) {
        self.inner.begin(|later| self.wake_thread(later));
    }

    /// Add parts.
    pub(crate) fn fill<T>(&self, fill: impl FnOnce(&mut Batch) -> T) -> T {
        self.inner.fill(fill, |later| self.wake_thread(later))
    }

    /// Note the end of the stream. Only the first call counts.
    pub(crate) fn end(&self, how: Result<Ended, Error>) {
        self.inner.end(how, |later| self.wake_thread(later));
    }

    /// Wake the thread that waits. With `later`, after all other tasks that are ready on this
    /// worker: the thread would take its processor.
    fn wake_thread(&self, later: bool) {
        match Handle::try_current() {
            Ok(worker) if later => {
                let inner = self.inner.clone();
                worker.spawn(async move {
                    tokio::task::yield_now().await;
                    inner.wake_blocked();
                });
            }
            _ => self.inner.wake_blocked(),
        }
    }

    /// Register this thread as the waiter while the guard lives; None if there is nothing to wait
    /// for.
    pub(crate) fn enter(&self, what: WaitFor) -> Result<Option<WaitingThread<'_, W>>, Error> {
        match self.inner.enter(what) {
            Subscribed::Ready => Ok(None),
            Subscribed::Waits => Ok(Some(WaitingThread(self))),
            Subscribed::Refused => Err(busy()),
        }
    }
}

/// A thread that waits.
pub(crate) struct WaitingThread<'a, W: Waiter>(&'a Inbox<W>);

impl<W: Waiter> Drop for WaitingThread<'_, W> {
    fn drop(&mut self) {
        self.0.inner.leave();
    }
}

/// Return the error for a second consumer.
pub(crate) fn busy() -> Error {
    let message = "this stream is waited for elsewhere: read it in one task or thread at a time";
    Error::new(Kind::Busy, message)
}
