//! The disk that cached repositories take.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use rototo_source::{Access, Limits, Reader, ReaderOptions, Source};
use support::git_http::serve_git;
use support::https::HttpsServer;
use support::{MANIFEST, Repository, credentials, paths, read};

/// Returns a text of about `bytes` bytes that can't be compressed well.
fn noise(seed: u64, bytes: u64) -> String {
    let word = |i: u64| {
        (seed << 32 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    (0..bytes / 16).map(|i| format!("{:016x}", word(i))).collect()
}

/// Returns the bytes of all files below `directory`.
fn bytes_of(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| if entry.path().is_dir() { bytes_of(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

#[tokio::test]
async fn a_cached_repository_that_grows_is_fetched_anew() {
    const LIMIT: u64 = 1 << 20;
    let repository = Repository::new();
    let cache = tempfile::tempdir().unwrap();
    let limits = Limits { git_cache_bytes: LIMIT, ..Limits::default() };
    let options = ReaderOptions { cache_dir: Some(cache.path().to_owned()), limits, ..ReaderOptions::default() };
    let reader = Reader::new(options).unwrap();
    let mut most = 0;
    for seed in 0..20 {
        repository.commit(&[MANIFEST, ("variables/a.toml", &noise(seed, 300_000))]);
        read(&reader, &repository.source("main")).await.unwrap();
        most = most.max(bytes_of(cache.path()));
    }
    // One reading may come on top of the limit.
    assert!(most < LIMIT + 500_000, "{most} bytes");
}

#[tokio::test]
async fn a_transfer_that_was_stopped_leaves_nothing_behind() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST, ("variables/a.toml", &noise(1, 3_000_000))]);
    let cache = tempfile::tempdir().unwrap();
    let limits = Limits { download_bytes: 1_000_000, ..Limits::default() };
    let options = ReaderOptions { cache_dir: Some(cache.path().to_owned()), limits, ..ReaderOptions::default() };
    let reader = Reader::new(options).unwrap();
    for _ in 0..5 {
        let error = read(&reader, &repository.source("main")).await.unwrap_err();
        assert_eq!(error.code(), "transfer_too_large", "{error}");
    }
    assert!(bytes_of(cache.path()) < 100_000, "{} bytes", bytes_of(cache.path()));
}

#[tokio::test]
async fn the_refs_of_a_host_become_no_files() {
    let repository = Repository::new();
    let old = repository.commit(&[MANIFEST]);
    let new = repository.commit(&[("variables/a.toml", "a")]);
    let refs: String = (0..5_000).map(|number| format!("{new} refs/heads/b{number:0>5}\n")).collect();
    let packed = format!("# pack-refs with: peeled fully-peeled sorted \n{refs}");
    std::fs::write(repository.path().join(".git/packed-refs"), packed).unwrap();
    let root = repository.path().to_owned();
    // Without this header git speaks its first protocol, in which a host sends only the commits of its refs.
    let server = HttpsServer::start(move |request| {
        let mut request = request.clone();
        request.headers.remove("git-protocol");
        serve_git(&root, &request)
    });
    let cache = tempfile::tempdir().unwrap();
    let options = ReaderOptions { cache_dir: Some(cache.path().to_owned()), ..ReaderOptions::default() };
    let source: Source = format!("git+https://{}/.git#{old}", server.address()).parse().unwrap();
    let access = Access::new(source, credentials(&[("ca.crt", &server.authority.pem())]));
    let (_, tree) = Reader::new(options).unwrap().read(access).await.unwrap();
    assert_eq!(paths(&tree), ["rototo-workspace.toml"]);
    let files = files_of(cache.path());
    assert!(files < 50, "{files} files");
}

fn files_of(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files_of(&entry.path()) } else { 1 }).sum()
}

