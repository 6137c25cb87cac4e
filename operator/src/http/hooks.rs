//! `POST /hooks/…`: the call of a git host makes a poll due.
//!
//! A host calls for a repository, of which several workspaces may be directories. So a call also makes polls due of the
//! workspaces of the same namespace that have the same repository and the same Secret with keys: its sender might call
//! for each of them. Each poll counts toward the limit of its own workspace.
//!
//! Each replica checks calls itself, by the spec as its watch shows it, and passes only the result on to the leader:
//! the body of a call may have 25 MiB, and nobody needs it twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceSpec};
use rototo_source::{RemoteUrl, Source};

use crate::http::connections::Peer;
use crate::http::endpoints::{Endpoints, WorkspacePath};
use crate::http::error::HttpError;
use crate::http::webhook::{Delivery, WebhookRefusal};
use crate::outbound::telemetry::TRACE_HEADERS;
use crate::workspace_key::WorkspaceKey;

/// The longest time that the leader may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// The most workspaces, beside the one that it names, for which a call makes polls due.
const MOST_OTHERS: usize = 200;

/// Takes the call of a git host.
pub(super) async fn hook(
    State(endpoints): State<Endpoints>,
    WorkspacePath(key): WorkspacePath,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, HttpError> {
    let context = endpoints.context();
    let workspace = context.cluster().workspace(&key);
    if workspace.is_none() && !context.cluster().is_watching() {
        return Err(HttpError::NotYet);
    }
    if workspace.is_none() && context.cluster().is_unreadable(&key) {
        return Err(HttpError::Unreadable(key));
    }
    let webhook = workspace.as_ref().and_then(|workspace| workspace.spec.webhook.clone());
    let secret = webhook.map(|webhook| webhook.secret_ref.name);
    let checked = endpoints.webhooks().check(&key, peer, secret, &headers, body).await;
    if checked == Err(WebhookRefusal::Unsigned) && is_test_of_connection(&headers) {
        return Ok(StatusCode::OK);
    }
    let delivery = checked.map_err(|refusal| {
        match &refusal {
            WebhookRefusal::TooMany => context.load().refused("webhook_places"),
            WebhookRefusal::TooManyWrong => context.load().refused("webhook_wrong_calls"),
            WebhookRefusal::NoKeys { why, .. } => {
                if let Some(workspace) = workspace.as_deref() {
                    context.webhook_unusable(workspace, why);
                }
            }
            _ => {}
        }
        HttpError::Refused(refusal)
    })?;
    match (delivery, endpoints.leader_for(&headers)) {
        (Delivery::Repeated, _) => return Ok(StatusCode::ACCEPTED),
        (Delivery::New(_), None) => take(&endpoints, &key, &headers)?,
        (Delivery::New(_), Some(leader)) => pass_on(&endpoints, &leader, &key, &headers).await?,
    }
    // A host sends a call again that was not taken.
    if let Delivery::New(Some(delivery)) = delivery {
        endpoints.webhooks().taken(delivery);
    }
    Ok(StatusCode::ACCEPTED)
}

/// Returns whether Bitbucket Server tests the connection, which it does not sign. Such a call shows that the way is open,
/// and does nothing.
fn is_test_of_connection(headers: &HeaderMap) -> bool {
    headers.get("x-event-key").is_some_and(|event| event == "diagnostics:ping")
}

/// Takes a call that another replica has checked.
pub(super) async fn checked_hook(
    State(endpoints): State<Endpoints>,
    path: Result<WorkspacePath, HttpError>,
    headers: HeaderMap,
) -> Result<StatusCode, HttpError> {
    endpoints.require_peer(&headers)?;
    let WorkspacePath(key) = path?;
    take(&endpoints, &key, &headers)?;
    Ok(StatusCode::ACCEPTED)
}

fn take(endpoints: &Endpoints, key: &WorkspaceKey, headers: &HeaderMap) -> Result<(), HttpError> {
    let context = endpoints.context();
    let sender = context.telemetry().sender(headers);
    let named = endpoints.record(key)?;
    let called = context.cluster().workspace(key);
    let others = called.map(|called| of_same_repository(&called, &context.cluster().workspaces())).unwrap_or_default();
    // One without a record is about to be polled for the first time.
    let others = others.into_iter().filter_map(|key| Some((context.records().get(&key)?, key)));
    let now = Instant::now();
    for (record, key) in std::iter::once((named, key.clone())).chain(others) {
        record.lock().webhook_called(now, sender.clone());
        context.cluster().requeue(&key);
    }
    Ok(())
}

/// Returns the other workspaces that a call for `called` is about, in the order of their names.
fn of_same_repository(called: &RototoWorkspace, all: &[Arc<RototoWorkspace>]) -> Vec<WorkspaceKey> {
    let (Some(_), Some(repository)) = (&called.spec.webhook, repository(&called.spec)) else { return Vec::new() };
    let key = WorkspaceKey::of(called);
    let has_same_keys = |other: &&Arc<RototoWorkspace>| {
        other.metadata.namespace == called.metadata.namespace && other.spec.webhook == called.spec.webhook
    };
    let others = all.iter().filter(has_same_keys);
    let others = others.filter(|other| self::repository(&other.spec).as_ref() == Some(&repository));
    let mut others: Vec<_> = others.map(|other| WorkspaceKey::of(other)).filter(|other| *other != key).collect();
    others.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    others.truncate(MOST_OTHERS);
    others
}

/// Returns the address of the source, without ref and directory, if it is on another machine.
fn repository(spec: &RototoWorkspaceSpec) -> Option<RemoteUrl> {
    match spec.source.parse().ok()? {
        Source::Git(git) => Some(git.remote().clone()),
        Source::Archive(archive) => Some(archive.url().clone()),
        Source::Local(_) | Source::Kubernetes { .. } => None,
    }
}

async fn pass_on(
    endpoints: &Endpoints,
    leader: &str,
    key: &WorkspaceKey,
    headers: &HeaderMap,
) -> Result<(), HttpError> {
    let WorkspaceKey { namespace, name } = key;
    let request = Request::builder().method(Method::POST).uri(format!("/v1/replicas/hooks/{namespace}/{name}"));
    let named = TRACE_HEADERS.iter().filter_map(|name| Some((*name, headers.get(*name)?)));
    let request = named.fold(request, |request, (name, value)| request.header(name, value));
    let peers = endpoints.peers().ok_or(HttpError::NotLeading)?;
    peers.ask(leader, request, Vec::new(), ANSWERED_WITHIN).await.map_err(|error| {
        tracing::debug!(leader, error, "the leader did not take a webhook call");
        HttpError::NotLeading
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workspace(namespace: &str, name: &str, source: &str, secret: Option<&str>) -> Arc<RototoWorkspace> {
        let webhook = secret.map(|secret| json!({ "secretRef": { "name": secret } }));
        let object = json!({
            "metadata": { "namespace": namespace, "name": name },
            "spec": { "source": source, "webhook": webhook },
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_call_is_about_the_workspaces_of_its_repository_and_secret() {
        let source = |rest: &str| format!("git+https://git.example.com/acme/config{rest}");
        let of = |name: &str, rest: &str| workspace("prod", name, &source(rest), Some("hook"));
        let mut all = vec![
            of("c", ".git#release:c"),
            of("a", ".git#main:a"),
            of("b", ".git"),
            of("other-repository", "-2.git#main:a"),
            of("broken", ".git#main:../.."),
            workspace("prod", "archive", "https://git.example.com/acme/config.tar.gz", Some("hook")),
            workspace("prod", "other-secret", &source(".git#main:d"), Some("hook-2")),
            workspace("prod", "no-webhook", &source(".git#main:e"), None),
            workspace("prod", "no-webhook-either", &source(".git#main:e"), None),
            workspace("test", "other-namespace", &source(".git#main:f"), Some("hook")),
        ];
        let names = |called: &RototoWorkspace, all: &[Arc<RototoWorkspace>]| -> Vec<String> {
            of_same_repository(called, all).into_iter().map(|key| key.name).collect()
        };
        assert_eq!(names(&all[1], &all), ["b", "c"]);
        assert_eq!(names(&all[0], &all), ["a", "b"]);
        for alone in 3..all.len() {
            assert_eq!(
                names(&all[alone], &all),
                Vec::<String>::new(),
                "{}",
                all[alone].metadata.name.as_ref().unwrap()
            );
        }
        let local = [workspace("prod", "l", "/config", Some("hook")), workspace("prod", "m", "/config", Some("hook"))];
        assert_eq!(names(&local[0], &local), Vec::<String>::new());
        all.extend((0..300).map(|number| of(&format!("z{number:03}"), &format!(".git#main:{number}"))));
        let bounded = names(&all[1], &all);
        assert_eq!((bounded.len(), bounded.last().map(String::as_str)), (MOST_OTHERS, Some("z197")));
    }
}
