//! The certificate under which the operator serves processes, and the authority that signed it, kept in one Secret.
//!
//! [`Certificates`] is the entry point: [`Certificates::first`] when the operator starts, and then
//! [`Certificates::read`] from time to time on every replica, and [`Certificates::lead`] on the leader, which alone
//! changes the Secret. The certificates of the authorities stand on every marker map, so that processes need no set-up;
//! [`rotation`] decides when another authority takes over. The authority's key is as secret as the Secret that holds it:
//! a reader of it can pose as the operator to processes, though never make them run content that does not match a
//! marker.

mod issue;
mod provided;
#[cfg(test)]
mod replicas_tests;
mod rotation;
#[cfg(test)]
mod rotation_tests;
mod secret;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use tracing::{error, info};

use crate::http::tls::provided::{ProvidedCertificate, ProvidedError};
use crate::http::tls::rotation::{RotationInput, RotationStep, SecretContent, after, replaced, step};

/// The reason why a Secret that does not exist can't be used.
const GONE: &str = "it does not exist";

/// A certificate with its key, and the authorities that processes trust. All PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The certificates of the authorities, for the marker maps.
    pub(crate) authorities: String,
    /// The serving certificate.
    pub(crate) certificate: String,
    /// The serving certificate's key.
    pub(crate) key: String,
    /// The proofs of a process that can read the Secret, which the processes of this install show to each other. The
    /// first one is shown, and all are accepted.
    pub(crate) peer_keys: Vec<String>,
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
    /// The Secret with the provided certificate does not exist yet.
    #[error("the Secret {0}, which --tls-from-secret names, does not exist")]
    NotProvided(String),
    /// The provided certificate can't be used.
    #[error("the certificate in the Secret {secret}, which --tls-from-secret names, can't be used: {reason}")]
    Provided {
        /// The Secret's name.
        secret: String,
        /// The reason.
        reason: String,
    },
}

impl TlsError {
    /// Returns whether the same attempt may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotProvided(_) => true,
            Self::Secret { source, .. } => match &**source {
                kube::Error::Api(status) => status.code == 429 || status.code >= 500,
                _ => true,
            },
            _ => false,
        }
    }
}

/// The names and times that a certificate depends on.
#[derive(Clone, Debug)]
pub(crate) struct CertificateSettings {
    /// The operator's own namespace.
    pub(crate) namespace: String,
    /// The Secret that the operator writes.
    pub(crate) secret: String,
    /// The Secret in which somebody else provides a certificate.
    pub(crate) provided_secret: Option<String>,
    /// The host that the serving certificate is for.
    pub(crate) host: String,
    /// The time for which two authorities are trusted, before and after the second one begins to sign.
    pub(crate) overlap: SignedDuration,
}

/// The operator's certificate as this process knows it.
pub(crate) struct Certificates {
    secrets: Api<Secret>,
    settings: CertificateSettings,
    held: SecretContent,
    /// The Secret that was read last. `None` if it is gone.
    found: Option<Secret>,
    provided: Option<Result<ProvidedCertificate, ProvidedError>>,
    /// The reason why the Secret that was read last can't be used.
    unusable: Option<String>,
}

