//! Polls beside each other.

use std::convert::Infallible;
use std::process::Command;

use axum::http::{Request, Response};
use futures::FutureExt;
use kube::client::Body;
use rototo_engine::Tree;
use rototo_source::{FileSources, Limits, ReaderOptions};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::load::logged::Logged;
use crate::source::candidate::PollTimes;

fn sources(folder: &std::path::Path, custom_rules: CustomRules) -> Arc<Sources> {
    limited_sources(folder, custom_rules, PollLimits::default())
}

fn limited_sources(folder: &std::path::Path, custom_rules: CustomRules, limits: PollLimits) -> Arc<Sources> {
    let unused = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
    let reader = ReaderOptions {
        cache_dir: Some(folder.join("git")),
        file_sources: FileSources::Allowed,
        limits: Limits { http_timeout: Duration::from_secs(7200), ..Limits::default() },
        ..ReaderOptions::default()
    };
    let client = Client::new(tower::service_fn(unused), "default");
    let snapshots = Snapshots::new(folder.join("snapshots"), Limits::default());
    let reader = Reader::new(reader).unwrap();
    Arc::new(Sources::new(client, reader, custom_rules, snapshots, limits, LoadMetrics::default()))
}

async fn poll(sources: &Sources, source: &str, key: &WorkspaceKey, timeout: &str) -> Result<PollResult, PollError> {
    let spec = serde_json::from_value(json!({ "source": source, "timeout": timeout })).unwrap();
    sources.poll(&spec, DuePoll { fresh_since: None, known: None }, key).await
}

/// Writes a workspace to `folder`, with these files beside its manifest. Returns its source.
fn write_workspace(folder: &std::path::Path, files: &[(&str, &str)]) -> String {
    for (path, text) in [("rototo-workspace.toml", "schema_version = 1\n")].iter().chain(files) {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    format!("file://{}", folder.display())
}

fn key(namespace: &str, number: usize) -> WorkspaceKey {
    WorkspaceKey { namespace: namespace.to_owned(), name: format!("config-{number}") }
}

#[tokio::test]
async fn a_failure_that_lasts_is_logged_once_and_so_is_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), CustomRules::off());
    let workspace = folder.path().join("workspace");
    let source = format!("file://{}", workspace.display());
    let logged = Logged::start();
    for _ in 0..3 {
        poll(&sources, &source, &key("team", 0), "10s").await.unwrap_err();
    }
    poll(&sources, "not a source", &key("team", 0), "10s").await.unwrap_err();
    poll(&sources, &source, &key("team", 1), "10s").await.unwrap_err();
    write_workspace(&workspace, &[]);
    for _ in 0..2 {
        poll(&sources, &source, &key("team", 0), "10s").await.unwrap();
    }
    assert_eq!(logged.levels_of("not be read"), ["WARN", "DEBUG", "DEBUG", "WARN", "WARN"]);
    assert_eq!(logged.levels_of("read again"), ["INFO"]);
}

/// Commits all files of a repository, and polls it as a workspace that runs its tests.
async fn poll_commit(
    sources: &Sources,
    repository: &std::path::Path,
    known: Option<PollResult>,
    lint: serde_json::Value,
) -> PollResult {
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        let mut git = std::process::Command::new("git");
        assert!(git.current_dir(repository).args(identity).args(arguments).status().unwrap().success());
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--allow-empty", "-m", "a change"]);
    let source = format!("git+file://{}#main", repository.display());
    let spec = serde_json::from_value(json!({ "source": source, "lint": lint })).unwrap();
    sources.poll(&spec, DuePoll { fresh_since: None, known }, &key("team", 0)).await.unwrap()
}

