//! Workspaces that extend others, in real directories and repositories.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use rototo_source::{Limits, PinnedSource, Reader, ReaderOptions, Source};
use support::{MANIFEST, Repository, paths, pin, read, reader, tree, write_directory};

fn extends(parents: &[&str]) -> String {
    format!("schema_version = 1\nextends = {parents:?}\n")
}

fn local(path: &Path) -> Source {
    path.to_str().unwrap().parse().unwrap()
}

fn shown(pinned: &PinnedSource) -> Vec<String> {
    let text = |layer: &rototo_source::Layer| {
        let commit = layer.commit().map(|commit| format!(" {}", &commit.as_str()[..8])).unwrap_or_default();
        format!("{}{commit}", layer.source().to_string().rsplit('/').next().unwrap_or_default())
    };
    pinned.layers().map(text).collect()
}

#[tokio::test]
async fn a_workspace_replaces_whole_files_of_those_it_extends() {
    let (a, b) = (extends(&["../a", "../b"]), extends(&["base"]));
    let (_directory, root) = write_directory(&[
        ("a/rototo-workspace.toml", MANIFEST.1),
        ("a/variables/x.toml", "a"),
        ("a/variables/y.toml", "a"),
        ("a/variables/z.toml", "a"),
        ("a/resources/plan.toml", "a"),
        ("b/rototo-workspace.toml", &b),
        ("b/variables/y.toml", "b"),
        ("b/variables/z.toml", "b"),
        ("b/base/rototo-workspace.toml", MANIFEST.1),
        ("b/base/variables/z.toml", "base of b"),
        ("b/base/variables/w.toml", "base of b"),
        ("own/rototo-workspace.toml", &a),
        ("own/variables/z.toml", "own"),
        ("own/resources/plan-objects/basic.toml", "own"),
    ]);
    let (pinned, read) = reader().read(&local(&root.join("own"))).await.unwrap();
    let expected = tree(&[
        ("rototo-workspace.toml", &a),
        ("resources/plan.toml", "a"),
        ("resources/plan-objects/basic.toml", "own"),
        ("variables/w.toml", "base of b"),
        ("variables/x.toml", "a"),
        ("variables/y.toml", "b"),
        ("variables/z.toml", "own"),
    ]);
    assert_eq!(read.fingerprint(), expected.fingerprint(), "{:?}", paths(&read));
    assert_eq!(shown(&pinned), ["a", "base", "b", "own"]);
    assert!(!pinned.is_same_content(&pinned), "a directory has no version");
}

#[tokio::test]
async fn a_change_in_any_layer_is_noticed() {
    let (base, own) = (Repository::new(), Repository::new());
    base.commit(&[MANIFEST, ("variables/a.toml", "1"), ("variables/b.toml", "1")]);
    let address = base.source("main").to_string();
    let (_directory, root) = write_directory(&[("rototo-workspace.toml", &extends(&[&address]))]);
    let reader = reader();

    // A repository may not extend a directory of this machine; a directory may.
    own.commit(&[("rototo-workspace.toml", &extends(&[&address]))]);
    assert_eq!(read(&reader, &own.source("main")).await.unwrap_err().code(), "extends_leaves_source");

    let source = local(&root);
    let (first, _) = reader.read(&source).await.unwrap();
    assert_eq!(pin(&reader, &source).await, first);
    base.commit(&[("variables/b.toml", "2")]);
    let news = pin(&reader, &source).await;
    assert_ne!(news, first);
    let (second, after) = reader.fetch_layers(&news).await.unwrap();
    assert_eq!(second, news);
    assert_eq!(&*after.get("variables/b.toml").unwrap().bytes, b"2");
}

#[tokio::test]
async fn relative_parents_in_a_repository_are_of_the_same_commit() {
    let repository = Repository::new();
    let manifest = extends(&["../base"]);
    let own = ("envs/prod/rototo-workspace.toml", &*manifest);
    let first =
        repository.commit(&[own, ("envs/base/rototo-workspace.toml", MANIFEST.1), ("envs/base/variables/a.toml", "1")]);
    let reader = reader();
    let source = repository.source("main:envs/prod");
    let before = pin(&reader, &source).await;
    repository.commit(&[("envs/base/variables/a.toml", "2")]);
    let (old, tree) = reader.fetch_layers(&before).await.unwrap();
    assert_eq!(&*tree.get("variables/a.toml").unwrap().bytes, b"1");
    assert!(old.layers().all(|layer| layer.commit().unwrap().as_str() == first));
    assert_eq!(old.layers().count(), 2);

    let (new, tree) = reader.read(&source).await.unwrap();
    assert_eq!(&*tree.get("variables/a.toml").unwrap().bytes, b"2");
    let again = pin(&reader, &source).await;
    assert!(again.is_same_content(&new) && !again.is_same_content(&old));
    assert!(!new.immutable());

    let (fixed, _) = reader.read(&repository.source(&format!("{first}:envs/prod"))).await.unwrap();
    assert!(fixed.immutable());
}

