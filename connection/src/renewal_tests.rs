//! Credentials that end, or are refused, while a client runs: of programs, of files, and of the kubeconfig itself.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::WatchParams;
use kube::config::{AuthInfo, AuthProviderConfig, ExecConfig};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::api_error;

const PATIENCE: Duration = Duration::from_secs(20);
/// Tests do not wait for the times between attempts.
const AT_ONCE: Pace = Pace { read_every: Duration::ZERO, pause: Duration::ZERO };
/// Nothing is done again because of the time.
const NEVER: Pace = Pace { read_every: Duration::MAX, pause: Duration::MAX };
/// What is refused is made again at once, and nothing is done because of the time.
const WHEN_REFUSED: Pace = Pace { read_every: Duration::MAX, pause: Duration::ZERO };

/// A server that accepts one value of the header `Authorization`, and records those that it gets.
#[derive(Clone, Default)]
struct ApiServer {
    accepts: Arc<Mutex<String>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    async fn start() -> (Self, Config) {
        let server = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, config)
    }

    /// Accepts only this value from now on.
    fn accept(&self, value: &str) {
        *self.accepts.lock().unwrap() = value.to_owned();
    }

    /// Returns the values since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn answer(State(server): State<ApiServer>, headers: HeaderMap) -> (StatusCode, String) {
    let value = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap()).unwrap_or_default();
    assert!(headers.get(USER_AGENT).is_some_and(|agent| agent.to_str().unwrap().starts_with("rototo/")));
    server.asked.lock().unwrap().push(value.to_owned());
    match *server.accepts.lock().unwrap() == value {
        true => (StatusCode::OK, "{}".to_owned()),
        false => {
            let status = json!({ "kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized" });
            (StatusCode::UNAUTHORIZED, status.to_string())
        }
    }
}

fn made(config: Config, pace: Pace) -> Client {
    prepared(config, TimeLimits::ByKind, pace).unwrap().0
}

async fn version(client: &Client) -> Result<String, String> {
    let request = Request::get("/version").body(Vec::new()).unwrap();
    client.request_text(request).await.map_err(|error| api_error(&error))
}

/// A program that writes the credentials in its file `made`, and a line to its file `runs` when it begins.
struct Program {
    directory: TempDir,
}

