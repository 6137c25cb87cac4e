//! The Secret with the operator's certificate, as its content is read and written.
//!
//! | key | content |
//! |---|---|
//! | `ca.crt`, `ca.key`, `peer.key` | the authority that signs, its key, and the proof of replicas; without `ca.key` somebody else signs |
//! | `tls.crt`, `tls.key` | the serving certificate |
//! | `next-ca.crt`, `next-ca.key`, `next-peer.key` | the authority that will sign |
//! | `previous-ca.crt`, `previous-peer.key` | the authority that has signed before |

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use rototo_api::names::{LABEL_MANAGED_BY, OPERATOR};

use crate::http::tls::issue::{self, Leaf};
use crate::http::tls::rotation::{Authority, Other, SecretContent};

/// The end of the serving certificate.
const NOT_AFTER: &str = "rototo.dev/serving-not-after";
/// The host that the serving certificate is for.
const HOST: &str = "rototo.dev/serving-names";
/// Asks for another authority, with any value. The operator removes it when it has chosen one.
pub(super) const REPLACE: &str = "rototo.dev/replace-authority";
/// The time at which the next authority was chosen.
const BEGUN: &str = "rototo.dev/next-authority-at";
/// The time since which every marker map names the next authority.
const NAMED: &str = "rototo.dev/next-authority-named-at";
/// The time at which the authority took the place of the previous one.
const REPLACED: &str = "rototo.dev/authority-replaced-at";
/// The annotations that this file writes. Others stay.
const OWN: [&str; 6] = [NOT_AFTER, HOST, REPLACE, BEGUN, NAMED, REPLACED];

/// Returns the content of a Secret, or the reason why it can't be used.
pub(super) fn read(secret: &Secret) -> Result<SecretContent, String> {
    let text = |key: &str| -> Option<String> {
        String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok().filter(|text| !text.is_empty())
    };
    let needed = |key: &str| text(key).ok_or_else(|| format!("it has no `{key}`"));
    let annotation = |name: &str| secret.annotations().get(name);
    let time = |name: &str| -> Option<Timestamp> { annotation(name)?.parse().ok() };
    let authority = |prefix: &str| {
        let certificate = needed(&format!("{prefix}ca.crt"))?;
        let key = text(&format!("{prefix}ca.key"));
        if let Some(key) = &key
            && !issue::is_key_of(&certificate, key)
        {
            return Err(format!("`{prefix}ca.key` is not the key of `{prefix}ca.crt`"));
        }
        // An operator that replaced no authorities derived the proof from the key.
        let peer_key = text(&format!("{prefix}peer.key")).or_else(|| key.as_deref().map(issue::peer_key));
        let peer_key = peer_key.ok_or_else(|| format!("it has neither `{prefix}peer.key` nor `{prefix}ca.key`"))?;
        Ok(Authority { certificate, key, peer_key })
    };
    let other = if text("next-ca.crt").is_some() {
        let (authority, begun) = (authority("next-")?, time(BEGUN).unwrap_or(Timestamp::MAX));
        Some(Other::Next { authority, begun, named: time(NAMED) })
    } else if let (Some(certificate), Some(peer_key)) = (text("previous-ca.crt"), text("previous-peer.key")) {
        Some(Other::Previous { certificate, peer_key, replaced: time(REPLACED).unwrap_or(Timestamp::MAX) })
    } else {
        None
    };
    Ok(SecretContent {
        authority: authority("")?,
        leaf: Leaf { certificate: needed("tls.crt")?, key: needed("tls.key")? },
        host: annotation(HOST).cloned().unwrap_or_default(),
        other,
        replacement_requested: annotation(REPLACE).is_some(),
    })
}

/// Returns the Secret with this content, in place of `found`.
pub(super) fn write(held: &SecretContent, name: &str, found: Option<&Secret>) -> Secret {
    let SecretContent { authority, leaf, host, other, replacement_requested } = held;
    let end = issue::end(&leaf.certificate).map(|end| end.to_string()).unwrap_or_default();
    let mut data = vec![("tls.crt", &leaf.certificate), ("tls.key", &leaf.key)];
    data.extend(entries(["ca.crt", "ca.key", "peer.key"], authority));
    let mut annotations: BTreeMap<String, String> = found.map(|found| found.annotations().clone()).unwrap_or_default();
    annotations.retain(|name, _| !OWN.contains(&&**name));
    let mut annotate = |name: &str, value: String| annotations.insert(name.to_owned(), value);
    annotate(NOT_AFTER, end);
    annotate(HOST, host.clone());
    if *replacement_requested {
        annotate(REPLACE, "true".to_owned());
    }
    match other {
        None => {}
        Some(Other::Next { authority, begun, named }) => {
            data.extend(entries(["next-ca.crt", "next-ca.key", "next-peer.key"], authority));
            annotate(BEGUN, begun.to_string());
            if let Some(named) = named {
                annotate(NAMED, named.to_string());
            }
        }
        Some(Other::Previous { certificate, peer_key, replaced }) => {
            data.extend([("previous-ca.crt", certificate), ("previous-peer.key", peer_key)]);
            annotate(REPLACED, replaced.to_string());
        }
    }
    let data = data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.clone().into_bytes())));
    let mut labels = found.map(|found| found.labels().clone()).unwrap_or_default();
    labels.insert(LABEL_MANAGED_BY.to_owned(), OPERATOR.to_owned());
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        resource_version: found.and_then(ResourceExt::resource_version),
        labels: Some(labels),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    };
    Secret { metadata, data: Some(data.collect()), ..Secret::default() }
}

/// Returns an authority under these keys of the Secret. Its own key is left out if somebody else has it.
fn entries<'a>(keys: [&'static str; 3], authority: &'a Authority) -> impl Iterator<Item = (&'static str, &'a String)> {
    let values = [Some(&authority.certificate), authority.key.as_ref(), Some(&authority.peer_key)];
    keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?)))
}
