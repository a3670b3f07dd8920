//! Webhook signatures: HMAC-SHA256 over `id.timestamp.body` (<https://www.standardwebhooks.com>).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base64::BASE64;

/// Why a webhook was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The timestamp is not a number of seconds in ASCII digits.
    Timestamp,
    /// No signature matches the content and a key.
    Signature,
    /// A signature matches, but the timestamp is too far from now.
    Tolerance,
}

/// Why a text is not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSecret {
    /// It is a key of the standard's asymmetric scheme.
    Asymmetric,
    /// It is not base64.
    Encoding,
    /// The key has no bytes.
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

/// A webhook as it was received.
#[derive(Clone, Copy)]
pub struct Webhook<'a> {
    /// The header `webhook-id`.
    pub id: &'a [u8],
    /// The header `webhook-timestamp`.
    pub timestamp: &'a [u8],
    /// The header `webhook-signature`: entries `<version>,<base64>`, separated by spaces.
    pub signatures: &'a [u8],
    /// The raw body.
    pub body: &'a [u8],
}

/// The timestamps that are accepted.
#[derive(Clone, Copy)]
pub struct Window {
    /// Seconds since 1970.
    pub now: u64,
    /// The largest distance from now, in seconds.
    pub tolerance: u64,
}

/// The length of a digest in base64 without padding.
const LENGTH: usize = 43;

/// The text of a digest, and zeros up to a whole number of words.
type DigestText = [u8; WIDTH];
const WIDTH: usize = LENGTH.next_multiple_of(8);

/// A signing key. Its state is wiped when it is dropped.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([REDACTED])")
    }
}

impl Key {
    /// Parse a secret, with or without its prefix `whsec_`.
    pub fn parse(secret: &str) -> Result<Self, BadSecret> {
        if secret.starts_with("whpk_") || secret.starts_with("whsk_") {
            return Err(BadSecret::Asymmetric);
        }
        let text = secret.strip_prefix("whsec_").unwrap_or(secret);
        let bytes = Zeroizing::new(BASE64.decode(text).map_err(|_| BadSecret::Encoding)?);
        if bytes.is_empty() {
            return Err(BadSecret::Empty);
        }
        Hmac::new_from_slice(&bytes)
            .map(Self)
            .map_err(|_| BadSecret::Empty)
    }

