//! `cargo xtask bench hostile`: measures what requests of hostile callers cost an operator, and the others.
//!
//! Each hostile pod has an address of its own, and several connections; a known process reports meanwhile over a connection
//! of its own. The figures are the operator's memory and open files before and after, and the time to an answer of the
//! known process before and during the flood.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use futures::future::join_all;
use http::Method;
use rototo_api::fleet::{ProcessState, Report};
use rototo_api::names::{ANNOTATION_SNAPSHOTS, fleet_path, snapshot_path, workspace_label};
use rototo_benches::caller::{Caller, Target};
use rototo_benches::environment::{ACCOUNT, BenchEnvironment, WORKSPACE};
use rototo_benches::figures::{Spread, Table, resident_megabytes};
use rototo_tests::harness::{Endpoint, Pod};

/// Measure an operator under the requests of hostile callers.
#[derive(Parser)]
#[command(name = "cargo xtask bench hostile")]
struct HostileOptions {
    /// The number of requests.
    #[arg(long, default_value_t = 100_000)]
    requests: usize,
    /// The number of pods that send them.
    #[arg(long, default_value_t = 8)]
    pods: u8,
    /// The number of connections of each.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// The number of further connections that send nothing.
    #[arg(long, default_value_t = 500)]
    silent: usize,
}

/// The parts that all callers share.
struct Attack {
    namespace: String,
    fingerprint: String,
    answers: [AtomicU64; 6],
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = HostileOptions::parse();
    let environment = BenchEnvironment::prepare("1h").await?;
    let operator = environment.operator.process()?.id();
    let labels = BTreeMap::from([(workspace_label(WORKSPACE), String::new())]);
    let token = async |name: &str| -> anyhow::Result<String> {
        let pod = Pod::create(&environment.namespace, name, ACCOUNT, &labels).await?;
        Ok(std::fs::read_to_string(pod.rototo_token_file())?)
    };
    let known = token("known").await?;
    let mut hostile = Vec::new();
    for number in 0..options.pods {
        hostile.push(token(&format!("hostile-{number}")).await?);
    }
    let status = environment.namespace.workspace(WORKSPACE).await?.status.context("the workspace has no status")?;
    let fingerprint = status.published.context("nothing is published")?.fingerprint;
    let namespace = environment.namespace.name().to_owned();
    let attack = Arc::new(Attack { namespace, fingerprint, answers: Default::default() });

    let process = Endpoint::of(&environment.namespace).await?;
    let path = fleet_path(&attack.namespace, WORKSPACE);
    let mut table = Table::new("", &["answer p50", "p99", "max", "memory", "files"]);
    let mut measure = |name: &str, times: Vec<f64>| -> anyhow::Result<()> {
        let times = Spread::of(times).context("no report was answered")?.cells().to_vec();
        table.row(name, [times, vec![resident_megabytes(operator)?, files(operator)? as f64]].concat());
        Ok(())
    };
    let flood = AtomicBool::new(false);
    measure("before", reports(&process, &path, &known, &flood, 200).await?)?;

    let address = environment.namespace.markers().await?.and_then(|map| map.metadata.annotations);
    let address = address.and_then(|all| all.get(ANNOTATION_SNAPSHOTS).cloned()).context("no address")?;
    let address = address.trim_start_matches("https://").to_owned();
    let silent: Vec<_> = (0..options.silent).map(|_| TcpStream::connect(&address)).collect();
    let target = Target::of(&environment.namespace).await?;
    let began = Instant::now();
    let connections = hostile.iter().zip(1..).flat_map(|pod| std::iter::repeat_n(pod, options.connections));
    let all = hostile.len() * options.connections;
    let sent = connections.enumerate().map(|(connection, (token, pod))| {
        let (attack, token) = (attack.clone(), token.clone());
        let mut caller = Caller::new(&target, Ipv4Addr::new(127, 0, 1, pod));
        let numbers = (connection..options.requests).step_by(all);
        tokio::spawn(async move {
            for (kind, number) in numbers.enumerate() {
                attack.send(&mut caller, &token, kind % 6, number).await;
            }
        })
    });
    let sent: Vec<_> = sent.collect();
    let flooded = async {
        join_all(sent).await;
        flood.store(true, Ordering::Relaxed);
    };
    let (times, ()) = tokio::join!(reports(&process, &path, &known, &flood, usize::MAX), flooded);
    let took = began.elapsed();
    measure("flood", times?)?;
    drop(silent);
    // Unfinished connections have ended by then.
    tokio::time::sleep(Duration::from_secs(15)).await;
    measure("after", reports(&process, &path, &known, &AtomicBool::new(false), 200).await?)?;
    let answers = attack.answers.each_ref().map(|count| count.load(Ordering::Relaxed));
    println!("\n{} requests in {took:.1?}, answers by class (none, 1xx to 5xx): {answers:?}", options.requests);
    Ok(())
}

/// Reports until `ended`, or this number of times. Returns the times to an answer, in milliseconds.
async fn reports(
    endpoint: &Endpoint,
    path: &str,
    token: &str,
    ended: &AtomicBool,
    number: usize,
) -> anyhow::Result<Vec<f64>> {
    let report = serde_json::to_string(&report(0))?;
    let mut times = Vec::new();
    while times.len() < number && !ended.load(Ordering::Relaxed) {
        let sent = Instant::now();
        let reply = endpoint.post(path, token, &report).await?;
        anyhow::ensure!(reply.status == 200, "a report was answered with {}", reply.status);
        times.push(sent.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    Ok(times)
}

fn report(number: usize) -> Report {
    let process = format!("00000000-0000-4000-8000-{number:012}");
    Report { process, version: "1".to_owned(), engine_level: 1, state: ProcessState::Starting, ..Report::default() }
}

impl Attack {
    /// Sends a request of this kind, with a number of its own, as the pod with this token.
    async fn send(&self, caller: &mut Caller, token: &str, kind: usize, number: usize) {
        let fleet = |name: &str| fleet_path(&self.namespace, name);
        let body = serde_json::to_string(&report(number)).unwrap_or_default();
        let reply = match kind {
            0 => caller.call(Method::POST, &fleet(WORKSPACE), &format!("bad-{number}"), body).await,
            1 => caller.call(Method::POST, &fleet(&format!("{}{number}", "a".repeat(9_000))), token, body).await,
            2 => caller.call(Method::POST, &fleet(&format!("other-{number}")), token, body).await,
            3 => caller.call(Method::POST, &fleet(WORKSPACE), token, body).await,
            4 => {
                let snapshot = snapshot_path(&self.namespace, WORKSPACE, &self.fingerprint);
                caller.call(Method::GET, &format!("{snapshot}?base=sha256:{number:064}"), token, String::new()).await
            }
            _ => {
                let path = format!("/hooks/{}/{WORKSPACE}", self.namespace);
                caller.send(Method::POST, &path, ("x-gitea-signature", &format!("{number:064x}")), body).await
            }
        };
        let class = reply.map_or(0, |status| usize::from(status / 100));
        if let Some(count) = self.answers.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn files(process: u32) -> anyhow::Result<usize> {
    let path = format!("/proc/{process}/fd");
    Ok(std::fs::read_dir(&path).with_context(|| format!("list {path}"))?.count())
}
