//! The operator: the chart with all that it grants, and the program as a process that has no more than that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::cluster::write_kubeconfig;
use super::namespace::PATIENCE;
use super::{ChildProcess, Gate, Namespace, Observation, Proxy, http, port, programs, scratch, until};

/// The release name. The chart names everything after it.
const RELEASE: &str = "rototo-operator";

/// An operator that serves one namespace, which it is installed in.
#[derive(Debug)]
pub struct Operator {
    program: PathBuf,
    arguments: Vec<String>,
    directory: PathBuf,
    listen: String,
    metrics: String,
    process: Option<ChildProcess>,
}

impl Operator {
    /// Installs the chart in `namespace`, starts the operator with its ServiceAccount, and returns when it is ready.
    pub fn start(namespace: &Namespace) -> anyhow::Result<Self> {
        Self::start_with(namespace, &[])
    }

    /// [`Operator::start`] with further flags, each as `--name=value`, which replace those of the same name.
    pub fn start_with(namespace: &Namespace, flags: &[&str]) -> anyhow::Result<Self> {
        Self::start_as(namespace, RELEASE, flags)
    }

    /// [`Operator::start_with`], installed as `release`: names are those that the chart's Deployment gives it.
    pub fn start_as(namespace: &Namespace, release: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let way = |token: &Path| namespace.cluster().kubeconfig_for_token_file(token, namespace.name());
        let mut operator = Self::install(namespace, release, &[], flags, way)?;
        operator.start_again()?;
        operator.wait_until_ready()?;
        Ok(operator)
    }

    /// [`Operator::start_with`], with a gate between it and the API server. Returns at once.
    pub fn start_behind(namespace: &Namespace, gate: &Gate, flags: &[&str]) -> anyhow::Result<Self> {
        let way = |token: &Path| gate.kubeconfig_for_token_file(token, namespace.name());
        let mut operator = Self::install(namespace, RELEASE, &[], flags, way)?;
        operator.start_again()?;
        Ok(operator)
    }

    /// Installs the chart with these values, and prepares an operator that reaches the API server by way of `proxy`. It is
    /// started with [`Operator::start_again`].
    pub fn prepare(namespace: &Namespace, proxy: &Proxy, values: &[&str], flags: &[&str]) -> anyhow::Result<Self> {
        let url = format!("https://{}", proxy.address());
        let way = |token: &Path| namespace.cluster().kubeconfig_by_way_of(&url, token, namespace.name());
        Self::install(namespace, RELEASE, values, flags, way)
    }

    /// Tells processes, from its next start on, to come to this `host:port`, where something stands before it.
    pub fn advertise(&mut self, address: &str) {
        self.arguments.retain(|flag| !flag.starts_with("--advertise-url="));
        self.arguments.push(format!("--advertise-url=https://{address}"));
    }

    /// Starts an operator whose API server is whatever stands at `url`. Returns at once.
    pub fn start_against(url: &str) -> anyhow::Result<Self> {
        let directory = scratch::directory("operator")?;
        let (listen, metrics) = (loopback()?, loopback()?);
        let nobody = json!({ "token": "nobody" });
        let kubeconfig =
            write_kubeconfig(directory.join("kubeconfig"), url, Path::new("/dev/null"), &nobody, "default")?;
        let arguments = own_flags(&kubeconfig, &directory, &listen, &metrics);
        let program = programs::ours("rototo-operator")?;
        let mut operator = Self { program, arguments, directory, listen, metrics, process: None };
        operator.start_again()?;
        Ok(operator)
    }

    /// Installs the chart, and prepares the program to reach the API server the `way` that a file with its token takes.
    fn install(
        namespace: &Namespace,
        release: &str,
        values: &[&str],
        flags: &[&str],
        way: impl Fn(&Path) -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Self> {
        install_chart_as(namespace, release, values)?;
        let deployed = Deployed::of(namespace, release)?;
        let directory = scratch::directory("operator")?;
        let token_file = directory.join("token");
        fs::write(&token_file, namespace.token(&deployed.service_account)?).context("write the operator's token")?;
        let kubeconfig = way(&token_file)?;
        let (listen, metrics) = (loopback()?, loopback()?);

        let mut ours = own_flags(&kubeconfig, &directory, &listen, &metrics);
        ours.push(format!("--namespace={}", namespace.name()));
        ours.push(format!("--watch-namespace={}", namespace.name()));
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        let theirs = |flag: &String| flags.iter().any(|other| name(other) == name(flag));
        let mut arguments: Vec<String> = ours.into_iter().filter(|flag| !theirs(flag)).collect();
        arguments.extend(deployed.names);
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));

