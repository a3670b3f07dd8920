//! Proxies: from the client's option, or from the environment.

use std::env::{self, VarError};
use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use crate::error::Error;
use crate::platform::HAS_PROXY_SETTINGS;

/// Environment variables. The first one that is not blank counts.
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The URL of a proxy, with its credentials.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    url: Url,
    /// The environment variable that it comes from; None for an option or the operating system's
    /// settings.
    variable: Option<&'static str>,
}

impl Proxy {
    /// Parse the value of the option or variable `name`. Errors do not show the value, which may
    /// contain a password.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::invalid(format!("{name} {why}"));
        if text.contains(|each: char| each.is_control() || each.is_whitespace()) {
            return Err(wrong(
                "holds a space, a line break or another control character; remove it",
            ));
        }
        let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
            let scheme = url.scheme();
            return Err(wrong(&format!(
                "must begin with http://, https://, socks5:// or socks5h://, not {scheme}:"
            )));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("has no host: http://host:port"));
        }
        Ok(Self {
            url,
            variable: None,
        })
    }

    /// Return whether connections to the proxy itself use no TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.url.scheme() != "https"
    }

    /// Return the URL with credentials.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

/// Without credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            self.url.scheme(),
            self.url.host_str().unwrap_or_default()
        )?;
        self.url
            .port()
            .map_or(Ok(()), |port| write!(f, ":{port}"))?;
        self.variable
            .map_or(Ok(()), |name| write!(f, ", which {name} names"))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The proxies of a client by URL.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    direct: Vec<Direct>,
    /// The settings of macOS or Windows, for when the environment has none.
    system: Option<Matcher>,
}

/// Hosts that are reached without a proxy, on one port or on all ports.
#[derive(Debug)]
struct Direct {
    port: Option<u16>,
    /// Matches all other hosts.
    others: Matcher,
}

impl Proxies {
    /// Use one proxy for all URLs.
    pub(crate) fn all(proxy: &Proxy) -> Self {
        Self {
            http: Some(proxy.clone()),
            https: Some(proxy.clone()),
            ..Self::default()
        }
    }

    /// Read the environment and the settings of the operating system.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        let direct = NO
            .into_iter()
            .find_map(|name| env::var(name).ok().filter(|text| !text.trim().is_empty()));
        let direct = direct.unwrap_or_default();
        if entries(&direct).any(|entry| entry == "*") {
            return Ok(Self::default());
        }
        // In a CGI program, HTTP_PROXY is a header of the request (CVE-2016-5385).
        let http: &[_] = if env::var_os("REQUEST_METHOD").is_some() {
            &["http_proxy"]
        } else {
            &HTTP
        };
        let (http, https, all) = (
            from_variables(http)?,
            from_variables(&HTTPS)?,
            from_variables(&ALL)?,
        );
        Ok(Self {
            http: http.or_else(|| all.clone()),
            https: https.or(all),
            direct: direct_hosts(&direct),
            system: HAS_PROXY_SETTINGS.then(Matcher::from_system),
        })
    }

    /// Return whether no URL is reached through a proxy.
    pub(crate) fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none() && self.system.is_none()
    }

    /// Return the proxy for a URL.
    pub(crate) fn for_url(&self, url: &Url) -> Option<Proxy> {
        let configured = match url.scheme() {
            "http" => &self.http,
            "https" => &self.https,
            _ => return None,
        };
        if self.is_empty() {
            return None;
        }
        let target: http::Uri = format!("{}://{}", url.scheme(), url.host_str()?)
            .parse()
            .ok()?;
        let is_direct = |direct: &Direct| {
            direct
                .port
                .is_none_or(|port| Some(port) == url.port_or_known_default())
                && direct.others.intercept(&target).is_none()
        };
        if self.direct.iter().any(is_direct) {
            return None;
        }
        configured.clone().or_else(|| {
            let found = self.system.as_ref()?.intercept(&target)?;
            Proxy::parse("the system's proxy", &found.uri().to_string()).ok()
        })
    }
}

/// Read the first of these environment variables that is not blank.
fn from_variables(names: &[&'static str]) -> Result<Option<Proxy>, Error> {
    for name in names {
        match env::var(name) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => {
                let text = text.trim();
                let text = if text.contains("://") {
                    text.to_owned()
                } else {
                    format!("http://{text}")
                };
                return Ok(Some(Proxy {
                    variable: Some(name),
                    ..Proxy::parse(name, &text)?
                }));
            }
            Err(VarError::NotPresent) => {}
            Err(VarError::NotUnicode(_)) => {
                return Err(Error::invalid(format!("{name} is not Unicode")));
            }
        }
    }
    Ok(None)
}