#[tokio::test]
async fn a_test_that_fails_refuses_a_commit_with_its_line_and_without_values() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), CustomRules::off());
    let repository = folder.path().join("repository");
    let variable = "schema_version = 1\ntype = \"int\"\nvalues = { small = 4711 }\nresolve = { default = \"small\" }\n";
    let test = "schema_version = 1\n[[case]]\nexpect = { limit = { value = 4712 } }\n";
    write_workspace(&repository, &[("variables/limit.toml", variable), ("tests/limits.toml", test)]);
    let on = json!({ "tests": true });

    let refused = poll_commit(&sources, &repository, None, on.clone()).await;
    let LintVerdict::Refused(refusal) = &refused.candidate.verdict else { panic!("{refused:?}") };
    let finding = serde_json::to_value(&refusal.findings).unwrap();
    let message = "the workspace decides otherwise than a test expects (at `limit`)";
    assert_eq!(
        (refusal.errors, finding),
        (1, json!([{"rule": "rototo/test-failed", "path": "tests/limits.toml", "line": 3, "message": message}]))
    );

    // Nothing but the test changes, and the content keeps its fingerprint.
    std::fs::write(repository.join("tests/limits.toml"), test.replace("4712", "4711")).unwrap();
    let accepted = poll_commit(&sources, &repository, Some(refused.clone()), on.clone()).await;
    assert_eq!(accepted.candidate.verdict, LintVerdict::Accepted);
    assert_eq!(accepted.candidate.fingerprint, refused.candidate.fingerprint);

    std::fs::write(repository.join("tests/limits.toml"), test).unwrap();
    let refused = poll_commit(&sources, &repository, Some(accepted), on).await;
    assert_ne!(refused.candidate.verdict, LintVerdict::Accepted);
    // The same commit, once the spec no longer asks for tests.
    let accepted = poll_commit(&sources, &repository, Some(refused), json!({})).await;
    assert_eq!(accepted.candidate.verdict, LintVerdict::Accepted);
}

#[tokio::test]
async fn a_workspace_without_tests_is_refused_if_its_spec_asks_for_tests() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), CustomRules::off());
    let repository = folder.path().join("repository");
    let test = "schema_version = 1\n[[case]]\nexpect = { limit = \"small\" }\n";
    let variable = "schema_version = 1\ntype = \"int\"\nvalues = { small = 1 }\nresolve = { default = \"small\" }\n";
    // The directory has another name than that of tests.
    write_workspace(&repository, &[("variables/limit.toml", variable), ("Tests/a.toml", test)]);
    let on = json!({ "tests": true });

    let accepted = poll_commit(&sources, &repository, None, json!({})).await;
    assert_eq!(accepted.candidate.verdict, LintVerdict::Accepted);
    // The same commit, once the spec asks for tests.
    let refused = poll_commit(&sources, &repository, Some(accepted), on.clone()).await;
    let LintVerdict::Refused(refusal) = &refused.candidate.verdict else { panic!("{refused:?}") };
    let message = "there are no tests: add tests/NAME.toml, or set spec.lint.tests to false";
    let unread = "a file or a directory stands where nothing reads it";
    assert_eq!(
        serde_json::to_value(&refusal.findings).unwrap(),
        json!([
            {"rule": "rototo/test-invalid", "path": "tests", "message": message},
            {"rule": "rototo/workspace-path-unread", "path": "Tests", "message": unread},
        ])
    );
    assert_eq!((refusal.errors, refusal.warnings), (1, 1));
    // Nothing changes, and the spec no longer asks for them.
    let accepted = poll_commit(&sources, &repository, Some(refused.clone()), json!({})).await;
    assert_eq!(accepted.candidate.verdict, LintVerdict::Accepted);

    write_workspace(&repository, &[("tests/a.toml", test)]);
    let accepted = poll_commit(&sources, &repository, Some(refused), on).await;
    assert_eq!(accepted.candidate.verdict, LintVerdict::Accepted);
}

