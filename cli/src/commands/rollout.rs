//! `rototo rollout`: the step of a rollout, and what both parts of the fleet run.

use std::pin::pin;
use std::process::ExitCode;

use clap::Args;
use futures::StreamExt;
use rototo_api::rollout::{HeldStatus, RolloutStatus};
use rototo_api::workspace::RototoWorkspace;
use serde::Serialize;

use crate::cluster;
use crate::cluster::{ClusterOptions, WatchProblem};
use crate::global::GlobalArguments;
use crate::terminal;

/// See the rollout of a workspace: its steps, and the processes that run the new and the published revision.
#[derive(Debug, Args)]
pub(crate) struct RolloutArguments {
    /// The RototoWorkspace
    #[arg(value_name = "NAME")]
    name: String,

    /// Show each change until the rollout is over
    #[arg(short, long, conflicts_with = "json")]
    watch: bool,

    #[command(flatten)]
    cluster: ClusterOptions,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct RolloutReport {
    namespace: String,
    name: String,
    rollout: Option<RolloutStatus>,
    held: Option<HeldStatus>,
}

pub(crate) async fn run(arguments: RolloutArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let RolloutArguments { name, watch, cluster } = arguments;
    let cluster = cluster.connect().await?;
    let workspace = cluster.workspace(&name).await?;
    if global.json {
        let status = workspace.status.unwrap_or_default();
        let (rollout, held) = (status.rollout, status.held);
        terminal::json(&RolloutReport { namespace: cluster.namespace, name, rollout, held })?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut shown = cluster::rollout(&workspace);
    terminal::text(&shown)?;
    let mut changes = pin!(cluster.watch(&name));
    let mut goes_on = watch && is_under_way(&workspace);
    while goes_on {
        let workspace = match changes.next().await {
            Some(Ok(Some(workspace))) => workspace,
            Some(Ok(None)) | None => return Err(cluster.missing(&name)),
            Some(Err(WatchProblem::Lasting(error))) => return Err(error),
            Some(Err(WatchProblem::Passing(_))) => continue,
        };
        goes_on = is_under_way(&workspace);
        let now = cluster::rollout(&workspace);
        if now != shown {
            terminal::text(&format!("\n{now}"))?;
            shown = now;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_under_way(workspace: &RototoWorkspace) -> bool {
    workspace.status.as_ref().is_some_and(|status| status.rollout.is_some())
}
