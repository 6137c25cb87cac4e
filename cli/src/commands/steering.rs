//! Shared by the commands that steer a rollout: each writes one annotation of the RototoWorkspace, which names the action,
//! the revision, the announced publish, the step, and the user. The operator decides what becomes of it.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use kube::ResourceExt;
use rototo_api::names;
use rototo_api::rollout::{HeldStatus, RolloutStatus};
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use serde::Serialize;

use crate::cluster::{ClusterOptions, NamespaceClient, short_revision};
use crate::global::GlobalArguments;
use crate::terminal;

/// The workspace whose rollout is steered.
#[derive(Debug, Args)]
pub(crate) struct SteeringArguments {
    /// The RototoWorkspace
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    cluster: ClusterOptions,
}

/// The request of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SteeringAction {
    Promote,
    PromoteStep,
    Hold,
    Abort,
    Retry,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct SteeringReport {
    namespace: String,
    name: String,
    request: String,
}

impl SteeringAction {
    fn name(self) -> &'static str {
        match self {
            Self::Promote | Self::PromoteStep => "promote",
            Self::Hold => "hold",
            Self::Abort => "abort",
            Self::Retry => "retry",
        }
    }

    /// Returns the value of the annotation, without the user.
    fn request(self, status: &RototoWorkspaceStatus) -> anyhow::Result<(String, &str)> {
        let (revision, request) = match self {
            Self::Retry => {
                let held = status.held.as_ref().filter(|held| held.reason == HELD_BACK);
                let Some(held) = held else { bail!("no revision was rolled back: see `rototo status`") };
                let Some(of) = of(held) else {
                    bail!("the status does not name what was rolled back: {}", held.release)
                };
                (&held.revision, format!("retry {} of={of}", commit(&held.revision)))
            }
            _ => {
                let Some(rollout) = &status.rollout else { bail!("no rollout is under way: see `rototo status`") };
                let RolloutStatus { revision, step, announced_as, .. } = rollout;
                let Some(of) = announced_as else { bail!("the operator is older than this command: update it") };
                let step = if self == Self::PromoteStep { format!(" step={step}") } else { String::new() };
                (revision, format!("{} {} of={of}{step}", self.name(), commit(revision)))
            }
        };
        Ok((request, revision))
    }
}

const HELD_BACK: &str = rototo_api::condition::reason::HELD_BACK;

/// Returns the name of the publish that was rolled back, from the command in the status.
fn of(held: &HeldStatus) -> Option<&str> {
    let (_, of) = held.release.split_once(" of=")?;
    of.split(|end: char| end.is_whitespace() || end == '\'').next()
}

fn commit(revision: &str) -> &str {
    revision.rsplit_once("@sha1:").map_or(revision, |(_, commit)| commit)
}

/// Sets the annotation.
pub(crate) async fn steer(
    arguments: SteeringArguments,
    action: SteeringAction,
    global: &GlobalArguments,
) -> anyhow::Result<ExitCode> {
    let SteeringArguments { name, cluster } = arguments;
    let cluster = cluster.connect().await?;
    let status = cluster.workspace(&name).await?.status.unwrap_or_default();
    let (request, revision) = send(&cluster, &name, &status, action).await?;
    if global.json {
        terminal::json(&SteeringReport { namespace: cluster.namespace, name, request })?;
    } else {
        let revision = short_revision(Some(revision));
        terminal::text(&format!("asked to {} {revision}: `rototo rollout {name}` shows it\n", action.name()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Sets the annotation that asks for this action on what `status` shows. Returns its value, and the revision.
async fn send<'a>(
    cluster: &NamespaceClient,
    name: &str,
    status: &'a RototoWorkspaceStatus,
    action: SteeringAction,
) -> anyhow::Result<(String, &'a str)> {
    let (request, revision) = signed(status, action, cluster.user().await.as_deref())?;
    cluster.annotate(name, names::ANNOTATION_ROLLOUT, &request).await?;
    Ok((request, revision))
}

/// Sets the annotation that asks for this action on what `workspace` shows, if it is still as it was read. Returns false
/// if somebody has changed the workspace since.
pub(super) async fn send_if_unchanged(
    cluster: &NamespaceClient,
    workspace: &RototoWorkspace,
    user: Option<&str>,
    action: SteeringAction,
) -> anyhow::Result<bool> {
    let none = RototoWorkspaceStatus::default();
    let (request, _) = signed(workspace.status.as_ref().unwrap_or(&none), action, user)?;
    let version = workspace.resource_version().unwrap_or_default();
    cluster.annotate_version(&workspace.name_any(), &version, names::ANNOTATION_ROLLOUT, &request).await
}

/// Returns the value of the annotation with the user, if the API server says who that is, and the revision.
fn signed<'a>(
    status: &'a RototoWorkspaceStatus,
    action: SteeringAction,
    user: Option<&str>,
) -> anyhow::Result<(String, &'a str)> {
    let (request, revision) = action.request(status)?;
    let request = match user {
        Some(user) => format!("{request}{}{user}", names::ANNOTATION_USER),
        None => request,
    };
    Ok((request, revision))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OF: &str = "2026-11-20T18:40:00.000000Z";

    fn status(value: serde_json::Value) -> RototoWorkspaceStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_request_names_the_revision_the_announcement_and_the_step_that_the_status_shows() {
        let rollout = status(json!({ "rollout": {
            "revision": "main@sha1:4d123d61", "announcedAs": OF, "step": 2, "steps": 4, "since": "2026-11-20T18:40:00Z",
            "next": "1/1", "stable": "2/2", "promote": "", "abort": "",
        } }));
        for (action, expected) in [
            (SteeringAction::Promote, format!("promote 4d123d61 of={OF}")),
            (SteeringAction::PromoteStep, format!("promote 4d123d61 of={OF} step=2")),
            (SteeringAction::Hold, format!("hold 4d123d61 of={OF}")),
            (SteeringAction::Abort, format!("abort 4d123d61 of={OF}")),
        ] {
            assert_eq!(action.request(&rollout).unwrap().0, expected);
        }
        assert!(SteeringAction::Retry.request(&rollout).is_err());
        assert!(SteeringAction::Abort.request(&RototoWorkspaceStatus::default()).is_err());
    }

    #[test]
    fn what_was_taken_back_is_tried_again_by_its_name() {
        let held = |reason: &str, value: String| {
            status(json!({ "held": {
                "revision": "main@sha1:4d123d61", "fingerprint": "sha256:00", "reason": reason,
                "since": "2026-11-20T18:40:00Z",
                "release": format!("kubectl annotate x rototo.dev/rollout={value}"),
            } }))
        };
        let (plain, signed) =
            (format!("'retry 4d123d61 of={OF}'"), format!("\"retry 4d123d61 of={OF} user=$(whoami)\""));
        for value in [plain.clone(), signed] {
            let request = SteeringAction::Retry.request(&held("HeldBack", value)).unwrap().0;
            assert_eq!(request, format!("retry 4d123d61 of={OF}"));
        }
        assert!(SteeringAction::Retry.request(&held("ShrinkHeld", plain)).is_err());
    }
}
