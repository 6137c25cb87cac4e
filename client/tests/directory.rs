//! A directory as the source, through the public interface: what a laptop does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use rototo::{
    Error, LintMode, LoadOptions, ProcessState, RefreshOptions, RefreshOutcome, RefreshingWorkspace, ResolveContext,
    SourceFingerprint, Workspace,
};
use serde_json::json;
use tempfile::TempDir;

fn workspace_with(limit: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("variables")).unwrap();
    fs::write(directory.path().join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
    set(directory.path(), limit);
    directory
}

fn set(directory: &Path, limit: &str) {
    let variable = format!(
        "schema_version = 1\ndescription = \"How many\"\ntype = \"int\"\n[values]\nsmall = {limit}\n[resolve]\ndefault = \"small\"\n"
    );
    fs::write(directory.join("variables/limit.toml"), variable).unwrap();
}

fn path(directory: &TempDir) -> String {
    directory.path().display().to_string()
}

fn nothing() -> ResolveContext {
    ResolveContext::from_json(json!({})).unwrap()
}

fn limit(workspace: &RefreshingWorkspace) -> i64 {
    workspace.current().unwrap().resolve("limit", &nothing()).unwrap().value.as_i64().unwrap()
}

#[tokio::test]
async fn a_workspace_resolves_borrowed_and_owned_and_tells_why() {
    let directory = workspace_with("10");
    let workspace = Workspace::load(path(&directory)).await.unwrap();
    let borrowed = workspace.resolve("limit", &nothing()).unwrap();
    assert_eq!((borrowed.value_key, borrowed.value), ("small", &json!(10)));
    let owned = workspace.resolve_variable("limit", &nothing()).await.unwrap();
    assert_eq!((owned.id.as_str(), owned.value_key.as_str(), owned.value), ("limit", "small", json!(10)));
    let trace = workspace.trace_variable("limit", &nothing(), Default::default()).unwrap();
    assert_eq!(trace.default_value, "small");
    let digest = SourceFingerprint::ContentHash(workspace.fingerprint().to_string());
    assert_eq!(workspace.source_fingerprint(), Some(&digest));
}

#[tokio::test]
async fn a_workspace_with_lint_errors_is_refused_and_can_still_be_inspected() {
    let directory = workspace_with("\"ten\"");
    let error = Workspace::load(path(&directory)).await.unwrap_err();
    assert!(matches!(error, Error::Lint { errors: 1, .. }), "{error}");
    assert!(error.to_string().contains("variables/limit.toml"), "{error}");
    assert!(!error.to_string().contains("ten"), "a message holds no value: {error}");

    let workspace = Workspace::inspect(path(&directory)).await.unwrap();
    assert!(workspace.lint().await.unwrap().has_errors());
    assert!(matches!(workspace.resolve("limit", &nothing()), Err(Error::NotCompiled(_))));
    let skipping = LoadOptions::new().with_lint(LintMode::Skip);
    assert!(Workspace::load_with_options(path(&directory), skipping).await.is_ok());
}

#[tokio::test]
async fn a_change_is_swapped_in_when_the_application_asks() {
    let directory = workspace_with("10");
    let workspace = RefreshingWorkspace::load(path(&directory), RefreshOptions::new()).await.unwrap();
    let mut changes = workspace.changes();
    let before = workspace.current().unwrap();
    assert_eq!(workspace.refresh_now().await.unwrap(), RefreshOutcome::Unchanged);

    set(directory.path(), "20");
    assert_eq!(workspace.refresh_now().await.unwrap(), RefreshOutcome::Refreshed);
    assert_eq!(limit(&workspace), 20);
    assert_eq!(before.resolve("limit", &nothing()).unwrap().value, &json!(10), "a view stays as it was");
    assert_eq!(changes.next().await.unwrap().fingerprint(), workspace.current().unwrap().fingerprint());
}

