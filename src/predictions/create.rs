//! Requests that create predictions and trainings, which cost money.
//!
//! Rules of this file:
//! * if the caller leaves after the server may have received the request, the request is finished,
//!   and the created prediction is cancelled once, unless it is to be kept;
//! * if nothing was sent yet, the request is not sent;
//! * a request whose caller has left is not retried;
//! * while the response to an abandoned request is held back, its prediction is looked for in the
//!   list of recent predictions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use ::http::{HeaderMap, Method};
use bytes::Bytes;
use futures_util::future::join_all;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::create_lookup::{Page, Wanted, server_time};
use crate::address::BaseUrl;
use crate::error::{Error, Kind};
use crate::http::exchange;
use crate::http::pool::Pool;
use crate::http::request::{Body, Request};
use crate::http::timing::Timing;
use crate::lock::lock;
use crate::response::Response;

/// How long to wait for the response to an abandoned request: a little longer than the longest
/// hold.
const MAX_FINISH: Duration = Duration::from_secs(90);
/// The same wait after the client was closed.
const MAX_FINISH_CLOSED: Duration = Duration::from_secs(5);
/// The timeout of the request that cancels.
const MAX_CANCEL: Duration = Duration::from_secs(5);
/// The hold of `Prefer: wait` without a number, in seconds.
const MAX_HOLD: u64 = 60;
/// The longest hold for which the list is not searched, in seconds.
const MAX_UNSEARCHED_HOLD: u64 = 4;
/// The interval at which the list is read, over all requests of a process.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum size of a page of the list, in bytes.
const MAX_PAGE: usize = 8 << 20;

/// The create requests of a process that are not finished.
#[derive(Debug, Default)]
pub(crate) struct Creates {
    creates: Mutex<HashMap<usize, Arc<Create>>>,
    /// Held by the one request that reads the list for all.
    list_reader: tokio::sync::Mutex<()>,
}

impl Creates {
    pub(crate) fn add(&self, create: &Arc<Create>) {
        lock(&self.creates).insert(Arc::as_ptr(create).addr(), create.clone());
    }

    pub(crate) fn remove(&self, create: &Arc<Create>) {
        lock(&self.creates).remove(&Arc::as_ptr(create).addr());
    }

    pub(crate) fn all(&self) -> Vec<Arc<Create>> {
        lock(&self.creates).values().cloned().collect()
    }
}

/// The client that a create request belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) client: u64,
    pub(crate) base: Arc<BaseUrl>,
    pub(crate) creates: Arc<Creates>,
    /// Counts requests that continue without a caller.
    pub(crate) unattended: Unattended,
    /// Cancelled when the client is closed.
    pub(crate) closing: CancellationToken,
}

/// One create request, and what must be done if its caller leaves.
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) owner: Owner,
    /// The caller's deadline for the whole call.
    deadline: Option<Duration>,
    /// `predictions` or `trainings`.
    collection: &'static str,
    /// Whether the prediction continues without its caller.
    keep: bool,
    request: Arc<Request>,
    wanted: OnceLock<Option<Wanted>>,
    start: OnceLock<Instant>,
    timing: Arc<Timing>,
    /// Cancelled when the caller has left. The request has it too.
    abandoned: CancellationToken,
    /// Whether the client was closed while the caller was waiting.
    is_revoked: AtomicBool,
    /// Whether the program is ending, so that the caller, in a daemon thread, receives no result.
    is_muted: AtomicBool,
    state: Mutex<State>,
    /// Notified when the state changes or the request is revoked.
    changed: Notify,
    record: OnceLock<Bytes>,
    is_delivered: AtomicBool,
    is_cancelled: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Abandoned,
    Finished,
}

/// Counts of background work, of a client and of its process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unattended {
    pub(crate) of_client: Arc<AtomicUsize>,
    pub(crate) of_process: Arc<AtomicUsize>,
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

    /// Count one more while the guard lives.
    pub(crate) fn enter(self) -> UnattendedWork {
        self.add();
        UnattendedWork(self)
    }
}

#[derive(Debug)]
pub(crate) struct UnattendedWork(Unattended);

impl Drop for UnattendedWork {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// The fields of a prediction that are needed to cancel it.
#[derive(Deserialize)]
struct Created {
    id: String,
    status: Option<String>,
}

impl Created {
    fn has_ended(&self) -> bool {
        let status = self.status.as_deref();
        matches!(
            status,
            Some("succeeded" | "failed" | "canceled" | "aborted")
        )
    }
}

impl Create {
    /// Create the state of a request. The deadline is removed from the request, because it ends
    /// only the caller's wait.
    pub(crate) fn new(
        owner: Owner,
        collection: &'static str,
        keep: bool,
        mut request: Request,
    ) -> Self {
        let abandoned = CancellationToken::new();
        let deadline = request.timeouts.total.take();
        request.timeouts.caller = deadline;
        request.abandoned = Some(abandoned.clone());
        request.takes_turns = true;
        Self {
            owner,
            deadline,
            collection,
            keep,
            request: Arc::new(request),
            wanted: OnceLock::new(),
            start: OnceLock::new(),
            timing: Timing::new(),
            abandoned,
            is_revoked: AtomicBool::new(false),
            is_muted: AtomicBool::new(false),
            state: Mutex::new(State::Running),
            changed: Notify::new(),
            record: OnceLock::new(),
            is_delivered: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
        }
    }

