//! A witness of changes: a process that follows a workspace, or that only watches a ConfigMap. It prints a line for
//! each change that it sees: `seen MICROSECONDS VALUE`, with the time since 1970.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rototo::{Cluster, LoadOptions, RefreshOptions, RefreshingWorkspace};
use rototo_benches::environment::micros;
use tracing::field::Field;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// A witness of changes.
#[derive(Parser)]
enum WitnessCommand {
    /// Follow a workspace with the client library. It sees the names of publishes, after each swap.
    Follow {
        /// The workspace, as `kubernetes://NAMESPACE/NAME`.
        source: String,
        /// A directory with a `kubeconfig` and a `rototo-token`.
        place: PathBuf,
        /// Also print the time of each step of a change, as `step MICROSECONDS NAME`.
        #[arg(long)]
        steps: bool,
    },
    /// Watch a ConfigMap and do nothing else. It sees the values of a key.
    Watch {
        /// The number of the process.
        kubeconfig: PathBuf,
        /// The namespace of the map.
        namespace: String,
        /// The name of the map.
        map: String,
        /// The key in its data.
        key: String,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match WitnessCommand::parse() {
        WitnessCommand::Follow { source, place, steps } => {
            if steps {
                tracing_subscriber::registry().with(StepRecorder).init();
            }
            follow(&source, &place).await
        }
        WitnessCommand::Watch { kubeconfig, namespace, map, key } => watch(&kubeconfig, &namespace, &map, &key).await,
    }
}

async fn follow(source: &str, place: &Path) -> anyhow::Result<()> {
    let config = config(&place.join("kubeconfig")).await?;
    let options = RefreshOptions::new().with_cluster(Cluster::with_config(config));
    let options = options.with_token_file(place.join("rototo-token"));
    let workspace = RefreshingWorkspace::start(source, LoadOptions::new(), options)?;
    let mut changes = workspace.changes();
    while let Some(workspace) = changes.next().await {
        if let Some(updated_at) = workspace.updated_at() {
            saw(&updated_at.to_string());
        }
    }
    Ok(())
}

async fn watch(kubeconfig: &Path, namespace: &str, map: &str, key: &str) -> anyhow::Result<()> {
    let client = Client::try_from(config(kubeconfig).await?)?;
    let maps = Api::<ConfigMap>::namespaced(client, namespace);
    // The first event has the present map, and shows that the watch runs.
    let (mut version, limit) = ("0".to_owned(), 290);
    let parameters = WatchParams::default().fields(&format!("metadata.name={map}")).timeout(limit);
    loop {
        let mut events = maps.watch(&parameters, &version).await.context("watch the map")?.boxed();
        while let Some(event) = events.try_next().await.context("watch the map")? {
            if let WatchEvent::Added(map) | WatchEvent::Modified(map) = event {
                version = map.metadata.resource_version.unwrap_or_default();
                saw(map.data.unwrap_or_default().get(key).map_or("", String::as_str));
            }
        }
    }
}

fn saw(value: &str) {
    println!("seen {} {value}", micros() as u64);
}

/// Prints the steps that the library traces.
struct StepRecorder;

impl<S: Subscriber> Layer<S> for StepRecorder {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "rototo::path"
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let at = micros() as u64;
        event.record(&mut |field: &Field, value: &dyn Debug| {
            if field.name() == "message" {
                println!("step {at} {value:?}");
            }
        });
    }
}

async fn config(kubeconfig: &Path) -> anyhow::Result<Config> {
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    config.with_context(|| format!("use the kubeconfig {}", kubeconfig.display()))
}