impl Program {
    fn new(status: serde_json::Value) -> Self {
        let program = Self { directory: tempfile::tempdir().unwrap() };
        program.makes(status);
        program
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn makes(&self, status: serde_json::Value) {
        std::fs::write(self.file("made"), json!({ "kind": "ExecCredential", "status": status }).to_string()).unwrap();
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(self.file("runs")).unwrap_or_default().lines().count()
    }

    /// Makes it the program of a configuration. It does `before` once it has begun.
    fn of(&self, mut config: Config, before: &str) -> Config {
        let script = format!("cd {}; echo run >> runs; {before} cat made", self.directory.path().display());
        let exec = json!({ "command": "sh", "args": ["-c", script], "interactiveMode": "Never" });
        config.auth_info.exec = Some(serde_json::from_value::<ExecConfig>(exec).unwrap());
        config
    }
}

#[tokio::test]
async fn a_token_of_a_program_without_an_expiration_is_made_again_once_it_is_refused() {
    let (server, config) = ApiServer::start().await;
    let program = Program::new(json!({ "token": "first" }));
    let client = made(program.of(config, ""), WHEN_REFUSED);
    server.accept("Bearer first");
    for _ in 0..2 {
        assert_eq!(version(&client).await.unwrap(), "{}");
    }
    assert_eq!((program.runs(), server.asked().len()), (1, 2));
    server.accept("Bearer second");
    program.makes(json!({ "token": "second" }));
    assert_eq!(version(&client).await.unwrap(), "{}", "the request is sent again");
    assert_eq!((program.runs(), server.asked()), (2, vec!["Bearer first".to_owned(), "Bearer second".to_owned()]));
}

#[tokio::test]
async fn a_watch_whose_credentials_have_ended_begins_with_others() {
    let (server, config) = ApiServer::start().await;
    let program = Program::new(json!({ "token": "first" }));
    let maps: Api<ConfigMap> = Api::namespaced(made(program.of(config, ""), WHEN_REFUSED), "prod");
    server.accept("Bearer first");
    assert!(maps.watch(&WatchParams::default(), "1").await.is_ok());
    server.accept("Bearer second");
    program.makes(json!({ "token": "second" }));
    assert!(maps.watch(&WatchParams::default(), "1").await.is_ok());
}

#[tokio::test]
async fn a_token_that_the_program_makes_again_as_it_was_is_refused_as_before() {
    let (_server, config) = ApiServer::start().await;
    let program = Program::new(json!({ "token": "t" }));
    let client = made(program.of(config, ""), NEVER);
    for _ in 0..3 {
        assert_eq!(version(&client).await.unwrap_err(), "401 Unauthorized: Unauthorized");
    }
    assert_eq!(program.runs(), 1, "it pauses");
}

#[tokio::test]
async fn a_token_of_a_program_that_has_ended_is_made_again_before_a_request() {
    let (server, config) = ApiServer::start().await;
    let program = Program::new(json!({ "token": "first", "expirationTimestamp": "2020-01-01T00:00:00Z" }));
    let client = made(program.of(config, ""), AT_ONCE);
    server.accept("Bearer first");
    assert_eq!(version(&client).await.unwrap(), "{}");
    server.accept("Bearer second");
    program.makes(json!({ "token": "second", "expirationTimestamp": "2120-01-01T00:00:00Z" }));
    for _ in 0..2 {
        assert_eq!(version(&client).await.unwrap(), "{}");
    }
    assert_eq!(server.asked(), ["Bearer first", "Bearer second", "Bearer second"]);
    assert_eq!(program.runs(), 2);
}

#[tokio::test]
async fn a_token_of_a_program_that_ends_soon_is_used_while_the_program_makes_another() {
    let (server, config) = ApiServer::start().await;
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(30)).to_string();
    let program = Program::new(json!({ "token": "first", "expirationTimestamp": soon }));
    let wait = "while [ -e first-has-run ] && [ ! -e end ]; do sleep 0.01; done; touch first-has-run;";
    let client = made(program.of(config, wait), AT_ONCE);
    server.accept("Bearer first");
    assert_eq!(version(&client).await.unwrap(), "{}");
    program.makes(json!({ "token": "second" }));
    // The program runs until the file is there.
    assert_eq!(version(&client).await.unwrap(), "{}");
    server.accept("Bearer second");
    std::fs::write(program.file("end"), "").unwrap();
    let renewed = async { while version(&client).await.is_err() {} };
    timeout(PATIENCE, renewed).await.expect("the second token");
}

#[tokio::test]
async fn a_failure_of_the_program_is_the_reason_while_the_token_is_refused_and_no_secret_is_shown() {
    let (server, config) = ApiServer::start().await;
    let program = Program::new(json!({ "token": "t" }));
    let client = made(program.of(config, "test -e broken && exit 3;"), WHEN_REFUSED);
    server.accept("Bearer t");
    assert_eq!(version(&client).await.unwrap(), "{}");
    server.accept("another");
    std::fs::write(program.file("broken"), "").unwrap();
    for _ in 0..2 {
        let failed = "the program `sh` that makes the user's credentials failed (exit status: 3)";
        assert_eq!(version(&client).await.unwrap_err(), failed);
    }
    server.accept("Bearer t");
    std::fs::remove_file(program.file("broken")).unwrap();
    assert_eq!(version(&client).await.unwrap(), "{}");
}

#[tokio::test]
async fn a_program_that_failed_is_not_run_again_for_each_request_that_would_be_refused() {
    const PAUSE: Duration = Duration::from_secs(3600);
    let (server, config) = ApiServer::start().await;
    let program = Program::new(json!({ "token": "t" }));
    let config = program.of(config, "test -e broken && exit 3;");
    let client = made(config, Pace { read_every: Duration::MAX, pause: PAUSE });
    server.accept("Bearer t");
    assert_eq!(version(&client).await.unwrap(), "{}");
    server.accept("another");
    assert_eq!(version(&client).await.unwrap_err(), "401 Unauthorized: Unauthorized", "it pauses");
    std::fs::write(program.file("broken"), "").unwrap();
    // Only the clock of this runtime moves. No request is sent from here on.
    tokio::time::pause();
    tokio::time::advance(PAUSE).await;
    tokio::time::resume();
    for _ in 0..2 {
        assert!(version(&client).await.unwrap_err().ends_with("failed (exit status: 3)"));
    }
    assert_eq!((program.runs(), server.asked().len()), (2, 2));
}

