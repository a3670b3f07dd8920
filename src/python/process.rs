//! The state of a process: the runtime for awaited calls and streams, the engine of blocking calls,
//! connections, and TLS.
//!
//! Rules of this file:
//! * nothing starts before the first call;
//! * a forked child has a new state, and the inherited one is leaked on purpose;
//! * one blocking call at a time drives its sockets on its own thread, with the engine. Calls that
//!   begin meanwhile share the runtime's thread with awaited calls. `docs/design.md` has the
//!   measurements.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use pyo3::prelude::*;
use tokio::runtime::Runtime;

use super::engine::Engine;
use super::failure::Failure;
use super::fork::Generation;
use super::signals::receive;
use crate::clock::deadline;
use crate::error::{Error, Kind};
use crate::http::connect::ConnectOptions;
use crate::http::pool::{Pool, Shared};
use crate::http::tls::Tls;
use crate::lock::{get_or_try_init, lock};
use crate::predictions::create::{Creates, Unattended};
use crate::predictions::pace::Pace;
use crate::shared_runtime::{SharedRuntime, Threads};

/// How long to wait for the end of aborted work.
const MAX_ABORT: Duration = Duration::from_secs(1);

/// After two threads have called at the same time, how many calls use the runtime before the engine
/// is tried again. For overlapping calls, one thread that does all I/O is cheaper than one thread
/// per call that wakes up for its own.
const CALLS_ON_RUNTIME: usize = 256;

/// The state that a forked child must not use.
#[derive(Default)]
pub(crate) struct Process {
    runtime: OnceLock<SharedRuntime>,
    /// None before the first blocking call, and during one.
    engine: Mutex<Option<Arc<Engine>>>,
    has_engine: AtomicBool,
    /// The threads of both.
    threads: Threads,
    /// Blocking calls that will still use the runtime.
    calls_on_runtime: AtomicUsize,
    clients: Mutex<HashMap<u64, Client>>,
    tls: Arc<Tls>,
    /// Background work. The interpreter waits for its end at exit.
    unattended: Arc<AtomicUsize>,
    pub(crate) creates: Arc<Creates>,
    child: OnceLock<&'static Process>,
}

static FIRST: OnceLock<&'static Process> = OnceLock::new();
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// The state of one client in this process. It is not shared with a forked child, which must not
/// wait for its parent's calls.
struct Client {
    shared: Arc<Shared>,
    pace: Arc<Pace>,
    on_runtime: Option<Arc<Pool>>,
    on_engine: Option<Arc<Pool>>,
}

#[derive(Clone, Copy, Debug)]
enum Driver {
    Runtime,
    Engine,
}

/// Return the state of this process.
pub(crate) fn process() -> &'static Process {
    let mut process = *FIRST.get_or_init(|| Box::leak(Box::default()));
    for _ in 0..Generation::current().0 {
        process = process.child.get_or_init(|| Box::leak(Box::default()));
    }
    process
}

/// Called before every fork, by `os.register_at_fork`. End the threads of this process.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    let process = process();
    // A thread may be waiting for the GIL.
    py.detach(|| {
        if let Some(runtime) = process.runtime.get() {
            runtime.pause();
        }
        process.threads.wait_for_end();
    });
}

/// Called after every fork in the parent, also if it failed, by `os.register_at_fork`.
#[pyfunction]
pub(crate) fn after_fork_in_parent() -> Result<(), Failure> {
    if let Some(runtime) = process().runtime.get() {
        // After an error the next call tries it again.
        runtime.resume().map_err(|error| cannot_start(&error))?;
    }
    Ok(())
}

/// Called once in every forked child, by `os.register_at_fork`.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    Generation::advance();
    // Otherwise all children would use the same random file names and jitter.
    fastrand::seed(RandomState::new().hash_one((std::process::id(), SystemTime::now())));
    process();
}

