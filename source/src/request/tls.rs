//! Decides which certificates are trusted, and which client certificate is shown.

use std::io;
use std::sync::Arc;

use hyper::http::uri::Authority;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::credentials::ClientCertificate;
use crate::credentials::Credentials;
use crate::egress::Connection;
use crate::error::ArchiveFault;

/// TLS settings for the host that the credentials are for, and for those that it redirects to, which never get the client
/// certificate.
pub(crate) struct Tls {
    pub(crate) own: Arc<ClientConfig>,
    pub(crate) other: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(credentials: &Credentials) -> Result<Self, ArchiveFault> {
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

/// Begins TLS, and checks the host's certificate.
pub(crate) async fn secure(
    stream: Box<dyn Connection>,
    to: &Authority,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<Box<dyn Connection>>, ArchiveFault> {
    let host = to.host().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|error| ArchiveFault::Unreachable(error.to_string()))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| failure(&error))
}

/// Returns the fault of a failed handshake.
fn failure(error: &io::Error) -> ArchiveFault {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match reason {
        Some(rustls::Error::InvalidCertificate(reason)) => ArchiveFault::NotTrusted(named(reason)),
        Some(rustls::Error::AlertReceived(alert)) => ArchiveFault::AccessDenied(format!("it ended TLS with {alert:?}")),
        _ => ArchiveFault::Interrupted(error.to_string()),
    }
}

/// Returns the reason in words. The certificate that `openssl req -x509` makes is an authority and a server in one:
/// other programs accept it, and this one names what to do.
fn named(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the server shows the certificate of an authority: issue one for the server, with CA:FALSE".to_owned()
        }
        reason => reason.to_string(),
    }
}
