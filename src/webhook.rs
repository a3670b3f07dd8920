//! Signatures of webhooks: HMAC-SHA256 over `id.timestamp.body` (<https://www.standardwebhooks.com>).

use std::fmt;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sha2::digest::CtOutput;
use zeroize::Zeroizing;

/// Why a webhook was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The timestamp is not a number of seconds in ASCII digits.
    Timestamp,
    /// No signature of the header is one of this content and key.
    Signature,
    /// The signature is right, but the timestamp is too far from now.
    Tolerance,
}

/// Why a text is not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSecret {
    /// It is a key of the standard's other scheme, which has a public and a private one.
    Asymmetric,
    /// It is no base64.
    Encoding,
    /// It is a key of no bytes.
    Empty,
}

impl fmt::Display for BadSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asymmetric => {
                "is a key for asymmetric signatures ('whpk_', 'whsk_'); webhooks here are signed with a 'whsec_' secret"
            }
            Self::Encoding => "must be 'whsec_' and standard base64, without anything around it",
            Self::Empty => "holds no key: after 'whsec_' must come base64",
        })
    }
}

/// What is signed, and the signatures, all as they came.
#[derive(Clone, Copy)]
pub struct Webhook<'a> {
    /// The header `webhook-id`.
    pub id: &'a [u8],
    /// The header `webhook-timestamp`.
    pub timestamp: &'a [u8],
    /// The header `webhook-signature`: `<version>,<base64>`, several of them separated by spaces.
    pub signatures: &'a [u8],
    /// The raw body.
    pub body: &'a [u8],
}

/// How far a timestamp may be from now, in seconds.
#[derive(Clone, Copy)]
pub struct Window {
    /// Seconds since 1970.
    pub now: u64,
    /// One way or the other.
    pub tolerance: u64,
}

const SECRET: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a signature is, in bytes.
type Digest = [u8; 32];

/// A signing key, prepared once; its state is wiped when it is dropped.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([REDACTED])")
    }
}

impl Key {
    /// Reads a secret, with or without its prefix `whsec_`.
    pub fn parse(secret: &str) -> Result<Self, BadSecret> {
        if secret.starts_with("whpk_") || secret.starts_with("whsk_") {
            return Err(BadSecret::Asymmetric);
        }
        let text = secret.strip_prefix("whsec_").unwrap_or(secret);
        let bytes = Zeroizing::new(SECRET.decode(text).map_err(|_| BadSecret::Encoding)?);
        if bytes.is_empty() {
            return Err(BadSecret::Empty);
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| BadSecret::Empty)
    }

    fn mac(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> CtOutput<Hmac<Sha256>> {
        let mut mac = self.0.clone();
        for part in [id, b".", timestamp, b".", body] {
            mac.update(part);
        }
        mac.finalize()
    }

    /// The header `webhook-signature` for a webhook.
    pub fn sign(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.mac(id, timestamp, body).into_bytes()))
    }

    fn has_signed(&self, webhook: &Webhook<'_>) -> bool {
        let expected = self.mac(webhook.id, webhook.timestamp, webhook.body);
        webhook.signatures.split(|byte| *byte == b' ').filter_map(signature).any(|given| is_same(&expected, given))
    }
}

/// Accepts a webhook that one of the keys has signed, or says why not. Who cannot sign does not learn what the clock says.
pub fn verify(keys: &[Key], webhook: &Webhook<'_>, window: Option<Window>) -> Result<(), Refusal> {
    if webhook.timestamp.is_empty() || !webhook.timestamp.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Timestamp);
    }
    if !keys.iter().any(|key| key.has_signed(webhook)) {
        return Err(Refusal::Signature);
    }
    let sent: Option<u64> = std::str::from_utf8(webhook.timestamp).ok().and_then(|digits| digits.parse().ok());
    match window {
        Some(Window { now, tolerance }) if sent.is_none_or(|sent| sent.abs_diff(now) > tolerance) => Err(Refusal::Tolerance),
        _ => Ok(()),
    }
}

/// Whether a signature is the expected one; that takes as long wherever the two differ.
fn is_same(expected: &CtOutput<Hmac<Sha256>>, given: Digest) -> bool {
    *expected == CtOutput::new(given.into())
}

