//! What differs between operating systems and processors. No other module asks which one it is
//! built for, except tests.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ::base64::engine::GeneralPurposeConfig;
use reqwest::ClientBuilder;
use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;

/// The allocator on musl, whose own is slow. Memory of the interpreter is not allocated with it.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whether the operating system has settings for proxies, beside the environment's.
pub(crate) const HAS_PROXY_SETTINGS: bool = cfg!(any(target_os = "macos", windows));

/// Have glibc keep up to 8 MB of freed memory. Until a program has freed a block of some size, glibc returns
/// such blocks to the system and takes them again: a page fault for each 4 KB of every file.
///
/// glibc learns this from the largest block that was freed, up to 32 MB (`mallopt(3)`, `M_MMAP_THRESHOLD`).
/// The block is not written to, so that it needs no memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_freed_memory() {
    static KEPT: std::sync::Once = std::sync::Once::new();
    KEPT.call_once(|| {
        let mut block = Vec::<u8>::new();
        // Without this memory, nothing is kept.
        drop(block.try_reserve_exact(4 << 20));
        drop(std::hint::black_box(block));
    });
}
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed_memory() {}

/// Limit how long sent data may stay unacknowledged, or the peer's window closed, so that an
/// abandoned request does not keep its socket. Only Linux has such a limit; elsewhere the
/// system's own applies, which has no end if the peer only keeps its window closed.
#[cfg(target_os = "linux")]
pub(crate) fn limit_unacknowledged(builder: ClientBuilder) -> ClientBuilder {
    builder.tcp_user_timeout(std::time::Duration::from_secs(60))
}
#[cfg(not(target_os = "linux"))]
pub(crate) fn limit_unacknowledged(builder: ClientBuilder) -> ClientBuilder {
    builder
}

/// Create a verifier of servers that trusts whom the operating system trusts. Where that is written
/// in files, `read` turns a file and folders into authorities; other systems have a service.
#[cfg(target_os = "linux")]
pub(crate) fn system_verifier(
    provider: Arc<CryptoProvider>,
    read: impl FnOnce(Option<PathBuf>, Vec<PathBuf>) -> RootCertStore,
) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    let found = openssl_probe::probe();
    let roots = Arc::new(read(found.cert_file, found.cert_dir));
    rustls::client::WebPkiServerVerifier::builder_with_provider(roots, provider)
        .build()
        .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
        .map_err(|error| rustls::Error::General(error.to_string()))
}
#[cfg(not(target_os = "linux"))]
pub(crate) fn system_verifier(
    provider: Arc<CryptoProvider>,
    _: impl FnOnce(Option<PathBuf>, Vec<PathBuf>) -> RootCertStore,
) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    Ok(Arc::new(rustls_platform_verifier::Verifier::new(provider)?))
}

/// Read bytes of a file that begin at `offset`, and return how many.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, buffer, offset);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_read(file, buffer, offset);
}

/// A socket through which any thread wakes an event loop that watches it. Both ends are ours, so
/// that a write never meets a closed peer.
#[cfg(unix)]
pub(crate) struct WakeSocket {
    writer: std::os::unix::net::UnixStream,
    reader: std::os::unix::net::UnixStream,
}

#[cfg(unix)]
impl WakeSocket {
    /// Create a socket; None on systems whose event loops are woken in another way.
    pub(crate) fn open() -> io::Result<Option<Self>> {
        let (writer, reader) = std::os::unix::net::UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        reader.set_nonblocking(true)?;
        Ok(Some(Self { writer, reader }))
    }

    /// Return the file descriptor that a loop watches.
    pub(crate) fn descriptor(&self) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(&self.reader)
    }

    /// Wake the loop. If the socket is full, the loop will wake up in any case.
    pub(crate) fn wake(&self) {
        drop(io::Write::write(&mut &self.writer, b"!"));
    }

    /// Remove what woke the loop.
    pub(crate) fn clear(&self) {
        drop(io::Read::read(&mut &self.reader, &mut [0; 64]));
    }
}

/// No socket: asyncio's default loop on Windows cannot watch one.
#[cfg(not(unix))]
pub(crate) struct WakeSocket(std::convert::Infallible);

#[cfg(not(unix))]
impl WakeSocket {
    pub(crate) fn open() -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn descriptor(&self) -> i32 {
        match self.0 {}
    }

    pub(crate) fn wake(&self) {
        match self.0 {}
    }

    pub(crate) fn clear(&self) {
        match self.0 {}
    }
}

/// An encoder and decoder of base64, vectorised where the processor can.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) type Base64 = ::base64::engine::Simd;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) type Base64 = ::base64::engine::GeneralPurpose;

/// Create an encoder and decoder of standard base64.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) fn base64(config: GeneralPurposeConfig) -> Base64 {
    Base64::standard(config)
}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn base64(config: GeneralPurposeConfig) -> Base64 {
    Base64::new(&::base64::alphabet::STANDARD, config)
}
