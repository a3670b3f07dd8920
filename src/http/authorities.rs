//! The authorities whose certificates are trusted: those of a PEM file, of the environment, or of
//! the system.

use std::collections::{BTreeSet, HashSet};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::error::{Error, Kind};
use crate::platform::system_verifier;

/// Environment variables, as in OpenSSL.
const CERT_FILE: &str = "SSL_CERT_FILE";
const CERT_DIR: &str = "SSL_CERT_DIR";

/// Larger than any list of certificates. A device such as `/dev/zero` has no end.
const MAX_FILE: u64 = 64 << 20;
/// The byte order mark that some editors put before UTF-8 text. PEM parsers do not accept it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A PEM file, in memory that is wiped when dropped, since it may hold a key.
pub(crate) struct PemFile(Zeroizing<Vec<u8>>);

impl PemFile {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut content = Zeroizing::new(Vec::new());
        File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_end(&mut content))
            .map(|_| Self(content))
            .map_err(|error| unusable(path, &error.to_string()))
    }

    /// Return the content without its byte order mark.
    pub(crate) fn text(&self) -> &[u8] {
        self.0.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.0)
    }
}

/// Create the error for a file that has not what it should have.
pub(crate) fn unusable(path: &Path, why: &str) -> Error {
    Error::invalid(format!(
        "{} is not a usable PEM file: {why}",
        path.display()
    ))
}

/// Read the certificates of a file. One that is malformed is an error.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    match CertificateDer::pem_slice_iter(PemFile::read(path)?.text()).collect::<Result<Vec<_>, _>>()
    {
        Ok(found) if found.is_empty() => Err(unusable(path, "no certificate in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(path, &error.to_string())),
    }
}

/// Read the authorities of a file that a program names.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(path)?);
    if roots.is_empty() {
        return Err(unusable(path, "none of its certificates can be read"));
    }
    Ok(roots)
}

/// Create the verifier for clients that name no authorities. Those of the environment replace the
/// system's; where the system has none, as in a small container, Mozilla's list does.
pub(crate) fn default_verifier(
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(Kind::Connect, format!("TLS cannot be set up: {error}"))
    };
    if let Some(roots) = named_authorities(env::var_os(CERT_FILE), env::var_os(CERT_DIR))? {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .map_err(|error| failed(&error))?;
        return Ok(verifier);
    }
    system_verifier(provider, system_authorities).map_err(|error| failed(&error))
}

/// Read the system's authorities, or Mozilla's list if there are none. What cannot be read is not
/// the user's mistake.
fn system_authorities(file: Option<PathBuf>, folders: Vec<PathBuf>) -> RootCertStore {
    let mut found = Found::default();
    if let Some(path) = file {
        let _ = found.add_file(&path);
    }
    for path in folders {
        let _ = found.add_folder(&path);
    }
    let mut roots = found.into_roots();
    if roots.is_empty() {
        let list = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        roots.add_parsable_certificates(list.iter().cloned());
    }
    roots
}

/// Read the authorities that the values of the environment variables name; None if both are
/// missing or blank. A path that does not exist is an error, and so is no certificate at all.
fn named_authorities(
    file: Option<OsString>,
    folders: Option<OsString>,
) -> Result<Option<RootCertStore>, Error> {
    let [file, folders] = [file, folders].map(|value| value.filter(|value| !is_blank(value)));
    if file.is_none() && folders.is_none() {
        return Ok(None);
    }
    let mut found = Found::default();
    if let Some(path) = &file {
        found
            .add_file(Path::new(path))
            .map_err(|error| unusable_variable(CERT_FILE, &error.message))?;
    }
    let folders = folders.unwrap_or_default();
    for path in env::split_paths(&folders).filter(|path| !is_blank(path.as_os_str())) {
        found.add_folder(&path).map_err(|error| {
            unusable_variable(CERT_DIR, &format!("{}: {error}", path.display()))
        })?;
    }
    let roots = found.into_roots();
    if roots.is_empty() {
        let why = format!("{}: there is no certificate in it", folders.display());
        return Err(unusable_variable(CERT_DIR, &why));
    }
    Ok(Some(roots))
}

fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

fn unusable_variable(name: &str, why: &str) -> Error {
    let message = format!("the certificates of {name} cannot be used: {why}");
    Error::new(Kind::Untrusted, message)
}

