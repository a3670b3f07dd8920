//! The way from the workers to one event loop: a mailbox, and a wake-up when something was added.
//!
//! Rules of this file:
//! * a loop is woken through a socket that it watches; one that cannot watch sockets gets one
//!   `call_soon_threadsafe` per batch;
//! * a closed loop is never called: it drops its reader, which closes the port. A closed port is
//!   never handed out.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyWeakrefMethods, PyWeakrefReference};
use tokio::runtime::Handle;

use super::fork::Generation;
use super::process::process;
use super::slot::{Slot, wake};
use crate::platform::WakeSocket;
use crate::sync::mailbox::Mailbox;

/// The delay before a failed wake-up is repeated.
const WAKE_RETRY: Duration = Duration::from_millis(20);

/// The way from the workers to one event loop.
pub(crate) struct Port {
    mailbox: Mailbox<Arc<Slot>>,
    /// How many slots will arrive.
    expected: AtomicUsize,
    waker: LoopWaker,
    generation: Generation,
}

enum LoopWaker {
    Socket(WakeSocket),
    /// For loops without `add_reader`.
    Threadsafe(Py<PyWeakrefReference>),
}

/// The loops that ran on a thread, and the ports to them.
struct Ports {
    generation: Option<Generation>,
    known: Vec<(Py<PyWeakrefReference>, Arc<Port>)>,
}

thread_local! {
    static PORTS: RefCell<Ports> = const { RefCell::new(Ports { generation: None, known: Vec::new() }) };
}

impl Port {
    /// Return the running loop, and the port to it.
    pub(crate) fn of_running_loop(py: Python<'_>) -> PyResult<(Py<PyAny>, Arc<Port>)> {
        static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let event_loop = RUNNING_LOOP
            .import(py, "asyncio", "get_running_loop")?
            .call0()?;
        let known = PORTS.with_borrow_mut(|ports| {
            let current = Some(Generation::current());
            if mem::replace(&mut ports.generation, current) != current {
                // The inherited ports are those of the parent's loops.
                mem::forget(mem::take(&mut ports.known));
            }
            let is_same = |known: &Py<PyWeakrefReference>| {
                known
                    .bind(py)
                    .upgrade()
                    .is_some_and(|known| known.is(&event_loop))
            };
            let mut open = ports.known.iter().filter(|(_, port)| port.is_open());
            open.find(|(known, _)| is_same(known))
                .map(|(_, port)| port.clone())
        });
        if let Some(port) = known {
            return Ok((event_loop.unbind(), port));
        }
        let reference = PyWeakrefReference::new(&event_loop)?.unbind();
        let port = Port::open(&event_loop, &reference)?;
        let closed = PORTS.with_borrow_mut(|ports| {
            let known = mem::take(&mut ports.known);
            let (open, closed) = known.into_iter().partition(|(_, port)| port.is_open());
            ports.known = open;
            ports.known.push((reference, port.clone()));
            closed
        });
        // After the borrow: dropping Python objects may run code that comes back here.
        drop::<Vec<_>>(closed);
        Ok((event_loop.unbind(), port))
    }

    /// Open a port to a loop.
    fn open(
        event_loop: &Bound<'_, PyAny>,
        reference: &Py<PyWeakrefReference>,
    ) -> PyResult<Arc<Self>> {
        let py = event_loop.py();
        let threadsafe = || Self::with(LoopWaker::Threadsafe(reference.clone_ref(py)));
        let Some(socket) = WakeSocket::open()? else {
            return Ok(threadsafe());
        };
        let descriptor = socket.descriptor();
        let port = Self::with(LoopWaker::Socket(socket));
        // In an empty context: the loop keeps the context in which a reader was added, which
        // would keep a task's context alive.
        let add_reader = event_loop.getattr("add_reader")?;
        let args = (add_reader, descriptor, Drain { port: port.clone() });
        match empty_context(py)?.call_method1("run", args) {
            Ok(_) => Ok(port),
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyNotImplementedError>(py) => {
                Ok(threadsafe())
            }
            Err(error) => Err(error),
        }
    }

    fn with(waker: LoopWaker) -> Arc<Self> {
        Arc::new(Self {
            mailbox: Mailbox::default(),
            expected: AtomicUsize::new(0),
            waker,
            generation: Generation::current(),
        })
    }

    /// Return whether the loop can be woken.
    pub(crate) fn is_open(&self) -> bool {
        self.mailbox.is_open()
    }

    /// Expect a slot to arrive, while the guard lives.
    pub(crate) fn expect(self: &Arc<Self>) -> Arrival {
        self.expected.fetch_add(1, Ordering::Relaxed);
        Arrival(self.clone())
    }

