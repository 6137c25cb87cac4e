//! Tests of followers with a double of the operator's endpoint and a doorbell that shows the watch cache of the test:
//! they compare what each handle resolves with what it reports.

mod disk;
mod double;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use jiff::Timestamp;
use rototo_api::fleet::{Pid, PreparationState, ProcessState, ReportResponse, SiblingState};
use rototo_connection::{Address, Trust};
use rototo_protocol::follower::{ContentSource, FollowerEvent};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use crate::current::refresh_request::RefreshOutcome;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::cluster::endpoint::Endpoint;
use crate::kubernetes::following::snapshots::{LoadError, SnapshotLoader};
use crate::kubernetes::following::target::FollowTarget;
use crate::kubernetes::reporting::process::PROCESS;
use crate::logged::Logged;
use crate::workspace::checks::Checks;

use double::{PATIENCE, TestCluster, answer, named, publish, tree};

/// Returns checks that refuse content b while the flag is set.
fn refusing_b(refuses: &Arc<AtomicBool>) -> Checks {
    let (mut checks, refuses, b) = (Checks::default(), refuses.clone(), tree("b").fingerprint());
    checks.add(move |workspace| match refuses.load(Ordering::SeqCst) && workspace.fingerprint() == b {
        true => Err("a dependency is down".to_owned()),
        false => Ok(()),
    });
    checks
}

#[tokio::test]
async fn a_refusal_of_one_handle_is_reported_by_all_until_that_handle_ends() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let refusing = cluster.handle(refusing_b(&Arc::new(AtomicBool::new(true))));
    let taking = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 2").await;
    cluster.publish("b@2");
    cluster.receives_report("rejected b@2 of 2").await;
    taking.refresh().await;
    let report = cluster.receives_report("rejected b@2 of 2").await;
    assert_eq!((report.reason.as_deref(), report.applied_ms_ago), (Some("check_failed"), None));
    assert!(refusing.resolves("a@1") && taking.resolves("b@2"));
    refusing.end().await;
    let report = cluster.receives_report("applied b@2 of 1").await;
    assert!(report.applied_ms_ago.is_some());
    taking.end().await;
}

#[tokio::test]
async fn the_last_handle_drains_the_process_once() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let (first, second) = (cluster.handle(Checks::default()), cluster.handle(Checks::default()));
    cluster.receives_report("applied a@1 of 2").await;
    let current = first.current.clone();
    first.end().await;
    assert!(current.workspace().is_err(), "a handle that has drained does not resolve again");
    cluster.receives_report("applied a@1 of 1").await;
    second.end().await;
    cluster.receives_report("draining  of 0").await;
    assert!(cluster.reports.is_empty(), "the process drains once");
    let numbers: BTreeSet<u64> = cluster.received.iter().copied().collect();
    assert_eq!((numbers.len(), numbers.last()), (cluster.received.len(), cluster.received.last()));
}

#[tokio::test]
async fn a_process_that_has_drained_and_lives_on_repeats_it_until_it_follows_again() {
    // An operator that was restarted must learn of it.
    let mut cluster = TestCluster::publishing("a@1").await;
    cluster.answer.lock().unwrap().next_report_in_ms = 1_000;
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    handle.end().await;
    cluster.receives_report("draining  of 0").await;
    cluster.receives_report("draining  of 0").await;
    cluster.receives_report("draining  of 0").await;
    let again = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    cluster.receives_report("applied a@1 of 1").await;
    again.end().await;
}

#[tokio::test]
async fn a_handle_whose_follower_is_gone_counts_with_what_it_resolves() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let (dead, living) = (cluster.handle(Checks::default()), cluster.handle(Checks::default()));
    cluster.receives_report("applied a@1 of 2").await;
    // The follower ends as in a panic, or with its runtime.
    dead.task.abort();
    cluster.publish("b@2");
    cluster.receives_report("pending a@1 of 2").await;
    assert!(living.resolves("b@2"));
    drop(dead.registration);
    living.refresh().await;
    cluster.receives_report("applied b@2 of 1").await;
    living.end().await;
}

#[tokio::test]
async fn a_marker_that_is_put_back_is_resolved_and_reported() {
    let mut cluster = TestCluster::publishing("b@2").await;
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied b@2 of 1").await;
    cluster.publish("a@9");
    cluster.receives_report("applied a@9 of 1").await;
    cluster.publish("b@2");
    cluster.receives_report("applied b@2 of 1").await;
    assert!(handle.resolves("b@2"));
    handle.end().await;
}

