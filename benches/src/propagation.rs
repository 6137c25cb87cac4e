//! `cargo xtask bench propagation`: measures the time from a commit, and from the accepted marker, to every process of
//! larger fleets. Between the changes it measures the time that the same number of bare watches take to show an accepted
//! patch of another map.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use rototo_api::workspace::RototoWorkspaceStatus;
use rototo_benches::environment::{BenchEnvironment, WORKSPACE, micros};
use rototo_benches::figures::{Spread, Table, processor_millis};
use rototo_benches::trace::Trace;
use rototo_benches::witnesses::{Noted, Witnesses};
use serde_json::json;

/// Measure the time from a commit to every process of larger fleets, beside the raw watch.
#[derive(Parser)]
#[command(name = "cargo xtask bench propagation")]
struct PropagationOptions {
    /// The numbers of clients that follow the workspace, each with its own connections: one run for each number.
    #[arg(long, default_values_t = [50, 300])]
    clients: Vec<usize>,
    /// The number of changes that are pushed to each fleet.
    #[arg(long, default_value_t = 10)]
    changes: usize,
    /// The number of seconds between two changes. The operator remembers approvals for two minutes, so a longer pause
    /// shows the cost of requesting all of them again.
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// The number of further changes that only polling finds.
    #[arg(long, default_value_t = 0)]
    polled: usize,
    /// The poll interval for these.
    #[arg(long, default_value = "5s")]
    interval: String,
    /// Record each step of each change in each client, print the durations, and write them to this file in the format
    /// of the trace viewers of Chrome and Perfetto.
    #[arg(long)]
    trace: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = PropagationOptions::parse();
    for clients in &options.clients {
        fleet(*clients, &options).await?;
    }
    Ok(())
}

async fn fleet(size: usize, options: &PropagationOptions) -> anyhow::Result<()> {
    let environment = BenchEnvironment::prepare("1h").await?;
    let baseline = BaselineMap::create(&environment).await?;
    let mut watches = Witnesses::watch(&environment, size, FLOOR, KEY).await?;
    let noted = if options.trace.is_some() { Noted::Steps } else { Noted::Changes };
    let mut clients = Witnesses::follow(&environment, size, noted).await?;
    environment.converged(size).await?;
    published_at(&environment, &baseline, &mut watches, &mut clients, options).await?;
    if options.polled > 0 {
        polled(&environment, &mut clients, options).await?;
    }
    Ok(())
}

/// Measures changes that the git host announces.
async fn published_at(
    environment: &BenchEnvironment,
    baseline: &BaselineMap<'_>,
    watches: &mut Witnesses,
    clients: &mut Witnesses,
    options: &PropagationOptions,
) -> anyhow::Result<()> {
    let size = clients.ids().len();
    println!(
        "\n{size} clients, {size} bare watches of another map. Milliseconds until they have seen a change: `floor`, bare"
    );
    println!(
        "watches since the API server had accepted a patch; `swap`, clients since it had accepted the marker, until"
    );
    println!(
        "they resolve from it; `push`, clients since `git push` had returned, with a webhook. `skew` is the time from"
    );
    println!("the first one to the last one, and `ratio` is swap p99 / floor p99, and swap skew / floor skew.\n");
    let columns =
        ["floor p50", "p99", "skew", "swap p50", "p99", "skew", "push p50", "p99", "max", "ratio p99", "skew"];
    let spent = ProcessorTime::begin(environment, clients)?;
    let mut table = Table::new("change", &columns);
    let mut trace = Trace::default();
    for number in 0..options.changes {
        tokio::time::sleep(Duration::from_secs(options.pause)).await;
        let baseline = baseline.patch(watches).await?;
        let pushed = environment.change(number).await?;
        let status = environment.converged(size).await?;
        let decided = status.published.clone().context("nothing is published")?.updated_at;
        let applied = clients.saw(&decided.to_string()).await?;
        let decided = decided.timestamp().as_microsecond() as f64;
        let (swap, push) = (since(accepted(decided, &status)?, &applied)?, since(pushed, &applied)?);
        let [p50, p99, max] = push.cells();
        let (floor_skew, swap_skew) = (baseline.skew(), swap.skew());
        let ratios = [swap.p99 / baseline.p99, swap_skew / floor_skew];
        let cells = [baseline.p50, baseline.p99, floor_skew, swap.p50, swap.p99, swap_skew, p50, p99, max];
        table.row(&(number + 1).to_string(), [&cells[..], &ratios].concat());
        if options.trace.is_some() {
            trace.change(pushed, decided, &status, clients.steps(decided));
        }
    }
    table.close();
    spent.print(options.changes)?;
    if let Some(file) = &options.trace {
        trace.print();
        trace.write(file)?;
    }
    Ok(())
}

