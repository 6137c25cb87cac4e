//! `rototo status`: the publishes of a cluster's workspaces, the processes that run them, and the problems.

use std::process::ExitCode;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use serde::Serialize;

use crate::cluster;
use crate::cluster::{ClusterOptions, WorkspaceScope};
use crate::global::GlobalArguments;
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  rototo status                        all workspaces of the namespace
  rototo status degradation -n prod
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
    cluster: ClusterOptions,
}

/// The shape that scripts read: the status as the custom resource has it.
#[derive(Serialize)]
struct StatusReport<'a> {
    items: Vec<StatusItem<'a>>,
}

#[derive(Serialize)]
struct StatusItem<'a> {
    namespace: String,
    name: String,
    status: Option<&'a RototoWorkspaceStatus>,
}

pub(crate) async fn run(arguments: StatusArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let cluster = arguments.cluster.connect().await?;
    let scope = match (&arguments.name, arguments.all_namespaces) {
        (Some(name), _) => WorkspaceScope::Named(name),
        (None, false) => WorkspaceScope::Namespace,
        (None, true) => WorkspaceScope::AllNamespaces,
    };
    let workspaces = cluster.workspaces(scope).await?;
    if global.json {
        terminal::json(&StatusReport { items: workspaces.iter().map(StatusItem::of).collect() })?;
    } else if workspaces.is_empty() {
        let place = if arguments.all_namespaces { "any namespace".to_owned() } else { cluster.namespace };
        terminal::text(&format!("there is no RototoWorkspace in {place}\n"))?;
    } else {
        terminal::text(&cluster::status(&workspaces, Timestamp::now()))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl<'a> StatusItem<'a> {
    fn of(workspace: &'a RototoWorkspace) -> Self {
        Self {
            namespace: workspace.namespace().unwrap_or_default(),
            name: workspace.name_any(),
            status: workspace.status.as_ref(),
        }
    }
}
