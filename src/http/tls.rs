//! TLS: who is trusted, and client certificates.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

use super::authorities::{PemFile, authorities, certificates, default_verifier, unusable};
use crate::error::{Error, Kind};
use crate::lock::get_or_try_init;

/// Which server certificates are accepted.
#[derive(Clone, Debug, Default)]
pub(crate) enum Trust {
    /// Those signed by an authority that the environment names, or else the operating system; in a
    /// container without any, Mozilla's list.
    #[default]
    System,
    /// Those signed by one of these authorities.
    Only(Arc<RootCertStore>),
    /// All.
    Anyone,
}

impl Trust {
    /// Read the authorities of a PEM file.
    pub(crate) fn file(path: &Path) -> Result<Self, Error> {
        Ok(Self::Only(Arc::new(authorities(path)?)))
    }
}

/// A client certificate and its private key.
#[derive(Debug)]
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Read two PEM files, which may be the same.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let chain = certificates(certificate)?;
        let read = PrivateKeyDer::from_pem_slice(PemFile::read(key)?.text())
            .map_err(|error| unusable(key, &format!("no private key in it: {error}")))?;
        let identity = Self { chain, key: read };
        // Checks that the two belong together, before the first request.
        config(&Trust::Anyone, Some(&identity)).map_err(|error| {
            unusable(
                key,
                &format!(
                    "{}, with the certificate {}",
                    error.message,
                    certificate.display()
                ),
            )
        })?;
        Ok(identity)
    }
}

/// TLS configurations shared by the clients of a process: parsed roots and session caches are
/// large.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    system: OnceLock<ClientConfig>,
    unused: OnceLock<ClientConfig>,
}

impl Tls {
    /// Return the configuration for a client.
    pub(crate) fn config(
        &self,
        trust: &Trust,
        identity: Option<&Identity>,
    ) -> Result<ClientConfig, Error> {
        match (trust, identity) {
            (Trust::System, None) => get_or_try_init(&self.system, || config(trust, None)).cloned(),
            _ => config(trust, identity),
        }
    }

    /// Return a configuration without any trust, for connections that never use TLS: loading the
    /// system's roots is slow.
    pub(crate) fn unused(&self) -> Result<ClientConfig, Error> {
        get_or_try_init(&self.unused, || {
            config(&Trust::Only(Arc::new(RootCertStore::empty())), None)
        })
        .cloned()
    }
}

fn config(trust: &Trust, identity: Option<&Identity>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(broken)?;
    let verified = match trust {
        Trust::System => builder
            .dangerous()
            .with_custom_certificate_verifier(default_verifier(provider)?),
        Trust::Only(roots) => builder.with_root_certificates(roots.clone()),
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny(provider))),
    };
    match identity {
        None => Ok(verified.with_no_client_auth()),
        Some(own) => verified
            .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
            .map_err(broken),
    }
}

/// Accepts every certificate. The peer must still prove that it has the certificate's key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Describe what is wrong with a certificate and what the user can do; None for other TLS errors.
pub(crate) fn certificate_problem(error: &rustls::Error) -> Option<String> {
    let why = match error {
        rustls::Error::InvalidCertificate(why) => why,
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            return Some(
                "the server wants a client certificate: name its PEM file with cert=".to_owned(),
            );
        }
        _ => return None,
    };
    let why = match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name".to_owned()
        }
        CertificateError::UnknownIssuer => {
            let mend = "if that is as it should be, name its authority's PEM file with ssl_cert_file= or SSL_CERT_FILE";
            format!("is signed by no authority that is trusted, or by itself; {mend}")
        }
        CertificateError::Revoked => "was revoked".to_owned(),
        other => format!("cannot be trusted ({other:?})"),
    };
    Some(format!("the server's certificate {why}"))
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Connect, format!("TLS cannot be set up: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(why: CertificateError) -> Option<String> {
        certificate_problem(&rustls::Error::InvalidCertificate(why))
    }

    #[test]
    fn a_refused_certificate_is_explained() {
        for (why, words) in [
            (CertificateError::Expired, "has expired"),
            (CertificateError::NotValidForName, "is for another name"),
            (CertificateError::UnknownIssuer, "ssl_cert_file="),
            (CertificateError::Revoked, "was revoked"),
        ] {
            assert!(problem(why).unwrap().contains(words), "{words}");
        }
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        assert!(certificate_problem(&alert).unwrap().contains("cert="));
        assert_eq!(
            certificate_problem(&rustls::Error::HandshakeNotComplete),
            None
        );
    }

    #[test]
    fn files_that_hold_no_certificate_are_refused() {
        let path = std::env::temp_dir().join(format!("replicate-rs-{:x}.pem", fastrand::u64(..)));
        let malformed = b"-----BEGIN CERTIFICATE-----\n@@\n-----END CERTIFICATE-----\n";
        for content in [&b""[..], b"text", malformed, b"\xef\xbb\xbf"] {
            std::fs::write(&path, content).unwrap();
            let error = Trust::file(&path).unwrap_err();
            assert!(
                error.message.contains("is not a usable PEM file"),
                "{error}"
            );
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Trust::file(&path).is_err());
        assert!(Identity::read(&path, &path).is_err());
    }

    #[test]
    fn the_system_s_configuration_is_created_once() {
        let tls = Tls::default();
        let [first, second] = [(); 2].map(|()| tls.config(&Trust::System, None).unwrap());
        assert!(Arc::ptr_eq(
            first.crypto_provider(),
            second.crypto_provider()
        ));
        let unused = tls.unused().unwrap();
        assert!(!Arc::ptr_eq(
            first.crypto_provider(),
            unused.crypto_provider()
        ));
    }
}
