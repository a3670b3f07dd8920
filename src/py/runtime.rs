//! What a process has once: the runtime for awaited calls and streams, engines for blocking calls, the connections, TLS.
//!
//! Rules this file keeps:
//! * nothing starts before the first call;
//! * a forked child never touches what it inherited (threads that held its locks are gone): `os.register_at_fork` counts the
//!   fork, and from then on [`process`] is a new one. The old one is leaked on purpose;
//! * a blocking call drives its own sockets on the calling thread, without the GIL, on an engine that no other thread uses
//!   meanwhile: measured against a hop to the runtime's thread in `docs/design.md`.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::locked;
use crate::error::{Error, Kind};
use crate::http::Pool;

/// How often a blocking call looks for Ctrl-C.
const TICK: Duration = Duration::from_millis(50);
/// An engine that nobody used for so long is dropped, with its connections.
const IDLE: Duration = Duration::from_secs(60);
/// Turns of an idle engine after which its connections have seen that their client is gone.
const SETTLING_TURNS: usize = 4;
/// The runtime's number among the engines'.
const RUNTIME: u64 = 0;

/// All that must not outlive a fork.
#[derive(Default)]
pub struct Process {
    runtime: OnceLock<Runtime>,
    engines: Mutex<Vec<Engine>>,
    pools: Mutex<HashMap<(u64, u64), Arc<Pool>>>,
    tls: Arc<OnceLock<rustls::ClientConfig>>,
    detached: AtomicUsize,
    child: OnceLock<&'static Process>,
}

static FIRST: OnceLock<&'static Process> = OnceLock::new();
static FORKS: AtomicUsize = AtomicUsize::new(0);
static NUMBERS: AtomicU64 = AtomicU64::new(RUNTIME + 1);

/// How many forks lie between the first process and this one.
pub fn forks() -> usize {
    FORKS.load(Ordering::Relaxed)
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
    process();
}

