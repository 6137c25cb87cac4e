//! A real Prometheus server, and a small endpoint that it scrapes.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context;

use super::namespace::PATIENCE;
use super::{ChildProcess, Observation, http, port, scratch, until};

/// A Prometheus server that scrapes one [`MetricsTarget`] every second.
#[derive(Debug)]
pub struct Prometheus {
    process: Option<ChildProcess>,
    address: String,
    directory: PathBuf,
}

impl Prometheus {
    /// Starts the server, and returns when it is ready.
    pub fn start(target: &MetricsTarget) -> anyhow::Result<Self> {
        let directory = scratch::directory("prometheus")?;
        let address = format!("127.0.0.1:{}", port::free()?);
        let job = format!("{{ job_name: test, static_configs: [{{ targets: ['{}'] }}] }}", target.address());
        let config = format!("global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs: [{job}]\n");
        let file = directory.join("prometheus.yml");
        fs::write(&file, config).context("write the configuration of Prometheus")?;
        let mut command = Command::new(xtask::prometheus::server()?);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={address}"));
        let process = ChildProcess::start("prometheus", command, &directory.join("log"))?;
        let mut server = Self { process: Some(process), address, directory };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let process = self.process.as_mut().context("Prometheus is not running")?;
        let address = &self.address;
        until(format_args!("Prometheus in {} to be ready", self.directory.display()), PATIENCE, || {
            process.check_running()?;
            Ok(match http::get(address, "/-/ready") {
                Ok(answer) if answer.status == 200 => Observation::Done(()),
                Ok(answer) => Observation::NotYet(answer.body),
                Err(error) => Observation::NotYet(format!("{error:#}")),
            })
        })
    }

    /// Returns its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends the server like a crash.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("Prometheus is not running")?.kill();
        Ok(())
    }
}

/// An endpoint whose metrics a test sets.
#[derive(Clone, Debug)]
pub struct MetricsTarget {
    address: String,
    served: Arc<Mutex<Served>>,
}

/// The metrics of an endpoint, and the number of requests for them.
#[derive(Debug, Default)]
struct Served {
    metrics: String,
    requests: usize,
}

impl MetricsTarget {
    /// Starts the endpoint, without metrics.
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen as an endpoint with metrics")?;
        let address = listener.local_addr().context("read the address of the endpoint with metrics")?.to_string();
        let served = Arc::<Mutex<Served>>::default();
        let of_thread = Arc::clone(&served);
        // The thread ends with the process.
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let mut request = [0; 4096];
                let _ = connection.read(&mut request);
                let body = {
                    let mut served = of_thread.lock().unwrap_or_else(PoisonError::into_inner);
                    served.requests += 1;
                    served.metrics.clone()
                };
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
                let _ = write!(connection, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        Ok(Self { address, served })
    }

    /// Returns its address, as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sets the metrics, in the text format of Prometheus, and waits until a running server has them.
    pub fn set(&self, metrics: &str) -> anyhow::Result<()> {
        let before = {
            let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
            metrics.clone_into(&mut served.metrics);
            served.requests
        };
        // A server asks again once it has stored the answer before.
        until("Prometheus to have scraped the metrics", PATIENCE, || {
            let since = self.served.lock().unwrap_or_else(PoisonError::into_inner).requests - before;
            Ok(if since >= 2 { Observation::Done(()) } else { Observation::NotYet(format!("{since} requests")) })
        })
    }
}
