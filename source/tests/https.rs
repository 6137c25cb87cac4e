//! Repositories behind real HTTPS servers: access, trust, and the places where secrets go.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rototo_source::{Access, Limits, Reader, ReaderOptions, Source, SourceError};
use support::git_http::serve_git;
use support::https::{Authority, Clients, HttpsServer, Request, Response, redirect, respond};
use support::proxy::Proxy;
use support::{MANIFEST, Repository, credentials, reader, tree};

/// `user:hunter2`, as HTTP writes it.
const BASIC: &str = "Basic dXNlcjpodW50ZXIy";

/// Makes a repository behind a server that requires `authorization`.
fn guarded(authorization: Option<&'static str>) -> (Repository, HttpsServer) {
    let (repository, answer) = repository_for(authorization);
    (repository, HttpsServer::start(answer))
}

fn repository_for(
    authorization: Option<&'static str>,
) -> (Repository, impl Fn(&Request) -> Response + Send + Sync + 'static) {
    let repository = Repository::new();
    repository.commit(&[MANIFEST, ("variables/a.toml", "a")]);
    let root = repository.path().to_owned();
    let answer = move |request: &Request| match authorization {
        Some(wanted) if request.header("authorization") != Some(wanted) => {
            respond(401, &[("WWW-Authenticate", "Basic realm=\"test\"")], "")
        }
        _ => serve_git(&root, request),
    };
    (repository, answer)
}

fn source(server: &HttpsServer) -> Source {
    format!("git+https://{}/.git#main", server.address()).parse().unwrap()
}

async fn read_as(server: &HttpsServer, keys: &[(&str, &str)]) -> Result<(), SourceError> {
    let (_, read) = reader().read(Access::new(source(server), credentials(keys))).await?;
    assert_eq!(read.fingerprint(), tree(&[MANIFEST, ("variables/a.toml", "a")]).fingerprint());
    Ok(())
}

#[tokio::test]
async fn user_and_password_open_a_repository_behind_a_private_authority() {
    let (_repository, server) = guarded(Some(BASIC));
    let ca = server.authority.pem();
    read_as(&server, &[("username", "user"), ("password", "hunter2"), ("ca.crt", &ca)]).await.unwrap();
    let in_the_address = format!("git+https://user:hunter2@{}/.git#main", server.address()).parse().unwrap();
    reader().read(Access::new(in_the_address, credentials(&[("ca.crt", &ca)]))).await.unwrap();
}

/// Returns the public data of every process in the kernel: its arguments, and its environment.
fn processes() -> Vec<(String, String)> {
    let read =
        |path: std::path::PathBuf| std::fs::read(path).map(|content| String::from_utf8_lossy(&content).into_owned());
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
    processes.filter_map(|at| Some((read(at.join("cmdline")).ok()?, read(at.join("environ")).ok()?))).collect()
}

#[tokio::test]
async fn secrets_are_in_no_arguments_and_only_in_the_environment_of_programs_that_need_them() {
    let (_repository, answer) = repository_for(None);
    let seen = Arc::<Mutex<Vec<(String, String)>>>::default();
    let content = Arc::clone(&seen);
    let server = HttpsServer::start(move |request| {
        content.lock().unwrap().extend(processes());
        answer(request)
    });
    let ca = server.authority.pem();
    read_as(&server, &[("username", "user"), ("password", "hunter2"), ("ca.crt", &ca)]).await.unwrap();
    read_as(&server, &[("bearerToken", "hunter2"), ("ca.crt", &ca)]).await.unwrap();
    let in_the_address = format!("git+https://user:hunter2@{}/.git#main", server.address()).parse().unwrap();
    reader().read(Access::new(in_the_address, credentials(&[("ca.crt", &ca)]))).await.unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|(arguments, _)| arguments.contains(&server.address())), "git was not seen at all");
    assert!(seen.iter().all(|(arguments, _)| !arguments.contains("hunter2")));
    let readers = || seen.iter().filter(|(arguments, _)| arguments.contains("cat-file"));
    assert!(readers().count() > 0, "nobody read objects meanwhile");
    assert!(readers().all(|(_, environment)| !environment.contains("hunter2")));
}

