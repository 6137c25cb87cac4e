//! The answers of hosts in place of a repository, and repositories that are not as expected: each has a fault that
//! names it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Command;
use std::time::Duration;

use rototo_source::{Access, Source, SourceError};
use support::git_http::serve_git;
use support::https::{HttpsServer, Request, Response, redirect, respond};
use support::{MANIFEST, Repository, credentials, paths, read, reader};

fn access(server: &HttpsServer) -> Access {
    let source: Source = format!("git+https://{}/r.git#main", server.address()).parse().unwrap();
    Access::new(source, credentials(&[("ca.crt", &server.authority.pem())]))
}

async fn refused_by(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> SourceError {
    let server = HttpsServer::start(answer);
    reader().pin(access(&server)).await.unwrap_err()
}

#[tokio::test]
async fn a_page_to_sign_in_is_named_and_its_query_is_not_shown() {
    let error = refused_by(|request| match &*request.path {
        "/signin" => respond(200, &[("Content-Type", "text/html")], "<html>"),
        _ => redirect("/signin?reply_to=hunter2"),
    })
    .await;
    assert_eq!((error.code(), error.is_transient()), ("access_denied", false), "{error}");
    assert!(error.to_string().contains("such as a sign-in page") && error.to_string().contains("/signin"), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_not_gits_is_not_a_repository_without_the_branch() {
    for (kind, body) in [
        ("text/html", "<html><body>Sign in</body></html>"),
        ("text/html", ""),
        ("text/plain", "one line without an end"),
        ("application/json", "{}\n"),
    ] {
        let error = refused_by(move |_| respond(200, &[("Content-Type", kind)], body)).await;
        assert_eq!((error.code(), error.is_transient()), ("not_git", false), "{kind} {body}: {error}");
        assert!(error.to_string().contains(kind), "{error}");
    }
    for status in [200, 203] {
        assert_eq!(refused_by(move |_| respond(status, &[], "")).await.code(), "not_git", "{status}");
    }
}

#[tokio::test]
async fn a_wait_that_a_host_asks_for_holds_with_any_status() {
    for status in [403, 429, 500, 502, 503] {
        let server = HttpsServer::start(move |_| respond(status, &[("Retry-After", "60")], ""));
        let reader = reader();
        for _ in 0..4 {
            let error = reader.pin(access(&server)).await.unwrap_err();
            assert_eq!((error.code(), error.is_transient()), ("throttled", true), "{status}: {error}");
            assert!(error.retry_after().unwrap() > Duration::from_secs(50), "{status}: {error:?}");
        }
        assert_eq!(server.requests().len(), 1, "{status}");
    }
    let error = refused_by(|_| respond(403, &[], "")).await;
    assert_eq!((error.code(), error.retry_after()), ("access_denied", None), "{error}");
}

#[tokio::test]
async fn what_a_host_says_is_shown_without_what_a_terminal_obeys() {
    let banner = "\u{1b}[2J\u{1b}]0;owned\u{7}be welcome\r\n".repeat(50_000);
    let body = format!("{banner}\u{202e}the \u{1b}[31mreason\u{1b}[0m\n");
    let error = refused_by(move |_| respond(403, &[("Content-Type", "text/plain")], body.clone())).await;
    assert_eq!(error.code(), "access_denied", "{error}");
    let text = error.to_string();
    assert!(text.contains("the reason"), "{text}");
    assert!(
        text.len() < 1000 && !text.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{} {text:?}",
        text.len()
    );
    assert!(!text.contains("[31m") && !text.contains("owned"), "{text}");
}

#[tokio::test]
async fn a_word_in_an_address_decides_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["packfile-tools.git", "Permission denied/r.git", "object file", "File exists", "error: 429"] {
        let source = format!("git+file://{}/{name}#main", directory.path().display());
        let Ok(source) = source.parse::<Source>() else { continue };
        let error = reader().pin(&source).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("no_repository", false), "{name}: {error}");
    }
    let server = HttpsServer::start(|_| respond(404, &[], ""));
    let source: Source = format!("git+https://{}/bad-packfile-503.git#429", server.address()).parse().unwrap();
    let trusted = credentials(&[("ca.crt", &server.authority.pem())]);
    assert_eq!(reader().pin(Access::new(source, trusted)).await.unwrap_err().code(), "no_repository");
}

#[tokio::test]
async fn a_repository_with_sha256_names_is_named() {
    let repository = Repository::with(&["--object-format=sha256"]);
    let commit = repository.commit(&[MANIFEST]);
    let error = read(&reader(), &repository.source("main")).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("object_format", false), "{error}");
    let error = read(&reader(), &repository.source(&commit)).await.unwrap_err();
    assert!(error.to_string().contains("names of 64 digits (SHA-256) are not supported"), "{error}");
}

