//! Which URLs outside the API may be fetched: https URLs, and http URLs of this machine or of the
//! API's host if the API itself is reached over http. Private networks are excluded on request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::address::{Origin, is_loopback};
use crate::error::Error;
use crate::redact::without_query;

/// Which URLs outside the API a request may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FetchPolicy {
    /// All: the caller wrote the URL.
    #[default]
    Anywhere,
    /// https, and http on this machine or the API's host: a model or a host chose the URL (output
    /// files, streams, redirects).
    Secure,
    /// As `Secure`, but only public addresses.
    Public,
}

impl FetchPolicy {
    /// Refuse a URL that the policy excludes. `api` is the API's origin.
    pub(crate) fn check(self, url: &Url, api: &Origin) -> Result<(), Error> {
        let refused = |why: &str| {
            Err(Error::protocol(format!(
                "{} is not fetched: {why}",
                without_query(url)
            )))
        };
        if self == FetchPolicy::Anywhere {
            return Ok(());
        }
        let may_be_plain =
            url.scheme() == "http" && (is_loopback(url) || api.shares_plain_host(url));
        if url.scheme() != "https" && !may_be_plain {
            return refused(
                "files and streams are fetched over https, or over http from this machine or the API's host",
            );
        }
        let is_private = match url.host() {
            Some(Host::Ipv4(address)) => !is_public(address.into()),
            Some(Host::Ipv6(address)) => !is_public(address.into()),
            // `PublicOnly` checks the addresses when the name is resolved.
            Some(Host::Domain(_)) => is_loopback(url),
            None => true,
        };
        if self == FetchPolicy::Public && is_private {
            refused(PRIVATE)
        } else {
            Ok(())
        }
    }
}

const PRIVATE: &str = "its address is private, which block_private_addresses=True forbids";

/// Return whether an address is public (IANA's special-purpose registries).
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
        // IPv4 addresses in IPv6 ones: NAT64 by its well-known prefix (RFC 6052), and 6to4. The
        // other NAT64 prefix (RFC 8215) is for private use.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            is_public_v4(embedded(high, low))
        }
        // Teredo and other protocols; documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // The only block of global unicast addresses.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Resolves names to public addresses only.
pub(crate) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(format!("{} is not fetched: {PRIVATE}", name.as_str()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
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
            assert_eq!(
                FetchPolicy::Secure.check(&url, &home).is_ok(),
                fetched,
                "{text}"
            );
            assert!(FetchPolicy::Anywhere.check(&url, &home).is_ok());
            assert_eq!(
                FetchPolicy::Public.check(&url, &home).is_ok(),
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
            assert_eq!(
                FetchPolicy::Secure.check(&url, &plain).is_ok(),
                fetched,
                "{text}"
            );
            assert_eq!(
                FetchPolicy::Public.check(&url, &plain).is_ok(),
                fetched,
                "{text}"
            );
            assert!(FetchPolicy::Secure.check(&url, &secure).is_err(), "{text}");
        }
        let private = Origin::of(&Url::parse("http://10.0.0.1:8787/v1").unwrap());
        let url = Url::parse("http://10.0.0.1:8788/a").unwrap();
        assert!(FetchPolicy::Secure.check(&url, &private).is_ok());
        assert!(FetchPolicy::Public.check(&url, &private).is_err());
    }

    #[test]
    fn a_signature_is_not_shown() {
        let url = Url::parse("http://me:secret@example.com/a?signature=secret#x").unwrap();
        let home = Origin::of(&Url::parse("https://api.replicate.com/v1").unwrap());
        let error = FetchPolicy::Secure.check(&url, &home).unwrap_err();
        assert!(
            error
                .message
                .starts_with("http://example.com/a is not fetched"),
            "{error}"
        );
    }
}