impl Certificates {
    /// Reads the Secret. Makes it if there is none, and replaces what can't serve.
    pub(crate) async fn first(
        client: &Client,
        settings: CertificateSettings,
        now: Timestamp,
    ) -> Result<Self, TlsError> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &settings.namespace);
        for _ in 0..5 {
            let found = get(&secrets, &settings.secret).await?;
            let provided = read_provided(&secrets, &settings, now).await?;
            let input = input(&settings, provided.as_ref().and_then(|provided| provided.as_ref().ok()), 0, now);
            let read = found.as_ref().map(secret::read);
            let next = match read {
                Some(Ok(held)) if can_serve(&held, &settings.host, now) => {
                    return Ok(Self { secrets, settings, held, found, provided, unusable: None });
                }
                _ if let Some(Err(error)) = &provided => {
                    return Err(match error {
                        ProvidedError::Missing => TlsError::NotProvided(provided_secret(&settings)),
                        ProvidedError::Unusable(_) => refused(&settings, error),
                    });
                }
                Some(Ok(held)) => replaced(&held, &input)?,
                Some(Err(reason)) => {
                    let secret = &settings.secret;
                    error!(secret, reason, "the operator's certificate can't be used: another authority is made");
                    rotation::first(&input)?
                }
                None => rotation::first(&input)?,
            };
            put(&secrets, &settings.secret, &next, found.as_ref()).await?;
        }
        Err(TlsError::Contended(settings.secret))
    }

    /// Reads the Secrets again. What can't be used changes nothing.
    pub(crate) async fn read(&mut self, now: Timestamp) -> Result<(), TlsError> {
        let found = get(&self.secrets, &self.settings.secret).await?;
        self.provided = read_provided(&self.secrets, &self.settings, now).await?;
        self.unusable = match found.as_ref().map(secret::read) {
            None => Some(GONE.to_owned()),
            Some(Err(reason)) => Some(reason),
            // An operator with another address takes over; this one serves under its own until it ends.
            Some(Ok(held)) if held.host != self.held.host => {
                let SecretContent { leaf, host, .. } = self.held.clone();
                self.held = SecretContent { leaf, host, ..held };
                None
            }
            Some(Ok(held)) => match issue::check(&held.authorities(), &held.leaf, &self.settings.host, now) {
                Ok(()) => {
                    self.held = held;
                    None
                }
                Err(reason) => Some(reason),
            },
        };
        self.found = found;
        Ok(())
    }

    /// Makes the next change of the Secret, if one is due. `unnamed` is the number of marker maps that don't name all
    /// authorities. Returns whether it has changed.
    pub(crate) async fn lead(&mut self, unnamed: usize, now: Timestamp) -> Result<bool, TlsError> {
        let provided = match &self.provided {
            Some(Err(_)) => return Ok(false),
            Some(Ok(provided)) => Some(provided),
            None => None,
        };
        let input = input(&self.settings, provided, unnamed, now);
        let change = if self.unusable.is_some() { Some(self.restored(&input)?) } else { self.after_step(&input)? };
        let Some((next, what)) = change else { return Ok(false) };
        let written = put(&self.secrets, &self.settings.secret, &next, self.found.as_ref()).await?;
        let Some(written) = written else { return Ok(false) };
        info!(secret = self.settings.secret, "{what}");
        (self.held, self.found, self.unusable) = (next, Some(written), None);
        Ok(true)
    }

    /// Returns the content in place of a Secret that can't be used, and a sentence for the log.
    fn restored(&self, input: &RotationInput<'_>) -> Result<(SecretContent, &'static str), rcgen::Error> {
        // Whoever deletes the Secret wants another authority; what processes trust goes on meanwhile.
        let is_deleted = self.found.is_none() && input.provided.is_none();
        let replacement_requested = is_deleted || self.held.replacement_requested;
        let held = SecretContent { replacement_requested, ..self.held.clone() };
        if can_serve(&held, &self.settings.host, input.now) {
            return Ok((held, "the Secret with the operator's certificate was restored"));
        }
        Ok((replaced(&held, input)?, "the serving certificate, which could no longer serve, was replaced at once"))
    }

    /// Returns the content after the next step, and a sentence for the log; `None` if no step is due.
    fn after_step(&self, input: &RotationInput<'_>) -> Result<Option<(SecretContent, &'static str)>, rcgen::Error> {
        let own = self.found.as_ref().and_then(|found| secret::read(found).ok());
        let has_same_host = own.is_some_and(|own| own.host == self.held.host);
        let step = step(&self.held, input);
        let what = match step {
            RotationStep::Keep => return Ok(None),
            _ if !has_same_host && step != RotationStep::Renew => return Ok(None),
            RotationStep::Renew => "the serving certificate was renewed",
            RotationStep::Begin => "another authority was chosen; the marker maps name both from now on",
            RotationStep::Named => "every marker map names the next authority",
            RotationStep::NamedNoMore => "a marker map does not name the next authority, and is written again",
            RotationStep::Switch => "the next authority signs the serving certificate from now on",
            RotationStep::Drop => "the previous authority is no longer trusted",
        };
        Ok(Some((after(&self.held, step, input)?, what)))
    }

    /// Returns what to serve with.
    pub(crate) fn identity(&self) -> Identity {
        let SecretContent { leaf, .. } = &self.held;
        Identity {
            authorities: self.held.authorities(),
            certificate: leaf.certificate.clone(),
            key: leaf.key.clone(),
            peer_keys: self.held.peer_keys(),
        }
    }

    /// Returns the end of the serving certificate.
    pub(crate) fn end(&self) -> Option<Timestamp> {
        issue::end(&self.held.leaf.certificate).ok()
    }

    /// Returns what is wrong with the Secrets that were read last.
    pub(crate) fn problem(&self) -> Option<String> {
        let CertificateSettings { secret, .. } = &self.settings;
        if let Some(Err(error)) = &self.provided {
            return Some(refused(&self.settings, error).to_string());
        }
        let reason = self.unusable.as_ref()?;
        Some(format!("the Secret {secret} with the operator's certificate can't be used: {reason}"))
    }
}

