//! Create requests, which are finished even when their caller has left: on the runtime, or on the
//! engine of the thread that waited.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::abort::{AbortFlag, aborted};
use super::failure::Failure;
use super::json::decode;
use super::process::{BorrowedEngine, Connections, process};
use super::signals::{TICK, check_signals, receive};
use super::work::{Delivery, Job, Outcome, Work};
use crate::error::{Error, Kind, Phase};
use crate::http::pool::Pool;
use crate::predictions::create::Create;

/// How much longer a caller waits after its deadline for a response that is about to arrive, so
/// that the error contains the prediction.
const MAX_EXTRA_WAIT: Duration = Duration::from_millis(200);

/// Marks a request as finished, also after a panic.
struct FinishOnDrop(Arc<Create>);

impl Drop for FinishOnDrop {
    fn drop(&mut self) {
        self.0.finish();
        process().creates.remove(&self.0);
    }
}

/// Run a create request to its end. `deliver` passes the outcome on, and returns whether the caller
/// still waits; if not, the created prediction is cancelled.
pub(crate) async fn run(
    mut work: Work,
    pool: Arc<Pool>,
    create: Arc<Create>,
    flag: Option<AbortFlag>,
    mut deliver: impl FnMut(Outcome) -> bool,
) {
    let finish = FinishOnDrop(create.clone());
    // Connections run first, so that one that the server closed meanwhile is not used: a create that
    // was sent is not repeated.
    yield_now().await;
    let error = tokio::select! {
        biased;
        error = aborted(flag) => error,
        outcome = &mut work => {
            if create.is_muted() {
                drop(finish);
                return std::future::pending().await;
            }
            if !deliver(outcome) {
                create.cancel_created(&pool).await;
            }
            return;
        }
        error = create.interrupted() => error,
    };
    create.abandon();
    deliver(Err(error));
    if work.await.is_ok() {
        // The response arrived at the same moment.
        create.cancel_created(&pool).await;
    }
}

/// Run a create request while this thread waits without the GIL. A signal handler that raises ends
/// the wait, not the request.
pub(crate) fn wait(
    py: Python<'_>,
    connections: &Connections,
    create: &Arc<Create>,
    job: Job,
    flag: Option<AbortFlag>,
    on_runtime: bool,
) -> Result<Delivery, Failure> {
    py.detach(|| {
        process().creates.add(create);
        let engine = if on_runtime {
            Ok(None)
        } else {
            connections.borrow_engine()
        };
        let waited = engine
            .map_err(Failure::from)
            .and_then(|engine| match engine {
                Some(engine) => wait_on_engine(engine, connections, create, job, flag),
                None => wait_on_runtime(connections, create, job, flag),
            });
        if waited.is_err() {
            // The response may have arrived while the caller was leaving.
            cancel_orphan(connections, create.clone());
        }
        waited
    })
}

/// Cancel the created prediction in the background if the caller has not received it.
pub(crate) fn cancel_orphan(connections: &Connections, create: Arc<Create>) {
    if create.is_orphaned() {
        let (pool, count) = (connections.on_runtime(), create.owner.unattended.clone());
        let cancel = async move { create.cancel_created(&pool).await };
        drop(process().run_unattended(count, cancel));
    }
}

fn wait_on_engine(
    engine: BorrowedEngine,
    connections: &Connections,
    create: &Arc<Create>,
    job: Job,
    flag: Option<AbortFlag>,
) -> Result<Delivery, Failure> {
    let pool = engine.pool(connections);
    let (sender, mut receiver) = oneshot::channel();
    let mut sender = Some(sender);
    let deliver = move |outcome| {
        sender
            .take()
            .is_some_and(|sender| sender.send(outcome).is_ok())
    };
    engine.spawn(run(job(pool.clone()), pool, create.clone(), flag, deliver));
    let waited = match engine.wait(&mut receiver) {
        Ok(outcome) => outcome
            .unwrap_or_else(|_| Err(Error::internal()))
            .map_err(Failure::from),
        Err(interrupt) => {
            create.abandon();
            Err(interrupt.into())
        }
    };
    // From now on an outcome is returned to the task.
    drop(receiver);
    let waited = wait_longer(create, waited, |limit| {
        engine.drive(create.finished(), Some(limit)).is_some()
    });
    if waited.is_err() {
        engine.settle();
    }
    if create.is_abandoned() {
        let create = create.clone();
        // Without a thread, the request ends with its connection.
        let drive = move || {
            engine.drive(create.finished(), None);
            engine.settle();
        };
        drop(
            std::thread::Builder::new()
                .name("replicate_rs".to_owned())
                .spawn(drive),
        );
    }
    waited
}

fn wait_on_runtime(
    connections: &Connections,
    create: &Arc<Create>,
    job: Job,
    flag: Option<AbortFlag>,
) -> Result<Delivery, Failure> {
    let runtime = process().runtime()?;
    let pool = connections.on_runtime();
    let (sender, receiver) = sync_channel(1);
    let deliver = move |outcome| sender.send(outcome).is_ok();
    runtime.spawn(run(job(pool.clone()), pool, create.clone(), flag, deliver));
    let waited = match receive(&receiver) {
        Ok(outcome) => outcome
            .unwrap_or_else(|| Err(Error::internal()))
            .map_err(Failure::from),
        Err(interrupt) => {
            create.abandon();
            Err(interrupt.into())
        }
    };
    // From now on an outcome is returned to the task.
    drop(receiver);
    wait_longer(create, waited, |limit| {
        runtime.block_on(async { timeout(limit, create.finished()).await.is_ok() })
    })
}

/// After the caller's deadline, wait a little longer for the request, so that the error contains
/// the prediction.
fn wait_longer(
    create: &Create,
    waited: Result<Delivery, Failure>,
    wait: impl Fn(Duration) -> bool,
) -> Result<Delivery, Failure> {
    if let Err(Failure::Core(Error {
        kind: Kind::Timeout(Phase::Total, _),
        ..
    })) = &waited
    {
        let end = Instant::now() + MAX_EXTRA_WAIT;
        while create.is_abandoned() && Instant::now() < end && !wait(TICK) {
            check_signals()?;
        }
    }
    waited
}

/// Add the created record to an error, if it is known.
pub(crate) fn add_record(py: Python<'_>, error: PyErr, create: &Create) -> PyErr {
    if let Some(record) = create.record()
        && let Ok(record) = decode(py, record)
    {
        // An exception without attributes is raised as it is.
        drop(error.value(py).setattr("_created", record));
    }
    error
}
