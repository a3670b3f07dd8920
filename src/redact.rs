//! URLs, texts and responses as errors and logs may show them: without secrets.

use std::borrow::Cow;

use memchr::memmem;
use url::Url;

const REDACTED: &str = "[REDACTED]";

/// Return a URL without user name and password.
pub(crate) fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // A URL that cannot have credentials has none.
    let _ = (url.set_username(""), url.set_password(None));
    url.into()
}

/// Return a URL without credentials, and without query and fragment, which may hold a signature.
pub(crate) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    without_credentials(&url)
}

/// Quote a text that is not a URL; a text that may contain a password is replaced.
pub(crate) fn quote(text: &str) -> String {
    if text.contains('@') {
        "what was given (not shown: it may hold a password)".to_owned()
    } else {
        format!("{text:?}")
    }
}

/// Replace every occurrence of a secret in bytes. An empty secret occurs nowhere.
pub(crate) fn replace_secret<'a>(secret: &[u8], bytes: &'a [u8]) -> Cow<'a, [u8]> {
    if secret.is_empty() || memmem::find(bytes, secret).is_none() {
        return bytes.into();
    }
    let (mut redacted, mut start) = (Vec::with_capacity(bytes.len()), 0);
    for end in memmem::find_iter(bytes, secret) {
        redacted.extend_from_slice(bytes.get(start..end).unwrap_or_default());
        redacted.extend_from_slice(REDACTED.as_bytes());
        start = end + secret.len();
    }
    redacted.extend_from_slice(bytes.get(start..).unwrap_or_default());
    redacted.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_occurrence_of_a_secret_is_replaced() {
        let redacted = |secret: &str, text: &str| {
            String::from_utf8(replace_secret(secret.as_bytes(), text.as_bytes()).into_owned())
                .unwrap()
        };
        assert_eq!(
            redacted("r8_x", "r8_x, r8_xr8_x."),
            "[REDACTED], [REDACTED][REDACTED]."
        );
        assert_eq!(redacted("", "text"), "text");
        assert_eq!(redacted("r8_x", "r8_y"), "r8_y");
    }
}
