//! The way from the workers to one event loop: a queue, and a bell that is rung when the queue was empty.
//!
//! Rules this file keeps:
//! * the bell is a socket that the loop watches; loops that cannot watch one get a single `call_soon_threadsafe` per batch;
//! * a closed loop is never called: it drops its reader, and with it the port closes.

use std::cell::RefCell;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use super::bridge::Slot;
use super::{locked, runtime};

/// The way from the workers to one event loop.
pub struct Port {
    queue: Mutex<Vec<Arc<Slot>>>,
    open: AtomicBool,
    under_way: AtomicUsize,
    bell: Bell,
}

enum Bell {
    /// Both ends are ours, so that writing to it never meets a closed peer; the loop only watches the second.
    #[cfg(unix)]
    Socket(std::os::unix::net::UnixStream, std::os::unix::net::UnixStream),
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
    /// The running loop, and the way to it.
    pub fn of_this_loop(py: Python<'_>) -> PyResult<(Py<PyAny>, Arc<Port>)> {
        static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let event_loop = RUNNING_LOOP.import(py, "asyncio", "get_running_loop")?.call0()?;
        let known = PORTS.with_borrow_mut(|ports| {
            if mem::replace(&mut ports.forks, runtime::forks()) != runtime::forks() {
                // A child's loops are its own; the inherited bells belong to its parent's.
                mem::forget(mem::take(&mut ports.known));
            }
            let found = ports.known.iter().find(|(known, _)| known.bind(py).upgrade().is_some_and(|known| known.is(&event_loop)));
            found.map(|(_, port)| port.clone())
        });
        let port = match known {
            Some(port) => port,
            None => {
                let reference = PyWeakrefReference::new(&event_loop)?.unbind();
                let port = Port::open(&event_loop, &reference)?;
                let closed = PORTS.with_borrow_mut(|ports| {
                    let (open, closed) = mem::take(&mut ports.known).into_iter().partition(|(_, port)| port.is_open());
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
    pub fn open(event_loop: &Bound<'_, PyAny>, reference: &Py<PyWeakrefReference>) -> PyResult<Arc<Self>> {
        use std::os::fd::AsRawFd;
        let py = event_loop.py();
        let (ringing, ringed) = std::os::unix::net::UnixStream::pair()?;
        ringing.set_nonblocking(true)?;
        ringed.set_nonblocking(true)?;
        let fd = ringed.as_raw_fd();
        let port = Arc::new(Self::with(Bell::Socket(ringing, ringed)));
        match event_loop.call_method1("add_reader", (fd, Drain { port: port.clone() })) {
            Ok(_) => Ok(port),
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyNotImplementedError>(py) => {
                Ok(Arc::new(Self::with(Bell::Threadsafe(reference.clone_ref(py)))))
            }
            Err(error) => Err(error),
        }
    }

    /// One to a loop that has none.
    #[cfg(not(unix))]
    pub fn open(event_loop: &Bound<'_, PyAny>, reference: &Py<PyWeakrefReference>) -> PyResult<Arc<Self>> {
        Ok(Arc::new(Self::with(Bell::Threadsafe(reference.clone_ref(event_loop.py())))))
    }

    fn with(bell: Bell) -> Self {
        Self { queue: Mutex::default(), open: AtomicBool::new(true), under_way: AtomicUsize::new(0), bell }
    }

    /// Whether its loop can still be told of something.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Counts work whose answer will come this way, for as long as the guard lives.
    pub fn enter(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Adds to the queue; whether the bell has to be rung for it.
    pub fn push(&self, slots: impl IntoIterator<Item = Arc<Slot>>) -> bool {
        let mut queue = locked(&self.queue);
        let silent = queue.is_empty();
        queue.extend(slots);
        silent && !queue.is_empty()
    }

    /// Tells the loop that there is something.
    pub fn ring(self: &Arc<Self>) {
        if !self.is_open() {
            return;
        }
        match &self.bell {
            // A full bell is ringing already.
            #[cfg(unix)]
            Bell::Socket(ringing, _) => drop(std::io::Write::write(&mut &*ringing, b"!")),
            Bell::Threadsafe(reference) => {
                let rung = Python::try_attach(|py| match reference.bind(py).upgrade() {
                    Some(event_loop) => event_loop.call_method1("call_soon_threadsafe", (Drain { port: self.clone() },)).is_ok(),
                    None => false,
                });
                if rung != Some(true) {
                    // The interpreter or the loop is going away, and nobody waits any more.
                    self.close();
                }
            }
        }
    }

    fn close(&self) {
        self.open.store(false, Ordering::Release);
        drop(mem::take(&mut *locked(&self.queue)));
    }

    fn silence(&self) {
        match &self.bell {
            #[cfg(unix)]
            Bell::Socket(_, ringed) => drop(std::io::Read::read(&mut &*ringed, &mut [0; 64])),
            Bell::Threadsafe(_) => {}
        }
    }
}

/// Work that is under way to a port; aborted work leaves it too.
pub struct UnderWay(Arc<Port>);

impl UnderWay {
    /// Hands over a finished slot. Alone, it rings at once; otherwise after everything else that is ready on this worker, so that
    /// one ring tells of all of it.
    pub fn arrive(self, slot: Arc<Slot>) {
        let port = self.0.clone();
        if !port.push([slot]) {
            return;
        }
        if port.under_way.load(Ordering::Relaxed) == 1 {
            port.ring();
            return;
        }
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            port.ring();
        });
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
        let mut slots = mem::take(&mut *locked(&self.port.queue)).into_iter();
        while let Some(slot) = slots.next() {
            if let Err(error) = slot.wake(py) {
                // A task ended with KeyboardInterrupt or SystemExit: the others must be woken all the same.
                if self.port.push(slots) {
                    self.port.ring();
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        #[cfg(unix)]
        if matches!(self.port.bell, Bell::Socket(..)) {
            // Only the loop holds this reader: it was closed, or is being collected.
            self.port.close();
        }
    }
}
