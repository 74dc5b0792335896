//! Certificates: given as PEM files, or made once and kept beside the data.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::StartError;

/// A certificate chain and its key.
///
/// ```
/// let identity = api_mock_server::Identity::generate(["localhost", "127.0.0.1"])?;
/// assert!(identity.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----"));
/// # Ok::<(), api_mock_server::StartError>(())
/// ```
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pem: String,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Identity { chain: self.chain.clone(), key: self.key.clone_key(), pem: self.pem.clone() }
    }
}

impl Identity {
    /// Reads a certificate chain and a key, both PEM. One file may hold both. Blocks while it reads.
    ///
    /// # Errors
    /// A file cannot be read or holds no such thing.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, StartError> {
        let at = |path: &Path, message: String| StartError::Certificate { path: path.to_owned(), message };
        let pem = fs::read_to_string(certificate).map_err(|error| at(certificate, error.to_string()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let chain = chain.map_err(|error| at(certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(at(certificate, "no PEM certificate in it".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, error.to_string()))?;
        Ok(Identity { chain, key, pem })
    }

    /// Makes a self-signed certificate for host names and addresses.
    ///
    /// # Errors
    /// A name is not one.
    pub fn generate<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, StartError> {
        let (identity, _) = make(names)?;
        Ok(identity)
    }

    /// The certificate made for `names` in this folder at an earlier start, or a new one that is kept there as
    /// `cert.pem` and `key.pem` (for its owner only). Blocks.
    ///
    /// # Errors
    /// The folder cannot be written, or holds something else.
    pub fn kept_in<'a>(folder: &Path, names: impl IntoIterator<Item = &'a str>) -> Result<Self, StartError> {
        let (cert_path, key_path) = (folder.join("cert.pem"), folder.join("key.pem"));
        if cert_path.exists() && key_path.exists() {
            return Identity::from_files(&cert_path, &key_path);
        }
        let (identity, key_pem) = make(names)?;
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| StartError::Certificate { path, message: error.to_string() }
        };
        fs::create_dir_all(folder).map_err(at(folder))?;
        write_private(&key_path, &key_pem).map_err(at(&key_path))?;
        fs::write(&cert_path, &identity.pem).map_err(at(&cert_path))?;
        Ok(identity)
    }

    /// The certificates as PEM, for clients that are to trust them.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// What rustls wants: HTTP/2 where the client can, else HTTP/1.1.
    pub(crate) fn acceptor(self) -> Result<tokio_rustls::TlsAcceptor, StartError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(tokio_rustls::TlsAcceptor::from(Arc::new(config)))
    }
}

fn make<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(Identity, String), StartError> {
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let made = rcgen::generate_simple_self_signed(names).map_err(StartError::Generate)?;
    let key_pem = made.signing_key.serialize_pem();
    let pem = made.cert.pem();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| StartError::Certificate {
        path: PathBuf::from("key.pem"),
        message: error.to_string(),
    })?;
    Ok((Identity { chain: vec![made.cert.der().clone()], key, pem }, key_pem))
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)?.write_all(text.as_bytes())
}
