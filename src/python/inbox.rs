//! What a stream has brought and nobody has taken yet: a reader on the runtime fills it, Python empties it, all at once.
//!
//! No Python object is made or dropped while its lock is held.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyList;
use tokio::runtime::Handle;

use super::batch::{Batch, Form};
use super::port::UnderWay;
use super::slot::{Outcome, Slot};
use crate::error::{Error, Kind};
use crate::sync::inbox::{self, Waiter};
pub use crate::sync::inbox::{Ended, For, Subscribed, Taken};
use crate::sync::slot::Stand;

/// The slot of a task that waits for a part, and the way to its event loop.
pub struct SlotWaiter {
    slot: Arc<Slot>,
    way: UnderWay,
}

impl Waiter for SlotWaiter {
    fn is_gone(&self) -> bool {
        self.slot.stand() != Stand::Working
    }

    fn notify(self) {
        if self.slot.finish(ready()).is_ok_and(|is_awaited| is_awaited) {
            self.way.arrive(self.slot);
        }
    }
}

/// Return the outcome of a wait for parts, which stay where they are until they are asked for.
pub fn ready() -> Outcome {
    Ok(Box::new(|py| Ok(py.None())))
}

/// Return the error for somebody who reads what another one reads.
pub fn busy() -> Error {
    Error::new(
        Kind::Busy,
        "this stream is waited for elsewhere: read it in one task or thread at a time",
    )
}

/// A thread that waits.
pub struct Entered(Arc<Inbox>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The parts that wait, and who waits for them.
pub struct Inbox {
    form: Form,
    parts: Arc<inbox::Inbox<Batch, Error, SlotWaiter>>,
}

impl Deref for Inbox {
    type Target = inbox::Inbox<Batch, Error, SlotWaiter>;

    fn deref(&self) -> &Self::Target {
        &self.parts
    }
}

impl Inbox {
    /// Create an empty one.
    pub fn new(form: Form) -> Self {
        Self {
            form,
            parts: Arc::new(inbox::Inbox::new(Batch::new(form))),
        }
    }

    /// Note that the answer's head is there.
    pub fn begin(&self) {
        self.parts.begin(|later| self.wake_thread(later));
    }

    /// Add parts.
    pub fn fill<T>(&self, fill: impl FnOnce(&mut Batch) -> T) -> T {
        self.parts.fill(fill, |later| self.wake_thread(later))
    }

    /// Note that nothing more will come. Only the first end counts.
    pub fn end(&self, how: Result<Ended, Error>) {
        self.parts.end(how, |later| self.wake_thread(later));
    }

    /// Wake the thread that waits; `later`, after everything else that is ready on this worker: it would take its processor away.
    fn wake_thread(&self, later: bool) {
        match Handle::try_current() {
            Ok(worker) if later => {
                let parts = self.parts.clone();
                worker.spawn(async move {
                    tokio::task::yield_now().await;
                    parts.wake_blocked();
                });
            }
            _ => self.parts.wake_blocked(),
        }
    }

    /// Have a task's slot finished when there is something.
    pub fn subscribe(&self, what: For, slot: &Arc<Slot>, way: UnderWay) -> Subscribed {
        self.parts.subscribe(what, || SlotWaiter {
            slot: slot.clone(),
            way,
        })
    }

    /// Return everything that is there, as a list; empty at the end. Of what was to be much, and is not all, nothing is taken.
    pub fn take(&self, py: Python<'_>, what: For) -> PyResult<Result<Py<PyAny>, Error>> {
        Ok(Ok(
            match self.parts.take(what, |batch| batch.take(self.form)) {
                Ok(Taken::All(batch)) => batch.into_list(py, what == For::Much)?,
                Ok(Taken::NotAll) => PyList::empty(py),
                Ok(Taken::Nothing) => return Ok(Err(busy())),
                Err(error) => return Ok(Err(error)),
            }
            .into_any()
            .unbind(),
        ))
    }

    /// Give `give` bytes of a file, at most `most`; none at the end.
    pub fn take_bytes<T>(
        &self,
        most: usize,
        give: impl FnOnce(Vec<Bytes>) -> T,
    ) -> Result<T, Error> {
        self.parts
            .lend(|batch| batch.take_bytes(most), give)?
            .ok_or_else(busy)
    }

    /// Have this thread be the one that waits, for as long as the guard lives; None where there is something already.
    pub fn enter(self: &Arc<Self>, what: For) -> Result<Option<Entered>, Error> {
        match self.parts.enter(what) {
            Subscribed::Ready => Ok(None),
            Subscribed::Waits => Ok(Some(Entered(self.clone()))),
            Subscribed::Refused => Err(busy()),
        }
    }
}
