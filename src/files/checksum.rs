//! Whether what arrived is what the server has, where it says what that is.

use base64::Engine;
use reqwest::header::HeaderMap;
use sha2::{Digest, Sha256};

use crate::files::data_uri::BASE64;

/// A digest that a server gave for a file, and what there is of the file so far.
#[derive(Clone, Debug)]
pub struct Checksum {
    expected: Vec<u8>,
    so_far: State,
}

#[derive(Clone, Debug)]
enum State {
    Sha256(Box<Sha256>),
    Crc32c(u32),
}

impl Checksum {
    /// `Repr-Digest` (RFC 9530) and the `x-goog-hash` of Google's storage, where Replicate keeps its files; of bytes as they were sent.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        // What Google's storage says then is of the compressed file, which it decompressed.
        if headers
            .get("x-goog-stored-content-encoding")
            .is_some_and(|value| value.as_bytes() != b"identity")
        {
            return None;
        }
        Self::sha256(headers).or_else(|| Self::crc32c(headers))
    }

    fn sha256(headers: &HeaderMap) -> Option<Self> {
        let coded = member(headers, "repr-digest", "sha-256")?;
        let expected = decoded(coded.strip_prefix(':')?.strip_suffix(':')?, 32)?;
        Some(Self {
            expected,
            so_far: State::Sha256(Box::default()),
        })
    }

    fn crc32c(headers: &HeaderMap) -> Option<Self> {
        let expected = decoded(member(headers, "x-goog-hash", "crc32c")?, 4)?;
        Some(Self {
            expected,
            so_far: State::Crc32c(0),
        })
    }

    /// Takes what came next.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.so_far {
            State::Sha256(hasher) => hasher.update(bytes),
            State::Crc32c(sum) => *sum = crc32c::crc32c_append(*sum, bytes),
        }
    }

    /// Whether all of it is what it should be.
    pub fn holds(self) -> bool {
        match self.so_far {
            State::Sha256(hasher) => hasher.finalize()[..] == *self.expected,
            State::Crc32c(sum) => sum.to_be_bytes()[..] == *self.expected,
        }
    }
}

/// The value of `key` in a list of `key=value`, over all headers of the name.
fn member<'a>(headers: &'a HeaderMap, name: &str, key: &str) -> Option<&'a str> {
    let members = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','));
    members
        .filter_map(|member| member.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case(key))
        .map(|(_, value)| value)
}

fn decoded(text: &str, length: usize) -> Option<Vec<u8>> {
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
        let mut checksum = Checksum::of(&headers(pairs))?;
        for part in parts {
            checksum.update(part);
        }
        Some(checksum.holds())
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
