//! Observes the status of a workspace, or of another object, while something happens.

use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::cluster::Cluster;

/// A status, with the time at which it was observed.
#[derive(Clone)]
pub(crate) struct Observed {
    pub(crate) at: Instant,
    pub(crate) status: Status,
}

/// The status of an object. Its methods are about that of a workspace.
#[derive(Clone)]
pub(crate) struct Status(pub(crate) Value);

impl Status {
    /// Returns status and reason of a condition, such as `True/Converged`.
    pub(crate) fn condition(&self, name: &str) -> String {
        let conditions = self.0["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == name);
        let text = |key: &str| found.and_then(|condition| condition[key].as_str()).unwrap_or_default();
        format!("{}/{}", text("status"), text("reason"))
    }

    /// Returns the column `FLEET`, such as `3/3`.
    pub(crate) fn fleet(&self) -> &str {
        self.0["summary"]["fleet"].as_str().unwrap_or_default()
    }

    /// Returns the number of processes that should run what is published.
    pub(crate) fn expected(&self) -> u64 {
        self.0["fleet"]["expected"].as_u64().unwrap_or_default()
    }

    /// Returns the column `CONVERGED-IN`.
    pub(crate) fn converged_in(&self) -> &str {
        self.0["summary"]["convergedIn"].as_str().unwrap_or("-")
    }

    /// Returns whether the publish of this commit runs in `fleet` processes of as many.
    pub(crate) fn runs(&self, commit: &str, fleet: u64) -> bool {
        self.publishes(commit) && self.fleet() == format!("{fleet}/{fleet}")
    }

    /// Returns whether the publish of this commit runs in every process that counts.
    pub(crate) fn runs_everywhere(&self, commit: &str) -> bool {
        self.expected() > 0 && self.runs(commit, self.expected())
    }

    /// Returns whether a publish of this commit is claimed to run everywhere now.
    pub(crate) fn claims(&self, commit: &str) -> bool {
        self.publishes(commit) && self.condition("Converged").starts_with("True")
    }

    /// Returns whether what is published is of this commit.
    pub(crate) fn publishes(&self, commit: &str) -> bool {
        self.0["published"]["revision"].as_str().is_some_and(|revision| revision.ends_with(commit))
    }

    /// Returns a line for people.
    pub(crate) fn line(&self) -> String {
        let revision = self.0["summary"]["revision"].as_str().unwrap_or("-");
        let (ready, converged) = (self.condition("Ready"), self.condition("Converged"));
        let behind = match &self.0["fleet"]["behind"] {
            Value::Null => String::new(),
            behind => format!(", behind {behind}"),
        };
        format!("{revision}, fleet {}, Ready {ready}, Converged {converged}{behind}", self.fleet())
    }
}

/// Collects every status of an object until it is dropped.
pub(crate) struct Observer {
    /// The status at the start.
    pub(crate) first: Observed,
    kubectl: Child,
    statuses: Receiver<Observed>,
}

impl Observer {
    pub(crate) fn start(cluster: &Cluster, namespace: &str, kind: &str, name: &str) -> anyhow::Result<Self> {
        let arguments = ["get", kind, name, "--namespace", namespace, "--watch", "--output=json"];
        let mut command = cluster.kubectl_command(&arguments);
        let mut kubectl = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("run kubectl")?;
        let output = kubectl.stdout.take().context("read the output of kubectl")?;
        let (sender, statuses) = channel();
        thread::spawn(move || {
            for object in serde_json::Deserializer::from_reader(output).into_iter::<Value>().map_while(Result::ok) {
                let status = Status(object["status"].clone());
                if sender.send(Observed { at: Instant::now(), status }).is_err() {
                    break;
                }
            }
        });
        let first = statuses.recv_timeout(Duration::from_secs(60));
        match first.context("kubectl shows no status") {
            Ok(first) => Ok(Self { first, kubectl, statuses }),
            Err(error) => {
                end(&mut kubectl);
                Err(error)
            }
        }
    }

    /// Returns what was observed since the last call.
    pub(crate) fn take(&self) -> Vec<Observed> {
        self.statuses.try_iter().collect()
    }

    /// Fails if a status said that a deadline is exceeded.
    pub(crate) fn no_deadline_exceeded(&self) -> anyhow::Result<Vec<Observed>> {
        let observed = self.take();
        let exceeded = observed.iter().find(|one| one.status.condition("Converged") == "False/DeadlineExceeded");
        match exceeded {
            Some(one) => bail!("a deadline was exceeded that no process missed: {}", one.status.line()),
            None => Ok(observed),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        end(&mut self.kubectl);
    }
}

fn end(kubectl: &mut Child) {
    let _ = kubectl.kill();
    let _ = kubectl.wait();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_read_from_its_conditions_and_columns() {
        let status = Status(json!({
            "conditions": [{"type": "Converged", "status": "True", "reason": "Converged"}],
            "summary": {"fleet": "3/3", "convergedIn": "64ms", "revision": "main@sha1:4d123d61"},
            "published": {"revision": "main@sha1:4d123d613b6b"},
        }));
        assert_eq!(status.condition("Converged"), "True/Converged");
        assert_eq!(status.condition("Ready"), "/");
        assert!(status.runs("4d123d613b6b", 3) && !status.runs("4d123d613b6b", 4));
        assert!(status.claims("4d123d613b6b") && !status.claims("0d123d613b6b"));
        assert_eq!(status.line(), "main@sha1:4d123d61, fleet 3/3, Ready /, Converged True/Converged");
    }
}
