//! Webhook signatures for Python.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::webhook::{Key, Refusal};

/// None if one of the secrets signed this webhook, else why not: "secret", "timestamp", "signature" or "tolerance".
#[pyfunction]
#[pyo3(signature = (secrets, id, timestamp, signature, body, tolerance))]
pub fn verify_webhook(
    secrets: Vec<String>,
    id: PyBackedBytes,
    timestamp: PyBackedBytes,
    signature: PyBackedBytes,
    body: PyBackedBytes,
    tolerance: Option<u64>,
) -> Option<&'static str> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let age = tolerance.map(|tolerance| (now, tolerance));
    let mut verdict = Err(Refusal::Secret);
    for secret in secrets {
        verdict = Key::parse(&secret).and_then(|key| key.verify(&id, &timestamp, &signature, &body, age));
        if verdict.is_ok() {
            break;
        }
    }
    match verdict {
        Ok(()) => None,
        Err(Refusal::Secret) => Some("secret"),
        Err(Refusal::Timestamp) => Some("timestamp"),
        Err(Refusal::Signature) => Some("signature"),
        Err(Refusal::Tolerance) => Some("tolerance"),
    }
}

/// The value of `webhook-signature`, or None if the secret is unusable.
#[pyfunction]
pub fn sign_webhook(secret: &str, id: PyBackedBytes, timestamp: PyBackedBytes, body: PyBackedBytes) -> Option<String> {
    Key::parse(secret).ok().map(|key| key.sign(&id, &timestamp, &body))
}
