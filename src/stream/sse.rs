//! A parser of server-sent events.
//!
//! It follows the WHATWG HTML standard, "Server-sent events", §9.2.6: lines end at CR, LF or CRLF;
//! a blank line dispatches; data lines are joined with LF; ids with NUL are ignored; an unfinished
//! event at the end is dropped.
//!
//! Rules of this file:
//! * every byte is examined once, however the input is cut: an unfinished line is kept and not
//!   searched again;
//! * an event whose lines are in one piece of the input is borrowed from it, without a copy or an
//!   allocation;
//! * an event takes effect at its blank line: before that, neither its id nor its data are visible;
//! * functions that every line passes through are inlined by hand: calls were a sixth of an event's
//!   70 ns.

use std::borrow::Cow;

use memchr::memchr2;

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The event type, `message` by default.
    pub name: &'a str,
    /// The data lines joined with LF. Owned if they arrived in pieces, so that megabytes are not
    /// copied again.
    pub data: Cow<'a, str>,
    /// The last id of the stream, which the standard keeps from event to event.
    pub id: Option<&'a str>,
    /// Whether the id came with this event.
    pub has_own_id: bool,
    /// The `retry` field of this event: milliseconds to wait before reconnecting.
    pub retry: Option<u64>,
}

impl Event<'_> {
    /// Append the event to a stream.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut field = |name: &str, value: &str| {
            for text in [name, ": ", value, "\n"] {
                out.extend_from_slice(text.as_bytes());
            }
        };
        if let (true, Some(id)) = (self.has_own_id, self.id) {
            field("id", id);
        }
        if let Some(retry) = self.retry {
            field("retry", &retry.to_string());
        }
        if self.name != "message" {
            field("event", self.name);
        }
        split_lines(&self.data).for_each(|line| field("data", line));
        out.push(b'\n');
    }
}

/// An event exceeds this limit, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge(pub usize);

/// An incremental parser of one stream.
#[derive(Debug, Default)]
pub struct Parser {
    limit: usize,
    /// Whether the next byte begins a line, other than the first line, which may have a byte order
    /// mark.
    is_at_line: bool,
    has_begun: bool,
    after_cr: bool,
    /// An unfinished line. Of a data line only the value, with the length of the field name before
    /// it.
    line: Vec<u8>,
    prefix_length: Option<usize>,
    /// The data of an unfinished event, unless they are in the current piece of the input.
    data: Option<Vec<u8>>,
    /// The last event type, and whether the current event has it.
    name: String,
    has_name: bool,
    /// The id of the current event, if it has its own.
    id: String,
    has_own_id: bool,
    /// As of the last finished event.
    last_id: Option<String>,
    retry: Option<u64>,
    reconnection_time: Option<u64>,
    timed_out: bool,
}

impl Parser {
    /// Create a parser that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Return the last id of a finished event, to resume the stream after.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Return the last `retry` field in milliseconds.
    pub fn reconnection_time(&self) -> Option<u64> {
        self.reconnection_time
    }

