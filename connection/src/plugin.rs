//! Words the failures of the program that makes a user's credentials. Its arguments, its environment, and its output may
//! have secrets, and the kube crate shows all of them.

use kube::client::AuthError;
use kube::config::AuthInfo;
use tower::BoxError;

use crate::api_error::one_line;

/// The longest part of the program's last line that a failure shows, in characters.
const LONGEST: usize = 200;

/// The program that makes a user's credentials, if one does.
#[derive(Clone)]
pub(crate) struct Plugin {
    program: Option<String>,
}

impl Plugin {
    /// Returns the program of `user`.
    pub(crate) fn of(user: &AuthInfo) -> Self {
        let of_provider = || user.auth_provider.as_ref()?.config.get("cmd-path");
        let program = user.exec.as_ref().and_then(|exec| exec.command.as_ref()).or_else(of_provider);
        Self { program: program.cloned() }
    }

    /// Replaces a failure of the program by its words, so that no caller can show its secrets.
    pub(crate) fn without_secrets(&self, error: kube::Error) -> kube::Error {
        match error {
            kube::Error::Auth(error) => kube::Error::Auth(self.worded(error)),
            other => other,
        }
    }

    /// Does the same for the failure of a request, before which the program has made new credentials.
    pub(crate) fn without_secrets_in(&self, error: BoxError) -> BoxError {
        match error.downcast::<AuthError>() {
            Ok(error) => self.worded(*error).into(),
            Err(other) => other,
        }
    }

    fn worded(&self, error: AuthError) -> AuthError {
        failure(&error, self.program.as_deref()).map_or(error, AuthError::AuthExec)
    }
}

/// Returns the words for a failure of the program, without its arguments, its environment, and its output; `None` for
/// another failure.
pub(crate) fn failure(error: &AuthError, program: Option<&str>) -> Option<String> {
    let why = match error {
        // These are its words already.
        AuthError::AuthExec(words) => return Some(one_line(words)),
        AuthError::AuthExecStart(error) => format!("can't be started: {error}"),
        AuthError::AuthExecRun { out, .. } => {
            let last = last_line(&out.stderr).map(|line| format!(": {line}")).unwrap_or_default();
            format!("failed ({}){last}", out.status)
        }
        AuthError::AuthExecParse(error) => {
            let place = error.location().map(|place| format!(" (line {}, column {})", place.line(), place.column()));
            format!("wrote no ExecCredential{}", place.unwrap_or_default())
        }
        AuthError::ParseTokenKey(_) => "wrote no JSON".to_owned(),
        AuthError::ExecPluginFailed => "wrote an ExecCredential without a status".to_owned(),
        // It may stand in the kubeconfig.
        AuthError::MalformedTokenExpirationDate(_) => {
            return Some("the user's credentials have an expiration that is no time of RFC 3339".to_owned());
        }
        AuthError::UnrefreshableTokenResponse => "wrote no token with an expiration, as it did before".to_owned(),
        _ => return None,
    };
    let name = program.map(|program| format!(" `{program}`")).unwrap_or_default();
    Some(one_line(&format!("the program{name} that makes the user's credentials {why}")))
}

/// Returns the last line that is not empty.
fn last_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().map(one_line).rfind(|line| !line.is_empty())?;
    Some(line.chars().take(LONGEST).collect())
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use http::Request;
    use kube::config::ExecConfig;
    use kube::{Client, Config};
    use serde_json::json;

    use super::*;
    use crate::{api_error, api_server, with_causes};

    /// Returns a client whose user's credentials this script of a shell makes, with secrets in arguments and environment.
    fn client(script: &str, mode: &str) -> Result<Client, kube::Error> {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh",
            "args": ["-c", script, "--client-secret=hunter2"],
            "env": [{ "name": "AWS_SECRET_ACCESS_KEY", "value": "s3cr3t" }],
            "interactiveMode": mode,
        });
        let mut config = Config::new("http://127.0.0.1:9".parse().unwrap());
        config.auth_info.exec = Some(serde_json::from_value::<ExecConfig>(exec).unwrap());
        api_server(config, Duration::from_secs(300))
    }

    #[tokio::test]
    async fn a_failure_of_a_program_for_credentials_names_it_and_shows_no_secret() {
        let failed = "the program `sh` that makes the user's credentials failed (exit status: 3)";
        let wrote = "the program `sh` that makes the user's credentials wrote";
        for (script, mode, expected) in [
            ("echo s3cr3t; exit 3", "IfAvailable", failed.to_owned()),
            ("printf 'a\\nlog \\033[1min\\t\\n\\n' >&2; exit 3", "Never", format!("{failed}: log [1min")),
            ("echo '{}'", "Never", format!("{wrote} an ExecCredential without a status")),
            ("echo 's3cr3t: ['", "Never", format!("{wrote} no ExecCredential (line ")),
            (
                "echo '{\"status\": {\"token\": \"s3cr3t\", \"expirationTimestamp\": []}}'",
                "Never",
                format!("{wrote} no E"),
            ),
            (
                "echo '{\"status\": {\"expirationTimestamp\": \"s3cr3t\"}}'",
                "Never",
                "the user's credentials have an expiration".to_owned(),
            ),
        ] {
            let error = client(script, mode).err().unwrap();
            assert!(api_error(&error).starts_with(&expected), "{script}: {}", api_error(&error));
            // Whoever shows the error in another way shows no secret either.
            for text in [api_error(&error), with_causes(&error), format!("{error:?}")] {
                assert!(!text.contains("s3cr3t") && !text.contains("hunter2"), "{script}: {text}");
            }
        }
    }

    #[tokio::test]
    async fn the_last_line_of_a_program_is_bounded() {
        let error = client("head -c 9999 /dev/zero | tr '\\0' x >&2; exit 1", "Never").err().unwrap();
        assert!(api_error(&error).ends_with(&format!(": {}", "x".repeat(LONGEST))), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_fails_before_a_later_request_shows_no_secret() {
        let broken = std::env::temp_dir().join(format!("rototo-plugin-broken-{}", std::process::id()));
        let script = format!(
            "test -e {} && exit 3; echo '{{\"status\": {{\"token\": \"t\", \"expirationTimestamp\": \"2020-01-01T00:00:00Z\"}}}}'",
            broken.display()
        );
        let client = client(&script, "Never").unwrap();
        std::fs::write(&broken, "").unwrap();
        let error = client.request_text(Request::get("/version").body(Vec::new()).unwrap()).await.unwrap_err();
        std::fs::remove_file(&broken).unwrap();
        let expected = "the program `sh` that makes the user's credentials failed (exit status: 3)";
        assert_eq!(api_error(&error), expected);
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
