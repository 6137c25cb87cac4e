//! The credentials of a workspace, and the repositories that its manifest names.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rototo_source::{Access, SourceError};
use support::git_http::serve_git;
use support::https::{HttpsServer, Request, respond};
use support::{MANIFEST, Repository, credentials, paths, reader};

const LOGIN: &str = "Basic dXNlcjpodW50ZXIy";

/// A host with the private repositories `acme/app`, `acme/base`, and `victim/secrets`, which one login opens, and the
/// public one `public/base`. `acme/app` extends `parent`.
struct GitHost {
    server: HttpsServer,
    /// True if `public/base` is private after all.
    closed: Arc<AtomicBool>,
    _repositories: Vec<Repository>,
}

impl GitHost {
    fn start(parent: &str) -> Self {
        let app = Repository::new();
        let (base, secrets, public) = (Repository::new(), Repository::new(), Repository::new());
        for (repository, file) in [(&base, "base"), (&secrets, "secret"), (&public, "public")] {
            repository.commit(&[MANIFEST, (&format!("variables/{file}.toml"), "x")]);
        }
        let places = [&app, &base, &secrets, &public].map(|repository| repository.path().to_owned());
        let parent = parent.to_owned();
        let closed = Arc::<AtomicBool>::default();
        let private = Arc::clone(&closed);
        let server = HttpsServer::start(move |request| {
            let [app, base, secrets, public] = &places;
            let of = |prefix: &str| request.path.strip_prefix(prefix).map(str::to_owned);
            let (root, path, open) = match &*request.path {
                _ if of("/acme/app").is_some() => (app, of("/acme/app"), false),
                _ if of("/acme/base").is_some() => (base, of("/acme/base"), false),
                _ if of("/public/base").is_some() => (public, of("/public/base"), !private.load(Ordering::SeqCst)),
                _ => (secrets, of("/victim/secrets"), false),
            };
            if !open && request.header("authorization") != Some(LOGIN) {
                return respond(401, &[("WWW-Authenticate", "Basic realm=\"test\"")], "");
            }
            let path = format!("/.git{}", path.unwrap_or_default());
            serve_git(root, &Request { path, ..request.clone() })
        });
        let manifest = format!("schema_version = 1\nextends = [\"git+https://{}/{parent}#main\"]\n", server.address());
        app.commit(&[("rototo-workspace.toml", &manifest)]);
        Self { server, closed, _repositories: vec![app, base, secrets, public] }
    }

    fn access(&self, more: &[(&str, &str)]) -> Access {
        let ca = self.server.authority.pem();
        let keys = [("username", "user"), ("password", "hunter2"), ("ca.crt", &*ca)];
        let keys: Vec<(&str, &str)> = keys.into_iter().chain(more.iter().copied()).collect();
        let source = format!("git+https://{}/acme/app#main", self.server.address()).parse().unwrap();
        Access::new(source, credentials(&keys))
    }

    async fn read(&self, more: &[(&str, &str)]) -> Result<Vec<String>, SourceError> {
        reader().read(self.access(more)).await.map(|(_, tree)| paths(&tree))
    }

    fn showed_the_login_to(&self, path: &str) -> bool {
        let shows = |request: &Request| request.path.starts_with(path) && request.header("authorization").is_some();
        self.server.requests().iter().any(shows)
    }
}

#[tokio::test]
async fn a_manifest_does_not_reach_the_private_repositories_of_another_owner() {
    let host = GitHost::start("victim/secrets");
    let error = host.read(&[]).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("extends_other_owner", false), "{error}");
    assert!(error.to_string().contains("key `repositories`"), "{error}");
    assert!(!host.showed_the_login_to("/victim"));

    let host = GitHost::start("acme/../victim/secrets");
    host.read(&[]).await.unwrap_err();
    assert!(!host.showed_the_login_to("/victim"));
}

#[tokio::test]
async fn a_repository_of_the_same_owner_is_read_with_the_same_credentials() {
    let host = GitHost::start("acme/base");
    assert_eq!(host.read(&[]).await.unwrap(), ["rototo-workspace.toml", "variables/base.toml"]);
}

#[tokio::test]
async fn a_public_repository_of_another_owner_needs_no_credentials() {
    let host = GitHost::start("public/base");
    assert_eq!(host.read(&[]).await.unwrap(), ["rototo-workspace.toml", "variables/public.toml"]);
    assert!(!host.showed_the_login_to("/public"));
}

#[tokio::test]
async fn a_parent_that_is_closed_later_is_named_with_what_to_do() {
    let host = GitHost::start("public/base");
    let (reader, access) = (reader(), host.access(&[]));
    reader.read(&access).await.unwrap();
    host.closed.store(true, Ordering::SeqCst);
    let error = reader.pin(&access).await.unwrap_err();
    assert_eq!(error.code(), "extends_other_owner", "{error}");
}

#[tokio::test]
async fn the_owner_of_a_secret_names_the_repositories_that_it_is_for() {
    let host = GitHost::start("victim/secrets");
    let named = format!("https://{}/victim\n", host.server.address());
    assert_eq!(
        host.read(&[("repositories", &named)]).await.unwrap(),
        ["rototo-workspace.toml", "variables/secret.toml"]
    );
    let other = format!("https://{}/victi\n", host.server.address());
    assert_eq!(host.read(&[("repositories", &other)]).await.unwrap_err().code(), "extends_other_owner");
}
