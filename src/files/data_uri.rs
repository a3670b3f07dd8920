//! `data:` URIs (RFC 2397).

use base64::Engine;
use percent_encoding::percent_decode_str;

use crate::base64::BASE64;
use crate::error::Error;

/// A `data:` URI.
#[derive(Debug, PartialEq, Eq)]
pub struct DataUri {
    /// The media type with its parameters; `text/plain;charset=US-ASCII` by default.
    pub media_type: String,
    /// The decoded content.
    pub content: Vec<u8>,
}

impl DataUri {
    /// Parse a URI.
    pub fn parse(uri: &str) -> Result<Self, Error> {
        let (head, data) = uri
            .split_at_checked(5)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("data:"))
            .and_then(|(_, rest)| rest.split_once(','))
            .ok_or_else(|| Error::invalid("not a data URI: data:[<type>][;base64],<data>"))?;
        let last = head
            .len()
            .checked_sub(7)
            .and_then(|at| head.split_at_checked(at));
        let (media_type, is_base64) = match last {
            Some((media_type, last)) if last.eq_ignore_ascii_case(";base64") => (media_type, true),
            _ => (head, false),
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
        let content = if is_base64 {
            let text: Vec<u8> = bytes.filter(|byte| !byte.is_ascii_whitespace()).collect();
            let broken =
                |error| Error::invalid(format!("the data URI's base64 is broken: {error}"));
            BASE64.decode(text).map_err(broken)?
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
    let essence = text.split(';').next().unwrap_or_default();
    let is_symbol = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_symbol);
    let parts = essence.split_once('/');
    essence.is_empty() || parts.is_some_and(|(first, second)| is_token(first) && is_token(second))
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
