//! The certificate under which the operator serves processes, and the authority that signed it, kept in one Secret.
//!
//! [`ensure`] is the entry point. The authority stays for years, and its certificate stands on every marker map, so
//! that processes need no set-up. The serving certificate is renewed long before it ends. The authority's key is as
//! secret as the Secret that holds it: a reader of it can pose as the operator to processes, though never make them run
//! content that does not match a marker.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use ring::hmac;
use rototo_api::names::{LABEL_MANAGED_BY, OPERATOR};

const AUTHORITY_DAYS: i64 = 3650;
const SERVING_DAYS: i64 = 365;
/// The remaining days below which a serving certificate is replaced.
const RENEW_DAYS: i64 = 120;

/// The annotations of the Secret: the end of the serving certificate, and the names that it is for.
const ANNOTATION_NOT_AFTER: &str = "rototo.dev/serving-not-after";
const ANNOTATION_NAMES: &str = "rototo.dev/serving-names";

/// A certificate with its key, and the authority that signed it. All PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The authority's certificate.
    pub authority: String,
    /// The serving certificate.
    pub certificate: String,
    /// The serving certificate's key.
    pub key: String,
    /// The proof of a process that can read the Secret, which the processes of this install show to each other.
    pub peer_key: String,
}

/// The reason why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The Secret could not be read or written.
    #[error("the Secret {secret} with the operator's certificate could not be read or written: {}", rototo_connection::api_error(.source))]
    Secret {
        /// The Secret's name.
        secret: String,
        /// The API server's answer.
        source: Box<kube::Error>,
    },
    /// A certificate could not be made.
    #[error("the operator's certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Somebody else keeps changing the Secret.
    #[error("the Secret {0} with the operator's certificate keeps changing; is another operator using it?")]
    Contended(String),
}

impl TlsError {
    /// Returns whether the same attempt may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let Self::Secret { source, .. } = self else { return false };
        match &**source {
            kube::Error::Api(status) => status.code == 429 || status.code >= 500,
            _ => true,
        }
    }
}

/// Returns the identity in the Secret. Makes one, or renews the one that is there, if that does not serve `names` for
/// long enough.
pub async fn ensure(
    client: &Client,
    namespace: &str,
    secret: &str,
    names: &[String],
    now: Timestamp,
) -> Result<Identity, TlsError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let failed = |source| TlsError::Secret { secret: secret.to_owned(), source: Box::new(source) };
    for _ in 0..5 {
        let found = secrets.get_opt(secret).await.map_err(failed)?;
        if let Some(identity) = found.as_ref().and_then(|found| usable(found, names, now)) {
            return Ok(identity);
        }
        let needed = renewed(found.as_ref(), secret, names, now)?;
        let outcome = match &found {
            None => secrets.create(&PostParams::default(), &needed).await,
            Some(_) => secrets.replace(secret, &PostParams::default(), &needed).await,
        };
        match outcome {
            Ok(_) => {}
            // Another replica was faster: its identity is as good.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(TlsError::Contended(secret.to_owned()))
}

fn usable(secret: &Secret, names: &[String], now: Timestamp) -> Option<Identity> {
    let ends: Timestamp = secret.annotations().get(ANNOTATION_NOT_AFTER)?.parse().ok()?;
    let enough = ends.duration_since(now) > days(RENEW_DAYS);
    let same_names = *secret.annotations().get(ANNOTATION_NAMES)? == names.join(",");
    (enough && same_names).then(|| {
        Some(Identity {
            authority: text(secret, "ca.crt")?,
            certificate: text(secret, "tls.crt")?,
            key: text(secret, "tls.key")?,
            peer_key: peer_key(&text(secret, "ca.key")?),
        })
    })?
}

/// Derives the proof from the authority's key, which stays when the serving certificate is renewed.
fn peer_key(authority_key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, authority_key.as_bytes());
    let tag = hmac::sign(&key, b"peers of this install of the operator");
    BASE64_URL_SAFE_NO_PAD.encode(tag)
}

