//! The certificate that somebody else provides, such as cert-manager, in a Secret of the type `kubernetes.io/tls`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use crate::http::tls::GONE;
use crate::http::tls::issue::{self, Leaf};

/// The largest authority, in bytes. Two of them are an annotation of each marker map, and all annotations of an object
/// have 256 KiB together.
const LARGEST_AUTHORITY: usize = 64 * 1024;

/// The certificate that somebody else provides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProvidedCertificate {
    /// The authorities that processes trust, as PEM.
    pub(super) authority: String,
    pub(super) leaf: Leaf,
}

/// The reason why there is no certificate of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProvidedError {
    /// The Secret does not exist.
    #[error("{GONE}")]
    Missing,
    /// The Secret has no certificate that can serve.
    #[error("{0}")]
    Unusable(String),
}

/// Returns the certificate in the Secret, if processes that trust its authority accept it for a server called `name`.
pub(super) fn read(secret: &Secret, name: &str, now: Timestamp) -> Result<ProvidedCertificate, String> {
    let text = |key: &str| {
        let found = secret.data.as_ref().and_then(|data| data.get(key)).filter(|value| !value.0.is_empty());
        let found = found.ok_or_else(|| format!("it has no `{key}`"))?;
        String::from_utf8(found.0.clone()).map_err(|_| format!("`{key}` is no PEM text"))
    };
    let authority = text("ca.crt").map_err(|error| format!("{error}; processes check `tls.crt` against that"))?;
    if authority.len() > LARGEST_AUTHORITY {
        return Err(format!("`ca.crt` has {} bytes, and at most {LARGEST_AUTHORITY} are allowed", authority.len()));
    }
    let leaf = Leaf { certificate: text("tls.crt")?, key: text("tls.key")? };
    issue::check(&authority, &leaf, name, now)?;
    Ok(ProvidedCertificate { authority, leaf })
}

#[cfg(test)]
pub(super) mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    pub(in crate::http::tls) fn now() -> Timestamp {
        "2026-11-20T18:40:00Z".parse().unwrap()
    }

    /// Returns what cert-manager would provide for `name`: an authority and a certificate that it has signed.
    pub(in crate::http::tls) fn provided(name: &str) -> ProvidedCertificate {
        let (authority, key) = issue::authority(now()).unwrap();
        let leaf = issue::leaf(&authority, &key, name, now()).unwrap();
        ProvidedCertificate { authority, leaf }
    }

    pub(in crate::http::tls) fn secret(provided: &ProvidedCertificate) -> Secret {
        let Leaf { certificate, key } = &provided.leaf;
        let data = [("ca.crt", &provided.authority), ("tls.crt", certificate), ("tls.key", key)];
        let data = data.map(|(name, value)| (name.to_owned(), ByteString(value.clone().into_bytes())));
        Secret { data: Some(data.into()), ..Secret::default() }
    }

    fn refusal(certificate: &ProvidedCertificate, name: &str, days: i64) -> String {
        read(&secret(certificate), name, now() + issue::days(days)).unwrap_err()
    }

    #[test]
    fn a_certificate_that_processes_would_refuse_is_refused_with_the_reason() {
        let (one, other) = (provided("rototo.example"), provided("rototo.example"));
        assert_eq!(read(&secret(&one), "rototo.example", now()).as_ref(), Ok(&one));
        let mixed = ProvidedCertificate { authority: other.authority.clone(), ..one.clone() };
        assert!(refusal(&mixed, "rototo.example", 0).contains("UnknownIssuer"));
        assert!(refusal(&one, "other.example", 0).contains("not valid for name"));
        assert!(refusal(&one, "rototo.example", 400).contains("expired"));
        let keys = Leaf { key: other.leaf.key.clone(), ..one.leaf.clone() };
        assert!(
            refusal(&ProvidedCertificate { leaf: keys, ..one.clone() }, "rototo.example", 0)
                .contains("can't be used with")
        );
        let empty = ProvidedCertificate { authority: String::new(), ..one.clone() };
        assert!(refusal(&empty, "rototo.example", 0).contains("no `ca.crt`"));
        let no_pem = ProvidedCertificate { authority: "x".to_owned(), ..one.clone() };
        assert!(refusal(&no_pem, "rototo.example", 0).contains("no certificate in PEM"));
        let large = ProvidedCertificate { authority: one.authority.repeat(200), ..one };
        assert!(refusal(&large, "rototo.example", 0).contains("at most 65536"));
    }
}
