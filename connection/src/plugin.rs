//! Runs the program that makes a user's credentials, such as kubelogin or `aws eks get-token`, beside the runtime and with
//! a time limit. Its arguments, its environment, and its output may have secrets, so a failure is reported without them.

use std::io::IsTerminal;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::api_error::one_line;
use crate::credentials::{Credentials, Identity, bearer};

/// The longest part of the program's last line that a failure shows, in characters.
const LONGEST: usize = 200;
/// The largest output of the program, in bytes.
const LARGEST: u64 = 1024 * 1024;
/// The time for which its error stream is read once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The time limit where somebody may sign in, in a browser or at the terminal.
const ATTENDED: Duration = Duration::from_secs(300);
/// The time limit where nobody can answer the program.
const UNATTENDED: Duration = Duration::from_secs(60);
/// The time for which a request waits for the program, which then runs on. It is shorter than the time for which any caller
/// waits for the request, so that each sees the reason.
pub(crate) const REQUEST_WAITS: Duration = Duration::from_secs(8);

/// The program that makes a user's credentials.
pub(crate) struct Plugin {
    exec: ExecConfig,
    is_terminal: bool,
    limit: Duration,
}

/// The part of an `ExecCredential` that the program writes.
#[derive(Deserialize)]
struct Answer {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Plugin {
    pub(crate) fn new(exec: ExecConfig) -> Self {
        let is_terminal = std::io::stdin().is_terminal();
        Self { exec, is_terminal, limit: if is_terminal { ATTENDED } else { UNATTENDED } }
    }

    /// Returns the words for a program that has not ended after this time.
    pub(crate) fn too_slow(&self, after: Duration) -> String {
        self.failed(&format!("has not ended within {} s", after.as_secs_f32()))
    }

    /// Runs the program, which is killed at its time limit, or if this future is dropped.
    ///
    /// # Errors
    ///
    /// The words for people: why there are no credentials.
    pub(crate) async fn run(&self) -> Result<Credentials, String> {
        let output = timeout(self.limit, self.output()).await;
        let output = output.unwrap_or_else(|_| Err(self.too_slow(self.limit)))?;
        self.credentials(&output)
    }

    async fn output(&self) -> Result<Vec<u8>, String> {
        let mut program = self.command()?;
        let mut running = program.spawn().map_err(|error| self.failed(&format!("can't be started: {error}")))?;
        let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
        let mut errors = Vec::new();
        let ended = async {
            let mut output = Vec::new();
            read(stdout, &mut output).await?;
            Ok::<_, std::io::Error>((running.wait().await?, output))
        };
        let ended = {
            let (ended, reading_errors) = (std::pin::pin!(ended), std::pin::pin!(read(stderr, &mut errors)));
            match select(ended, reading_errors).await {
                Either::Left((ended, reading_errors)) => {
                    // Another process may hold the stream open.
                    let _ = timeout(LAST_WORDS, reading_errors).await;
                    ended
                }
                Either::Right((_, ended)) => ended.await,
            }
        };
        let (status, output) = ended.map_err(|error| self.failed(&format!("can't be read: {error}")))?;
        if !status.success() {
            let last = last_line(&errors).map(|line| format!(": {line}")).unwrap_or_default();
            return Err(self.failed(&format!("failed ({status}){last}")));
        }
        Ok(output)
    }

    fn command(&self) -> Result<Command, String> {
        let ExecConfig { command, args, env, drop_env, interactive_mode, .. } = &self.exec;
        let name = command.as_ref().ok_or_else(|| self.failed("has no name (`command`)"))?;
        let is_interactive = self.is_terminal && *interactive_mode != Some(ExecInteractiveMode::Never);
        if *interactive_mode == Some(ExecInteractiveMode::Always) && !is_interactive {
            return Err(self.failed("needs a terminal (`interactiveMode: Always`)"));
        }
        let mut command = Command::new(name);
        command.args(args.iter().flatten()).kill_on_drop(true).stdout(Stdio::piped());
        for variable in env.iter().flatten() {
            if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
                command.env(name, value);
            }
        }
        command.env("KUBERNETES_EXEC_INFO", self.info(is_interactive));
        for name in drop_env.iter().flatten() {
            command.env_remove(name);
        }
        match is_interactive {
            true => command.stdin(Stdio::inherit()).stderr(Stdio::inherit()),
            false => command.stdin(Stdio::null()).stderr(Stdio::piped()),
        };
        Ok(command)
    }

