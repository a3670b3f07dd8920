//! Files, POST requests and one prediction over TLS.

use std::io::{Error, Result};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{BODY, answer, files};

/// The certificate of the tests; `benches/machine.py` makes clients trust it.
const CERTIFICATE: &[u8] = include_bytes!("../../tests/security/tls/cert.pem");
const KEY: &[u8] = include_bytes!("../../tests/security/tls/key.pem");

/// The limit of the TLS write buffer, in bytes.
const BLOCK: usize = 256 * 1024;

/// Return the TLS configuration of the server.
///
/// It has one protocol version and one cipher suite, so that all clients do the same work. OpenSSL
/// and rustls prefer this suite, and BoringSSL accepts it.
pub fn acceptor() -> Result<TlsAcceptor> {
    let cipher = aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384;
    let provider = CryptoProvider {
        cipher_suites: vec![cipher],
        ..aws_lc_rs::default_provider()
    };
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).map_err(Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(KEY).map_err(Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
        })
        .map_err(Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accept connections for as long as the server runs.
pub async fn listen(listener: TcpListener, acceptor: TlsAcceptor) -> Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move { serve(socket, acceptor).await });
    }
}

async fn serve(socket: TcpStream, acceptor: TlsAcceptor) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = acceptor.accept(socket).await?;
    socket.get_mut().1.set_buffer_limit(Some(BLOCK));
    let mut request = Vec::with_capacity(4096);
    while files::read_head(&mut socket, &mut request).await? {
        if request.starts_with(b"GET /v1/") {
            socket.write_all(&answer("200 OK", BODY.trim_end())).await?;
            socket.flush().await?;
        } else if !files::serve(&mut socket, &request, "https").await? {
            break;
        }
    }
    Ok(())
}
