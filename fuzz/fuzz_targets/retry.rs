//! Fuzzes the retry delays that servers ask for, in headers and in bodies.

#![no_main]
#![allow(
    dead_code,
    reason = "a target uses a part of the files that it includes"
)]

use std::time::{Duration, Instant};

use error::Error;
use http::{HeaderValue, Method, header::RETRY_AFTER};
use libfuzzer_sys::fuzz_target;
use response::Response;
use retry::{Attempts, Budget, MAX_THROTTLED, server_delay};

// Only these files are included, so that the crate's dependencies need not be built.
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/lock.rs"]
mod lock;
#[path = "../../src/response.rs"]
mod response;
#[path = "../../src/retry.rs"]
mod retry;

const MAX_DELAY: Duration = Duration::from_secs(66);
/// Without a delay of the server, and with a jitter of 0, no time is waited.
const MAX_ATTEMPTS: usize = 1000;

fuzz_target!(|given: (&[u8], &str, u16, u8, bool, u64)| {
    let (header, detail, status, jitter, is_create, later) = given;
    let body = serde_json::json!({ "detail": detail, "status": status }).to_string();
    let text = std::str::from_utf8(header).ok();
    let _ = server_delay(text, text, body.as_bytes());
    let _ = server_delay(None, None, header);
    let mut response = Response::new(status, &body);
    if let Ok(value) = HeaderValue::from_bytes(header) {
        response.headers.insert(RETRY_AFTER, value);
    }
    let error = Error::status(response);
    let budget = Budget::default();
    let mut attempts = Attempts::new(
        if is_create {
            &Method::POST
        } else {
            &Method::GET
        },
        3,
    );
    let waits: Vec<_> =
        std::iter::from_fn(|| attempts.next_delay(&error, f64::from(jitter) / 255.0, &budget))
            .take(MAX_ATTEMPTS)
            .collect();
    assert!(waits.iter().all(|wait| *wait <= MAX_DELAY));
    // A 429 uses up no retries, but the time that a call waits for it is limited.
    if status == 429 {
        assert!(waits.iter().sum::<Duration>() <= MAX_THROTTLED);
    } else {
        assert!(waits.len() <= 3);
    }
    // A create request that was accepted costs money: only a refused one (429) is repeated.
    assert!(!is_create || status == 429 || waits.is_empty());
    if let Some(later) = Instant::now().checked_add(Duration::from_secs(later)) {
        assert!(budget.take(later).is_some());
    }
});
