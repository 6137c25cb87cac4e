//! `rototo history`: the last publishes of a workspace.

use std::process::ExitCode;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use rototo_api::workspace::HistoryEntry;
use serde::Serialize;

use crate::cluster;
use crate::cluster::ClusterOptions;
use crate::global::GlobalArguments;
use crate::terminal;

/// See the last ten publishes of a workspace: when, which revision, and how long they took to run everywhere.
#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// The RototoWorkspace
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    cluster: ClusterOptions,
}

/// The shape that scripts read: the history as the custom resource has it.
#[derive(Serialize)]
struct HistoryReport {
    namespace: String,
    name: String,
    history: Vec<HistoryEntry>,
}

pub(crate) async fn run(arguments: HistoryArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let cluster = arguments.cluster.connect().await?;
    let status = cluster.workspace(&arguments.name).await?.status;
    let history = status.map(|status| status.history).unwrap_or_default();
    if global.json {
        terminal::json(&HistoryReport { namespace: cluster.namespace, name: arguments.name, history })?;
    } else {
        terminal::text(&cluster::history(&history, Timestamp::now()))?;
    }
    Ok(ExitCode::SUCCESS)
}
