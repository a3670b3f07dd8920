//! One TLS configuration per process, made at the first https request.

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_platform_verifier::Verifier;

use crate::error::{Error, Kind};

/// The configurations that the clients of a process share: parsed roots and session caches are large.
#[derive(Debug, Default)]
pub struct Tls {
    system: OnceLock<ClientConfig>,
    unused: OnceLock<ClientConfig>,
}

impl Tls {
    /// Trusts what the operating system trusts; where it has no certificates (a bare container), Mozilla's list.
    pub fn trusting_the_system(&self) -> Result<ClientConfig, Error> {
        let made = || {
            let provider = Arc::new(aws_lc_rs::default_provider());
            let verifier = system_verifier(provider.clone()).map_err(broken)?;
            config(provider, Arc::new(verifier))
        };
        get_or_try_init(&self.system, made).cloned()
    }

    /// Trusts nobody: for connections that never use TLS, so that these do not pay for the system's roots.
    pub fn unused(&self) -> Result<ClientConfig, Error> {
        get_or_try_init(&self.unused, trusting_nobody).cloned()
    }
}

fn trusting_nobody() -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(broken)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(config)
}

#[cfg(all(unix, not(any(target_vendor = "apple", target_os = "android"))))]
fn system_verifier(provider: Arc<CryptoProvider>) -> Result<Verifier, rustls::Error> {
    Verifier::new(provider.clone())
        .or_else(|_| Verifier::new_with_extra_roots(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned(), provider))
}

#[cfg(not(all(unix, not(any(target_vendor = "apple", target_os = "android")))))]
fn system_verifier(provider: Arc<CryptoProvider>) -> Result<Verifier, rustls::Error> {
    Verifier::new(provider)
}

fn config(provider: Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(broken)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Connect, format!("TLS cannot be set up: {error}"))
}

/// A `OnceLock` whose making may fail.
pub fn get_or_try_init<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T, Error>) -> Result<&T, Error> {
    match cell.get() {
        Some(made) => Ok(made),
        None => {
            let made = make()?;
            Ok(cell.get_or_init(|| made))
        }
    }
}
