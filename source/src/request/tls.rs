//! Decides which certificates are trusted, and which client certificate is shown.

use std::io;
use std::sync::{Arc, OnceLock};

use hyper::http::uri::Authority;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, ConfigBuilder, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::credentials::{ClientCertificate, Credentials, Secret};
use crate::egress::Connection;
use crate::error::{ArchiveFault, EgressFault};

/// TLS settings for the host that the credentials are for, and for the others on the way, which never get the client
/// certificate: hosts that it redirects to, and proxies.
pub(crate) struct Tls {
    own: Arc<ClientConfig>,
    other: OnceLock<Arc<ClientConfig>>,
    roots: Arc<RootCertStore>,
    has_ca: bool,
}

impl Tls {
    pub(crate) fn new(credentials: &Credentials) -> Result<Self, ArchiveFault> {
        let given = credentials.ca().map(given_authorities).transpose()?;
        let has_ca = given.is_some();
        let roots = Arc::new(given.unwrap_or_else(authorities_of_this_machine));
        let own = builder(roots.clone())?;
        let own = match credentials.client_certificate() {
            None => own.with_no_client_auth(),
            Some(ClientCertificate { certificate, key }) => {
                let (certificates, key) = (chain(certificate)?, private_key(key)?);
                own.with_client_auth_cert(certificates, key).map_err(|error| unusable(&error))?
            }
        };
        Ok(Self { own: Arc::new(own), other: OnceLock::new(), roots, has_ca })
    }

    /// Returns the settings for the host that the credentials are for: it is checked against `ca.crt` alone, if there is one.
    pub(crate) fn own(&self) -> Arc<ClientConfig> {
        self.own.clone()
    }

    /// Returns the settings for another host. The owner of a private authority can't issue its certificate, so it is
    /// checked against the authorities of this machine too.
    pub(crate) fn other(&self) -> Result<Arc<ClientConfig>, ArchiveFault> {
        if let Some(other) = self.other.get() {
            return Ok(other.clone());
        }
        let mut roots = self.roots.clone();
        if self.has_ca {
            Arc::make_mut(&mut roots).extend(authorities_of_this_machine().roots);
        }
        let other = Arc::new(builder(roots)?.with_no_client_auth());
        Ok(self.other.get_or_init(|| other).clone())
    }

    /// Returns the settings for a proxy that speaks TLS itself.
    pub(crate) fn of_proxy(&self) -> Result<Arc<ClientConfig>, EgressFault> {
        self.other().map_err(|fault| EgressFault::Unreachable(fault.to_string()))
    }
}

fn builder(roots: Arc<RootCertStore>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, ArchiveFault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|_| ArchiveFault::UnusableCertificates("this program speaks no TLS that is safe"))?;
    Ok(builder.with_root_certificates(roots))
}

/// Returns the authorities in `ca.crt`. One that can't be read keeps no other from use.
fn given_authorities(ca: &Secret) -> Result<RootCertStore, ArchiveFault> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(ca.reveal().as_bytes()).flatten();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(ArchiveFault::UnusableCertificates("`ca.crt` holds no certificate that can be read"));
    }
    Ok(roots)
}

fn authorities_of_this_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn chain(pem: &Secret) -> Result<Vec<CertificateDer<'static>>, ArchiveFault> {
    let chain = CertificateDer::pem_slice_iter(pem.reveal().as_bytes()).collect::<Result<_, _>>();
    // The text of the error has the lines that were not understood.
    chain.map_err(|_| ArchiveFault::UnusableCertificates("`tls.crt` holds what is no certificate"))
}

fn private_key(pem: &Secret) -> Result<PrivateKeyDer<'static>, ArchiveFault> {
    // The text of the error has the lines that were not understood, and here they are the key.
    PrivateKeyDer::from_pem_slice(pem.reveal().as_bytes())
        .map_err(|_| ArchiveFault::UnusableCertificates("`tls.key` holds no private key that can be read"))
}

fn unusable(error: &rustls::Error) -> ArchiveFault {
    ArchiveFault::UnusableCertificates(match error {
        rustls::Error::InconsistentKeys(_) => "`tls.key` is not the key of `tls.crt`",
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            "`tls.crt` holds what is no certificate"
        }
        _ => "`tls.key` holds no private key of a kind that can be used",
    })
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const GARBAGE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const NO_BASE64: &str = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";

    fn of(keys: &[(&str, &str)]) -> Credentials {
        let keys: BTreeMap<_, _> =
            keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        Credentials::from_keys(&keys).unwrap()
    }

    fn issued() -> (String, String) {
        let issued = rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap();
        (issued.cert.pem(), issued.signing_key.serialize_pem())
    }

    #[test]
    fn an_authority_that_is_not_understood_keeps_no_other_from_use() {
        let (one, other) = (issued().0, issued().0);
        let bundle = [&*one, GARBAGE, NO_BASE64, &other].concat();
        assert_eq!(Tls::new(&of(&[("ca.crt", &bundle)])).unwrap().roots.len(), 2);
        for none in [GARBAGE, NO_BASE64] {
            let error = Tls::new(&of(&[("ca.crt", none)])).err().unwrap();
            assert!(error.to_string().contains("`ca.crt`"), "{error}");
        }
    }

    #[test]
    fn unusable_certificates_are_named_and_never_shown() {
        let (certificate, key) = issued();
        assert!(Tls::new(&of(&[("tls.crt", &certificate), ("tls.key", &key)])).is_ok());
        let secret = key.lines().nth(1).unwrap().to_owned();
        let decimals = secret.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
        let whole = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let openssh = key.replace("PRIVATE", "OPENSSH PRIVATE");
        // Parsers pass over a block of an unknown kind.
        let skipped = whole.replace("PRIVATE", "OPENSSH PRIVATE");
        let [spaces, dashes] =
            ["KEY----- ", "KEY "].map(|title| skipped.clone() + &key.replace("KEY-----\n", title).replace('\n', " "));
        let in_chain = certificate.clone() + &spaces;
        for (certificate, key, named) in [
            (&*certificate, &*spaces, "`tls.key`"),
            (&certificate, &dashes, "`tls.key`"),
            (&certificate, whole, "`tls.key`"),
            (&certificate, &openssh, "`tls.key`"),
            (&certificate, &issued().1, "`tls.key` is not the key of `tls.crt`"),
            (&in_chain, &key, "`tls.crt`"),
            (GARBAGE, &key, "`tls.crt`"),
            (NO_BASE64, &key, "`tls.crt`"),
        ] {
            let error = Tls::new(&of(&[("tls.crt", certificate), ("tls.key", key)])).err().unwrap();
            let text = format!("{error} {error:?}");
            assert!(text.contains(named), "{named}: {text}");
            assert!(!text.contains(&secret) && !text.contains(&decimals), "{text}");
        }
    }
}
