//! Predictions that differ: each has an id of its own, and an output that shows which input it was
//! created for.

use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem;

use crate::BODY;

/// What is replaced in `prediction.json`.
const ID: &str = "gm3qorzdhgbfurvjtvhg6dckhu";
const OUTPUT: &str = "hello Alice";

/// The name of the input's text in the body of a request.
const NAME: &[u8] = b"\"prompt\":";

static CREATED: AtomicU64 = AtomicU64::new(0);

/// Return how many predictions were created.
pub fn created() -> u64 {
    CREATED.load(Ordering::Relaxed)
}

/// Create a prediction for the body of a request.
pub fn prediction(body: &[u8]) -> String {
    let number = CREATED.fetch_add(1, Ordering::Relaxed) + 1;
    let width = ID.len();
    BODY.trim_end()
        .replace(ID, &format!("{number:0width$}"))
        .replacen(OUTPUT, &prompt(body).unwrap_or_default(), 1)
}

/// Return the input's text, without its quotes. It must contain none.
fn prompt(body: &[u8]) -> Option<String> {
    let (_, rest) = body.split_at_checked(memmem::find(body, NAME)? + NAME.len())?;
    let text = rest.trim_ascii_start().strip_prefix(b"\"")?;
    let (text, _) = text.split_at_checked(memchr::memchr(b'"', text)?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}
