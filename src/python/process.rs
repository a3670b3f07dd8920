//! What a process has once: the runtime for awaited calls and streams, the engine of blocking calls, the connections, TLS.
//!
//! Rules this file keeps:
//! * nothing starts before the first call;
//! * a forked child never touches what it inherited (threads that held its locks are gone): `os.register_at_fork` counts the
//!   fork, and from then on [`process`] is a new one. The old one is leaked on purpose;
//! * one blocking call at a time drives its own sockets on the calling thread, on the process's engine; those that come while
//!   it is busy share the runtime's thread with awaited calls. Both are measured in `docs/design.md`.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinHandle};

use super::engine::{Engine, TICK, gets_signals, look_for_signals};
use crate::clock::deadline;
use crate::predictions::create::{Creates, Unattended};
use crate::error::{Error, Kind};
use crate::http::pool::{Network, Pool, Shared};
use crate::sync::locked;
use crate::http::tls::Tls;

/// For work that was given up to end.
const LONGEST_END: Duration = Duration::from_secs(1);

/// After two threads called at once, so many calls share the runtime before the engine is tried again: when calls overlap, one
/// thread that moves all bytes is cheaper than many that wake up for their own.
const CROWD: usize = 256;

/// All that must not outlive a fork.
#[derive(Default)]
pub struct Process {
    runtime: OnceLock<Runtime>,
    /// None before the first blocking call, and while one is under way.
    engine: Mutex<Option<Arc<Engine>>>,
    has_engine: AtomicBool,
    /// Blocking calls that will still use the runtime, because others came while one was under way.
    crowd: AtomicUsize,
    clients: Mutex<HashMap<u64, Client>>,
    tls: Arc<Tls>,
    /// Work that nobody waits for, and that the end of the interpreter does.
    unattended: Arc<AtomicUsize>,
    /// Creates that are under way.
    pub creates: Arc<Creates>,
    child: OnceLock<&'static Process>,
}

static FIRST: OnceLock<&'static Process> = OnceLock::new();
static FORKS: AtomicUsize = AtomicUsize::new(0);
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// What a process has of one client. What its calls share is here too: a child must not wait for its parent's.
struct Client {
    shared: Arc<Shared>,
    on_runtime: Option<Arc<Pool>>,
    on_engine: Option<Arc<Pool>>,
}

/// Who moves a connection's bytes.
#[derive(Clone, Copy, Debug)]
enum Driver {
    Runtime,
    Engine,
}

/// How many forks lie between the first process and this one.
pub fn forks() -> usize {
    FORKS.load(Ordering::Relaxed)
}

/// Ends work on this process's runtime. In a forked child it does nothing: the work is the parent's, and what its threads held when the
/// child was made is held for ever.
#[derive(Debug)]
pub struct Stop {
    task: AbortHandle,
    forks: usize,
}

impl Stop {
    /// For work that was begun in this process.
    pub fn of<T>(task: &JoinHandle<T>) -> Self {
        Self {
            task: task.abort_handle(),
            forks: forks(),
        }
    }

    /// Whether the work is another process's.
    pub fn is_inherited(&self) -> bool {
        self.forks != forks()
    }

    /// Ends it.
    pub fn stop(&self) {
        if !self.is_inherited() {
            self.task.abort();
        }
    }
}

/// Ends work when its holder goes.
#[derive(Debug)]
pub struct StopOnDrop(pub Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// This process's state.
pub fn process() -> &'static Process {
    let mut process = *FIRST.get_or_init(|| Box::leak(Box::default()));
    for _ in 0..forks() {
        process = process.child.get_or_init(|| Box::leak(Box::default()));
    }
    process
}

/// Called once in every forked child, by `os.register_at_fork`.
#[pyfunction]
pub fn after_fork_in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    // Otherwise all children of a process draw the same numbers: names of temporary files, and the spread of their waits.
    fastrand::seed(RandomState::new().hash_one((std::process::id(), SystemTime::now())));
    process();
}

