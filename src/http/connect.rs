//! How connections are made, and what their failures mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use reqwest::Client;
use tower_service::Service;

use super::fetch_policy::PublicOnly;
use super::proxy::{Proxies, Proxy};
use super::timing::TimingLayer;
use super::tls::{Identity, Trust, certificate_problem};
use crate::error::{Error, Kind};
use crate::platform::limit_unacknowledged;

/// Options for the connections of a client.
#[derive(Debug, Default)]
pub(crate) struct ConnectOptions {
    /// The timeout for opening a connection, TLS included.
    pub(crate) timeout: Option<Duration>,
    /// The maximum number of concurrent requests.
    pub(crate) max_connections: Option<usize>,
    /// The proxy for all URLs. Without one, the environment decides.
    pub(crate) proxy: Option<Proxy>,
    /// Which server certificates are accepted.
    pub(crate) trust: Trust,
    /// The client certificate.
    pub(crate) identity: Option<Identity>,
}

impl ConnectOptions {
    /// Read the files of the options `ssl_cert_file` and `cert`.
    pub(crate) fn with_certificates(
        mut self,
        authorities: Option<&Path>,
        identity: Option<&(PathBuf, PathBuf)>,
    ) -> Result<Self, Error> {
        if let Some(path) = authorities {
            self.trust = Trust::file(path)?;
        }
        self.identity = identity
            .map(|(certificate, key)| Identity::read(certificate, key))
            .transpose()?;
        Ok(self)
    }
}

/// Create an HTTP client; with `is_public_only`, one that connects to public addresses only.
pub(crate) fn build_client(
    options: &ConnectOptions,
    tls: rustls::ClientConfig,
    is_public_only: bool,
    proxies: Arc<Proxies>,
    timing: TimingLayer,
) -> Result<Client, Error> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connector_layer(timing)
        .tcp_keepalive(Duration::from_secs(15))
        .pool_idle_timeout(Duration::from_secs(60));
    let mut builder = limit_unacknowledged(builder);
    if let Some(limit) = options.timeout {
        builder = builder.connect_timeout(limit);
    }
    if !proxies.is_empty() {
        builder = builder.proxy(reqwest::Proxy::custom(move |url| {
            proxies.for_url(url).map(|proxy| proxy.url().clone())
        }));
    }
    if is_public_only {
        builder = builder.dns_resolver(PublicOnly);
    }
    builder.build().map_err(|error| {
        let message = format!("the HTTP client cannot be set up: {}", error.without_url());
        Error::new(Kind::Connect, message)
    })
}

/// The error of reqwest's connector when a proxy opens no tunnel. It has no public name.
type TunnelError = <Tunnel<HttpConnector> as Service<Uri>>::Error;

/// Return whether the connection ended before the exchange.
fn is_disconnection(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || error.is_body_write_aborted()
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let (mut text, mut errno, mut untrusted) = (error.to_string(), None, None);
        let (mut is_broken, mut is_tunnel) = (false, false);
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text = inner.to_string();
            untrusted = untrusted.or_else(|| certificate_problem(inner.downcast_ref()?));
            let io = inner.downcast_ref::<std::io::Error>();
            errno = io.and_then(std::io::Error::raw_os_error).or(errno);
            is_broken |= io.is_some() || inner.downcast_ref().is_some_and(is_disconnection);
            is_tunnel |= inner.is::<TunnelError>() && inner.source().is_none();
            // An `io::Error` does not return the error it wraps as its source.
            cause = match io.and_then(std::io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => inner.source(),
            };
        }
        if let Some(problem) = untrusted {
            return Error::new(Kind::Untrusted, problem);
        }
        if is_tunnel {
            text = format!("the proxy did not open a tunnel to the server ({text})");
        }
        let kind = if error.is_connect() {
            Kind::Connect
        } else if error.is_builder() {
            Kind::Invalid
        } else if is_broken {
            Kind::Disconnected
        } else {
            Kind::Protocol
        };
        let sent = !matches!(kind, Kind::Connect | Kind::Invalid);
        Self {
            errno,
            sent,
            ..Self::new(kind, text)
        }
    }
}
