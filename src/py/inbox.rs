//! What a stream has brought and nobody has taken yet: a reader on the runtime fills it, Python empties it, all at once.
//!
//! Rules this file keeps:
//! * whoever takes gets everything that is there at that moment: what arrives between the bell and the taking comes along;
//! * a wait that is given up loses nothing, since nothing leaves the inbox before it is taken;
//! * no Python object is made or dropped while the lock is held.

use std::borrow::Cow;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use compact_str::CompactString;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use tokio::sync::Notify;

use super::bridge::{Slot, something};
use super::event::ServerSentEvent;
use super::locked;
use super::port::UnderWay;
use crate::error::Error;
use crate::sse::Event;

/// Bytes that wait for the consumer before the socket is left alone; of files, so many more.
const FULL: usize = 64 << 10;
const FULL_OF_FILE: usize = 768 << 10;
/// A piece of a file has so many bytes, but the last: hosts send them in smaller ones.
const PIECE: usize = 64 << 10;

/// What a stream is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Server-sent events.
    Events,
    /// The text of those that are output.
    Text,
    /// Server-sent events as bytes, to be passed on.
    Frames,
    /// Bytes as they come.
    Bytes,
}

/// Parts of a stream that wait together.
pub struct Batch {
    parts: Parts,
    /// Roughly, in bytes.
    size: usize,
}

enum Parts {
    /// The data of events, and the rest of them: name, id and retry.
    Events(Texts, Vec<(CompactString, Option<CompactString>, Option<u64>)>),
    Text(Texts),
    /// Whole events, in plain form.
    Frames(Vec<u8>),
    /// Pieces, and what is none yet.
    Bytes(Vec<Bytes>, BytesMut),
}

/// What a part takes beyond its text, in bytes.
const EACH: usize = 64;

impl Batch {
    fn new(form: Form) -> Self {
        let parts = match form {
            Form::Events => Parts::Events(Texts::default(), Vec::new()),
            Form::Text => Parts::Text(Texts::default()),
            Form::Frames => Parts::Frames(Vec::new()),
            Form::Bytes => Parts::Bytes(Vec::new(), BytesMut::new()),
        };
        Self { parts, size: 0 }
    }

    fn is_empty(&self) -> bool {
        match &self.parts {
            Parts::Bytes(pieces, _) => pieces.is_empty(),
            _ => self.size == 0,
        }
    }

    fn is_full(&self) -> bool {
        self.size >= if matches!(self.parts, Parts::Bytes(..)) { FULL_OF_FILE } else { FULL }
    }

    fn grew(&mut self, bytes: usize) {
        self.size = self.size.saturating_add(bytes).saturating_add(EACH);
    }

    /// Adds an event. One that tells of an error is raised where events are given to a program.
    pub fn push(&mut self, event: Event<'_>) {
        let bytes = event.data.len();
        match &mut self.parts {
            Parts::Events(texts, events) if event.name != "error" => {
                events.push((event.name.into(), event.id.map(Into::into), event.retry));
                texts.push(event.data);
            }
            Parts::Text(texts) if event.name == "output" => texts.push(event.data),
            Parts::Frames(frames) => event.write(frames),
            Parts::Events(..) | Parts::Text(_) | Parts::Bytes(..) => return,
        }
        self.grew(bytes);
    }

    /// Adds a comment that keeps a silent connection alive.
    pub fn push_beat(&mut self) {
        if let Parts::Frames(frames) = &mut self.parts {
            frames.extend_from_slice(b":\n\n");
            self.grew(0);
        }
    }

    /// Adds bytes of a file.
    pub fn push_bytes(&mut self, bytes: Bytes) {
        let size = bytes.len();
        let Parts::Bytes(pieces, rest) = &mut self.parts else { return };
        if rest.is_empty() && size >= PIECE {
            pieces.push(bytes);
        } else {
            rest.extend_from_slice(&bytes);
            if rest.len() >= PIECE {
                pieces.push(rest.split().freeze());
            }
        }
        self.size = self.size.saturating_add(size);
    }

    /// There will be no more.
    fn close(&mut self) {
        if let Parts::Bytes(pieces, rest) = &mut self.parts
            && !rest.is_empty()
        {
            pieces.push(rest.split().freeze());
        }
    }

    /// Everything that can be given; what is no piece of a file yet stays.
    fn take(&mut self, form: Form) -> Self {
        let mut taken = mem::replace(self, Self::new(form));
        if let (Parts::Bytes(_, rest), Parts::Bytes(_, kept)) = (&mut taken.parts, &mut self.parts) {
            mem::swap(rest, kept);
            self.size = kept.len();
        }
        taken
    }

    /// Bytes of a file, at most `most`.
    fn take_bytes(&mut self, most: usize) -> Vec<Bytes> {
        let Parts::Bytes(pieces, _) = &mut self.parts else { return Vec::new() };
        let mut taken = Vec::new();
        let mut left = most;
        while left > 0
            && let Some(piece) = pieces.first_mut()
        {
            if piece.len() > left {
                taken.push(piece.split_to(left));
                break;
            }
            left -= piece.len();
            taken.push(pieces.remove(0));
        }
        let bytes: usize = taken.iter().map(|piece| piece.len()).sum();
        self.size = self.size.saturating_sub(bytes);
        taken
    }