    fn mac(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in [id, b".", timestamp, b".", body] {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Return the header `webhook-signature` for a webhook.
    pub fn sign(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> String {
        format!("v1,{}", BASE64.encode(self.mac(id, timestamp, body)))
    }

    /// Compare as text: decoding each entry measured 65 to 110 ns more.
    fn has_signed(&self, webhook: &Webhook<'_>) -> bool {
        let digest = self.mac(webhook.id, webhook.timestamp, webhook.body);
        let mut expected: DigestText = [0; WIDTH];
        if STANDARD_NO_PAD.encode_slice(digest, &mut expected) != Ok(LENGTH) {
            return false;
        }
        let mut rest = Some(webhook.signatures);
        while let Some(entries) = rest {
            let end = memchr::memchr(b' ', entries).unwrap_or(entries.len());
            let (entry, more) = entries.split_at(end);
            if digest_text(entry).is_some_and(|text| is_equal(&expected, &text)) {
                return true;
            }
            rest = more.get(1..);
        }
        false
    }
}

/// Return the text of an entry `v1,<base64>`; None for other versions and lengths.
fn digest_text(entry: &[u8]) -> Option<DigestText> {
    let encoded = entry.strip_prefix(b"v1,")?;
    // A digest has one form in strict base64, but for the padding.
    let encoded = encoded.strip_suffix(b"=").unwrap_or(encoded);
    let mut text: DigestText = [0; WIDTH];
    *text.first_chunk_mut::<LENGTH>()? = encoded.try_into().ok()?;
    Some(text)
}

/// Return whether two texts are equal, in a time that does not depend on where they differ.
fn is_equal(expected: &DigestText, text: &DigestText) -> bool {
    // By words: a comparison by bytes takes as long as hashing a block.
    let words = |text: &DigestText| -> [u64; WIDTH / 8] {
        let (words, _) = text.as_chunks();
        std::array::from_fn(|n| words.get(n).copied().map_or(0, u64::from_ne_bytes))
    };
    words(expected).ct_eq(&words(text)).into()
}

/// Accept a webhook that was signed with one of the keys. The timestamp is compared with the clock
/// only after that: otherwise a sender without a key could find out the clock's time.
pub fn verify(keys: &[Key], webhook: &Webhook<'_>, window: Option<Window>) -> Result<(), Refusal> {
    let sent = parse_seconds(webhook.timestamp).ok_or(Refusal::Timestamp)?;
    if !keys.iter().any(|key| key.has_signed(webhook)) {
        return Err(Refusal::Signature);
    }
    match window {
        Some(Window { now, tolerance }) if sent.abs_diff(now) > tolerance => {
            Err(Refusal::Tolerance)
        }
        _ => Ok(()),
    }
}

/// Parse ASCII digits; a number that is too large becomes the largest.
fn parse_seconds(timestamp: &[u8]) -> Option<u64> {
    if timestamp.is_empty() {
        return None;
    }
    timestamp.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::Instant;

    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use proptest::sample::Index;

    const SECRETS: [&str; 3] = [
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH",
    ];
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &str = r#"{"test": 2432232314}"#;
    const GOOD: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn judge(
        keys: &[Key],
        head: [&str; 3],
        body: &[u8],
        window: Option<Window>,
    ) -> Result<(), Refusal> {
        let [id, timestamp, signatures] = head.map(str::as_bytes);
        verify(
            keys,
            &Webhook {
                id,
                timestamp,
                signatures,
                body,
            },
            window,
        )
    }

    fn keys<const N: usize>(secrets: [&str; N]) -> Vec<Key> {
        secrets.map(|secret| Key::parse(secret).unwrap()).into()
    }

    #[test]
    fn the_contract_s_vectors_hold() {
        let unicode = "{\"output\":\"héllo 🚀 \u{2028} 你好\"}";
        for (secret, id, timestamp, body, expected) in [
            (
                SECRETS[0],
                ID,
                "1614265330",
                BODY,
                "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                SECRETS[1],
                ID,
                "1614265330",
                BODY,
                "78nXHjpFP0tVJQW5D0SBwmVyyW87BV/rL6MgfM/Bw44=",
            ),
            (
                SECRETS[2],
                ID,
                "1614265330",
                BODY,
                "AqaiCGM+BGvE6j8lHZfybS4IlH+sK5racJJookRhxpM=",
            ),
            (
                SECRETS[0],
                "msg_unicode",
                "1700000000",
                unicode,
                "rRFq/w2haWe/qBMuDZ76on4r52CF6VN8fKazy7/KedU=",
            ),
            (
                SECRETS[0],
                "a.b",
                "1",
                "c.d.e",
                "+N2LQd+B8cVuITR8NFlVIgO1BhWfrpX3RYRxhhDZ/kw=",
            ),
            (
                SECRETS[0],
                ID,
                "1614265330",
                "",
                "v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A=",
            ),
        ] {
            let signature = Key::parse(secret).unwrap().sign(
                id.as_bytes(),
                timestamp.as_bytes(),
                body.as_bytes(),
            );
            assert_eq!(signature, format!("v1,{expected}"));
            assert_eq!(
                judge(
                    &keys(SECRETS),
                    [id, timestamp, &signature],
                    body.as_bytes(),
                    None
                ),
                Ok(())
            );
        }
    }

    #[test]
    fn a_malformed_sibling_hides_nothing_and_other_versions_count_for_nothing() {
        let keys = keys([SECRETS[0]]);
        let verify = |header: &str| judge(&keys, [ID, "1614265330", header], BODY.as_bytes(), None);
        for header in [
            GOOD,
            &format!("nosig v1,@@ v1a,xyz {GOOD}"),
            &format!("  {GOOD}  "),
            GOOD.trim_end_matches('='),
        ] {
            assert_eq!(verify(header), Ok(()), "{header}");
        }
        let other_bits = GOOD.replace("OE=", "OF=");
        let more = [
            &GOOD.replace("v1", "v2"),
            &GOOD.replace("v1", ""),
            &GOOD.replace("v1", "V1"),
            &GOOD[3..],
            &other_bits,
        ];
        let glued = [
            format!("{GOOD},extra"),
            format!("{GOOD}\n"),
            format!("{GOOD}{GOOD}"),
            format!("{GOOD}="),
        ];
        let glued = glued.each_ref().map(String::as_str);
        for header in [
            "",
            "v1",
            "v1,",
            "v1,AAAA",
            &GOOD[..40],
            &GOOD.replace('+', "-"),
        ]
        .iter()
        .chain(&more)
        .chain(&glued)
        {
            assert_eq!(verify(header), Err(Refusal::Signature), "{header}");
        }
    }

    #[test]
    fn the_clock_is_asked_after_the_signature() {
        let keys = keys([SECRETS[0]]);
        let judge = |header: &str, stamp: &str, now| {
            judge(
                &keys,
                ["id", stamp, header],
                b"body",
                Some(Window {
                    now,
                    tolerance: 300,
                }),
            )
        };
        let signed = |stamp: &str| keys[0].sign(b"id", stamp.as_bytes(), b"body");
        let header = signed("1000");
        assert_eq!(judge(&header, "1000", 1300), Ok(()));
        assert_eq!(judge(&header, "1000", 700), Ok(()));
        assert_eq!(judge(&header, "1000", 1301), Err(Refusal::Tolerance));
        assert_eq!(judge(&header, "1000", 699), Err(Refusal::Tolerance));
        assert_eq!(judge("v1,AAAA", "1000", 9999), Err(Refusal::Signature));
        assert_eq!(
            judge(&header, "01000", 1000),
            Err(Refusal::Signature),
            "what is signed is the text"
        );
        let endless = "9".repeat(99);
        assert_eq!(
            judge(&signed(&endless), &endless, 1000),
            Err(Refusal::Tolerance)
        );
        for stamp in [
            "",
            "1e3",
            "+1000",
            "-1",
            " 1000",
            "1000 ",
            "1_000",
            "1000.0",
            "１０００",
        ] {
            assert_eq!(
                judge(&signed(stamp), stamp, 1000),
                Err(Refusal::Timestamp),
                "{stamp}"
            );
        }
    }

    #[test]
    fn unusable_secrets_are_refused_and_usable_ones_not_shown() {
        for (secret, problem) in [
            ("", BadSecret::Empty),
            ("whsec_", BadSecret::Empty),
            ("whpk_AAAA", BadSecret::Asymmetric),
            ("whsk_AAAA", BadSecret::Asymmetric),
            ("whsec_@@", BadSecret::Encoding),
            ("foo_AAAA", BadSecret::Encoding),
            ("whsec_whsec_AAAA", BadSecret::Encoding),
            ("whsec_AAAA\n", BadSecret::Encoding),
            ("whsec_AA-_", BadSecret::Encoding),
        ] {
            assert_eq!(Key::parse(secret).err(), Some(problem), "{secret}");
            assert!(problem.to_string().contains("whsec_"));
        }
        let key = Key::parse(&SECRETS[0][6..]).unwrap();
        assert_eq!(
            key.sign(ID.as_bytes(), b"1614265330", BODY.as_bytes()),
            GOOD
        );
        assert_eq!(format!("{key:?}"), "Key([REDACTED])");
    }

    /// Return Welch's t for the times of comparing a signature that is wrong at its end, and one
    /// that is wrong at its beginning, in random order (Reparaz et al., "dude, is my code constant
    /// time?", 2017).
    fn leak(compare: impl Fn(DigestText) -> bool, expected: DigestText) -> f64 {
        let (mut early, mut late) = (expected, expected);
        early[0] ^= 1;
        late[LENGTH - 1] ^= 1;
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..8_000 {
            let class = usize::from(fastrand::bool());
            let given = [early, late][class];
            let start = Instant::now();
            for _ in 0..32 {
                black_box(compare(black_box(given)));
            }
            times[class].push(start.elapsed().as_secs_f64() * 1e9);
        }
        // The upper tail is noise of the machine, which affects both samples alike.
        let [early, late] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times.truncate(times.len() * 9 / 10);
            let count = times.len() as f64;
            let mean = times.iter().sum::<f64>() / count;
            (
                mean,
                times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0) / count,
            )
        });
        (late.0 - early.0) / (early.1 + late.1).sqrt()
    }

