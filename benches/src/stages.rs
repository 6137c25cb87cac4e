//! `cargo xtask bench stages`: measures the steps of a change by the operator's clock, beside the latency of the same
//! number of plain watchers of the same map in the same run.
//!
//! The floor is measured between the changes: before each change, a patch of a label of the map is timed until the last
//! watcher has seen it. So both rows are from the same machine in the same state.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use rototo_api::names::{ANNOTATION_RECONCILE, MARKERS};
use rototo_api::workspace::{FleetMillis, RototoWorkspace};
use rototo_tests::harness::{
    AppSettings, ControlPlane, Fleet, GitRepo, Namespace, Observation, Operator, PATIENCE, install_chart, until_async,
};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const WORKSPACE: &str = "degradation";
const TRIAL: &str = "qualifiers/degradation-trial-bucket.toml";
const BEAT: &str = "rototo.dev/floor";

/// Measure the steps of a change, beside the raw watch.
#[derive(Parser)]
#[command(name = "cargo xtask bench stages")]
struct StagesOptions {
    /// The number of processes in the fleet, and of plain watchers.
    #[arg(long, default_value_t = 12)]
    processes: usize,
    /// The number of changes that are pushed.
    #[arg(long, default_value_t = 10)]
    changes: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let StagesOptions { processes, changes } = StagesOptions::parse();
    let plane = ControlPlane::start()?;
    plane.install_crds()?;
    let namespace = Namespace::create(&plane, "stages").await?;
    let _operator = Operator::start_with(&namespace, &["--heartbeat-seconds=15"])?;
    // The admission policy would not let the bench patch the map for the floor.
    install_chart(&namespace, &["markersPolicy.enabled=false"])?;
    let repository = GitRepo::with_workspace(&xtask::cargo::root().join("examples/degradation-config"), "config")?;
    let spec = json!({ "source": repository.url(), "interval": "1h" });
    namespace.apply_workspace(WORKSPACE, spec).await?;
    namespace.wait_for_condition(WORKSPACE, "Published", "True").await?;
    namespace.grant("app", &[WORKSPACE])?;
    let _fleet = Fleet::start(&AppSettings::new(&namespace, WORKSPACE), processes).await?;
    let mut baseline = BareWatchers::start(&namespace, processes).await?;

    println!("{processes} processes, {processes} plain watchers with connections of their own; milliseconds\n");
    println!(
        "change  fetched  linted  published   first     p50     all | of which all - published | floor p50  floor all"
    );
    let mut rows = Vec::new();
    for change in 1..=changes {
        let raw = baseline.beat(&namespace, change).await?;
        let millis = push(&namespace, &repository, change, processes).await?;
        let all = millis.all.context("the fleet has converged without a time")?;
        let row = Row { millis, all, arrived: all.saturating_sub(millis.published), raw };
        println!("{change:>6}  {row}");
        rows.push(row);
    }
    summarize(&rows)
}

struct Row {
    millis: FleetMillis,
    all: u64,
    /// The time from the accepted marker to the last process.
    arrived: u64,
    raw: Raw,
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { millis, all, arrived, raw } = self;
        let (first, half) = (millis.first.unwrap_or(0), millis.p50.unwrap_or(0));
        write!(
            f,
            "{:>7}  {:>6}  {:>9}  {first:>6}  {half:>6}  {all:>6} |",
            millis.fetched, millis.linted, millis.published
        )?;
        write!(f, " {arrived:>26} | {:>9.1}  {:>9.1}", raw.half, raw.all)
    }
}

/// The raw watch: the milliseconds from sending a patch until half of the watchers, and all of them, have the event.
#[derive(Clone, Copy)]
struct Raw {
    half: f64,
    all: f64,
}

fn summarize(rows: &[Row]) -> anyhow::Result<()> {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().context("nothing was measured")
    };
    let of = |value: fn(&Row) -> f64| median(rows.iter().map(value).collect());
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a bench")]
    let (all, published, arrived) =
        (of(|row| row.all as f64)?, of(|row| row.millis.published as f64)?, of(|row| row.arrived as f64)?);
    let raw = of(|row| row.raw.all)?;
    println!("\nmedians: published after {published:.0} ms, all applied after {all:.0} ms by the operator's clock");
    println!(
        "         from the accepted marker to the last process {arrived:.0} ms, raw watch to the last watcher {raw:.1} ms"
    );
    println!("         ratio {:.1} (a process also fetches, checks, compiles, swaps, and reports)", arrived / raw);
    Ok(())
}

