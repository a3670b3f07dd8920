//! Parts of a stream that wait for the consumer.

use std::borrow::Cow;
use std::mem;

use bytes::{Bytes, BytesMut};
use compact_str::CompactString;

use super::sse::Event;
use crate::sync::inbox::Contents;

/// How many bytes may wait before the socket is no longer read, for events and for files.
const MAX_EVENTS: usize = 64 << 10;
const MAX_FILE: usize = 768 << 10;
/// The size of a piece of a file, but for the last. Hosts send smaller ones.
const PIECE: usize = 64 << 10;
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
    /// In bytes, approximately.
    size: usize,
}

pub(crate) enum Parts {
    /// The data of events, and their other fields.
    Events(Texts, Vec<EventFields>),
    Text(Texts),
    /// Serialised events.
    Frames(Vec<u8>),
    /// Pieces of a file, and the beginning of the next piece.
    Bytes(Vec<Bytes>, BytesMut),
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
            Form::Bytes => Parts::Bytes(Vec::new(), BytesMut::new()),
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
        let Parts::Bytes(pieces, rest) = &mut self.parts else {
            return;
        };
        self.size = self.size.saturating_add(bytes.len());
        if rest.is_empty() && bytes.len() >= PIECE {
            pieces.push(bytes);
            return;
        }
        rest.extend_from_slice(&bytes);
        if rest.len() >= PIECE {
            pieces.push(rest.split().freeze());
        }
    }

    /// Take all parts but the beginning of the next piece of a file.
    pub(crate) fn take(&mut self, form: Form) -> Self {
        let mut taken = mem::replace(self, Self::new(form));
        if let (Parts::Bytes(_, rest), Parts::Bytes(_, kept)) = (&mut taken.parts, &mut self.parts)
        {
            mem::swap(rest, kept);
            self.size = kept.len();
        }
        taken
    }

    /// Take at most `max` bytes of a file.
    pub(crate) fn take_bytes(&mut self, max: usize) -> Vec<Bytes> {
        let Parts::Bytes(pieces, _) = &mut self.parts else {
            return Vec::new();
        };
        let (mut taken, mut left) = (Vec::new(), max);
        while left > 0
            && let Some(piece) = pieces.first_mut()
        {
            if piece.len() > left {
                taken.push(piece.split_to(left));
                left = 0;
            } else {
                left -= piece.len();
                taken.push(pieces.remove(0));
            }
        }
        self.size = self.size.saturating_sub(max - left);
        taken
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
        let max = if matches!(self.parts, Parts::Bytes(..)) {
            MAX_FILE
        } else {
            MAX_EVENTS
        };
        self.size >= max
    }

    fn close(&mut self) {
        if let Parts::Bytes(pieces, rest) = &mut self.parts
            && !rest.is_empty()
        {
            pieces.push(rest.split().freeze());
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

    #[test]
    fn small_pieces_of_a_file_are_joined_and_taken_in_any_size() {
        let mut batch = Batch::new(Form::Bytes);
        batch.push_bytes(Bytes::from(vec![1; PIECE - 1]));
        assert!(batch.is_empty());
        batch.push_bytes(Bytes::from(vec![2; 2]));
        assert!(!batch.is_empty());
        let sizes = |pieces: Vec<Bytes>| pieces.iter().map(Bytes::len).collect::<Vec<_>>();
        assert_eq!(sizes(batch.take_bytes(10)), [10]);
        assert_eq!(sizes(batch.take_bytes(usize::MAX)), [PIECE - 9]);
        assert_eq!(batch.size, 0);
        // The beginning of a piece is delivered at the end.
        batch.push_bytes(Bytes::from_static(b"end"));
        assert!(batch.is_empty());
        batch.close();
        assert_eq!(sizes(batch.take_bytes(10)), [3]);
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
