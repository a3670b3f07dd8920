//! Requests that create what costs money: predictions and trainings.
//!
//! Rules this file keeps:
//! * a create that may have been taken is finished when its caller has gone, and what it made is then cancelled, once, unless it
//!   is to go on without its caller;
//! * a create of which nothing was sent ends with its caller: it is never begun;
//! * what waits to try again when its caller has gone is not tried again;
//! * while the answer to a create that was left is held back, what it made is looked for in the list of recent predictions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ::http::Method;
use bytes::Bytes;
use futures_util::future::join_all;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::predictions::create_lookup::{Asked, Page, date};
use crate::error::{Error, Kind};
use crate::http::exchange::{self as http, Body, Call};
use crate::http::pool::Pool;
use crate::response::Response;
use crate::http::timing::Stage;
use crate::address::Base;

/// How long an answer is waited for when nobody wants it any more but to cancel what it made: the longest hold, and some more.
const MAX_FINISH: Duration = Duration::from_secs(90);
/// The same once the client is closed.
const MAX_FINISH_CLOSED: Duration = Duration::from_secs(5);
/// How long the request that cancels may take.
const MAX_CANCEL: Duration = Duration::from_secs(5);
/// The longest hold, in seconds.
const MAX_HOLD: u64 = 60;
/// What is held open for longer is looked for in the list when it is left.
const MAX_UNSEARCHED_HOLD: u64 = 4;
/// Between two looks at the list, over all creates of a process.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The largest page of the list, in bytes.
const MAX_PAGE: usize = 8 << 20;

/// Creates that are under way in a process.
#[derive(Debug, Default)]
pub struct Creates {
    creations: Mutex<HashMap<usize, Arc<Creation>>>,
    /// Whoever holds it looks at the list, for all of its client.
    lead: tokio::sync::Mutex<()>,
}

impl Creates {
    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Arc<Creation>>> {
        self.creations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Keep a create in mind until it is over.
    pub fn remember(&self, creation: &Arc<Creation>) {
        self.locked()
            .insert(Arc::as_ptr(creation).addr(), creation.clone());
    }

    /// Note that a create is over.
    pub fn forget(&self, creation: &Arc<Creation>) {
        self.locked().remove(&Arc::as_ptr(creation).addr());
    }

    /// Return all of them.
    pub fn all(&self) -> Vec<Arc<Creation>> {
        self.locked().values().cloned().collect()
    }
}

/// One create, and what has to be done if its caller leaves.
#[derive(Debug)]
pub struct Creation {
    /// The number of the client that made it.
    pub owner: u64,
    /// Its caller's deadline over everything.
    deadline: Option<Duration>,
    base: Arc<Base>,
    /// `predictions` or `trainings`.
    collection: &'static str,
    /// Whether what it makes goes on without its caller.
    keeps: bool,
    /// The create itself.
    call: Arc<Call>,
    /// What it asks for, once somebody has looked.
    asked: OnceLock<Option<Asked>>,
    began: OnceLock<Instant>,
    others: Arc<Creates>,
    stage: Arc<Stage>,
    /// Cancelled when the caller has gone; the call knows it too.
    left: CancellationToken,
    /// Set when the client is closed while the caller waits.
    is_called_off: AtomicBool,
    /// Set when the program ends: whoever still waits, in a daemon thread, is not told anything.
    is_silenced: AtomicBool,
    /// Cancelled when the client is closed.
    closing: CancellationToken,
    state: Mutex<State>,
    /// Tells of a new state, and of being called off.
    changed: Notify,
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
        matches!(
            self.status.as_deref(),
            Some("succeeded" | "failed" | "canceled" | "aborted")
        )
    }
}