/// The bytes of one entry `v1,<base64>`; None for other versions and for what is malformed.
fn signature(entry: &[u8]) -> Option<Digest> {
    // The decoder asks for whole groups of three bytes, of which a digest's last has two.
    let mut bytes = [0; 33];
    let length = SECRET.decode_slice(entry.strip_prefix(b"v1,")?, &mut bytes).ok()?;
    bytes.get(..length)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRETS: [&str; 3] = [
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH",
    ];
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &str = r#"{"test": 2432232314}"#;

    #[test]
    fn the_contract_s_vectors_hold() {
        for (secret, id, timestamp, body, expected) in [
            (SECRETS[0], ID, "1614265330", BODY, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            (SECRETS[1], ID, "1614265330", BODY, "78nXHjpFP0tVJQW5D0SBwmVyyW87BV/rL6MgfM/Bw44="),
            (SECRETS[2], ID, "1614265330", BODY, "AqaiCGM+BGvE6j8lHZfybS4IlH+sK5racJJookRhxpM="),
            (
                SECRETS[0],
                "msg_unicode",
                "1700000000",
                "{\"output\":\"héllo 🚀 \u{2028} 你好\"}",
                "rRFq/w2haWe/qBMuDZ76on4r52CF6VN8fKazy7/KedU=",
            ),
            (SECRETS[0], "a.b", "1", "c.d.e", "+N2LQd+B8cVuITR8NFlVIgO1BhWfrpX3RYRxhhDZ/kw="),
            (SECRETS[0], ID, "1614265330", "", "v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A="),
        ] {
            let key = Key::parse(secret).unwrap();
            let signature = key.sign(id.as_bytes(), timestamp.as_bytes(), body.as_bytes());
            assert_eq!(signature, format!("v1,{expected}"));
            let verdict = key.verify(id.as_bytes(), timestamp.as_bytes(), signature.as_bytes(), body.as_bytes(), None);
            assert_eq!(verdict, Ok(()));
        }
    }

    #[test]
    fn a_malformed_sibling_hides_nothing_and_other_versions_count_for_nothing() {
        let key = Key::parse(SECRETS[0]).unwrap();
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let verify = |header: &str| key.verify(ID.as_bytes(), b"1614265330", header.as_bytes(), BODY.as_bytes(), None);
        for header in [good, &format!("nosig v1,@@ v1a,xyz {good}"), &format!("  {good}  "), good.trim_end_matches('=')] {
            assert_eq!(verify(header), Ok(()), "{header}");
        }
        for header in ["", "v1,", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", &good[3..], "v1,AAAA"] {
            assert_eq!(verify(header), Err(Refusal::Signature), "{header}");
        }
    }

    #[test]
    fn the_clock_is_asked_after_the_signature() {
        let key = Key::parse(SECRETS[0]).unwrap();
        let header = key.sign(b"id", b"1000", b"body");
        let verify =
            |header: &str, stamp: &str, now| key.verify(b"id", stamp.as_bytes(), header.as_bytes(), b"body", Some((now, 300)));
        assert_eq!(verify(&header, "1000", 1300), Ok(()));
        assert_eq!(verify(&header, "1000", 700), Ok(()));
        assert_eq!(verify(&header, "1000", 1301), Err(Refusal::Tolerance));
        assert_eq!(verify("v1,AAAA", "1000", 9999), Err(Refusal::Signature));
        assert_eq!(verify(&header, "1e3", 1000), Err(Refusal::Timestamp));
        assert_eq!(verify(&header, "", 1000), Err(Refusal::Timestamp));
    }

    #[test]
    fn unusable_secrets_are_refused() {
        for secret in ["", "whsec_", "whpk_AAAA", "whsk_AAAA", "whsec_@@"] {
            assert_eq!(Key::parse(secret).err(), Some(Refusal::Secret), "{secret}");
        }
    }

    proptest! {
        #[test]
        fn any_changed_bit_is_refused(body in prop::collection::vec(any::<u8>(), 1..64), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let key = Key::parse(SECRETS[1]).unwrap();
            let header = key.sign(b"id", b"5", &body);
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1 << bit;
            prop_assert_eq!(key.verify(b"id", b"5", header.as_bytes(), &body, None), Ok(()));
            prop_assert_eq!(key.verify(b"id", b"5", header.as_bytes(), &changed, None), Err(Refusal::Signature));
        }

        #[test]
        fn any_header_is_a_verdict(id in any::<Vec<u8>>(), stamp in any::<Vec<u8>>(), header in any::<Vec<u8>>()) {
            let key = Key::parse(SECRETS[1]).unwrap();
            prop_assert!(key.verify(&id, &stamp, &header, b"", Some((0, 0))).is_err());
        }
    }
}
