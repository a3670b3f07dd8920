//! Resuming a stream of events: which events of the next connection are new.
//!
//! The server is asked to resume after the last id (`Last-Event-ID`). The events that follow show
//! whether it did: the next number after the last id; or the stream from its beginning, whose known
//! part is skipped and must be the same. Anything else may have a gap, and none of it is returned.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::sse::{Event, split_lines};
use crate::retry::{MAX_SERVER_DELAY, backoff};

/// How an event relates to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one.
    New,
    /// It was received before.
    Known,
    /// Events may be missing before it.
    Unproven,
}

/// The event that ended a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The prediction succeeded or was canceled, as the data show.
    Done,
    /// The prediction failed.
    Error,
}

/// The position in a stream of events, over all of its connections.
#[derive(Clone, Debug, Default)]
pub struct StreamPosition {
    count: u64,
    first_id: Option<String>,
    last_id: Option<String>,
    /// Whether an id occurred twice, which makes ids useless.
    has_repeated_id: bool,
    /// Events without an id since the last one with an id.
    after_last_id: u64,
    retry: Option<Duration>,
    output: SeenText,
    logs: SeenText,
    end: Option<(End, String)>,
    state: ConnectionState,
}

/// The state of the current connection.
#[derive(Clone, Debug, Default)]
enum ConnectionState {
    /// Its events follow the known ones.
    #[default]
    InSync,
    /// It has sent no event.
    Unknown,
    /// It started from the beginning and has not reached the last id: the number of its events, and
    /// their output.
    Replaying(u64, SeenText),
    /// It has reached the last id, and this number of known events follow.
    CatchingUp(u64),
}

impl StreamPosition {
    /// Return how many events were received.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Return the id to resume after, if ids can be used.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_id
            .as_deref()
            .filter(|id| !id.is_empty() && !self.has_repeated_id)
    }

    /// Return the event that ended the stream, and its data.
    pub fn end(&self) -> Option<(End, &str)> {
        self.end.as_ref().map(|(end, data)| (*end, &**data))
    }

    /// Return how long to wait before the next connection, after this number of connections without
    /// a new event; None if the server asks for too long a wait.
    pub fn reconnect_delay(&self, failures: u32, jitter: f64) -> Option<Duration> {
        let delay = backoff(failures, jitter);
        match self.retry {
            Some(retry) if retry > MAX_SERVER_DELAY => None,
            Some(retry) => Some(delay.max(retry)),
            None => Some(delay),
        }
    }

    /// Note a new connection.
    pub fn connect(&mut self) {
        self.state = if self.count == 0 {
            ConnectionState::InSync
        } else {
            ConnectionState::Unknown
        };
    }

    /// Note the end of a connection, and its last `retry` field in milliseconds.
    pub fn disconnect(&mut self, retry: Option<u64>) {
        self.retry = retry.map(Duration::from_millis).or(self.retry);
    }

    /// Judge an event, and record it if it is new.
    pub fn admit(&mut self, event: &Event<'_>) -> Verdict {
        if let ConnectionState::InSync = self.state {
            self.record(event);
            return Verdict::New;
        }
        let verdict = self.judge(event);
        match verdict {
            Verdict::New => {
                self.state = ConnectionState::InSync;
                self.record(event);
            }
            Verdict::Known => {}
            Verdict::Unproven => self.state = ConnectionState::Unknown,
        }
        verdict
    }

    fn judge(&mut self, event: &Event<'_>) -> Verdict {
        let id = event.id.filter(|_| event.has_own_id);
        match &mut self.state {
            ConnectionState::InSync | ConnectionState::CatchingUp(0) => Verdict::New,
            ConnectionState::Unknown => match (id, self.last_event_id()) {
                (Some(id), Some(last)) if follows(last, id) => Verdict::New,
                (Some(id), Some(last)) if id == last && Some(id) != self.first_id.as_deref() => {
                    self.catch_up(self.after_last_id)
                }
                (Some(id), Some(_)) if Some(id) != self.first_id.as_deref() => Verdict::Unproven,
                (None, Some(_)) => Verdict::Unproven,
                _ => self.replay(event, 0, SeenText::default()),
            },
            ConnectionState::Replaying(count, seen) => {
                let (count, seen) = (*count, std::mem::take(seen));
                self.replay(event, count, seen)
            }
            ConnectionState::CatchingUp(_) if id.is_some() => Verdict::Unproven,
            ConnectionState::CatchingUp(left) => {
                *left = left.saturating_sub(1);
                Verdict::Known
            }
        }
    }

    /// Judge an event of a connection that started from the beginning.
    fn replay(&mut self, event: &Event<'_>, count: u64, mut seen: SeenText) -> Verdict {
        let count = count.saturating_add(1);
        match event.name {
            "output" => seen.add(&event.data),
            // The stream ended before it reached the position.
            "done" | "error" => return Verdict::Unproven,
            _ => {}
        }
        let (is_last, known_after) = match self.last_event_id() {
            Some(last) => (
                event.has_own_id && event.id == Some(last),
                self.after_last_id,
            ),
            None => (count == self.count, 0),
        };
        if !is_last {
            self.state = ConnectionState::Replaying(count, seen);
            return Verdict::Known;
        }
        // With known events to follow, `seen` is not the whole output yet.
        if known_after == 0 && seen.digest() != self.output.digest() {
            return Verdict::Unproven;
        }
        self.catch_up(known_after)
    }

    fn catch_up(&mut self, known: u64) -> Verdict {
        self.state = ConnectionState::CatchingUp(known);
        Verdict::Known
    }

    fn record(&mut self, event: &Event<'_>) {
        self.count = self.count.saturating_add(1);
        if let Some(id) = event.id.filter(|_| event.has_own_id) {
            self.has_repeated_id |= Some(id) == self.last_id.as_deref();
            self.first_id.get_or_insert_with(|| id.to_owned());
            let last = self.last_id.get_or_insert_default();
            last.clear();
            last.push_str(id);
            self.after_last_id = 0;
        } else {
            self.after_last_id = self.after_last_id.saturating_add(1);
        }
        match event.name {
            "output" => self.output.add(&event.data),
            "logs" => self.logs.add(&event.data),
            "done" => self.end = Some((End::Done, event.data.to_string())),
            "error" => self.end = Some((End::Error, event.data.to_string())),
            _ => {}
        }
    }

    /// Return the rest of a prediction's output after the received part, and record it; None if the
    /// output begins differently.
    pub fn rest_of_output(&mut self, items: &[&str]) -> Option<Vec<String>> {
        self.output.take_rest(items)
    }

    /// Return the rest of the logs in the same way. None too if the stream had no logs: some
    /// streams have none.
    pub fn rest_of_logs(&mut self, logs: &str) -> Option<String> {
        if self.logs.bytes == 0 {
            return None;
        }
        self.logs.take_rest(&[logs])?.pop()
    }
}

