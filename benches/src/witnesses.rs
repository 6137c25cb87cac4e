//! The processes of a bench that record the times at which they see changes.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use rototo_tests::harness::{ChildProcess, Observation, Pod, until_async};
use tempfile::TempDir;

use crate::environment::{ACCOUNT, BenchEnvironment, WORKSPACE};

/// The time that many processes may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The observations of the followers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// The changes that they see.
    Changes,
    /// The changes, and each step of them, which costs a little time.
    Steps,
}

/// Processes that record the times at which they see changes.
pub struct Witnesses {
    processes: Vec<ChildProcess>,
    count: usize,
    _pods: Vec<Pod>,
    _logs: TempDir,
}

impl Witnesses {
    /// Starts `count` processes that watch `key` of a ConfigMap and do nothing else.
    pub async fn watch(environment: &BenchEnvironment, count: usize, map: &str, key: &str) -> anyhow::Result<Self> {
        let kubeconfig = environment.plane.admin_kubeconfig().display().to_string();
        let arguments = ["watch", &kubeconfig, environment.namespace.name(), map, key].map(str::to_owned).to_vec();
        Self::start(vec![arguments; count], count, Vec::new()).await
    }

    /// Starts `count` processes that follow the workspace with the client library, in pods that each have their own
    /// tokens.
    pub async fn follow(environment: &BenchEnvironment, count: usize, noted: Noted) -> anyhow::Result<Self> {
        let labels = [(rototo_api::names::workspace_label(WORKSPACE), String::new())].into();
        let mut pods = Vec::new();
        for number in 0..count {
            let pod = Pod::create(&environment.namespace, &format!("follower-{number}"), ACCOUNT, &labels).await?;
            std::fs::copy(pod.kubeconfig(), pod.directory().join("kubeconfig")).context("copy a kubeconfig")?;
            pods.push(pod);
        }
        let source = format!("kubernetes://{}/{WORKSPACE}", environment.namespace.name());
        let place = |pod: &Pod| pod.directory().display().to_string();
        let steps = (noted == Noted::Steps).then(|| "--steps".to_owned());
        let follow = |pod: &Pod| ["follow".to_owned(), source.clone(), place(pod)].into_iter().chain(steps.clone());
        let arguments = pods.iter().map(|pod| follow(pod).collect()).collect();
        Self::start(arguments, count, pods).await
    }

    async fn start(arguments: Vec<Vec<String>>, count: usize, pods: Vec<Pod>) -> anyhow::Result<Self> {
        let logs = TempDir::new().context("create a folder for logs")?;
        let mut processes = Vec::new();
        for (number, arguments) in arguments.into_iter().enumerate() {
            let mut command = Command::new(program()?);
            command.args(arguments);
            let name = format!("witness-{number}");
            processes.push(ChildProcess::start(&name, command, &logs.path().join(&name))?);
        }
        let mut witnesses = Self { processes, count, _pods: pods, _logs: logs };
        // Each process sees the present value when it starts.
        witnesses.wait("begin", |_| true).await?;
        Ok(witnesses)
    }

    /// Returns their process ids.
    #[must_use]
    pub fn ids(&self) -> Vec<u32> {
        self.processes.iter().map(ChildProcess::id).collect()
    }

    /// Waits until all processes have seen `value`. Returns the times at which they saw it, in microseconds.
    pub async fn saw(&mut self, value: &str) -> anyhow::Result<Vec<f64>> {
        self.wait(value, |seen| seen.contains(value)).await
    }

    /// Returns the steps that each process has recorded since `begin`, in microseconds, in order.
    #[must_use]
    pub fn steps(&self, begin: f64) -> Vec<Vec<(f64, String)>> {
        let step = |line: &str| {
            let (time, name) = line.strip_prefix("step ")?.split_once(' ')?;
            Some((time.parse().ok()?, name.to_owned())).filter(|(at, _): &(f64, String)| *at >= begin)
        };
        self.processes.iter().map(|process| process.log().lines().filter_map(step).collect()).collect()
    }

    async fn wait(&mut self, what: &str, holds: impl Fn(&str) -> bool) -> anyhow::Result<Vec<f64>> {
        until_async(format!("{} witnesses to see {what}", self.count), PATIENCE, async || {
            let mut times = Vec::new();
            for process in &mut self.processes {
                process.check_running()?;
                times.extend(process.log().lines().filter_map(seen).filter(|(_, seen)| holds(seen)).map(|(at, _)| at));
            }
            if times.len() >= self.count {
                return Ok(Observation::Done(times));
            }
            // Reading the logs costs time that the processes need to write them.
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(Observation::NotYet(format!("{} of them have", times.len())))
        })
        .await
    }
}

fn seen(line: &str) -> Option<(f64, &str)> {
    let (time, value) = line.strip_prefix("seen ")?.split_once(' ')?;
    Some((time.parse().ok()?, value))
}

fn program() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("find the path of this program")?;
    let witness = here.with_file_name("witness");
    ensure!(witness.is_file(), "{} does not exist: `cargo xtask bench` builds it", witness.display());
    Ok(witness)
}
