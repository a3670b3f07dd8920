//! The connections of one client on one runtime, and how they are made.

use std::env::VarError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, ClientBuilder};
use tokio::sync::Semaphore;
use url::Url;

use crate::error::{Error, Kind};
use crate::pace::Pace;
use crate::reach::PublicOnly;
use crate::retry::Budget;
use crate::stage::Connecting;
use crate::stats::Counters;
use crate::tls::{Identity, Tls, Trust, get_or_try_init};

/// How long a peer may leave what was sent without an acknowledgement, or its window closed: a request that was given up must not hold
/// its socket for longer.
const UNREAD: Duration = Duration::from_secs(60);

/// The environment's variables that name proxies for http.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// And those for https alone.
const SECURE_PROXIES: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];

/// How a client reaches its servers.
#[derive(Debug, Default)]
pub struct Network {
    /// How long a connection may take to open, TLS included.
    pub connect: Option<Duration>,
    /// Requests at a time.
    pub most: Option<usize>,
    /// The way to all servers; without it, what the environment says.
    pub proxy: Option<Proxy>,
    /// Which servers are believed.
    pub trust: Trust,
    /// The client's own certificate.
    pub identity: Option<Identity>,
}

/// Where a proxy is, and who may use it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

impl Proxy {
    /// Reads an address, which `name` gave; a refusal does not show it, since it may hold a password.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::invalid(format!("{name} {why}"));
        if text.contains(|each: char| each.is_control() || each.is_whitespace()) {
            return Err(wrong("holds a space, a line break or another control character; remove it"));
        }
        let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
            let scheme = url.scheme();
            return Err(wrong(&format!("must begin with http://, https://, socks5:// or socks5h://, not {scheme}:")));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("has no host: http://host:port"));
        }
        Ok(Self(url))
    }

    fn is_plain(&self) -> bool {
        self.0.scheme() != "https"
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Network {
    /// The files that `ssl_cert_file` and `cert` name.
    pub fn certified(mut self, authorities: Option<&Path>, own: Option<&(PathBuf, PathBuf)>) -> Result<Self, Error> {
        if let Some(path) = authorities {
            self.trust = Trust::file(path)?;
        }
        self.identity = own.map(|(certificate, key)| Identity::read(certificate, key)).transpose()?;
        Ok(self)
    }
}

/// What all connections of a client in one process share.
#[derive(Debug)]
pub struct Shared {
    /// One permit for each request that may be under way.
    pub free: Option<Arc<Semaphore>>,
    /// What attempts after the first cost.
    pub budget: Budget,
    /// What was done.
    pub counters: Arc<Counters>,
    /// When to ask for predictions again.
    pub pace: Pace,
}

impl Shared {
    /// For a client of `network`.
    pub fn new(network: &Network) -> Self {
        let free = network.most.map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
        Self { free, budget: Budget::default(), counters: Arc::default(), pace: Pace::default() }
    }
}

/// The connections of one client on one runtime.
#[derive(Debug)]
pub struct Pool {
    network: Arc<Network>,
    /// Shared by all pools of a client.
    pub shared: Arc<Shared>,
    /// Shared by all pools of the process.
    tls: Arc<Tls>,
    may_use_tls_for_http: bool,
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
    public: OnceLock<Client>,
}

impl Pool {
    /// No connection is made yet.
    pub fn new(network: Arc<Network>, shared: Arc<Shared>, tls: Arc<Tls>) -> Self {
        // A proxy may be spoken to over TLS even for an http URL.
        let may_use_tls_for_http = network.proxy.as_ref().map_or_else(|| is_any_set(&PROXIES), |proxy| !proxy.is_plain());
        let [plain, secure, public] = [const { OnceLock::new() }; 3];
        Self { network, shared, tls, may_use_tls_for_http, plain, secure, public }
    }

    /// How long a connection may take to open.
    pub fn connect_limit(&self) -> Option<Duration> {
        self.network.connect
    }

    /// By way of what connections are made, for an error's text; nothing if that is the network alone.
    pub fn way(&self) -> String {
        match &self.network.proxy {
            Some(proxy) => format!(" (by way of proxy {proxy:?})"),
            None if is_any_set(&PROXIES) || is_any_set(&SECURE_PROXIES) => {
                " (by way of the environment's proxy, unless NO_PROXY names the server)".to_owned()
            }
            None => String::new(),
        }
    }

    /// The client for a URL; with `public_only`, one that reaches addresses of the internet alone.
    pub fn client(&self, url: &Url, public_only: bool) -> Result<&Client, Error> {
        if public_only {
            return get_or_try_init(&self.public, || self.build(self.secured()?, |builder| builder.dns_resolver(PublicOnly)));
        }
        if url.scheme() == "http" && !self.may_use_tls_for_http {
            return get_or_try_init(&self.plain, || self.build(self.tls.unused()?, |builder| builder));
        }
        get_or_try_init(&self.secure, || self.build(self.secured()?, |builder| builder))
    }

    fn secured(&self) -> Result<rustls::ClientConfig, Error> {
        self.tls.config(&self.network.trust, self.network.identity.as_ref())
    }

    fn build(&self, tls: rustls::ClientConfig, more: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, Error> {
        let broken = |error: reqwest::Error| {
            Error::new(Kind::Connect, format!("the HTTP client cannot be set up: {}", error.without_url()))
        };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connector_layer(Connecting(self.shared.counters.clone()))
            .tcp_keepalive(Duration::from_secs(15))
            .tcp_user_timeout(UNREAD)
            .pool_idle_timeout(Duration::from_secs(60));
        if let Some(limit) = self.network.connect {
            builder = builder.connect_timeout(limit);
        }
        if let Some(Proxy(url)) = &self.network.proxy {
            builder = builder.proxy(reqwest::Proxy::all(url.clone()).map_err(broken)?);
        } else if is_meant_for_none() {
            builder = builder.no_proxy();
        } else {
            check_environment()?;
        }
        more(builder).build().map_err(broken)
    }
}

/// reqwest reads these variables itself, and goes without a proxy where it cannot: perhaps where nobody should.
fn check_environment() -> Result<(), Error> {
    for name in PROXIES.into_iter().chain(SECURE_PROXIES) {
        // In a CGI program, this one comes from whoever made the request (CVE-2016-5385), and is not used.
        if name == "HTTP_PROXY" && std::env::var_os("REQUEST_METHOD").is_some() {
            continue;
        }
        match std::env::var(name) {
            Ok(text) if text.is_empty() => {}
            Ok(text) if text.contains("://") => drop(Proxy::parse(name, &text)?),
            Ok(text) => drop(Proxy::parse(name, &format!("http://{text}"))?),
            Err(VarError::NotPresent) => {}
            Err(VarError::NotUnicode(_)) => return Err(Error::invalid(format!("{name} is not Unicode"))),
        }
    }
    Ok(())
}

fn is_any_set(names: &[&str]) -> bool {
    names.iter().any(|name| std::env::var_os(name).is_some())
}

/// `NO_PROXY=*`, which reqwest understands for names, but not for addresses.
fn is_meant_for_none() -> bool {
    let listed = ["no_proxy", "NO_PROXY"].iter().find_map(|name| std::env::var(name).ok());
    listed.is_some_and(|hosts| hosts.split(',').any(|host| host.trim() == "*"))
}
