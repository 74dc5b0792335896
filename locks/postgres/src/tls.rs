//! TLS as libpq's `sslmode` and `sslrootcert` describe it, through rustls.

use std::sync::Arc;

use db_locks_core::{LockError, LockResult};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{Settings, Trust};

/// The connector for these settings. Reads the file of roots, if one is named.
///
/// # Errors
/// `Validation` when that file holds no certificates; `Runtime` when it cannot be read.
pub(crate) async fn connector(settings: &Settings) -> LockResult<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| LockError::runtime_from("cannot set up TLS", error))?;
    let config = match settings.trust {
        Trust::Anybody => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate { provider }))
        }
        Trust::Signed => {
            let inner =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots(settings).await?), provider)
                    .build()
                    .map_err(|error| LockError::runtime_from("cannot use the trusted roots", error))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyHost { inner }))
        }
        Trust::SignedForHost => builder.with_root_certificates(roots(settings).await?),
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

/// The roots of `sslrootcert`, else those of the web.
async fn roots(settings: &Settings) -> LockResult<RootCertStore> {
    let Some(path) = settings.root_cert.clone().filter(|path| path != "system") else {
        return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
    };
    let shown = path.clone();
    let pem = tokio::task::spawn_blocking(move || std::fs::read(path))
        .await
        .map_err(|error| LockError::runtime_from("cannot read sslrootcert", error))?
        .map_err(|error| LockError::runtime_from(format!("cannot read sslrootcert {shown:?}"), error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
        roots
            .add(certificate)
            .map_err(|error| LockError::runtime_from(format!("cannot use a root of {shown:?}"), error))?;
    }
    if roots.is_empty() {
        return Err(LockError::validation(
            "sslrootcert",
            format!("{shown:?} holds no certificate in PEM form"),
        ));
    }
    Ok(roots)
}

/// Takes any certificate, but still makes the server prove that it has its key.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks who signed the certificate, but not for whom.
#[derive(Debug)]
struct AnyHost {
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(certificate, intermediates, host, ocsp, now) {
            // The name is compared last: signature, dates and chain are in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