/// Have creates that are under way finished and cancelled, and wait for all that nobody waits for, at most `seconds`; for the end
/// of the interpreter.
#[pyfunction]
pub fn finish_detached(py: Python<'_>, seconds: f64) {
    process().leave_creates(None);
    let end = deadline(
        Instant::now(),
        Duration::try_from_secs_f64(seconds).unwrap_or_default(),
    );
    py.detach(|| {
        while process().unattended.load(Ordering::Relaxed) > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

impl Process {
    /// The runtime that awaited calls and streams run on: one worker thread.
    pub fn runtime(&self) -> Result<&Runtime, Error> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let made = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("replicate_rs")
            .enable_all()
            .build();
        let made = made.map_err(|error| no_runtime(&error))?;
        Ok(self.runtime.get_or_init(|| made))
    }

    /// Runs work that nobody waits for.
    pub fn detach(
        &self,
        counted: Unattended,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Error> {
        let runtime = self.runtime()?;
        let counted = counted.enter();
        runtime.spawn(async {
            let _counted = counted;
            work.await;
        });
        Ok(())
    }

    /// Return what counts the work of a client that nobody waits for.
    pub fn unattended(&self, of_client: &Arc<AtomicUsize>) -> Unattended {
        Unattended {
            of_client: of_client.clone(),
            of_process: self.unattended.clone(),
        }
    }

    /// Have the creates of a client, or of all when the program ends, finished without their callers, and cancelled.
    pub fn leave_creates(&self, owner: Option<u64>) {
        for creation in self
            .creates
            .all()
            .iter()
            .filter(|each| owner.is_none_or(|owner| each.owner == owner))
        {
            match owner {
                Some(_) => creation.call_off(),
                None => creation.silence(),
            }
        }
    }

    /// The engine, unless several threads are calling at this time.
    pub fn borrow_engine(&'static self) -> Result<Option<Loan>, Error> {
        let lend = |engine| Loan {
            process: self,
            engine,
            forks: forks(),
        };
        let crowd = self.crowd.load(Ordering::Relaxed);
        if crowd > 0 {
            self.crowd.store(crowd - 1, Ordering::Relaxed);
            return Ok(None);
        }
        if let Some(engine) = locked(&self.engine).take() {
            return Ok(Some(lend(engine)));
        }
        if self.has_engine.swap(true, Ordering::AcqRel) {
            self.crowd.store(CROWD, Ordering::Relaxed);
            return Ok(None);
        }
        let engine = Engine::new().map_err(|error| no_runtime(&error))?;
        Ok(Some(lend(Arc::new(engine))))
    }

    fn with_client<T>(&self, client: &Connections, look: impl FnOnce(&mut Client) -> T) -> T {
        let mut clients = locked(&self.clients);
        let new = || Client {
            shared: Arc::new(Shared::new(&client.network)),
            on_runtime: None,
            on_engine: None,
        };
        look(clients.entry(client.number).or_insert_with(new))
    }

    fn pool(&self, client: &Connections, driver: Driver) -> Arc<Pool> {
        self.with_client(client, |known| {
            let place = match driver {
                Driver::Runtime => &mut known.on_runtime,
                Driver::Engine => &mut known.on_engine,
            };
            let new = || {
                Arc::new(Pool::new(
                    client.network.clone(),
                    known.shared.clone(),
                    self.tls.clone(),
                ))
            };
            if client.is_left() && place.is_none() {
                // A last request of a closed client: its connection is closed with it.
                return new();
            }
            place.get_or_insert_with(new).clone()
        })
    }

    fn disconnect(&self, client: &Connections) {
        let gone = self.with_client(client, |known| {
            (known.on_runtime.take(), known.on_engine.take())
        });
        let on_engine = gone.1.is_some();
        drop(gone);
        // A busy engine sees for itself; an idle one has to be told. The lock must not be held meanwhile.
        let idle = if on_engine {
            locked(&self.engine).take()
        } else {
            None
        };
        if let Some(engine) = idle {
            engine.settle();
            *locked(&self.engine) = Some(engine);
        }
    }
}

/// Return the error for work that panicked, or that its runtime dropped.
pub fn internal() -> Error {
    let message = "an internal error ended the request: please report it";
    Error {
        sent: true,
        ..Error::new(Kind::Internal, message)
    }
}

/// Return the exception for work of the process that this one was forked from.
pub fn inherited(py: Python<'_>) -> PyErr {
    let message =
        "this call was begun before the process was forked: make it again in this process";
    let class = py
        .import("replicate_rs.exceptions")
        .and_then(|module| module.getattr("ForkedError"));
    class
        .and_then(|class| class.call1((message,)))
        .map_or_else(|error| error, PyErr::from_value)
}

/// The process's engine, in the hands of one caller; it is given back when this goes.
pub struct Loan {
    process: &'static Process,
    engine: Arc<Engine>,
    forks: usize,
}

impl Loan {
    /// A client's connections on it.
    pub fn pool(&self, client: &Connections) -> Arc<Pool> {
        self.process.pool(client, Driver::Engine)
    }

    /// Whether it is another process's.
    pub fn is_inherited(&self) -> bool {
        self.forks != forks()
    }
}

impl Deref for Loan {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.is_inherited() {
            // Its sockets are the parent's: it is leaked.
            mem::forget(self.engine.clone());
        } else {
            *locked(&self.process.engine) = Some(self.engine.clone());
        }
    }
}

fn no_runtime(error: &std::io::Error) -> Error {
    Error {
        errno: error.raw_os_error(),
        ..Error::new(
            Kind::Connect,
            format!("the HTTP runtime cannot start: {error}"),
        )
    }
}

/// The connections of one client and of those derived from it, on whichever runtime; closed when the last of them goes.
#[derive(Debug)]
pub struct Connections {
    number: u64,
    network: Arc<Network>,
    /// Clients that are not closed.
    users: AtomicUsize,
}

impl Connections {
    /// No connection is made yet.
    pub fn new(network: Network) -> Self {
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            network: Arc::new(network),
            users: AtomicUsize::new(1),
        }
    }

    /// One more client uses them.
    pub fn join(&self) {
        self.users.fetch_add(1, Ordering::Relaxed);
    }

    /// One client is closed; the last one closes what is idle, and what is in use closes when it is done.
    pub fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            process().disconnect(self);
        }
    }

    /// Whether all clients are closed.
    fn is_left(&self) -> bool {
        self.users.load(Ordering::Relaxed) == 0
    }

    /// Those on the runtime of awaited calls and streams.
    pub fn on_runtime(&self) -> Arc<Pool> {
        process().pool(self, Driver::Runtime)
    }

    /// What all of them share in this process.
    pub fn shared(&self) -> Arc<Shared> {
        process().with_client(self, |known| known.shared.clone())
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        let process = process();
        if locked(&process.clients).contains_key(&self.number) {
            process.disconnect(self);
            locked(&process.clients).remove(&self.number);
        }
    }
}

