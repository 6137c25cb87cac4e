//! `rototo rollout --advance`: takes a commit through clusters, one after the other.

use std::process::ExitCode;
use std::time::Duration;

use rototo_api::rollout::RolloutStatus;
use rototo_api::workspace::RototoWorkspace;
use tokio::time::Instant;

use crate::cluster::freshness::Freshness;
use crate::cluster::verdict::{WaitTarget, WaitVerdict, at_stage, held_by};
use crate::cluster::wait_state::StageGoal;
use crate::cluster::{ClusterOptions, Clusters, NamespaceClient, OperatorOptions, short_revision};
use crate::commands::steering::{SteeringAction, send_if_unchanged};
use crate::commands::wait::{Goal, WaitEnd, end, several};
use crate::global::{GlobalArguments, UsageError};
use crate::terminal;
use crate::terminal::wording::plain;

/// Goes through the clusters until one fails.
pub(super) async fn run(
    clusters: Clusters,
    name: &str,
    target: WaitTarget,
    timeout: Duration,
    global: &GlobalArguments,
) -> anyhow::Result<ExitCode> {
    let Clusters::Several(clusters) = clusters else {
        let missing = "--advance goes from one cluster to the next: name two or more, each with --context, in order; in one \
            cluster, use `rototo promote --step` and `rototo wait`";
        return Err(UsageError(missing.to_owned()).into());
    };
    let operator = OperatorOptions::default().for_several().map_err(UsageError)?;
    let mut ends = Vec::new();
    for (context, options) in &clusters {
        let (name, target) = (name.to_owned(), target.clone());
        let goal = Goal { name, target, stage: None, timeout, deadline: Instant::now() + timeout };
        let end = Box::pin(wave(context, options, goal, &operator, global)).await;
        if !global.json {
            several::print(context, &end, global)?;
        }
        let has_converged = end.as_ref().is_ok_and(|end| matches!(end.verdict(), WaitVerdict::Converged(_)));
        ends.push((context.clone(), end));
        if !has_converged {
            break;
        }
    }
    let pending: Vec<_> = clusters.iter().skip(ends.len()).map(|(context, _)| plain(context)).collect();
    if !pending.is_empty() {
        terminal::print_error_text(&format!("nothing was promoted in {}\n", pending.join(", ")))?;
    }
    several::finish(&ends, global)
}

/// Waits for the commit in one cluster, and promotes it if its rollout pauses until somebody does. While a person holds the
/// rollout, it is not promoted.
async fn wave(
    context: &str,
    options: &ClusterOptions,
    mut goal: Goal,
    operator: &OperatorOptions,
    global: &GlobalArguments,
) -> anyhow::Result<WaitEnd> {
    let cluster = options.connect().await?;
    if let Some(step) = pause(&cluster.workspace(&goal.name).await?) {
        goal.stage = Some(StageGoal::Promotable(step));
        loop {
            let staged = end(&cluster, &goal, operator, (Some(context), global)).await?;
            let WaitVerdict::Staged(rollout, Freshness::Fresh) = staged.verdict() else { return Ok(staged) };
            // Somebody may have promoted it already.
            if rollout.step != step {
                break;
            }
            // Otherwise a person holds it by now, or it is over.
            if let Some(promoted) = promote(&cluster, &goal, step).await? {
                print(context, &promoted, global)?;
                break;
            }
        }
        goal.stage = None;
    }
    end(&cluster, &goal, operator, (Some(context), global)).await
}

/// Promotes the rollout of the target from this step. `None` if it is not at that step, or a person holds it. A request of a
/// person that comes between the reading and the write is never overwritten: the write is for the version that was read.
async fn promote(cluster: &NamespaceClient, goal: &Goal, step: u32) -> anyhow::Result<Option<RolloutStatus>> {
    // Between the reading and the write it would only leave time for conflicts.
    let user = cluster.user().await;
    loop {
        let workspace = cluster.workspace(&goal.name).await?;
        let Some(rollout) = promotable(&workspace, &goal.target, step) else { return Ok(None) };
        if send_if_unchanged(cluster, &workspace, user.as_deref(), SteeringAction::PromoteStep).await? {
            return Ok(Some(rollout));
        }
        if Instant::now() >= goal.deadline {
            return Ok(None);
        }
    }
}

/// Returns the rollout of the target, if it is at this step and no person holds it.
fn promotable(workspace: &RototoWorkspace, target: &WaitTarget, step: u32) -> Option<RolloutStatus> {
    let rollout = at_stage(workspace, target, step)?;
    (rollout.step == step && held_by(workspace, &rollout).is_none()).then_some(rollout)
}

fn print(context: &str, promoted: &RolloutStatus, global: &GlobalArguments) -> anyhow::Result<()> {
    if global.quiet || global.json {
        return Ok(());
    }
    let (step, steps) = (u64::from(promoted.step) + 1, promoted.steps);
    let (context, revision) = (plain(context), short_revision(Some(&promoted.revision)));
    terminal::text(&format!("{context}: promoted {revision} from step {step} of {steps}\n"))
}

