//! The connections of one client on one runtime.

use std::sync::{Arc, OnceLock};

use reqwest::Client;
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use super::connect::{ConnectOptions, build_client};
use super::proxy::Proxies;
use super::rate_limit::RateLimit;
use super::stats::Counters;
use super::throttle::Throttle;
use super::timing::{TimingLayer, enter_phase};
use super::tls::Tls;
use crate::error::{Error, Kind, Phase};
use crate::lock::get_or_try_init;
use crate::off_thread::off_thread;
use crate::retry::Budget;

/// The state that all connections of a client in one process share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// One permit per request, where their number is limited.
    pub(crate) permits: Option<Arc<Semaphore>>,
    pub(crate) budget: Budget,
    pub(crate) counters: Arc<Counters>,
    pub(crate) rate_limit: RateLimit,
    /// The rate limit of creates.
    pub(crate) create_limit: RateLimit,
    pub(crate) throttle: Throttle,
}

impl Shared {
    pub(crate) fn new(options: &ConnectOptions) -> Self {
        let permits = options
            .max_connections
            .map(|max| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))));
        Self {
            permits,
            ..Self::default()
        }
    }
}

/// The connections of one client on one runtime.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    options: Arc<ConnectOptions>,
    /// Shared by all pools of a client.
    pub(crate) shared: Arc<Shared>,
    /// Shared by all pools of the process.
    tls: Arc<Tls>,
    proxies: OnceLock<Arc<Proxies>>,
    clients: Clients,
}

/// HTTP clients with different settings, each created at its first use.
#[derive(Debug, Default)]
struct Clients {
    /// For URLs that never use TLS.
    plain: OnceCell<Client>,
    secure: OnceCell<Client>,
    public: OnceCell<Client>,
}

impl Pool {
    pub(crate) fn new(options: Arc<ConnectOptions>, shared: Arc<Shared>, tls: Arc<Tls>) -> Self {
        Self {
            options,
            shared,
            tls,
            ..Self::default()
        }
    }

    /// Add to an error what the user can check: the timeout and the proxy of a failed connection.
    pub(crate) fn describe(&self, url: &Url, error: reqwest::Error) -> Error {
        let mut error = match self.options.timeout {
            Some(limit) if error.is_connect() && error.is_timeout() => {
                Error::timeout(Phase::Connect, limit)
            }
            _ => error.into(),
        };
        match error.kind {
            Kind::Connect | Kind::Timeout(Phase::Connect, _) => {
                if let Some(proxy) = self.proxies().ok().and_then(|proxies| proxies.for_url(url)) {
                    error
                        .message
                        .push_str(&format!(" (by way of proxy {proxy})"));
                }
            }
            _ => {}
        }
        error
    }

    fn proxies(&self) -> Result<&Arc<Proxies>, Error> {
        get_or_try_init(&self.proxies, || {
            Ok(Arc::new(match &self.options.proxy {
                Some(proxy) => Proxies::all(proxy),
                None => Proxies::from_environment()?,
            }))
        })
    }

    /// Return the HTTP client for a URL; with `is_public_only`, one that connects to public
    /// addresses only.
    pub(crate) async fn client(&self, url: &Url, is_public_only: bool) -> Result<&Client, Error> {
        let proxies = self.proxies()?;
        // The connection to a proxy may use TLS even for an http URL.
        let is_plain =
            || url.scheme() == "http" && proxies.for_url(url).is_none_or(|proxy| proxy.is_plain());
        let (client, has_tls) = match is_public_only {
            true => (&self.clients.public, true),
            false if is_plain() => (&self.clients.plain, false),
            false => (&self.clients.secure, true),
        };
        if let Some(client) = client.get() {
            return Ok(client);
        }
        enter_phase(Phase::Connect);
        client
            .get_or_try_init(|| self.build(has_tls, is_public_only, proxies.clone()))
            .await
    }

    /// Create a client, off the runtime's thread: reading the system's certificates would delay all
    /// other calls.
    async fn build(
        &self,
        has_tls: bool,
        is_public_only: bool,
        proxies: Arc<Proxies>,
    ) -> Result<Client, Error> {
        let (options, tls) = (self.options.clone(), self.tls.clone());
        let timing = TimingLayer(self.shared.counters.clone());
        off_thread(move || {
            let tls = if has_tls {
                tls.config(&options.trust, options.identity.as_ref())?
            } else {
                tls.unused()?
            };
            build_client(&options, tls, is_public_only, proxies, timing)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::send;
    use super::super::test_server::{get, pool, run, serve};
    use super::*;

    #[test]
    fn clients_are_created_once_for_each_kind() {
        run(async {
            let pool = pool(ConnectOptions::default());
            let [http, https] =
                ["http://a.test/", "https://a.test/"].map(|url| Url::parse(url).unwrap());
            let mut clients = Vec::new();
            for (url, is_public_only) in [(&http, false), (&https, false), (&http, true)] {
                let client: *const Client = pool.client(url, is_public_only).await.unwrap();
                assert_eq!(client, pool.client(url, is_public_only).await.unwrap());
                assert!(!clients.contains(&client));
                clients.push(client);
            }
        });
    }

    #[test]
    fn a_failed_connection_names_its_proxy_without_the_password() {
        run(async {
            let (unused, _requests) = serve::<&str>(vec![]).await;
            let proxy = format!("http://me:secret@127.0.0.1:{}", unused.port().unwrap());
            let proxy = Some(super::super::proxy::Proxy::parse("proxy", &proxy).unwrap());
            let limit = Some(std::time::Duration::from_millis(50));
            let pool = pool(ConnectOptions {
                proxy,
                timeout: limit,
                ..ConnectOptions::default()
            });
            let request = get(Url::parse("https://a.test/").unwrap());
            let request = super::super::request::Request {
                retries: 0,
                ..request
            };
            let error = send(&pool, &request).await.unwrap_err();
            assert!(
                matches!(error.kind, Kind::Timeout(Phase::Connect, _)),
                "{error:?}"
            );
            assert!(
                error.message.contains("by way of proxy http://127.0.0.1:"),
                "{error}"
            );
            assert!(!error.message.contains("secret"));
        });
    }
}