    pub(crate) fn request(&self) -> &Arc<Request> {
        &self.request
    }

    /// Send the request. If the caller leaves meanwhile, continue until the created prediction is
    /// cancelled, and return an error.
    pub(crate) async fn send(&self, pool: &Pool) -> Result<Response, Error> {
        let caller_left = || {
            if self.is_revoked.load(Ordering::Relaxed) {
                closed()
            } else {
                Error::new(Kind::Aborted, "the caller has gone")
            }
        };
        if self.abandoned.is_cancelled() {
            return Err(caller_left());
        }
        self.start.get_or_init(Instant::now);
        let send = exchange::send(pool, &self.request);
        let mut sending = pin!(self.timing.clone().track(send));
        tokio::select! {
            biased;
            done = &mut sending => {
                if let Ok(response) = &done {
                    self.set_record(response);
                }
                return done;
            }
            () = self.abandoned.cancelled() => {}
        }
        if !self.timing.may_be_received() {
            return Err(caller_left());
        }
        let mut too_late = pin!(self.too_late());
        loop {
            tokio::select! {
                biased;
                done = &mut sending => {
                    if let Ok(response) = &done {
                        self.set_record(response);
                        self.cancel_created(pool).await;
                    }
                    break;
                }
                () = &mut too_late => break,
                found = self.find(pool) => {
                    // Not raced with the other branches: the predictions are already marked as
                    // cancelled.
                    join_all(found.iter().map(|id| self.cancel(pool, id))).await;
                    if self.is_cancelled.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
        }
        Err(caller_left())
    }

    /// Find the predictions of all abandoned requests in the list, this one's included; return the
    /// ids to cancel.
    async fn find(&self, pool: &Pool) -> Vec<String> {
        let hold = held_seconds(&self.request.own_headers);
        if self.keep || hold <= MAX_UNSEARCHED_HOLD || self.wanted().is_none() {
            return std::future::pending().await;
        }
        let _reader = self.owner.creates.list_reader.lock().await;
        if self.is_cancelled.load(Ordering::Relaxed) {
            return Vec::new();
        }
        loop {
            sleep(LOOKUP_INTERVAL).await;
            let found = self.read_list(pool).await.unwrap_or_default();
            if !found.is_empty() {
                return found;
            }
        }
    }

    async fn read_list(&self, pool: &Pool) -> Option<Vec<String>> {
        let request = Request {
            method: Method::GET,
            retries: 0,
            max_bytes: MAX_PAGE,
            ..self.follow_up(self.owner.base.join(["predictions"]).ok()?)
        };
        let response = exchange::send(pool, &request).await.ok()?;
        let page = serde_json::from_slice(&response.body).ok()?;
        Some(self.resolve(&page, server_time(&response.headers)?))
    }

    /// Return the ids of running predictions that certainly belong to abandoned requests, and mark
    /// these as cancelled.
    fn resolve(&self, page: &Page, now: SystemTime) -> Vec<String> {
        let all = self.owner.creates.all();
        let is_unanswered = |create: &&Arc<Self>| {
            create.record.get().is_none() && create.owner.base.as_str() == self.owner.base.as_str()
        };
        let answered: HashSet<String> = all
            .iter()
            .filter_map(|create| Some(create.created()?.id))
            .collect();
        let mut groups: Vec<(&Wanted, Vec<&Arc<Self>>)> = Vec::new();
        for create in all.iter().filter(is_unanswered) {
            let Some(wanted) = create.wanted() else {
                continue;
            };
            match groups.iter_mut().find(|(other, _)| *other == wanted) {
                Some((_, members)) => members.push(create),
                None => groups.push((wanted, vec![create])),
            }
        }
        let mut running = Vec::new();
        for (wanted, members) in groups {
            // One of the predictions may belong to a caller that still waits.
            if members.iter().any(|each| {
                each.keep || !each.is_abandoned() || each.is_cancelled.load(Ordering::Relaxed)
            }) {
                continue;
            }
            let ages = members
                .iter()
                .filter_map(|each| each.start.get())
                .map(Instant::elapsed);
            let found: Option<Vec<_>> = ages.map(|age| page.candidates(wanted, age, now)).collect();
            let found = found.into_iter().flatten().flatten();
            let found: BTreeMap<_, _> = found
                .filter(|each| !answered.contains(&each.id))
                .map(|each| (each.id, each.is_running))
                .collect();
            if found.len() == members.len() {
                for each in members {
                    each.is_cancelled.store(true, Ordering::Relaxed);
                }
                running.extend(
                    found
                        .into_iter()
                        .filter_map(|(id, runs)| runs.then_some(id)),
                );
            }
        }
        running
    }

    fn wanted(&self) -> Option<&Wanted> {
        let read = || match &self.request.body {
            Body::Bytes(body) => Wanted::of(&self.request.url, body),
            _ => None,
        };
        self.wanted.get_or_init(read).as_ref()
    }

    /// Return a background request with the token of this one.
    fn follow_up(&self, url: Url) -> Request {
        let mut request = Request {
            url,
            body: Body::Empty,
            abandoned: None,
            takes_turns: false,
            ..Request::clone(&self.request)
        };
        request.headers.clear();
        request.own_headers.clear();
        request.timeouts.total = Some(MAX_CANCEL);
        request.timeouts.read = None;
        request
    }

    /// Wait for the time limit of the response to an abandoned request.
    async fn too_late(&self) {
        let closed = async {
            self.owner.closing.cancelled().await;
            sleep(MAX_FINISH_CLOSED).await;
        };
        drop(timeout(MAX_FINISH, closed).await);
    }

    fn set_record(&self, response: &Response) {
        self.record.get_or_init(|| response.body.clone());
    }

    /// Wait until the caller stops waiting for the response: at its deadline, or when the client is
    /// closed.
    pub(crate) async fn interrupted(&self) -> Error {
        let revoked = self.wait_until(|| self.is_revoked.load(Ordering::Relaxed));
        if let Some(limit) = self.deadline {
            if timeout(limit, revoked).await.is_err() {
                return self.timing.deadline_error(limit);
            }
        } else {
            revoked.await;
        }
        closed()
    }

    /// Wait for a condition; `changed` is notified when it may have changed.
    async fn wait_until(&self, condition: impl Fn() -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the check, so that no change is missed.
            changed.as_mut().enable();
            if condition() {
                return;
            }
            changed.await;
        }
    }

    /// Note that the caller has left. Return whether the request continues without it.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = lock(&self.state);
        if *state == State::Running {
            *state = State::Abandoned;
            self.owner.unattended.add();
            self.abandoned.cancel();
        }
        *state == State::Abandoned
    }

