//! The certificate authority of this installation, and the certificates of hosts that it signs.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

/// Hosts whose certificates are kept.
const HOSTS: usize = 1_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Some clients refuse certificates that are valid for longer than 398 days.
const LEAF_DAYS: u32 = 390;

/// Why there is no authority, or no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// A file cannot be read or written.
    #[error("certificate authority: {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A key or certificate cannot be read or made.
    #[error("certificate authority: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A key is of a kind that is not supported.
    #[error("certificate authority: {0}")]
    Tls(#[from] rustls::Error),
}

/// Signs certificates for the hosts that clients think they speak to. Each installation makes its own at the first use;
/// its key never leaves the machine.
pub struct CertificateAuthority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    /// All hosts share a key, which is made anew at each start.
    leaf_key: KeyPair,
    signing: Arc<dyn rustls::sign::SigningKey>,
    provider: Arc<rustls::crypto::CryptoProvider>,
    made: Mutex<Made>,
}

/// What was made, the oldest first.
#[derive(Default)]
struct Made {
    configs: HashMap<String, Arc<rustls::ServerConfig>>,
    keys: HashMap<String, Arc<CertifiedKey>>,
    order: VecDeque<String>,
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateAuthority(…)")
    }
}

impl CertificateAuthority {
    /// The authority kept in this folder as `ca.pem` and `ca-key.pem` (for its owner only), made now if there is none.
    /// Blocks.
    ///
    /// # Errors
    /// The folder cannot be written, or holds something else.
    pub fn kept_in(folder: &Path) -> Result<Arc<Self>, CaError> {
        let (cert_path, key_path) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| CaError::File { path, source }
        };
        let key = match fs::read_to_string(&key_path) {
            Ok(pem) => KeyPair::from_pem(&pem)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                fs::create_dir_all(folder).map_err(at(folder))?;
                match write_private(&key_path, &key.serialize_pem()) {
                    // Another process was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        KeyPair::from_pem(&fs::read_to_string(&key_path).map_err(at(&key_path))?)?
                    }
                    written => written.map(|()| key).map_err(at(&key_path))?,
                }
            }
            Err(error) => return Err(at(&key_path)(error)),
        };
        let known = fs::read_to_string(&cert_path).ok();
        let authority = CertificateAuthority::new(key, known)?;
        if fs::read_to_string(&cert_path).ok().as_deref() != Some(authority.certificate_pem()) {
            fs::write(&cert_path, authority.certificate_pem()).map_err(at(&cert_path))?;
        }
        Ok(Arc::new(authority))
    }

    /// One that is kept nowhere.
    ///
    /// # Errors
    /// No key can be made.
    pub fn generate() -> Result<Arc<Self>, CaError> {
        Ok(Arc::new(CertificateAuthority::new(KeyPair::generate()?, None)?))
    }

    fn new(key: KeyPair, known: Option<String>) -> Result<Self, CaError> {
        use rustls::pki_types::pem::PemObject;
        let params = authority_params(&key)?;
        let known = known.and_then(|pem| Some((CertificateDer::from_pem_slice(pem.as_bytes()).ok()?, pem)));
        let (der, pem) = match known {
            Some(known) => known,
            None => {
                let certificate = params.self_signed(&key)?;
                (certificate.der().clone(), certificate.pem())
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let leaf_key = KeyPair::generate()?;
        let der_key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let signing = provider.key_provider.load_private_key(der_key)?;
        let issuer = Issuer::new(params, key);
        Ok(CertificateAuthority { pem, der, issuer, leaf_key, signing, provider, made: Mutex::default() })
    }

    /// Its certificate as PEM, for clients that are to trust it. The key is told to nobody.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate as DER, which some systems want.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.der
    }

    /// How to be this host.
    pub(crate) fn server_config(self: &Arc<Self>, host: &str) -> Result<Arc<rustls::ServerConfig>, CaError> {
        let host = host.to_ascii_lowercase();
        if let Some(config) = self.made().configs.get(&host) {
            return Ok(Arc::clone(config));
        }
        let resolver = Arc::new(ByName { authority: Arc::clone(self), host: host.clone() });
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let mut made = self.made();
        made.make_room();
        if made.configs.insert(host.clone(), Arc::clone(&config)).is_none() {
            made.order.push_back(host);
        }
        Ok(config)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn certificate_for(&self, host: &str) -> Result<Arc<CertifiedKey>, CaError> {
        if let Some(key) = self.made().keys.get(host) {
            return Ok(Arc::clone(key));
        }
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        // Names over 64 characters do not fit there, and nobody looks.
        params.distinguished_name = rcgen::DistinguishedName::new();
        if host.len() <= 64 {
            params.distinguished_name.push(DnType::CommonName, host);
        }
        let now = SystemTime::now();
        params.not_before = (now - DAY).into();
        params.not_after = (now + DAY * LEAF_DAYS).into();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&self.leaf_key, &self.issuer)?;
        let chain = vec![certificate.der().clone(), self.der.clone()];
        let key = Arc::new(CertifiedKey::new(chain, Arc::clone(&self.signing)));
        let mut made = self.made();
        made.make_room();
        if made.keys.insert(host.to_owned(), Arc::clone(&key)).is_none() {
            made.order.push_back(host.to_owned());
        }
        Ok(key)
    }
}

impl Made {
    fn make_room(&mut self) {
        while self.order.len() >= HOSTS * 2 {
            let Some(oldest) = self.order.pop_front() else { return };
            self.configs.remove(&oldest);
            self.keys.remove(&oldest);
        }
    }
}

/// The certificate for the name that a client asks for; for the host of its tunnel if it asks for none.
#[derive(Debug)]
struct ByName {
    authority: Arc<CertificateAuthority>,
    host: String,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name().unwrap_or(&self.host).to_ascii_lowercase();
        match self.authority.certificate_for(&host) {
            Ok(key) => Some(key),
            Err(error) => {
                tracing::warn!(%error, "no certificate can be made for a host");
                None
            }
        }
    }
}

/// The same for the same key, but for its dates.
fn authority_params(key: &KeyPair) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    let id: String =
        Sha256::digest(key.public_key_raw()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("api-mock-service {id}"));
    params.distinguished_name.push(DnType::OrganizationName, "api-mock-service, made on this machine");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * 3650).into();
    Ok(params)
}

/// Never over a file that is there.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_l02_each_installation_has_an_authority_of_its_own_and_keeps_its_key_to_itself() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = CertificateAuthority::kept_in(one.path()).unwrap();
        let again = CertificateAuthority::kept_in(one.path()).unwrap();
        let other = CertificateAuthority::kept_in(two.path()).unwrap();
        assert_eq!(first.certificate_pem(), again.certificate_pem());
        assert_ne!(first.certificate_pem(), other.certificate_pem());
        let key = fs::read_to_string(one.path().join("ca-key.pem")).unwrap();
        assert!(key.contains("PRIVATE KEY") && !first.certificate_pem().contains("PRIVATE"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(one.path().join("ca-key.pem")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn certificates_are_made_once_for_a_host_and_not_without_bound() {
        let authority = CertificateAuthority::generate().unwrap();
        let (one, two) =
            (authority.certificate_for("a.test").unwrap(), authority.certificate_for("a.test").unwrap());
        assert!(Arc::ptr_eq(&one, &two));
        assert!(authority.certificate_for("127.0.0.1").is_ok() && authority.certificate_for("::1").is_ok());
        let mut made = Made::default();
        made.order.extend((0..HOSTS * 2).map(|n| n.to_string()));
        made.make_room();
        assert_eq!(made.order.len(), HOSTS * 2 - 1);
    }
}
