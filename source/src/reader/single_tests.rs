use std::collections::BTreeMap;

use super::*;
use crate::credentials::Access;

async fn remote(reader: &SingleReader, source: &str, repositories: &str) -> Arc<Remote> {
    let keys = [("bearerToken", "hunter2"), ("repositories", repositories)];
    let keys: BTreeMap<_, _> = keys.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let access = Access::new(source.parse().unwrap(), Credentials::from_keys(&keys).unwrap());
    let Source::Git(git) = access.source() else { panic!("{source}") };
    reader.remote(git, access.credentials()).await
}

#[tokio::test]
async fn a_cached_repository_belongs_to_one_remote() {
    let reader = SingleReader::new(ReaderOptions::default()).unwrap();
    let one = remote(&reader, "git+https://h/a.git#main", "").await;
    let other = remote(&reader, "git+https://h/a.git#next:x", "https://h/acme").await;
    assert!(Arc::ptr_eq(&one, &other), "both would write to one directory");
    for source in ["git+https://other@h/a.git", "git+https://user:hunter3@h/a.git", "git+https://h/b.git"] {
        assert!(!Arc::ptr_eq(&one, &remote(&reader, source, "").await), "{source}");
    }
}

/// Runs a test while the only thread for work on the disk is taken. Then waits for what was to be done on the disk.
fn while_the_disk_is_busy(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let (busy, freed) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || freed.recv());
    runtime.block_on(test());
    drop(busy);
    runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
}

#[test]
fn a_request_does_not_wait_while_the_files_of_removed_repositories_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let left = directory.path().join(format!("{}.0.removed", Digest::of(b"left")));
    std::fs::create_dir(&left).unwrap();
    let options = ReaderOptions { cache_dir: Some(directory.path().to_owned()), ..ReaderOptions::default() };
    let reader = SingleReader::new(options).unwrap();
    while_the_disk_is_busy(async || {
        remote(&reader, "git+https://h/a.git", "").await;
        assert!(left.exists());
    });
    assert!(!left.exists());
}