#[tokio::test]
async fn a_repository_without_branches_and_one_without_its_default_branch_are_named() {
    let repository = Repository::new();
    for fragment in ["", "main"] {
        let error = read(&reader(), &repository.source(fragment)).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("empty_repository", false), "{fragment}: {error}");
    }
    repository.commit(&[MANIFEST]);
    assert_eq!(read(&reader(), &repository.source("gone")).await.unwrap_err().code(), "no_reference");
    repository.git(&["symbolic-ref", "HEAD", "refs/heads/never"]);
    let error = read(&reader(), &repository.source("")).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("no_default_branch", false), "{error}");
    assert!(read(&reader(), &repository.source("main")).await.is_ok());
}

#[tokio::test]
async fn ten_thousands_of_refs_are_listed_and_a_listing_that_is_too_long_is_refused() {
    let repository = Repository::new();
    let commit = repository.commit(&[MANIFEST]);
    let write = |refs: String| std::fs::write(repository.path().join(".git/packed-refs"), refs).unwrap();
    let header = "# pack-refs with: peeled fully-peeled sorted \n";
    let pulls: String = (0..30_000).map(|number| format!("{commit} refs/pull/{number:0>6}/head\n")).collect();
    let tags: String = (0..20_000).map(|number| format!("{commit} refs/tags/v{number:0>6}\n")).collect();
    write(format!("{header}{pulls}{tags}"));
    for fragment in ["main", "", "v000007", "refs/pull/000007/head"] {
        assert_eq!(paths(&read(&reader(), &repository.source(fragment)).await.unwrap()), ["rototo-workspace.toml"]);
    }
    // Git matches the ends of names, so all of these are answers to `main`.
    write(
        header.to_owned()
            + &(0..20_000).map(|n| format!("{commit} refs/heads/{n:0>6}/refs/heads/main\n")).collect::<String>(),
    );
    let error = read(&reader(), &repository.source("main")).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("too_many_references", false), "{error}");
    assert!(error.to_string().contains("1048576 bytes"), "{error}");
}

#[tokio::test]
async fn two_hundred_thousand_files_beside_a_workspace_cost_nothing() {
    let repository = Repository::new();
    repository.commit(&[("teams/a/rototo-workspace.toml", "schema_version = 1\n")]);
    let blob = repository.git(&["rev-parse", "HEAD:teams/a/rototo-workspace.toml"]);
    let entries =
        |count: usize| (0..count).map(|number| format!("100644 blob {blob}\tf{number:0>5}\n")).collect::<String>();
    let crowd = repository.make_tree(&entries(50_000));
    let crowds: String = (0..4).map(|number| format!("040000 tree {crowd}\tcrowd{number}\n")).collect();
    let teams = repository.git(&["rev-parse", "HEAD:teams"]);
    repository.commit_tree(&repository.make_tree(&format!("{crowds}040000 tree {teams}\tteams\n")));
    let fetched = read(&reader(), &repository.source("main:teams/a")).await.unwrap();
    assert_eq!(paths(&fetched), ["rototo-workspace.toml"]);
}