    /// Returns what the program learns about its task.
    fn info(&self, is_interactive: bool) -> String {
        let mut spec = json!({ "interactive": is_interactive });
        if let (true, Some(cluster)) = (self.exec.provide_cluster_info, &self.exec.cluster)
            && let Ok(cluster) = serde_json::to_value(cluster)
        {
            spec["cluster"] = cluster;
        }
        json!({ "kind": "ExecCredential", "apiVersion": self.exec.api_version, "spec": spec }).to_string()
    }

    fn credentials(&self, output: &[u8]) -> Result<Credentials, String> {
        let text = std::str::from_utf8(output).map_err(|_| self.failed("wrote no text"))?;
        let answer: Answer = serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location().map(|place| format!(" (line {}, column {})", place.line(), place.column()));
            self.failed(&format!("wrote no ExecCredential{}", place.unwrap_or_default()))
        })?;
        let status = answer.status.ok_or_else(|| self.failed("wrote an ExecCredential without a status"))?;
        let ends = status.expiration_timestamp.map(|time| time.parse::<Timestamp>()).transpose();
        let ends = ends.map_err(|_| self.failed("wrote an expiration that is no time of RFC 3339"))?;
        let token = status.token.filter(|token| !token.is_empty()).map(|token| bearer(&token)).transpose();
        let header = token.map_err(|_| self.failed("wrote a token that no header may have"))?;
        let identity = match (status.client_certificate_data, status.client_key_data) {
            (Some(certificate), Some(key)) => {
                Some(Arc::new(Identity { certificate: certificate.into(), key: key.into() }))
            }
            (None, None) => None,
            _ => return Err(self.failed("wrote only one of a certificate and its key")),
        };
        if header.is_none() && identity.is_none() {
            return Err(self.failed("wrote an ExecCredential without a token and without a certificate"));
        }
        Ok(Credentials { header, identity, ends })
    }

    /// Returns the words for a failure.
    fn failed(&self, why: &str) -> String {
        let name = self.exec.command.as_ref().map(|program| format!(" `{program}`")).unwrap_or_default();
        one_line(&format!("the program{name} that makes the user's credentials {why}"))
    }
}

/// Reads the whole of a stream of the program into `bytes`.
async fn read(stream: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let Some(stream) = stream else { return Ok(()) };
    if stream.take(LARGEST).read_to_end(bytes).await? as u64 == LARGEST {
        let more = format!("it has more than {LARGEST} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, more));
    }
    Ok(())
}

/// Returns the last line that is not empty.
fn last_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().map(one_line).rfind(|line| !line.is_empty())?;
    Some(line.chars().take(LONGEST).collect())
}

#[cfg(all(test, unix))]
mod tests {
    use http::Request;
    use kube::{Client, Config};

    use super::*;
    use crate::{api_error, api_server, with_causes};