#[tokio::test]
async fn wrong_or_no_credentials_are_refused_without_showing_them() {
    let (_repository, server) = guarded(Some("Basic somebody else"));
    let ca = server.authority.pem();
    for keys in [
        &[("username", "user"), ("password", "hunter2"), ("ca.crt", &*ca)][..],
        &[("bearerToken", "hunter2"), ("ca.crt", &ca)],
        &[("ca.crt", &ca)],
    ] {
        let error = read_as(&server, keys).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("access_denied", false), "{error}");
        assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_refused_bearer_token_is_answered_with_the_way_that_most_hosts_take() {
    // A valid token, at a host that takes it as a password only.
    let (_repository, server) = guarded(Some(BASIC));
    let ca = server.authority.pem();
    let error = read_as(&server, &[("bearerToken", "hunter2"), ("ca.crt", &ca)]).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("access_denied", false), "{error}");
    let text = error.to_string();
    assert!(text.contains("put it into `password`, with a `username`, in place of `bearerToken`"), "{text}");
    let error = read_as(&server, &[("username", "user"), ("password", "wrong"), ("ca.crt", &ca)]).await.unwrap_err();
    assert!(!error.to_string().contains("bearer"), "{error}");
}

#[tokio::test]
async fn a_bearer_token_opens_a_repository() {
    let (_repository, server) = guarded(Some("Bearer hunter2"));
    read_as(&server, &[("bearerToken", "hunter2\n"), ("ca.crt", &server.authority.pem())]).await.unwrap();
}