fn renewed(found: Option<&Secret>, name: &str, names: &[String], now: Timestamp) -> Result<Secret, TlsError> {
    let kept = found.and_then(|found| Some((text(found, "ca.crt")?, text(found, "ca.key")?)));
    let kept = kept.filter(|(_, key)| KeyPair::from_pem(key).is_ok());
    let (authority, authority_key) = match kept {
        Some(kept) => kept,
        None => authority(now)?,
    };
    let issuer = Issuer::from_ca_cert_pem(&authority, KeyPair::from_pem(&authority_key)?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, OPERATOR);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let ends = valid(&mut params, now, SERVING_DAYS);
    let certificate = params.signed_by(&key, &issuer)?;
    let data = [
        ("ca.crt", authority),
        ("ca.key", authority_key),
        ("tls.crt", certificate.pem()),
        ("tls.key", key.serialize_pem()),
    ];
    let annotations = [(ANNOTATION_NOT_AFTER, ends.to_string()), (ANNOTATION_NAMES, names.join(","))];
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        resource_version: found.and_then(ResourceExt::resource_version),
        labels: Some(BTreeMap::from([(LABEL_MANAGED_BY.to_owned(), OPERATOR.to_owned())])),
        annotations: Some(annotations.map(|(name, value)| (name.to_owned(), value)).into()),
        ..ObjectMeta::default()
    };
    let data = data.map(|(name, value)| (name.to_owned(), ByteString(value.into_bytes())));
    Ok(Secret { metadata, data: Some(data.into()), ..Secret::default() })
}

fn authority(now: Timestamp) -> Result<(String, String), TlsError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "rototo-operator authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, AUTHORITY_DAYS);
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Sets the validity of a certificate, in whole days, and returns its end. It begins a day early, for clocks that are
/// behind.
fn valid(params: &mut CertificateParams, now: Timestamp, for_days: i64) -> Timestamp {
    let date = |time: Timestamp| {
        let date = time.to_zoned(TimeZone::UTC).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let ends = now.saturating_add(days(for_days)).unwrap_or(now);
    params.not_before = date(now.saturating_sub(days(1)).unwrap_or(now));
    params.not_after = date(ends);
    ends.saturating_sub(days(1)).unwrap_or(now)
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn text(secret: &Secret, name: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(name)?.0.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T18:40:00Z".parse().unwrap()
    }

    fn names() -> Vec<String> {
        vec!["127.0.0.1".to_owned(), "rototo.example".to_owned()]
    }

    #[test]
    fn a_fresh_identity_is_usable_until_its_renewal_is_due() {
        let secret = renewed(None, "s", &names(), now()).unwrap();
        assert!(usable(&secret, &names(), now()).is_some());
        assert!(usable(&secret, &names(), now() + days(SERVING_DAYS - RENEW_DAYS)).is_none());
        assert!(usable(&secret, &["other.example".to_owned()], now()).is_none());
        let peer_key = usable(&secret, &names(), now()).unwrap().peer_key;
        let other = usable(&renewed(None, "s", &names(), now()).unwrap(), &names(), now()).unwrap();
        assert!(peer_key.len() == 43 && peer_key != other.peer_key);
    }

    #[test]
    fn a_renewal_keeps_the_authority_that_processes_know() {
        let first = renewed(None, "s", &names(), now()).unwrap();
        let second = renewed(Some(&first), "s", &names(), now() + days(300)).unwrap();
        assert_eq!(text(&first, "ca.crt"), text(&second, "ca.crt"));
        assert_ne!(text(&first, "tls.crt"), text(&second, "tls.crt"));
        let peer_key = |secret, now| usable(secret, &names(), now).map(|identity| identity.peer_key);
        assert_eq!(peer_key(&first, now()), peer_key(&second, now() + days(300)));
    }

    #[test]
    fn a_secret_that_somebody_emptied_is_filled_again() {
        let secret = renewed(Some(&Secret::default()), "s", &names(), now()).unwrap();
        assert!(usable(&secret, &names(), now()).is_some());
    }
}
