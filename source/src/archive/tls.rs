//! Decides which certificates are trusted, and which client certificate is shown.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::credentials::ClientCertificate;
use crate::credentials::Credentials;
use crate::error::ArchiveFault;

/// TLS settings for the archive's own host, and for the hosts that it redirects to, which never get the client
/// certificate.
pub(super) struct Tls {
    pub(super) own: Arc<ClientConfig>,
    pub(super) other: Arc<ClientConfig>,
}

impl Tls {
    pub(super) fn new(credentials: &Credentials) -> Result<Self, ArchiveFault> {
        let roots = Arc::new(roots(credentials)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = || {
            let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
            builder.map(|builder| builder.with_root_certificates(roots.clone())).map_err(|error| unusable(&error))
        };
        let other = Arc::new(builder()?.with_no_client_auth());
        let own = match credentials.client_certificate() {
            None => other.clone(),
            Some(ClientCertificate { certificate, key }) => {
                let certificates = certificates(certificate.reveal())?;
                let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).map_err(|error| unusable(&error))?;
                let config = builder()?.with_client_auth_cert(certificates, key).map_err(|error| unusable(&error))?;
                Arc::new(config)
            }
        };
        Ok(Self { own, other })
    }
}

/// Returns the given authority alone, or those of this machine.
fn roots(credentials: &Credentials) -> Result<RootCertStore, ArchiveFault> {
    let mut roots = RootCertStore::empty();
    match credentials.ca() {
        Some(ca) => {
            for certificate in certificates(ca.reveal())? {
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, ArchiveFault> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|error| unusable(&error))
}

fn unusable(error: &impl ToString) -> ArchiveFault {
    ArchiveFault::UnusableCertificates(error.to_string())
}

/// Returns the fault of a failed handshake.
pub(super) fn failure(error: &io::Error) -> ArchiveFault {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match reason {
        Some(rustls::Error::InvalidCertificate(reason)) => ArchiveFault::NotTrusted(reason.to_string()),
        Some(rustls::Error::AlertReceived(alert)) => ArchiveFault::AccessDenied(format!("it ended TLS with {alert:?}")),
        _ => ArchiveFault::Interrupted(error.to_string()),
    }
}
