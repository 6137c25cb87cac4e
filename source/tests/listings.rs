//! A repository of a few kilobytes whose directories are all the same large one is refused, and costs little memory. The
//! test is the only one of its process, as it measures the memory of the process.

#![allow(clippy::unwrap_used)]

mod support;

use support::{MANIFEST, Repository, peak_memory, read, reader};

const MIB: u64 = 1 << 20;

/// The number of directories that share one listing.
const DIRECTORIES: usize = 400;
/// The entries of that listing, each with a name of 200 bytes: 1.4 MB.
const ENTRIES: usize = 6_000;

#[tokio::test]
async fn directories_that_share_one_listing_are_counted_each() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let blob = repository.git(&["rev-parse", "HEAD:rototo-workspace.toml"]);
    let names = (0..ENTRIES).map(|number| format!("100644 blob {blob}\t{number:0>200}\n"));
    let shared = repository.make_tree(&names.collect::<String>());
    let names = (0..DIRECTORIES).map(|number| format!("040000 tree {shared}\td{number:0>4}-objects\n"));
    let resources = repository.make_tree(&names.collect::<String>());
    let root = format!("040000 tree {resources}\tresources\n100644 blob {blob}\trototo-workspace.toml\n");
    repository.commit_tree(&repository.make_tree(&root));

    let before = peak_memory();
    let error = read(&reader(), &repository.source("main")).await.unwrap_err();
    let more = (peak_memory() - before) / MIB;
    assert_eq!((error.code(), error.is_transient()), ("listings_too_large", false), "{error}, {more} MiB");
    assert!(error.to_string().contains("listings of its directories are larger than 16777216 bytes"), "{error}");
    assert!(more < 64, "{more} MiB more than before");
}