/// Returns the first step of the workspace that ends when somebody promotes the revision.
fn pause(workspace: &RototoWorkspace) -> Option<u32> {
    let steps = &workspace.spec.rollout.as_ref()?.steps;
    let waits = |pause: &rototo_api::rollout::PauseStep| pause.duration.is_none();
    let index = steps.iter().position(|step| step.pause.as_ref().is_some_and(waits))?;
    u32::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::http::StatusCode;
    use axum::routing::get;
    use rototo_api::names::ANNOTATION_ROLLOUT;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    const COMMIT: &str = "4d123d6100000000000000000000000000000000";
    const OF: &str = "2026-11-20T18:40:20.000000Z";

    #[test]
    fn a_wave_promotes_at_the_first_pause_without_a_duration() {
        let workspace = |steps| -> RototoWorkspace {
            let spec = json!({ "source": "x", "rollout": { "steps": steps } });
            serde_json::from_value(json!({ "metadata": { "name": "policy" }, "spec": spec })).unwrap()
        };
        assert_eq!(pause(&workspace(json!([{ "setWeight": 0 }, { "pause": {} }, { "setWeight": 50 }]))), Some(1));
        assert_eq!(pause(&workspace(json!([{ "pods": 1 }, { "pause": { "duration": "2m" } }]))), None);
        assert_eq!(pause(&workspace(json!([]))), None);
    }

    fn goal() -> Goal {
        let timeout = Duration::from_secs(60);
        let target = WaitTarget::Commit(COMMIT.parse().unwrap());
        Goal { name: "policy".to_owned(), target, stage: None, timeout, deadline: Instant::now() + timeout }
    }

    /// Makes a workspace whose rollout is at step 1 of 2.
    fn paused() -> Value {
        let rollout = json!({
            "revision": format!("main@sha1:{COMMIT}"), "revisions": [format!("main@sha1:{COMMIT}")], "announcedAs": OF,
            "step": 1, "steps": 2, "since": "2026-11-20T18:40:20Z", "next": "0/0", "stable": "1/1", "promote": "",
            "abort": "",
        });
        json!({
            "apiVersion": "rototo.dev/v1alpha1", "kind": "RototoWorkspace",
            "metadata": { "name": "policy", "namespace": "prod", "generation": 1, "resourceVersion": "1",
                "annotations": {} },
            "spec": { "source": "git+https://git.example.com/acme/config.git" },
            "status": { "observedGeneration": 1, "rollout": rollout },
        })
    }

    /// Serves the workspace. When the first patch arrives, somebody has just written `request`, if there is one. A patch for
    /// another version is refused, as by every API server.
    async fn served(request: Option<String>) -> (NamespaceClient, Arc<Mutex<Value>>) {
        let stored = Arc::new(Mutex::new(paused()));
        let (read, patched, request) = (stored.clone(), stored.clone(), Mutex::new(request));
        let request = Arc::new(request);
        let patch = async move |body: Bytes| {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let mut stored = patched.lock().unwrap();
            let earlier = request.lock().unwrap().take();
            let mut set = |value: Value| {
                let version: u64 = stored["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                stored["metadata"]["resourceVersion"] = json!((version + 1).to_string());
                stored["metadata"]["annotations"][ANNOTATION_ROLLOUT] = value;
            };
            earlier.into_iter().for_each(|earlier| set(json!(earlier)));
            let version = &body["metadata"]["resourceVersion"];
            if !version.is_null() && *version != stored["metadata"]["resourceVersion"] {
                let refusal = json!({ "kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict",
                    "message": "the object has been modified" });
                return (StatusCode::CONFLICT, refusal.to_string());
            }
            let mut set = |value: Value| stored["metadata"]["annotations"][ANNOTATION_ROLLOUT] = value;
            set(body["metadata"]["annotations"][ANNOTATION_ROLLOUT].clone());
            (StatusCode::OK, stored.to_string())
        };
        let path = "/apis/rototo.dev/v1alpha1/namespaces/prod/rototoworkspaces/policy";
        let read = async move || read.lock().unwrap().to_string();
        let router = Router::new().route(path, get(read).patch(patch));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (NamespaceClient::at(&url), stored)
    }

    fn requested(stored: &Mutex<Value>) -> String {
        stored.lock().unwrap()["metadata"]["annotations"][ANNOTATION_ROLLOUT].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_hold_that_is_set_just_before_the_promotion_is_not_overwritten() {
        let hold = format!("hold {COMMIT} of={OF}");
        let (cluster, stored) = served(Some(hold.clone())).await;
        assert_eq!(promote(&cluster, &goal(), 1).await.unwrap(), None);
        assert_eq!(requested(&stored), hold);
    }

    #[tokio::test]
    async fn a_rollout_is_promoted_although_something_else_changes_the_workspace() {
        let promotion = format!("promote {COMMIT} of={OF} step=1");
        for between in [None, Some("hold of another rollout".to_owned())] {
            let (cluster, stored) = served(between).await;
            assert_eq!(promote(&cluster, &goal(), 1).await.unwrap().map(|rollout| rollout.step), Some(1));
            assert_eq!(requested(&stored), promotion);
        }
        let (cluster, _) = served(None).await;
        assert_eq!(promote(&cluster, &goal(), 0).await.unwrap(), None, "it is past that step");
    }
}
