//! A stream that broke off goes on where it was: which events of the next connection are new.
//!
//! A server is asked to resume after the last id (`Last-Event-ID`). Whether it did is told by what follows: the next number after
//! the last one; or the stream from its beginning, of which the known part is skipped and must prove to be the same. Anything else
//! may have left something out, and nothing of it is given.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::retry::{LONGEST_ADVICE, backoff};
use crate::stream::sse::{Event, lines};

/// What is known of an event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It comes next.
    New,
    /// It came before.
    Known,
    /// Something may be missing before it.
    Unproven,
}

/// How a stream ends by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All is there, or the prediction was canceled: its data tell which.
    Done,
    /// The prediction failed.
    Error,
}

/// How far a stream has come, over all of its connections.
#[derive(Clone, Debug, Default)]
pub struct Place {
    count: u64,
    first: Option<String>,
    last: Option<String>,
    /// Whether an id came twice: then none is of use.
    repeated: bool,
    /// Events since the one with the last id, which have none of their own.
    after_last: u64,
    retry: Option<Duration>,
    output: Seen,
    logs: Seen,
    end: Option<(End, String)>,
    standing: Standing,
}

/// What is known of the present connection.
#[derive(Clone, Debug, Default)]
enum Standing {
    /// It goes on where the last one ended.
    #[default]
    Proven,
    /// Its first event will tell.
    Asked,
    /// It began anew, and has not come to the last id; how many events it gave, and what output.
    Replayed(u64, Seen),
    /// It came to the last id; so many events follow which are known too.
    CatchingUp(u64),
}

impl Place {
    /// How many events were given.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The id to resume after, if there is one that is of use.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last
            .as_deref()
            .filter(|id| !id.is_empty() && !self.repeated)
    }

    /// How the stream ended, and the data of the event that said so.
    pub fn end(&self) -> Option<(End, &str)> {
        self.end.as_ref().map(|(end, data)| (*end, &**data))
    }

    /// How long to wait before connecting again, after so many connections that brought nothing; None if the server wants no
    /// other before long.
    pub fn pause(&self, failures: u32, jitter: f64) -> Option<Duration> {
        let wait = backoff(failures, jitter);
        self.retry.map_or(Some(wait), |retry| {
            (retry <= LONGEST_ADVICE).then(|| wait.max(retry))
        })
    }

    /// A connection is made.
    pub fn connect(&mut self) {
        self.standing = if self.count == 0 {
            Standing::Proven
        } else {
            Standing::Asked
        };
    }

    /// A connection is over; `retry` is the last that the server said of reconnecting, in milliseconds.
    pub fn disconnect(&mut self, retry: Option<u64>) {
        self.retry = retry.map(Duration::from_millis).or(self.retry);
    }

    /// Judges an event, and takes note of it if it is new.
    pub fn admit(&mut self, event: &Event<'_>) -> Verdict {
        if let Standing::Proven = self.standing {
            self.give(event);
            return Verdict::New;
        }
        let verdict = self.judge(event);
        match verdict {
            Verdict::New => {
                self.standing = Standing::Proven;
                self.give(event);
            }
            Verdict::Known => {}
            Verdict::Unproven => self.standing = Standing::Asked,
        }
        verdict
    }

    fn judge(&mut self, event: &Event<'_>) -> Verdict {
        let id = event.id.filter(|_| event.has_own_id);
        match &mut self.standing {
            Standing::Proven | Standing::CatchingUp(0) => Verdict::New,
            Standing::Asked => match (id, self.last_event_id()) {
                (Some(id), Some(last)) if follows(last, id) => Verdict::New,
                (Some(id), Some(last)) if id == last && Some(id) != self.first.as_deref() => {
                    self.caught_up(self.after_last)
                }
                (Some(id), Some(_)) if Some(id) != self.first.as_deref() => Verdict::Unproven,
                (None, Some(_)) => Verdict::Unproven,
                _ => self.replayed(event, 0, Seen::default()),
            },
            Standing::Replayed(count, seen) => {
                let (count, seen) = (*count, std::mem::take(seen));
                self.replayed(event, count, seen)
            }
            Standing::CatchingUp(_) if id.is_some() => Verdict::Unproven,
            Standing::CatchingUp(left) => {
                *left = left.saturating_sub(1);
                Verdict::Known
            }
        }
    }

    /// An event of a stream that began anew, which gave so much before it.
    fn replayed(&mut self, event: &Event<'_>, count: u64, mut seen: Seen) -> Verdict {
        let count = count.saturating_add(1);
        match event.name {
            "output" => seen.add(&event.data),
            // It ended before it came to where this one was.
            "done" | "error" => return Verdict::Unproven,
            _ => {}
        }
        let (is_last, more) = match self.last_event_id() {
            Some(last) => (event.has_own_id && event.id == Some(last), self.after_last),
            None => (count == self.count, 0),
        };
        if !is_last {
            self.standing = Standing::Replayed(count, seen);
            return Verdict::Known;
        }
        // Further outputs, without ids of their own, are not in it yet.
        if more == 0 && seen.digest() != self.output.digest() {
            return Verdict::Unproven;
        }
        self.caught_up(more)
    }

    fn caught_up(&mut self, more: u64) -> Verdict {
        self.standing = Standing::CatchingUp(more);
        Verdict::Known
    }

    fn give(&mut self, event: &Event<'_>) {
        self.count = self.count.saturating_add(1);
        if let Some(id) = event.id.filter(|_| event.has_own_id) {
            self.repeated |= Some(id) == self.last.as_deref();
            self.first.get_or_insert_with(|| id.to_owned());
            let last = self.last.get_or_insert_default();
            last.clear();
            last.push_str(id);
            self.after_last = 0;
        } else {
            self.after_last = self.after_last.saturating_add(1);
        }
        match event.name {
            "output" => self.output.add(&event.data),
            "logs" => self.logs.add(&event.data),
            "done" => self.end = Some((End::Done, event.data.to_string())),
            "error" => self.end = Some((End::Error, event.data.to_string())),
            _ => {}
        }
    }

    /// What an output, given as the prediction has it, has more than was given; None if what was given is not its beginning.
    pub fn rest_of_output(&mut self, items: &[&str]) -> Option<Vec<String>> {
        self.output.rest(items)
    }

    /// The same of its logs; nothing if the stream had none so far, which is how some streams are.
    pub fn rest_of_logs(&mut self, logs: &str) -> Option<String> {
        if self.logs.bytes == 0 {
            return None;
        }
        self.logs.rest(&[logs])?.pop()
    }
}

