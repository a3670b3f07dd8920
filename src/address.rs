//! Origins, the API's base URL, and path segments.
//!
//! A caller's text becomes exactly one percent-encoded segment, so an id can never reach another
//! endpoint.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Host, Url};

use crate::error::Error;
use crate::redact::quote;

/// Everything but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Scheme, host and port. The token is sent to one origin only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Return the origin of a URL.
    pub fn of(url: &Url) -> Self {
        Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default(),
        }
    }

    /// Return whether both use plain HTTP and have the same host, whatever the port.
    pub fn shares_plain_host(&self, url: &Url) -> bool {
        self.scheme == "http" && url.scheme() == "http" && url.host_str() == Some(&self.host)
    }

    /// Return whether a URL has this origin.
    pub fn contains(&self, url: &Url) -> bool {
        url.host_str() == Some(&self.host)
            && url.scheme() == self.scheme
            && url.port_or_known_default() == self.port
    }
}

/// The API's base URL, which ends in its version: `https://api.replicate.com/v1`.
#[derive(Clone, Debug)]
pub struct BaseUrl {
    text: String,
    url: Url,
    origin: Origin,
    is_loopback: bool,
}

impl BaseUrl {
    /// Parse a URL with or without `/v1` and with any path prefix.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid =
            |error: url::ParseError| Error::invalid(format!("base_url {}: {error}", quote(text)));
        let url = Url::parse(text).map_err(invalid)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            let given = quote(text);
            let message = format!("base_url must begin with https:// or http://, not {given}");
            return Err(Error::invalid(message));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid(
                "base_url must not hold a user name or password",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            let message = format!(
                "base_url must not hold a query or fragment: {}",
                quote(text)
            );
            return Err(Error::invalid(message));
        }
        let mut text = url.as_str().trim_end_matches('/').to_owned();
        if !text.rsplit('/').next().is_some_and(is_version) {
            text.push_str("/v1");
        }
        let url = Url::parse(&text).map_err(invalid)?;
        Ok(Self {
            origin: Origin::of(&url),
            is_loopback: is_loopback(&url),
            text,
            url,
        })
    }

    /// Return the URL without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Return the only origin that receives the token.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Return whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Return the URL of an endpoint.
    pub fn join<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Result<Url, Error> {
        let mut path = String::with_capacity(96);
        path.push_str(self.url.path());
        for segment in segments {
            path.push('/');
            path.extend(encode_segment(segment)?);
        }
        let mut url = self.url.clone();
        url.set_path(&path);
        Ok(url)
    }

    /// Return the URL of a route that is absolute, or relative to this base.
    pub fn resolve(&self, route: &str) -> Result<Url, Error> {
        let scheme = route.split_once("://").map(|(scheme, _)| scheme);
        let scheme = scheme.filter(|scheme| !scheme.contains(['/', '?', '#']));
        if let Some(scheme) = scheme {
            if !["https", "http"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
            {
                let message = format!("{} is neither a route nor an http URL", quote(route));
                return Err(Error::invalid(message));
            }
            return parse_absolute(route);
        }
        let text = format!("{}/{}", self.text, route.trim_start_matches('/'));
        let url = Url::parse(&text)
            .map_err(|error| Error::invalid(format!("{} is not a URL: {error}", quote(route))))?;
        if !url
            .as_str()
            .strip_prefix(&self.text)
            .is_some_and(|rest| rest.starts_with('/'))
        {
            return Err(Error::invalid(format!(
                "{} leaves {}",
                quote(route),
                self.text
            )));
        }
        Ok(url)
    }
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Parse an absolute URL.
pub fn parse_absolute(text: &str) -> Result<Url, Error> {
    Url::parse(text)
        .map_err(|error| Error::invalid(format!("{} is not a URL: {error}", quote(text))))
}

/// Return whether a URL names this machine's loopback interface.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Percent-encode one path segment; empty, `.` and `..` are refused.
fn encode_segment(text: &str) -> Result<impl Iterator<Item = &str>, Error> {
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
            assert_eq!(BaseUrl::parse(given).unwrap().as_str(), expected);
        }
        for wrong in [
            "",
            "api.replicate.com",
            "ftp://x",
            "https://u:p@x",
            "https://x/?a=1",
            "https://x/#a",
        ] {
            assert!(BaseUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_route_cannot_leave_the_base() {
        let base = BaseUrl::parse("https://api.replicate.com").unwrap();
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
            let base = BaseUrl::parse("https://api.replicate.com").unwrap();
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