#[tokio::test]
async fn a_broken_change_is_refused_and_the_version_before_goes_on() {
    let directory = workspace_with("10");
    let workspace = RefreshingWorkspace::load(path(&directory), RefreshOptions::new()).await.unwrap();
    set(directory.path(), "\"ten\"");
    assert!(matches!(workspace.refresh_now().await, Err(Error::Lint { .. })));
    assert_eq!(limit(&workspace), 10);
    let status = workspace.status().await;
    assert_eq!((status.state, status.consecutive_failures), (ProcessState::Applied, 1));
    assert!(status.last_error.is_some());

    set(directory.path(), "30");
    workspace.refresh_now().await.unwrap();
    assert_eq!(limit(&workspace), 30);
    assert_eq!(workspace.status().last_error, None);
}

#[tokio::test]
async fn a_value_that_does_not_fit_the_type_of_the_application_is_never_swapped_in() {
    let expecting = || RefreshOptions::new().expecting::<u8>("limit");
    let directory = workspace_with("10");
    let workspace = RefreshingWorkspace::load(path(&directory), expecting()).await.unwrap();
    set(directory.path(), "3000");
    let error = workspace.refresh_now().await.unwrap_err();
    assert!(error.to_string().contains("value `small` of variable `limit` is no u8"), "{error}");
    assert_eq!(limit(&workspace), 10);

    let missing = RefreshOptions::new().expecting::<u8>("quota");
    let error = RefreshingWorkspace::load(path(&directory), missing).await.unwrap_err();
    assert!(error.to_string().contains("no variable `quota`"), "{error}");
}

#[tokio::test]
async fn a_period_finds_the_change_by_itself() {
    let directory = workspace_with("10");
    let options = RefreshOptions::new().with_period(Duration::from_millis(1));
    let workspace = RefreshingWorkspace::load(path(&directory), options).await.unwrap();
    let mut changes = workspace.changes();
    // Renamed into place, so that no half of it is ever seen.
    let other = workspace_with("20");
    fs::rename(other.path().join("variables/limit.toml"), directory.path().join("variables/limit.toml")).unwrap();
    changes.next().await.unwrap();
    assert_eq!(limit(&workspace), 20);
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_error_at_once_and_found_later() {
    let parent = tempfile::tempdir().unwrap();
    let missing = parent.path().join("config");
    let name = missing.display().to_string();
    let error = RefreshingWorkspace::load(&name, RefreshOptions::new()).await.unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");

    let options = RefreshOptions::new().with_failure_backoff(Duration::from_millis(1), Duration::from_millis(10));
    let workspace = RefreshingWorkspace::start(&name, LoadOptions::new(), options).unwrap();
    assert!(!workspace.ready());
    assert!(matches!(workspace.current(), Err(Error::NotLoaded { .. })));
    let there = workspace_with("10");
    fs::rename(there.path(), &missing).unwrap();
    workspace.until_ready().await.unwrap();
    assert_eq!(limit(&workspace), 10);
}

#[tokio::test]
async fn after_a_shutdown_what_is_loaded_still_resolves() {
    let directory = workspace_with("10");
    let workspace = RefreshingWorkspace::load(path(&directory), RefreshOptions::new()).await.unwrap();
    workspace.shutdown().await;
    assert_eq!(limit(&workspace), 10);
    assert!(matches!(workspace.refresh_now().await, Err(Error::ShutDown(_))));
}

#[tokio::test]
async fn a_fixed_workspace_is_ready_and_never_changes() {
    let directory = workspace_with("10");
    let workspace = RefreshingWorkspace::fixed(Workspace::load(path(&directory)).await.unwrap());
    set(directory.path(), "20");
    assert_eq!(workspace.refresh_now().await.unwrap(), RefreshOutcome::Immutable);
    assert!(workspace.ready());
    assert_eq!(limit(&workspace), 10);
}

#[tokio::test]
async fn a_source_that_is_none_says_so() {
    for source in ["", "http://example.com/a.zip", "kubernetes://a/b/c"] {
        assert!(matches!(Workspace::load(source).await, Err(Error::InvalidSource(_))), "{source}");
    }
    let error = Workspace::load("kubernetes://prod/policy").await.unwrap_err();
    assert!(matches!(error, Error::OnlyFollowed(_)), "{error}");
}