/// Reads what the parent test names, with the environment that it sets.
#[tokio::test]
async fn reads_the_source_that_its_environment_names() {
    let Ok(source) = std::env::var("ROTOTO_TEST_SOURCE") else { return };
    let tree = read(&reader(), &source.parse().unwrap()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(paths(&tree), ["rototo-workspace.toml"]);
}

/// Runs the test above in a process with these variables.
fn read_with(source: &str, variables: &[(&str, &str)]) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "reads_the_source_that_its_environment_names", "--nocapture"]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    command.env("ROTOTO_TEST_SOURCE", source).envs(variables.iter().copied());
    let output = command.output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn a_users_own_git_keeps_its_environment() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let root = repository.path().to_owned();
    let server = HttpsServer::start(move |request| match request.header("authorization") {
        // `user:hunter2`
        Some("Basic dXNlcjpodW50ZXIy") => serve_git(&root, request),
        _ => respond(401, &[("WWW-Authenticate", "Basic realm=\"test\"")], ""),
    });
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let ca = write("ca.pem", &server.authority.pem());
    let ask = write("ask", "#!/bin/sh\ncase $1 in Username*) echo user;; *) echo hunter2;; esac\n");
    let helper = "!f() { echo username=user; echo password=hunter2; }; f";
    let https = format!("git+https://{}/.git#main", server.address());
    assert!(read_with(&https, &[]).is_err());
    read_with(&https, &[("GIT_SSL_CAINFO", &ca), ("GIT_ASKPASS", &ask)]).unwrap();
    let settings = [
        ("GIT_CONFIG_COUNT", "2"),
        ("GIT_CONFIG_KEY_0", "http.sslCAInfo"),
        ("GIT_CONFIG_VALUE_0", &ca),
        ("GIT_CONFIG_KEY_1", "credential.helper"),
        ("GIT_CONFIG_VALUE_1", helper),
    ];
    read_with(&https, &settings).unwrap();
    let with_login = https.replacen("https://", "https://user:hunter2@", 1);
    read_with(&with_login, &[("GIT_SSL_CAINFO", &ca)]).unwrap();
    // What points git at a repository does not reach it.
    let file = format!("git+file://{}#main", repository.path().display());
    let elsewhere = [("GIT_DIR", "/nowhere"), ("GIT_WORK_TREE", "/"), ("GIT_OBJECT_DIRECTORY", "/nowhere")];
    read_with(&file, &elsewhere).unwrap();

    // An ssh that runs the command on this machine, whatever the host is.
    let ssh = write("ssh", "#!/bin/sh\nfor last; do :; done\nexec sh -c \"$last\"\n");
    let over_ssh = format!("git+ssh://git@nowhere.invalid{}#main", repository.path().display());
    assert!(read_with(&over_ssh, &[]).is_err());
    for variable in ["GIT_SSH", "GIT_SSH_COMMAND"] {
        read_with(&over_ssh, &[(variable, &ssh), ("GIT_SSH_VARIANT", "simple")]).unwrap();
    }
    let settings = [
        ("GIT_CONFIG_COUNT", "2"),
        ("GIT_CONFIG_KEY_0", "core.sshCommand"),
        ("GIT_CONFIG_VALUE_0", &*ssh),
        ("GIT_CONFIG_KEY_1", "ssh.variant"),
        ("GIT_CONFIG_VALUE_1", "simple"),
    ];
    read_with(&over_ssh, &settings).unwrap();

    // Their settings replace the transport. A path behind `host:` is relative to a home directory there.
    let home = repository.path().display();
    let ssh_at_home =
        write("ssh-at-home", &format!("#!/bin/sh\ncd '{home}'\nfor last; do :; done\nexec sh -c \"$last\"\n"));
    let to_ssh = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "url.git@nowhere.invalid:.insteadOf"),
        ("GIT_CONFIG_VALUE_0", "https://nowhere.invalid/"),
        ("GIT_SSH_COMMAND", &*ssh_at_home),
        ("GIT_SSH_VARIANT", "simple"),
    ];
    read_with("git+https://nowhere.invalid/.git#main", &to_ssh).unwrap();
    let prefix = format!("url.https://{}/.insteadOf", server.address());
    let to_https = [
        ("GIT_CONFIG_COUNT", "3"),
        ("GIT_CONFIG_KEY_0", &*prefix),
        ("GIT_CONFIG_VALUE_0", "ssh://git@nowhere.invalid/"),
        ("GIT_CONFIG_KEY_1", "http.sslCAInfo"),
        ("GIT_CONFIG_VALUE_1", &ca),
        ("GIT_CONFIG_KEY_2", "credential.helper"),
        ("GIT_CONFIG_VALUE_2", helper),
    ];
    read_with("git+ssh://git@nowhere.invalid/.git#main", &to_https).unwrap();
    // And no other transport.
    let to_file = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "url.file:///.insteadOf"),
        ("GIT_CONFIG_VALUE_0", "https://nowhere.invalid/"),
    ];
    assert!(
        read_with("git+https://nowhere.invalid/.git#main", &to_file)
            .unwrap_err()
            .contains("transport 'file' not allowed")
    );
}
