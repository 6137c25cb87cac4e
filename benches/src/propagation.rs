//! `cargo xtask bench propagation`: from a commit, and from the marker's patch, to every process of larger fleets; beside what as many bare watches take
//! to show a patch of a map of their own, in turns with the changes.

use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use rototo_benches::figures::{Spread, Table, processor_millis};
use rototo_benches::ground::{Ground, micros};
use rototo_benches::witnesses::Witnesses;
use serde_json::json;

/// From a commit to every process of larger fleets, beside the raw watch.
#[derive(Parser)]
#[command(name = "cargo xtask bench propagation")]
struct Options {
    /// How many clients of the library follow the workspace, each with connections of its own: one run for each number.
    #[arg(long, default_values_t = [50, 300])]
    clients: Vec<usize>,
    /// How many changes are pushed to each fleet.
    #[arg(long, default_value_t = 10)]
    changes: usize,
    /// How many seconds lie between two changes. The operator remembers for two minutes whom it lets in; a longer pause
    /// shows what asking for all of them again costs.
    #[arg(long, default_value_t = 0)]
    pause: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    for clients in &options.clients {
        fleet(*clients, &options).await?;
    }
    Ok(())
}

async fn fleet(size: usize, options: &Options) -> anyhow::Result<()> {
    let ground = Ground::prepare("1h").await?;
    let floor = Floor::create(&ground).await?;
    let mut watches = Witnesses::watch(&ground, size, FLOOR, KEY).await?;
    let mut clients = Witnesses::follow(&ground, size).await?;
    ground.converged(size).await?;

    println!(
        "\n{size} clients, {size} bare watches of another map. Milliseconds until they have seen a change: `floor`, bare"
    );
    println!(
        "watches since a patch was sent; `patch`, clients since the marker was decided on, until they resolve from it;"
    );
    println!("`push`, clients since `git push` had returned. `ratio` is patch p99 / floor p99.\n");
    let columns = ["floor p50", "p99", "max", "patch p50", "p99", "max", "push p50", "p99", "max", "ratio"];
    let operator = [ground.operator.process()?.id()];
    let before = (processor_millis(&operator), processor_millis(&clients.ids()));
    let mut table = Table::new("change", &columns);
    for number in 0..options.changes {
        tokio::time::sleep(Duration::from_secs(options.pause)).await;
        let floor = floor.patch(&mut watches).await?;
        let pushed = ground.change(number).await?;
        let status = ground.converged(size).await?;
        let decided = status.published.context("nothing is published")?.updated_at;
        let applied = clients.saw(&decided.to_string()).await?;
        let patch = since(decided.timestamp().as_microsecond() as f64, &applied)?;
        let push = since(pushed, &applied)?;
        let cells = [floor.cells(), patch.cells(), push.cells()].concat();
        table.row(&(number + 1).to_string(), [cells, vec![patch.p99 / floor.p99]].concat());
    }
    table.close();
    let after = (processor_millis(&operator), processor_millis(&clients.ids()));
    let each = |before: f64, after: f64| (after - before) / options.changes as f64;
    let (operator, clients) = (each(before.0, after.0), each(before.1, after.1));
    println!("\nprocessor time for one change: operator {operator:.0} ms, all clients together {clients:.0} ms");
    Ok(())
}

/// A ConfigMap that only the bare watches look at.
struct Floor<'a>(&'a Ground);

const FLOOR: &str = "floor";
const KEY: &str = "marker";

impl<'a> Floor<'a> {
    async fn create(ground: &'a Ground) -> anyhow::Result<Self> {
        let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": FLOOR } }))?;
        let maps = ground.namespace.api::<ConfigMap>();
        maps.create(&PostParams::default(), &map).await.context("create the map of the floor")?;
        Ok(Self(ground))
    }

    /// Writes as much as a marker has, and waits until all have seen it.
    async fn patch(&self, watches: &mut Witnesses) -> anyhow::Result<Spread> {
        let value = format!("{:0>150}", fastrand::u64(..));
        let patch = json!({ "data": { KEY: value } });
        let maps = self.0.namespace.api::<ConfigMap>();
        let sent = micros();
        maps.patch(FLOOR, &PatchParams::default(), &Patch::Merge(patch)).await.context("patch the map of the floor")?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        since(sent, &watches.saw(&value).await?)
    }
}

fn since(begin: f64, times: &[f64]) -> anyhow::Result<Spread> {
    Spread::of(times.iter().map(|at| (at - begin) / 1000.0).collect()).context("nothing was seen")
}
