//! Benchmarks of single modules that need no Python: `cargo bench --no-default-features`, with
//! `-- parser` to select some by name.

#[allow(dead_code, reason = "each bench uses a part")]
mod inputs;

use std::time::{Duration, Instant, SystemTime};

use _core::address::BaseUrl;
use _core::base64::BASE64;
use _core::files::data_uri::DataUri;
use _core::http::rate_limit::RateLimit;
use _core::predictions::pace::Pace;
use _core::retry::server_delay;
use _core::stream::resume::StreamPosition;
use _core::stream::sse::{Event, Parser};
use _core::webhook::{Key, Webhook, verify};
use base64::Engine;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use http::HeaderMap;
use inputs::{ID, SECRET, TIMESTAMP, parse, tokens};

/// The number of token events in a stream.
const EVENTS: usize = 1000;
/// The size of the content of the data URI, in bytes.
const CONTENT: usize = 64 << 10;

fn main() {
    divan::main();
}

#[divan::bench]
fn parser(bencher: Bencher) {
    let stream = tokens(EVENTS);
    bencher
        .counter(ItemsCount::new(EVENTS))
        .bench_local(|| parse(black_box(&stream)));
}

/// Serialising an event, as a relay does.
#[divan::bench]
fn event_written(bencher: Bencher) {
    let event = Event {
        name: "output",
        data: " token".into(),
        id: Some("1690212292:7"),
        has_own_id: true,
        retry: None,
    };
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        black_box(&event).write(&mut out);
        out.len()
    });
}

/// The position in a stream over one connection, and over two, of which the second repeats the
/// events of the first.
#[divan::bench(args = [1, 2])]
fn admit(bencher: Bencher, connections: usize) {
    let stream = tokens(EVENTS);
    bencher
        .counter(ItemsCount::new(EVENTS * connections))
        .bench_local(|| {
            let mut position = StreamPosition::default();
            for _ in 0..connections {
                position.connect();
                let fed = Parser::new(64 << 20).feed(black_box(&stream), |event| {
                    black_box(position.admit(&event));
                });
                black_box(fed.is_ok());
            }
            position.count()
        });
}

#[divan::bench]
fn webhook(bencher: Bencher) {
    let Ok(key) = Key::parse(SECRET) else { return };
    let body = vec![b'x'; 1 << 10];
    let header = key.sign(ID, TIMESTAMP, &body);
    let webhook = Webhook {
        id: ID,
        timestamp: TIMESTAMP,
        signatures: header.as_bytes(),
        body: &body,
    };
    bencher.bench_local(|| verify(std::slice::from_ref(&key), black_box(&webhook), None));
}

#[divan::bench]
fn delay_in_a_header() -> Option<Duration> {
    server_delay(black_box(Some("2")), None, black_box(b""))
}

#[divan::bench]
fn delay_as_a_date(bencher: Bencher) {
    let date = httpdate::fmt_http_date(SystemTime::now());
    bencher.bench_local(|| server_delay(black_box(Some(&date)), None, b""));
}

#[divan::bench]
fn delay_in_words() -> Option<Duration> {
    server_delay(None, None, black_box(br#"{"detail": "Request was throttled. Your rate limit resets in ~5s.", "status": 429}"#))
}

#[divan::bench]
fn data_uri(bencher: Bencher) {
    let uri = format!(
        "data:image/png;base64,{}",
        BASE64.encode(vec![b'x'; CONTENT])
    );
    bencher
        .counter(BytesCount::new(CONTENT))
        .bench_local(|| DataUri::parse(black_box(&uri)));
}

#[divan::bench]
fn url_join(bencher: Bencher) {
    let Ok(base) = BaseUrl::parse("https://api.replicate.com") else {
        return;
    };
    bencher.bench_local(|| {
        base.join(black_box([
            "predictions",
            "gm3qorzdhgbfurvjtvhg6dckhu",
            "cancel",
        ]))
    });
}

/// The poll interval of a prediction, by the number of predictions that are waited for.
#[divan::bench(args = [1, 300])]
fn pace_interval(bencher: Bencher, waiting: usize) {
    let pace = Pace::default();
    let names: Vec<_> = (0..waiting).map(|n| n.to_string()).collect();
    let _turns: Vec<_> = names.iter().map(|name| pace.join(name)).collect();
    bencher.bench_local(|| pace.interval(black_box(Duration::from_secs(5)), None, 0.5));
}

#[divan::bench]
fn rate_limit_update(bencher: Bencher) {
    let (limit, now, mut headers) = (RateLimit::default(), Instant::now(), HeaderMap::new());
    for (name, value) in [("ratelimit-remaining", "2999"), ("ratelimit-reset", "1")] {
        headers.insert(name, http::HeaderValue::from_static(value));
    }
    bencher.bench_local(|| limit.update(black_box(&headers), now));
}