#[tokio::test]
async fn a_program_runs_beside_the_runtime_and_once_for_all_requests_that_wait() {
    let (server, config) = ApiServer::start().await;
    let program = Program::new(json!({ "token": "t" }));
    let client = made(program.of(config, "while [ ! -e end ]; do sleep 0.01; done;"), NEVER);
    server.accept("Bearer t");
    // There is one thread. The program ends because this thread goes on.
    let goes_on = async {
        while program.runs() == 0 {
            tokio::task::yield_now().await;
        }
        std::fs::write(program.file("end"), "").unwrap();
    };
    let requests = async { tokio::join!(version(&client), version(&client), version(&client), goes_on) };
    let answers = timeout(PATIENCE, requests).await.expect("the program ends");
    assert!(answers.0.is_ok() && answers.1.is_ok() && answers.2.is_ok(), "{answers:?}");
    assert_eq!(program.runs(), 1);
}

#[tokio::test]
async fn a_program_runs_on_when_the_request_that_began_it_is_cancelled() {
    let (server, config) = ApiServer::start().await;
    let program = Program::new(json!({ "token": "t" }));
    let client = made(program.of(config, "while [ ! -e end ]; do sleep 0.01; done;"), NEVER);
    server.accept("Bearer t");
    {
        let mut request = std::pin::pin!(version(&client));
        while program.runs() == 0 {
            assert!(futures::poll!(&mut request).is_pending());
            tokio::task::yield_now().await;
        }
    }
    std::fs::write(program.file("end"), "").unwrap();
    assert_eq!(version(&client).await.unwrap(), "{}");
    assert_eq!(program.runs(), 1);
}

#[tokio::test]
async fn a_sign_in_names_the_program_that_fails() {
    let (_server, config) = ApiServer::start().await;
    let program = Program::new(json!({ "token": "t" }));
    let error = sign_in(program.of(config.clone(), "exit 3;"), PATIENCE).await.err().unwrap();
    assert!(api_error(&error).ends_with("failed (exit status: 3)"), "{error}");
    assert!(sign_in(program.of(config, ""), PATIENCE).await.is_ok());
    assert_eq!(program.runs(), 2);
}

/// Returns the configuration of a user with a token file.
fn with_token_file(mut config: Config, file: &Path) -> Config {
    config.auth_info.token_file = file.to_str().map(str::to_owned);
    config
}

#[tokio::test]
async fn a_token_file_may_end_in_a_newline_and_comes_before_the_token_of_the_user() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (text, own_token) in [("secret\n", None), ("secret", Some("inline")), ("secret\r\n", Some("inline"))] {
        let (server, config) = ApiServer::start().await;
        std::fs::write(file.path(), text).unwrap();
        let mut config = with_token_file(config, file.path());
        config.auth_info.token = own_token.map(|token| token.to_owned().into());
        server.accept("Bearer secret");
        assert_eq!(version(&made(config, NEVER)).await.unwrap(), "{}", "{text:?}");
    }
}

