//! The agent that the drivers evaluate with, and the workspace that it follows.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::cargo;

/// A directory with a workspace. It is removed when this is dropped.
pub(super) struct Workspace(PathBuf);

impl Workspace {
    pub(super) fn new(name: &str, files: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("rototo-sdks-{name}-{}", std::process::id()));
        let workspace = Self(folder);
        for (path, text) in files {
            workspace.write(path, text)?;
        }
        Ok(workspace)
    }

    /// Writes a file; the new one takes the place of the old one at once.
    pub(super) fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.0.join(path);
        let new = path.with_extension("new");
        let folder = path.parent().context("a file is in a folder")?;
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&new, text));
        written.and_then(|()| fs::rename(&new, &path)).with_context(|| format!("write {}", path.display()))
    }

    pub(super) fn remove(&self, path: &str) -> anyhow::Result<()> {
        fs::remove_file(self.0.join(path)).with_context(|| format!("remove {path}"))
    }

    /// Takes the whole directory away, or brings it back.
    pub(super) fn set_present(&self, present: bool) -> anyhow::Result<()> {
        let away = self.0.with_extension("away");
        let (from, to) = if present { (&away, &self.0) } else { (&self.0, &away) };
        fs::rename(from, to).with_context(|| format!("rename {}", from.display()))
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // One of the two is there.
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_dir_all(self.0.with_extension("away"));
    }
}

/// A running agent. Dropping it ends it.
pub(super) struct Agent {
    process: Option<Child>,
    port: u16,
    source: PathBuf,
}

impl Agent {
    pub(super) fn start(workspace: &Workspace) -> anyhow::Result<Self> {
        // The agent restarts at the same address, so the address is chosen here.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.context("find a free port")?.port();
        let mut agent = Self { process: None, port, source: workspace.0.clone() };
        agent.restart()?;
        Ok(agent)
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the number of versions that lint has refused.
    pub(super) fn refusals(&self) -> anyhow::Result<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).context("connect to the agent")?;
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).context("ask for the metrics")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context("read the metrics")?;
        let count = text.lines().find_map(|line| line.strip_prefix("rototo_refusals_total "));
        count.context("the agent counts refusals")?.parse().context("a count is a number")
    }

    /// Kills the agent, as a node that fails does.
    pub(super) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts the agent, and waits until it listens.
    pub(super) fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        let program = cargo::binaries()?.join("rototo-agent");
        let mut command = Command::new(&program);
        command.arg("--source").arg(&self.source).arg(format!("--listen=127.0.0.1:{}", self.port));
        command.args(["--targeting-key-attribute=account.id", "--max-staleness-seconds=3", "--period-seconds=1"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let process = self.process.insert(child);
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = process.try_wait().context("wait for the agent")? {
                bail!("the agent ended with {status}");
            }
            if Instant::now() > end {
                bail!("the agent does not listen at port {}", self.port);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}
