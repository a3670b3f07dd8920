//! What servers say about when to come back, made up by libFuzzer.

#![no_main]
#![allow(dead_code, reason = "a target uses a part of the files that it includes")]

use std::time::{Duration, Instant};

use error::{Error, Kind};
use http::{HeaderValue, Method, header::RETRY_AFTER};
use libfuzzer_sys::fuzz_target;
use response::Response;
use retry::{Attempts, Budget, advice};

// The files themselves, and not the crate: nothing of what the crate needs has to be built.
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/response.rs"]
mod response;
#[path = "../../src/retry.rs"]
mod retry;

const LONGEST: Duration = Duration::from_secs(66);

fuzz_target!(|given: (&[u8], &str, u16, u8, bool, u64)| {
    let (header, detail, status, jitter, is_create, later) = given;
    let body = serde_json::json!({ "detail": detail, "status": status }).to_string();
    let text = std::str::from_utf8(header).ok();
    let _ = advice(text, text, body.as_bytes());
    let _ = advice(None, None, header);
    let mut response = Response::new(status, &body);
    if let Ok(value) = HeaderValue::from_bytes(header) {
        response.headers.insert(RETRY_AFTER, value);
    }
    let error = Error { sent: true, ..Error::new(Kind::Status(Box::new(response)), "") };
    let budget = Budget::default();
    let mut attempts = Attempts::new(if is_create { &Method::POST } else { &Method::GET }, 3);
    let waits: Vec<_> = std::iter::from_fn(|| attempts.after(&error, f64::from(jitter) / 255.0, &budget)).collect();
    assert!(waits.len() <= 3 && waits.iter().all(|wait| *wait <= LONGEST));
    // What was taken is paid for; only what was refused may be sent again.
    assert!(!is_create || status == 429 || waits.is_empty());
    if let Some(later) = Instant::now().checked_add(Duration::from_secs(later)) {
        assert!(budget.turn(later).is_some());
    }
});
