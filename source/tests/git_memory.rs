//! The gits that run at the same time take no more memory together than the pod of an operator has. The test is the only one
//! of its process, as it measures what the process has started.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rototo_source::{GitSetup, Reader, ReaderOptions, Source};
use support::{MANIFEST, Repository};

const MIB: u64 = 1 << 20;

/// Returns the resident memory of all programs that `process` has started.
fn started_by(process: &str) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children: String =
        threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default()).collect();
    let of = |child: &str| {
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024 + started_by(child)
    };
    children.split_whitespace().map(of).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_that_inflate_take_much_memory_one_after_the_other() {
    let repositories: Vec<Repository> = (0..4).map(|_| Repository::new()).collect();
    for repository in &repositories {
        repository.commit(&[MANIFEST]);
        let blob = repository.git(&["rev-parse", "HEAD:rototo-workspace.toml"]);
        let variables = repository.inflated_tree(100);
        let root = format!("100644 blob {blob}\trototo-workspace.toml\n040000 tree {variables}\tvariables\n");
        repository.commit_tree(&repository.make_tree(&root));
    }
    let reader = Reader::new(ReaderOptions { git: GitSetup::Isolated, ..ReaderOptions::default() }).unwrap();
    let ended = Arc::<AtomicBool>::default();
    let until = ended.clone();
    let watching = std::thread::spawn(move || {
        let mut most = 0;
        while !until.load(Ordering::Relaxed) {
            most = most.max(started_by("self"));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        most
    });
    let sources: Vec<Source> = repositories.iter().map(|repository| repository.source("main")).collect();
    let (a, b, c, d) = tokio::join!(
        reader.read(&sources[0]),
        reader.read(&sources[1]),
        reader.read(&sources[2]),
        reader.read(&sources[3])
    );
    ended.store(true, Ordering::Relaxed);
    let most = watching.join().unwrap() / MIB;
    for outcome in [a, b, c, d] {
        // Each fits into the memory that one git may have, and is refused for its size.
        assert_eq!(outcome.unwrap_err().code(), "too_many_entries");
    }
    assert!(most > 90 && most < 480, "{most} MiB");
}