/// Abandon the create requests that are under way, and wait at most `seconds` for all background
/// work, at the exit of the interpreter.
#[pyfunction]
pub(crate) fn finish_detached(py: Python<'_>, seconds: f64) {
    process()
        .creates
        .all()
        .iter()
        .for_each(|create| create.mute());
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let end = deadline(Instant::now(), limit);
    py.detach(|| {
        while process().unattended.load(Ordering::Relaxed) > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

impl Process {
    /// Return the runtime of awaited calls and streams, which has one thread.
    pub(crate) fn runtime(&self) -> Result<&Runtime, Error> {
        let runtime = get_or_try_init(&self.runtime, || SharedRuntime::new(&self.threads))
            // Its thread could perhaps not start again after a fork.
            .and_then(|runtime| runtime.resume().map(|()| runtime))
            .map_err(|error| cannot_start(&error))?;
        Ok(runtime)
    }

    /// Run background work.
    pub(crate) fn run_unattended(
        &self,
        count: Unattended,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Error> {
        let runtime = self.runtime()?;
        let counted = count.enter();
        runtime.spawn(async {
            let _counted = counted;
            work.await;
        });
        Ok(())
    }

    /// Return the counts of a client's background work.
    pub(crate) fn unattended(&self, of_client: &Arc<AtomicUsize>) -> Unattended {
        Unattended {
            of_client: of_client.clone(),
            of_process: self.unattended.clone(),
        }
    }

    /// Borrow the engine, unless several threads call at present.
    fn borrow_engine(&'static self) -> Result<Option<BorrowedEngine>, Error> {
        let borrowed = |engine| BorrowedEngine {
            process: self,
            engine,
            generation: Generation::current(),
        };
        let calls = self.calls_on_runtime.load(Ordering::Relaxed);
        if calls > 0 {
            self.calls_on_runtime.store(calls - 1, Ordering::Relaxed);
            return Ok(None);
        }
        if let Some(engine) = lock(&self.engine).take() {
            return Ok(Some(borrowed(engine)));
        }
        if self.has_engine.swap(true, Ordering::AcqRel) {
            self.calls_on_runtime
                .store(CALLS_ON_RUNTIME, Ordering::Relaxed);
            return Ok(None);
        }
        let engine = Engine::new(&self.threads).map_err(|error| cannot_start(&error))?;
        Ok(Some(borrowed(Arc::new(engine))))
    }

    fn with_client<T>(&self, client: &Connections, look: impl FnOnce(&mut Client) -> T) -> T {
        let mut clients = lock(&self.clients);
        let new = || Client {
            shared: Arc::new(Shared::new(&client.options)),
            pace: Arc::default(),
            on_runtime: None,
            on_engine: None,
        };
        look(clients.entry(client.number).or_insert_with(new))
    }

    fn pool(&self, client: &Connections, driver: Driver) -> Arc<Pool> {
        self.with_client(client, |state| {
            let pool = match driver {
                Driver::Runtime => &mut state.on_runtime,
                Driver::Engine => &mut state.on_engine,
            };
            let (options, shared) = (client.options.clone(), state.shared.clone());
            let new = || Arc::new(Pool::new(options, shared, self.tls.clone()));
            if client.is_closed() && pool.is_none() {
                // The last request of a closed client. Its connection is closed with the pool.
                return new();
            }
            pool.get_or_insert_with(new).clone()
        })
    }

    fn disconnect(&self, client: &Connections) {
        let pools = self.with_client(client, |state| {
            (state.on_runtime.take(), state.on_engine.take())
        });
        let is_on_engine = pools.1.is_some();
        drop(pools);
        // A busy engine closes its connections itself; an idle one is driven here, unlocked.
        let idle = if is_on_engine {
            lock(&self.engine).take()
        } else {
            None
        };
        if let Some(engine) = idle {
            engine.settle();
            *lock(&self.engine) = Some(engine);
        }
    }
}

/// The engine, borrowed by one caller until this is dropped.
pub(crate) struct BorrowedEngine {
    process: &'static Process,
    engine: Arc<Engine>,
    generation: Generation,
}

impl BorrowedEngine {
    /// Return the connections of a client on the engine.
    pub(crate) fn pool(&self, client: &Connections) -> Arc<Pool> {
        self.process.pool(client, Driver::Engine)
    }
}

impl Deref for BorrowedEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for BorrowedEngine {
    fn drop(&mut self) {
        if self.generation.is_inherited() {
            // Its sockets are the parent's, so it is leaked.
            mem::forget(self.engine.clone());
        } else {
            *lock(&self.process.engine) = Some(self.engine.clone());
        }
    }
}

fn cannot_start(error: &std::io::Error) -> Error {
    let message = format!("the HTTP runtime cannot start: {error}");
    Error {
        errno: error.raw_os_error(),
        ..Error::new(Kind::Connect, message)
    }
}

/// The connections of one client and of those derived from it, on both runtimes. They are closed
/// when the last client is.
#[derive(Debug)]
pub(crate) struct Connections {
    number: u64,
    options: Arc<ConnectOptions>,
    /// The number of clients that are not closed.
    clients: AtomicUsize,
}

impl Connections {
    pub(crate) fn new(options: ConnectOptions) -> Self {
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            options: Arc::new(options),
            clients: AtomicUsize::new(1),
        }
    }

    /// Add a client.
    pub(crate) fn join(&self) {
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    /// Remove a closed client. After the last one, idle connections are closed at once, and others
    /// after their use.
    pub(crate) fn leave(&self) {
        if self.clients.fetch_sub(1, Ordering::Relaxed) == 1 {
            process().disconnect(self);
        }
    }

    fn is_closed(&self) -> bool {
        self.clients.load(Ordering::Relaxed) == 0
    }

    /// Return the connections on the runtime.
    pub(crate) fn on_runtime(&self) -> Arc<Pool> {
        process().pool(self, Driver::Runtime)
    }

    /// Borrow the engine, unless several threads call at present.
    pub(crate) fn borrow_engine(&self) -> Result<Option<BorrowedEngine>, Error> {
        process().borrow_engine()
    }

    /// Return the state that all connections share in this process.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        process().with_client(self, |state| state.shared.clone())
    }

    /// Return how often predictions are polled in this process.
    pub(crate) fn pace(&self) -> Arc<Pace> {
        process().with_client(self, |state| state.pace.clone())
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        let process = process();
        if lock(&process.clients).contains_key(&self.number) {
            process.disconnect(self);
            lock(&process.clients).remove(&self.number);
        }
    }
}

/// Run work to its end while this thread waits without the GIL. A signal handler that raises aborts
/// it.
///
/// With `on_runtime` the engine is not used: a long request that is aborted while its peer does not
/// read needs a thread that drives its connection to the end.
pub(crate) fn block_on<T, F>(
    py: Python<'_>,
    connections: &Connections,
    on_runtime: bool,
    work: impl FnOnce(Arc<Pool>) -> F + Send,
) -> Result<T, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    py.detach(|| {
        let engine = if on_runtime {
            None
        } else {
            connections.borrow_engine()?
        };
        match engine {
            Some(engine) => engine.run(work(engine.pool(connections))),
            None => block_on_runtime(process().runtime()?, work(connections.on_runtime())),
        }
    })
}

fn block_on_runtime<T, F>(runtime: &Runtime, work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let (sender, receiver) = sync_channel(1);
    let task = runtime.spawn(async move {
        let done = work.await;
        // After all other tasks that are ready on this worker: the thread that wakes up would take
        // its processor.
        tokio::task::yield_now().await;
        // There is no receiver after an interruption.
        let _ = sender.send(done);
    });
    match receive(&receiver) {
        Ok(done) => Ok(done.unwrap_or_else(|| Err(Error::internal()))?),
        Err(interrupt) => {
            task.abort();
            // The program may end now, so wait until the work has cleaned up, for example removed
            // its temporary file.
            let _ = receiver.recv_timeout(MAX_ABORT);
            Err(interrupt.into())
        }
    }
}