#[tokio::test]
async fn what_is_kept_for_one_owner_is_evicted_and_read_again_and_nothing_of_others() {
    const EACH: u64 = 300_000;
    let repositories: Vec<Repository> = (0..4).map(|_| Repository::new()).collect();
    for (seed, repository) in (0..).zip(&repositories) {
        repository.commit(&[MANIFEST, ("variables/a.toml", &noise(seed, EACH))]);
    }
    let cache = tempfile::tempdir().unwrap();
    let options = ReaderOptions { cache_dir: Some(cache.path().to_owned()), ..ReaderOptions::default() };
    let reader = Reader::new(options).unwrap();
    let read_for = async |owner: &str, repository: &Repository| {
        let source = repository.source("main");
        reader.charged_to(owner, Box::pin(reader.read(&source))).await.unwrap().1
    };
    // The second one is shared.
    for repository in &repositories[..3] {
        read_for("greedy", repository).await;
    }
    for repository in [&repositories[1], &repositories[3]] {
        read_for("other", repository).await;
    }
    let (greedy, other) = (reader.kept_bytes("greedy"), reader.kept_bytes("other"));
    assert!(greedy > 3 * EACH / 3 && other > 2 * EACH / 3 && greedy > other, "{greedy} {other}");
    assert_eq!(reader.kept_bytes("nobody"), 0);
    let before = bytes_of(cache.path());

    // The first is removed, and the second is not charged any more.
    assert_eq!(reader.evict("greedy", greedy / 2), 2);
    assert!(reader.kept_bytes("greedy") <= greedy / 2);
    assert_eq!(reader.kept_bytes("other"), other);
    let after = bytes_of(cache.path());
    assert!(after < before && after > 3 * (before / 5), "{before} {after}");
    assert_eq!(reader.evict("greedy", greedy), 0);

    // A change of what was evicted is read as ever.
    repositories[0].commit(&[("variables/a.toml", "type = \"bool\"\n")]);
    let tree = read_for("greedy", &repositories[0]).await;
    assert_eq!(paths(&tree), ["rototo-workspace.toml", "variables/a.toml"]);
}

#[tokio::test]
async fn what_is_kept_for_those_who_have_the_most_goes_first() {
    const EACH: u64 = 300_000;
    let repositories: Vec<Repository> = (0..6).map(|_| Repository::new()).collect();
    for (seed, repository) in (0..).zip(&repositories) {
        repository.commit(&[MANIFEST, ("variables/a.toml", &noise(seed, EACH))]);
    }
    let cache = tempfile::tempdir().unwrap();
    let options = ReaderOptions { cache_dir: Some(cache.path().to_owned()), ..ReaderOptions::default() };
    let reader = Reader::new(options).unwrap();
    let read_for = async |owner: &str, repository: &Repository| {
        reader.charged_to(owner, Box::pin(reader.read(&repository.source("main")))).await.unwrap();
    };
    // The small one reads one of the repositories that the greedy one reads as well.
    read_for("small", &repositories[5]).await;
    read_for("small", &repositories[0]).await;
    for repository in &repositories[..5] {
        read_for("greedy", repository).await;
    }
    let (all, small) = (reader.kept_bytes_of_all(), reader.kept_bytes("small"));
    assert!(all > reader.kept_bytes("greedy") && all < reader.kept_bytes("greedy") + small);
    assert_eq!(reader.evict_of_all(all), 0);
    // Until the greedy one has no more than the small one, which keeps all that it has.
    assert_eq!(reader.evict_of_all(all / 2 + all / 12), 3);
    assert_eq!(reader.kept_bytes("small"), small);
    assert_eq!(reader.kept_bytes_of_all(), bytes_of_packs(cache.path()));
    assert!(reader.evict_of_all(0) == 3 && reader.kept_bytes_of_all() == 0);
    read_for("small", &repositories[0]).await;
}

fn bytes_of_packs(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let repositories = entries.map(|entry| bytes_of(&entry.path().join("objects/pack")));
    repositories.sum()
}

#[tokio::test]
async fn what_an_earlier_process_kept_is_counted_used_again_and_first_to_go() {
    let repositories: Vec<Repository> = (0..3).map(|_| Repository::new()).collect();
    for (seed, repository) in (0..).zip(&repositories) {
        repository.commit(&[MANIFEST, ("variables/a.toml", &noise(seed, 300_000))]);
    }
    let cache = tempfile::tempdir().unwrap();
    let start = || {
        let options = ReaderOptions { cache_dir: Some(cache.path().to_owned()), ..ReaderOptions::default() };
        Reader::new(options).unwrap()
    };
    let earlier = start();
    for repository in &repositories {
        read(&earlier, &repository.source("main")).await.unwrap();
    }
    let all = earlier.kept_bytes_of_all();
    drop(earlier);

    let reader = start();
    assert_eq!(reader.kept_bytes_of_all(), all);
    let used = repositories[0].source("main");
    reader.charged_to("one", Box::pin(read(&reader, &used))).await.unwrap();
    assert_eq!(reader.kept_bytes_of_all(), all, "nothing was transferred again");
    let own = reader.kept_bytes("one");
    assert!(own > 0 && own < all / 2, "{own} of {all}");
    assert_eq!((reader.evict_of_all(all), reader.evict_of_all(own)), (0, 2));
    assert_eq!((reader.kept_bytes_of_all(), bytes_of_packs(cache.path())), (own, own));

    let reader = start();
    assert_eq!((reader.evict_of_all(0), reader.kept_bytes_of_all(), bytes_of_packs(cache.path())), (1, 0, 0));
}