/// A text that was received in parts: its length in bytes, and its digest.
#[derive(Clone, Debug, Default)]
struct SeenText {
    bytes: usize,
    digest: Sha256,
}

impl SeenText {
    fn add(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len());
        self.digest.update(text);
    }

    fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    /// Return what the parts of the whole text have beyond the seen text, and add it.
    fn take_rest(&mut self, items: &[&str]) -> Option<Vec<String>> {
        let (mut known, mut rest) = (Self::default(), Vec::new());
        for item in items {
            // A stream has LF where the text may have CR or CRLF.
            let item = split_lines(item).collect::<Vec<_>>().join("\n");
            let left = self.bytes.saturating_sub(known.bytes);
            let (old, new) = item.split_at_checked(left.min(item.len()))?;
            known.add(old);
            if !new.is_empty() {
                rest.push(new.to_owned());
            }
        }
        if known.bytes != self.bytes || known.digest() != self.digest() {
            return None;
        }
        rest.iter().for_each(|text| self.add(text));
        Some(rest)
    }
}

/// Return whether an id is the next number after another: `5:7` after `5:6`.
fn follows(last: &str, id: &str) -> bool {
    let ((prefix, number), (next_prefix, next)) = (split_number(last), split_number(id));
    prefix == next_prefix
        && next.is_some()
        && number.and_then(|number| number.checked_add(1)) == next
}