    fn into_list(self, py: Python<'_>, joined: bool) -> PyResult<Bound<'_, PyList>> {
        match self.parts {
            Parts::Events(texts, events) => {
                let made = texts.iter().zip(events).map(|(data, (name, id, retry))| {
                    ServerSentEvent::made(py, name, data, id, retry) //
                });
                PyList::new(py, made.collect::<PyResult<Vec<_>>>()?)
            }
            Parts::Text(texts) => PyList::new(py, texts.iter().map(|text| PyString::new(py, text)).collect::<Vec<_>>()),
            Parts::Frames(frames) if frames.is_empty() => Ok(PyList::empty(py)),
            Parts::Frames(frames) => PyList::new(py, [PyBytes::new(py, &frames)]),
            Parts::Bytes(pieces, _) if joined && pieces.len() > 1 => PyList::new(py, [together(py, &pieces)?]),
            Parts::Bytes(pieces, _) => PyList::new(py, pieces.iter().map(|piece| PyBytes::new(py, piece))),
        }
    }
}

/// Pieces of text. Small ones lie together, so that they cost no allocation each.
#[derive(Default)]
struct Texts {
    together: String,
    pieces: Vec<Piece>,
}

enum Piece {
    /// In the common text, up to here.
    UpTo(usize),
    Own(String),
}

/// Owned text of this size, in bytes, is not copied.
const LARGE: usize = 16 << 10;

impl Texts {
    fn push(&mut self, text: Cow<'_, str>) {
        match text {
            Cow::Owned(text) if text.len() >= LARGE => self.pieces.push(Piece::Own(text)),
            text => {
                self.together.push_str(&text);
                self.pieces.push(Piece::UpTo(self.together.len()));
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().scan(0, |from, piece| match piece {
            Piece::UpTo(end) => Some(self.together.get(mem::replace(from, *end)..*end).unwrap_or_default()),
            Piece::Own(text) => Some(text),
        })
    }
}

/// How a stream's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By the stream's own word: its last event said so.
    Complete,
    /// Without one.
    Closed,
    /// It was silent for too long.
    Silent,
    /// It cannot be told whether it went on where the one before had ended.
    Unproven,
}

/// Pieces as one object: nobody who wants much needs to know where they began.
fn together<'py>(py: Python<'py>, pieces: &[Bytes]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, pieces.iter().map(Bytes::len).sum(), |mut place| {
        for piece in pieces {
            // The room is that of all of them.
            if let Some((here, rest)) = mem::take(&mut place).split_at_mut_checked(piece.len()) {
                here.copy_from_slice(piece);
                place = rest;
            }
        }
        Ok(())
    })
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// The head of the answer.
    Head,
    /// Parts, or the end.
    Parts,
    /// As many parts as wait at most, or the end: fewer turns, for those who want everything.
    Much,
}

struct State {
    batch: Batch,
    has_head: bool,
    /// An error stays until it was raised.
    ended: Option<Result<Ended, Error>>,
    awaiting: Option<(For, Arc<Slot>, UnderWay)>,
    /// A thread moves the bytes itself meanwhile.
    driving: Option<(For, Waker)>,
    /// A thread waits, and nobody is on the way to tell it.
    blocking: Option<For>,
    /// Whether anything was taken: the first part waits for no other.
    has_given: bool,
}

impl State {
    fn has(&self, what: For) -> bool {
        self.ended.is_some()
            || match what {
                For::Head => self.has_head,
                For::Parts => !self.batch.is_empty(),
                For::Much => self.batch.is_full(),
            }
    }
}

/// The parts that wait, and who waits for them.
pub struct Inbox {
    form: Form,
    state: Mutex<State>,
    filled: Condvar,
    room: Notify,
}

impl Inbox {
    /// An empty one.
    pub fn new(form: Form) -> Self {
        let state = State {
            batch: Batch::new(form),
            has_head: false,
            ended: None,
            awaiting: None,
            driving: None,
            blocking: None,
            has_given: false,
        };
        Self { form, state: Mutex::new(state), filled: Condvar::new(), room: Notify::new() }
    }

    // What the reader does.

    /// The answer's head is there.
    pub fn begin(self: &Arc<Self>) {
        self.change(|state| state.has_head = true);
    }

    /// Adds parts.
    pub fn fill<T>(self: &Arc<Self>, fill: impl FnOnce(&mut Batch) -> T) -> T {
        self.change(|state| fill(&mut state.batch))
    }

    /// There will be no more. Only the first end counts.
    pub fn end(self: &Arc<Self>, how: Result<Ended, Error>) {
        self.change(|state| {
            state.batch.close();
            state.ended.get_or_insert(how);
        });
    }

