//! Tests of a directory as the source, through the public interface, as on a laptop.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures::FutureExt;
use rototo::{
    Error, LintMode, LoadOptions, ProcessState, RefreshOptions, RefreshOutcome, RefreshingWorkspace, ResolveContext,
    SourceFingerprint, Workspace, testing,
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
        "schema_version = 1\ndescription = \"The limit\"\ntype = \"int\"\n[values]\nsmall = {limit}\n\
         [resolve]\ndefault = \"small\"\n"
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
async fn a_workspace_resolves_to_borrowed_and_to_owned_values() {
    let directory = workspace_with("10");
    let workspace = Workspace::load(path(&directory)).await.unwrap();
    let borrowed = workspace.resolve("limit", &nothing()).unwrap();
    assert_eq!((borrowed.value_key, borrowed.value), ("small", &json!(10)));
    let owned = workspace.resolve_variable("limit", &nothing()).await.unwrap();
    assert_eq!((owned.id.as_str(), owned.value_key.as_str(), &*owned.value), ("limit", "small", &json!(10)));
}

#[tokio::test]
async fn a_workspace_explains_a_decision_and_names_its_content() {
    let directory = workspace_with("10");
    let workspace = Workspace::load(path(&directory)).await.unwrap();
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
    assert_eq!(before.resolve("limit", &nothing()).unwrap().value, &json!(10), "a view never changes");
    assert_eq!(changes.next().await.unwrap().fingerprint(), workspace.current().unwrap().fingerprint());
}

#[tokio::test]
async fn a_broken_change_is_refused_and_the_version_before_stays() {
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
async fn a_value_that_does_not_fit_the_application_is_never_swapped_in() {
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
async fn a_check_that_panics_refuses_the_version_and_the_next_poll_swaps_it_in() {
    let directory = workspace_with("10");
    let panics = Arc::new(AtomicBool::new(false));
    let (panicking, options) = (panics.clone(), RefreshOptions::new());
    let options = options.with_check(move |_| {
        assert!(!panicking.swap(false, Ordering::SeqCst), "the panic holds a value");
        Ok(())
    });
    let workspace = RefreshingWorkspace::load(path(&directory), options).await.unwrap();
    set(directory.path(), "20");
    panics.store(true, Ordering::SeqCst);
    let error = workspace.refresh_now().await.unwrap_err();
    assert!(matches!(&error, Error::CheckFailed { reason, .. } if reason == "a check panicked"), "{error}");
    assert_eq!((limit(&workspace), workspace.status().counters.refusals), (10, 1));
    assert_eq!(workspace.refresh_now().await.unwrap(), RefreshOutcome::Refreshed);
    assert_eq!(limit(&workspace), 20);
}

#[test]
fn a_workspace_becomes_stale_when_nothing_polls_it_any_more() {
    let directory = workspace_with("10");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = RefreshOptions::new().with_max_staleness(Duration::from_millis(1));
    let workspace = runtime.block_on(RefreshingWorkspace::load(path(&directory), options)).unwrap();
    drop(runtime);
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !workspace.is_stale() {
        assert!(std::time::Instant::now() < end, "it never becomes stale");
        std::thread::yield_now();
    }
    let status = workspace.status();
    assert_eq!((status.state, status.stale), (ProcessState::Stale, true));
}

#[tokio::test]
async fn a_change_is_found_by_polling() {
    let directory = workspace_with("10");
    let options = RefreshOptions::new().with_period(Duration::from_millis(1));
    let workspace = RefreshingWorkspace::load(path(&directory), options).await.unwrap();
    let mut changes = workspace.changes();
    // The rename replaces the file in one step, so no poll reads half of it.
    let other = workspace_with("20");
    fs::rename(other.path().join("variables/limit.toml"), directory.path().join("variables/limit.toml")).unwrap();
    changes.next().await.unwrap();
    assert_eq!(limit(&workspace), 20);
}

#[tokio::test]
async fn a_file_that_changes_is_noticed_without_a_poll() {
    let directory = workspace_with("10");
    // The next poll is an hour away.
    let options = RefreshOptions::new().with_period(Duration::from_secs(3600));
    let workspace = RefreshingWorkspace::load(path(&directory), options).await.unwrap();
    let mut changes = workspace.changes();
    let other = workspace_with("20");
    fs::rename(other.path().join("variables/limit.toml"), directory.path().join("variables/limit.toml")).unwrap();
    changes.next().await.unwrap();
    assert_eq!(limit(&workspace), 20);
}

#[test]
fn a_call_outside_of_a_runtime_returns_an_error() {
    let directory = workspace_with("10");
    let source = directory.path().display().to_string();
    let started = RefreshingWorkspace::start(&source, LoadOptions::new(), RefreshOptions::new());
    assert!(matches!(started, Err(Error::NoRuntime(named)) if named == source));
    let mut loading = Box::pin(Workspace::load(&source));
    let mut polling = std::task::Context::from_waker(std::task::Waker::noop());
    let loaded = loading.as_mut().poll(&mut polling);
    assert!(matches!(loaded, std::task::Poll::Ready(Err(Error::NoRuntime(_)))));
}

/// Replaces a link in one step, as the kubelet does with `..data` of a volume, and git-sync with its link.
fn link(at: &Path, target: &Path) {
    let new = PathBuf::from(format!("{}.new", at.display()));
    std::os::unix::fs::symlink(target, &new).unwrap();
    fs::rename(new, at).unwrap();
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_noticed_without_a_poll() {
    let (old, new) = (workspace_with("10"), workspace_with("20"));
    let places = tempfile::tempdir().unwrap();
    let at = |name: &str| places.path().join(name);
    // A link on the way to the directory, one at its end, and one that both lead to.
    link(&at("..data"), old.path());
    fs::create_dir(at("linked")).unwrap();
    link(&at("linked/volume"), places.path());
    link(&at("linked/current"), Path::new("volume/..data"));
    let source = at("linked/current").display().to_string();
    // The next poll is an hour away.
    let options = RefreshOptions::new().with_period(Duration::from_secs(3600));
    let workspace = RefreshingWorkspace::load(&source, options).await.unwrap();
    let mut changes = workspace.changes();
    for (limit_there, link_at, target) in [
        (20, at("..data"), new.path()),
        (10, at("linked/current"), old.path()),
        (20, at("linked/current"), &at("..data")),
    ] {
        link(&link_at, target);
        changes.next().await.unwrap();
        assert_eq!(limit(&workspace), limit_there);
    }
    // The files behind the last link are watched as well as the first were.
    set(new.path(), "30");
    changes.next().await.unwrap();
    assert_eq!(limit(&workspace), 30);

    let (place, parent) = (new.path().to_owned(), new.path().parent().unwrap());
    let other = workspace_with("40").keep();
    let aside = tempfile::tempdir_in(parent).unwrap();
    fs::rename(&place, aside.path().join("old")).unwrap();
    fs::rename(other, &place).unwrap();
    while limit(&workspace) != 40 {
        changes.next().await.unwrap();
    }
}

#[tokio::test]
async fn a_volume_of_kubernetes_is_followed_from_one_content_to_the_next() {
    let volume = tempfile::tempdir().unwrap();
    let at = |name: &str| volume.path().join(name);
    for (name, limit) in [("..2026_1", "10"), ("..2026_2", "20")] {
        fs::rename(workspace_with(limit).keep(), at(name)).unwrap();
    }
    link(&at("..data"), Path::new("..2026_1"));
    for name in ["rototo-workspace.toml", "variables"] {
        link(&at(name), &Path::new("..data").join(name));
    }
    // The next poll is an hour away.
    let options = RefreshOptions::new().with_period(Duration::from_secs(3600));
    let workspace = RefreshingWorkspace::load(path(&volume), options).await.unwrap();
    assert_eq!(limit(&workspace), 10);
    let mut changes = workspace.changes();
    link(&at("..data"), Path::new("..2026_2"));
    changes.next().await.unwrap();
    assert_eq!(limit(&workspace), 20);
}

#[tokio::test]
async fn a_layer_in_another_directory_is_noticed_without_a_poll() {
    let (directory, base) = (tempfile::tempdir().unwrap(), workspace_with("10"));
    let manifest = format!("schema_version = 1\nextends = [\"{}\"]\n", path(&base));
    fs::write(directory.path().join("rototo-workspace.toml"), manifest).unwrap();
    // The next poll is an hour away.
    let options = RefreshOptions::new().with_period(Duration::from_secs(3600));
    let workspace = RefreshingWorkspace::load(path(&directory), options).await.unwrap();
    let mut changes = workspace.changes();
    let other = workspace_with("20");
    fs::rename(other.path().join("variables/limit.toml"), base.path().join("variables/limit.toml")).unwrap();
    changes.next().await.unwrap();
    assert_eq!(limit(&workspace), 20);
}

#[tokio::test]
async fn a_listener_gets_the_start_and_then_which_variables_changed() {
    let directory = workspace_with("10");
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let options = RefreshOptions::new().on_change(move |change| {
        sender.send((change.before.is_some(), change.variables.clone())).unwrap();
    });
    let workspace = RefreshingWorkspace::load(path(&directory), options).await.unwrap();
    assert_eq!(received.recv().await.unwrap(), (false, vec!["limit".to_owned()]));
    set(directory.path(), "20");
    workspace.refresh_now().await.unwrap();
    assert_eq!(received.recv().await.unwrap(), (true, vec!["limit".to_owned()]));

    fs::write(
        directory.path().join("variables/other.toml"),
        "schema_version = 1\ntype = \"bool\"\n[values]\non = true\n[resolve]\ndefault = \"on\"\n",
    )
    .unwrap();
    workspace.refresh_now().await.unwrap();
    assert_eq!(received.recv().await.unwrap(), (true, vec!["other".to_owned()]));
}

#[tokio::test]
async fn a_listener_that_panics_still_gets_the_next_change() {
    let directory = workspace_with("10");
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let options = RefreshOptions::new().on_change(move |change| {
        sender.send(()).unwrap();
        assert!(change.before.is_some(), "the listener panics at the first change");
    });
    let workspace = RefreshingWorkspace::load(path(&directory), options).await.unwrap();
    received.recv().await.unwrap();
    set(directory.path(), "20");
    workspace.refresh_now().await.unwrap();
    received.recv().await.unwrap();
}

/// Loads a workspace with a listener that has been called, and returns once somebody sends to it.
async fn with_listener_that_waits(directory: &TempDir) -> (RefreshingWorkspace, mpsc::Sender<()>, Arc<AtomicUsize>) {
    let (release, released) = mpsc::channel();
    let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let returned = Arc::new(AtomicUsize::new(0));
    let (released, returns) = (Mutex::new(released), returned.clone());
    let options = RefreshOptions::new().on_change(move |_| {
        called.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        returns.fetch_add(1, Ordering::Relaxed);
    });
    let workspace = RefreshingWorkspace::load(path(directory), options).await.unwrap();
    calls.recv().await.unwrap();
    (workspace, release, returned)
}

/// Begins a shutdown, and waits until the workspace is not polled any more.
async fn begin_shutdown(workspace: &RefreshingWorkspace) {
    assert!(workspace.shutdown().now_or_never().is_none());
    while !matches!(workspace.refresh_now().await, Err(Error::ShutDown(_))) {}
}

// While a listener blocks its thread, the paused clock stands still.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_the_listener_that_runs() {
    let directory = workspace_with("10");
    let (workspace, release, returned) = with_listener_that_waits(&directory).await;
    begin_shutdown(&workspace).await;
    assert!(workspace.shutdown().now_or_never().is_none(), "the listener still runs");
    release.send(()).unwrap();
    workspace.shutdown().await;
    assert_eq!(returned.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_a_listener_that_hangs_for_two_seconds() {
    let directory = workspace_with("10");
    let (workspace, release, returned) = with_listener_that_waits(&directory).await;
    begin_shutdown(&workspace).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    workspace.shutdown().await;
    assert_eq!(returned.load(Ordering::Relaxed), 0);
    drop(release);
}

#[tokio::test]
async fn a_typed_variable_deserializes_each_version_once() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    struct Limit(u8);
    impl<'de> serde::Deserialize<'de> for Limit {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            MADE.fetch_add(1, Ordering::Relaxed);
            u8::deserialize(deserializer).map(Self)
        }
    }
    let directory = workspace_with("10");
    let workspace = RefreshingWorkspace::load(path(&directory), RefreshOptions::new()).await.unwrap();
    let limit = workspace.variable::<Limit>("limit");
    let first = limit.resolve(&nothing()).unwrap();
    assert_eq!((first.0, limit.resolve(&nothing()).unwrap().0, MADE.load(Ordering::Relaxed)), (10, 10, 1));
    let view = workspace.current().unwrap();

    set(directory.path(), "20");
    workspace.refresh_now().await.unwrap();
    assert_eq!((limit.resolve(&nothing()).unwrap().0, MADE.load(Ordering::Relaxed)), (20, 2));
    assert_eq!((first.0, limit.resolve_in(&view, &nothing()).unwrap().0), (10, 10), "a held value stays");

    set(directory.path(), "3000");
    workspace.refresh_now().await.unwrap();
    let error = limit.resolve(&nothing()).err().unwrap();
    assert!(matches!(&error, Error::Misfit { value_key, .. } if value_key == "small"), "{error}");
    let unknown = workspace.variable::<Limit>("quota").resolve(&nothing());
    assert!(matches!(unknown.err(), Some(Error::Resolve(_))));
}

#[tokio::test]
async fn polls_swaps_and_refusals_are_counted() {
    let directory = workspace_with("10");
    let workspace = RefreshingWorkspace::load(path(&directory), RefreshOptions::new()).await.unwrap();
    set(directory.path(), "\"ten\"");
    workspace.refresh_now().await.unwrap_err();
    set(directory.path(), "20");
    workspace.refresh_now().await.unwrap();
    let status = workspace.status();
    assert_eq!((status.counters.swaps, status.counters.refusals, status.counters.poll_failures), (2, 1, 0));
    let metrics = status.metrics();
    assert!(metrics.contains(&("rototo_swaps_total", 2.0)) && metrics.contains(&("rototo_ready", 1.0)), "{metrics:?}");
}

#[tokio::test]
async fn a_fixture_that_does_not_hold_is_named() {
    let directory = workspace_with("10");
    let suite = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(suite.path().join(name), text).unwrap();
    let manifest = "schema_version = 1\n[[fixture]]\npath = \"limit.toml\"\ntarget = \"variable:limit\"\n";
    write("rototo-fixtures.toml", manifest.to_owned());
    let case = |value: u8| {
        let preamble = "schema_version = 1\ntarget = \"variable:limit\"\ndescription = \"\"\n\
                        [[case]]\nid = \"all\"\ntitle = \"All\"\n";
        format!("{preamble}expect = {{ value = {value}, value_key = \"small\", matched = \"default\" }}\n")
    };
    write("limit.toml", case(10));
    let workspace = Workspace::load(path(&directory)).await.unwrap();
    assert_eq!(testing::assert_fixtures(&workspace, suite.path()).await.unwrap().cases, 1);
    write("limit.toml", case(11));
    let manifest = suite.path().join("rototo-fixtures.toml");
    let error = testing::assert_fixtures(&workspace, manifest).await.unwrap_err().to_string();
    for part in ["limit.toml", "case all", "11", "10"] {
        assert!(error.contains(part), "{part}: {error}");
    }
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
async fn after_a_shutdown_only_held_views_resolve() {
    let directory = workspace_with("10");
    let workspace = RefreshingWorkspace::load(path(&directory), RefreshOptions::new()).await.unwrap();
    let (view, variable) = (workspace.current().unwrap(), workspace.variable::<u64>("limit"));
    workspace.shutdown().await;
    assert!(matches!(workspace.current(), Err(Error::ShutDown(_))));
    let facts = nothing();
    assert!(matches!(variable.resolve(&facts), Err(Error::ShutDown(_))));
    assert!(variable.resolve_in(&view, &facts).is_ok());
    assert!(!workspace.ready());
    assert!(matches!(workspace.until_ready().await, Err(Error::ShutDown(_))));
    assert!(matches!(workspace.refresh_now().await, Err(Error::ShutDown(_))));
}

#[tokio::test]
async fn a_typed_variable_keeps_its_workspace_followed() {
    let directory = workspace_with("10");
    let options = RefreshOptions::new().with_period(Duration::from_millis(10));
    let workspace = RefreshingWorkspace::load(path(&directory), options).await.unwrap();
    let (limit, mut changes) = (workspace.variable::<i64>("limit"), workspace.changes());
    drop(workspace);
    set(directory.path(), "20");
    while *limit.resolve(&nothing()).unwrap() != 20 {
        let swapped = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.expect("it is followed");
        assert!(swapped.is_some());
    }
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
async fn a_text_that_is_not_a_source_is_refused() {
    for source in ["", "http://example.com/a.zip", "kubernetes://a/b/c"] {
        assert!(matches!(Workspace::load(source).await, Err(Error::InvalidSource(_))), "{source}");
    }
    let error = Workspace::load("kubernetes://prod/policy").await.unwrap_err();
    assert!(matches!(error, Error::OnlyFollowed(_)), "{error}");
}