    /// End the wait of the caller, because the client is closed.
    pub(crate) fn revoke(&self) {
        // First, since it decides what the end of an abandoned request is called.
        self.is_revoked.store(true, Ordering::Relaxed);
        self.abandon();
        self.changed.notify_waiters();
    }

    /// Abandon the request because the program ends. The caller continues to wait: an error in a
    /// daemon thread would only be printed as a traceback.
    pub(crate) fn mute(&self) {
        self.is_muted.store(true, Ordering::Relaxed);
        self.abandon();
    }

    pub(crate) fn is_muted(&self) -> bool {
        self.is_muted.load(Ordering::Relaxed)
    }

    /// Note that the request is finished, and its prediction cancelled if necessary.
    pub(crate) fn finish(&self) {
        let before = std::mem::replace(&mut *lock(&self.state), State::Finished);
        if before == State::Abandoned {
            self.owner.unattended.remove();
        }
        self.changed.notify_waiters();
    }

    /// Return whether the request continues without its caller.
    pub(crate) fn is_abandoned(&self) -> bool {
        *lock(&self.state) == State::Abandoned
    }

    /// Wait until the request is finished.
    pub(crate) async fn finished(&self) {
        self.wait_until(|| *lock(&self.state) == State::Finished)
            .await;
    }

    /// Return the created record as JSON, if the response has arrived.
    pub(crate) fn record(&self) -> Option<&Bytes> {
        self.record.get()
    }

    /// Note whether the caller has received the record.
    pub(crate) fn set_delivered(&self, is_delivered: bool) {
        self.is_delivered.store(is_delivered, Ordering::Relaxed);
    }

    /// Return whether a record was created that the caller has not received.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.record.get().is_some() && !self.is_delivered.load(Ordering::Relaxed)
    }

    /// Cancel the created prediction once, unless it has ended or is to be kept.
    pub(crate) async fn cancel_created(&self, pool: &Pool) {
        let created = self
            .created()
            .filter(|created| !created.has_ended() && !self.keep);
        if let Some(created) = created
            && !self.is_cancelled.swap(true, Ordering::Relaxed)
        {
            self.cancel(pool, &created.id).await;
        }
    }

    fn created(&self) -> Option<Created> {
        serde_json::from_slice(self.record.get()?).ok()
    }

    async fn cancel(&self, pool: &Pool, id: &str) {
        if let Ok(url) = self.owner.base.join([self.collection, id, "cancel"]) {
            // A failure is ignored: no caller waits for the result.
            drop(exchange::send(pool, &self.follow_up(url)).await);
        }
    }
}

fn closed() -> Error {
    let message = "the client was closed before the answer to this create came";
    Error::new(Kind::Closed, message)
}

/// Return for how many seconds `Prefer: wait` lets the server hold the response.
fn held_seconds(headers: &HeaderMap) -> u64 {
    let prefer = headers.get("prefer").and_then(|value| value.to_str().ok());
    match prefer.and_then(|value| value.trim().strip_prefix("wait")) {
        Some("") => MAX_HOLD,
        Some(seconds) => seconds
            .strip_prefix('=')
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0),
        None => 0,
    }
}
