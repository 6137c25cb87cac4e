//! The next step of the Secret with the operator's certificate. [`step`] is pure.
//!
//! An authority is replaced in three steps, each of which lasts for the overlap:
//!
//! | what the Secret holds | marker maps name | signs the serving certificate |
//! |---|---|---|
//! | authority | it | it |
//! | authority, next | both | the authority |
//! | previous, authority (which was the next) | both | the authority |
//! | authority | it | it |
//!
//! So a process that read the marker map up to an overlap ago trusts the certificate that it meets. The first step
//! begins to count once every marker map names both.

use jiff::{SignedDuration, Timestamp};

use crate::http::tls::issue::{self, Leaf, days};
use crate::http::tls::provided::ProvidedCertificate;

/// The remaining days below which a serving certificate is replaced.
const RENEW_DAYS: i64 = 120;
/// The remaining days below which an authority is replaced: twice the life of what it signs.
const REPLACE_DAYS: i64 = 2 * issue::SERVING_DAYS;
/// The number of overlaps for which a marker map that can't be written holds a replacement up. One namespace must not
/// keep all others at an authority that ends.
const PATIENCE: i32 = 7;

/// An authority of this install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// The certificates, as PEM.
    pub(super) certificate: String,
    /// The key. `None` if somebody else signs the serving certificate.
    pub(super) key: Option<String>,
    /// The proof that the replicas show to each other while this authority signs.
    pub(super) peer_key: String,
}

/// A second authority, during a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// The authority that will sign.
    Next {
        authority: Authority,
        /// The time at which it was chosen.
        begun: Timestamp,
        /// The time since which every marker map names it.
        named: Option<Timestamp>,
    },
    /// The authority that signed until `replaced`.
    Previous { certificate: String, peer_key: String, replaced: Timestamp },
}

/// The content of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretContent {
    /// The authority that has signed the serving certificate.
    pub(super) authority: Authority,
    pub(super) leaf: Leaf,
    /// The host that the serving certificate is for.
    pub(super) host: String,
    pub(super) other: Option<Other>,
    /// Somebody has requested another authority.
    pub(super) replacement_requested: bool,
}

/// Everything beside the Secret that decides its next change.
pub(super) struct RotationInput<'a> {
    pub(super) now: Timestamp,
    pub(super) overlap: SignedDuration,
    /// The host that the serving certificate must be for.
    pub(super) host: &'a str,
    /// The number of marker maps that don't name all authorities of the Secret.
    pub(super) unnamed: usize,
    /// The certificate that somebody else provides, if the operator does not make its own.
    pub(super) provided: Option<&'a ProvidedCertificate>,
}

/// The next change of the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RotationStep {
    /// Nothing changes.
    Keep,
    /// The authority stays, and the serving certificate is replaced.
    Renew,
    /// The next authority is chosen.
    Begin,
    /// Every marker map names the next authority.
    Named,
    /// A marker map does not name the next authority, although all did.
    NamedNoMore,
    /// The next authority signs from now on.
    Switch,
    /// The previous authority is dropped.
    Drop,
}

impl SecretContent {
    /// Returns the certificates of all authorities, the oldest first, so that the text stays when the next one signs.
    pub(super) fn authorities(&self) -> String {
        let own = &self.authority.certificate;
        let with_line_end = |pem: &str| format!("{}\n", pem.trim_end());
        match &self.other {
            None => own.clone(),
            Some(Other::Next { authority, .. }) => with_line_end(own) + &authority.certificate,
            Some(Other::Previous { certificate, .. }) => with_line_end(certificate) + own,
        }
    }

    /// Returns the proofs of replicas that are accepted. The first one is shown.
    pub(super) fn peer_keys(&self) -> Vec<String> {
        let other = match &self.other {
            None => None,
            Some(Other::Next { authority, .. }) => Some(&authority.peer_key),
            Some(Other::Previous { peer_key, .. }) => Some(peer_key),
        };
        std::iter::once(&self.authority.peer_key).chain(other).cloned().collect()
    }
}

/// Returns whether the certificate is valid for `more`.
fn ends_after(certificate: &str, more: SignedDuration, now: Timestamp) -> bool {
    issue::end(certificate).is_ok_and(|end| end.duration_since(now) > more)
}

/// Returns the next change of the Secret. Only the leader makes it.
pub(super) fn step(held: &SecretContent, input: &RotationInput<'_>) -> RotationStep {
    let RotationInput { now, overlap, .. } = *input;
    let since = |time: Timestamp| now.duration_since(time);
    match &held.other {
        Some(Other::Previous { replaced, .. }) if since(*replaced) >= overlap => return RotationStep::Drop,
        Some(Other::Previous { .. }) => {}
        Some(Other::Next { authority, .. }) if !is_wanted(authority, input) => return RotationStep::Begin,
        Some(Other::Next { begun, named, .. }) => {
            // Without the overlap, some processes are cut off for a moment; with a certificate that has ended, all are.
            let ends = !ends_after(&held.leaf.certificate, overlap, now) && held.authority.key.is_none();
            if ends || since(*begun) >= overlap.checked_mul(PATIENCE).unwrap_or(SignedDuration::MAX) {
                return RotationStep::Switch;
            }
            match named {
                Some(_) if input.unnamed > 0 => return RotationStep::NamedNoMore,
                Some(named) if *named <= now && since(*named) >= overlap => return RotationStep::Switch,
                // A clock that was ahead.
                Some(named) if *named > now && input.unnamed == 0 => return RotationStep::Named,
                None if input.unnamed == 0 => return RotationStep::Named,
                _ => {}
            }
        }
        None if is_replaced(held, input) => return RotationStep::Begin,
        None => {}
    }
    if is_renewed(held, input) { RotationStep::Renew } else { RotationStep::Keep }
}

