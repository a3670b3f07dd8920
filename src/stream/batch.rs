//! Parts of a stream that wait for the consumer.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};
use compact_str::CompactString;

use super::sse::Event;
use crate::sync::inbox::Contents;

/// How many bytes may wait before the socket is no longer read, for events and for files.
const MAX_EVENTS: usize = 64 << 10;
const MAX_FILE: usize = 768 << 10;
/// The same for a file that is wanted whole: up to this size it is copied once, when all has arrived.
/// A larger one would take longer, because nothing is copied while more arrives.
const MAX_WHOLE: usize = 1536 << 10;
/// The least size of a piece of a file, but for the last. Hosts send smaller ones.
const PIECE: usize = 64 << 10;
/// The size up to which what arrives of a file is copied to a buffer at once: it would keep a larger
/// buffer of its connection.
const SMALL: usize = 4 << 10;
/// The overhead of a part in bytes.
const OVERHEAD: usize = 64;

/// What a stream is converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Server-sent events.
    Events,
    /// The text of output events.
    Text,
    /// Server-sent events as bytes, to be relayed.
    Frames,
    /// Bytes, as they arrive.
    Bytes,
}

/// Parts of a stream that are delivered together.
pub(crate) struct Batch {
    pub(crate) parts: Parts,
    /// In bytes, approximately; a file has its own.
    size: usize,
}

pub(crate) enum Parts {
    /// The data of events, and their other fields.
    Events(Texts, Vec<EventFields>),
    Text(Texts),
    /// Serialised events.
    Frames(Vec<u8>),
    Bytes(FileBytes),
}

/// Bytes of a file as they arrived. They are joined when they are taken, so that each is copied once.
#[derive(Default)]
pub(crate) struct FileBytes {
    arrived: VecDeque<Bytes>,
    /// What arrived in small parts after that.
    small: BytesMut,
    size: usize,
    is_closed: bool,
    /// Whether all bytes are wanted at once, if they are not too many.
    is_wanted_whole: bool,
}

impl FileBytes {
    fn push(&mut self, bytes: Bytes) {
        self.size += bytes.len();
        if bytes.len() <= SMALL {
            self.small.extend_from_slice(&bytes);
            return;
        }
        self.add_small();
        self.arrived.push_back(bytes);
    }

    fn add_small(&mut self) {
        if !self.small.is_empty() {
            self.arrived.push_back(self.small.split().freeze());
        }
    }

    fn is_full(&self) -> bool {
        let max = if self.is_wanted_whole {
            MAX_WHOLE
        } else {
            MAX_FILE
        };
        self.size >= max
    }

    /// Return whether there is no whole piece.
    fn is_empty(&self) -> bool {
        self.size < if self.is_closed { 1 } else { PIECE }
    }

    /// Take all whole pieces.
    fn take(&mut self) -> Self {
        self.add_small();
        if self.is_closed {
            return mem::take(self);
        }
        let (mut count, mut size, mut taken) = (0, 0, 0);
        for (index, bytes) in self.arrived.iter().enumerate() {
            size += bytes.len();
            if size >= PIECE {
                (count, taken, size) = (index + 1, taken + size, 0);
            }
        }
        let rest = self.arrived.split_off(count);
        self.size -= taken;
        Self {
            arrived: mem::replace(&mut self.arrived, rest),
            size: taken,
            ..Self::default()
        }
    }

    /// Return the pieces, each as the parts in which it arrived.
    pub(crate) fn pieces(&self) -> Vec<Vec<&[u8]>> {
        let (mut pieces, mut piece, mut size) = (Vec::new(), Vec::new(), 0);
        for bytes in &self.arrived {
            size += bytes.len();
            piece.push(&**bytes);
            if size >= PIECE {
                pieces.push(mem::take(&mut piece));
                size = 0;
            }
        }
        if !piece.is_empty() {
            pieces.push(piece);
        }
        pieces
    }

    /// Return all bytes, in the parts in which they arrived.
    pub(crate) fn parts(&self) -> Vec<&[u8]> {
        self.arrived.iter().map(|bytes| &**bytes).collect()
    }