#[tokio::test]
async fn circles_endless_chains_and_ways_out_are_refused() {
    let code = async |files: &[(&str, &str)]| {
        let (_directory, root) = write_directory(files);
        let error = read(&reader(), &local(&root.join("own"))).await.unwrap_err();
        assert!(!error.is_transient(), "{error}");
        error.code()
    };
    let own = |parent: &str| extends(&[parent]);
    let (to_a, to_own, to_itself, wide) = (own("../a"), own("../own/"), own("."), extends(&["../a"; 40]));
    let a = ("a/rototo-workspace.toml", MANIFEST.1);
    assert_eq!(code(&[("own/rototo-workspace.toml", &to_itself)]).await, "extends_itself");
    let circle = [("own/rototo-workspace.toml", &*to_a), ("a/rototo-workspace.toml", &*to_own)];
    assert_eq!(code(&circle).await, "extends_itself");
    assert_eq!(code(&[("own/rototo-workspace.toml", &wide), a]).await, "too_many_layers");
    assert_eq!(code(&[("own/rototo-workspace.toml", &to_a)]).await, "no_directory");
    assert_eq!(code(&[("own/rototo-workspace.toml", &own("s3://a/b"))]).await, "extends_no_source");

    let repository = Repository::new();
    repository.commit(&[("prod/rototo-workspace.toml", &own("../../base"))]);
    let error = read(&reader(), &repository.source("main:prod")).await.unwrap_err();
    assert_eq!(error.code(), "extends_leaves_source", "{error}");
}

#[tokio::test]
async fn a_layer_without_a_document_is_no_workspace() {
    let refused = async |parent: &str, files: &[(&str, &str)]| {
        let own = extends(&[parent]);
        let (_directory, root) = write_directory(&[files, &[("own/rototo-workspace.toml", &own)]].concat());
        let error = read(&reader(), &local(&root.join("own"))).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("extends_no_workspace", false), "{parent}: {error}");
        (error.extends_entry(), error.to_string())
    };
    refused("../docs", &[("docs/x.md", "hi")]).await;
    let (entry, shown) = refused("..", &[]).await;
    assert_eq!(entry, Some(0));
    assert!(shown.contains("/own/.., and there is no document of a workspace in it"), "{shown}");
    let nested = extends(&["../docs"]);
    let (entry, shown) =
        refused("../a", &[("docs/x.md", "hi"), ("a/rototo-workspace.toml", &nested), ("b/x.md", "")]).await;
    assert_eq!(entry, Some(0));
    assert!(shown.contains("/docs"), "{shown}");

    // The subdirectory was forgotten.
    let repository = Repository::new();
    repository.commit(&[("base/rototo-workspace.toml", MANIFEST.1)]);
    refused(&repository.source("main").to_string(), &[]).await;

    let two = extends(&["../a", "../b"]);
    let (_directory, root) = write_directory(&[
        ("a/rototo-workspace.toml", MANIFEST.1),
        ("b/x.md", ""),
        ("own/rototo-workspace.toml", &two),
    ]);
    assert_eq!(read(&reader(), &local(&root.join("own"))).await.unwrap_err().extends_entry(), Some(1));
    // The reference takes a plain directory of documents for a layer.
    let own = extends(&["../plain"]);
    let (_directory, plain) = write_directory(&[("plain/variables/a.toml", "1"), ("own/rototo-workspace.toml", &own)]);
    assert!(read(&reader(), &local(&plain.join("own"))).await.is_ok());
    // Lint reports the missing manifest of the workspace itself.
    assert!(read(&reader(), &local(&root.join("b"))).await.is_ok());
}

#[tokio::test]
async fn all_layers_together_are_within_the_limits() {
    let own = extends(&["base"]);
    let (_directory, root) = write_directory(&[
        ("rototo-workspace.toml", &own),
        ("variables/a.toml", "12345"),
        ("base/rototo-workspace.toml", MANIFEST.1),
        ("base/variables/b.toml", "12345"),
    ]);
    let room = u64::try_from(own.len() + MANIFEST.1.len()).unwrap();
    for (unpacked_bytes, expected) in [(room + 10, None), (room + 9, Some("too_large"))] {
        let limits = Limits { unpacked_bytes, ..Limits::default() };
        let reader = Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap();
        assert_eq!(read(&reader, &local(&root)).await.err().map(|error| error.code()), expected);
    }
}

#[tokio::test]
async fn a_parent_that_fails_is_named() {
    let base = Repository::new();
    base.commit(&[MANIFEST]);
    let (_directory, root) =
        write_directory(&[("rototo-workspace.toml", &extends(&[&base.source("gone").to_string()]))]);
    let error = read(&reader(), &local(&root)).await.unwrap_err();
    assert_eq!(error.code(), "no_reference", "{error}");
    assert!(error.to_string().contains("it extends git+file://") && error.to_string().contains("`gone`"), "{error}");
}

#[tokio::test]
async fn a_reader_that_was_just_made_does_not_claim_to_know_the_layers() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let source = repository.source("main");
    let (read, _) = reader().read(&source).await.unwrap();
    let fresh: Reader = reader();
    assert!(!pin(&fresh, &source).await.is_same_content(&read));
    fresh.read(&source).await.unwrap();
    assert!(pin(&fresh, &source).await.is_same_content(&read));
}