/// Split `NO_PROXY` into its entries.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t'])
        .filter(|entry| !entry.is_empty())
}

/// Read the hosts of `NO_PROXY`: names, domains, addresses and networks, with or without a port.
fn direct_hosts(text: &str) -> Vec<Direct> {
    let (mut everywhere, mut direct) = (Vec::new(), Vec::new());
    for entry in entries(text) {
        match host_and_port(entry) {
            (host, None) => everywhere.push(domain(host)),
            (host, port) => direct.push(Direct {
                port,
                others: all_except(domain(host)),
            }),
        }
    }
    direct.push(Direct {
        port: None,
        others: all_except(&everywhere.join(",")),
    });
    direct
}

fn all_except(hosts: &str) -> Matcher {
    Matcher::builder().all("http://proxy").no(hosts).build()
}

/// Normalise `*.example.com` to `.example.com`, and drop a trailing dot.
fn domain(host: &str) -> &str {
    let host = if host.starts_with("*.") {
        host.trim_start_matches('*')
    } else {
        host
    };
    host.trim_end_matches('.')
}

/// Split `host`, `host:port`, `[address]:port` or `http://host:port/`. An IPv6 address contains
/// colons itself.
fn host_and_port(entry: &str) -> (&str, Option<u16>) {
    let entry = match entry.split_once("://") {
        Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
        None => entry,
    };
    let (host, port) = match entry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        None => match entry.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (entry, None),
        },
    };
    match port.map(str::parse) {
        Some(Ok(port)) => (host, Some(port)),
        Some(Err(_)) => (entry, None),
        None => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_direct(no_proxy: &str, url: &str) -> bool {
        let proxy = Proxy::parse("proxy", "http://me:secret@127.0.0.1:8080").unwrap();
        let proxies = Proxies {
            direct: direct_hosts(no_proxy),
            ..Proxies::all(&proxy)
        };
        proxies.for_url(&Url::parse(url).unwrap()).is_none()
    }

    #[test]
    fn hosts_are_excepted_in_every_spelling() {
        for (no_proxy, direct, through) in [
            ("api.x", "https://api.x/v1", "https://api.y/v1"),
            ("api.x:443", "https://api.x/v1", "http://api.x/v1"),
            ("api.x:8443", "https://api.x:8443/v1", "https://api.x/v1"),
            ("http://api.x", "http://api.x/", "http://api.y/"),
            (
                "https://api.x:8443/v1",
                "https://api.x:8443/v1",
                "https://api.x/v1",
            ),
            ("*.x, api.y", "https://api.x/", "https://x.api/"),
            (".x y", "https://y/", "https://notx/"),
            ("api.x.", "https://api.x/", "https://notapi.x/"),
            ("API.x", "https://api.X/", "https://api.y/"),
            ("10.0.0.0/8", "https://10.1.2.3/", "https://11.0.0.1/"),
            ("127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:2/"),
            ("::1", "https://[::1]:8443/", "https://[::2]/"),
            ("[::1]", "https://[::1]/", "https://[::2]/"),
            ("[::1]:8443", "https://[::1]:8443/", "https://[::1]/"),
            ("fd00::/8,", "https://[fd12::1]/", "https://[fe12::1]/"),
        ] {
            assert!(is_direct(no_proxy, direct), "{no_proxy}: {direct}");
            assert!(!is_direct(no_proxy, through), "{no_proxy}: {through}");
        }
        for url in ["https://api.x/", "http://127.0.0.1:1/", "https://[::1]/"] {
            for nothing in ["", ",", " , ", ":", "://", "[", "x:port", "x:99999"] {
                assert!(!is_direct(nothing, url), "{nothing}: {url}");
            }
        }
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let proxy = Proxy {
            variable: Some("ALL_PROXY"),
            ..Proxy::parse("proxy", "http://me:secret@proxy:3128").unwrap()
        };
        assert_eq!(
            format!("{proxy} {proxy:?}")
                .matches("http://proxy:3128, which ALL_PROXY names")
                .count(),
            2
        );
    }
}
