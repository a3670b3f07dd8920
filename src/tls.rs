//! One TLS configuration per process, made at the first https request.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_platform_verifier::Verifier;

use crate::error::{Error, Kind};

/// Trusts what the operating system trusts; where it has no certificates (a bare container), Mozilla's list.
pub fn trusting_the_system() -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = system_verifier(provider.clone()).map_err(broken)?;
    config(provider, Arc::new(verifier))
}

/// Trusts nobody: for connections that never use TLS, so that these do not pay for the system's roots.
pub fn trusting_nobody() -> Result<ClientConfig, Error> {
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
