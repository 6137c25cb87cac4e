//! The waits when a host refuses or is down concern its callers, and nobody else.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::time::Duration;

use rototo_source::{Access, Reader, Source};
use support::git_http::serve_git;
use support::https::{HttpsServer, redirect, respond};
use support::{MANIFEST, Repository, credentials, reader};

fn access(source: &str, token: &str, server: &HttpsServer) -> Access {
    let keys = [("bearerToken", token), ("ca.crt", &*server.authority.pem())];
    Access::new(source.parse().unwrap(), credentials(&keys))
}

#[tokio::test]
async fn the_limit_of_one_token_silences_no_other() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let root = repository.path().to_owned();
    let server = HttpsServer::start(move |request| match request.header("authorization") {
        Some("Bearer good") => serve_git(&root, request),
        _ => respond(429, &[("Retry-After", "3600")], ""),
    });
    let reader = reader();
    let git = format!("git+https://{}/.git#main", server.address());
    let error = reader.pin(access(&git, "spent", &server)).await.unwrap_err();
    assert_eq!(error.code(), "throttled", "{error}");
    assert!(error.retry_after().unwrap() > Duration::from_secs(3500), "{error:?}");
    reader.pin(access(&git, "good", &server)).await.unwrap();
    let archive = format!("https://{}/a.tar.gz", server.address());
    let error = reader.pin(access(&archive, "spent", &server)).await.unwrap_err();
    assert_eq!(error.code(), "host_left_alone", "{error}");
}

/// A repository is shared by all who read it without credentials, and a host may answer each path as it likes.
#[tokio::test]
async fn without_credentials_the_limit_of_one_owner_silences_no_other() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let root = repository.path().to_owned();
    let server = HttpsServer::start(move |request| match &*request.path {
        "/limited.tar.gz" => respond(503, &[("Retry-After", "3600")], ""),
        "/a.tar.gz" => respond(404, &[], ""),
        _ => serve_git(&root, request),
    });
    // The authority that both trust is no secret, and says nothing about who asks.
    let keys = credentials(&[("ca.crt", &server.authority.pem())]);
    let reader = reader();
    let code = async |owner, kind: &str, path: &str| {
        let source: Source = format!("{kind}https://{}/{path}", server.address()).parse().unwrap();
        let pinned = Box::pin(reader.charged_to(owner, reader.pin(Access::new(source, keys.clone())))).await;
        pinned.map(|_| ()).map_err(|error| error.code().to_owned())
    };
    assert_eq!(code("two", "git+", ".git#main").await, Ok(()));
    assert_eq!(code("one", "", "limited.tar.gz").await.unwrap_err(), "throttled");
    assert_eq!(code("one", "", "a.tar.gz").await.unwrap_err(), "host_left_alone");
    assert_eq!(code("one", "git+", ".git#main").await.unwrap_err(), "host_left_alone");
    assert_eq!(code("two", "git+", ".git#main").await, Ok(()));
    assert_eq!(code("two", "", "a.tar.gz").await.unwrap_err(), "no_archive");
}

/// The owner of a host decides to where it redirects.
#[tokio::test]
async fn a_redirect_to_a_host_silences_it_for_no_other() {
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let reader = reader();
    let (moved, other) = ("https://HOST/moved.tar.gz", "https://HOST/a.tar.gz");
    let read = then_read(&reader, moved, format!("https://127.0.0.1:{down}"), other);
    let (code, _) = Box::pin(reader.charged_to("one", read)).await;
    assert_eq!(code, "unreachable");
    let source: Source = format!("https://127.0.0.1:{down}/a.tar.gz").parse().unwrap();
    let error = Box::pin(reader.charged_to("two", reader.pin(&source))).await.unwrap_err();
    assert_eq!(error.code(), "unreachable", "{error}");
}

#[tokio::test]
async fn a_host_that_is_down_is_asked_again_within_half_a_minute_by_whomever() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let source =
        |scheme: &str, path: &str| -> Source { format!("{scheme}://127.0.0.1:{port}/{path}").parse().unwrap() };
    let reader = reader();
    let error = reader.pin(&source("git+https", "a.git")).await.unwrap_err();
    assert_eq!(error.code(), "unreachable", "{error}");
    let keys = credentials(&[("bearerToken", "other")]);
    let error = reader.pin(Access::new(source("git+https", "b.git"), keys)).await.unwrap_err();
    assert_eq!(error.code(), "host_left_alone", "{error}");
    assert!(error.retry_after().unwrap() <= Duration::from_secs(30), "{error:?}");
    // Another program listens behind another scheme.
    let error = reader.pin(&source("git+ssh", "a.git")).await.unwrap_err();
    assert_eq!(error.code(), "unreachable", "{error}");
}

/// Reads from a host that redirects `/moved` to `target`, and then something else from the same host.
async fn then_read(reader: &Reader, moved: &str, target: String, other: &str) -> (String, Result<(), String>) {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let root = repository.path().to_owned();
    let server = HttpsServer::start(move |request| match &*request.path {
        path if path.starts_with("/moved") => redirect(&format!("{target}{path}?{}", request.query)),
        "/a.tar.gz" => respond(404, &[], ""),
        _ => serve_git(&root, request),
    });
    let keys = credentials(&[("ca.crt", &server.authority.pem())]);
    let at = |path: &str| -> Source { path.replace("HOST", &server.address()).parse().unwrap() };
    let error = reader.pin(Access::new(at(moved), keys.clone())).await.unwrap_err();
    let other = reader.pin(Access::new(at(other), keys)).await;
    (error.code().to_owned(), other.map(|_| ()).map_err(|error| error.code().to_owned()))
}

#[tokio::test]
async fn a_host_is_not_blamed_for_those_that_it_redirects_to() {
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let down = format!("https://127.0.0.1:{down}");
    let (code, other) =
        then_read(&reader(), "https://HOST/moved.tar.gz", down.clone(), "git+https://HOST/.git#main").await;
    assert_eq!((&*code, other), ("unreachable", Ok(())));
    let (code, other) = then_read(&reader(), "https://HOST/moved.tar.gz", down.clone(), "https://HOST/a.tar.gz").await;
    assert_eq!((&*code, other), ("unreachable", Err("no_archive".to_owned())));
    let git = "git+https://HOST/moved.git#main";
    let (code, other) = then_read(&reader(), git, down, "git+https://HOST/.git#main").await;
    assert_eq!((&*code, other), ("interrupted", Ok(())));
}