        let program = programs::ours("rototo-operator")?;
        Ok(Self { program, arguments, directory, listen, metrics, process: None })
    }

    /// Starts it once more after [`Operator::kill`] or [`Operator::terminate`]: with the same flags, addresses, and data.
    /// Returns at once.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("RUST_LOG", "info,rototo_operator=debug").env("RUST_BACKTRACE", "1");
        self.process = Some(ChildProcess::start("rototo-operator", command, &self.directory.join("log"))?);
        Ok(())
    }

    /// Waits until its `/readyz` says so.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let process = self.process.as_mut().context("the operator is not running")?;
        until("the operator to be ready", PATIENCE, || {
            process.check_running()?;
            Ok(match http::get(&self.metrics, "/readyz") {
                Ok(answer) if answer.status == 200 => Observation::Done(()),
                Ok(answer) => Observation::NotYet(format!("{}: {}", answer.status, answer.body)),
                Err(error) => Observation::NotYet(format!("{error:#}")),
            })
        })
    }

    /// Ends it as a crash would. What it stored stays.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the operator is not running")?.kill();
        Ok(())
    }

    /// Ends it as a rollout does, and waits until it has.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the operator is not running")?.terminate(PATIENCE).map(drop)
    }

    /// [`Operator::terminate`], and fails if that takes longer, or does not end in order.
    pub fn terminate_within(&mut self, limit: Duration) -> anyhow::Result<()> {
        let ended = self.process.take().context("the operator is not running")?.terminate(limit)?;
        ensure!(ended.success(), "the operator ended with {ended}");
        Ok(())
    }

    /// Asks for a path of its health and metrics, such as `/healthz`.
    pub fn probe(&self, path: &str) -> anyhow::Result<http::HttpResponse> {
        http::get(&self.metrics, path)
    }

    /// Removes what it stored, while it is not running: as a pod without a volume that was replaced.
    pub fn forget_everything(&mut self) -> anyhow::Result<()> {
        fs::remove_dir_all(self.directory.join("data")).context("remove the operator's data")
    }

    /// Where its log and its data are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The running process, to freeze it, or to read its log.
    pub fn process(&self) -> anyhow::Result<&ChildProcess> {
        self.process.as_ref().context("the operator is not running")
    }

    /// Returns whether it keeps snapshots of a workspace.
    #[must_use]
    pub fn keeps_snapshots(&self, namespace: &Namespace, workspace: &str) -> bool {
        self.directory.join("data/snapshots").join(namespace.name()).join(workspace).exists()
    }

    /// Where it serves snapshots and takes reports, as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.listen
    }

    /// Its metrics, as text.
    pub fn metrics(&self) -> anyhow::Result<String> {
        Ok(http::get(&self.metrics, "/metrics")?.body)
    }

    /// The sum of a metric over all lines whose labels contain every one of `labels`, such as `stage="applied"`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
        Ok(sum(&self.metrics()?, name, labels))
    }
}

/// Installs the chart for one namespace, or upgrades it. The CRD is there already.
pub fn install_chart(namespace: &Namespace, values: &[&str]) -> anyhow::Result<()> {
    install_chart_as(namespace, RELEASE, values)
}

/// The names that the chart gives to the operator's objects.
struct Deployed {
    service_account: String,
    /// The flags with names in them.
    names: Vec<String>,
}

impl Deployed {
    fn of(namespace: &Namespace, release: &str) -> anyhow::Result<Self> {
        let instance = format!("app.kubernetes.io/instance={release}");
        let arguments =
            ["--namespace", namespace.name(), "get", "deployments", "--output=json", "--selector", &instance];
        let deployments: Value = serde_json::from_str(&namespace.cluster().kubectl(&arguments)?)?;
        let pod = &deployments["items"][0]["spec"]["template"]["spec"];
        let service_account = pod["serviceAccountName"].as_str().context("the Deployment has no ServiceAccount")?;
        let arguments = pod["containers"][0]["args"].as_array().context("the Deployment has no arguments")?;
        let arguments = arguments.iter().filter_map(Value::as_str);
        let names =
            arguments.filter(|argument| ["--release=", "--tls-secret="].iter().any(|name| argument.starts_with(name)));
        Ok(Self { service_account: service_account.to_owned(), names: names.map(str::to_owned).collect() })
    }
}

fn install_chart_as(namespace: &Namespace, release: &str, values: &[&str]) -> anyhow::Result<()> {
    let chart = xtask::cargo::root().join("charts/rototo-operator").display().to_string();
    let watched = format!("watchNamespaces={{{}}}", namespace.name());
    let mut arguments = vec!["upgrade", "--install", release, &chart, "--namespace", namespace.name()];
    arguments.extend(["--set", "crds.install=false", "--set", &watched]);
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    namespace.cluster().helm(&arguments).map(drop)
}

fn own_flags(kubeconfig: &Path, directory: &Path, listen: &str, metrics: &str) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--listen={listen}"),
        format!("--metrics-listen={metrics}"),
        format!("--advertise-url=https://{listen}"),
        format!("--data-dir={}", directory.join("data").display()),
        "--allow-file-sources".to_owned(),
        // Every window that a fleet is judged by is a multiple of it: a recount lasts 12 seconds.
        "--heartbeat-seconds=3".to_owned(),
    ]
}

fn loopback() -> anyhow::Result<String> {
    Ok(format!("127.0.0.1:{}", port::free()?))
}

fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = metrics.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, with) = series.split_once('{').unwrap_or((series, ""));
        (found == name && labels.iter().all(|label| with.contains(label))).then(|| value.parse::<f64>().ok()).flatten()
    });
    lines.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_the_labels_that_are_not_asked_for() {
        let metrics = "# HELP a b\na_total{x=\"1\",y=\"2\"} 3\na_total{x=\"1\",y=\"3\"} 4\na_total{x=\"2\"} 8\nb 1\n";
        assert_eq!(sum(metrics, "a_total", &["x=\"1\""]), 7.0);
        assert_eq!(sum(metrics, "a_total", &[]), 15.0);
        assert_eq!(sum(metrics, "b", &[]), 1.0);
    }
}