fn is_wanted(next: &Authority, input: &RotationInput<'_>) -> bool {
    match input.provided {
        Some(provided) => next.certificate == provided.authority,
        None => next.key.is_some(),
    }
}

fn is_replaced(held: &SecretContent, input: &RotationInput<'_>) -> bool {
    match input.provided {
        Some(provided) => held.authority.certificate != provided.authority,
        None => {
            let lasts = ends_after(&held.authority.certificate, days(REPLACE_DAYS), input.now);
            held.replacement_requested || held.authority.key.is_none() || !lasts
        }
    }
}

fn is_renewed(held: &SecretContent, input: &RotationInput<'_>) -> bool {
    match input.provided {
        Some(provided) if held.authority.certificate == provided.authority => held.leaf != provided.leaf,
        _ if held.authority.key.is_none() => false,
        // While an operator with another address takes over, each would replace the other's certificate.
        _ => !ends_after(&held.leaf.certificate, days(RENEW_DAYS), input.now),
    }
}

/// Returns the content of the Secret after a step.
pub(super) fn after(
    held: &SecretContent,
    step: RotationStep,
    input: &RotationInput<'_>,
) -> Result<SecretContent, rcgen::Error> {
    let mut held = held.clone();
    match step {
        RotationStep::Keep => {}
        RotationStep::Renew => held.leaf = leaf(&held.authority, input)?.unwrap_or(held.leaf),
        RotationStep::Begin => {
            let authority = next(input)?;
            held.other = Some(Other::Next { authority, begun: input.now, named: None });
            held.replacement_requested = false;
        }
        RotationStep::Named | RotationStep::NamedNoMore => {
            if let Some(Other::Next { named, .. }) = &mut held.other {
                *named = (step == RotationStep::Named).then_some(input.now);
            }
        }
        RotationStep::Switch => {
            if let Some(Other::Next { authority, .. }) = held.other.take() {
                held.leaf = leaf(&authority, input)?.unwrap_or(held.leaf);
                let before = std::mem::replace(&mut held.authority, authority);
                let Authority { certificate, peer_key, .. } = before;
                held.other = Some(Other::Previous { certificate, peer_key, replaced: input.now });
                held.host = input.host.to_owned();
            }
        }
        RotationStep::Drop => held.other = None,
    }
    if step == RotationStep::Renew {
        held.host = input.host.to_owned();
    }
    Ok(held)
}

/// Returns the content in place of what can't serve: without an overlap, because no process could connect meanwhile.
pub(super) fn replaced(held: &SecretContent, input: &RotationInput<'_>) -> Result<SecretContent, rcgen::Error> {
    let same = input.provided.is_none_or(|provided| provided.authority == held.authority.certificate);
    let signs = (input.provided.is_some() || held.authority.key.is_some()) && same;
    if signs && issue::end(&held.authority.certificate).is_ok_and(|end| end > input.now) {
        after(held, RotationStep::Renew, input)
    } else {
        after(&after(held, RotationStep::Begin, input)?, RotationStep::Switch, input)
    }
}

/// Returns the content of a Secret that has none yet.
pub(super) fn first(input: &RotationInput<'_>) -> Result<SecretContent, rcgen::Error> {
    let authority = next(input)?;
    let leaf = leaf(&authority, input)?.ok_or(rcgen::Error::CouldNotParseKeyPair)?;
    Ok(SecretContent { authority, leaf, host: input.host.to_owned(), other: None, replacement_requested: false })
}

fn next(input: &RotationInput<'_>) -> Result<Authority, rcgen::Error> {
    if let Some(provided) = input.provided {
        let peer_key = issue::random_key()?;
        return Ok(Authority { certificate: provided.authority.clone(), key: None, peer_key });
    }
    let (certificate, key) = issue::authority(input.now)?;
    let peer_key = issue::peer_key(&key);
    Ok(Authority { certificate, key: Some(key), peer_key })
}

/// Returns a new serving certificate of an authority. `None` if the authority has none to give.
fn leaf(authority: &Authority, input: &RotationInput<'_>) -> Result<Option<Leaf>, rcgen::Error> {
    let provided = input.provided.filter(|provided| provided.authority == authority.certificate);
    if let Some(provided) = provided {
        return Ok(Some(provided.leaf.clone()));
    }
    let Some(key) = &authority.key else { return Ok(None) };
    issue::leaf(&authority.certificate, key, input.host, input.now).map(Some)
}
