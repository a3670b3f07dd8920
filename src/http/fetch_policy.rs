//! What may be fetched: files over https, or over http from this machine or from the host of an API that is asked over http;
//! from private networks only if the caller lets it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::error::{Error, Kind};
use crate::address::{Origin, is_loopback, unsigned};

/// Where a request may go, elsewhere than to the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Wherever the caller says.
    #[default]
    Anywhere,
    /// Over https, or over http to this machine or an API's host: output files, streams and redirects are named by others, a model or a host.
    Secure,
    /// Over https, and only to addresses of the internet.
    Public,
}

impl Reach {
    /// Refuses an address beyond it. `home` is the API's origin: who asks it over http may fetch from its host over http.
    pub fn check(self, url: &Url, home: &Origin) -> Result<(), Error> {
        let refused = |why: &str| {
            Err(Error::new(
                Kind::Protocol,
                format!("{} is not fetched: {why}", unsigned(url)),
            ))
        };
        if self == Reach::Anywhere {
            return Ok(());
        }
        let is_plain = url.scheme() == "http" && (is_loopback(url) || home.shares_plain_host(url));
        if url.scheme() != "https" && !is_plain {
            return refused(
                "files and streams are fetched over https, or over http from this machine or the API's host",
            );
        }
        let is_private = match url.host() {
            Some(Host::Ipv4(address)) => !is_public(address.into()),
            Some(Host::Ipv6(address)) => !is_public(address.into()),
            // What it resolves to is checked when it is resolved.
            Some(Host::Domain(_)) => is_loopback(url),
            None => true,
        };
        if self == Reach::Public && is_private {
            refused(PRIVATE)
        } else {
            Ok(())
        }
    }
}

const PRIVATE: &str = "its address is private, which block_private_addresses=True forbids";

/// Whether an address is one of the internet's (IANA's special-purpose registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // "This network"; carrier-grade NAT; protocol assignments; benchmarks; reserved.
        (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) | (240.., ..) => true,
        _ => false,
    };
    !(special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let embedded = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    match address.segments() {
        // Ways to IPv4 addresses: NAT64 by its well-known prefix (RFC 6052; RFC 8215's, beside it, is for networks' own use), and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            is_public_v4(embedded(high, low))
        }
        // Teredo and other protocols; documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Only this block is given out.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Names resolve to addresses of the internet, or not at all.
pub struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(format!("{} is not fetched: {PRIVATE}", name.as_str()).into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_machine_are_in_reach() {
        for (text, fetched, when_public_only) in [
            ("https://replicate.delivery/a", true, true),
            ("https://8.8.8.8/a", true, true),
            ("http://127.0.0.1:5000/a", true, false),
            ("http://localhost/a", true, false),
            ("https://localhost/a", true, false),
            ("https://10.0.0.1/a", true, false),
            ("https://169.254.169.254/latest", true, false),
            ("https://100.64.0.1/", true, false),
            ("https://[::1]/", true, false),
            ("https://[fd00::1]/", true, false),
            ("https://[::ffff:10.0.0.1]/", true, false),
            ("https://[64:ff9b::a00:1]/", true, false),
            ("https://[2002:a00:1::1]/", true, false),
            ("https://[64:ff9b:1::808:808]/", true, false),
            ("https://[64:ff9b:1:ffff::8.8.8.8]/", true, false),
            ("https://[64:ff9b::1:0:808:808]/", true, false),
            ("https://[3fff::1]/", true, false),
            ("https://[64:ff9b::808:808]/", true, true),
            ("https://[3fff:1000::1]/", true, true),
            ("https://[2606:4700::1111]/", true, true),
            ("https://[2002:808:808::1]/", true, true),
            ("http://replicate.delivery/a", false, false),
            ("http://169.254.169.254/latest", false, false),
            ("ftp://127.0.0.1/a", false, false),
            ("file:///etc/passwd", false, false),
        ] {
            let url = Url::parse(text).unwrap();
            let home = Origin::of(&Url::parse("https://api.replicate.com/v1").unwrap());
            assert_eq!(Reach::Secure.check(&url, &home).is_ok(), fetched, "{text}");
            assert!(Reach::Anywhere.check(&url, &home).is_ok());
            assert_eq!(
                Reach::Public.check(&url, &home).is_ok(),
                when_public_only,
                "{text}"
            );
        }
    }

    #[test]
    fn the_host_of_an_api_that_is_asked_over_http_is_in_reach_over_http() {
        let plain = Origin::of(&Url::parse("http://replicate:8787/v1").unwrap());
        let secure = Origin::of(&Url::parse("https://replicate:8787/v1").unwrap());
        for (text, fetched) in [
            ("http://replicate:8788/a", true),
            ("http://replicate/a", true),
            ("http://REPLICATE:1/a", true),
            ("http://replicate.test/a", false),
            ("http://10.0.0.1/a", false),
            ("ftp://replicate/a", false),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(Reach::Secure.check(&url, &plain).is_ok(), fetched, "{text}");
            assert_eq!(Reach::Public.check(&url, &plain).is_ok(), fetched, "{text}");
            assert!(Reach::Secure.check(&url, &secure).is_err(), "{text}");
        }
        let private = Origin::of(&Url::parse("http://10.0.0.1:8787/v1").unwrap());
        let url = Url::parse("http://10.0.0.1:8788/a").unwrap();
        assert!(Reach::Secure.check(&url, &private).is_ok());
        assert!(Reach::Public.check(&url, &private).is_err());
    }

    #[test]
    fn a_signature_is_not_shown() {
        let url = Url::parse("http://me:secret@example.com/a?signature=secret#x").unwrap();
        let home = Origin::of(&Url::parse("https://api.replicate.com/v1").unwrap());
        let error = Reach::Secure.check(&url, &home).unwrap_err();
        assert!(
            error
                .message
                .starts_with("http://example.com/a is not fetched"),
            "{error}"
        );
    }
}
