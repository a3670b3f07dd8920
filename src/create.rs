//! Requests that create what costs money: predictions and trainings.
//!
//! Rules this file keeps:
//! * a create that may have been taken is finished when its caller has gone, and what it made is then cancelled, once, unless it
//!   is to go on without its caller;
//! * a create of which nothing was sent ends with its caller: it is never begun;
//! * what waits to try again when its caller has gone is not tried again.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};
use crate::http::{self, Body, Call};
use crate::pool::Pool;
use crate::response::Response;
use crate::stage::Stage;
use crate::url::Base;

/// How long an answer is waited for when nobody wants it any more but to cancel what it made: the longest hold, and some more.
const MAX_FINISH: Duration = Duration::from_secs(90);
/// The same once the client is closed.
const MAX_FINISH_CLOSED: Duration = Duration::from_secs(5);
/// How long the request that cancels may take.
const MAX_CANCEL: Duration = Duration::from_secs(5);

/// One create, and what has to be done if its caller leaves.
#[derive(Debug)]
pub struct Creation {
    /// The number of the client that made it.
    pub owner: u64,
    /// Its caller's deadline over everything.
    pub deadline: Option<Duration>,
    base: Base,
    /// `predictions` or `trainings`.
    collection: &'static str,
    /// Whether what it makes goes on without its caller.
    keeps: bool,
    /// What a request that cancels is made of.
    request: Call,
    stage: Arc<Stage>,
    /// Cancelled when the caller has gone.
    left: CancellationToken,
    /// Cancelled when the client is closed while the caller waits.
    called_off: CancellationToken,
    /// Set when the program ends: whoever still waits, in a daemon thread, is not told anything.
    is_silenced: AtomicBool,
    /// Cancelled when the client is closed.
    closing: CancellationToken,
    /// Cancelled when nothing is left to be done.
    over: CancellationToken,
    state: Mutex<State>,
    /// Counts those that go on without a caller.
    unattended: Unattended,
    record: OnceLock<Bytes>,
    is_claimed: AtomicBool,
    is_undone: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Left,
    Over,
}

/// How much work goes on that nobody waits for: of a client, and of its process.
#[derive(Clone, Debug, Default)]
pub struct Unattended {
    /// That of the client.
    pub of_client: Arc<AtomicUsize>,
    /// That of the process.
    pub of_process: Arc<AtomicUsize>,
}

impl Unattended {
    fn add(&self) {
        self.of_client.fetch_add(1, Ordering::Relaxed);
        self.of_process.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self) {
        self.of_client.fetch_sub(1, Ordering::Relaxed);
        self.of_process.fetch_sub(1, Ordering::Relaxed);
    }

    /// Count one more, for as long as the guard lives.
    pub fn enter(self) -> UnattendedWork {
        self.add();
        UnattendedWork(self)
    }
}

/// Work that nobody waits for.
#[derive(Debug)]
pub struct UnattendedWork(Unattended);

impl Drop for UnattendedWork {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// What has to be known of a record to cancel it.
#[derive(Deserialize)]
struct Made {
    id: String,
    status: Option<String>,
}

impl Made {
    fn has_ended(&self) -> bool {
        matches!(self.status.as_deref(), Some("succeeded" | "failed" | "canceled" | "aborted"))
    }
}

impl Creation {
    /// Create the state of a create that has not begun. `request` is any call of its client.
    pub fn new(
        owner: u64,
        base: Base,
        collection: &'static str,
        keeps: bool,
        request: &Call,
        unattended: Unattended,
        closing: CancellationToken,
    ) -> Self {
        let mut request = Call { body: Body::Empty, own: http::HeaderMap::new(), ..request.clone() };
        request.headers.clear();
        let deadline = request.timeouts.total.replace(MAX_CANCEL);
        request.timeouts.read = None;
        Self {
            owner,
            deadline,
            base,
            collection,
            keeps,
            request,
            stage: Stage::new(),
            left: CancellationToken::new(),
            called_off: CancellationToken::new(),
            is_silenced: AtomicBool::new(false),
            closing,
            over: CancellationToken::new(),
            state: Mutex::new(State::Running),
            unattended,
            record: OnceLock::new(),
            is_claimed: AtomicBool::new(false),
            is_undone: AtomicBool::new(false),
        }
    }