/// Certificates from files that may name the same one several times.
#[derive(Default)]
struct Found(HashSet<CertificateDer<'static>>);

impl Found {
    /// Add those of a file. Lists of certificates often have some that cannot be read.
    fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let content = PemFile::read(path)?;
        let mut usable = CertificateDer::pem_slice_iter(content.text())
            .filter_map(Result::ok)
            .filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok())
            .peekable();
        if usable.peek().is_none() {
            return Err(unusable(path, "no certificate in it"));
        }
        self.0.extend(usable);
        Ok(())
    }

    /// Add those of the files in a folder.
    fn add_folder(&mut self, path: &Path) -> std::io::Result<()> {
        // `openssl rehash` adds a link to each file.
        let files = path
            .read_dir()?
            .filter_map(|entry| entry.ok()?.path().canonicalize().ok())
            .filter(|path| path.is_file())
            .collect::<BTreeSet<_>>();
        for path in files {
            // Such folders have other files too.
            let _ = self.add_file(&path);
        }
        Ok(())
    }

    fn into_roots(self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.0);
        roots
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;
    use crate::base64::BASE64;

    /// A folder with two certificates, a link to one of them and a file without any.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, authority) in ["a.pem", "b.pem"]
            .iter()
            .zip(webpki_root_certs::TLS_SERVER_ROOT_CERTS)
        {
            let text = BASE64.encode(authority);
            let pem =
                format!("\u{feff}-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
            std::fs::write(folder.path().join(name), pem).unwrap();
        }
        std::fs::copy(
            folder.path().join("a.pem"),
            folder.path().join("0123abcd.0"),
        )
        .unwrap();
        std::fs::write(folder.path().join("README"), "text").unwrap();
        folder
    }

    fn named(file: &OsStr, folders: &OsStr) -> Result<Option<usize>, String> {
        named_authorities(Some(file.into()), Some(folders.into()))
            .map(|roots| roots.map(|roots| roots.len()))
            .map_err(|error| error.message)
    }

    #[test]
    fn variables_name_a_file_and_folders() {
        let (folder, empty) = (folder(), tempfile::tempdir().unwrap());
        let file = folder.path().join("a.pem");
        let folders = env::join_paths([empty.path(), "".as_ref(), folder.path()]).unwrap();
        let nothing = OsStr::new("");
        assert_eq!(named(file.as_os_str(), nothing), Ok(Some(1)));
        assert_eq!(named(OsStr::new(" "), &folders), Ok(Some(2)));
        assert_eq!(named(file.as_os_str(), &folders), Ok(Some(2)));
        assert_eq!(
            named(file.as_os_str(), empty.path().as_os_str()),
            Ok(Some(1))
        );
    }

    #[test]
    fn blank_variables_are_missing() {
        assert_eq!(named(OsStr::new(""), OsStr::new(" ")), Ok(None));
        assert!(named_authorities(None, None).unwrap().is_none());
    }

    #[test]
    fn a_variable_that_names_no_certificates_is_an_error() {
        let (folder, empty) = (folder(), tempfile::tempdir().unwrap());
        let (file, none) = (folder.path().join("a.pem"), OsStr::new(""));
        let missing = folder.path().join("missing");
        let both = env::join_paths([folder.path(), &missing]).unwrap();
        for (file, folders, variable, path) in [
            (missing.as_os_str(), none, CERT_FILE, &*missing),
            (
                missing.as_os_str(),
                folder.path().as_os_str(),
                CERT_FILE,
                &*missing,
            ),
            (folder.path().as_os_str(), none, CERT_FILE, folder.path()),
            (none, missing.as_os_str(), CERT_DIR, &*missing),
            (none, &both, CERT_DIR, &*missing),
            (file.as_os_str(), missing.as_os_str(), CERT_DIR, &*missing),
            (none, file.as_os_str(), CERT_DIR, &*file),
            (none, empty.path().as_os_str(), CERT_DIR, empty.path()),
        ] {
            let problem = named(file, folders).unwrap_err();
            let begin = format!(
                "the certificates of {variable} cannot be used: {}",
                path.display()
            );
            assert!(problem.starts_with(&begin), "{problem}");
        }
    }

    #[test]
    fn mozilla_s_list_replaces_the_system_s_only_if_that_is_empty() {
        let folder = folder();
        let all = webpki_root_certs::TLS_SERVER_ROOT_CERTS.len();
        let missing = folder.path().join("missing");
        assert_eq!(system_authorities(None, Vec::new()).len(), all);
        assert_eq!(
            system_authorities(Some(missing.clone()), vec![missing]).len(),
            all
        );
        assert_eq!(
            system_authorities(None, vec![folder.path().into()]).len(),
            2
        );
    }
}