#[tokio::test]
async fn polls_of_one_namespace_that_hang_do_not_hold_up_another() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), CustomRules::off());
    // A host that accepts connections and never answers.
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = format!("https://{}/config.tar.gz", host.local_addr().unwrap());
    let mut polls = Vec::new();
    for number in 0..50 {
        let (sources, source) = (sources.clone(), source.clone());
        polls.push(tokio::spawn(async move { poll(&sources, &source, &key("greedy", number), "5m").await }));
    }
    while sources.polls.waiting() < 46 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sources.polls.taken(), 4);
    let local = write_workspace(&folder.path().join("workspace"), &[]);
    poll(&sources, &local, &key("other", 0), "1m").await.unwrap();
    polls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn hosts_of_many_namespaces_that_drip_do_not_hold_up_others() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), CustomRules::off());
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = format!("https://{}/config.tar.gz", host.local_addr().unwrap());
    let mut polls = Vec::new();
    for number in 0..64 {
        let (sources, source) = (sources.clone(), source.clone());
        let key = key(&format!("greedy-{}", number / 4), number);
        polls.push(tokio::spawn(async move { poll(&sources, &source, &key, "1h").await }));
    }
    while sources.polls.waiting() < 48 {
        tokio::task::yield_now().await;
    }
    // The other namespace waits behind sixteen that nobody knows yet, and later behind none.
    for limit in [41, 0] {
        let began = Instant::now();
        let turn = sources.take_turn(&key("other", 0), "https://fast/a.zip").await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(limit), "{:?}", began.elapsed());
        drop(turn);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    // As many as there are places for slow sources go on, and the rest was given up and told so.
    assert_eq!(sources.polls.taken_by_slow(), 16);
    let mut displaced = 0;
    for poll in polls {
        match poll.now_or_never() {
            Some(Ok(Err(error))) => {
                assert_eq!((error.code(), error.reason(), error.is_transient()), ("slow_source", "LimitReached", true));
                displaced += 1;
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
    assert!(displaced > 0 && sources.load.requests_refused("slow_source") == displaced, "{displaced}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_is_not_given_up_while_nobody_waits_for_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), CustomRules::off());
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = format!("https://{}/config.tar.gz", host.local_addr().unwrap());
    let mut polls = Vec::new();
    for number in 0..32 {
        let (sources, source) = (sources.clone(), source.clone());
        let key = key(&format!("slow-{}", number / 2), number);
        polls.push(tokio::spawn(async move { poll(&sources, &source, &key, "10m").await }));
    }
    for poll in polls {
        let ended = poll.await.unwrap();
        assert!(matches!(ended, Err(PollError::TimedOut(_))), "{ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_puts_no_other_source_of_its_namespace_behind_slow_ones() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), CustomRules::off());
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = format!("https://{}/config.tar.gz", host.local_addr().unwrap());
    let mut polls = Vec::new();
    for number in 0..16 {
        let (sources, slow) = (sources.clone(), slow.clone());
        let key = key(&format!("greedy-{}", number / 4), number);
        polls.push(tokio::spawn(async move { poll(&sources, &slow, &key, "1h").await }));
    }
    while sources.polls.taken_by_slow() < 16 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let once = poll(&sources, &slow, &key("team", 0), "15s").await;
    assert!(matches!(once, Err(PollError::TimedOut(_))), "{once:?}");
    let fast = write_workspace(&folder.path().join("workspace"), &[]);
    let began = Instant::now();
    poll(&sources, &fast, &key("team", 1), "1m").await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(sources.polls.taken_by_slow(), 16);
    polls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn workspaces_of_several_namespaces_that_wait_for_custom_rules_do_not_hold_up_others() {
    let folder = tempfile::tempdir().unwrap();
    let custom_rules = CustomRules::run_by("/nonexistent".into());
    let sources = sources(folder.path(), custom_rules.clone());
    let local = write_workspace(&folder.path().join("workspace"), &[("lint/rule.lua", "return {}\n")]);
    // Rules of four namespaces that run, and of each four workspaces that wait.
    let mut held = Vec::new();
    for number in 0..4 {
        let namespace = format!("greedy-{number}");
        held.push(custom_rules.turn(&namespace).await.unwrap());
        for _ in 0..4 {
            held.push(custom_rules.queue(&namespace).await.unwrap());
        }
    }
    let mut polls = Vec::new();
    for number in 0..32 {
        let (sources, local) = (sources.clone(), local.clone());
        let key = key(&format!("greedy-{}", number / 8), number);
        polls.push(tokio::spawn(async move { poll(&sources, &local, &key, "5m").await }));
    }
    while custom_rules.waiting() < 32 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sources.polls.taken(), 0);
    let plain = write_workspace(&folder.path().join("plain"), &[]);
    poll(&sources, &plain, &key("other", 0), "1m").await.unwrap();
    // And those that waited are linted once it is their turn.
    drop(held);
    for poll in polls {
        poll.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_workspace_with_heavy_patterns_waits_for_another_one_and_a_usual_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), CustomRules::off());
    let schema = r#"{ "pattern": "(?:\\w(?=b)){100}" }"#;
    let heavy = write_workspace(&folder.path().join("heavy"), &[("schemas/a.json", schema)]);
    let usual = write_workspace(&folder.path().join("usual"), &[]);
    let (taken, is_taken) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let memory = sources.memory.clone();
    let held = tokio::task::spawn_blocking(move || {
        let tree = Tree::from_iter([("schemas/a.json".to_owned(), schema.as_bytes().to_vec())]);
        let turn = memory.heavy_turn(&rototo_engine::parse(tree));
        let _ = taken.send(turn.is_some());
        let _ = released.recv();
    });
    assert!(is_taken.await.unwrap());
    let waits = poll(&sources, &heavy, &key("team", 0), "1s").await;
    assert!(matches!(waits, Err(PollError::LintTimedOut(_))), "{waits:?}");
    poll(&sources, &usual, &key("team", 1), "1m").await.unwrap();
    drop(release);
    held.await.unwrap();
    poll(&sources, &heavy, &key("team", 0), "1m").await.unwrap();
}

#[tokio::test]
async fn large_workspaces_are_linted_one_at_a_time_and_wait_without_documents_and_without_a_turn() {
    let folder = tempfile::tempdir().unwrap();
    let limits = PollLimits { documents: 160 << 10, parsed: 100 << 10, ..PollLimits::default() };
    let sources = limited_sources(folder.path(), CustomRules::off(), limits);
    let text = format!("# {}\nschema_version = 1\n", "a".repeat(20 << 10));
    let large = write_workspace(&folder.path().join("large"), &[("qualifiers/a.toml", &text)]);
    let held = sources.memory.try_turn("another").unwrap();
    let mut polls = Vec::new();
    for number in 0..20 {
        let (sources, large) = (sources.clone(), large.clone());
        let key = key(&format!("greedy-{}", number / 4), number);
        polls.push(tokio::spawn(async move { poll(&sources, &large, &key, "5m").await }));
    }
    while sources.memory.waiting() < 20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sources.polls.taken(), 0);
    let small = write_workspace(&folder.path().join("small"), &[]);
    poll(&sources, &small, &key("other", 0), "1m").await.unwrap();
    drop(held);
    // All are read, and what stays parsed is within the limit.
    let mut results = Vec::new();
    for poll in polls {
        results.push(poll.await.unwrap().unwrap());
    }
    assert_eq!(results.iter().filter(|result| result.linted.is_some()).count(), 4);
    // One that does not stay parsed is linted anew, with the same outcome.
    let known = results.into_iter().find(|result| result.linted.is_none()).unwrap();
    let spec = serde_json::from_value(json!({ "source": large })).unwrap();
    let due = DuePoll { fresh_since: None, known: Some(known.clone()) };
    let again = sources.poll(&spec, due, &key("greedy-0", 0)).await.unwrap();
    assert_eq!(again.candidate.fingerprint, known.candidate.fingerprint);
    assert_eq!(again.candidate.verdict, known.candidate.verdict);
}

#[tokio::test(start_paused = true)]
async fn custom_rules_of_one_namespace_do_not_hold_up_the_large_workspaces_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let custom_rules = CustomRules::run_by("/nonexistent".into());
    let limits = PollLimits { documents: 160 << 10, ..PollLimits::default() };
    let sources = limited_sources(folder.path(), custom_rules.clone(), limits);
    let text = format!("# {}\nschema_version = 1\n", "a".repeat(20 << 10));
    let evil = [("qualifiers/a.toml", text.as_str()), ("lint/rule.lua", "return {}\n")];
    let evil = write_workspace(&folder.path().join("evil"), &evil);
    let held = custom_rules.turn("evil").await.unwrap();
    let waits = {
        let sources = sources.clone();
        tokio::spawn(async move { poll(&sources, &evil, &key("evil", 0), "10m").await })
    };
    while custom_rules.waiting() < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sources.polls.taken(), 0);
    let good = write_workspace(&folder.path().join("good"), &[("qualifiers/a.toml", &text)]);
    poll(&sources, &good, &key("good", 0), "1m").await.unwrap();
    // And the one that waited is linted once its rules may run.
    drop(held);
    waits.await.unwrap().unwrap();
    // Who waits too long for large workspaces learns that, also without rules.
    let _large = sources.memory.try_turn("another").unwrap();
    let late = poll(&sources, &good, &key("good", 0), "1m").await.unwrap_err().to_string();
    assert!(late.contains("waited for its turn among large workspaces"), "{late}");
}

#[tokio::test]
async fn a_namespace_that_fills_its_share_of_the_disk_publishes_nothing_new_and_others_do() {
    for (disk, code) in [
        (DiskLimits { total: 1 << 40, per_namespace: 300_000 }, "disk_of_namespace"),
        (DiskLimits { total: 2_400_000, per_namespace: 1 << 30 }, "disk_of_all"),
    ] {
        fills_its_share(disk, code).await;
    }
}

async fn fills_its_share(disk: DiskLimits, code: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let limits = PollLimits { disk, ..PollLimits::default() };
    let sources = limited_sources(folder.path(), CustomRules::off(), limits);
    let workspace = folder.path().join("workspace");
    let local = write_workspace(&workspace, &[]);
    let change = || {
        let noise: String = (0..100_000).map(|_| fastrand::alphanumeric()).collect();
        let variable =
            format!("schema_version = 1\ntype = \"string\"\n[values]\na = \"{noise}\"\n[resolve]\ndefault = \"a\"\n");
        write_workspace(&workspace, &[("variables/a.toml", &variable)]);
    };
    let mut refused = None;
    for number in 0..10 {
        change();
        match poll(&sources, &local, &key("greedy", number), "1m").await {
            Ok(polled) => assert_eq!(polled.candidate.verdict, LintVerdict::Accepted),
            Err(error) => refused = refused.or(Some((number, error))),
        }
    }
    let (number, error) = refused.unwrap();
    assert!((2..5).contains(&number) && matches!(error, PollError::DiskFull(_)), "{number} {error}");
    assert_eq!((error.reason(), error.is_transient()), ("LimitReached", true));
    assert!(sources.load.requests_refused(code) > 0, "{error}");
    poll(&sources, &local, &key("other", 0), "1m").await.unwrap();
    // What it has already is read as ever.
    assert!(sources.snapshots.bytes_by_namespace()["greedy"] < 300_000);
}

/// The time of a change counts from the first answer that names its commit, also if the fetch fails then.
#[tokio::test]
async fn a_change_is_detected_once_although_its_first_fetch_failed() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), CustomRules::off());
    let repository = folder.path().join("repository");
    write_workspace(&repository, &[]);
    let git = |arguments: &[&str]| {
        let author = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        let output = Command::new("git").arg("-C").arg(&repository).args(author).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message=first"]);
    let blob = git(&["rev-parse", "HEAD:rototo-workspace.toml"]);
    let object = repository.join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    let (lost, source) = (folder.path().join("lost"), format!("git+file://{}#main", repository.display()));
    std::fs::rename(&object, &lost).unwrap();
    poll(&sources, &source, &key("team", 0), "1m").await.unwrap_err();
    let failed = Instant::now().into_std();
    std::fs::rename(&lost, &object).unwrap();
    let found = poll(&sources, &source, &key("team", 0), "1m").await.unwrap();
    let PollTimes { detected, fetched, .. } = found.candidate.times;
    assert!(detected < failed && failed < fetched, "{:?}", found.candidate.times);
}

