//! Followers whose disk hangs, or takes no copies.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::timeout;
use tracing::Level;

use crate::kubernetes::following::cache::Cache;
use crate::kubernetes::following::cache::tests::hook;
use crate::logged::Logged;

use super::double::{PATIENCE, TestCluster, publish};

/// Returns a disk operation that hangs until the sender is dropped, and the number of its calls.
fn hanging_disk() -> (impl Fn() + Send + Sync + 'static, Arc<AtomicUsize>, std::sync::mpsc::Sender<()>) {
    let (release, hangs) = std::sync::mpsc::channel();
    let (hangs, calls) = (Mutex::new(hangs), Arc::new(AtomicUsize::new(0)));
    let counted = calls.clone();
    let operation = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let _ = hangs.lock().unwrap().recv();
    };
    (operation, calls, release)
}

#[tokio::test]
async fn while_reads_of_the_disk_hang_content_comes_from_the_operator_and_one_read_waits() {
    let directory = tempfile::tempdir().unwrap();
    let (hangs, reads, release) = hanging_disk();
    let mut cluster = TestCluster::publishing("a@1").await;
    let mut reading = Arc::default();
    let handle = cluster.handle_with_cache(directory.path(), |cache| {
        cache.read_limit = Duration::from_millis(1);
        cache.before_read = hook(hangs);
        reading = cache.reads.clone();
    });
    for published in ["a@1", "b@2", "c@3"] {
        cluster.publish(published);
        cluster.receives_report(&format!("applied {published} of 1")).await;
        assert_eq!(reads.load(Ordering::SeqCst), 1);
    }
    drop(release);
    drop(timeout(PATIENCE, reading.lock()).await.unwrap());
    cluster.publish("a@4");
    cluster.receives_report("applied a@4 of 1").await;
    assert_eq!(reads.load(Ordering::SeqCst), 2, "the disk is read again");
    handle.end().await;
}

#[tokio::test]
async fn while_writes_to_the_disk_hang_content_is_applied_and_the_last_copy_follows() {
    let directory = tempfile::tempdir().unwrap();
    let (hangs, writes, release) = hanging_disk();
    let mut cluster = TestCluster::publishing("a@1").await;
    let handle = cluster.handle_with_cache(directory.path(), |cache| cache.before_keep = hook(hangs));
    for published in ["a@1", "b@2", "c@3"] {
        cluster.publish(published);
        cluster.receives_report(&format!("applied {published} of 1")).await;
        assert!(writes.load(Ordering::SeqCst) <= 1);
    }
    drop(release);
    let last = || Cache::new(directory.path(), "prod", "policy").last().map(|(publish, _)| publish);
    let end = std::time::Instant::now() + PATIENCE;
    while last() != Some(publish("c@3")) {
        assert!(std::time::Instant::now() < end, "the last copy is {:?}", last());
        tokio::task::yield_now().await;
    }
    handle.end().await;
}

#[tokio::test]
async fn a_copy_that_the_disk_did_not_take_is_written_as_soon_as_the_disk_takes_it() {
    let logged = Logged::new(Level::INFO);
    let _here = tracing::subscriber::set_default(logged.clone());
    let directory = tempfile::tempdir().unwrap();
    let in_the_way = directory.path().join("prod");
    std::fs::write(&in_the_way, "").unwrap();
    let mut cluster = TestCluster::publishing("a@1").await;
    let handle = cluster.handle_with_cache(directory.path(), |_| ());
    cluster.receives_report("applied a@1 of 1").await;
    let logs = async |expected: &str| {
        let end = std::time::Instant::now() + PATIENCE;
        let mut messages = Vec::new();
        while !messages.iter().any(|message: &String| message.contains(expected)) {
            assert!(std::time::Instant::now() < end, "{expected}: {messages:?}");
            messages.extend(logged.take());
            tokio::task::yield_now().await;
        }
    };
    logs("WARN keeping the copy of the workspace").await;
    std::fs::remove_file(in_the_way).unwrap();
    logs("INFO the copy of the workspace on the disk is written now").await;
    let last = Cache::new(directory.path(), "prod", "policy").last().map(|(publish, _)| publish);
    assert_eq!(last, Some(publish("a@1")));
    handle.end().await;
}