/// Runs `job` to its end while this thread waits, without the GIL; Ctrl-C and other signals interrupt it.
///
/// What is `long` runs on the runtime: given up while a peer does not read, its connection needs somebody to drive it to its end.
pub fn block_on<T, F>(
    py: Python<'_>,
    connections: &Connections,
    long: bool,
    job: impl FnOnce(Arc<Pool>) -> F + Send,
) -> PyResult<Result<T, Error>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    py.detach(|| {
        let process = process();
        match if long {
            Ok(None)
        } else {
            process.borrow_engine()
        } {
            Ok(Some(engine)) => engine.drive(job(engine.pool(connections))),
            Ok(None) => match process.runtime() {
                Ok(runtime) => hand_over(runtime, job(connections.on_runtime())),
                Err(error) => Ok(Err(error)),
            },
            Err(error) => Ok(Err(error)),
        }
    })
}

/// Waits while the runtime's thread does the work; interrupted, the work is aborted.
fn hand_over<T, F>(runtime: &Runtime, work: F) -> PyResult<Result<T, Error>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    let task = runtime.spawn(async move {
        let done = work.await;
        // After everything else that is ready on this worker: a thread that wakes up would take its processor away.
        tokio::task::yield_now().await;
        // Nobody listens any more after an interruption.
        let _ = send.send(done);
    });
    loop {
        let done = if gets_signals() {
            receive.recv_timeout(TICK)
        } else {
            receive.recv().map_err(Into::into)
        };
        match done {
            Ok(done) => return Ok(done),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(interrupt) = look_for_signals() {
                    task.abort();
                    // What it leaves behind (a file that is not complete) is gone when it is: the program may end right after.
                    let _ = receive.recv_timeout(LONGEST_END);
                    return Err(interrupt);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(Err(internal())),
        }
    }
}