    /// Return whether the last comment was `408`, with which Replicate ends a stream that was idle
    /// for too long.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// Parse the next bytes, and pass the events that they complete to `sink`.
    pub fn feed(&mut self, input: &[u8], mut sink: impl FnMut(Event<'_>)) -> Result<(), TooLarge> {
        let mut rest = input;
        // Most input is too short to contain an event that is too large.
        let is_short = self.held().saturating_add(input.len()) <= self.limit;
        // The only data line of the current event so far, borrowed from the input.
        let mut borrowed = None;
        while !rest.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                if let Some(after) = rest.strip_prefix(b"\n") {
                    rest = after;
                    continue;
                }
            }
            let Some((line, end)) = find_line_end(rest).and_then(|at| rest.split_at_checked(at))
            else {
                self.check(is_short, borrowed, rest)?;
                self.keep_part(rest);
                break;
            };
            self.check(is_short, borrowed, line)?;
            let Some((end, after)) = end.split_first() else {
                break;
            };
            self.after_cr = *end == b'\r';
            rest = after;
            if self.is_at_line {
                self.parse_line(line, &mut borrowed, &mut sink);
            } else {
                self.parse_kept_line(line, &mut borrowed, &mut sink);
            }
        }
        self.keep(borrowed);
        Ok(())
    }

    /// Return the size of the unfinished event in bytes.
    fn held(&self) -> usize {
        self.prefix_length.unwrap_or_default()
            + self.line.len()
            + self.data.as_ref().map_or(0, Vec::len)
    }

    fn check(&self, is_short: bool, borrowed: Option<&[u8]>, more: &[u8]) -> Result<(), TooLarge> {
        if is_short || self.held() + borrowed.map_or(0, <[u8]>::len) + more.len() <= self.limit {
            return Ok(());
        }
        Err(TooLarge(self.limit))
    }

    /// Copy data that are borrowed from the input.
    fn keep(&mut self, borrowed: Option<&[u8]>) {
        if let Some(data) = borrowed {
            self.data = Some(data.to_vec());
        }
    }

    /// Keep a part of a line that has no end yet.
    fn keep_part(&mut self, part: &[u8]) {
        let mut value = part;
        if std::mem::take(&mut self.is_at_line)
            && let Some((Field::Data, data @ [_, ..])) = split(part)
        {
            // It may grow to megabytes, and becomes the data without another copy.
            self.prefix_length = Some(part.len() - data.len());
            value = data;
        }
        self.line.extend_from_slice(value);
    }

    /// Parse a line that is wholly in the input.
    #[inline(always)]
    fn parse_line<'a>(
        &mut self,
        line: &'a [u8],
        borrowed: &mut Option<&'a [u8]>,
        sink: &mut impl FnMut(Event<'_>),
    ) {
        let Some((field, value)) = split(line) else {
            return self.dispatch(borrowed.take(), sink);
        };
        match field {
            Field::Data if borrowed.is_none() && self.data.is_none() => *borrowed = Some(value),
            Field::Data => {
                self.keep(borrowed.take());
                self.add(value.to_vec());
            }
            _ => self.field(field, value),
        }
    }

    /// Parse the end of a line that arrived in pieces, or the first line of the stream.
    fn parse_kept_line<'a>(
        &mut self,
        end: &'a [u8],
        borrowed: &mut Option<&'a [u8]>,
        sink: &mut impl FnMut(Event<'_>),
    ) {
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(end);
        self.is_at_line = true;
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if self.prefix_length.take().is_some() {
            self.keep(borrowed.take());
            return self.add(line);
        }
        // The first line of a stream may begin with a byte order mark.
        let text = if is_first {
            line.strip_prefix(MARK).unwrap_or(&line)
        } else {
            &line
        };
        match split(text) {
            None => self.dispatch(borrowed.take(), sink),
            Some((Field::Data, value)) => {
                self.keep(borrowed.take());
                self.add(value.to_vec());
            }
            Some((field, value)) => self.field(field, value),
        }
    }

    /// Add a data line that is not the only one, or arrived in pieces.
    fn add(&mut self, value: Vec<u8>) {
        match &mut self.data {
            None => self.data = Some(value),
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(&value);
            }
        }
    }

    fn field(&mut self, field: Field, value: &[u8]) {
        match field {
            Field::Event => {
                // Most events have the type of the one before.
                if self.name.as_bytes() != value {
                    set(&mut self.name, value);
                }
                self.has_name = !value.is_empty();
            }
            // Ids are short: a vectorised search costs more than this loop.
            Field::Id if value.iter().fold(true, |valid, byte| valid & (*byte != 0)) => {
                set(&mut self.id, value);
                self.has_own_id = true;
            }
            Field::Retry if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let millis = std::str::from_utf8(value)
                    .ok()
                    .and_then(|digits| digits.parse().ok());
                self.retry = millis.or(self.retry);
                self.reconnection_time = millis.or(self.reconnection_time);
            }
            Field::Comment => self.timed_out = value.starts_with(b"408"),
            _ => {}
        }
    }

    #[inline(always)]
    fn dispatch(&mut self, borrowed: Option<&[u8]>, sink: &mut impl FnMut(Event<'_>)) {
        let (retry, has_own_id) = (self.retry.take(), std::mem::take(&mut self.has_own_id));
        if has_own_id {
            std::mem::swap(self.last_id.get_or_insert_default(), &mut self.id);
        }
        let name = if std::mem::take(&mut self.has_name) {
            &self.name
        } else {
            "message"
        };
        let data = match (self.data.take(), borrowed) {
            (Some(kept), _) => owned_text(kept),
            (None, Some(borrowed)) => text(borrowed),
            (None, None) => return,
        };
        self.timed_out = false;
        sink(Event {
            name,
            data,
            id: self.last_id.as_deref(),
            has_own_id,
            retry,
        });
    }
}

/// The field of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Id,
    Retry,
    Comment,
    Unknown,
}

const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Return the field and the value of a line; None for a blank line.
#[inline(always)]
fn split(line: &[u8]) -> Option<(Field, &[u8])> {
    // Known fields are recognised by their first bytes, without a search for the colon.
    let (field, value) = match *line {
        [] => return None,
        [b'd', b'a', b't', b'a', b':', ref value @ ..] => (Field::Data, value),
        [b'i', b'd', b':', ref value @ ..] => (Field::Id, value),
        [b'e', b'v', b'e', b'n', b't', b':', ref value @ ..] => (Field::Event, value),
        [b'r', b'e', b't', b'r', b'y', b':', ref value @ ..] => (Field::Retry, value),
        [b':', ref value @ ..] => (Field::Comment, value),
        _ => {
            let bare = [
                (Field::Data, &b"data"[..]),
                (Field::Id, b"id"),
                (Field::Event, b"event"),
                (Field::Retry, b"retry"),
            ];
            let field = bare
                .into_iter()
                .find(|(_, name)| *name == line)
                .map_or(Field::Unknown, |(field, _)| field);
            (field, &[][..])
        }
    };
    Some((field, value.strip_prefix(b" ").unwrap_or(value)))
}