fn can_serve(held: &SecretContent, host: &str, now: Timestamp) -> bool {
    held.host == host && issue::check(&held.authorities(), &held.leaf, host, now).is_ok()
}

fn input<'a>(
    settings: &'a CertificateSettings,
    provided: Option<&'a ProvidedCertificate>,
    unnamed: usize,
    now: Timestamp,
) -> RotationInput<'a> {
    RotationInput { now, overlap: settings.overlap, host: &settings.host, unnamed, provided }
}

fn refused(settings: &CertificateSettings, error: &ProvidedError) -> TlsError {
    TlsError::Provided { secret: provided_secret(settings), reason: error.to_string() }
}

/// Returns the name of the Secret in which somebody else provides a certificate.
fn provided_secret(settings: &CertificateSettings) -> String {
    settings.provided_secret.clone().unwrap_or_default()
}

async fn get(secrets: &Api<Secret>, name: &str) -> Result<Option<Secret>, TlsError> {
    let failed = |source| TlsError::Secret { secret: name.to_owned(), source: Box::new(source) };
    secrets.get_opt(name).await.map_err(failed)
}

/// Returns the certificate that somebody else provides, or the reason why it can't be used, if one is asked for.
async fn read_provided(
    secrets: &Api<Secret>,
    settings: &CertificateSettings,
    now: Timestamp,
) -> Result<Option<Result<ProvidedCertificate, ProvidedError>>, TlsError> {
    let Some(name) = &settings.provided_secret else { return Ok(None) };
    let secret = get(secrets, name).await?.ok_or(ProvidedError::Missing);
    let read = |secret| provided::read(&secret, &settings.host, now).map_err(ProvidedError::Unusable);
    Ok(Some(secret.and_then(read)))
}

/// Writes the Secret in place of `found`. `None` if it has changed meanwhile: what another replica has written is as
/// good.
async fn put(
    secrets: &Api<Secret>,
    name: &str,
    held: &SecretContent,
    found: Option<&Secret>,
) -> Result<Option<Secret>, TlsError> {
    let needed = secret::write(held, name, found);
    let outcome = match found {
        None => secrets.create(&PostParams::default(), &needed).await,
        Some(_) => secrets.replace(name, &PostParams::default(), &needed).await,
    };
    match outcome {
        Ok(written) => Ok(Some(written)),
        // Gone, or changed.
        Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => Ok(None),
        Err(source) => Err(TlsError::Secret { secret: name.to_owned(), source: Box::new(source) }),
    }
}