/// Waits for what was detached, at most `seconds`; for the end of the interpreter.
#[pyfunction]
pub fn finish_detached(py: Python<'_>, seconds: f64) {
    let end = Instant::now() + Duration::try_from_secs_f64(seconds).unwrap_or_default();
    py.detach(|| {
        while process().detached.load(Ordering::Relaxed) > 0 && Instant::now() < end {
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
        let made = Builder::new_multi_thread().worker_threads(1).thread_name("replicate_rs").enable_all().build();
        let made = made.map_err(|error| no_runtime(&error))?;
        Ok(self.runtime.get_or_init(|| made))
    }

    /// Runs work that nobody waits for.
    pub fn detach(&'static self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        self.detached.fetch_add(1, Ordering::Relaxed);
        self.runtime()?.spawn(async {
            work.await;
            self.detached.fetch_sub(1, Ordering::Relaxed);
        });
        Ok(())
    }

    fn engine(&self) -> Result<Engine, Error> {
        if let Some(engine) = locked(&self.engines).pop() {
            return Ok(engine);
        }
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| no_runtime(&error))?;
        Ok(Engine { number: NUMBERS.fetch_add(1, Ordering::Relaxed), runtime, used: Instant::now() })
    }

    fn give_back(&self, mut engine: Engine) {
        engine.used = Instant::now();
        let mut engines = locked(&self.engines);
        let fresh = engines.iter().position(|each| each.used.elapsed() < IDLE).unwrap_or(engines.len());
        let stale: Vec<_> = engines.drain(..fresh).collect();
        engines.push(engine);
        drop(engines);
        if !stale.is_empty() {
            locked(&self.pools).retain(|(_, number), _| stale.iter().all(|each| each.number != *number));
        }
    }

    fn pool(&self, client: &Connections, engine: u64) -> Arc<Pool> {
        let mut pools = locked(&self.pools);
        let made = || Arc::new(Pool::new(client.connect, client.free.clone(), self.tls.clone()));
        pools.entry((client.number, engine)).or_insert_with(made).clone()
    }

    fn forget(&self, client: u64) {
        let (mut gone, mut kept) = (Vec::new(), HashMap::new());
        let mut pools = locked(&self.pools);
        for (key, pool) in pools.drain() {
            if key.0 == client {
                gone.push((key.1, pool));
            } else {
                kept.insert(key, pool);
            }
        }
        *pools = kept;
        drop(pools);
        let numbers: Vec<_> = gone.into_iter().map(|(number, _)| number).collect();
        let engines = std::mem::take(&mut *locked(&self.engines));
        for engine in engines.iter().filter(|engine| numbers.contains(&engine.number)) {
            engine.settle();
        }
        locked(&self.engines).splice(..0, engines);
    }
}

fn no_runtime(error: &std::io::Error) -> Error {
    Error { errno: error.raw_os_error(), ..Error::new(Kind::Connect, format!("the HTTP runtime cannot start: {error}")) }
}

/// A runtime without a thread of its own, for one blocking call at a time, and its connections.
struct Engine {
    number: u64,
    runtime: Runtime,
    used: Instant,
}

impl Engine {
    /// Lets connections notice what happened while nobody drove them: a client that is gone, a request that was given up.
    fn settle(&self) {
        self.runtime.block_on(async {
            for _ in 0..SETTLING_TURNS {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// The connections of one client and of those derived from it, on whichever runtime; closed when the last of them goes.
#[derive(Debug)]
pub struct Connections {
    number: u64,
    connect: Option<Duration>,
    free: Option<Arc<Semaphore>>,
}

impl Connections {
    /// `most` connections are in use at a time; further requests wait.
    pub fn new(connect: Option<Duration>, most: Option<usize>) -> Self {
        let free = most.map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
        Self { number: NUMBERS.fetch_add(1, Ordering::Relaxed), connect, free }
    }

    /// Those on the runtime of awaited calls and streams.
    pub fn on_runtime(&self) -> Arc<Pool> {
        process().pool(self, RUNTIME)
    }

    /// Closes what is idle; what is in use closes when it is done.
    pub fn close(&self) {
        process().forget(self.number);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.close();
    }
}

/// Runs `job` to its end on this thread, without the GIL; Ctrl-C and other signals interrupt it.
pub fn block_on<T, F>(
    py: Python<'_>,
    connections: &Connections,
    job: impl FnOnce(Arc<Pool>) -> F + Send,
) -> PyResult<Result<T, Error>>
where
    T: Send,
    F: Future<Output = Result<T, Error>> + Send,
{
    py.detach(|| {
        let process = process();
        let engine = match process.engine() {
            Ok(engine) => engine,
            Err(error) => return Ok(Err(error)),
        };
        let result = {
            let mut work = std::pin::pin!(job(process.pool(connections, engine.number)));
            loop {
                let turn = async {
                    // Connections first: one that the server closed meanwhile must not be taken for this request.
                    tokio::task::yield_now().await;
                    if NO_SIGNALS.get() == Some(forks()) {
                        return Some(work.as_mut().await);
                    }
                    tokio::time::timeout(TICK, work.as_mut()).await.ok()
                };
                match engine.runtime.block_on(turn) {
                    Some(done) => break Ok(done),
                    None => match Python::attach(check_signals) {
                        Ok(()) => {}
                        Err(interrupt) => break Err(interrupt),
                    },
                }
            }
        };
        if !matches!(result, Ok(Ok(_))) {
            engine.settle();
        }
        process.give_back(engine);
        result
    })
}

thread_local! {
    /// Set, with the number of forks, on threads that Python never gives a signal to.
    static NO_SIGNALS: Cell<Option<usize>> = const { Cell::new(None) };
}

fn check_signals(py: Python<'_>) -> PyResult<()> {
    let threading = py.import("threading")?;
    if !threading.call_method0("current_thread")?.is(&threading.call_method0("main_thread")?) {
        NO_SIGNALS.set(Some(forks()));
    }
    py.check_signals()
}
