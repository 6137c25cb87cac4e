//! `cargo xtask bench pods`: measures what pods that flood the operator with requests cost others.
//!
//! Half of the pods may report and read, and the others may do nothing. Each has an address of its own. A known process
//! reports meanwhile, on a thread of its own. The figures are the time to its answers, and the reviews that the API
//! server was asked for.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use http::Method;
use rototo_api::fleet::{ProcessState, Report};
use rototo_api::names::{fleet_path, snapshot_path, workspace_label};
use rototo_benches::caller::{Caller, Target};
use rototo_benches::environment::{ACCOUNT, BenchEnvironment, WORKSPACE};
use rototo_benches::figures::{Spread, Table, processor_millis, resident_megabytes};
use rototo_benches::writes;
use rototo_tests::harness::Pod;

/// The ServiceAccount that may follow another workspace alone.
const STRANGER: &str = "stranger";
/// The time between two reports of the known process, which stays below the pace of a pod.
const PAUSE: Duration = Duration::from_millis(30);

/// Measure the answers to one process while pods flood the operator.
#[derive(Parser)]
#[command(name = "cargo xtask bench pods")]
struct PodsOptions {
    /// The number of pods that flood.
    #[arg(long, default_value_t = 50)]
    pods: u8,
    /// The number of connections of each.
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// The requests of each pod in a second, in turn; 0 is as many as are answered.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 40, 0])]
    rates: Vec<u32>,
    /// The number of seconds of each flood.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// A pod that floods.
#[derive(Clone)]
struct Hostile {
    target: Target,
    from: Ipv4Addr,
    token: String,
    /// The requests of this pod, one after the other.
    paths: [(Method, String); 3],
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = PodsOptions::parse();
    let environment = BenchEnvironment::prepare("1h").await?;
    let operator = environment.operator.process()?.id();
    let target = Target::of(&environment.namespace).await?;
    environment.namespace.grant(STRANGER, &["another"])?;
    let known = token(&environment, "known", ACCOUNT).await?;
    let mut pods = Vec::new();
    for number in 0..options.pods {
        let account = if number % 2 == 0 { ACCOUNT } else { STRANGER };
        let token = token(&environment, &format!("hostile-{number}"), account).await?;
        let from = Ipv4Addr::new(127, 0, 1, number + 1);
        pods.push(Hostile { target: target.clone(), from, token, paths: paths(&environment).await? });
    }

