//! Creates that are finished when their caller has gone: on the runtime, or on the engine of the thread that waited.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::abort::{Flag, aborted};
use super::pending::{Job, Work};
use super::engine::{TICK, gets_signals, look_for_signals};
use super::response::decode;
use super::process::{Connections, Loan, internal, process};
use super::slot::Outcome;
use crate::predictions::create::Creation;
use crate::error::{Error, Kind, Phase};
use crate::http::pool::Pool;

/// How long a caller whose deadline has passed is held up for an answer that is about to come: the error names the prediction then.
const MAX_HOLD_UP: Duration = Duration::from_millis(200);

/// Marks a create as over, however its task ends.
struct AtEnd(Arc<Creation>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.end();
        process().creates.forget(&self.0);
    }
}

/// Run a create to its end. `give` hands its outcome over, and tells whether anybody wants it; if nobody does, what was created is
/// cancelled.
pub async fn run(
    mut work: Work,
    pool: Arc<Pool>,
    creation: Arc<Creation>,
    signal: Option<Flag>,
    mut give: impl FnMut(Outcome) -> bool,
) {
    let at_end = AtEnd(creation.clone());
    let gone = tokio::select! {
        biased;
        error = aborted(signal) => error,
        outcome = &mut work => {
            if creation.is_silenced() {
                drop(at_end);
                return std::future::pending().await;
            }
            if !give(outcome) {
                creation.undo(&pool).await;
            }
            return;
        }
        error = creation.interrupted() => error,
    };
    creation.leave();
    give(Err(gone));
    if work.await.is_ok() {
        // The answer came at the same moment.
        creation.undo(&pool).await;
    }
}

/// Run a create while this thread waits, without the GIL; Ctrl-C and other signals interrupt the wait, not the create.
pub fn wait(
    py: Python<'_>,
    connections: &Connections,
    creation: &Arc<Creation>,
    job: Job,
    signal: Option<Flag>,
    long: bool,
) -> PyResult<Outcome> {
    py.detach(|| {
        let process = process();
        process.creates.remember(creation);
        let waited = match if long {
            Ok(None)
        } else {
            process.borrow_engine()
        } {
            Ok(Some(engine)) => on_engine(engine, connections, creation, job, signal),
            Ok(None) => on_runtime(connections, creation, job, signal),
            Err(error) => Ok(Err(error)),
        };
        if !matches!(waited, Ok(Ok(_))) && creation.is_orphaned() {
            // The answer came while its caller was leaving.
            let (creation, pool) = (creation.clone(), connections.on_runtime());
            let counted = creation.unattended();
            drop(process.detach(counted, async move { creation.undo(&pool).await }));
        }
        waited
    })
}

fn on_engine(
    engine: Loan,
    connections: &Connections,
    creation: &Arc<Creation>,
    job: Job,
    signal: Option<Flag>,
) -> PyResult<Outcome> {
    let pool = engine.pool(connections);
    let (send, mut receive) = oneshot::channel();
    let mut send = Some(send);
    let give = move |outcome| send.take().is_some_and(|send| send.send(outcome).is_ok());
    engine.begin(run(job(pool.clone()), pool, creation.clone(), signal, give));
    let waited = loop {
        if let Some(done) = engine.turn(&mut receive, tick()) {
            break Ok(done.unwrap_or_else(|_| Err(internal())));
        }
        if let Err(interrupt) = look_for_signals() {
            creation.leave();
            break Err(interrupt);
        }
    };
    // An outcome that comes from now on is handed back to the task.
    drop(receive);
    let waited = held_up(creation, waited, |limit| {
        engine.turn(creation.over(), Some(limit)).is_some()
    });
    if !matches!(waited, Ok(Ok(_))) {
        engine.settle();
    }
    if creation.is_abandoned() {
        hand_over(engine, creation.clone());
    }
    waited
}

/// Let another thread drive an engine until a create on it is over.
fn hand_over(engine: Loan, creation: Arc<Creation>) {
    // Where there can be no thread, the create ends with its connection.
    let drive = move || {
        engine.turn(creation.over(), None);
        engine.settle();
    };
    drop(
        std::thread::Builder::new()
            .name("replicate_rs".to_owned())
            .spawn(drive),
    );
}

fn on_runtime(
    connections: &Connections,
    creation: &Arc<Creation>,
    job: Job,
    signal: Option<Flag>,
) -> PyResult<Outcome> {
    let runtime = match process().runtime() {
        Ok(runtime) => runtime,
        Err(error) => return Ok(Err(error)),
    };
    let pool = connections.on_runtime();
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    let give = move |outcome| send.send(outcome).is_ok();
    runtime.spawn(run(job(pool.clone()), pool, creation.clone(), signal, give));
    let waited = loop {
        let done = if gets_signals() {
            receive.recv_timeout(TICK)
        } else {
            receive.recv().map_err(Into::into)
        };
        match done {
            Ok(done) => break Ok(done),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(interrupt) = look_for_signals() {
                    creation.leave();
                    break Err(interrupt);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break Ok(Err(internal())),
        }
    };
    // An outcome that comes from now on is handed back to the task.
    drop(receive);
    held_up(creation, waited, |limit| {
        runtime.block_on(async { timeout(limit, creation.over()).await.is_ok() })
    })
}

/// Where the caller's deadline has passed, wait a little for what becomes of the create: the error can tell of it then.
fn held_up(
    creation: &Creation,
    waited: PyResult<Outcome>,
    wait: impl Fn(Duration) -> bool,
) -> PyResult<Outcome> {
    if !matches!(
        &waited,
        Ok(Err(Error {
            kind: Kind::Timeout(Phase::Total, _),
            ..
        }))
    ) {
        return waited;
    }
    let end = Instant::now() + MAX_HOLD_UP;
    while creation.is_abandoned() && Instant::now() < end && !wait(TICK) {
        look_for_signals()?;
    }
    waited
}

fn tick() -> Option<Duration> {
    gets_signals().then_some(TICK)
}

/// Add to an error what was created, where that is known.
pub fn with_record(py: Python<'_>, error: PyErr, creation: &Creation) -> PyErr {
    if let Some(record) = creation.record()
        && let Ok(record) = decode(py, record)
    {
        // An exception that takes no attributes is raised as it is.
        drop(error.value(py).setattr("_created", record));
    }
    error
}
