//! Records the claims, and the changes of the marker, while a history runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{WatchEvent, WatchParams};
use rototo_api::convergence::Convergence;
use rototo_api::marker::Marker;
use rototo_api::names::{ANNOTATION_CA, AUDIENCE, MARKERS, convergence_path};
use rototo_api::workspace::RototoWorkspaceStatus;
use rototo_tests::harness::witness::{Claim, Publish};
use rototo_tests::harness::{Endpoint, Namespace};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::environment::{ChaosEnvironment, SILENCE, WORKSPACE};

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(75);
const PATIENCE: Duration = Duration::from_secs(2);
/// The time that a report may take from the process to the operator on two busy processors.
const ON_THE_WAY: Duration = Duration::from_millis(300);
/// The message of a status that this program forged.
pub(crate) const FORGED: &str = "forged by cargo xtask chaos";

/// The observations so far.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// The claims, each once.
    pub(crate) claims: Vec<Claim>,
    /// The number of answers and statuses that were read, claims or not.
    pub(crate) read: usize,
    /// The changes of the marker, in order.
    pub(crate) markers: Vec<(Timestamp, Option<Marker>)>,
}

/// The tasks that record until it is dropped.
pub(crate) struct Watch {
    seen: Arc<Mutex<Observed>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watch {
    pub(crate) async fn of(environment: &ChaosEnvironment) -> anyhow::Result<Self> {
        let seen = Arc::new(Mutex::new(Observed::default()));
        let name = environment.namespace.name();
        let arguments = ["--namespace", name, "create", "token", "reader", "--audience", AUDIENCE];
        let token = environment.namespace.cluster().kubectl(&arguments)?.trim().to_owned();
        let markers = environment.namespace.markers().await?;
        let annotations = markers.and_then(|map| map.metadata.annotations).unwrap_or_default();
        let certificates = annotations.get(ANNOTATION_CA).cloned().unwrap_or_default();
        let mut tasks = vec![
            tokio::spawn(read_status(environment.namespace.clone(), Arc::clone(&seen))),
            tokio::spawn(watch_marker(environment.namespace.clone(), Arc::clone(&seen))),
        ];
        for fellow in &environment.fellows {
            let endpoint = Endpoint::at(&format!("https://{}", fellow.operator.address()), &certificates)?;
            let namespace = environment.namespace.name().to_owned();
            let by = format!("the operator `{}`", fellow.identity);
            tasks.push(tokio::spawn(ask_operator(by, endpoint, namespace, token.clone(), Arc::clone(&seen))));
        }
        Ok(Self { seen, tasks })
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Observed> {
        lock(&self.seen)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn lock(seen: &Mutex<Observed>) -> MutexGuard<'_, Observed> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(seen: &Mutex<Observed>, claim: Option<Claim>) {
    let mut seen = lock(seen);
    seen.read += 1;
    let Some(claim) = claim else { return };
    let same = |other: &Claim| other.as_of == claim.as_of && other.by == claim.by && other.publish == claim.publish;
    if !seen.claims.iter().rev().take(20).any(same) {
        seen.claims.push(claim);
    }
}

async fn read_status(namespace: Namespace, seen: Arc<Mutex<Observed>>) {
    loop {
        if let Ok(Ok(workspace)) = timeout(PATIENCE, namespace.workspace(WORKSPACE)).await {
            note(&seen, workspace.status.as_ref().and_then(claim_of_status));
        }
        sleep(PAUSE).await;
    }
}

/// Returns the claim of a status, unless the status is too old for one.
fn claim_of_status(status: &RototoWorkspaceStatus) -> Option<Claim> {
    let converged = status.condition("Converged")?;
    let (fleet, published) = (status.fleet.as_ref()?, status.published.as_ref()?);
    let dated = fleet.as_of.as_ref()?.0;
    let good_for = Duration::from_secs(fleet.claim_seconds.into());
    if converged.status != "True" || converged.message == FORGED || Timestamp::now() > dated + good_for {
        return None;
    }
    Some(Claim {
        by: "status".to_owned(),
        publish: Publish { fingerprint: published.fingerprint.clone(), updated_at: published.updated_at.to_string() },
        from: dated - good_for - ON_THE_WAY,
        // The date of a status is cut to whole seconds.
        as_of: dated + Duration::from_micros(999_999),
    })
}

async fn ask_operator(by: String, endpoint: Endpoint, namespace: String, token: String, seen: Arc<Mutex<Observed>>) {
    let path = convergence_path(&namespace, WORKSPACE);
    loop {
        if let Ok(Ok(reply)) = timeout(PATIENCE, endpoint.get(&path, &token)).await
            && reply.status == 200
            && let Ok(answer) = serde_json::from_slice::<Convergence>(&reply.body)
        {
            note(&seen, claim_of_answer(&by, &answer));
        }
        sleep(PAUSE).await;
    }
}

fn claim_of_answer(by: &str, answer: &Convergence) -> Option<Claim> {
    if answer.status != "True" {
        return None;
    }
    let publish = Publish { fingerprint: answer.fingerprint.clone()?, updated_at: answer.updated_at?.to_string() };
    Some(Claim { by: by.to_owned(), publish, from: answer.as_of - SILENCE - ON_THE_WAY, as_of: answer.as_of })
}

async fn watch_marker(namespace: Namespace, seen: Arc<Mutex<Observed>>) {
    let maps = namespace.api::<ConfigMap>();
    let parameters = WatchParams::default().fields(&format!("metadata.name={MARKERS}"));
    loop {
        if let Ok(Ok(map)) = timeout(PATIENCE, maps.get_opt(MARKERS)).await {
            let version = map.as_ref().and_then(|map| map.metadata.resource_version.clone());
            note_marker(&seen, map.as_ref());
            if let Ok(events) = maps.watch(&parameters, version.as_deref().unwrap_or("0")).await {
                let mut events = std::pin::pin!(events);
                while let Some(Ok(event)) = events.next().await {
                    match event {
                        WatchEvent::Added(map) | WatchEvent::Modified(map) => note_marker(&seen, Some(&map)),
                        WatchEvent::Deleted(_) => note_marker(&seen, None),
                        WatchEvent::Bookmark(_) => {}
                        WatchEvent::Error(_) => break,
                    }
                }
            }
        }
        sleep(PAUSE).await;
    }
}

fn note_marker(seen: &Mutex<Observed>, map: Option<&ConfigMap>) {
    let text = map.and_then(|map| map.data.as_ref()?.get(WORKSPACE));
    let marker = text.and_then(|text| Marker::parse(text).ok());
    let mut seen = lock(seen);
    if seen.markers.last().map(|(_, last)| last) != Some(&marker) {
        seen.markers.push((Timestamp::now(), marker));
    }
}