    /// Deliver slots from the thread of the loop.
    pub(crate) fn deliver(self: &Arc<Self>, slots: impl IntoIterator<Item = Arc<Slot>>) {
        if self.mailbox.push(slots) {
            self.wake();
        }
    }

    fn wake(self: &Arc<Self>) {
        match &self.waker {
            LoopWaker::Socket(socket) => socket.wake(),
            LoopWaker::Threadsafe(reference) => {
                match Python::try_attach(|py| self.call_soon(py, reference)) {
                    Some(WakeResult::Woken) => {}
                    // The interpreter or the loop is closing, and no task waits any more.
                    Some(WakeResult::LoopIsClosed) | None => self.close(),
                    Some(WakeResult::Failed) => self.wake_later(),
                }
            }
        }
    }

    fn call_soon(
        self: &Arc<Self>,
        py: Python<'_>,
        reference: &Py<PyWeakrefReference>,
    ) -> WakeResult {
        let Some(event_loop) = reference.bind(py).upgrade() else {
            return WakeResult::LoopIsClosed;
        };
        let call = || {
            let options = PyDict::new(py);
            options.set_item("context", empty_context(py)?)?;
            let args = (Drain { port: self.clone() },);
            event_loop.call_method("call_soon_threadsafe", args, Some(&options))
        };
        if call().is_ok() {
            return WakeResult::Woken;
        }
        let is_closed = event_loop
            .call_method0("is_closed")
            .and_then(|closed| closed.is_truthy());
        if is_closed.unwrap_or(true) {
            WakeResult::LoopIsClosed
        } else {
            WakeResult::Failed
        }
    }

    /// Wake the loop after a pause, or earlier if another slot arrives.
    fn wake_later(self: &Arc<Self>) {
        if !self.mailbox.wake_failed() {
            return;
        }
        if let Ok(runtime) = process().runtime() {
            let port = self.clone();
            runtime.spawn(async move {
                tokio::time::sleep(WAKE_RETRY).await;
                if port.mailbox.must_wake_again() {
                    port.wake();
                }
            });
        }
    }

    fn close(&self) {
        drop(self.mailbox.close());
    }
}

enum WakeResult {
    Woken,
    LoopIsClosed,
    Failed,
}

fn empty_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CONTEXT.import(py, "contextvars", "Context")?.call0()
}

/// A slot that is expected at a port. Aborted work drops it, and it is no longer expected.
pub(crate) struct Arrival(Arc<Port>);

impl Arrival {
    /// Deliver a finished slot. If others are expected, the loop is woken after the other tasks
    /// that are ready on this worker, so that one wake-up serves all.
    pub(crate) fn deliver(self, slot: Arc<Slot>) {
        let port = self.0.clone();
        if !port.mailbox.push([slot]) {
            return;
        }
        match Handle::try_current() {
            Ok(worker) if port.expected.load(Ordering::Relaxed) > 1 => {
                worker.spawn(async move {
                    tokio::task::yield_now().await;
                    port.wake();
                });
            }
            // A thread of the caller has no other tasks.
            _ => port.wake(),
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.expected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Called by the loop when it was woken.
#[pyclass(name = "Drain", frozen, module = "replicate_rs._core")]
struct Drain {
    port: Arc<Port>,
}

#[pymethods]
impl Drain {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        if let LoopWaker::Socket(socket) = &self.port.waker {
            socket.clear();
        }
        let mut slots = self.port.mailbox.take().into_iter();
        while let Some(slot) = slots.next() {
            if let Err(error) = wake(py, slot.call_waiters()) {
                // A task ended with KeyboardInterrupt or SystemExit. The others must still be
                // woken.
                self.port.deliver(slots);
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        // Only the loop holds the reader of a socket: it was closed, or is being collected.
        if matches!(self.port.waker, LoopWaker::Socket(..)) && !self.port.generation.is_inherited()
        {
            self.port.close();
        }
    }
}

/// The port to a hub of gevent or eventlet. No greenlet is switched from Rust, since PyO3 counts
/// how often its thread has attached; `_base/greenlets.py` does that.
///
/// The hub's `EventLoop` keeps this, not the thread: what a thread keeps is dropped at its end,
/// when PyO3 may still count a greenlet that never detached.
#[pyclass(name = "HubPort", frozen, module = "replicate_rs._core")]
pub(crate) struct PyHubPort(pub(crate) Arc<Port>);

#[pymethods]
impl PyHubPort {
    #[new]
    fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let reference = PyWeakrefReference::new(event_loop)?.unbind();
        Port::open(event_loop, &reference).map(Self)
    }
}
