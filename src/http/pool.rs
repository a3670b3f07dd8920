//! The connections of one client on one runtime, and how they are made.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Client;
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use crate::files::disk::beside;
use crate::error::{Error, Kind, Phase};
use crate::predictions::pace::Pace;
use crate::http::proxy::{Proxies, Proxy};
use crate::http::fetch_policy::PublicOnly;
use crate::retry::Budget;
use crate::http::timing::{Connecting, enter};
use crate::http::stats::Counters;
use crate::http::tls::{Identity, Tls, Trust, environment_fault, get_or_try_init};

/// How long a peer may leave what was sent without an acknowledgement, or its window closed: a request that was given up must not hold
/// its socket for longer.
const UNREAD: Duration = Duration::from_secs(60);

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

impl Network {
    /// The files that `ssl_cert_file` and `cert` name.
    pub fn certified(
        mut self,
        authorities: Option<&Path>,
        own: Option<&(PathBuf, PathBuf)>,
    ) -> Result<Self, Error> {
        if let Some(path) = authorities {
            self.trust = Trust::file(path)?;
        }
        self.identity = own
            .map(|(certificate, key)| Identity::read(certificate, key))
            .transpose()?;
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
        let free = network
            .most
            .map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
        Self {
            free,
            budget: Budget::default(),
            counters: Arc::default(),
            pace: Pace::default(),
        }
    }
}

/// Which of a pool's clients a URL is asked with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Only addresses of the internet are reached.
    pub public_only: bool,
    /// Bodies are given as they are sent, without decompression.
    pub raw: bool,
}

/// The connections of one client on one runtime.
#[derive(Debug)]
pub struct Pool {
    network: Arc<Network>,
    /// Shared by all pools of a client.
    pub shared: Arc<Shared>,
    /// Shared by all pools of the process.
    tls: Arc<Tls>,
    proxies: OnceLock<Arc<Proxies>>,
    decoding: Clients,
    raw: Clients,
}

/// HTTP clients with different settings, each made when it is needed first.
#[derive(Debug, Default)]
struct Clients {
    /// For URLs that never use TLS.
    plain: OnceCell<Client>,
    secure: OnceCell<Client>,
    public: OnceCell<Client>,
}

impl Pool {
    /// No connection is made yet.
    pub fn new(network: Arc<Network>, shared: Arc<Shared>, tls: Arc<Tls>) -> Self {
        let proxies = OnceLock::new();
        Self {
            network,
            shared,
            tls,
            proxies,
            decoding: Clients::default(),
            raw: Clients::default(),
        }
    }

    /// How long a connection may take to open.
    pub fn connect_limit(&self) -> Option<Duration> {
        self.network.connect
    }

    /// By way of what a connection to `url` is made, for an error's text; nothing if that is the network alone.
    pub fn way(&self, url: &Url) -> String {
        let proxy = self.proxies().ok().and_then(|proxies| proxies.of(url));
        proxy
            .map(|proxy| format!(" (by way of proxy {proxy})"))
            .unwrap_or_default()
    }

    /// What is wrong with the environment's certificates, for the text of an error about a server's; nothing if they are not used.
    pub fn distrust(&self) -> String {
        match &self.network.trust {
            Trust::System => environment_fault()
                .map(|why| format!(" ({why})"))
                .unwrap_or_default(),
            _ => String::new(),
        }
    }

    fn proxies(&self) -> Result<&Arc<Proxies>, Error> {
        get_or_try_init(&self.proxies, || {
            let proxies = self
                .network
                .proxy
                .as_ref()
                .map(Proxies::all)
                .map_or_else(Proxies::from_environment, Ok)?;
            Ok(Arc::new(proxies))
        })
    }

    /// The client for a URL.
    pub async fn client(&self, url: &Url, wanted: Wanted) -> Result<&Client, Error> {
        let proxies = self.proxies()?;
        let clients = if wanted.raw {
            &self.raw
        } else {
            &self.decoding
        };
        // A proxy may be spoken to over TLS even for an http URL.
        let is_plain =
            || url.scheme() == "http" && proxies.of(url).is_none_or(|proxy| proxy.is_plain());
        let (client, has_tls) = match wanted.public_only {
            true => (&clients.public, true),
            false if is_plain() => (&clients.plain, false),
            false => (&clients.secure, true),
        };
        match client.get() {
            Some(client) => Ok(client),
            None => {
                enter(Phase::Connect);
                client
                    .get_or_try_init(|| self.build(has_tls, wanted, proxies.clone()))
                    .await
            }
        }
    }

    /// Off the runtime's thread: reading the system's certificates takes so long that others would notice.
    async fn build(
        &self,
        has_tls: bool,
        wanted: Wanted,
        proxies: Arc<Proxies>,
    ) -> Result<Client, Error> {
        let (network, tls, connecting) = (
            self.network.clone(),
            self.tls.clone(),
            Connecting(self.shared.counters.clone()),
        );
        beside(move || {
            let tls = if has_tls {
                tls.config(&network.trust, network.identity.as_ref())?
            } else {
                tls.unused()?
            };
            client(&network, tls, wanted, proxies, connecting)
        })
        .await
    }
}

fn client(
    network: &Network,
    tls: rustls::ClientConfig,
    wanted: Wanted,
    proxies: Arc<Proxies>,
    connecting: Connecting,
) -> Result<Client, Error> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connector_layer(connecting)
        .tcp_keepalive(Duration::from_secs(15))
        .tcp_user_timeout(UNREAD)
        .pool_idle_timeout(Duration::from_secs(60));
    if let Some(limit) = network.connect {
        builder = builder.connect_timeout(limit);
    }
    if !proxies.is_empty() {
        builder = builder.proxy(reqwest::Proxy::custom(move |url| {
            proxies.of(url).map(|proxy| proxy.url().clone())
        }));
    }
    if wanted.public_only {
        builder = builder.dns_resolver(PublicOnly);
    }
    if wanted.raw {
        builder = builder.no_gzip().no_deflate();
    }
    builder.build().map_err(|error| {
        Error::new(
            Kind::Connect,
            format!("the HTTP client cannot be set up: {}", error.without_url()),
        )
    })
}