#[tokio::test]
async fn a_token_file_is_read_again_after_a_while_and_stays_what_it_was_while_it_is_not_there() {
    let (server, config) = ApiServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let client = made(with_token_file(config, &file), AT_ONCE);
    std::fs::write(&file, "second\n").unwrap();
    server.accept("Bearer second");
    assert_eq!(version(&client).await.unwrap(), "{}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(version(&client).await.unwrap(), "{}");
    assert_eq!(server.asked(), ["Bearer second", "Bearer second"]);
}

#[tokio::test]
async fn a_token_file_is_read_again_once_its_token_is_refused() {
    let (server, config) = ApiServer::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first").unwrap();
    let client = made(with_token_file(config, file.path()), WHEN_REFUSED);
    server.accept("Bearer second");
    assert_eq!(version(&client).await.unwrap_err(), "401 Unauthorized: Unauthorized");
    std::fs::write(file.path(), "second").unwrap();
    assert_eq!(version(&client).await.unwrap(), "{}");
}

#[tokio::test]
async fn a_token_file_that_is_not_there_is_an_error_unless_the_user_has_another_token() {
    let (server, config) = ApiServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let mut config = with_token_file(config, &file);
    assert!(api_server(config.clone(), PATIENCE).is_err());
    std::fs::write(&file, " \n").unwrap();
    let error = api_server(config.clone(), PATIENCE).err().unwrap();
    assert!(api_error(&error).contains("it is empty"), "{error}");
    config.auth_info.token = Some("inline".to_owned().into());
    let client = made(config, AT_ONCE);
    server.accept("Bearer inline");
    assert_eq!(version(&client).await.unwrap(), "{}");
    std::fs::write(&file, "of-file\n").unwrap();
    server.accept("Bearer of-file");
    assert_eq!(version(&client).await.unwrap(), "{}");
}

/// Returns the header that a request of this user has.
async fn header_of(change: impl FnOnce(&mut AuthInfo)) -> String {
    let (server, mut config) = ApiServer::start().await;
    change(&mut config.auth_info);
    drop(version(&made(config, NEVER)).await);
    server.asked().remove(0)
}

#[tokio::test]
async fn of_several_credentials_one_is_used() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "of-file").unwrap();
    let path = || file.path().to_str().map(str::to_owned);
    let program = || Some(serde_json::from_value::<ExecConfig>(json!({ "command": "no-such-program" })).unwrap());
    let all = |user: &mut AuthInfo| {
        user.username = Some("u".to_owned());
        user.password = Some("p".to_owned().into());
        user.token = Some("t".to_owned().into());
        user.token_file = path();
        user.exec = program();
    };
    assert_eq!(header_of(all).await, "Basic dTpw");
    let token_and_program = |user: &mut AuthInfo| {
        all(user);
        (user.username, user.token_file) = (None, None);
    };
    assert_eq!(header_of(token_and_program).await, "Bearer t");
    let file_and_program = |user: &mut AuthInfo| (user.token_file, user.exec) = (path(), program());
    assert_eq!(header_of(file_and_program).await, "Bearer of-file");
    assert_eq!(header_of(|_| ()).await, "");
}

fn provider(name: &str, config: &[(&str, &str)]) -> Option<AuthProviderConfig> {
    let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Some(AuthProviderConfig { name: name.to_owned(), config, ..AuthProviderConfig::default() })
}

#[tokio::test]
async fn an_id_token_of_oidc_is_used_and_an_error_says_what_to_do_once_it_is_refused() {
    let (server, mut config) = ApiServer::start().await;
    config.auth_info.auth_provider = provider("oidc", &[("id-token", "signed"), ("client-secret", "hunter2")]);
    let client = made(config, NEVER);
    server.accept("Bearer signed");
    assert_eq!(version(&client).await.unwrap(), "{}");
    server.accept("another");
    let error = version(&client).await.unwrap_err();
    assert!(error.contains("auth-provider `oidc`") && error.contains("kubelogin"), "{error}");
    assert!(!error.contains("hunter2") && !error.contains("signed"), "{error}");
}

#[tokio::test]
async fn a_provider_that_gives_no_token_is_refused_with_what_to_do() {
    for (name, expected) in
        [("oidc", "kubelogin"), ("gcp", "gke-gcloud-auth-plugin"), ("azure", "kubelogin of Azure"), ("own", "`exec`")]
    {
        let mut config = Config::new("http://127.0.0.1:9".parse().unwrap());
        config.auth_info.auth_provider = provider(name, &[("client-secret", "hunter2"), ("cmd-path", "hunter2")]);
        let error = api_error(&api_server(config, PATIENCE).err().unwrap());
        assert!(error.starts_with(&format!("the auth-provider `{name}` of the user")), "{error}");
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
}