#[tokio::test]
async fn announced_content_is_held_across_a_swap_and_needs_no_second_request() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    cluster.announce("a@1", Some("b@4"));
    let report = cluster.receives_report("applied a@1 of 1").await;
    let next = report.next.expect("the announced publish should be reported");
    assert_eq!((report.prepares, next.state), (true, PreparationState::Prepared));
    assert_eq!(next.fingerprint, publish("b@4").fingerprint.to_string());
    assert!(handle.resolves("a@1"));
    // Another publish overtakes it, and it is still announced.
    cluster.announce("c@3", Some("b@4"));
    cluster.receives_report("applied c@3 of 1").await;
    cluster.publish("b@4");
    cluster.receives_report("applied b@4 of 1").await;
    assert!(handle.resolves("b@4"));
    assert_eq!(*cluster.fetched.lock().unwrap(), ["a", "b", "c"]);
    handle.end().await;
}

#[tokio::test]
async fn what_a_check_refuses_beforehand_is_reported_and_changes_nothing() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let refuses = Arc::new(AtomicBool::new(true));
    let handle = cluster.handle(refusing_b(&refuses));
    cluster.receives_report("applied a@1 of 1").await;
    cluster.announce("a@1", Some("b@2"));
    let next = cluster.receives_report("applied a@1 of 1").await.next.unwrap();
    assert_eq!((next.state, next.reason.as_deref()), (PreparationState::Refused, Some("check_failed")));
    assert!(handle.resolves("a@1"));
    assert_eq!(handle.current.status().last_error, None);
    handle.end().await;
}

#[tokio::test]
async fn a_state_is_logged_once_and_so_is_a_refusal_of_what_is_announced() {
    let logged = Logged::new(Level::INFO);
    let _here = tracing::subscriber::set_default(logged.clone());
    let mut cluster = TestCluster::publishing("a@1").await;
    let refuses = Arc::new(AtomicBool::new(true));
    let handle = cluster.handle(refusing_b(&refuses));
    cluster.receives_report("applied a@1 of 1").await;
    assert_eq!(logged.take(), ["INFO resolving from this workspace"]);
    cluster.announce("a@1", Some("b@2"));
    cluster.receives_report("applied a@1 of 1").await;
    let messages = logged.take();
    assert!(matches!(&*messages, [one] if one.starts_with("WARN refusing the next version: ")), "{messages:?}");
    assert!(messages[0].contains("a dependency is down"), "{messages:?}");
    cluster.announce("a@1", Some("c@3"));
    cluster.receives_report("applied a@1 of 1").await;
    assert_eq!(logged.take(), [""; 0], "an announced version that is prepared is no event");
    handle.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_be_used_is_logged_once() {
    let logged = Logged::new(Level::WARN);
    let _here = tracing::subscriber::set_default(logged.clone());
    let mut config = kube::Config::new("https://127.0.0.1:9".parse().unwrap());
    config.root_cert = Some(vec![b"no certificate".to_vec()]);
    let cluster = TestCluster::publishing("a@1").await;
    let (follower, current, _registration, _requests) = cluster.follower(Checks::default());
    let target = FollowTarget { cluster: Cluster::with_config(config), ..follower.target };
    assert!(timeout(Duration::from_secs(60), target.join(&current)).await.is_err());
    let messages = logged.take();
    assert!(matches!(&*messages, [one] if one.starts_with("WARN finding the Kubernetes API failed")), "{messages:?}");
    assert!(current.status().last_error.is_some());
}

#[tokio::test]
async fn a_refusal_of_the_first_content_keeps_nothing() {
    let logged = Logged::new(Level::ERROR);
    let _here = tracing::subscriber::set_default(logged.clone());
    let mut cluster = TestCluster::publishing("b@1").await;
    let handle = cluster.handle(refusing_b(&Arc::new(AtomicBool::new(true))));
    cluster.receives_report("rejected b@1 of 1").await;
    let messages = logged.take();
    assert!(matches!(&*messages, [one] if one.starts_with("ERROR no workspace is loaded yet: ")), "{messages:?}");
    assert!(messages[0].ends_with("; trying again"), "{messages:?}");
    cluster.publish("a@2");
    cluster.receives_report("applied a@2 of 1").await;
    cluster.publish("b@3");
    cluster.receives_report("rejected b@3 of 1").await;
    let messages = logged.take();
    assert!(matches!(&*messages, [one] if one.starts_with("ERROR keeping the workspace as it is: ")), "{messages:?}");
    handle.end().await;
}

/// Returns checks that panic at content b.
fn panicking_at_b() -> Checks {
    let (mut checks, b) = (Checks::default(), tree("b").fingerprint());
    checks.add(move |workspace| {
        assert_ne!(workspace.fingerprint(), b, "the panic holds a value");
        Ok(())
    });
    checks
}

#[tokio::test]
async fn a_check_that_panics_refuses_the_content_beforehand_and_when_it_is_published() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let handle = cluster.handle(panicking_at_b());
    cluster.receives_report("applied a@1 of 1").await;
    cluster.announce("a@1", Some("b@2"));
    let next = cluster.receives_report("applied a@1 of 1").await.next.unwrap();
    assert_eq!((next.state, next.reason.as_deref()), (PreparationState::Refused, Some("check_failed")));
    cluster.publish("b@2");
    let report = cluster.receives_report("rejected b@2 of 1").await;
    assert_eq!(report.reason.as_deref(), Some("check_failed"));
    let error = handle.current.status().last_error.unwrap();
    assert!(error.ends_with("a check panicked"), "{error}");
    handle.end().await;
}

