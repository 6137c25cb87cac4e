//! `cargo xtask bench reports`: measures how an operator handles the reports of a large fleet.
//!
//! The processes are simulated: they report like the library, as often as the operator asks, over a few TLS
//! connections. The pods and their tokens are real, so the figures include the reviews of tokens.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_api::fleet::{ProcessState, Report, ReportResponse};
use rototo_api::marker::Marker;
use rototo_api::names::{fleet_path, workspace_label};
use rototo_benches::environment::{ACCOUNT, BenchEnvironment, WORKSPACE};
use rototo_benches::figures::{Spread, Table, processor_millis, resident_megabytes};
use rototo_tests::harness::{CONTAINER, Endpoint, Namespace, Pod};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

/// Measure an operator under the reports of a large fleet.
#[derive(Parser)]
#[command(name = "cargo xtask bench reports")]
struct ReportsOptions {
    /// The number of processes that report.
    #[arg(long, default_value_t = 10_000)]
    processes: usize,
    /// The number of pods, each with a token of its own; by default one for each process.
    #[arg(long)]
    pods: Option<usize>,
    /// The number of connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The number of seconds for which heartbeats are measured.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The number of changes that are pushed.
    #[arg(long, default_value_t = 5)]
    changes: usize,
}

type Publish = (String, UpdatedAt);

/// The number of pods that are created at once.
const CREATED_AT_ONCE: usize = 32;

/// Creates pods of the fleet, and returns their tokens for the operator.
async fn tokens(namespace: &Namespace, pods: usize) -> anyhow::Result<Vec<String>> {
    let labels = BTreeMap::from([(workspace_label(WORKSPACE), String::new())]);
    let created = (0..pods).map(async |number| {
        let pod = Pod::create(namespace, &format!("app-{number}"), ACCOUNT, &labels).await?;
        anyhow::Ok(std::fs::read_to_string(pod.rototo_token_file())?)
    });
    stream::iter(created).buffer_unordered(CREATED_AT_ONCE).try_collect().await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = ReportsOptions::parse();
    let environment = BenchEnvironment::prepare("1h").await?;
    let tokens = Arc::new(tokens(&environment.namespace, options.pods.unwrap_or(options.processes).max(1)).await?);
    let (marker, publish) = watch::channel(published(&environment).await?);
    let (taken, mut answers) = mpsc::unbounded_channel();
    let refused = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    for connection in 0..options.connections {
        let simulated = (connection..options.processes).step_by(options.connections);
        let share = Share {
            endpoint: Endpoint::of(&environment.namespace).await?,
            path: fleet_path(environment.namespace.name(), WORKSPACE),
            tokens: tokens.clone(),
            started: (began, Timestamp::now()),
            sequence: 0,
            due: simulated.map(|number| Reverse((Instant::now(), number))).collect(),
            publish: publish.clone(),
            taken: taken.clone(),
            refused: refused.clone(),
        };
        tokio::spawn(share.report());
    }

    let operator = [environment.operator.process()?.id()];
    println!(
        "\n{} simulated processes in {} pods over {} connections, in milliseconds: the time to an answer, the time until all had one,",
        options.processes,
        tokens.len(),
        options.connections
    );
    println!("the operator's processor time for 1,000 reports and in a second, and its resident memory in MB\n");
    let mut table = Table::new("", &["answer p50", "p99", "max", "all", "per 1,000", "per second", "memory"]);
    let mut measure = async |name: &str, begin: Instant, count: usize| -> anyhow::Result<()> {
        let before = processor_millis(&operator);
        let took = take(&mut answers, count).await?;
        let all = begin.elapsed().as_secs_f64() * 1e3;
        let used = processor_millis(&operator) - before;
        let memory = resident_megabytes(operator[0])?;
        let took = Spread::of(took).context("no report was answered")?;
        table.row(
            name,
            [took.cells().to_vec(), vec![all, used * 1000.0 / count as f64, used * 1000.0 / all, memory]].concat(),
        );
        Ok(())
    };
    measure("start", began, options.processes).await?;
    let interval = options.processes.div_ceil(200).max(15);
    let beats = options.processes * usize::try_from(options.seconds)? / interval;
    measure("beats", Instant::now(), beats).await?;
    let mut converged = Vec::new();
    for change in 0..options.changes {
        let before = marker.borrow().clone();
        environment.change(change).await?;
        while *marker.borrow() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
            marker.send_replace(published(&environment).await?);
        }
        let published_at = Instant::now();
        measure(&format!("change {}", change + 1), published_at, options.processes).await?;
        environment.converged(options.processes).await?;
        converged.push(published_at.elapsed().as_secs_f64() * 1e3);
    }
    println!("\ntime until the status showed that all run a change, ms: {converged:.0?}");
    println!("reports that were refused: {}", refused.load(Ordering::Relaxed));
    Ok(())
}

