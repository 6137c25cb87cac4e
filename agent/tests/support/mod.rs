//! A real agent as a process of its own, a workspace that it follows, and plain HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest time that a test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A workspace in a directory, with a variable of every type and a rule of every kind.
pub struct TestWorkspace(pub TempDir);

impl TestWorkspace {
    pub fn new() -> Self {
        let workspace = Self(tempfile::tempdir().unwrap());
        workspace.write("rototo-workspace.toml", "schema_version = 1\n");
        let qualifiers = [
            ("pro", "predicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]"),
            ("large", "predicate = [{ attribute = \"seats\", op = \"gt\", value = 100 }]"),
            (
                "everybody",
                "predicate = [{ attribute = \"account.id\", op = \"bucket\", salt = \"s\", range = [0, 10000] }]",
            ),
        ];
        for (name, text) in qualifiers {
            workspace.write(&format!("qualifiers/{name}.toml"), &format!("schema_version = 1\n{text}\n"));
        }
        let rule = |qualifier: &str| format!("rule = [{{ qualifier = \"{qualifier}\", value = \"on\" }}]\n");
        workspace.variable("flag", "bool", ("false", "true"), &rule("pro"));
        workspace.variable("limit", "int", ("10", "100"), &rule("large"));
        workspace.variable("share", "number", ("0.5", "0.75"), &rule("everybody"));
        workspace.variable("name", "string", ("\"plain\"", "\"Zoë \\\"quoted\\\"\""), "");
        workspace.variable("names", "list", ("[\"a\"]", "[\"a\", \"b\"]"), &rule("pro"));
        workspace.variable(
            "policy",
            "object",
            ("{ mode = \"a\" }", "{ mode = \"b\", nested = { deep = [1, 2.5] } }"),
            &rule("pro"),
        );
        workspace
    }

    /// Writes a variable whose values are `off`, the default, and `on`.
    pub fn variable(&self, name: &str, kind: &str, (off, on): (&str, &str), rules: &str) {
        let text = format!(
            "schema_version = 1\ntype = \"{kind}\"\nvalues = {{ off = {off}, on = {on} }}\n[resolve]\ndefault = \"off\"\n{rules}"
        );
        self.write(&format!("variables/{name}.toml"), &text);
    }

    /// Writes a file as an editor does: the new one takes the place of the old one.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A running agent. Dropping it kills the process.
pub struct Agent {
    process: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// The address that answers evaluations over TCP.
    pub address: String,
}

impl Agent {
    /// Starts an agent on loopback that follows this source, and waits until it listens.
    pub fn start(source: &Path, arguments: &[&str]) -> Self {
        let mut process = command(source)
            .args(["--listen=127.0.0.1:0", "--targeting-key-attribute=account.id"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        std::thread::spawn({
            let log = log.clone();
            move || lines.map_while(Result::ok).for_each(|line| log.lock().unwrap().push(line))
        });
        let mut agent = Self { process, log, address: String::new() };
        agent.address =
            agent.wait_for_log("listening on http://").split("listening on http://").nth(1).unwrap().to_owned();
        agent
    }

    /// Starts an agent, and waits until it has loaded the workspace.
    pub fn ready(source: &Path, arguments: &[&str]) -> Self {
        let agent = Self::start(source, arguments);
        wait(&agent.get("/readyz").body, || (agent.get("/readyz").status == 200).then_some(()));
        agent
    }

    pub fn wait_for_log(&self, text: &str) -> String {
        wait(text, || self.log.lock().unwrap().iter().find(|line| line.contains(text)).cloned())
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Reply {
        exchange(self.connect(), "GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        exchange(self.connect(), "POST", path, headers, body)
    }

    /// Evaluates one variable.
    pub fn single(&self, key: &str, context: &Value) -> Reply {
        let body = json!({ "context": context }).to_string();
        self.post(&format!("/ofrep/v1/evaluate/flags/{key}"), &[], body.as_bytes())
    }

    /// Evaluates all variables.
    pub fn bulk(&self, etag: Option<&str>, context: &Value) -> Reply {
        let body = json!({ "context": context }).to_string();
        let headers: Vec<_> = etag.map(|etag| ("if-none-match", etag)).into_iter().collect();
        self.post("/ofrep/v1/evaluate/flags", &headers, body.as_bytes())
    }

    /// Returns a metric, by its name with its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    pub fn terminate(&self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait("the agent ends", || self.process.try_wait().unwrap())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn command(source: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rototo-agent"));
    command.env_clear().arg("--source").arg(source).stdout(Stdio::null());
    command
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn code(&self) -> (u16, String) {
        (self.status, self.json()["errorCode"].as_str().unwrap_or_default().to_owned())
    }
}

pub fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    // A peer that refuses a body may close before it has all of it.
    let _ = stream.write_all(&request(method, path, headers, body));
    reply(&mut BufReader::new(stream))
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let mut bytes = (text + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads one answer, with its body if that has a length.
pub fn reply(stream: &mut impl BufRead) -> Reply {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no answer, but {line:?}")).parse().unwrap();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut reply = Reply { status, headers, body: String::new() };
    let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    reply.body = String::from_utf8(body).unwrap();
    reply
}

pub fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Waits until there is something.
pub fn wait<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns the largest resident memory that a process has had, in MiB.
pub fn largest_memory(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() >> 10
}