    let path = fleet_path(environment.namespace.name(), WORKSPACE);
    let mut table = Table::new("requests", &["p50", "p99", "max", "× p50", "× p99", "CPU s", "RSS MB"]);
    let alone = on_its_own_thread(&target, &path, &known, Duration::from_secs(10)).await?;
    table.row("none", [&alone.cells()[..], &[1.0, 1.0, 0.0, resident_megabytes(operator)?]].concat());
    for rate in &options.rates {
        let (asked, spent) = (writes::requests(&environment.plane)?, processor_millis(&[operator]));
        let flood = Flood::begin(&pods, options.connections, *rate);
        let began = Instant::now();
        let beside = on_its_own_thread(&target, &path, &known, Duration::from_secs(options.seconds)).await?;
        let took = began.elapsed().as_secs_f64();
        let answers = flood.end().await;
        let spent = (processor_millis(&[operator]) - spent) / 1000.0;
        let ratios = [beside.p50 / alone.p50, beside.p99 / alone.p99, spent, resident_megabytes(operator)?];
        table.row(&format!("{rate}/s"), [&beside.cells()[..], &ratios].concat());
        let sent: u64 = answers.iter().sum();
        println!("{sent} requests, {:.0} a second, by class (none, 1xx to 5xx): {answers:?}", sent as f64 / took);
        writes::print(&asked, &writes::requests(&environment.plane)?);
    }
    Ok(())
}

async fn token(environment: &BenchEnvironment, pod: &str, account: &str) -> anyhow::Result<String> {
    let labels = BTreeMap::from([(workspace_label(WORKSPACE), String::new())]);
    let pod = Pod::create(&environment.namespace, pod, account, &labels).await?;
    std::fs::read_to_string(pod.rototo_token_file()).context("read a token")
}

/// Returns the requests of a hostile pod: reports of what it makes up, the content, and another workspace.
async fn paths(environment: &BenchEnvironment) -> anyhow::Result<[(Method, String); 3]> {
    let status = environment.namespace.workspace(WORKSPACE).await?.status.context("the workspace has no status")?;
    let fingerprint = status.published.context("nothing is published")?.fingerprint;
    let namespace = environment.namespace.name();
    Ok([
        (Method::POST, fleet_path(namespace, WORKSPACE)),
        (Method::GET, snapshot_path(namespace, WORKSPACE, &fingerprint)),
        (Method::POST, fleet_path(namespace, "another")),
    ])
}

fn report(number: u64) -> anyhow::Result<String> {
    let process = format!("00000000-0000-4000-8000-{number:012}");
    let report = Report {
        process,
        version: "1".to_owned(),
        engine_level: 1,
        state: ProcessState::Starting,
        ..Report::default()
    };
    Ok(serde_json::to_string(&report)?)
}

/// Reports as one process for a while, on a thread that the flood does not share. Returns the milliseconds to an answer.
async fn on_its_own_thread(target: &Target, path: &str, token: &str, time: Duration) -> anyhow::Result<Spread> {
    let (target, path, token) = (target.clone(), path.to_owned(), token.to_owned());
    let (done, times) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let reported = async {
            let (mut caller, mut times) = (Caller::new(&target, Ipv4Addr::LOCALHOST), Vec::new());
            let end = Instant::now() + time;
            while Instant::now() < end {
                let body = report(0)?;
                let sent = Instant::now();
                let status = caller.call(Method::POST, &path, &token, body).await?;
                anyhow::ensure!(status == 200, "a report was answered with {status}");
                times.push(sent.elapsed().as_secs_f64() * 1e3);
                tokio::time::sleep(PAUSE).await;
            }
            Ok::<_, anyhow::Error>(times)
        };
        let times = runtime.context("start a thread").and_then(|runtime| runtime.block_on(reported));
        drop(done.send(times));
    });
    Spread::of(times.await.context("the thread has ended")??).context("no report was answered")
}

/// The requests of all hostile pods.
struct Flood {
    ended: Arc<AtomicBool>,
    answers: Arc<[AtomicU64; 6]>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Flood {
    fn begin(pods: &[Hostile], connections: usize, rate: u32) -> Self {
        let (ended, answers) = (Arc::<AtomicBool>::default(), Arc::<[AtomicU64; 6]>::default());
        let mut tasks = Vec::new();
        for (pod, connection) in pods.iter().flat_map(|pod| (0..connections).map(move |connection| (pod, connection))) {
            let (pod, ended, answers) = (pod.clone(), ended.clone(), answers.clone());
            let pause = (rate > 0).then(|| Duration::from_secs(1) * u32::try_from(connections).unwrap_or(1) / rate);
            tasks.push(tokio::spawn(async move {
                let mut caller = Caller::new(&pod.target, pod.from);
                let mut next = tokio::time::Instant::now() + pause.unwrap_or_default().mul_f64(fastrand::f64());
                for number in connection as u64.. {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Some(pause) = pause {
                        tokio::time::sleep_until(next).await;
                        next += pause;
                    }
                    let class = pod.send(&mut caller, number).await.map_or(0, |status| usize::from(status / 100));
                    if let Some(count) = answers.get(class) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }));
        }
        Self { ended, answers, tasks }
    }

    /// Returns the numbers of answers: none, and those of each class.
    async fn end(self) -> [u64; 6] {
        self.ended.store(true, Ordering::Relaxed);
        futures::future::join_all(self.tasks).await;
        self.answers.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

impl Hostile {
    async fn send(&self, caller: &mut Caller, number: u64) -> anyhow::Result<u16> {
        let [first, second, third] = &self.paths;
        let (method, path) = [first, second, third][(number % 3) as usize];
        let body = if *method == Method::POST { report(number)? } else { String::new() };
        caller.call(method.clone(), path, &self.token, body).await
    }
}