    /// Take at most `max` bytes.
    fn take_bytes(&mut self, max: usize) -> Vec<Bytes> {
        self.is_wanted_whole = false;
        self.add_small();
        let (mut taken, mut left) = (Vec::new(), max);
        while left > 0
            && let Some(bytes) = self.arrived.front_mut()
        {
            let part = bytes.split_to(left.min(bytes.len()));
            left -= part.len();
            taken.push(part);
            if bytes.is_empty() {
                self.arrived.pop_front();
            }
        }
        self.size -= max - left;
        taken
    }
}

/// The fields of an event but its data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EventFields {
    pub(crate) name: CompactString,
    pub(crate) id: Option<CompactString>,
    pub(crate) retry: Option<u64>,
}

impl Batch {
    pub(crate) fn new(form: Form) -> Self {
        let parts = match form {
            Form::Events => Parts::Events(Texts::default(), Vec::new()),
            Form::Text => Parts::Text(Texts::default()),
            Form::Frames => Parts::Frames(Vec::new()),
            Form::Bytes => Parts::Bytes(FileBytes::default()),
        };
        Self { parts, size: 0 }
    }

    fn grow(&mut self, bytes: usize) {
        self.size = self.size.saturating_add(bytes).saturating_add(OVERHEAD);
    }

    /// Add an event. An event that reports an error is delivered only if events are relayed;
    /// otherwise it is raised.
    pub(crate) fn push(&mut self, event: Event<'_>) {
        let bytes = event.data.len();
        match &mut self.parts {
            Parts::Events(texts, events) if event.name != "error" => {
                let (name, id) = (event.name.into(), event.id.map(Into::into));
                events.push(EventFields {
                    name,
                    id,
                    retry: event.retry,
                });
                texts.push(event.data);
            }
            Parts::Text(texts) if event.name == "output" => texts.push(event.data),
            Parts::Frames(frames) => event.write(frames),
            Parts::Events(..) | Parts::Text(_) | Parts::Bytes(..) => return,
        }
        self.grow(bytes);
    }

    /// Add a comment that keeps an idle connection open.
    pub(crate) fn push_keepalive(&mut self) {
        if let Parts::Frames(frames) = &mut self.parts {
            frames.extend_from_slice(b":\n\n");
            self.grow(0);
        }
    }

    /// Add bytes of a file.
    pub(crate) fn push_bytes(&mut self, bytes: Bytes) {
        if let Parts::Bytes(file) = &mut self.parts {
            file.push(bytes);
        }
    }

    /// Let a file that is not too large arrive as a whole before any of it is taken.
    pub(crate) fn want_whole(&mut self) {
        if let Parts::Bytes(file) = &mut self.parts {
            file.is_wanted_whole = true;
        }
    }

    /// Take all parts; of a file, all whole pieces.
    pub(crate) fn take(&mut self, form: Form) -> Self {
        match &mut self.parts {
            Parts::Bytes(file) => Self {
                parts: Parts::Bytes(file.take()),
                size: 0,
            },
            _ => mem::replace(self, Self::new(form)),
        }
    }

    /// Take at most `max` bytes of a file.
    pub(crate) fn take_bytes(&mut self, max: usize) -> Vec<Bytes> {
        match &mut self.parts {
            Parts::Bytes(file) => file.take_bytes(max),
            _ => Vec::new(),
        }
    }
}

impl Contents for Batch {
    fn is_empty(&self) -> bool {
        match &self.parts {
            Parts::Bytes(file) => file.is_empty(),
            _ => self.size == 0,
        }
    }

    fn is_full(&self) -> bool {
        match &self.parts {
            Parts::Bytes(file) => file.is_full(),
            _ => self.size >= MAX_EVENTS,
        }
    }

    fn close(&mut self) {
        if let Parts::Bytes(file) = &mut self.parts {
            file.is_closed = true;
        }
    }
}

/// Texts of which short ones share a buffer, so that they need no allocation each.
#[derive(Default)]
pub(crate) struct Texts {
    buffer: String,
    texts: Vec<Text>,
}

enum Text {
    /// In the buffer, up to this index.
    Shared(usize),
    Own(String),
}

/// The size from which an owned text is not copied to the buffer, in bytes.
const MIN_OWN: usize = 16 << 10;

