//! `data:` URIs (RFC 2397): a file in its own address.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use crate::error::Error;

/// A `data:` URI taken apart (RFC 2397).
#[derive(Debug, PartialEq, Eq)]
pub struct DataUri {
    /// The media type with its parameters; `text/plain;charset=US-ASCII` where none is given.
    pub media_type: String,
    /// The content.
    pub content: Vec<u8>,
}

/// Forgiving about padding, strict about the alphabet.
const RULES: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Base64 as data URIs have it.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub static BASE64: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::standard(RULES));
/// Base64 as data URIs have it.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub static BASE64: LazyLock<base64::engine::GeneralPurpose> =
    LazyLock::new(|| base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, RULES));

impl DataUri {
    /// Reads a URI, or says what is wrong with it.
    pub fn parse(uri: &str) -> Result<Self, Error> {
        let rest = uri
            .get(..5)
            .filter(|scheme| scheme.eq_ignore_ascii_case("data:"))
            .and_then(|_| uri.get(5..));
        let (about, data) = rest
            .and_then(|rest| rest.split_once(','))
            .ok_or_else(|| Error::invalid("not a data URI: data:[<type>][;base64],<data>"))?;
        let (media_type, base64) = match about
            .len()
            .checked_sub(7)
            .and_then(|at| Some((about.get(..at)?, about.get(at..)?)))
        {
            Some((media_type, mark)) if mark.eq_ignore_ascii_case(";base64") => (media_type, true),
            _ => (about, false),
        };
        if !media_type.is_empty() && !is_media_type(media_type) {
            return Err(Error::invalid(
                "the data URI has no media type before its comma",
            ));
        }
        let media_type = if media_type.is_empty() {
            "text/plain;charset=US-ASCII"
        } else {
            media_type
        };
        let bytes = percent_decode_str(data);
        let content = if base64 {
            let text: Vec<u8> = bytes.filter(|byte| !byte.is_ascii_whitespace()).collect();
            BASE64.decode(text).map_err(|error| {
                Error::invalid(format!("the data URI's base64 is broken: {error}"))
            })?
        } else {
            bytes.collect()
        };
        Ok(Self {
            media_type: media_type.to_owned(),
            content,
        })
    }
}

fn is_media_type(text: &str) -> bool {
    let kind = text.split(';').next().unwrap_or_default();
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    kind.is_empty()
        || kind
            .split_once('/')
            .is_some_and(|(first, second)| token(first) && token(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn data_uris_are_read_in_both_encodings() {
        for (uri, media_type, content) in [
            ("data:text/plain;base64,aGk=", "text/plain", "hi"),
            (
                "data:text/plain;charset=utf-8;base64,aGk",
                "text/plain;charset=utf-8",
                "hi",
            ),
            ("data:,a%20b", "text/plain;charset=US-ASCII", "a b"),
            ("DATA:image/svg+xml,<svg/>", "image/svg+xml", "<svg/>"),
            ("data:;base64,aGk=", "text/plain;charset=US-ASCII", "hi"),
        ] {
            let expected = DataUri {
                media_type: media_type.into(),
                content: content.into(),
            };
            assert_eq!(DataUri::parse(uri).unwrap(), expected, "{uri}");
        }
    }

    #[test]
    fn text_that_only_looks_like_a_data_uri_is_refused() {
        for text in [
            "data: hi, you",
            "data:",
            "data:x",
            "data:a b/c,x",
            "data:text/plain;base64,@@",
            "http://x",
            "",
            "dätä:,",
        ] {
            assert!(DataUri::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_verdict(text in ".*", tail in ".*") {
            let _ = DataUri::parse(&text);
            let _ = DataUri::parse(&format!("data:{text},{tail}"));
        }

        #[test]
        fn what_is_encoded_comes_back(content in any::<Vec<u8>>()) {
            let uri = format!("data:application/octet-stream;base64,{}", BASE64.encode(&content));
            prop_assert_eq!(DataUri::parse(&uri).unwrap().content, content);
        }
    }
}
