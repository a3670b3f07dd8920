//! The way from the workers to one event loop: a mailbox, and a bell that is rung when something was put in.
//!
//! Rules this file keeps:
//! * the bell is a socket that the loop watches; loops that cannot watch one get a single `call_soon_threadsafe` per batch;
//! * a closed loop is never called: it drops its reader, and with it the port closes. A closed port is never handed out.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyWeakrefMethods, PyWeakrefReference};
use tokio::runtime::Handle;

use super::process::{forks, process};
use super::slot::{Slot, wake};
use crate::sync::mailbox::Mailbox;

/// How long to wait before a bell that could not be rung is rung again.
const RING_AGAIN: Duration = Duration::from_millis(20);

/// The way from the workers to one event loop.
pub struct Port {
    mailbox: Mailbox<Arc<Slot>>,
    under_way: AtomicUsize,
    bell: Bell,
    /// When it was made: a forked child leaves its parent's alone.
    forks: usize,
}

enum Bell {
    /// Both ends are ours, so that writing to it never meets a closed peer; the loop only watches the second.
    #[cfg(unix)]
    Socket(
        std::os::unix::net::UnixStream,
        std::os::unix::net::UnixStream,
    ),
    /// For loops without `add_reader`.
    Threadsafe(Py<PyWeakrefReference>),
}

thread_local! {
    static PORTS: RefCell<Ports> = const { RefCell::new(Ports { forks: 0, known: Vec::new() }) };
}

/// The loops that ran on this thread, by weak reference.
struct Ports {
    forks: usize,
    known: Vec<(Py<PyWeakrefReference>, Arc<Port>)>,
}

impl Port {
    /// Return the running loop, and the way to it.
    pub fn of_this_loop(py: Python<'_>) -> PyResult<(Py<PyAny>, Arc<Port>)> {
        static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let event_loop = RUNNING_LOOP
            .import(py, "asyncio", "get_running_loop")?
            .call0()?;
        let known = PORTS.with_borrow_mut(|ports| {
            if mem::replace(&mut ports.forks, forks()) != forks() {
                // A child's loops are its own; the inherited bells belong to its parent's.
                mem::forget(mem::take(&mut ports.known));
            }
            let is_meant = |known: &Py<PyWeakrefReference>| {
                known
                    .bind(py)
                    .upgrade()
                    .is_some_and(|known| known.is(&event_loop))
            };
            let found = ports
                .known
                .iter()
                .find(|(known, port)| port.is_open() && is_meant(known));
            found.map(|(_, port)| port.clone())
        });
        let port = match known {
            Some(port) => port,
            None => {
                let reference = PyWeakrefReference::new(&event_loop)?.unbind();
                let port = Port::open(&event_loop, &reference)?;
                let closed = PORTS.with_borrow_mut(|ports| {
                    let (open, closed) = mem::take(&mut ports.known)
                        .into_iter()
                        .partition(|(_, port)| port.is_open());
                    ports.known = open;
                    ports.known.push((reference, port.clone()));
                    closed
                });
                drop::<Vec<_>>(closed);
                port
            }
        };
        Ok((event_loop.unbind(), port))
    }

    /// One to a loop that has none.
    #[cfg(unix)]
    pub fn open(
        event_loop: &Bound<'_, PyAny>,
        reference: &Py<PyWeakrefReference>,
    ) -> PyResult<Arc<Self>> {
        use std::os::fd::AsRawFd;
        let py = event_loop.py();
        let (ringing, ringed) = std::os::unix::net::UnixStream::pair()?;
        ringing.set_nonblocking(true)?;
        ringed.set_nonblocking(true)?;
        let fd = ringed.as_raw_fd();
        let port = Arc::new(Self::with(Bell::Socket(ringing, ringed)));
        // The loop keeps the context in which a reader was added: that of this task would live as long as the loop.
        let watch = empty_context(py)?.call_method1(
            "run", //
            (
                event_loop.getattr("add_reader")?,
                fd,
                Drain { port: port.clone() },
            ),
        );
        match watch {
            Ok(_) => Ok(port),
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyNotImplementedError>(py) => {
                Ok(Arc::new(Self::with(Bell::Threadsafe(
                    reference.clone_ref(py),
                ))))
            }
            Err(error) => Err(error),
        }
    }

    /// One to a loop that has none.
    #[cfg(not(unix))]
    pub fn open(
        event_loop: &Bound<'_, PyAny>,
        reference: &Py<PyWeakrefReference>,
    ) -> PyResult<Arc<Self>> {
        Ok(Arc::new(Self::with(Bell::Threadsafe(
            reference.clone_ref(event_loop.py()),
        ))))
    }