impl Texts {
    fn push(&mut self, text: Cow<'_, str>) {
        match text {
            Cow::Owned(text) if text.len() >= MIN_OWN => self.texts.push(Text::Own(text)),
            text => {
                self.buffer.push_str(&text);
                self.texts.push(Text::Shared(self.buffer.len()));
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().scan(0, |start, text| match text {
            Text::Shared(end) => {
                let start = mem::replace(start, *end);
                Some(self.buffer.get(start..*end).unwrap_or_default())
            }
            Text::Own(text) => Some(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(batch: &mut Batch, byte: u8, size: usize) {
        batch.push_bytes(Bytes::from(vec![byte; size]));
    }

    /// Return the sizes of the pieces that can be taken.
    fn taken(batch: &mut Batch) -> Vec<usize> {
        let Parts::Bytes(file) = batch.take(Form::Bytes).parts else {
            panic!("no file");
        };
        let size = |piece: Vec<&[u8]>| piece.concat().len();
        file.pieces().into_iter().map(size).collect()
    }

    #[test]
    fn small_parts_of_a_file_are_joined_and_taken_in_any_size() {
        let mut batch = Batch::new(Form::Bytes);
        push(&mut batch, 1, PIECE - 1);
        assert!(batch.is_empty());
        push(&mut batch, 2, 2);
        assert!(!batch.is_empty());
        assert_eq!(
            batch.take_bytes(PIECE).concat(),
            [vec![1; PIECE - 1], vec![2]].concat()
        );
        assert_eq!(batch.take_bytes(usize::MAX).concat(), [2]);
        assert_eq!(batch.take_bytes(usize::MAX), Vec::<Bytes>::new());
        // The beginning of a piece is delivered at the end.
        push(&mut batch, 3, 3);
        assert!(batch.is_empty());
        batch.close();
        assert!(!batch.is_empty());
        assert_eq!(taken(&mut batch), [3]);
        assert!(batch.is_empty());
    }

    #[test]
    fn pieces_of_a_file_are_whole_but_for_the_last() {
        let mut batch = Batch::new(Form::Bytes);
        for size in [SMALL + 1, 1, SMALL, PIECE, PIECE / 2, 5] {
            push(&mut batch, 0, size);
        }
        assert_eq!(taken(&mut batch), [2 * SMALL + 2 + PIECE]);
        assert!(batch.is_empty());
        push(&mut batch, 0, PIECE);
        assert_eq!(taken(&mut batch), [PIECE / 2 + 5 + PIECE]);
        for _ in 0..5 {
            push(&mut batch, 0, PIECE / 2);
        }
        assert_eq!(taken(&mut batch), [PIECE, PIECE]);
        batch.close();
        assert_eq!(taken(&mut batch), [PIECE / 2]);
        assert_eq!(taken(&mut batch), Vec::<usize>::new());
    }

    #[test]
    fn a_file_that_is_wanted_whole_may_wait_in_a_larger_buffer_until_some_is_taken() {
        let mut batch = Batch::new(Form::Bytes);
        batch.want_whole();
        push(&mut batch, 0, MAX_WHOLE - 1);
        assert!(!batch.is_full());
        push(&mut batch, 0, 1);
        assert!(batch.is_full());
        batch.take_bytes(MAX_WHOLE - MAX_FILE);
        assert!(batch.is_full());
        batch.take_bytes(1);
        assert!(!batch.is_full());
    }

    #[test]
    fn a_file_of_tiny_parts_needs_little_memory() {
        let mut batch = Batch::new(Form::Bytes);
        for _ in 0..MAX_FILE {
            push(&mut batch, 0, 1);
        }
        assert!(batch.is_full());
        assert_eq!(batch.take_bytes(usize::MAX).len(), 1);
    }

    #[test]
    fn texts_come_back_in_order_whatever_their_size() {
        let mut texts = Texts::default();
        let large = "x".repeat(MIN_OWN);
        for text in ["a", "", "b"] {
            texts.push(Cow::Borrowed(text));
        }
        texts.push(Cow::Owned(large.clone()));
        texts.push(Cow::Borrowed("c"));
        assert_eq!(
            texts.iter().collect::<Vec<_>>(),
            ["a", "", "b", &large, "c"]
        );
    }
}
