//! The proof in a call that its sender knows a key: an HMAC of the body, or the key itself.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use rototo_engine::Digest;

use crate::http::webhook::WebhookRefusal;
use crate::workspace_key::WorkspaceKey;

/// The headers in which hosts send the HMAC-SHA256 of the body, in hexadecimal digits, and the prefix of the digits.
const SIGNATURES: [(&str, &str); 6] = [
    ("x-hub-signature-256", "sha256="),
    ("x-gitea-signature", ""),
    ("x-forgejo-signature", ""),
    ("x-gogs-signature", ""),
    ("x-hub-signature", "sha256="),
    (OF_ANY_SENDER, "sha256="),
];
/// The header of senders that are no git hosts. They may send the same body each time.
const OF_ANY_SENDER: &str = "x-rototo-signature";
/// The header in which GitLab sends the key itself.
const TOKEN: &str = "x-gitlab-token";
/// The header in which Azure DevOps sends the key, as the password of Basic authentication. The user name is not used.
const BASIC: &str = "authorization";

/// The proof in a call that its sender knows a key.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// The HMAC-SHA256 of the body, and its header.
    Hmac(&'static str, Vec<u8>),
    /// The key itself, and its header.
    Key(&'static str, Vec<u8>),
}

/// Returns the proof in these headers. A header of an unknown form is no proof, but another header may have one: some
/// hosts send an HMAC-SHA1 beside the other.
pub(super) fn proof(headers: &HeaderMap) -> Result<Proof, WebhookRefusal> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let mut refusal = WebhookRefusal::Unsigned;
    for (name, prefix) in SIGNATURES {
        let Some(value) = text(name) else { continue };
        if let Some(signature) = value.strip_prefix(prefix).and_then(bytes) {
            return Ok(Proof::Hmac(name, signature));
        }
        if refusal == WebhookRefusal::Unsigned {
            let form = if prefix.is_empty() { "<64 hexadecimal digits>" } else { "sha256=<64 hexadecimal digits>" };
            refusal = WebhookRefusal::Malformed(name, form);
        }
    }
    if let Some(token) = text(TOKEN) {
        return Ok(Proof::Key(TOKEN, token.as_bytes().to_vec()));
    }
    let basic = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    match basic {
        Some(basic) => password(basic)
            .map(|key| Proof::Key(BASIC, key))
            .ok_or(WebhookRefusal::Malformed(BASIC, "Basic <Base64 of USER:KEY>")),
        None => Err(refusal),
    }
}

fn password(basic: &str) -> Option<Vec<u8>> {
    let decoded = BASE64_STANDARD.decode(basic.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    decoded.get(colon + 1..).map(<[u8]>::to_vec)
}

/// Returns 64 hexadecimal digits as 32 bytes.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    (0..32).map(|index| u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()).collect()
}

impl Proof {
    /// Returns the header that has the proof.
    pub(super) fn header(&self) -> &'static str {
        let (Self::Hmac(header, _) | Self::Key(header, _)) = self;
        header
    }

    /// Returns whether the proof is the key itself.
    pub(super) fn is_key(&self) -> bool {
        matches!(self, Self::Key(..))
    }

    /// Returns whether the body is signed by a git host, whose bodies name the commits: the same body is the same
    /// delivery.
    pub(super) fn names_commits(&self) -> bool {
        matches!(self, Self::Hmac(header, _) if *header != OF_ANY_SENDER)
    }

    /// Returns whether the proof may fit one of the keys, before the body is read. It takes as long for a wrong key as
    /// for a right one.
    pub(super) fn may_fit(&self, keys: &[Vec<u8>]) -> bool {
        match self {
            Self::Hmac(..) => !keys.is_empty(),
            Self::Key(_, shown) => keys.iter().filter(|key| same(key, shown)).count() > 0,
        }
    }
}

/// Compares two keys as signatures, so that the time it takes gives nothing away.
fn same(key: &[u8], shown: &[u8]) -> bool {
    let (key, shown) = (hmac::Key::new(hmac::HMAC_SHA256, key), hmac::Key::new(hmac::HMAC_SHA256, shown));
    hmac::verify(&key, b"", hmac::sign(&shown, b"").as_ref()).is_ok()
}

/// The HMACs of a body under all keys, while it arrives.
pub(super) struct Verifier {
    contexts: Vec<hmac::Context>,
    /// The digest of the body and of the workspace, under a key that is none of the host's.
    delivery: hmac::Context,
}

