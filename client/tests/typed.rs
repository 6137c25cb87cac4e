//! Tests of typed variables, and of the checks of an application: values are deserialized once per version of the workspace,
//! and shared.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rototo::{Attribute, Attributes, Error, RefreshOptions, RefreshingWorkspace, ResolveContext};
use serde::{Deserialize, Deserializer};
use serde_json::json;

const QUALIFIER: &str = "schema_version = 1\n[[predicate]]\nattribute = \"account.large\"\nop = \"eq\"\nvalue = true\n";

fn write(directory: &Path, small: i64) {
    for folder in ["variables", "qualifiers"] {
        fs::create_dir_all(directory.join(folder)).unwrap();
    }
    fs::write(directory.join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
    fs::write(directory.join("qualifiers/large.toml"), QUALIFIER).unwrap();
    set(directory, small);
}

fn set(directory: &Path, small: i64) {
    let variable = format!(
        "schema_version = 1\ntype = \"int\"\n[values]\nsmall = {small}\nlarge = 100\n\
         [resolve]\ndefault = \"small\"\n[[resolve.rule]]\nqualifier = \"large\"\nvalue = \"large\"\n"
    );
    fs::write(directory.join("variables/limit.toml"), variable).unwrap();
}

fn context(large: bool) -> ResolveContext {
    ResolveContext::from_json(json!({ "account": { "large": large } })).unwrap()
}

#[tokio::test]
async fn each_value_is_deserialized_once_per_version_for_all_callers() {
    static READ: AtomicUsize = AtomicUsize::new(0);
    struct CountedValue(i64);
    impl<'de> Deserialize<'de> for CountedValue {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            READ.fetch_add(1, Ordering::SeqCst);
            i64::deserialize(deserializer).map(Self)
        }
    }

    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 10);
    let options = RefreshOptions::new().expecting::<CountedValue>("limit");
    let workspace = RefreshingWorkspace::load(directory.path().display().to_string(), options).await.unwrap();
    assert_eq!(READ.load(Ordering::SeqCst), 2, "the check reads both values before the first resolution");
    let (one, other) = (workspace.variable::<CountedValue>("limit"), workspace.variable::<CountedValue>("limit"));
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..100 {
                    assert_eq!(one.resolve(&context(false)).unwrap().0, 10);
                    assert_eq!(other.resolve(&context(true)).unwrap().0, 100);
                }
            });
        }
    });
    let shared = [one.resolve(&context(true)).unwrap().value, other.resolve(&context(true)).unwrap().value];
    assert!(Arc::ptr_eq(&shared[0], &shared[1]));
    assert_eq!(READ.load(Ordering::SeqCst), 2);

    // A request may still hold the version before while others use the next one.
    let before = workspace.current().unwrap();
    set(directory.path(), 20);
    workspace.refresh_now().await.unwrap();
    let after = workspace.current().unwrap();
    for _ in 0..100 {
        assert_eq!(one.resolve_in(&before, &context(false)).unwrap().0, 10);
        assert_eq!(one.resolve_in(&after, &context(false)).unwrap().0, 20);
    }
    assert_eq!(READ.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error_only_when_it_is_chosen() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), -1);
    let workspace =
        RefreshingWorkspace::load(directory.path().display().to_string(), RefreshOptions::new()).await.unwrap();
    let limit = workspace.variable::<u8>("limit");
    assert_eq!(*limit.resolve(&context(true)).unwrap(), 100);
    let error = limit.resolve(&context(false)).unwrap_err();
    assert!(matches!(&error, Error::Misfit { value_key, .. } if value_key == "small"));
    assert!(error.to_string().ends_with("can't be read as u8: an integer where u8 is expected"), "{error}");
    let refused = RefreshOptions::new().expecting::<u8>("limit");
    let error = RefreshingWorkspace::load(directory.path().display().to_string(), refused).await.unwrap_err();
    let reason = "value `small` of variable `limit` is no u8: an integer where u8 is expected";
    assert!(error.to_string().ends_with(reason), "{error}");
}

#[tokio::test]
async fn prepared_and_own_facts_resolve_as_json_does() {
    struct Account {
        large: bool,
    }
    impl Attributes for Account {
        fn attribute(&self, path: &str) -> Option<Attribute<'_>> {
            (path == "account.large").then_some(Attribute::from(self.large))
        }
    }

    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 10);
    let workspace =
        RefreshingWorkspace::load(directory.path().display().to_string(), RefreshOptions::new()).await.unwrap();
    let view = workspace.current().unwrap();
    let limit = workspace.variable::<u8>("limit");
    for large in [true, false] {
        let expected = view.resolve("limit", &context(large)).unwrap();
        let prepared = view.prepare(context(large)).unwrap();
        assert_eq!(view.resolve("limit", &prepared).unwrap(), expected);
        assert_eq!(view.resolve("limit", &Account { large }).unwrap(), expected);
        assert_eq!(*limit.resolve(&Account { large }).unwrap(), if large { 100 } else { 10 });
        let owned = workspace.resolve_variable("limit", &Account { large }).await.unwrap();
        assert_eq!(*owned.value, *expected.value);
    }
}

#[tokio::test]
async fn a_check_runs_beside_the_tasks_of_the_application() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 10);
    let (done, waits) = mpsc::channel::<()>();
    let (waits, begun) = (Mutex::new(Some(waits)), Arc::new(AtomicBool::new(false)));
    let has_begun = begun.clone();
    // The first check ends only if the only thread of the runtime goes on.
    let options = RefreshOptions::new().with_check(move |_| {
        begun.store(true, Ordering::SeqCst);
        let waited = waits.lock().unwrap().take().map(|waits| waits.recv_timeout(Duration::from_secs(20)));
        waited.transpose().map(drop).map_err(|_| "the application does not go on".to_owned())
    });
    let goes_on = async {
        while !has_begun.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        done.send(()).unwrap();
    };
    let source = directory.path().display().to_string();
    let (loaded, ()) = tokio::join!(RefreshingWorkspace::load(source, options), goes_on);
    loaded.unwrap();
}