impl Creation {
    /// Create the state of a create that has not begun. Its deadline is taken from the call, since it ends the caller's wait and
    /// not the request.
    pub fn new(
        owner: u64,
        base: Arc<Base>,
        (collection, keeps): (&'static str, bool),
        mut call: Call,
        unattended: Unattended,
        others: Arc<Creates>,
        closing: CancellationToken,
    ) -> Self {
        let left = CancellationToken::new();
        let deadline = call.timeouts.total.take();
        call.left = Some(left.clone());
        Self {
            owner,
            deadline,
            base,
            collection,
            keeps,
            call: Arc::new(call),
            asked: OnceLock::new(),
            began: OnceLock::new(),
            others,
            stage: Stage::new(),
            left,
            is_called_off: AtomicBool::new(false),
            is_silenced: AtomicBool::new(false),
            closing,
            state: Mutex::new(State::Running),
            changed: Notify::new(),
            unattended,
            record: OnceLock::new(),
            is_claimed: AtomicBool::new(false),
            is_undone: AtomicBool::new(false),
        }
    }

    /// Return the create itself.
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// Send the request. If the caller leaves meanwhile, this goes on until what was created is cancelled, and ends in an error.
    pub async fn send(&self, pool: &Pool) -> Result<Response, Error> {
        if self.left.is_cancelled() {
            return Err(gone());
        }
        self.began.get_or_init(Instant::now);
        let mut sending = pin!(self.stage.clone().watch(http::send(pool, &self.call)));
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
        let mut too_late = pin!(self.too_late());
        loop {
            tokio::select! {
                biased;
                done = &mut sending => {
                    if let Ok(response) = &done {
                        self.note(response);
                        self.undo(pool).await;
                    }
                    break;
                }
                () = &mut too_late => break,
                found = self.look(pool) => {
                    // Not beside the answer: what was found counts as cancelled.
                    join_all(found.iter().map(|id| self.cancel(pool, id))).await;
                    if self.is_undone.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
        }
        Err(gone())
    }

    /// Look for what was made by creates that were left, this one among them; return what is to be cancelled.
    async fn look(&self, pool: &Pool) -> Vec<String> {
        if self.keeps || hold(&self.call.own) <= MAX_UNSEARCHED_HOLD || self.asked().is_none() {
            return std::future::pending().await;
        }
        let _lead = self.others.lead.lock().await;
        if self.is_undone.load(Ordering::Relaxed) {
            return Vec::new();
        }
        loop {
            sleep(LOOK_INTERVAL).await;
            let Ok(url) = self.base.join(["predictions"]) else {
                continue;
            };
            let call = Call {
                method: Method::GET,
                retries: 0,
                limit: MAX_PAGE,
                ..self.request(url)
            };
            let Ok(response) = http::send(pool, &call).await else {
                continue;
            };
            let Some(now) = date(&response.headers) else {
                continue;
            };
            let Ok(page) = serde_json::from_slice::<Page>(&response.body) else {
                continue;
            };
            let found = self.resolve(&page, now);
            if !found.is_empty() {
                return found;
            }
        }
    }

    /// Return which predictions of a page were made by creates that were left, where that is certain, and note that these are
    /// cancelled.
    fn resolve(&self, page: &Page, now: SystemTime) -> Vec<String> {
        let all = self.others.all();
        let is_open = |creation: &&Arc<Self>| {
            creation.record.get().is_none() && creation.base.as_str() == self.base.as_str()
        };
        let answered: HashSet<String> = all
            .iter()
            .filter_map(|each| Some(each.made()?.id))
            .collect();
        let mut groups: Vec<(&Asked, Vec<&Arc<Self>>)> = Vec::new();
        for creation in all.iter().filter(is_open) {
            let Some(asked) = creation.asked() else {
                continue;
            };
            match groups.iter_mut().find(|(other, _)| *other == asked) {
                Some((_, members)) => members.push(creation),
                None => groups.push((asked, vec![creation])),
            }
        }
        let mut meant = Vec::new();
        for (asked, members) in groups {
            // One whose caller waits gets its answer; which of the predictions is its own, nobody can tell before.
            if members.iter().any(|each| {
                each.keeps || !each.is_abandoned() || each.is_undone.load(Ordering::Relaxed)
            }) {
                continue;
            }
            let ages = members
                .iter()
                .filter_map(|each| each.began.get())
                .map(Instant::elapsed);
            let found: Option<Vec<_>> = ages.map(|age| page.candidates(asked, age, now)).collect();
            let found = found
                .into_iter()
                .flatten()
                .flatten()
                .filter(|each| !answered.contains(&each.id));
            let found: BTreeMap<_, _> = found.map(|each| (each.id, each.is_running)).collect();
            if found.len() == members.len() {
                members
                    .iter()
                    .for_each(|each| each.is_undone.store(true, Ordering::Relaxed));
                meant.extend(
                    found
                        .into_iter()
                        .filter(|(_, is_running)| *is_running)
                        .map(|(id, _)| id),
                );
            }
        }
        meant
    }

    fn asked(&self) -> Option<&Asked> {
        let read = || match &self.call.body {
            Body::Bytes(body) => Asked::of(&self.call.url, body),
            _ => None,
        };
        self.asked.get_or_init(read).as_ref()
    }

    /// Return a request that nobody waits for, with the token of the create.
    fn request(&self, url: Url) -> Call {
        let mut request = Call {
            url,
            body: Body::Empty,
            left: None,
            ..Call::clone(&self.call)
        };
        request.headers.clear();
        request.own.clear();
        request.timeouts.total = Some(MAX_CANCEL);
        request.timeouts.read = None;
        request
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
        let called_off = || {
            Error::new(
                Kind::Closed,
                "the client was closed before the answer to this create came",
            )
        };
        let wait = self.until(|| self.is_called_off.load(Ordering::Relaxed));
        match self.deadline {
            Some(limit) => match timeout(limit, wait).await {
                Ok(()) => called_off(),
                Err(_) => self.stage.late(limit),
            },
            None => {
                wait.await;
                called_off()
            }
        }
    }

    /// Wait until something is so that `changed` tells of.
    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // From now on no change is missed.
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            changed.await;
        }
    }

    /// Return what counts the work that goes on without a caller.
    pub fn unattended(&self) -> Unattended {
        self.unattended.clone()
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
        self.is_called_off.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
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
        drop(state);
        self.changed.notify_waiters();
    }

    /// Return whether the caller has gone and the request goes on.
    pub fn is_abandoned(&self) -> bool {
        self.state() == State::Left
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait until nothing is left to be done.
    pub async fn over(&self) {
        self.until(|| self.state() == State::Over).await;
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
        let Some(made) = self.made().filter(|made| !made.has_ended() && !self.keeps) else {
            return;
        };
        if self.is_undone.swap(true, Ordering::Relaxed) {
            return;
        }
        self.cancel(pool, &made.id).await;
    }

    fn made(&self) -> Option<Made> {
        serde_json::from_slice(self.record.get()?).ok()
    }

    async fn cancel(&self, pool: &Pool, id: &str) {
        if let Ok(url) = self.base.join([self.collection, id, "cancel"]) {
            // Best effort: nobody is there to be told.
            drop(http::send(pool, &self.request(url)).await);
        }
    }
}

/// Return for how many seconds an answer may be held back.
fn hold(headers: &http::HeaderMap) -> u64 {
    let asked = headers
        .get("prefer")
        .and_then(|value| value.to_str().ok()?.trim().strip_prefix("wait"));
    match asked {
        Some("") => MAX_HOLD,
        Some(seconds) => seconds
            .strip_prefix('=')
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0),
        None => 0,
    }
}

fn gone() -> Error {
    Error::new(Kind::Aborted, "the caller has gone")
}
