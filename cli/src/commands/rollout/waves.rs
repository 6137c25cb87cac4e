//! `rototo rollout --advance`: takes a commit through clusters, one after the other.

use std::process::ExitCode;
use std::time::Duration;

use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use tokio::time::Instant;

use crate::cluster::freshness::Freshness;
use crate::cluster::verdict::{WaitTarget, WaitVerdict};
use crate::cluster::wait_state::StageGoal;
use crate::cluster::{ClusterOptions, Clusters, OperatorOptions, short_revision};
use crate::commands::steering::{SteeringAction, send};
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
        let staged = end(&cluster, &goal, operator, (Some(context), global)).await?;
        let WaitVerdict::Staged(rollout, Freshness::Fresh) = staged.verdict() else { return Ok(staged) };
        // Somebody may have promoted it already.
        if rollout.step == step {
            let status = RototoWorkspaceStatus { rollout: Some(rollout.clone()), ..Default::default() };
            let (_, revision) = send(&cluster, &goal.name, &status, SteeringAction::PromoteStep).await?;
            if !global.quiet && !global.json {
                let (step, steps) = (u64::from(rollout.step) + 1, rollout.steps);
                let (context, revision) = (plain(context), short_revision(Some(revision)));
                terminal::text(&format!("{context}: promoted {revision} from step {step} of {steps}\n"))?;
            }
        }
        goal.stage = None;
    }
    end(&cluster, &goal, operator, (Some(context), global)).await
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
    use serde_json::json;

    use super::*;

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
}