    /// Waits until what is there has been taken, if it is much.
    pub async fn room(&self) {
        loop {
            let taken = self.room.notified();
            if !locked(&self.state).batch.is_full() {
                return;
            }
            taken.await;
        }
    }

    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = locked(&self.state);
        let changed = change(&mut state);
        let awaiting = match &state.awaiting {
            Some((what, ..)) if state.has(*what) => state.awaiting.take(),
            _ => None,
        };
        let driving = match &state.driving {
            Some((what, _)) if state.has(*what) => state.driving.take(),
            _ => None,
        };
        let blocking = match state.blocking {
            Some(what) if state.has(what) => state.blocking.take(),
            _ => None,
        };
        let has_given = state.has_given;
        drop(state);
        if let Some((_, slot, way)) = awaiting {
            slot.finish(something(), way);
        }
        if let Some((_, waker)) = driving {
            waker.wake();
        }
        if blocking.is_some() {
            self.wake(has_given);
        }
        changed
    }

    /// Wakes the thread that waits; `later`, after everything else that is ready on this worker: it would take its processor away.
    fn wake(self: &Arc<Self>, later: bool) {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if later => {
                let inbox = self.clone();
                runtime.spawn(async move {
                    tokio::task::yield_now().await;
                    inbox.filled.notify_all();
                });
            }
            _ => self.filled.notify_all(),
        }
    }

    // What the consumer does.

    /// Whether there is something.
    pub fn has(&self, what: For) -> bool {
        locked(&self.state).has(what)
    }

    /// Has a slot filled when there is something; false if there is already.
    pub fn subscribe(&self, what: For, slot: Arc<Slot>, way: UnderWay) -> bool {
        let mut state = locked(&self.state);
        if state.has(what) {
            return false;
        }
        let before = state.awaiting.replace((what, slot, way));
        drop(state);
        drop(before);
        true
    }

    /// Waits on this thread, at most for `limit`; whether there is something.
    pub fn wait(&self, what: For, limit: Option<Duration>) -> bool {
        let mut state = locked(&self.state);
        if state.has(what) {
            return true;
        }
        state.blocking = Some(what);
        let state = match limit {
            Some(limit) => self.filled.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0,
            None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.has(what)
    }

    /// Waits in the turns of an engine, which moves the bytes meanwhile.
    pub async fn until(&self, what: For) {
        poll_fn(|context| {
            let mut state = locked(&self.state);
            if state.has(what) {
                return Poll::Ready(());
            }
            state.driving = Some((what, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Whether there was a head.
    pub fn is_open(&self) -> bool {
        locked(&self.state).has_head
    }

    /// Whether there was a head; the error, if there was none.
    pub fn head(&self) -> Result<(), Error> {
        let mut state = locked(&self.state);
        let has_head = state.has_head;
        match &mut state.ended {
            Some(ended @ Err(_)) if !has_head => mem::replace(ended, Ok(Ended::Closed)).map(drop),
            _ => Ok(()),
        }
    }

    /// Everything that is there, as a list; empty at the end. Of what was to be much, and is not all, nothing is taken.
    pub fn take(&self, py: Python<'_>, what: For) -> PyResult<Result<Py<PyAny>, Error>> {
        let mut state = locked(&self.state);
        if let (true, Some(Err(_))) = (state.batch.is_empty(), &state.ended)
            && let Some(Err(error)) = state.ended.replace(Ok(Ended::Closed))
        {
            return Ok(Err(error));
        }
        if what == For::Much && state.ended.is_none() {
            return Ok(Ok(PyList::empty(py).into_any().unbind()));
        }
        state.has_given = true;
        let was_full = state.batch.is_full();
        let batch = state.batch.take(self.form);
        drop(state);
        if was_full {
            self.room.notify_one();
        }
        Ok(Ok(batch.into_list(py, what == For::Much)?.into_any().unbind()))
    }

    /// Gives `give` bytes of a file, at most `most`; none at the end. The reader goes on when they are let go of: it can use their
    /// memory again then, and new memory costs more than a copy.
    pub fn take_bytes<T>(&self, most: usize, give: impl FnOnce(Vec<Bytes>) -> T) -> Result<T, Error> {
        let mut state = locked(&self.state);
        if let (true, Some(Err(_))) = (state.batch.is_empty(), &state.ended)
            && let Some(Err(error)) = state.ended.replace(Ok(Ended::Closed))
        {
            return Err(error);
        }
        let was_full = state.batch.is_full();
        let taken = state.batch.take_bytes(most);
        let is_full = state.batch.is_full();
        drop(state);
        let given = give(taken);
        if was_full && !is_full {
            self.room.notify_one();
        }
        Ok(given)
    }

    /// How it ended, once everything was taken.
    pub fn ended(&self) -> Option<Ended> {
        let state = locked(&self.state);
        match &state.ended {
            Some(Ok(ended)) if state.batch.is_empty() => Some(*ended),
            _ => None,
        }
    }
}
