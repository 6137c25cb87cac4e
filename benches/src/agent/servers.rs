//! The servers that are measured, and the rules that they have in common.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::exchange::{Request, once};

/// The time for a server to start.
const START: Duration = Duration::from_secs(30);
/// The number of contexts.
const CONTEXTS: usize = 64;

/// The rules, as each server reads them: every variable has two rules and three values.
pub(crate) struct Rules {
    folder: TempDir,
    variables: usize,
}

impl Rules {
    pub(crate) fn write(variables: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let write = |path: &str, text: String| -> anyhow::Result<()> {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
            Ok(std::fs::write(path, text)?)
        };
        write("workspace/rototo-workspace.toml", "schema_version = 1\n".to_owned())?;
        let qualifier = |predicate: &str| format!("schema_version = 1\npredicate = [{{ {predicate} }}]\n");
        write("workspace/qualifiers/pro.toml", qualifier("attribute = \"plan\", op = \"eq\", value = \"pro\""))?;
        write("workspace/qualifiers/large.toml", qualifier("attribute = \"seats\", op = \"gt\", value = 100"))?;
        let mut flags = serde_json::Map::new();
        for number in 0..variables {
            let name = format!("variable-{number}");
            write(
                &format!("workspace/variables/{name}.toml"),
                format!(
                    "schema_version = 1\ntype = \"string\"\nvalues = {{ off = \"off-{number}\", on = \"on-{number}\", big = \"big-{number}\" }}\n\
                     [resolve]\ndefault = \"off\"\nrule = [{{ qualifier = \"large\", value = \"big\" }}, {{ qualifier = \"pro\", value = \"on\" }}]\n"
                ),
            )?;
            let flag = json!({
                "variations": { "off": format!("off-{number}"), "on": format!("on-{number}"), "big": format!("big-{number}") },
                "targeting": [
                    { "query": "seats gt 100", "variation": "big" },
                    { "query": "plan eq \"pro\"", "variation": "on" },
                ],
                "defaultRule": { "variation": "off" },
            });
            flags.insert(name, flag);
        }
        // JSON is YAML, too.
        write("flags.yaml", Value::Object(flags).to_string())?;
        Ok(Self { folder, variables })
    }

    /// Returns the requests: every variable, with contexts of six attributes for which each rule matches some.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let request = |number: usize| {
            let plan = if number.is_multiple_of(3) { "pro" } else { "free" };
            let context = json!({
                "targetingKey": format!("acct-{number:04}"),
                "plan": plan,
                "seats": number % CONTEXTS * 4,
                "region": "eu-west-1",
                "version": "1.24.3",
                "beta": number.is_multiple_of(2),
            });
            Request::new(&format!("variable-{}", number % self.variables), &json!({ "context": context }))
        };
        (0..self.variables.max(CONTEXTS)).map(request).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    pub(crate) evaluates: bool,
    process: Child,
}

impl Server {
    pub(crate) async fn agent(rules: &Rules, threads: Option<usize>) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(sibling("rototo-agent")?);
        command.arg("--source").arg(rules.path("workspace")).arg(format!("--listen=127.0.0.1:{port}"));
        command.args(threads.map(|threads| format!("--threads={threads}")));
        Self::start("rototo-agent", port, true, command, rules).await
    }

    pub(crate) async fn go_feature_flag(rules: &Rules, program: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let configuration = format!(
            "listen: {port}\npollingInterval: 60000\nloglevel: error\nretriever:\n  kind: file\n  path: {}\n",
            rules.path("flags.yaml").display()
        );
        let path = rules.path("go-feature-flag.yaml");
        std::fs::write(&path, configuration)?;
        let mut command = Command::new(program);
        command.arg("--config").arg(path);
        Self::start("go-feature-flag 1.40.0", port, true, command, rules).await
    }

    /// Starts a bare server on the same HTTP library, which answers the same bytes to every request.
    pub(crate) async fn echo() -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(sibling("bare-http")?);
        command.arg(port.to_string());
        Self::spawn("bare HTTP, no evaluation", port, false, command).await
    }

    /// Starts a server, and waits until it evaluates.
    async fn start(
        name: &'static str,
        port: u16,
        evaluates: bool,
        command: Command,
        rules: &Rules,
    ) -> anyhow::Result<Self> {
        let server = Self::spawn(name, port, evaluates, command).await?;
        let requests = rules.requests();
        let request = requests.first().context("there are variables")?;
        let end = Instant::now() + START;
        while let Err(error) = once(server.port, request).await {
            if Instant::now() > end {
                return Err(error.context(format!("{name} does not evaluate")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    async fn spawn(name: &'static str, port: u16, evaluates: bool, mut command: Command) -> anyhow::Result<Self> {
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.with_context(|| format!("start {name}"))?;
        let mut server = Self { name, port, evaluates, process };
        let end = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = server.process.try_wait()? {
                bail!("{name} ended with {status}");
            }
            if Instant::now() > end {
                bail!("{name} does not listen");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the path of a program that was built beside this one.
fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
