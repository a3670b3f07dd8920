//! Origins, the API's base address, and path segments.
//!
//! Whatever comes from a caller becomes exactly one percent-encoded segment, so that an id can never reach another endpoint.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Host, Url};

use crate::error::Error;

/// Everything but RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Scheme, host and port: where a token may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// The origin of a URL.
    pub fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        Self {
            scheme: url.scheme().to_owned(),
            host: host.to_owned(),
            port: url.port_or_known_default(),
        }
    }

    /// Whether a URL is of this origin's host, at whatever port, and both are plain HTTP.
    pub fn shares_plain_host(&self, url: &Url) -> bool {
        self.scheme == "http" && url.scheme() == "http" && url.host_str() == Some(&self.host)
    }

    /// Whether a URL has this origin.
    pub fn has(&self, url: &Url) -> bool {
        url.host_str() == Some(&self.host)
            && url.scheme() == self.scheme
            && url.port_or_known_default() == self.port
    }
}

/// The API's address, which ends in its version: `https://api.replicate.com/v1`.
#[derive(Clone, Debug)]
pub struct Base {
    prefix: String,
    url: Url,
    origin: Origin,
    loopback: bool,
}

impl Base {
    /// Reads an address with or without `/v1`, with any path prefix.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text)
            .map_err(|error| Error::invalid(format!("base_url {}: {error}", quoted(text))))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(Error::invalid(format!(
                "base_url must begin with https:// or http://, not {}",
                quoted(text)
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid(
                "base_url must not hold a user name or password",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::invalid(format!(
                "base_url must not hold a query or fragment: {}",
                quoted(text)
            )));
        }
        let mut prefix = url.as_str().trim_end_matches('/').to_owned();
        if !prefix.rsplit('/').next().is_some_and(is_version) {
            prefix.push_str("/v1");
        }
        let url = Url::parse(&prefix)
            .map_err(|error| Error::invalid(format!("base_url {}: {error}", quoted(text))))?;
        Ok(Self {
            origin: Origin::of(&url),
            loopback: is_loopback(&url),
            prefix,
            url,
        })
    }

    /// The address as text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.prefix
    }

    /// Where the token may go.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the address is this machine's own.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The address of an endpoint.
    pub fn join<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Result<Url, Error> {
        let mut path = String::with_capacity(96);
        path.push_str(self.url.path());
        for part in segments {
            path.push('/');
            path.extend(segment(part)?);
        }
        let mut url = self.url.clone();
        url.set_path(&path);
        Ok(url)
    }

    /// The address a route names: absolute, or relative to this base.
    pub fn resolve(&self, route: &str) -> Result<Url, Error> {
        let absolute = match route.split_once("://") {
            Some((scheme, _)) if !scheme.contains(['/', '?', '#']) => {
                if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
                    return Err(Error::invalid(format!(
                        "{} is neither a route nor an http URL",
                        quoted(route)
                    )));
                }
                true
            }
            _ => false,
        };
        let text = if absolute {
            route.to_owned()
        } else {
            format!("{}/{}", self.prefix, route.trim_start_matches('/'))
        };
        let url = Url::parse(&text)
            .map_err(|error| Error::invalid(format!("{} is not a URL: {error}", quoted(route))))?;
        if !absolute
            && !url
                .as_str()
                .strip_prefix(&self.prefix)
                .is_some_and(|rest| rest.starts_with('/'))
        {
            return Err(Error::invalid(format!(
                "{} leaves {}",
                quoted(route),
                self.prefix
            )));
        }
        Ok(url)
    }
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A URL as it may be shown: without a user's name and password.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // A URL that cannot have these has none.
    let _ = (url.set_username(""), url.set_password(None));
    url.into()
}

/// The same without what may be a signature.
pub fn unsigned(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    shown(&url)
}

/// The URL that a text is, if it is an absolute one.
pub fn absolute(text: &str) -> Result<Url, Error> {
    Url::parse(text)
        .map_err(|error| Error::invalid(format!("{} is not a URL: {error}", quoted(text))))
}

/// Text that is not a URL as it may be shown: nothing of it where it may hold a password.
pub fn quoted(text: &str) -> String {
    if text.contains('@') {
        "what was given (not shown: it may hold a password)".to_owned()
    } else {
        format!("{text:?}")
    }
}

/// Whether a URL names this machine's own loopback.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// One path segment, percent-encoded; empty, `.` and `..` are refused.
pub fn segment(text: &str) -> Result<impl Iterator<Item = &str>, Error> {
    if matches!(text, "" | "." | "..") {
        return Err(Error::invalid(format!(
            "an id or name in a path must not be {text:?}"
        )));
    }
    Ok(utf8_percent_encode(text, SEGMENT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_base_url_works_with_and_without_its_version() {
        for (given, expected) in [
            ("https://api.replicate.com", "https://api.replicate.com/v1"),
            (
                "https://api.replicate.com/v1/",
                "https://api.replicate.com/v1",
            ),
            (
                "http://gate.local:8080/replicate",
                "http://gate.local:8080/replicate/v1",
            ),
            (
                "http://gate.local/replicate/v2",
                "http://gate.local/replicate/v2",
            ),
        ] {
            assert_eq!(Base::parse(given).unwrap().as_str(), expected);
        }
        for wrong in [
            "",
            "api.replicate.com",
            "ftp://x",
            "https://u:p@x",
            "https://x/?a=1",
            "https://x/#a",
        ] {
            assert!(Base::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_route_cannot_leave_the_base() {
        let base = Base::parse("https://api.replicate.com").unwrap();
        assert_eq!(
            base.resolve("/models?x=1").unwrap().as_str(),
            "https://api.replicate.com/v1/models?x=1"
        );
        assert!(base.resolve("../admin").is_err());
        assert_eq!(
            base.resolve("https://elsewhere/a").unwrap().as_str(),
            "https://elsewhere/a"
        );
    }

    #[test]
    fn loopback_is_known_by_name_and_address() {
        for (text, expected) in [
            ("http://127.0.0.2", true),
            ("http://[::1]:80", true),
            ("http://localhost", true),
            ("http://localhost.evil.com", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(text).unwrap()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_stays_one_segment(text in ".*") {
            let base = Base::parse("https://api.replicate.com").unwrap();
            match base.join(["predictions", &text]) {
                Err(_) => prop_assert!(matches!(text.as_str(), "" | "." | "..")),
                Ok(url) => {
                    let parts: Vec<_> = url.path_segments().unwrap().collect();
                    prop_assert_eq!(parts.len(), 3);
                    let back = percent_encoding::percent_decode_str(parts[2]).decode_utf8().unwrap();
                    prop_assert_eq!(back.as_ref(), text.as_str());
                    prop_assert!(url.query().is_none() && url.fragment().is_none());
                }
            }
        }
    }
}