/// Find the end of the line. Most lines are short, for which words are faster than a vectorised
/// search.
#[inline(always)]
fn find_line_end(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The lowest high bit of the result marks the first zero byte.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, _) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().take(4).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zero(word ^ (ONES * u64::from(b'\n'))) | zero(word ^ (ONES * u64::from(b'\r')));
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let searched = words.len().min(4) * 8;
    memchr2(b'\n', b'\r', bytes.get(searched..)?).map(|at| searched + at)
}

/// Split a text into lines at CR, LF and CRLF.
pub fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some((line, end)) = text
            .find(['\n', '\r'])
            .and_then(|at| text.split_at_checked(at))
        else {
            return Some(text);
        };
        rest = end.strip_prefix("\r\n").or_else(|| end.get(1..));
        Some(line)
    })
}

/// Decode UTF-8, with replacement characters for invalid bytes.
#[inline(always)]
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

fn owned_text(bytes: Vec<u8>) -> Cow<'static, str> {
    Cow::Owned(
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

#[inline(always)]
fn set(target: &mut String, value: &[u8]) {
    target.clear();
    match std::str::from_utf8(value) {
        Ok(text) => target.push_str(text),
        Err(_) => target.push_str(&String::from_utf8_lossy(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Known = (String, String, Option<String>, Option<u64>);

    fn parse(chunks: &[&[u8]]) -> Vec<Known> {
        let (mut parser, mut events) = (Parser::new(1 << 20), Vec::new());
        for chunk in chunks {
            parser
                .feed(chunk, |each| events.push(known(&each)))
                .unwrap();
        }
        events
    }

    fn known(event: &Event<'_>) -> Known {
        (
            event.name.into(),
            event.data.to_string(),
            event.id.map(Into::into),
            event.retry,
        )
    }

    fn event(name: &str, data: &str, id: Option<&str>) -> Known {
        (name.into(), data.into(), id.map(Into::into), None)
    }

    #[test]
    fn the_documented_stream_is_read() {
        let stream = b": hi\n\nid: 1690212292:0\nevent: output\ndata: Once upon\n\nevent: done\ndata: {}\n\n";
        let expected = [
            event("output", "Once upon", Some("1690212292:0")),
            event("done", "{}", Some("1690212292:0")),
        ];
        assert_eq!(parse(&[stream]), expected);
    }

    /// Check what a stream gives, cut in two everywhere, and into single bytes.
    #[track_caller]
    fn gives(stream: &[u8], expected: &[Known]) {
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(
                parse(&[head, tail]),
                expected,
                "{:?} cut at {at}",
                String::from_utf8_lossy(stream)
            );
        }
        assert_eq!(
            parse(&stream.chunks(1).collect::<Vec<_>>()),
            expected,
            "{:?}",
            String::from_utf8_lossy(stream)
        );
    }

    #[test]
    fn the_standard_is_kept_where_others_break() {
        for (stream, expected) in [
            ("\u{feff}event: a\ndata: 1\n\n", vec![event("a", "1", None)]),
            (
                "\u{feff}\u{feff}data: 1\n\ndata: 2\n\n",
                vec![event("message", "2", None)],
            ),
            (
                "data: 1\n\n\u{feff}data: 2\n\n",
                vec![event("message", "1", None)],
            ),
            (
                "data: a\u{2028}b\u{85}c\u{b}d\u{c}e\n\n",
                vec![event("message", "a\u{2028}b\u{85}c\u{b}d\u{c}e", None)],
            ),
            (
                "data\n\ndata\ndata\n\n",
                vec![event("message", "", None), event("message", "\n", None)],
            ),
            (
                "data:\n\ndata:\ndata: \n\n",
                vec![event("message", "", None), event("message", "\n", None)],
            ),
            ("data:  two\n\n", vec![event("message", " two", None)]),
            ("data: a: b\n\n", vec![event("message", "a: b", None)]),
            ("id: a\0b\ndata: x\n\n", vec![event("message", "x", None)]),
            (
                "id: 1\nid\ndata: x\n\n",
                vec![event("message", "x", Some(""))],
            ),
            ("event: x\n\ndata: y\n\n", vec![event("message", "y", None)]),
            (
                "event: x\nevent: y\ndata: z\n\n",
                vec![event("y", "z", None)],
            ),
            (
                "id: 7\n\ndata: y\n\n",
                vec![event("message", "y", Some("7"))],
            ),
            (
                "data: a\r\ndata: b\rdata: c\n\r\n",
                vec![event("message", "a\nb\nc", None)],
            ),
            (
                "data: a\r\r\ndata: b\n\n",
                vec![event("message", "a", None), event("message", "b", None)],
            ),
            ("data: unfinished\n", vec![]),
            (
                " data: no\nData: no\nfoo: bar\n: comment\ndata: yes\n\n",
                vec![event("message", "yes", None)],
            ),
        ] {
            gives(stream.as_bytes(), &expected);
        }
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        gives(
            b"id: \xff\nevent: \xc3\ndata: a\xf0\x9f\x92b\n\n",
            &[event("\u{fffd}", "a\u{fffd}b", Some("\u{fffd}"))],
        );
    }

    #[test]
    fn only_digits_set_the_retry_time() {
        let stream = b"retry: 20\ndata: a\n\nretry: +5\nretry: 1.5\nretry\nretry: 99999999999999999999\ndata: b\n\n";
        let (mut parser, mut events) = (Parser::new(100), Vec::new());
        parser.feed(stream, |each| events.push(each.retry)).unwrap();
        assert_eq!(events, [Some(20), None]);
        assert_eq!(parser.reconnection_time(), Some(20));
    }

    #[test]
    fn an_id_counts_when_its_event_has_ended() {
        let mut parser = Parser::new(100);
        parser
            .feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n", |_| {})
            .unwrap();
        assert_eq!(parser.last_event_id(), Some("1"));
        parser.feed(b"\n", |_| {}).unwrap();
        assert_eq!(parser.last_event_id(), Some("2"));
    }

    #[test]
    fn the_comment_about_a_silent_stream_is_heard() {
        let mut parser = Parser::new(100);
        parser.feed(b": hi\n\ndata: 408\n\n", |_| {}).unwrap();
        assert!(!parser.timed_out());
        parser
            .feed(b":408: 408 Request Timeout\n\n", |_| {})
            .unwrap();
        assert!(parser.timed_out());
    }

    #[test]
    fn a_text_has_the_lines_that_a_stream_would_have() {
        for (text, expected) in [
            ("", &[""][..]),
            ("a\r\nb\rc\nd", &["a", "b", "c", "d"]),
            ("\n\r", &["", "", ""]),
            ("a\r", &["a", ""]),
            ("\r\r\n\n", &["", "", "", ""]),
        ] {
            assert_eq!(split_lines(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn an_event_over_the_limit_is_an_error() {
        for stream in [
            "data: 0123456789abcdefg",
            "data: 01234567\ndata: 89abcdefg\n",
            "data: 0123456789abcdefg\n\n",
        ] {
            assert_eq!(
                Parser::new(16).feed(stream.as_bytes(), |_| {}),
                Err(TooLarge(16)),
                "{stream:?}"
            );
            let mut parser = Parser::new(16);
            let fed: Result<(), _> = stream
                .as_bytes()
                .chunks(1)
                .try_for_each(|byte| parser.feed(byte, |_| {}));
            assert_eq!(fed, Err(TooLarge(16)), "{stream:?}, byte by byte");
        }
        assert_eq!(
            Parser::new(16).feed(&b"data: 0123\n\n".repeat(100), |_| {}),
            Ok(())
        );
    }

    proptest! {
        #[test]
        fn any_cut_of_the_same_bytes_gives_the_same_events(
            lines in prop::collection::vec("(\u{feff})?(data|event|id|retry|:|x)?(: ?)?[a-c0-9\u{2028}é\0]{0,4}(\n|\r|\r\n){1,2}", 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let bytes = lines.concat().into_bytes();
            prop_assert_eq!(parse(&pieces(&bytes, &cuts)), parse(&[&bytes]));
        }

        #[test]
        fn any_bytes_at_all_are_read(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), any::<u8>()], 0..200),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            prop_assert_eq!(parse(&pieces(&bytes, &cuts)), parse(&[&bytes]));
        }

        #[test]
        fn what_is_written_reads_the_same(
            name in "[a-z]{1,6}",
            data in "[a-c\n\u{2028}: ]{0,12}",
            id in prop::option::of("[a-z0-9: ]{0,6}"),
            retry in prop::option::of(any::<u64>()),
        ) {
            let event = Event { name: &name, data: Cow::Borrowed(&data), id: id.as_deref(), has_own_id: id.is_some(), retry };
            let mut bytes = Vec::new();
            event.write(&mut bytes);
            prop_assert_eq!(parse(&[&bytes]), [known(&event)]);
        }
    }

    fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for place in places {
            chunks.push(&bytes[from..place]);
            from = place;
        }
        chunks.push(&bytes[from..]);
        chunks
    }
}