    fn with(bell: Bell) -> Self {
        Self {
            mailbox: Mailbox::default(),
            under_way: AtomicUsize::new(0),
            bell,
            forks: forks(),
        }
    }

    /// Return whether its loop can still be told of something.
    pub fn is_open(&self) -> bool {
        self.mailbox.is_open()
    }

    /// Count work whose answer will come this way, for as long as the guard lives.
    pub fn enter(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Hand over slots whose waiters have to be woken, from the loop's own thread.
    pub fn hand_over(self: &Arc<Self>, slots: impl IntoIterator<Item = Arc<Slot>>) {
        if self.mailbox.push(slots) {
            self.ring();
        }
    }

    /// Tell the loop that there is something.
    fn ring(self: &Arc<Self>) {
        match &self.bell {
            // A full bell is ringing already.
            #[cfg(unix)]
            Bell::Socket(ringing, _) => drop(std::io::Write::write(&mut &*ringing, b"!")),
            Bell::Threadsafe(reference) => {
                match Python::try_attach(|py| self.call_soon(py, reference)) {
                    Some(Rung::Heard) => {}
                    // The interpreter or the loop is going away, and nobody waits any more.
                    Some(Rung::LoopIsClosed) | None => self.close(),
                    Some(Rung::Failed) => self.ring_later(),
                }
            }
        }
    }

    fn call_soon(self: &Arc<Self>, py: Python<'_>, reference: &Py<PyWeakrefReference>) -> Rung {
        let Some(event_loop) = reference.bind(py).upgrade() else {
            return Rung::LoopIsClosed;
        };
        let call = || {
            let options = PyDict::new(py);
            options.set_item("context", empty_context(py)?)?;
            event_loop.call_method(
                "call_soon_threadsafe",
                (Drain { port: self.clone() },),
                Some(&options),
            )
        };
        if call().is_ok() {
            return Rung::Heard;
        }
        let is_closed = event_loop
            .call_method0("is_closed")
            .and_then(|closed| closed.is_truthy());
        if is_closed.unwrap_or(true) {
            Rung::LoopIsClosed
        } else {
            Rung::Failed
        }
    }

    /// Ring again after a while; or before, if something else is put in.
    fn ring_later(self: &Arc<Self>) {
        if !self.mailbox.ring_failed() {
            return;
        }
        if let Ok(runtime) = process().runtime() {
            let port = self.clone();
            runtime.spawn(async move {
                tokio::time::sleep(RING_AGAIN).await;
                if port.mailbox.ring_again() {
                    port.ring();
                }
            });
        }
    }

    fn close(&self) {
        drop(self.mailbox.close());
    }

    fn silence(&self) {
        match &self.bell {
            #[cfg(unix)]
            Bell::Socket(_, ringed) => drop(std::io::Read::read(&mut &*ringed, &mut [0; 64])),
            Bell::Threadsafe(_) => {}
        }
    }
}

/// What became of an attempt to ring.
enum Rung {
    Heard,
    LoopIsClosed,
    Failed,
}

fn empty_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CONTEXT.import(py, "contextvars", "Context")?.call0()
}

/// Work that is under way to a port; aborted work leaves it too.
pub struct UnderWay(Arc<Port>);

impl UnderWay {
    /// Hand over a finished slot. Alone, it rings at once; otherwise after everything else that is ready on this worker, so that
    /// one ring tells of all of it.
    pub fn arrive(self, slot: Arc<Slot>) {
        let port = self.0.clone();
        if !port.mailbox.push([slot]) {
            return;
        }
        match Handle::try_current() {
            Ok(worker) if port.under_way.load(Ordering::Relaxed) > 1 => {
                worker.spawn(async move {
                    tokio::task::yield_now().await;
                    port.ring();
                });
            }
            // On a thread of the caller's there is no worker that would come to it later.
            _ => port.ring(),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the loop calls when the bell rings.
#[pyclass(frozen, module = "replicate_rs._core")]
struct Drain {
    port: Arc<Port>,
}

#[pymethods]
impl Drain {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.port.silence();
        let mut slots = self.port.mailbox.take().into_iter();
        while let Some(slot) = slots.next() {
            if let Err(error) = wake(py, slot.call_waiters()) {
                // A task ended with KeyboardInterrupt or SystemExit: the others must be woken all the same.
                self.port.hand_over(slots);
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        #[cfg(unix)]
        if matches!(self.port.bell, Bell::Socket(..)) && self.port.forks == forks() {
            // Only the loop holds this reader: it was closed, or is being collected.
            self.port.close();
        }
    }
}