    #[test]
    fn how_long_a_comparison_takes_tells_nothing() {
        let expected = digest_text(GOOD.as_bytes()).unwrap();
        let one_by_one =
            |given: DigestText| (0..LENGTH).all(|n| black_box(given[n]) == expected[n]);
        // A t above 10 is practically never chance, but on a shared machine it may be noise. So a
        // comparison leaks only if every run shows it.
        assert!(
            (0..5).any(|_| leak(one_by_one, expected) > 10.0),
            "what leaks must be seen to"
        );
        assert!((0..5).any(|_| leak(|given| is_equal(&expected, &given), expected).abs() < 10.0));
    }

    #[test]
    fn keys_are_wiped() {
        fn is_wiped<T: zeroize::ZeroizeOnDrop>() {}
        // The state of a key is two of these. The hmac crate's own type does not implement the
        // trait.
        is_wiped::<Sha256>();
    }

    fn secret(bytes: &[u8]) -> String {
        format!("whsec_{}", STANDARD.encode(bytes))
    }

    proptest! {
        #[test]
        fn any_changed_bit_is_refused(
            key in prop::collection::vec(any::<u8>(), 1..80),
            parts in ("[a-z_.]{1,40}", "[0-9]{1,12}", prop::collection::vec(any::<u8>(), 1..200)),
            which in 0..4usize,
            (at, bit) in (any::<Index>(), 0..8u8),
        ) {
            let (id, timestamp, body) = parts;
            let signatures = Key::parse(&secret(&key)).unwrap().sign(id.as_bytes(), timestamp.as_bytes(), &body);
            let mut parts = [key, id.into_bytes(), timestamp.into_bytes(), body];
            let verdict = |[key, id, timestamp, body]: &[Vec<u8>; 4]| {
                let keys = [Key::parse(&secret(key)).unwrap()];
                verify(&keys, &Webhook { id, timestamp, signatures: signatures.as_bytes(), body }, None)
            };
            prop_assert_eq!(verdict(&parts), Ok(()));
            let index = at.index(parts[which].len());
            parts[which][index] ^= 1 << bit;
            prop_assert!(verdict(&parts).is_err());
        }

        #[test]
        fn any_changed_bit_of_a_signature_is_refused(body: Vec<u8>, at in 0..256usize) {
            let keys = keys([SECRETS[1]]);
            let mut digest = STANDARD.decode(&keys[0].sign(b"id", b"5", &body)[3..]).unwrap();
            digest[at / 8] ^= 1 << (at % 8);
            let header = format!("v1,{}", STANDARD.encode(digest));
            prop_assert_eq!(judge(&keys, ["id", "5", &header], &body, None), Err(Refusal::Signature));
        }

        #[test]
        fn a_header_is_good_if_one_of_its_entries_is(
            entries in prop::collection::vec(prop_oneof![Just(GOOD.to_owned()), "v1,[A-Za-z0-9+/]{43}=", "v[0-9]?,?[A-Za-z=]{0,50}", "[^ ]{0,9}"], 0..6),
        ) {
            let verdict = judge(&keys([SECRETS[0]]), [ID, "1614265330", &entries.join(" ")], BODY.as_bytes(), None);
            prop_assert_eq!(verdict.is_ok(), entries.iter().any(|entry| entry.trim_end_matches('=') == GOOD.trim_end_matches('=')));
        }

        #[test]
        fn any_header_is_a_verdict(id: Vec<u8>, stamp: Vec<u8>, header: Vec<u8>, secret: String) {
            let window = Some(Window { now: 0, tolerance: 0 });
            let webhook = Webhook { id: &id, timestamp: &stamp, signatures: &header, body: b"" };
            prop_assert!(verify(&keys([SECRETS[1]]), &webhook, window).is_err());
            let _ = Key::parse(&secret);
        }

        #[test]
        fn another_implementation_signs_the_same(
            key in prop::collection::vec(any::<u8>(), 1..200), id: Vec<u8>, stamp: Vec<u8>, body in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            let content = [&id[..], &stamp, &body].join(&b'.');
            let signature = Key::parse(&secret(&key)).unwrap().sign(&id, &stamp, &body);
            prop_assert_eq!(signature, format!("v1,{}", STANDARD.encode(hmac_sha256::HMAC::mac(content, key))));
        }
    }
}
