//! Measures the verification of webhooks without Python, and prints one JSON object on one line:
//! microseconds by the size of the body.
//!
//! With the argument `hmac-sha256`, it uses that crate instead of the core's hash, to review the
//! choice when new versions appear.

#[allow(dead_code, reason = "each bench uses a part")]
mod inputs;

use std::hint::black_box;
use std::time::{Duration, Instant};

use _core::webhook::{Key, Webhook, verify};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac_sha256::HMAC;
use inputs::{ID, SECRET, TIMESTAMP};

const SIZES: [(&str, usize); 4] = [
    ("1 KB", 1 << 10),
    ("10 KB", 10 << 10),
    ("100 KB", 100 << 10),
    ("1 MB", 1 << 20),
];
const BLOCKS: usize = 101;
const BLOCK: Duration = Duration::from_millis(1);

/// Verify a webhook with the core.
fn ours(key: &Key, webhook: &Webhook<'_>) -> bool {
    verify(std::slice::from_ref(key), webhook, None).is_ok()
}

/// Verify a webhook with the crate `hmac-sha256`.
fn other(key: &HMAC, webhook: &Webhook<'_>) -> bool {
    let mut mac = key.clone();
    for part in [webhook.id, b".", webhook.timestamp, b".", webhook.body] {
        mac.update(part);
    }
    // The decoder needs space for whole groups of three bytes; a digest has 32 bytes.
    let mut bytes = [0; 33];
    let entries = webhook
        .signatures
        .split(|byte| *byte == b' ')
        .filter_map(|entry| entry.strip_prefix(b"v1,"));
    let expected = mac.finalize();
    for entry in entries {
        let length = STANDARD.decode_slice(entry, &mut bytes).unwrap_or_default();
        let given = bytes.get(..length).unwrap_or_default();
        let differences = given
            .iter()
            .zip(expected)
            .fold(0, |sum, (left, right)| sum | (left ^ right));
        if given.len() == expected.len() && black_box(differences) == 0 {
            return true;
        }
    }
    false
}

/// Return the median time of one verification in microseconds; None if its results are wrong.
fn median(size: usize, key: &Key, genuine: &dyn Fn(&Webhook<'_>) -> bool) -> Option<f64> {
    let body = vec![b'x'; size];
    let mut changed = body.clone();
    *changed.get_mut(size / 2)? ^= 1;
    let header = key.sign(ID, TIMESTAMP, &body);
    let webhook = Webhook {
        id: ID,
        timestamp: TIMESTAMP,
        signatures: header.as_bytes(),
        body: &body,
    };
    if !genuine(&webhook)
        || genuine(&Webhook {
            body: &changed,
            ..webhook
        })
    {
        return None;
    }
    let block = |checks: u32| {
        let start = Instant::now();
        for _ in 0..checks {
            black_box(genuine(black_box(&webhook)));
        }
        start.elapsed()
    };
    let mut checks = 1;
    while block(checks) < BLOCK {
        checks *= 2;
    }
    let mut times: Vec<_> = (0..BLOCKS).map(|_| block(checks)).collect();
    times.sort_unstable();
    Some(times.get(BLOCKS / 2)?.as_secs_f64() * 1e6 / f64::from(checks))
}

fn main() {
    let Ok(key) = Key::parse(SECRET) else { return };
    let theirs = HMAC::new(
        STANDARD
            .decode(SECRET.trim_start_matches("whsec_"))
            .unwrap_or_default(),
    );
    let genuine: Box<dyn Fn(&Webhook<'_>) -> bool> = match std::env::args().nth(1).as_deref() {
        Some("hmac-sha256") => Box::new(|webhook| other(&theirs, webhook)),
        _ => Box::new(|webhook| ours(&key, webhook)),
    };
    let found: Option<Vec<_>> = SIZES
        .into_iter()
        .map(|(name, size)| Some(format!("\"{name}\": {:.4}", median(size, &key, &*genuine)?)))
        .collect();
    match found {
        Some(found) => println!("{{{}}}", found.join(", ")),
        None => println!("{{\"error\": \"a verdict was wrong\"}}"),
    }
}
