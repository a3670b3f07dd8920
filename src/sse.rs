//! Server-sent events: bytes in, events out.
//!
//! The rules are those of the WHATWG HTML standard, "Server-sent events", §9.2.6: lines end at CR, LF or CRLF; a blank line
//! dispatches; data lines are joined with LF; ids with NUL are ignored; an unfinished event at the end is dropped.
//!
//! Every byte is looked at once, however the input is cut: a line that has not ended is kept with the place up to which it was
//! searched.

use memchr::memchr2;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` where the stream names none.
    pub event: String,
    /// Its data lines, joined with LF.
    pub data: String,
    /// The last id seen on the stream, which the standard keeps from event to event.
    pub id: Option<String>,
    /// Milliseconds to wait before reconnecting, if this event said so.
    pub retry: Option<u64>,
}

/// One event grew over the limit, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge(pub usize);

/// An incremental parser of one stream.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    line: Vec<u8>,
    begun: bool,
    after_cr: bool,
    data: Vec<u8>,
    event: Vec<u8>,
    id: Option<String>,
    retry: Option<u64>,
}

impl Parser {
    /// A parser that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            begun: false,
            after_cr: false,
            data: Vec::new(),
            event: Vec::new(),
            id: None,
            retry: None,
        }
    }

    /// The last id seen, to resume the stream from.
    pub fn last_event_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Takes the next bytes and adds the events that they complete to `events`.
    pub fn feed(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), TooLarge> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let Some(rest) = bytes.strip_prefix(b"\n")
            {
                bytes = rest;
                continue;
            }
            let Some((line, rest)) = memchr2(b'\n', b'\r', bytes).and_then(|at| bytes.split_at_checked(at)) else {
                self.line.extend_from_slice(bytes);
                return self.check(self.line.len());
            };
            self.after_cr = rest.first() == Some(&b'\r');
            bytes = rest.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                self.end_of_line(line, events)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.end_of_line(&whole, events)?;
            }
        }
        Ok(())
    }

    fn check(&self, more: usize) -> Result<(), TooLarge> {
        if self.data.len().saturating_add(more) > self.limit { Err(TooLarge(self.limit)) } else { Ok(()) }
    }

    fn end_of_line(&mut self, mut line: &[u8], events: &mut Vec<Event>) -> Result<(), TooLarge> {
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(events);
            return Ok(());
        }
        let (field, value) = match memchr::memchr(b':', line).and_then(|at| line.split_at_checked(at)) {
            Some((field, rest)) => {
                let value = rest.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match field {
            b"data" => {
                self.check(value.len())?;
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => value.clone_into(&mut self.event),
            b"id" if !value.contains(&0) => self.id = Some(String::from_utf8_lossy(value).into_owned()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            }
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, events: &mut Vec<Event>) {
        if self.data.is_empty() {
            self.event.clear();
            return;
        }
        self.data.pop();
        let event = if self.event.is_empty() { "message".to_owned() } else { text(std::mem::take(&mut self.event)) };
        let data = text(std::mem::take(&mut self.data));
        events.push(Event { event, data, id: self.id.clone(), retry: self.retry.take() });
    }
}

/// UTF-8, with replacement characters where it is not.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(chunks: &[&[u8]]) -> Vec<(String, String, Option<String>)> {
        let (mut parser, mut events) = (Parser::new(1 << 20), Vec::new());
        for chunk in chunks {
            parser.feed(chunk, &mut events).unwrap();
        }
        events.into_iter().map(|each| (each.event, each.data, each.id)).collect()
    }

    fn event(name: &str, data: &str, id: Option<&str>) -> (String, String, Option<String>) {
        (name.into(), data.into(), id.map(Into::into))
    }

    #[test]
    fn the_documented_stream_is_read() {
        let stream = b": hi\n\nid: 1690212292:0\nevent: output\ndata: Once upon\n\nevent: done\ndata: {}\n\n";
        let expected = [event("output", "Once upon", Some("1690212292:0")), event("done", "{}", Some("1690212292:0"))];
        assert_eq!(parse(&[stream]), expected);
    }

    #[test]
    fn the_standard_is_kept_where_others_break() {
        for (stream, expected) in [
            ("\u{feff}event: a\ndata: 1\n\n", vec![event("a", "1", None)]),
            ("data: a\u{2028}b\u{85}c\u{b}\n\n", vec![event("message", "a\u{2028}b\u{85}c\u{b}", None)]),
            ("data\n\ndata\ndata\n\n", vec![event("message", "", None), event("message", "\n", None)]),
            ("data:  two\n\n", vec![event("message", " two", None)]),
            ("id: a\0b\ndata: x\n\n", vec![event("message", "x", None)]),
            ("event: x\n\ndata: y\n\n", vec![event("message", "y", None)]),
            ("data: a\r\ndata: b\rdata: c\n\r\n", vec![event("message", "a\nb\nc", None)]),
            ("data: unfinished\n", vec![]),
            ("Data: no\nfoo: bar\n: comment\ndata: yes\n\n", vec![event("message", "yes", None)]),
        ] {
            assert_eq!(parse(&[stream.as_bytes()]), expected, "{stream:?}");
        }
    }

    #[test]
    fn only_digits_set_the_retry_time() {
        let (mut parser, mut events) = (Parser::new(100), Vec::new());
        parser.feed(b"retry: 20\ndata: a\n\nretry: +5\nretry: 1.5\ndata: b\n\n", &mut events).unwrap();
        assert_eq!(events.iter().map(|each| each.retry).collect::<Vec<_>>(), [Some(20), None]);
    }

    #[test]
    fn an_event_over_the_limit_is_an_error() {
        let mut parser = Parser::new(16);
        assert_eq!(parser.feed(b"data: 0123456789abcdefg", &mut Vec::new()), Err(TooLarge(16)));
        let mut parser = Parser::new(16);
        assert_eq!(parser.feed(b"data: 01234567\ndata: 89abcdefg\n", &mut Vec::new()), Err(TooLarge(16)));
    }

    proptest! {
        #[test]
        fn any_cut_of_the_same_bytes_gives_the_same_events(
            lines in prop::collection::vec("(data|event|id|retry|:|x)?(: ?)?[a-c\u{2028}é]{0,4}(\n|\r|\r\n){1,2}", 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let bytes = lines.concat().into_bytes();
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for place in places {
                chunks.push(&bytes[from..place]);
                from = place;
            }
            chunks.push(&bytes[from..]);
            prop_assert_eq!(parse(&chunks), parse(&[&bytes]));
        }
    }
}