#[tokio::test]
async fn content_at_which_loading_panics_is_refused() {
    let loader = SnapshotLoader {
        namespace: "prod".to_owned(),
        workspace: "policy".to_owned(),
        source: "kubernetes://prod/policy".to_owned(),
        checks: Checks::default(),
        cache: None,
        direct: None,
    };
    let load = |_: &SnapshotLoader| panic!("the panic holds a value");
    let Err(LoadError::Refused(fault)) = Arc::new(loader).load_blocking(tree("a").fingerprint(), load).await else {
        panic!("the content should be refused");
    };
    assert_eq!(fault.code, "not_compiled");
    assert!(!fault.message.contains("value"), "{}", fault.message);
}

#[tokio::test]
async fn a_handle_whose_follower_is_gone_becomes_stale() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    handle.refresh().await;
    // The follower ends as in a panic.
    handle.task.abort();
    handle.task.await.unwrap_err();
    let state = || (handle.current.status().state, handle.current.status().stale, handle.current.is_stale(None));
    assert_eq!(state(), (ProcessState::Applied, false, false));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(300)).await;
    assert_eq!(state(), (ProcessState::Stale, true, true));
    handle.current.close();
    assert_eq!(handle.current.status().state, ProcessState::Draining);
}

#[test]
fn a_handle_becomes_stale_while_nothing_drives_its_runtime_and_when_the_runtime_is_gone() {
    for drops in [false, true] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.block_on(async {
            let mut cluster = TestCluster::publishing("a@1").await;
            cluster.stale_after = Some(Duration::from_millis(500));
            let handle = cluster.handle(Checks::default());
            cluster.receives_report("applied a@1 of 1").await;
            handle
        });
        let driven = (!drops).then_some(runtime);
        let end = std::time::Instant::now() + PATIENCE;
        while !handle.current.is_stale(None) {
            assert!(std::time::Instant::now() < end, "it never becomes stale");
            std::thread::yield_now();
        }
        assert!(handle.current.status().stale && handle.resolves("a@1"));
        drop(driven);
    }
}

#[tokio::test]
async fn a_refresh_repeats_a_check_that_failed() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let refuses = Arc::new(AtomicBool::new(true));
    let handle = cluster.handle(refusing_b(&refuses));
    cluster.receives_report("applied a@1 of 1").await;
    cluster.publish("b@2");
    cluster.receives_report("rejected b@2 of 1").await;
    refuses.store(false, Ordering::SeqCst);
    assert_eq!(handle.refresh().await, RefreshOutcome::Refreshed);
    assert!(handle.resolves("b@2"));
    cluster.receives_report("applied b@2 of 1").await;
    handle.end().await;
}

#[tokio::test]
async fn a_refresh_waits_for_a_marker_that_the_operator_names_and_the_watch_has_not_shown() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    *cluster.answer.lock().unwrap() = answer("b@2");
    let refreshed = async {
        handle.refresh().await;
        assert!(handle.resolves("b@2"));
    };
    let shown = async {
        cluster.receives_report("applied a@1 of 1").await;
        cluster.publish("b@2");
    };
    tokio::join!(refreshed, shown);
    handle.end().await;
}

