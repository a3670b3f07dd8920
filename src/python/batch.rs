//! Parts of a stream that wait together, and the Python objects that are made of them.

use std::borrow::Cow;
use std::mem;

use bytes::{Bytes, BytesMut};
use compact_str::CompactString;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use super::event::ServerSentEvent;
use crate::stream::sse::Event;
use crate::sync::inbox::Contents;

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
    Events(
        Texts,
        Vec<(CompactString, Option<CompactString>, Option<u64>)>,
    ),
    Text(Texts),
    /// Whole events, in plain form.
    Frames(Vec<u8>),
    /// Pieces, and what is none yet.
    Bytes(Vec<Bytes>, BytesMut),
}

/// What a part takes beyond its text, in bytes.
const EACH: usize = 64;

impl Batch {
    /// Create an empty one.
    pub fn new(form: Form) -> Self {
        let parts = match form {
            Form::Events => Parts::Events(Texts::default(), Vec::new()),
            Form::Text => Parts::Text(Texts::default()),
            Form::Frames => Parts::Frames(Vec::new()),
            Form::Bytes => Parts::Bytes(Vec::new(), BytesMut::new()),
        };
        Self { parts, size: 0 }
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
        let Parts::Bytes(pieces, rest) = &mut self.parts else {
            return;
        };
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

    /// Everything that can be given; what is no piece of a file yet stays.
    pub fn take(&mut self, form: Form) -> Self {
        let mut taken = mem::replace(self, Self::new(form));
        if let (Parts::Bytes(_, rest), Parts::Bytes(_, kept)) = (&mut taken.parts, &mut self.parts)
        {
            mem::swap(rest, kept);
            self.size = kept.len();
        }
        taken
    }

    /// Bytes of a file, at most `most`.
    pub fn take_bytes(&mut self, most: usize) -> Vec<Bytes> {
        let Parts::Bytes(pieces, _) = &mut self.parts else {
            return Vec::new();
        };
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

    /// Return the parts as Python objects; `joined`, those of a file as one.
    pub fn into_list(self, py: Python<'_>, joined: bool) -> PyResult<Bound<'_, PyList>> {
        match self.parts {
            Parts::Events(texts, events) => {
                let made = texts.iter().zip(events).map(|(data, (name, id, retry))| {
                    ServerSentEvent::made(py, name, data, id, retry) //
                });
                PyList::new(py, made.collect::<PyResult<Vec<_>>>()?)
            }
            Parts::Text(texts) => PyList::new(
                py,
                texts
                    .iter()
                    .map(|text| PyString::new(py, text))
                    .collect::<Vec<_>>(),
            ),
            Parts::Frames(frames) if frames.is_empty() => Ok(PyList::empty(py)),
            Parts::Frames(frames) => PyList::new(py, [PyBytes::new(py, &frames)]),
            Parts::Bytes(pieces, _) if joined && pieces.len() > 1 => {
                PyList::new(py, [together(py, &pieces)?])
            }
            Parts::Bytes(pieces, _) => {
                PyList::new(py, pieces.iter().map(|piece| PyBytes::new(py, piece)))
            }
        }
    }
}

impl Contents for Batch {
    fn is_empty(&self) -> bool {
        match &self.parts {
            Parts::Bytes(pieces, _) => pieces.is_empty(),
            _ => self.size == 0,
        }
    }

    fn is_full(&self) -> bool {
        self.size
            >= if matches!(self.parts, Parts::Bytes(..)) {
                FULL_OF_FILE
            } else {
                FULL
            }
    }

    fn close(&mut self) {
        if let Parts::Bytes(pieces, rest) = &mut self.parts
            && !rest.is_empty()
        {
            pieces.push(rest.split().freeze());
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
            Piece::UpTo(end) => Some(
                self.together
                    .get(mem::replace(from, *end)..*end)
                    .unwrap_or_default(),
            ),
            Piece::Own(text) => Some(text),
        })
    }
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