async fn push(
    namespace: &Namespace,
    repository: &GitRepo,
    change: u32,
    processes: usize,
) -> anyhow::Result<FleetMillis> {
    let end = 1000 + 100 * change;
    let text = repository.read(TRIAL)?;
    let line = text.lines().find(|line| line.starts_with("range")).context("the trial has no range")?.to_owned();
    repository.edit(TRIAL, &line, &format!("range = [0, {end}]"))?;
    repository.push()?;
    let head = repository.head()?;
    let ask = json!({ "metadata": { "annotations": { ANNOTATION_RECONCILE: head } } });
    let workspaces = namespace.api::<RototoWorkspace>();
    workspaces.patch(WORKSPACE, &PatchParams::default(), &Patch::Merge(ask)).await.context("request a reconcile")?;
    let arrived = |workspace: &RototoWorkspace| {
        workspace.status.as_ref().is_some_and(|status| {
            let named = status.published.as_ref().and_then(|published| published.revision.as_deref());
            let fleet = status.fleet.clone().unwrap_or_default();
            named.is_some_and(|named| named.ends_with(&head))
                && fleet.applied as usize == processes
                && fleet.millis.is_some_and(|millis| millis.all.is_some())
        })
    };
    let workspace = namespace.wait_for_workspace(WORKSPACE, "applied by all", arrived).await?;
    workspace.status.and_then(|status| status.fleet?.millis).context("the status has no times")
}

/// Plain watchers of the map, each with its own connection.
struct BareWatchers {
    seen: UnboundedReceiver<(String, Instant)>,
    watchers: usize,
}

impl BareWatchers {
    async fn start(namespace: &Namespace, watchers: usize) -> anyhow::Result<Self> {
        let (sender, seen) = unbounded_channel();
        let ready = Arc::new(tokio::sync::Semaphore::new(0));
        for _ in 0..watchers {
            let client = namespace.cluster().client().await?;
            let maps: Api<ConfigMap> = Api::namespaced(client, namespace.name());
            tokio::spawn(watch(maps, sender.clone(), ready.clone()));
        }
        let all = ready.acquire_many(u32::try_from(watchers)?).await?;
        all.forget();
        Ok(Self { seen, watchers })
    }

    /// Patches the map, and returns the times until the watchers had the event.
    async fn beat(&mut self, namespace: &Namespace, number: u32) -> anyhow::Result<Raw> {
        let beat = format!("{number}-{:08x}", fastrand::u32(..));
        let patch = json!({ "metadata": { "labels": { BEAT: beat } } });
        let maps = namespace.api::<ConfigMap>();
        let sent = Cell::new(Instant::now());
        until_async("the map to be patched", PATIENCE, async || {
            sent.set(Instant::now());
            Ok(match maps.patch(MARKERS, &PatchParams::default(), &Patch::Merge(&patch)).await {
                Ok(_) => Observation::Done(()),
                // The policy stays in force for a moment.
                Err(error) => Observation::NotYet(error.to_string()),
            })
        })
        .await?;
        let mut after = Vec::new();
        while after.len() < self.watchers {
            let (seen, at) = tokio::time::timeout(PATIENCE, self.seen.recv()).await?.context("a watcher has ended")?;
            if seen == beat {
                after.push(at.saturating_duration_since(sent.get()));
            }
        }
        after.sort_unstable();
        let millis = |duration: Option<&Duration>| duration.map_or(0.0, |duration| duration.as_secs_f64() * 1000.0);
        ensure!(!after.is_empty(), "there are no watchers");
        Ok(Raw { half: millis(after.get(after.len() / 2)), all: millis(after.last()) })
    }
}

async fn watch(
    maps: Api<ConfigMap>,
    seen: UnboundedSender<(String, Instant)>,
    ready: Arc<tokio::sync::Semaphore>,
) -> Result<(), watcher::Error> {
    let config = watcher::Config::default().fields(&format!("metadata.name={MARKERS}"));
    let events = watcher(maps, config).default_backoff();
    futures::pin_mut!(events);
    while let Some(event) = events.try_next().await? {
        match event {
            watcher::Event::InitDone => ready.add_permits(1),
            watcher::Event::Apply(map) | watcher::Event::InitApply(map) => {
                if let Some(beat) = map.labels().get(BEAT) {
                    // The bench has ended.
                    if seen.send((beat.clone(), Instant::now())).is_err() {
                        break;
                    }
                }
            }
            watcher::Event::Init | watcher::Event::Delete(_) => {}
        }
    }
    Ok(())
}