    /// Send the request; `call` must be without a deadline and know `has_left`. If the caller leaves meanwhile, this goes on
    /// until what was created is cancelled, and ends in an error.
    pub async fn send(&self, pool: &Pool, call: &Call) -> Result<Response, Error> {
        if self.left.is_cancelled() {
            return Err(gone());
        }
        let mut sending = pin!(self.stage.clone().watch(http::send(pool, call)));
        tokio::select! {
            biased;
            done = &mut sending => {
                if let Ok(response) = &done {
                    self.note(response);
                }
                return done;
            }
            () = self.left.cancelled() => {}
        }
        if !self.stage.may_be_taken() {
            return Err(gone());
        }
        tokio::select! {
            biased;
            done = sending => if let Ok(response) = &done {
                self.note(response);
                self.undo(pool).await;
            },
            () = self.too_late() => {}
        }
        Err(gone())
    }

    /// Ends when an answer is not waited for any longer.
    async fn too_late(&self) {
        let closed = async {
            self.closing.cancelled().await;
            sleep(MAX_FINISH_CLOSED).await;
        };
        drop(timeout(MAX_FINISH, closed).await);
    }

    fn note(&self, response: &Response) {
        self.record.get_or_init(|| response.body.clone());
    }

    /// Return what ends the caller's wait before the answer comes: its deadline, or somebody who called the create off.
    pub async fn interrupted(&self) -> Error {
        let called_off = || Error::new(Kind::Closed, "the client was closed before the answer to this create came");
        match self.deadline {
            Some(limit) => match timeout(limit, self.called_off.cancelled()).await {
                Ok(()) => called_off(),
                Err(_) => Error::late(limit, self.stage.phase()),
            },
            None => {
                self.called_off.cancelled().await;
                called_off()
            }
        }
    }

    /// Return what counts the work that goes on without a caller.
    pub fn unattended(&self) -> Unattended {
        self.unattended.clone()
    }

    /// Return what a retry has to look at.
    pub fn has_left(&self) -> CancellationToken {
        self.left.clone()
    }

    /// Note that the caller has gone; return whether the request goes on, and will see to the rest.
    pub fn leave(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Running {
            *state = State::Left;
            self.unattended.add();
            self.left.cancel();
        }
        *state == State::Left
    }

    /// Take the create from a caller that still waits, and tell it.
    pub fn call_off(&self) {
        self.leave();
        self.called_off.cancel();
    }

    /// Take the create from a caller that waits while the program ends. It is not told: nobody is there for what it would say.
    pub fn silence(&self) {
        self.is_silenced.store(true, Ordering::Relaxed);
        self.leave();
    }

    /// Return whether the caller is not to be told anything any more.
    pub fn is_silenced(&self) -> bool {
        self.is_silenced.load(Ordering::Relaxed)
    }

    /// Note that the request is over, and whatever had to be done after it.
    pub fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *state, State::Over) == State::Left {
            self.unattended.remove();
        }
        self.over.cancel();
    }

    /// Return whether the caller has gone and the request goes on.
    pub fn is_abandoned(&self) -> bool {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) == State::Left
    }

    /// Wait until nothing is left to be done.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Return what was created, as JSON, once that is known.
    pub fn record(&self) -> Option<&Bytes> {
        self.record.get()
    }

    /// Note that the caller has the record, and will see to the rest.
    pub fn claim(&self) {
        self.is_claimed.store(true, Ordering::Relaxed);
    }

    /// Return whether something was created of which the caller does not know.
    pub fn is_orphaned(&self) -> bool {
        self.record.get().is_some() && !self.is_claimed.load(Ordering::Relaxed)
    }

    /// Cancel what was created, once, unless it has ended or is to go on.
    pub async fn undo(&self, pool: &Pool) {
        let made = self.record.get().and_then(|record| serde_json::from_slice::<Made>(record).ok());
        let Some(made) = made.filter(|made| !made.has_ended() && !self.keeps) else { return };
        if self.is_undone.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Ok(url) = self.base.join([self.collection, &made.id, "cancel"]) {
            // Best effort: nobody is there to be told.
            drop(http::send(pool, &Call { url, ..self.request.clone() }).await);
        }
    }
}

fn gone() -> Error {
    Error::new(Kind::Aborted, "the caller has gone")
}