/// Measures changes that only polls find.
async fn polled(
    environment: &BenchEnvironment,
    clients: &mut Witnesses,
    options: &PropagationOptions,
) -> anyhow::Result<()> {
    let (size, interval) = (clients.ids().len(), options.interval.as_str());
    environment.follow(WORKSPACE, interval).await?;
    println!(
        "\nThe same clients; the operator polls the git host every {interval}. Milliseconds since `git push` had returned.\n"
    );
    let mut table = Table::new("change", &["push p50", "p99", "max"]);
    for number in options.changes..options.changes + options.polled {
        // The push comes at a random time of the interval.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..5000))).await;
        let pushed = environment.push(number)?;
        let decided = environment.converged(size).await?.published.context("nothing is published")?.updated_at;
        let applied = clients.saw(&decided.to_string()).await?;
        table.row(&(number + 1).to_string(), since(pushed, &applied)?.cells().to_vec());
    }
    table.close();
    Ok(())
}

/// The processor time by program.
struct ProcessorTime {
    processes: Vec<(&'static str, Vec<u32>, f64)>,
}

impl ProcessorTime {
    fn begin(environment: &BenchEnvironment, clients: &Witnesses) -> anyhow::Result<Self> {
        let operator = vec![environment.operator.process()?.id()];
        let processes = [("operator", operator), ("all clients together", clients.ids())];
        let begin = |(name, ids): (&'static str, Vec<u32>)| {
            let before = processor_millis(&ids);
            (name, ids, before)
        };
        Ok(Self { processes: processes.map(begin).into() })
    }

    fn print(&self, changes: usize) -> anyhow::Result<()> {
        let each = |(name, ids, before): &(&str, Vec<u32>, f64)| {
            format!("{name} {:.0} ms", (processor_millis(ids) - before) / changes as f64)
        };
        let each: Vec<_> = self.processes.iter().map(each).collect();
        println!("\nprocessor time for one change: {}", each.join(", "));
        Ok(())
    }
}

/// A ConfigMap that only the bare watches read.
struct BaselineMap<'a>(&'a BenchEnvironment);

const FLOOR: &str = "floor";
const KEY: &str = "marker";

impl<'a> BaselineMap<'a> {
    async fn create(environment: &'a BenchEnvironment) -> anyhow::Result<Self> {
        let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": FLOOR } }))?;
        let maps = environment.namespace.api::<ConfigMap>();
        maps.create(&PostParams::default(), &map).await.context("create the map of the floor")?;
        Ok(Self(environment))
    }

    /// Writes as many bytes as a marker has, and waits until all watches have shown them.
    async fn patch(&self, watches: &mut Witnesses) -> anyhow::Result<Spread> {
        let value = format!("{:0>150}", fastrand::u64(..));
        let patch = json!({ "data": { KEY: value } });
        let maps = self.0.namespace.api::<ConfigMap>();
        maps.patch(FLOOR, &PatchParams::default(), &Patch::Merge(patch)).await.context("patch the map of the floor")?;
        let accepted = micros();
        tokio::time::sleep(Duration::from_millis(300)).await;
        since(accepted, &watches.saw(&value).await?)
    }
}

/// Returns the time at which the API server had accepted the marker of a publish, in microseconds since 1970. The
/// publish is named after the time of the decision to announce or to publish it, which follows lint immediately.
fn accepted(decided: f64, status: &RototoWorkspaceStatus) -> anyhow::Result<f64> {
    let millis = status.fleet.as_ref().and_then(|fleet| fleet.millis.as_ref()).context("status shows no times")?;
    Ok(decided + (millis.published as f64 - millis.linted as f64) * 1000.0)
}

fn since(begin: f64, times: &[f64]) -> anyhow::Result<Spread> {
    Spread::of(times.iter().map(|at| (at - begin) / 1000.0).collect()).context("no watch has shown the patch")
}