/// A text that was seen in parts: its length in bytes, and a digest.
#[derive(Clone, Debug, Default)]
struct Seen {
    bytes: usize,
    digest: Sha256,
}

impl Seen {
    fn add(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len());
        self.digest.update(text);
    }

    fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    /// What the parts of a whole have beyond what was seen, which it then was too.
    fn rest(&mut self, items: &[&str]) -> Option<Vec<String>> {
        let (mut known, mut rest) = (Self::default(), Vec::new());
        for item in items {
            // Streams have their own line ends.
            let item = lines(item).collect::<Vec<_>>().join("\n");
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

/// Whether an id is the next number after another: `5:7` after `5:6`.
fn follows(last: &str, id: &str) -> bool {
    let ((before, number), (same, next)) = (numbered(last), numbered(id));
    before == same && next.is_some() && number.and_then(|number| number.checked_add(1)) == next
}

fn numbered(id: &str) -> (&str, Option<u64>) {
    let before = id.trim_end_matches(|each: char| each.is_ascii_digit());
    (
        before,
        id.get(before.len()..)
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

    /// A place after some events, and a new connection.
    fn after(events: &[Told]) -> Place {
        let mut place = Place::default();
        place.connect();
        assert!(
            events
                .iter()
                .all(|each| place.admit(&event(each)) == Verdict::New)
        );
        place.disconnect(None);
        place.connect();
        place
    }

    fn verdicts(place: &mut Place, events: &[Told]) -> Vec<Verdict> {
        events
            .iter()
            .map(|each| place.admit(&event(each)))
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
        // An event that is also the first one may begin the stream anew, and has to be the same.
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
        let place = after(&STREAM);
        assert_eq!((place.count(), place.last_event_id()), (4, Some("5:2")));
        assert_eq!(place.end(), Some((End::Done, "{}")));
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
            Place::default().rest_of_output(&["é"]),
            Some(vec!["é".to_owned()])
        );
        let mut place = after(&STREAM);
        assert!(place.rest_of_output(&["ab\r\nc"]).is_some());
        assert_eq!(
            place.rest_of_output(&["ab\r\nc", "d"]),
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
        let mut place = Place::default();
        assert!(
            place
                .pause(0, 1.0)
                .is_some_and(|wait| wait < Duration::from_secs(1))
        );
        place.disconnect(Some(3_000));
        assert_eq!(place.pause(0, 0.0), Some(Duration::from_secs(3)));
        place.disconnect(Some(60_000));
        assert_eq!(place.pause(0, 0.0), Some(LONGEST_ADVICE));
        place.disconnect(Some(60_001));
        assert_eq!(place.pause(0, 0.0), None);
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
            let (mut place, mut given) = (Place::default(), Vec::new());
            for (cut, anew) in cuts.iter().map(|(cut, anew)| (cut.index(length + 1), *anew)).chain([(length, false)]) {
                place.connect();
                let from = if anew { 0 } else { given.len() };
                for event in all.get(from..cut.max(from)).unwrap_or_default() {
                    match place.admit(event) {
                        New => given.push(event.clone()),
                        Known => {}
                        Unproven => prop_assert!(false, "{event:?} was not believed"),
                    }
                }
                place.disconnect(None);
            }
            prop_assert_eq!(given, all);
        }

        #[test]
        fn any_text_has_a_rest_after_any_part(text in "[a-c\né]{0,20}", at in any::<prop::sample::Index>()) {
            let at = text.char_indices().map(|(place, _)| place).nth(at.index(text.chars().count() + 1)).unwrap_or(text.len());
            let mut seen = Seen::default();
            seen.add(&text[..at]);
            prop_assert_eq!(seen.rest(&[&text]).map(|rest| rest.concat()), Some(text[at..].to_owned()));
        }
    }
}
