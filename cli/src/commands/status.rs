//! `rototo status`: the publishes of a cluster's workspaces, the processes that run them, and the problems.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use serde::Serialize;

use crate::cluster;
use crate::cluster::{ClusterOptions, ClusterWorkspaces, Clusters, ClustersOptions, WorkspaceScope};
use crate::global::{GlobalArguments, UsageError};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  rototo status                        all workspaces of the namespace
  rototo status degradation -n prod
  rototo status degradation --context eu --context us   several clusters: a table, and one answer
  rototo status --json | jq -r '.items[] | select(.status.fleet.behind) | .name'";

/// See which content the workspaces of a cluster publish, which processes run it, and who is behind.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArguments {
    /// A RototoWorkspace; without it, all of the namespace
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// All workspaces of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    all_namespaces: bool,

    #[command(flatten)]
    clusters: ClustersOptions,
}

/// The shape that scripts read: the status as the custom resource has it.
#[derive(Serialize)]
struct StatusReport<'a> {
    items: Vec<StatusItem<'a>>,
    /// The clusters that can't be read, if several were named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<StatusError<'a>>,
}

#[derive(Serialize)]
struct StatusError<'a> {
    context: &'a str,
    message: String,
}

#[derive(Serialize)]
struct StatusItem<'a> {
    /// The cluster, if several were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
    namespace: String,
    name: String,
    status: Option<&'a RototoWorkspaceStatus>,
}

pub(crate) async fn run(arguments: StatusArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let StatusArguments { name, all_namespaces, clusters } = arguments;
    let scope = match (&name, all_namespaces) {
        (Some(name), _) => WorkspaceScope::Named(name),
        (None, false) => WorkspaceScope::Namespace,
        (None, true) => WorkspaceScope::AllNamespaces,
    };
    let cluster = match clusters.clusters().map_err(UsageError)? {
        Clusters::One(cluster) => cluster.connect().await?,
        Clusters::Several(clusters) => return several(clusters, scope, global).await,
    };
    let workspaces = cluster.workspaces(scope).await?;
    if global.json {
        let items = workspaces.iter().map(|workspace| StatusItem::of(None, workspace)).collect();
        terminal::json(&StatusReport { items, errors: Vec::new() })?;
    } else if workspaces.is_empty() {
        let place = if all_namespaces { "any namespace".to_owned() } else { cluster.namespace };
        terminal::text(&format!("there is no RototoWorkspace in {place}\n"))?;
    } else {
        terminal::text(&cluster::status(&workspaces, Timestamp::now()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the workspaces of several clusters. One that can't be read does not hide the others.
async fn several(
    clusters: Vec<(String, ClusterOptions)>,
    scope: WorkspaceScope<'_>,
    global: &GlobalArguments,
) -> anyhow::Result<ExitCode> {
    let read = clusters.into_iter().map(async |(context, options)| {
        let workspaces = async { options.connect().await?.workspaces(scope).await };
        ClusterWorkspaces { context, workspaces: workspaces.await }
    });
    let clusters = join_all(read).await;
    let errors = || clusters.iter().filter_map(|one| Some((&*one.context, one.workspaces.as_ref().err()?)));
    if global.json {
        let items = clusters.iter().flat_map(|one| {
            let of = |workspace| StatusItem::of(Some(&one.context), workspace);
            one.workspaces.iter().flatten().map(of)
        });
        let items = items.collect();
        let errors = errors().map(|(context, error)| StatusError { context, message: format!("{error:#}") }).collect();
        terminal::json(&StatusReport { items, errors })?;
    } else {
        terminal::text(&cluster::table(&clusters, Timestamp::now()))?;
        for (context, error) in errors() {
            terminal::print_error(&anyhow!("{context}: {error:#}"));
        }
    }
    Ok(if errors().next().is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl<'a> StatusItem<'a> {
    fn of(context: Option<&'a str>, workspace: &'a RototoWorkspace) -> Self {
        Self {
            context,
            namespace: workspace.namespace().unwrap_or_default(),
            name: workspace.name_any(),
            status: workspace.status.as_ref(),
        }
    }
}