impl Verifier {
    pub(super) fn new(keys: &[Vec<u8>], workspace: &WorkspaceKey) -> Self {
        let context = |key: &[u8]| hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        let name = format!("delivery {}/{}", workspace.namespace, workspace.name);
        Self { contexts: keys.iter().map(|key| context(key)).collect(), delivery: context(name.as_bytes()) }
    }

    pub(super) fn update(&mut self, piece: &[u8]) {
        self.contexts.iter_mut().for_each(|context| context.update(piece));
        self.delivery.update(piece);
    }

    /// Returns the digest of the delivery, if the proof fits a key.
    pub(super) fn verify(self, proof: &Proof) -> Option<Digest> {
        let fits = match proof {
            // Two codes are compared in constant time, as messages under one key.
            Proof::Hmac(_, signature) => {
                self.contexts.into_iter().filter(|context| same(context.clone().sign().as_ref(), signature)).count() > 0
            }
            Proof::Key(..) => true,
        };
        fits.then(|| Digest::of(self.delivery.sign().as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    fn fits(name: &'static str, value: &str, keys: &[&str], body: &[u8]) -> bool {
        let proof = proof(&headers(name, value)).unwrap_or_else(|refusal| panic!("{refusal}"));
        let keys: Vec<_> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        let workspace = WorkspaceKey { namespace: "prod".to_owned(), name: "config".to_owned() };
        let mut verifier = Verifier::new(&keys, &workspace);
        body.chunks(3).for_each(|piece| verifier.update(piece));
        proof.may_fit(&keys) && verifier.verify(&proof).is_some()
    }

    // GitHub's documentation on validating deliveries has this example.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn the_documented_signature_of_github_is_accepted() {
        let signature = format!("sha256={SIGNATURE}");
        assert!(fits("x-hub-signature-256", &signature, &[SECRET], BODY));
        assert!(!fits("x-hub-signature-256", &signature, &[SECRET], b"Hello, world!"));
        assert!(!fits("x-hub-signature-256", &signature, &["another"], BODY));
        assert!(!fits("x-hub-signature-256", &signature, &[], BODY));
    }

    #[test]
    fn while_a_key_is_rotated_both_are_accepted() {
        for header in ["x-gitea-signature", "x-gogs-signature", "x-forgejo-signature"] {
            assert!(fits(header, SIGNATURE, &["new", SECRET], BODY), "{header}");
        }
    }

    #[test]
    fn a_key_itself_is_a_proof_of_gitlab_and_azure() {
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        for (header, right, wrong) in
            [(TOKEN, "hush".to_owned(), "hush!".to_owned()), (BASIC, basic("any:hush"), basic("hush:any"))]
        {
            assert!(fits(header, &right, &["hush"], BODY), "{header}");
            assert!(!fits(header, &wrong, &["hush", "hush?"], BODY), "{header}");
            assert!(!fits(header, &right, &[], BODY), "{header}");
        }
    }

    #[test]
    fn a_call_without_a_proof_of_a_known_form_is_refused_in_terms_of_its_header() {
        let refusal = |name, value: &str| proof(&headers(name, value)).err().map(|refusal| refusal.to_string());
        for value in ["sha256=", "sha256=00", "sha1=757107ea", &"0".repeat(64), "sha256=zz"] {
            let expected = "the header `x-hub-signature-256` does not have the form sha256=<64 hexadecimal digits>";
            assert_eq!(refusal("x-hub-signature-256", value).as_deref(), Some(expected), "{value}");
        }
        let expected = "the header `x-gogs-signature` does not have the form <64 hexadecimal digits>";
        assert_eq!(refusal("x-gogs-signature", "00").as_deref(), Some(expected));
        let expected = "the header `authorization` does not have the form Basic <Base64 of USER:KEY>";
        assert_eq!(refusal(BASIC, "Basic ###").as_deref(), Some(expected));
        assert_eq!(proof(&HeaderMap::new()).err(), Some(WebhookRefusal::Unsigned));
        assert_eq!(proof(&headers(BASIC, "Bearer x")).err(), Some(WebhookRefusal::Unsigned));
    }

    #[test]
    fn a_signature_beside_an_older_one_counts() {
        let mut both = headers("x-hub-signature", "sha1=757107ea");
        both.insert("x-rototo-signature", format!("sha256={SIGNATURE}").parse().unwrap());
        assert_eq!(proof(&both).map(|proof| proof.header()).ok(), Some("x-rototo-signature"));
    }
}
