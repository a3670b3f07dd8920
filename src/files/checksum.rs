//! Checksums that hosts announce for files.

use base64::Engine;
use reqwest::header::HeaderMap;
use sha2::{Digest, Sha256};

use crate::base64::BASE64;

/// An announced digest, and the digest of the bytes so far.
#[derive(Clone, Debug)]
pub(crate) struct Checksum {
    expected: Vec<u8>,
    actual: Hasher,
}

#[derive(Clone, Debug)]
enum Hasher {
    Sha256(Box<Sha256>),
    Crc32c(u32),
}

impl Checksum {
    /// Read `Repr-Digest` (RFC 9530), or `x-goog-hash` of Google's storage, where Replicate keeps
    /// its files. Both are digests of the bytes as sent.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        // When Google's storage decompresses a file, its digests are of the compressed one.
        let stored = headers.get("x-goog-stored-content-encoding");
        if stored.is_some_and(|value| value.as_bytes() != b"identity") {
            return None;
        }
        Self::sha256(headers).or_else(|| Self::crc32c(headers))
    }

    fn sha256(headers: &HeaderMap) -> Option<Self> {
        let encoded = member(headers, "repr-digest", "sha-256")?;
        let expected = decode(encoded.strip_prefix(':')?.strip_suffix(':')?, 32)?;
        Some(Self {
            expected,
            actual: Hasher::Sha256(Box::default()),
        })
    }

    fn crc32c(headers: &HeaderMap) -> Option<Self> {
        let expected = decode(member(headers, "x-goog-hash", "crc32c")?, 4)?;
        Some(Self {
            expected,
            actual: Hasher::Crc32c(0),
        })
    }

    /// Add the next bytes of the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.actual {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Crc32c(sum) => *sum = crc32c::crc32c_append(*sum, bytes),
        }
    }

    /// Return whether the digests are equal.
    pub(crate) fn matches(self) -> bool {
        match self.actual {
            Hasher::Sha256(hasher) => hasher.finalize()[..] == *self.expected,
            Hasher::Crc32c(sum) => sum.to_be_bytes()[..] == *self.expected,
        }
    }
}

/// Return the value of `key` in lists of `key=value` in all headers of a name.
fn member<'a>(headers: &'a HeaderMap, name: &str, key: &str) -> Option<&'a str> {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut members = values
        .flat_map(|text| text.split(','))
        .filter_map(|member| member.trim().split_once('='));
    members
        .find(|(name, _)| name.eq_ignore_ascii_case(key))
        .map(|(_, value)| value)
}

fn decode(text: &str, length: usize) -> Option<Vec<u8>> {
    BASE64
        .decode(text)
        .ok()
        .filter(|bytes| bytes.len() == length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn verdict(pairs: &[(&'static str, &str)], parts: &[&[u8]]) -> Option<bool> {
        let mut checksum = Checksum::from_headers(&headers(pairs))?;
        for part in parts {
            checksum.update(part);
        }
        Some(checksum.matches())
    }

    const SHA256: &str = "md5=:AAAA:, sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";

    #[test]
    fn digests_are_found_in_every_form() {
        // SHA-256 and CRC-32C of "hello".
        let google = ("x-goog-hash", "crc32c=mnG7TA==");
        for pairs in [
            &[("repr-digest", SHA256)][..],
            &[google],
            &[("x-goog-hash", "md5=XUFAKrxLKna5cZ2REBfFkg=="), google],
        ] {
            assert_eq!(verdict(pairs, &[b"hel", b"lo"]), Some(true), "{pairs:?}");
            assert_eq!(verdict(pairs, &[b"hel", b"lO"]), Some(false), "{pairs:?}");
        }
    }

    #[test]
    fn what_is_not_of_these_bytes_is_not_compared() {
        for pairs in [
            &[
                ("x-goog-stored-content-encoding", "gzip"),
                ("x-goog-hash", "crc32c=mnG7TA=="),
            ][..],
            &[("repr-digest", "sha-256=:AAAA:")],
            &[("repr-digest", "sha-256=AAAA")],
            &[("x-goog-hash", "crc32c")],
            &[],
        ] {
            assert_eq!(verdict(pairs, &[]), None, "{pairs:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_a_verdict(text in "[ -~]{0,40}") {
            let _ = verdict(&[("repr-digest", &text), ("x-goog-hash", &text)], &[]);
        }
    }
}