#[tokio::test]
async fn content_that_is_lost_before_the_swap_is_never_reported_as_applied() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let (mut follower, current, _registration, _requests) = cluster.follower(Checks::default());
    let marker = cluster.showing.borrow().marker("policy");
    follower.take(FollowerEvent::Hydrated(marker));
    // The event says that content is loaded, and none is.
    follower.take(FollowerEvent::Loaded(publish("a@1").fingerprint, ContentSource::Current));
    assert!(current.workspace().is_err());
    let stop = CancellationToken::new();
    let task = tokio::spawn(follower.follow(stop.clone()));
    let report = cluster.reports.recv().await.unwrap();
    assert_eq!((named(&report).as_str(), report.reason.as_deref()), ("pending  of 1", Some("not_swapped")));
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn only_an_answer_that_names_what_runs_confirms_it_as_of_the_last_poll_of_the_source() {
    const THREE_HOURS: i64 = 3 * 60 * 60;
    let patience = i64::try_from(PATIENCE.as_secs()).unwrap();
    let mut cluster = TestCluster::publishing("a@1").await;
    let old = Some(u64::try_from(THREE_HOURS).unwrap() * 1000);
    *cluster.answer.lock().unwrap() = ReportResponse { verified_ms_ago: old, ..answer("a@1") };
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    handle.refresh().await;
    let age = handle.verified_seconds_ago();
    assert!((THREE_HOURS..THREE_HOURS + patience).contains(&age), "the source was last confirmed {age} s ago");
    let confirmed = handle.current.status().last_success;
    let confirms_nothing = [
        answer("b@2"),
        answer("a@2"),
        ReportResponse { fingerprint: None, updated_at: None, ..answer("a@1") },
        ReportResponse { verified_ms_ago: None, ..answer("a@1") },
    ];
    for answer in confirms_nothing {
        *cluster.answer.lock().unwrap() = answer.clone();
        handle.refresh().await;
        assert_eq!(handle.current.status().last_success, confirmed, "{answer:?}");
    }
    *cluster.answer.lock().unwrap() = answer("a@1");
    handle.refresh().await;
    let age = handle.verified_seconds_ago();
    assert!((0..patience).contains(&age), "the source was last confirmed {age} s ago");
    *cluster.answer.lock().unwrap() = ReportResponse { verified_ms_ago: Some(u64::MAX), ..answer("a@1") };
    handle.refresh().await;
    assert_eq!(handle.current.status().last_success, Some(Timestamp::UNIX_EPOCH));
    handle.end().await;
}

#[tokio::test]
async fn a_process_whose_token_is_written_after_it_joined_is_in_its_stage() {
    let mut cluster = TestCluster::publishing("a@1").await;
    std::fs::remove_file(cluster.token.path()).unwrap();
    cluster.stage("a@1", "b@4");
    let handle = cluster.handle(Checks::default());
    let error = handle.try_to_refresh().await.unwrap_err().to_string();
    assert!(error.contains("reading the token file"), "{error}");
    let claims = r#"{"kubernetes.io":{"namespace":"prod","pod":{"name":"app-7","uid":"6a0f"}}}"#;
    let token = format!("e30.{}.c2lnbmF0dXJl\n", URL_SAFE_NO_PAD.encode(claims));
    std::fs::write(cluster.token.path(), token).unwrap();
    handle.refresh().await;
    cluster.receives_report("applied b@4 of 1").await;
    assert!(handle.resolves("b@4"));
    handle.end().await;
}

#[tokio::test]
async fn a_process_that_is_asked_about_a_sibling_testifies_soon() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let own = PROCESS.pid.unwrap();
    // A process that had the PID of this one, and has ended.
    let gone = Pid { started: own.started + 1, ..own };
    cluster.answer.lock().unwrap().siblings = vec![gone, Pid { namespace: 0, ..own }];
    let handle = cluster.handle(Checks::default());
    let first = cluster.receives_report("applied a@1 of 1").await;
    assert!(first.siblings.is_empty() && first.pid == Some(own) && first.started_ms_ago.is_some());
    let second = cluster.receives_report("applied a@1 of 1").await;
    let testimony: Vec<_> = second.siblings.iter().map(|testimony| (testimony.pid, testimony.fate)).collect();
    assert_eq!(testimony, [(gone, SiblingState::Gone)]);
    handle.end().await;
}

/// Starts an operator that accepts connections, sends `answer`, and then falls silent.
async fn hanging(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(answer).await.unwrap();
            held.push(stream);
        }
    });
    url
}

#[tokio::test]
async fn an_answer_that_never_comes_or_never_ends_reaches_its_time_limit() {
    let token = tempfile::NamedTempFile::new().unwrap();
    for answer in [b"" as &[u8], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"] {
        let address = Address { url: hanging(answer).await, ca: Trust::System };
        let endpoint = Endpoint::open(&address, token.path().to_owned()).unwrap();
        let asked = endpoint.send("asking", Request::get("/"), Vec::new(), Duration::from_millis(50));
        let fault = timeout(PATIENCE, asked).await.unwrap().unwrap_err();
        assert_eq!(fault.code, "operator_unreachable");
    }
}
