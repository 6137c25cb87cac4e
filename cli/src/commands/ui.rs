//! `rototo ui`: the page on this machine.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::cluster::{Clusters, ClustersOptions};
use crate::global::{GlobalArguments, UsageError};
use crate::terminal;
use crate::ui::{UiServer, serve};

const EXAMPLES: &str = "\
Examples:
  rototo ui                 the workspaces of the namespace
  rototo ui -A              those of all namespaces
  rototo ui -n prod --confirm
  rototo ui -A --context eu --context us    those of two clusters";

/// Open a page in the browser that shows which content runs where, who is behind, and why; it shows changes as they happen.
///
/// The page is served on this machine alone, at an address with a token, until you press Ctrl-C. It needs the rights of
/// `rototo status`: get, list, and watch on rototoworkspaces.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UiArguments {
    /// All workspaces of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,

    /// The port on 127.0.0.1; by default a free one
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,

    /// Ask the operator to refresh the status of the open workspace. Needs the verb `patch`. Without it, the operator
    /// refreshes a status when it changes, and every 10 to 15 minutes
    #[arg(long)]
    confirm: bool,

    #[command(flatten)]
    clusters: ClustersOptions,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct UiReport {
    url: String,
}

pub(crate) async fn run(arguments: UiArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let mut clusters = Vec::new();
    match arguments.clusters.clusters().map_err(UsageError)? {
        Clusters::One(options) => clusters.push((None, options.connect().await?)),
        Clusters::Several(several) => {
            for (context, options) in several {
                let cluster = options.connect().await.with_context(|| context.clone())?;
                clusters.push((Some(context), cluster));
            }
        }
    }
    for (context, cluster) in &clusters {
        let answers = cluster.answers(arguments.all_namespaces).await;
        answers.map_err(|error| match context {
            Some(context) => error.context(context.clone()),
            None => error,
        })?;
    }
    let server = UiServer::listen(arguments.port).await?;
    let url = server.url();
    if global.json {
        terminal::json(&UiReport { url })?;
    } else {
        terminal::text(&format!("{url}\n"))?;
    }
    Box::pin(serve(server, clusters, arguments.all_namespaces, arguments.confirm)).await?;
    Ok(ExitCode::SUCCESS)
}
