//! Fuzzes the verification of webhooks: headers, bodies and secrets.

#![no_main]

use libfuzzer_sys::fuzz_target;
use webhook::{Key, Refusal, Webhook, Window, verify};

// Only what is tested is included: the crate's dependencies need not be built, and no other code is
// counted as covered.
#[path = "../../src/base64.rs"]
mod base64;
#[path = "../platform.rs"]
mod platform;
#[path = "../../src/webhook.rs"]
mod webhook;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fuzz_target!(|given: (&str, &[u8], &[u8], &[u8], &[u8], usize, u8)| {
    let (secret, id, timestamp, header, body, at, byte) = given;
    let _ = Key::parse(secret).map_err(|problem| problem.to_string());
    let Ok(key) = Key::parse(SECRET) else { return };
    let is_number =
        !timestamp.is_empty() && timestamp.iter().all(|byte| (b'0'..=b'9').contains(byte));
    let good = key.sign(id, timestamp, body).into_bytes();
    // A signature has exactly two valid encodings: with and without padding.
    let is_good = |entry: &[u8]| entry == good || Some(entry) == good.strip_suffix(b"=");
    let judge = |signatures: &[u8]| {
        verify(
            &[key.clone()],
            &Webhook {
                id,
                timestamp,
                signatures,
                body,
            },
            None,
        )
    };
    let expected = |signatures: &[u8]| match is_number {
        false => Err(Refusal::Timestamp),
        true if signatures.split(|byte| *byte == b' ').any(is_good) => Ok(()),
        true => Err(Refusal::Signature),
    };
    let mut changed = good.clone();
    let at = at % changed.len();
    changed[at] = byte;
    let mut inserted = good.clone();
    inserted.insert(at, byte);
    for signatures in [
        header,
        &good,
        &good[..at],
        &changed,
        &inserted,
        &[&good, header].concat(),
        &[header, &good].concat(),
    ] {
        assert_eq!(judge(signatures), expected(signatures));
    }
    for siblings in [
        [header, &good],
        [&good, header],
        [&changed, &good],
        [&good[..at], &good],
    ] {
        assert_eq!(judge(&siblings.join(&b' ')).is_ok(), is_number);
    }
    let window = Some(Window {
        now: at as u64,
        tolerance: byte.into(),
    });
    let webhook = Webhook {
        id,
        timestamp,
        signatures: &good,
        body,
    };
    let sent: Option<u64> = std::str::from_utf8(timestamp)
        .ok()
        .and_then(|digits| digits.parse().ok());
    let is_recent = is_number && sent.is_some_and(|sent| sent.abs_diff(at as u64) <= byte.into());
    assert_eq!(verify(&[key], &webhook, window).is_ok(), is_recent);
});