fn split_number(id: &str) -> (&str, Option<u64>) {
    let prefix = id.trim_end_matches(|each: char| each.is_ascii_digit());
    (
        prefix,
        id.get(prefix.len()..)
            .and_then(|digits| digits.parse().ok()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An event as a test writes it: its name, its data, its id.
    type Told = (&'static str, &'static str, Option<&'static str>);

    const STREAM: [Told; 4] = [
        ("output", "a", Some("5:0")),
        ("logs", "l", Some("5:1")),
        ("output", "b", Some("5:2")),
        ("done", "{}", None),
    ];

    fn event<'a>(&(name, data, id): &'a Told) -> Event<'a> {
        Event {
            name,
            data: data.into(),
            id,
            has_own_id: id.is_some(),
            retry: None,
        }
    }

    /// The position after some events, and a new connection.
    fn after(events: &[Told]) -> StreamPosition {
        let mut position = StreamPosition::default();
        position.connect();
        assert!(
            events
                .iter()
                .all(|each| position.admit(&event(each)) == Verdict::New)
        );
        position.disconnect(None);
        position.connect();
        position
    }

    fn verdicts(position: &mut StreamPosition, events: &[Told]) -> Vec<Verdict> {
        events
            .iter()
            .map(|each| position.admit(&event(each)))
            .collect()
    }

    use Verdict::{Known, New, Unproven};

    #[test]
    fn a_server_that_resumes_is_believed_by_its_numbers() {
        assert_eq!(verdicts(&mut after(&STREAM[..2]), &STREAM[2..]), [New, New]);
    }

    #[test]
    fn a_server_that_begins_anew_is_believed_when_it_gives_the_same() {
        assert_eq!(
            verdicts(&mut after(&STREAM[..2]), &STREAM),
            [Known, Known, New, New]
        );
        assert_eq!(
            verdicts(&mut after(&STREAM[..1]), &STREAM),
            [Known, New, New, New]
        );
        let another = [
            ("output", "x", Some("5:0")),
            ("logs", "l", Some("5:1")),
            ("output", "b", Some("5:2")),
        ];
        assert_eq!(
            verdicts(&mut after(&STREAM[..2]), &another)[..2],
            [Known, Unproven]
        );
    }

    #[test]
    fn a_server_that_leaves_something_out_is_not_believed() {
        assert_eq!(
            verdicts(&mut after(&STREAM[..1]), &STREAM[2..3]),
            [Unproven]
        );
        assert_eq!(
            verdicts(&mut after(&STREAM[..3]), &STREAM[3..]),
            [Unproven],
            "done has no number"
        );
        assert_eq!(
            verdicts(&mut after(&STREAM[..2]), &[STREAM[0], STREAM[3]]),
            [Known, Unproven]
        );
    }

    #[test]
    fn without_ids_only_a_server_that_begins_anew_is_believed() {
        for (one, two) in [(None, None), (Some("1"), Some("1")), (Some("1"), Some(""))] {
            let stream = [
                ("output", "a", one),
                ("output", "b", two),
                ("output", "c", None),
            ];
            assert_eq!(after(&stream[..2]).last_event_id(), None);
            assert_eq!(
                verdicts(&mut after(&stream[..2]), &stream),
                [Known, Known, New]
            );
            assert_eq!(
                verdicts(&mut after(&stream[..2]), &[stream[2], stream[2]]),
                [Known, Unproven]
            );
            assert_eq!(
                verdicts(&mut after(&stream[..2]), &[stream[0], STREAM[3]]),
                [Known, Unproven]
            );
        }
    }

    #[test]
    fn events_without_an_id_belong_to_the_one_before() {
        let stream = [
            ("output", "a", Some("1")),
            ("output", "b", None),
            ("output", "c", None),
            ("output", "d", Some("2")),
        ];
        assert_eq!(
            verdicts(&mut after(&stream[..2]), &stream),
            [Known, Known, New, New]
        );
        assert_eq!(
            verdicts(&mut after(&stream[..3]), &[stream[0], stream[3]]),
            [Known, Unproven]
        );
    }

    #[test]
    fn a_server_that_repeats_the_last_event_is_believed_by_its_id() {
        assert_eq!(
            verdicts(&mut after(&STREAM[..3]), &STREAM[2..]),
            [Known, New]
        );
        // If the last event was also the first, the stream may have restarted, and must repeat the
        // same event.
        assert_eq!(
            verdicts(&mut after(&STREAM[..1]), &[("output", "x", Some("5:0"))]),
            [Unproven]
        );
    }

    #[test]
    fn an_event_without_an_id_proves_nothing_after_one_with_an_id() {
        assert_eq!(
            verdicts(&mut after(&STREAM[..1]), &[("output", "b", None)]),
            [Unproven]
        );
    }

    #[test]
    fn the_end_is_noted() {
        let position = after(&STREAM);
        assert_eq!(
            (position.count(), position.last_event_id()),
            (4, Some("5:2"))
        );
        assert_eq!(position.end(), Some((End::Done, "{}")));
        assert_eq!(
            after(&[STREAM[0], ("error", "no memory", None)]).end(),
            Some((End::Error, "no memory"))
        );
    }

    #[test]
    fn the_rest_of_an_output_is_what_follows_what_was_given() {
        let rest = |items: &[&str]| after(&STREAM).rest_of_output(items);
        assert_eq!(
            rest(&["a", "b", "c", "d"]),
            Some(vec!["c".to_owned(), "d".to_owned()])
        );
        assert_eq!(rest(&["abcd"]), Some(vec!["cd".to_owned()]));
        assert_eq!(rest(&["ab"]), Some(vec![]));
        assert_eq!(rest(&["a"]), None);
        assert_eq!(rest(&["ax", "b"]), None);
        assert_eq!(
            StreamPosition::default().rest_of_output(&["é"]),
            Some(vec!["é".to_owned()])
        );
        let mut position = after(&STREAM);
        assert!(position.rest_of_output(&["ab\r\nc"]).is_some());
        assert_eq!(
            position.rest_of_output(&["ab\r\nc", "d"]),
            Some(vec!["d".to_owned()])
        );
    }

    #[test]
    fn the_rest_of_the_logs_is_what_follows_what_was_given() {
        let rest = |logs: &str| after(&STREAM).rest_of_logs(logs);
        assert_eq!(rest("l and more"), Some(" and more".to_owned()));
        assert_eq!(rest("l"), None);
        assert_eq!(rest("x and more"), None);
        assert_eq!(
            after(&STREAM[..1]).rest_of_logs("l"),
            None,
            "the stream has none"
        );
    }

    #[test]
    fn a_server_s_retry_is_the_least_that_is_waited() {
        let mut position = StreamPosition::default();
        assert!(
            position
                .reconnect_delay(0, 1.0)
                .is_some_and(|wait| wait < Duration::from_secs(1))
        );
        position.disconnect(Some(3_000));
        assert_eq!(
            position.reconnect_delay(0, 0.0),
            Some(Duration::from_secs(3))
        );
        position.disconnect(Some(60_000));
        assert_eq!(position.reconnect_delay(0, 0.0), Some(MAX_SERVER_DELAY));
        position.disconnect(Some(60_001));
        assert_eq!(position.reconnect_delay(0, 0.0), None);
    }

    proptest! {
        #[test]
        fn wherever_a_stream_is_cut_the_whole_is_given_once(
            length in 1..20_usize, cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..5),
        ) {
            let texts: Vec<_> = (0..length).map(|n| (n.to_string(), format!("9:{n}"))).collect();
            let all: Vec<_> = texts.iter()
                .map(|(data, id)| Event { name: "output", data: data.into(), id: Some(id), has_own_id: true, retry: None })
                .collect();
            let (mut position, mut given) = (StreamPosition::default(), Vec::new());
            for (cut, anew) in cuts.iter().map(|(cut, anew)| (cut.index(length + 1), *anew)).chain([(length, false)]) {
                position.connect();
                let from = if anew { 0 } else { given.len() };
                for event in all.get(from..cut.max(from)).unwrap_or_default() {
                    match position.admit(event) {
                        New => given.push(event.clone()),
                        Known => {}
                        Unproven => prop_assert!(false, "{event:?} was not believed"),
                    }
                }
                position.disconnect(None);
            }
            prop_assert_eq!(given, all);
        }

        #[test]
        fn any_text_has_a_rest_after_any_part(text in "[a-c\né]{0,20}", at in any::<prop::sample::Index>()) {
            let at = text.char_indices().map(|(start, _)| start).nth(at.index(text.chars().count() + 1)).unwrap_or(text.len());
            let mut seen = SeenText::default();
            seen.add(&text[..at]);
            prop_assert_eq!(seen.take_rest(&[&text]).map(|rest| rest.concat()), Some(text[at..].to_owned()));
        }
    }
}