#[tokio::test]
async fn the_wait_for_custom_rules_is_part_of_the_poll() {
    let folder = tempfile::tempdir().unwrap();
    let custom_rules = CustomRules::run_by("/nonexistent".into());
    let sources = sources(folder.path(), custom_rules.clone());
    let local = write_workspace(&folder.path().join("workspace"), &[("lint/rule.lua", "return {}\n")]);
    let _held = custom_rules.turn("greedy").await.unwrap();
    let waits = poll(&sources, &local, &key("greedy", 0), "1s").await;
    assert!(matches!(waits, Err(PollError::WaitedForTurn("workspaces with custom rules", _))), "{waits:?}");
    assert_eq!(sources.polls.taken(), 0, "a poll that waits for custom rules has given its turn back");
    poll(&sources, &local, &key("other", 0), "1m").await.unwrap();
}

#[tokio::test]
async fn a_copy_takes_the_room_of_repositories_that_an_earlier_process_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("git").join(format!("{}.git", rototo_engine::Digest::of(b"left")));
    std::fs::create_dir_all(left.join("objects/pack")).unwrap();
    std::fs::write(left.join("objects/pack/a.pack"), vec![0; 100_000]).unwrap();
    let disk = DiskLimits { total: 50_000, per_namespace: 50_000 };
    let sources = limited_sources(folder.path(), CustomRules::off(), PollLimits { disk, ..PollLimits::default() });
    let tree: rototo_engine::Tree =
        [("rototo-workspace.toml".to_owned(), b"schema_version = 1\n".to_vec())].into_iter().collect();
    let (key, fingerprint) = (key("team", 0), tree.fingerprint());
    let request = SnapshotRequest { key: key.clone(), fingerprint, base: None };
    sources.take_copy(request, rototo_source::snapshot::pack(&tree, None).unwrap().into(), None).await.unwrap();
    assert!(sources.snapshots().has(&key, &fingerprint) && !left.exists());
}