async fn published(environment: &BenchEnvironment) -> anyhow::Result<Publish> {
    match environment.namespace.marker(WORKSPACE).await? {
        Some(Marker::Published { fingerprint, updated_at, .. }) => Ok((fingerprint, updated_at)),
        other => anyhow::bail!("the marker is {other:?}"),
    }
}

async fn take(answers: &mut mpsc::UnboundedReceiver<f64>, count: usize) -> anyhow::Result<Vec<f64>> {
    let mut took = Vec::with_capacity(count);
    while took.len() < count {
        took.push(answers.recv().await.context("the simulated processes have ended")?);
    }
    Ok(took)
}

/// The processes that share a connection.
struct Share {
    endpoint: Endpoint,
    path: String,
    /// The tokens of the pods. A process takes the one with its number.
    tokens: Arc<Vec<String>>,
    started: (Instant, Timestamp),
    sequence: u64,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    publish: watch::Receiver<Publish>,
    taken: mpsc::UnboundedSender<f64>,
    refused: Arc<AtomicU64>,
}

impl Share {
    async fn report(mut self) -> anyhow::Result<()> {
        loop {
            let Some(Reverse((due, number))) = self.due.peek().copied() else { return Ok(()) };
            tokio::select! {
                biased;
                changed = self.publish.changed() => {
                    changed.context("the bench has ended")?;
                    let now = Instant::now();
                    self.due = self.due.drain().map(|Reverse((_, number))| Reverse((now, number))).collect();
                }
                () = sleep_until(due.into()) => {
                    self.due.pop();
                    let next = self.send(number).await.unwrap_or_else(|_| {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                        Duration::from_secs(1)
                    });
                    self.due.push(Reverse((Instant::now() + next, number)));
                }
            }
        }
    }

    async fn send(&mut self, number: usize) -> anyhow::Result<Duration> {
        let (fingerprint, updated_at) = self.publish.borrow().clone();
        self.sequence += 1;
        let (started, started_at) = self.started;
        let report = Report {
            process: format!("00000000-0000-4000-8000-{number:012}"),
            sequence: Some(self.sequence),
            handles: Some(1),
            container: Some(CONTAINER.to_owned()),
            started_ms_ago: Some(u64::try_from(started.elapsed().as_millis())?),
            started_at: Some(started_at),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine_level: 1,
            fingerprint: Some(fingerprint),
            updated_at: Some(updated_at),
            state: ProcessState::Applied,
            applied_ms_ago: Some(0),
            ..Report::default()
        };
        let sent = Instant::now();
        let token = &self.tokens[number % self.tokens.len()];
        let reply = self.endpoint.post(&self.path, token, &serde_json::to_string(&report)?).await?;
        ensure!(reply.status == 200, "a report was answered with {}", reply.status);
        self.taken.send(sent.elapsed().as_secs_f64() * 1e3).context("the bench has ended")?;
        let answer: ReportResponse = serde_json::from_slice(&reply.body)?;
        Ok(Duration::from_millis(answer.next_report_in_ms))
    }
}