#[tokio::test]
async fn a_token_opens_a_repository_as_the_password_of_nobody() {
    let (_repository, server) = guarded(Some("Basic Omh1bnRlcjI="));
    read_as(&server, &[("username", ""), ("password", "hunter2"), ("ca.crt", &server.authority.pem())]).await.unwrap();
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_trusted() {
    let (_repository, server) = guarded(None);
    for ca in [None, Some(Authority::new().pem())] {
        let error = match ca {
            None => reader().pin(&source(&server)).await.unwrap_err(),
            Some(ca) => read_as(&server, &[("ca.crt", &ca)]).await.unwrap_err(),
        };
        assert_eq!((error.code(), error.is_transient()), ("host_not_trusted", false), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_opens_a_repository() {
    let (_repository, answer) = repository_for(None);
    let server = HttpsServer::start_for(Clients::Certified, answer);
    let ca = server.authority.pem();
    let client = server.authority.sign("client");
    let keys = [("ca.crt", &*ca), ("tls.crt", &*client.certificate), ("tls.key", &*client.key)];
    read_as(&server, &keys).await.unwrap();
    assert!(read_as(&server, &keys[..1]).await.is_err());
}

#[tokio::test]
async fn a_repository_is_read_through_the_proxy() {
    let (_repository, server) = guarded(Some(BASIC));
    let proxy = Proxy::start();
    let options = ReaderOptions { proxy: Some(proxy.url().parse().unwrap()), ..ReaderOptions::default() };
    assert!(!format!("{options:?}").contains("hunter2"));
    let keys = [("username", "user"), ("password", "hunter2"), ("ca.crt", &*server.authority.pem())];
    let access = Access::new(source(&server), credentials(&keys));
    Reader::new(options).unwrap().read(access).await.unwrap();
    assert!(!proxy.asked().is_empty());
    for head in proxy.asked() {
        assert!(head.starts_with(&format!("CONNECT {}", server.address())), "{head}");
        assert!(!head.contains("\nAuthorization"), "{head}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_protocol_is_never_followed() {
    for target in ["http://127.0.0.1:1/.git/info/refs", "file:///etc/passwd", "ftp://127.0.0.1:1/.git/info/refs"] {
        let server = HttpsServer::start(move |_| redirect(target));
        let error = read_as(&server, &[("ca.crt", &server.authority.pem())]).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("redirected", false), "{error}");
    }
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let (_repository, elsewhere) = guarded(Some("never"));
    let elsewhere = Arc::new(elsewhere);
    let target = format!("https://{}/.git/info/refs?service=git-upload-pack", elsewhere.address());
    for login in [&[("username", "user"), ("password", "hunter2")][..], &[("bearerToken", "hunter2")]] {
        let target = target.clone();
        let server = HttpsServer::start(move |request| match request.header("authorization") {
            None => respond(401, &[("WWW-Authenticate", "Basic realm=\"test\"")], ""),
            Some(_) => redirect(&target),
        });
        let both = server.authority.pem() + &elsewhere.authority.pem();
        let keys: Vec<(&str, &str)> = login.iter().copied().chain([("ca.crt", &*both)]).collect();
        let error = read_as(&server, &keys).await.unwrap_err();
        assert!(!error.is_transient(), "{error}");
        assert!(server.requests().iter().any(|request| request.header("authorization").is_some()));
    }
    assert!(elsewhere.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_host_that_refuses_commits_by_name_is_asked_for_refs() {
    let (repository, answer) = repository_for(None);
    let old = repository.head();
    let new = repository.commit(&[("variables/b.toml", "b")]);
    // Without this header git speaks its first protocol, in which a host sends only the commits of its refs.
    let server = HttpsServer::start(move |request| {
        let mut request = request.clone();
        request.headers.remove("git-protocol");
        answer(&request)
    });
    let trusted = credentials(&[("ca.crt", &server.authority.pem())]);
    let at = |fragment: &str| {
        let source = format!("git+https://{}/.git#{fragment}", server.address()).parse().unwrap();
        Access::new(source, trusted.clone())
    };
    for (fragment, documents) in [("main", 3), (&*new, 3), (&*old, 2)] {
        let (_, read) = reader().read(at(fragment)).await.unwrap();
        assert_eq!(read.iter().count(), documents, "{fragment}");
    }

    // The branch moves on, or back, between the pin and the fetch.
    let reader = reader();
    let pinned = reader.pin(at("main")).await.unwrap();
    repository.git(&["reset", "--hard", "--quiet", &old]);
    repository.commit(&[("variables/c.toml", "c")]);
    let error = reader.fetch(&pinned).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("no_commit", true), "{error}");
    let (healed, _) = reader.read(at("main")).await.unwrap();
    assert_eq!(healed.revision().unwrap().commit().as_str(), repository.head());
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_with_all_that_git_started() {
    let server = HttpsServer::start(|_| {
        Box::new(|to| {
            to.write_all(b"HTTP/1.1 200 Fine\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nX-")?;
            loop {
                to.write_all(b"1")?;
                to.flush()?;
                std::thread::sleep(Duration::from_millis(10));
            }
        })
    });
    let limits = Limits { git_timeout: Duration::from_millis(700), ..Limits::default() };
    let reader = Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap();
    let keys = credentials(&[("ca.crt", &server.authority.pem())]);
    let error = reader.pin(Access::new(source(&server), keys)).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("git_timed_out", true), "{error}");
    let port = server.address();
    let runs = |arguments: &[u8]| String::from_utf8_lossy(arguments).contains(&port);
    let is_over = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        !processes
            .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
            .any(|content| runs(&content))
    };
    // The kernel removes a killed process a little later.
    while !is_over() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn credentials_share_no_cache() {
    let (_repository, server) = guarded(Some(BASIC));
    let ca = server.authority.pem();
    let access = |password: &str| {
        Access::new(source(&server), credentials(&[("username", "user"), ("password", password), ("ca.crt", &ca)]))
    };
    let reader = reader();
    reader.read(access("hunter2")).await.unwrap();
    let hour = Duration::from_secs(3600);
    let error = reader.pin_within(access("guessed"), hour).await.unwrap_err();
    assert_eq!(error.code(), "access_denied", "{error}");
    assert!(reader.pin_within(access("hunter2"), hour).await.is_ok());
}

#[tokio::test]
async fn a_backoff_of_a_host_holds_for_all_workspaces() {
    for (status, retry_after) in [(429, "120"), (503, "Fri, 31 Dec 9999 23:59:59 GMT")] {
        let server = HttpsServer::start(move |_| respond(status, &[("Retry-After", retry_after)], ""));
        let keys = credentials(&[("ca.crt", &server.authority.pem())]);
        let source =
            |path: &str| -> Source { format!("git+https://{}/{path}.git#main", server.address()).parse().unwrap() };
        let reader = reader();
        let error = reader.pin(Access::new(source("a"), keys.clone())).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("throttled", true), "{error}");
        assert!(error.retry_after().unwrap() > Duration::from_secs(110), "{error:?}");
        let asked = server.requests().len();

        let again = reader.pin(Access::new(source("a"), keys.clone())).await.unwrap_err();
        assert_eq!(again.code(), "throttled", "{again}");
        let other = reader.pin(Access::new(source("b"), keys)).await.unwrap_err();
        assert_eq!((other.code(), other.is_transient()), ("host_left_alone", true), "{other}");
        assert!(other.retry_after().is_some());
        assert_eq!(server.requests().len(), asked);
    }
}
