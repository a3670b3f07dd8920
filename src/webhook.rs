//! Signatures of webhooks: Standard Webhooks, HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Why a webhook was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The secret is not `whsec_` and base64, or base64 alone, of at least one byte.
    Secret,
    /// The timestamp is not a number of seconds in ASCII digits.
    Timestamp,
    /// No signature of the header is one of this content and key.
    Signature,
    /// The signature is right, but the timestamp is too far from now.
    Tolerance,
}

const SECRET: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A signing key, prepared once.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key([REDACTED])")
    }
}

impl Key {
    /// Reads a secret, with or without its prefix `whsec_`.
    pub fn parse(secret: &str) -> Result<Self, Refusal> {
        let text = secret.strip_prefix("whsec_").unwrap_or(secret);
        let bytes = Zeroizing::new(SECRET.decode(text).map_err(|_| Refusal::Secret)?);
        if bytes.is_empty() {
            return Err(Refusal::Secret);
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| Refusal::Secret)
    }

    fn mac(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id, b".", timestamp, b".", body] {
            mac.update(part);
        }
        mac
    }

    /// The header `webhook-signature` for a webhook.
    pub fn sign(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.mac(id, timestamp, body).finalize().into_bytes()))
    }

    /// Accepts a webhook, or says why not. `age` is now and the largest distance from it, in seconds.
    pub fn verify(
        &self,
        id: &[u8],
        timestamp: &[u8],
        signatures: &[u8],
        body: &[u8],
        age: Option<(u64, u64)>,
    ) -> Result<(), Refusal> {
        if timestamp.is_empty() || !timestamp.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::Timestamp);
        }
        let mac = self.mac(id, timestamp, body);
        let genuine =
            signatures.split(|byte| *byte == b' ').filter_map(signature).any(|each| mac.clone().verify_slice(&each).is_ok());
        if !genuine {
            return Err(Refusal::Signature);
        }
        let sent: Option<u64> = std::str::from_utf8(timestamp).ok().and_then(|digits| digits.parse().ok());
        match age {
            Some((now, most)) if sent.is_none_or(|sent| sent.abs_diff(now) > most) => Err(Refusal::Tolerance),
            _ => Ok(()),
        }
    }
}

/// The bytes of one entry `v1,<base64>`; None for other versions and for what is malformed.
fn signature(entry: &[u8]) -> Option<Vec<u8>> {
    SECRET.decode(entry.strip_prefix(b"v1,")?).ok()
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
