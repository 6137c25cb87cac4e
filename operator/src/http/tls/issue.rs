//! Makes authorities and serving certificates, and checks that what a Secret holds can serve.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use ring::hmac;
use rototo_api::names::OPERATOR;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The days for which a new authority is valid.
pub(super) const AUTHORITY_DAYS: i64 = 3650;
/// The days for which a new serving certificate is valid.
pub(super) const SERVING_DAYS: i64 = 365;

/// A serving certificate with its key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Returns the certificate and the key of a new authority.
pub(super) fn authority(now: Timestamp) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    // Two authorities of one install are told apart by name.
    let name = format!("rototo-operator authority {:08x}", fastrand::u32(..));
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, AUTHORITY_DAYS);
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Returns a serving certificate for `host` that the authority has signed.
pub(super) fn leaf(authority: &str, authority_key: &str, host: &str, now: Timestamp) -> Result<Leaf, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_pem(authority, KeyPair::from_pem(authority_key)?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, OPERATOR);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, now, SERVING_DAYS);
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Sets the validity of a certificate, in whole days. It begins a day early, for clocks that are behind.
fn valid(params: &mut CertificateParams, now: Timestamp, for_days: i64) {
    let date = |time: Timestamp| {
        let date = time.to_zoned(TimeZone::UTC).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = date(now.saturating_sub(days(1)).unwrap_or(now));
    params.not_after = date(now.saturating_add(days(for_days)).unwrap_or(now));
}

pub(super) fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// Returns the end of the first certificate in a PEM text.
pub(super) fn end(certificate: &str) -> Result<Timestamp, String> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| NOT_PEM.to_owned())?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| "is no X.509 certificate".to_owned())?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).map_err(|error| error.to_string())
}

/// Returns whether `key` is the key of the first certificate in a PEM text.
pub(super) fn is_key_of(certificate: &str, key: &str) -> bool {
    let (Ok(der), Ok(key)) = (CertificateDer::from_pem_slice(certificate.as_bytes()), KeyPair::from_pem(key)) else {
        return false;
    };
    let parsed = X509Certificate::from_der(&der);
    parsed.is_ok_and(|(_, certificate)| certificate.public_key().raw == key.subject_public_key_info())
}

const NOT_PEM: &str = "has no certificate in PEM";

/// Checks that a process that trusts `authority` accepts `leaf` as the certificate of a server that is called `name`.
pub(super) fn check(authority: &str, leaf: &Leaf, name: &str, now: Timestamp) -> Result<(), String> {
    let chain = certificates(&leaf.certificate).ok_or_else(|| format!("`tls.crt` {NOT_PEM}"))?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes());
    let key = key.map_err(|_| "`tls.key` has no private key in PEM".to_owned())?;
    let provider = Arc::new(default_provider());
    CertifiedKey::from_der(chain.clone(), key, &provider)
        .map_err(|error| format!("`tls.key` can't be used with `tls.crt`: {error}"))?;
    let mut roots = RootCertStore::empty();
    for root in certificates(authority).ok_or_else(|| format!("`ca.crt` {NOT_PEM}"))? {
        roots.add(root).map_err(|error| format!("`ca.crt` can't be used: {error}"))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|error| format!("`ca.crt` can't be used: {error}"))?;
    let server = ServerName::try_from(name.to_owned()).map_err(|_| format!("`{name}` is no name of a server"))?;
    let Some((certificate, intermediates)) = chain.split_first() else { return Err(format!("`tls.crt` {NOT_PEM}")) };
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_second().unsigned_abs()));
    let verified = verifier.verify_server_cert(certificate, intermediates, &server, &[], at);
    verified.map(drop).map_err(|error| format!("processes that trust `ca.crt` refuse `tls.crt`: {error}"))
}

/// Derives the proof of replicas from the key of an authority, which stays when the serving certificate is renewed.
pub(super) fn peer_key(authority_key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, authority_key.as_bytes());
    let tag = hmac::sign(&key, b"peers of this install of the operator");
    BASE64_URL_SAFE_NO_PAD.encode(tag)
}

/// Returns a new proof of replicas, for an authority whose key somebody else has.
pub(super) fn random_key() -> Result<String, rcgen::Error> {
    Ok(peer_key(&KeyPair::generate()?.serialize_pem()))
}

fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    found.ok().filter(|found| !found.is_empty())
}