    fn exec(script: &str, mode: &str) -> ExecConfig {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh",
            "args": ["-c", script, "--client-secret=c0nfidential"],
            "env": [{ "name": "AWS_SECRET_ACCESS_KEY", "value": "s3cr3t" }],
            "interactiveMode": mode,
        });
        serde_json::from_value(exec).unwrap()
    }

    /// Returns a client whose user's credentials this script of a shell makes, with secrets in arguments and environment.
    fn client(script: &str, mode: &str) -> Client {
        let mut config = Config::new("http://127.0.0.1:9".parse().unwrap());
        config.auth_info.exec = Some(exec(script, mode));
        api_server(config, Duration::from_secs(300)).unwrap()
    }

    async fn error(client: &Client) -> kube::Error {
        client.request_text(Request::get("/version").body(Vec::new()).unwrap()).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_failure_of_a_program_for_credentials_names_it_and_shows_no_secret() {
        let failed = "the program `sh` that makes the user's credentials failed (exit status: 3)";
        let wrote = "the program `sh` that makes the user's credentials wrote";
        for (script, mode, expected) in [
            ("echo s3cr3t; exit 3", "IfAvailable", failed.to_owned()),
            ("printf 'a\\nlog \\033[1min\\t\\n\\n' >&2; exit 3", "Never", format!("{failed}: log [1min")),
            ("echo '{}'", "Never", format!("{wrote} an ExecCredential without a status")),
            ("echo '{\"status\": {}}'", "Never", format!("{wrote} an ExecCredential without a token and")),
            ("echo '{\"status\": {\"clientKeyData\": \"s3cr3t\"}}'", "Never", format!("{wrote} only one of")),
            ("echo '{\"status\": {\"token\": \"s3cr3t\\u0007\"}}'", "Never", format!("{wrote} a token that no")),
            ("echo 's3cr3t: ['", "Never", format!("{wrote} no ExecCredential (line ")),
            (
                "echo '{\"status\": {\"token\": \"s3cr3t\", \"expirationTimestamp\": []}}'",
                "Never",
                format!("{wrote} no E"),
            ),
            (
                "echo '{\"status\": {\"expirationTimestamp\": \"s3cr3t\"}}'",
                "Never",
                format!("{wrote} an expiration that is no time"),
            ),
            (
                "yes s3cr3t",
                "Never",
                "the program `sh` that makes the user's credentials can't be read: it has".to_owned(),
            ),
        ] {
            let error = error(&client(script, mode)).await;
            assert!(api_error(&error).starts_with(&expected), "{script}: {}", api_error(&error));
            // Whoever shows the error in another way shows no secret either.
            for text in [api_error(&error), with_causes(&error), format!("{error:?}")] {
                assert!(!text.contains("s3cr3t") && !text.contains("c0nfidential"), "{script}: {text}");
            }
        }
    }

    #[tokio::test]
    async fn the_last_line_of_a_program_is_bounded() {
        let error = error(&client("head -c 9999 /dev/zero | tr '\\0' x >&2; exit 1", "Never")).await;
        assert!(api_error(&error).ends_with(&format!(": {}", "x".repeat(LONGEST))), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_leaves_another_behind_ends_nevertheless() {
        let directory = tempfile::tempdir().unwrap();
        // It holds the error stream open until the directory is gone.
        let other = format!("while [ -d {} ]; do sleep 0.1; done", directory.path().display());
        let error = error(&client(&format!("({other}) >/dev/null & echo why >&2; exit 1"), "Never")).await;
        assert!(api_error(&error).ends_with("failed (exit status: 1): why"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", file.display());
        let limit = Duration::from_secs(1);
        let plugin = Plugin { exec: exec(&script, "Never"), is_terminal: false, limit };
        let Err(failure) = plugin.run().await else { panic!("it has ended") };
        assert_eq!(failure, "the program `sh` that makes the user's credentials has not ended within 1 s");
        let pid = std::fs::read_to_string(&file).unwrap();
        // Whoever reaps it may take a moment.
        let gone = async {
            while is_running(pid.trim()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.expect("it runs on");
    }

    /// Returns whether a process runs, and is not only not waited for.
    fn is_running(pid: &str) -> bool {
        let ps = std::process::Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
        let state = String::from_utf8(ps.stdout).unwrap();
        !state.trim().is_empty() && !state.trim().starts_with('Z')
    }

    #[tokio::test]
    async fn a_program_that_needs_a_terminal_is_not_run_without_one() {
        let plugin = Plugin { exec: exec("exit 0", "Always"), is_terminal: false, limit: UNATTENDED };
        let Err(failure) = plugin.run().await else { panic!("it was run") };
        assert!(failure.ends_with("needs a terminal (`interactiveMode: Always`)"), "{failure}");
    }

    #[tokio::test]
    async fn a_program_learns_its_task() {
        let script = "echo \"$KUBERNETES_EXEC_INFO\" >&2; exit 1";
        let plugin = Plugin { exec: exec(script, "IfAvailable"), is_terminal: false, limit: UNATTENDED };
        let Err(failure) = plugin.run().await else { panic!("it has succeeded") };
        for part in ["\"kind\":\"ExecCredential\"", "\"interactive\":false", "client.authentication.k8s.io/v1"] {
            assert!(failure.contains(part), "{part}: {failure}");
        }
    }
}
