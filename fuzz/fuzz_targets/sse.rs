//! Fuzzes the parser of event streams.

#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use sse::{Event, Parser, TooLarge};

// Only what is tested is included: the crate's dependencies need not be built, and no other code is
// counted as covered.
#[path = "../../src/stream/sse.rs"]
mod sse;

type Known = (String, String, Option<String>, bool, Option<u64>);

/// The observable results of a parser: events, errors, and the state that it keeps.
#[derive(Debug, PartialEq)]
struct Seen {
    events: Vec<Known>,
    fed: Result<(), TooLarge>,
    last_event_id: Option<String>,
    reconnection_time: Option<u64>,
    timed_out: bool,
}

fn known(event: &Event<'_>) -> Known {
    (
        event.name.into(),
        event.data.to_string(),
        event.id.map(Into::into),
        event.has_own_id,
        event.retry,
    )
}

fn read<'a>(limit: usize, mut pieces: impl Iterator<Item = &'a [u8]>) -> Seen {
    let (mut parser, mut events) = (Parser::new(limit), Vec::new());
    let fed = pieces.try_for_each(|piece| parser.feed(piece, |event| events.push(known(&event))));
    Seen {
        events,
        fed,
        last_event_id: parser.last_event_id().map(Into::into),
        reconnection_time: parser.reconnection_time(),
        timed_out: parser.timed_out(),
    }
}

/// Split bytes into pieces of these lengths, and the rest.
fn pieces<'a>(mut bytes: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, rest) = bytes.split_at(bytes.len().min(usize::from(*length)));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}

/// Check that a serialised event is parsed to the same event, except that line breaks become LF.
fn survives(event: &Event<'_>) {
    let mut bytes = Vec::new();
    event.write(&mut bytes);
    let (name, data, id, has_own_id, retry) = known(event);
    let data = data.replace("\r\n", "\n").replace('\r', "\n");
    assert_eq!(
        read(usize::MAX, [&bytes[..]].into_iter()).events,
        [(name, data, id, has_own_id, retry)]
    );
}

fuzz_target!(|given: (u8, Vec<u8>, &[u8])| {
    let (limit, lengths, bytes) = given;
    for limit in [usize::MAX, limit.into()] {
        let whole = read(limit, [bytes].into_iter());
        assert_eq!(read(limit, pieces(bytes, &lengths).into_iter()), whole);
        assert_eq!(read(limit, bytes.chunks(1)), whole);
        for (name, data, id, _, retry) in &whole.events {
            let (id, has_own_id) = (id.as_deref(), id.is_some());
            survives(&Event {
                name,
                data: Cow::Borrowed(data),
                id,
                has_own_id,
                retry: *retry,
            });
        }
    }
    survives(&Event {
        name: "message",
        data: String::from_utf8_lossy(bytes),
        id: None,
        has_own_id: false,
        retry: None,
    });
});
