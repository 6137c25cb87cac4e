//! Keeps the operator's certificate: reads its Secret again from time to time, serves with what it holds, and, on the
//! leader, takes the next step of a replacement.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum_server::tls_rustls::RustlsConfig;
use jiff::Timestamp;
use tracing::{error, info, warn};

use crate::http::tls::{Certificates, Identity, TlsError};
use crate::leader::peers::PeerProofs;
use crate::reconcile::context::OperatorContext;

/// The longest time between two reads of the Secret.
const READ_EVERY: Duration = Duration::from_secs(60);

/// The time between a change of the Secret and the next read: whoever else changes the Secret, or whatever keeps it from
/// being used, must not make the leader write without end.
const READ_AFTER_CHANGE: Duration = Duration::from_secs(1);

/// Returns the time between two reads of the Secret: a quarter of the overlap at most, so that a replica learns of a
/// step long before the next one.
fn read_every(overlap: Duration) -> Duration {
    READ_EVERY.min(overlap / 4)
}

/// Prepares to serve with an identity.
pub(super) async fn serving(identity: &Identity) -> std::io::Result<RustlsConfig> {
    RustlsConfig::from_pem(identity.certificate.clone().into_bytes(), identity.key.clone().into_bytes()).await
}

/// Returns the proofs of replicas with this identity.
pub(super) fn proofs(identity: &Identity) -> PeerProofs {
    PeerProofs { authorities: identity.authorities.clone(), keys: identity.peer_keys.clone() }
}

/// Keeps the certificate while the operator runs.
pub(super) async fn keep(
    context: &OperatorContext,
    mut certificates: Certificates,
    serving: &RustlsConfig,
    overlap: Duration,
) -> Infallible {
    let mut served = certificates.identity();
    let mut reported = None;
    loop {
        let changed = async {
            certificates.read(Timestamp::now()).await?;
            keep_once(context, &mut certificates, &mut served, serving).await
        };
        let (changed, problem) = match changed.await {
            Ok(changed) => (changed, certificates.problem()),
            Err(error) => (false, Some(error.to_string())),
        };
        context.metrics().certificate(certificates.end(), problem.is_some());
        if let Some(problem) = problem.as_ref().filter(|problem| reported.as_ref() != Some(*problem)) {
            error!("{problem}; the certificate that is served stays");
        }
        reported = problem;
        tokio::time::sleep(if changed { READ_AFTER_CHANGE } else { read_every(overlap) }).await;
    }
}

/// Serves with what the Secret holds, and takes the next step if this process leads. Returns whether the Secret has
/// changed.
async fn keep_once(
    context: &OperatorContext,
    certificates: &mut Certificates,
    served: &mut Identity,
    serving: &RustlsConfig,
) -> Result<bool, TlsError> {
    let identity = certificates.identity();
    // Before this process itself writes them with what it has just read: whatever it wrote with less counts.
    let unnamed = context.markers().without_authorities(&identity.authorities);
    if *served != identity {
        serve(context, &identity, served, serving).await;
    }
    // A map that the watches have not shown yet could lack an authority.
    let leads = || context.leadership().is_held(Instant::now()) && context.cluster().is_watching();
    if !leads() {
        return Ok(false);
    }
    for namespace in &unnamed {
        let turn = context.markers().turn(namespace);
        let _turn = turn.lock().await;
        if !leads() {
            return Ok(false);
        }
        if let Err(error) = context.markers().readdress(namespace).await {
            warn!(namespace, %error, "the marker map does not name the operator's authorities yet");
        }
    }
    certificates.lead(unnamed.len(), Timestamp::now()).await
}

async fn serve(context: &OperatorContext, identity: &Identity, served: &mut Identity, serving: &RustlsConfig) {
    context.markers().name_authorities(&identity.authorities);
    if let Some(copies) = context.copies() {
        copies.peers().change(proofs(identity));
    }
    if (&identity.certificate, &identity.key) != (&served.certificate, &served.key) {
        let (certificate, key) = (identity.certificate.clone().into_bytes(), identity.key.clone().into_bytes());
        match serving.reload_from_pem(certificate, key).await {
            Ok(()) => info!("serving with the certificate that the Secret holds now"),
            Err(error) => return error!(%error, "the new certificate can't be used; the old one stays"),
        }
    }
    served.clone_from(identity);
}
