//! Tests of a git repository as the source, through the public interface, as in a job or a service outside a cluster.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rototo::{
    LoadOptions, RefreshOptions, RefreshOutcome, RefreshingWorkspace, ResolveContext, SourceAuth, SourceFingerprint,
    Workspace,
};
use serde_json::json;
use tempfile::TempDir;

struct Repository(TempDir);

impl Repository {
    fn with(manifest: &str) -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit("rototo-workspace.toml", manifest);
        repository
    }

    fn source(&self) -> String {
        format!("git+file://{}#main", self.0.path().display())
    }

    fn set_limit(&self, limit: u8) -> String {
        let variable =
            format!("schema_version = 1\ntype = \"int\"\n[values]\nsmall = {limit}\n[resolve]\ndefault = \"small\"\n");
        self.commit("variables/limit.toml", &variable)
    }

    fn commit(&self, path: &str, text: &str) -> String {
        let file = self.0.path().join(path);
        fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(file, text).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", path]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").arg("-C").arg(self.0.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn limit(workspace: &RefreshingWorkspace) -> i64 {
    let nothing = ResolveContext::from_json(json!({})).unwrap();
    workspace.current().unwrap().resolve("limit", &nothing).unwrap().value.as_i64().unwrap()
}

#[tokio::test]
async fn a_push_is_swapped_in_and_names_its_commit() {
    let repository = Repository::with("schema_version = 1\n");
    let first = repository.set_limit(10);
    let workspace = RefreshingWorkspace::load(repository.source(), RefreshOptions::new()).await.unwrap();
    assert_eq!(workspace.status().revision, Some(format!("main@sha1:{first}")));
    assert_eq!(workspace.refresh_now().await.unwrap(), RefreshOutcome::Unchanged);

    let second = repository.set_limit(20);
    assert_eq!(workspace.refresh_now().await.unwrap(), RefreshOutcome::Refreshed);
    assert_eq!(limit(&workspace), 20);
    assert_eq!(workspace.current().unwrap().source_fingerprint(), Some(&SourceFingerprint::GitCommit(second)));

    let third = repository.commit("README.md", "not of the workspace\n");
    assert_eq!(workspace.refresh_now().await.unwrap(), RefreshOutcome::Unchanged);
    assert_eq!(workspace.status().revision, Some(format!("main@sha1:{third}")));
}

#[tokio::test]
async fn a_push_to_a_layer_below_is_swapped_in_as_well() {
    let base = Repository::with("schema_version = 1\n");
    let below = base.set_limit(10);
    let own = tempfile::tempdir().unwrap();
    let manifest = format!("schema_version = 1\nextends = [\"{}\"]\n", base.source());
    fs::write(own.path().join("rototo-workspace.toml"), manifest).unwrap();
    let workspace = RefreshingWorkspace::load(own.path().display().to_string(), RefreshOptions::new()).await.unwrap();
    assert_eq!(limit(&workspace), 10);
    let view = workspace.current().unwrap();
    let Some(SourceFingerprint::WorkspaceLayers(layers)) = view.source_fingerprint() else { panic!("one layer") };
    assert_eq!((layers.len(), &layers[0]), (2, &SourceFingerprint::GitCommit(below)));
    assert_eq!(workspace.refresh_now().await.unwrap(), RefreshOutcome::Unchanged);

    base.set_limit(20);
    assert_eq!(workspace.refresh_now().await.unwrap(), RefreshOutcome::Refreshed);
    assert_eq!(limit(&workspace), 20);
}

#[tokio::test]
async fn a_commit_is_read_once_and_never_changes() {
    let repository = Repository::with("schema_version = 1\n");
    let commit = repository.set_limit(10);
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let source = repository.source().replace("#main", &format!("#{commit}"));
    let options = RefreshOptions::new().with_max_staleness(Duration::ZERO);
    let workspace = RefreshingWorkspace::load(&source, options).await.unwrap();
    repository.set_limit(20);
    assert_eq!(workspace.refresh_now().await.unwrap(), RefreshOutcome::Immutable);
    assert!(workspace.status().immutable && !workspace.is_stale());
    assert_eq!(limit(&workspace), 10);
}

#[tokio::test]
async fn a_token_is_never_shown() {
    let secret = "s3cr3t-token";
    let options = LoadOptions::new().with_source_auth(SourceAuth::Bearer(secret.to_owned()));
    assert!(!format!("{options:?}").contains(secret));
    let error = Workspace::load_with_options("git+https://127.0.0.1:9/config.git#main", options).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    let two_lines = LoadOptions::new().with_source_auth(SourceAuth::Bearer(format!("{secret}\n{secret}")));
    let error = Workspace::load_with_options("git+https://127.0.0.1:9/config.git#main", two_lines).await.unwrap_err();
    assert!(error.to_string().contains("token") && !format!("{error:?}").contains(secret), "{error}");
}
