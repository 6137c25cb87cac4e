//! A Chromium, by way of its driver.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// A browser with one open page. It ends when this is dropped.
pub(crate) struct Browser {
    driver: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Browser {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let script = std::env::var_os("ROTOTO_PAGE_DRIVER").context("`cargo xtask page` names the driver")?;
        let folder = Path::new(&script).parent().context("the driver is in a folder")?;
        let mut node = Command::new("node");
        node.arg(&script).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut driver = node.spawn().context("start node")?;
        let (Some(stdin), Some(stdout)) = (driver.stdin.take(), driver.stdout.take()) else {
            bail!("node has no pipes")
        };
        Ok(Self { driver, stdin, stdout: BufReader::new(stdout) })
    }

    /// Gives a command to the driver, and returns its answer.
    fn command(&mut self, name: &str, value: Value) -> anyhow::Result<Value> {
        writeln!(self.stdin, "{}", json!({ name: value })).context("write to the driver")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line).context("read from the driver")?;
        let mut answer: Value = serde_json::from_str(&line).with_context(|| format!("the driver answers {line:?}"))?;
        match answer["error"].as_str() {
            Some(error) => bail!("{error}"),
            None => Ok(answer["value"].take()),
        }
    }

    pub(crate) fn open(&mut self, url: &str) -> anyhow::Result<()> {
        self.command("open", json!(url)).map(drop)
    }

    pub(crate) fn fill(&mut self, selector: &str, text: &str) -> anyhow::Result<()> {
        self.command("fill", json!([selector, text])).map(drop)
    }

    pub(crate) fn click(&mut self, selector: &str) -> anyhow::Result<()> {
        self.command("click", json!(selector)).map(drop)
    }

    pub(crate) fn press(&mut self, keys: &[&str]) -> anyhow::Result<()> {
        keys.iter().try_for_each(|key| self.command("press", json!(key)).map(drop))
    }

    /// Waits until the page shows a text.
    pub(crate) fn wait(&mut self, text: &str) -> anyhow::Result<()> {
        self.command("wait", json!(text)).map(drop)
    }

    pub(crate) fn evaluate(&mut self, script: &str) -> anyhow::Result<Value> {
        self.command("evaluate", json!(script))
    }

    /// Returns what the page shows.
    pub(crate) fn text(&mut self) -> anyhow::Result<String> {
        Ok(self.command("text", json!(null))?.as_str().unwrap_or_default().to_owned())
    }

    /// Returns the errors and the servers of requests since the last call.
    pub(crate) fn noted(&mut self) -> anyhow::Result<Vec<String>> {
        Ok(serde_json::from_value(self.command("noted", json!(null))?)?)
    }

    /// Takes a picture, light and dark.
    pub(crate) fn shots(&mut self, folder: &Path, name: &str) -> anyhow::Result<()> {
        for scheme in ["dark", "light"] {
            self.command("scheme", json!(scheme))?;
            self.command("shot", json!(folder.join(format!("{name}-{scheme}.png"))))?;
        }
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
