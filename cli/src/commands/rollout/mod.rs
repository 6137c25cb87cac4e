//! `rototo rollout`: the step of a rollout, and what both parts of the fleet run.

mod waves;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures::StreamExt;
use kube::ResourceExt;
use rototo_api::rollout::{HeldStatus, RolloutStatus};
use rototo_api::workspace::RototoWorkspace;
use serde::Serialize;

use crate::cluster;
use crate::cluster::verdict::WaitTarget;
use crate::cluster::{ClusterOptions, Clusters, ClustersOptions, NamespaceClient, WatchProblem};
use crate::commands::wait::{duration, revision};
use crate::global::{GlobalArguments, UsageError};
use crate::terminal;
use crate::terminal::style::BOLD;
use crate::terminal::wording::plain;

const EXAMPLES: &str = "\
Examples:
  rototo rollout degradation --watch
  rototo rollout degradation --context eu --context us                       in both clusters
  rototo rollout degradation --context eu --context us --advance $COMMIT     first eu, then us

With --advance, the command goes through the clusters in the order of the command line. In each it waits for the commit. \
If the rollout of the commit is at a pause without a duration, it promotes it by one step. It goes on to the next \
cluster once every process runs the commit. A cluster whose `spec.rollout.steps` begin with `setWeight: 0` and \
`pause: {}` runs nothing new before its turn. The first cluster in which that fails ends the command, with the exit code \
of `rototo wait`.";

/// See the rollout of a workspace: its steps, and the processes that run the new and the published revision.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RolloutArguments {
    /// The RototoWorkspace
    #[arg(value_name = "NAME")]
    name: String,

    /// Show each change until the rollout is over
    #[arg(short, long, conflicts_with_all = ["json", "advance"])]
    watch: bool,

    /// Take this commit through the clusters, one after the other
    #[arg(long, value_name = "REVISION", value_parser = revision)]
    advance: Option<WaitTarget>,

    /// The longest time to wait in each cluster, with --advance
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, requires = "advance")]
    timeout: Duration,

    #[command(flatten)]
    clusters: ClustersOptions,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct RolloutReport {
    /// The cluster, if several were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    namespace: String,
    name: String,
    rollout: Option<RolloutStatus>,
    held: Option<HeldStatus>,
}

pub(crate) async fn run(arguments: RolloutArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let RolloutArguments { name, watch, advance, timeout, clusters } = arguments;
    let clusters = clusters.clusters().map_err(UsageError)?;
    if let Some(target) = advance {
        return waves::run(clusters, &name, target, timeout, global).await;
    }
    match clusters {
        Clusters::One(cluster) => one(&cluster.connect().await?, &name, watch, global).await?,
        Clusters::Several(_) if watch => {
            return Err(UsageError("--watch shows one cluster: name one --context".to_owned()).into());
        }
        Clusters::Several(clusters) => several(clusters, &name, global).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn one(cluster: &NamespaceClient, name: &str, watch: bool, global: &GlobalArguments) -> anyhow::Result<()> {
    let workspace = cluster.workspace(name).await?;
    if global.json {
        return terminal::json(&RolloutReport::of(None, cluster, workspace));
    }
    let mut shown = cluster::rollout(&workspace);
    terminal::text(&shown)?;
    let mut changes = pin!(cluster.watch(name));
    let mut goes_on = watch && is_under_way(&workspace);
    while goes_on {
        let workspace = match changes.next().await {
            Some(Ok(Some(workspace))) => workspace,
            Some(Ok(None)) | None => return Err(cluster.missing(name)),
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
    Ok(())
}

/// Shows the rollout in each cluster.
async fn several(clusters: Vec<(String, ClusterOptions)>, name: &str, global: &GlobalArguments) -> anyhow::Result<()> {
    let mut reports = Vec::new();
    for (context, options) in clusters {
        let read = async {
            let cluster = options.connect().await?;
            let workspace = cluster.workspace(name).await?;
            anyhow::Ok((cluster, workspace))
        };
        let (cluster, workspace) = read.await.with_context(|| plain(&context))?;
        if global.json {
            reports.push(RolloutReport::of(Some(context), &cluster, workspace));
        } else {
            terminal::text(&format!("{BOLD}{}{BOLD:#}: {}", plain(&context), cluster::rollout(&workspace)))?;
        }
    }
    if global.json { terminal::json(&reports) } else { Ok(()) }
}

impl RolloutReport {
    fn of(context: Option<String>, cluster: &NamespaceClient, workspace: RototoWorkspace) -> Self {
        let (namespace, name) = (cluster.namespace.clone(), workspace.name_any());
        let status = workspace.status.unwrap_or_default();
        Self { context, namespace, name, rollout: status.rollout, held: status.held }
    }
}

fn is_under_way(workspace: &RototoWorkspace) -> bool {
    workspace.status.as_ref().is_some_and(|status| status.rollout.is_some())
}
