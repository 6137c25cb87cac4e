//! Pins and fetches real repositories with the real git program.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rototo_source::{FileSources, Limits, Reader, ReaderOptions, Source};
use support::{MANIFEST, Repository, paths, pin, read, reader, tree};

#[tokio::test]
async fn a_branch_is_pinned_to_its_commit_and_its_documents_are_fetched() {
    let repository = Repository::new();
    let commit = repository.commit(&[MANIFEST, ("variables/a.toml", "a"), ("README.md", "hello")]);
    let reader = reader();
    let pinned = pin(&reader, &repository.source("main")).await;
    assert_eq!(pinned.revision().unwrap().to_string(), format!("main@sha1:{commit}"));
    assert!(!pinned.immutable());
    let fetched = reader.fetch(&pinned).await.unwrap();
    assert_eq!(fetched.fingerprint(), tree(&[MANIFEST, ("variables/a.toml", "a")]).fingerprint());
}

/// A folder that changed its case would otherwise empty the workspace without a word.
#[tokio::test]
async fn a_renamed_directory_reaches_lint() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST, ("variables/a.toml", "a"), ("README.md", "hello")]);
    let reader = reader();
    let first = read(&reader, &repository.source("main")).await.unwrap();
    assert_eq!(support::beside(&first), Vec::<String>::new());
    repository.git(&["mv", "variables", "v"]);
    repository.git(&["mv", "v", "Variables"]);
    repository.commit(&[("variables/team/b.toml", "b")]);
    let renamed = read(&reader, &repository.source("main")).await.unwrap();
    assert_eq!(paths(&renamed), ["rototo-workspace.toml"]);
    assert_eq!(support::beside(&renamed), ["error Variables", "warning variables/team"]);
    // A second read comes from what is kept.
    assert!(read(&reader, &repository.source("main")).await.unwrap().has_same_unread_paths(&renamed));
}

#[tokio::test]
async fn a_ref_means_exactly_that_ref() {
    let repository = Repository::new();
    let main = repository.commit(&[MANIFEST]);
    repository.git(&["checkout", "--quiet", "-b", "feature/main"]);
    let feature = repository.commit(&[("variables/a.toml", "a")]);
    repository.git(&["tag", "-a", "-m", "annotated", "v1"]);
    let reader = reader();
    for (reference, commit) in
        [("main", &main), ("feature/main", &feature), ("v1", &feature), ("refs/tags/v1", &feature), ("", &feature)]
    {
        let revision = pin(&reader, &repository.source(reference)).await.revision().unwrap();
        assert_eq!(revision.commit().as_str(), commit, "{reference}");
    }
    repository.git(&["branch", "--quiet", "-D", "main"]);
    let error = reader.pin(&repository.source("main")).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("no_reference", false), "{error}");
}

#[tokio::test]
async fn a_full_commit_is_immutable_and_costs_no_request() {
    let repository = Repository::new();
    let commit = repository.commit(&[MANIFEST]);
    repository.commit(&[("variables/a.toml", "a")]);
    let reader = reader();
    let pinned = pin(&reader, &repository.source(&commit)).await;
    assert!(pinned.immutable());
    assert_eq!(paths(&reader.fetch(&pinned).await.unwrap()), ["rototo-workspace.toml"]);
    drop(repository);
    assert!(reader.pin(pinned.source()).await.is_ok(), "no host is needed to know a commit");
    assert!(reader.fetch(&pinned).await.is_ok(), "what was fetched is kept");
}

#[tokio::test]
async fn each_new_commit_is_fetched_with_what_changed() {
    let repository = Repository::new();
    repository.git(&["config", "uploadpack.allowFilter", "true"]);
    let names: Vec<String> = (0..20).map(|i| format!("variables/v{i}.toml")).collect();
    let files = |changed: &'static str| {
        let text = |name: &str| if name == "variables/v7.toml" { changed } else { "0" };
        [MANIFEST].into_iter().chain(names.iter().map(move |name| (name.as_str(), text(name)))).collect::<Vec<_>>()
    };
    repository.commit(&files("0"));
    let reader = reader();
    let source = repository.source("main");
    for text in ["1", "2", "3"] {
        repository.commit(&[("variables/v7.toml", text)]);
        assert_eq!(read(&reader, &source).await.unwrap().fingerprint(), tree(&files(text)).fingerprint());
    }
}

#[tokio::test]
async fn a_rewritten_branch_is_followed_and_its_lost_commit_is_a_transient_error() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let lost = repository.commit(&[("variables/a.toml", "lost")]);
    let reader = reader();
    let source = repository.source("main");
    let stale = pin(&reader, &source).await;
    repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    repository.commit(&[("variables/a.toml", "kept")]);
    repository.git(&["reflog", "expire", "--expire=now", "--all"]);
    repository.git(&["gc", "--quiet", "--prune=now"]);

    let error = reader.fetch(&stale).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("no_commit", true), "{error}");
    assert!(error.to_string().contains(&lost));
    assert_eq!(
        read(&reader, &source).await.unwrap().fingerprint(),
        tree(&[MANIFEST, ("variables/a.toml", "kept")]).fingerprint()
    );
}

/// Git would start a fetch for each commit that the host does not have, and that fetch the next one, until the machine has
/// no processes left.
#[tokio::test]
async fn a_host_with_a_part_of_its_history_is_asked_once() {
    let repository = Repository::new();
    let old = repository.commit(&[MANIFEST]);
    repository.commit(&[("variables/a.toml", "a")]);
    let host = tempfile::tempdir().unwrap();
    let (from, to) = (format!("file://{}", repository.path().display()), host.path().join("r"));
    repository.git(&["clone", "--quiet", "--depth=1", &from, to.to_str().unwrap()]);
    let limits = Limits { git_timeout: Duration::from_secs(3), ..Limits::default() };
    let reader = Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap();
    let source = |fragment: &str| format!("git+file://{}#{fragment}", to.display()).parse().unwrap();
    let error = read(&reader, &source(&old)).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("no_commit", false), "{error}");
    assert!(error.to_string().ends_with("is not in the repository: push it, or name another commit"), "{error}");
    assert_eq!(paths(&read(&reader, &source("main")).await.unwrap()).len(), 2);
}

/// Everybody may name commits that do not exist, and all who read the repository wait for what that costs.
#[tokio::test]
async fn commits_that_do_not_exist_make_the_host_send_everything_once() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let reader = reader();
    let fetches_of_everything = || {
        let all = reader.git_requests().into_iter();
        all.filter(|(request, _)| (request.kind, request.outcome) == ("fetch", "success"))
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().to_str().unwrap();
    repository.git(&["clone", "--quiet", ".", to]);
    repository.git(&["-C", to, "commit", "--quiet", "--allow-empty", "-m", "not pushed yet"]);
    let later = repository.git(&["-C", to, "rev-parse", "HEAD"]);

    for (commit, is_transient) in [("a".repeat(40), false), ("b".repeat(40), true), ("a".repeat(40), false)] {
        let error = read(&reader, &repository.source(&commit)).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("no_commit", is_transient), "{error}");
    }
    for owner in ["one", "two", "three"] {
        Box::pin(reader.charged_to(owner, read(&reader, &repository.source(&later)))).await.unwrap_err();
    }
    assert_eq!(fetches_of_everything(), 1);
    // It is read as soon as it is there, by its name.
    repository.git(&["-C", to, "push", "--quiet", "origin", "HEAD:next"]);
    assert_eq!(paths(&read(&reader, &repository.source(&later)).await.unwrap()), ["rototo-workspace.toml"]);
}

/// Returns a repository whose workspace at `ws/prod` is small, and a reader that refuses the rest as too large.
fn beside_large_files() -> (Repository, Reader) {
    let repository = Repository::new();
    let large = "x".repeat(100_000);
    let workspace = [("ws/prod/rototo-workspace.toml", "schema_version = 1\n"), ("ws/prod/variables/a.toml", "a")];
    repository.commit(&[&workspace[..], &[("variables/large.toml", &large), ("ws/prod/large.bin", &large)]].concat());
    let limits = Limits { unpacked_bytes: 1000, entries: 10, ..Limits::default() };
    (repository, Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap())
}

#[tokio::test]
async fn only_documents_of_the_subdirectory_are_read_and_count_against_the_limits() {
    let (repository, reader) = beside_large_files();
    let fetched = read(&reader, &repository.source("main:ws/prod")).await.unwrap();
    assert_eq!(paths(&fetched), ["rototo-workspace.toml", "variables/a.toml"]);
    let error = read(&reader, &repository.source("main")).await.unwrap_err();
    assert_eq!(error.code(), "too_large", "{error}");
}

#[tokio::test]
async fn a_subdirectory_that_is_missing_or_a_file_is_refused() {
    let (repository, reader) = beside_large_files();
    for missing in ["main:ws/test", "main:ws/prod/large.bin"] {
        let error = read(&reader, &repository.source(missing)).await.unwrap_err();
        assert_eq!(error.code(), "no_directory", "{error}");
    }
}

#[tokio::test]
async fn workspaces_side_by_side_each_see_their_own_changes() {
    let repository = Repository::new();
    let manifest = "schema_version = 1\n";
    repository.commit(&[("teams/a/rototo-workspace.toml", manifest), ("teams/b/rototo-workspace.toml", manifest)]);
    let reader = reader();
    let (a, b) = (repository.source("main:teams/a"), repository.source("main:teams/b"));
    for (text, changed) in [("1", "teams/a"), ("2", "teams/b"), ("3", "elsewhere"), ("1", "teams/a")] {
        repository.commit(&[(&format!("{changed}/variables/v.toml"), text)]);
        for (source, team) in [(&a, "teams/a"), (&b, "teams/b")] {
            let path = repository.path().join(team).display().to_string().parse().unwrap();
            let expected = read(&reader, &path).await.unwrap().fingerprint();
            assert_eq!(read(&reader, source).await.unwrap().fingerprint(), expected, "{text} {team}");
        }
    }
    repository.git(&["rm", "-r", "--quiet", "teams/b"]);
    repository.commit(&[]);
    assert_eq!(read(&reader, &b).await.unwrap_err().code(), "no_directory");
    assert!(read(&reader, &a).await.is_ok());
}

#[tokio::test]
async fn links_and_submodules_are_refused_where_a_document_would_stand() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST, ("real/a.toml", "a")]);
    std::os::unix::fs::symlink("nowhere", repository.path().join("README.md")).unwrap();
    repository.commit(&[]);
    let reader = reader();
    assert_eq!(paths(&read(&reader, &repository.source("main")).await.unwrap()), ["rototo-workspace.toml"]);

    std::os::unix::fs::symlink("real", repository.path().join("variables")).unwrap();
    repository.commit(&[]);
    let error = read(&reader, &repository.source("main")).await.unwrap_err();
    assert_eq!(error.code(), "not_a_file", "{error}");

    std::fs::remove_file(repository.path().join("variables")).unwrap();
    let head = repository.head();
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},schemas")]);
    repository.git(&["rm", "--quiet", "--cached", "variables"]);
    repository.git(&["commit", "--quiet", "-m", "a submodule"]);
    let error = read(&reader, &repository.source("main")).await.unwrap_err();
    assert_eq!(error.code(), "not_a_file", "{error}");
}

#[tokio::test]
async fn too_many_entries_are_refused() {
    let repository = Repository::new();
    let names: Vec<String> = (0..30).map(|i| format!("variables/v{i}.toml")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "0")).chain([MANIFEST]).collect();
    repository.commit(&files);
    let limits = Limits { entries: 20, ..Limits::default() };
    let reader = Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap();
    assert_eq!(read(&reader, &repository.source("main")).await.unwrap_err().code(), "too_many_entries");
}

#[tokio::test]
async fn a_transfer_beyond_the_limit_is_stopped() {
    let repository = Repository::new();
    let noise: String = (0_u64..40_000).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string()).collect();
    repository.commit(&[MANIFEST, ("noise.bin", &noise)]);
    let limits = Limits { download_bytes: 50_000, ..Limits::default() };
    let reader = Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap();
    let error = read(&reader, &repository.source("main")).await.unwrap_err();
    assert_eq!(error.code(), "transfer_too_large", "{error}");
}

#[tokio::test]
async fn a_damaged_copy_is_fetched_anew() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST, ("variables/a.toml", "a")]);
    let cache = tempfile::tempdir().unwrap();
    let options = || ReaderOptions { cache_dir: Some(cache.path().to_owned()), ..ReaderOptions::default() };
    let source = repository.source("main");
    read(&Reader::new(options()).unwrap(), &source).await.unwrap();

    for damage in ["HEAD", "objects", "config"] {
        let kept = std::fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path().join(damage);
        if kept.is_dir() {
            std::fs::remove_dir_all(&kept).unwrap();
        } else {
            std::fs::write(&kept, "damaged").unwrap();
        }
        let fetched = read(&Reader::new(options()).unwrap(), &source).await;
        assert_eq!(paths(&fetched.unwrap()).len(), 2, "{damage}");
    }
}

#[tokio::test]
async fn a_lock_that_a_killed_git_left_behind_blocks_no_fetch() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let cache = tempfile::tempdir().unwrap();
    let reader = Reader::new(ReaderOptions { cache_dir: Some(cache.path().to_owned()), ..ReaderOptions::default() });
    let (reader, source) = (reader.unwrap(), repository.source("main"));
    read(&reader, &source).await.unwrap();
    let kept = std::fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path();
    let kept_ref = std::fs::read_dir(kept.join("refs/kept")).unwrap().next().unwrap().unwrap().file_name();
    let kept_ref = format!("refs/kept/{}.lock", kept_ref.to_str().unwrap());
    for (count, lock) in ["config.lock", "shallow.lock", "HEAD.lock", &kept_ref].into_iter().enumerate() {
        std::fs::write(kept.join(lock), "").unwrap();
        repository.commit(&[("variables/a.toml", &"a".repeat(count + 1))]);
        let fetched = read(&reader, &source).await.map_err(|error| format!("{lock}: {error}"));
        assert_eq!(paths(&fetched.unwrap()).len(), 2, "{lock}");
    }
}

#[tokio::test]
async fn many_callers_share_one_request_and_one_transfer() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let reader = Arc::new(reader());
    let source = repository.source("main");
    let callers = (0..50).map(|_| {
        let (reader, source) = (Arc::clone(&reader), source.clone());
        tokio::spawn(async move { read(&reader, &source).await.map(|tree| tree.fingerprint()) })
    });
    for caller in callers.collect::<Vec<_>>() {
        assert_eq!(caller.await.unwrap().unwrap(), tree(&[MANIFEST]).fingerprint());
    }
}

#[tokio::test]
async fn an_answer_that_is_young_enough_is_not_asked_for_again() {
    let repository = Repository::new();
    let first = repository.commit(&[MANIFEST]);
    let reader = reader();
    let source = repository.source("main");
    pin(&reader, &source).await;
    let second = repository.commit(&[("variables/a.toml", "a")]);
    let hour = Duration::from_secs(3600);
    let commit = |pinned: rototo_source::PinnedSource| pinned.revision().unwrap().commit().to_string();
    assert_eq!(commit(reader.pin_within(&source, hour).await.unwrap()), first);
    assert_eq!(commit(pin(&reader, &source).await), second);
    assert_eq!(commit(reader.pin_within(&source, hour).await.unwrap()), second);
}

#[tokio::test]
async fn one_request_covers_all_refs_in_use() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    repository.git(&["branch", "--quiet", "gone"]);
    let reader = reader();
    let (main, gone) = (repository.source("main"), repository.source("gone"));
    pin(&reader, &main).await;
    pin(&reader, &gone).await;
    let commit = repository.commit(&[("variables/a.toml", "a")]);
    repository.git(&["branch", "--quiet", "-D", "gone"]);
    let error = reader.pin(&gone).await.unwrap_err();
    assert_eq!(error.code(), "no_reference", "{error}");
    let pinned = reader.pin_within(&main, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(pinned.revision().unwrap().commit().as_str(), commit);
}

#[tokio::test]
async fn refs_of_others_that_are_missing_do_not_make_a_repository_unreadable() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let reader = reader();
    let long = "a".repeat(1946);
    let named = |length: usize, number: usize| {
        format!("git+file://{}#{number:0>4}{}", repository.path().display(), &long[..length - 4])
    };
    let mut refused = 0;
    for number in 0..400 {
        match named(1950, number).parse::<Source>() {
            Ok(missing) => drop(reader.pin(&missing).await.unwrap_err()),
            Err(_) => refused += 1,
        }
    }
    pin(&reader, &repository.source("main")).await;
    assert_eq!(refused, 400);
    // A ref may be as long as git hosts allow.
    let error = reader.pin(named(255, 1).parse::<Source>().unwrap()).await.unwrap_err();
    assert_eq!(error.code(), "no_reference", "{error}");
    let error = named(256, 1).parse::<Source>().unwrap_err().to_string();
    assert!(error.contains("longer than 255 bytes") && error.len() < 300, "{error}");
}

#[tokio::test]
async fn a_tag_of_a_directory_or_a_file_is_named() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let (tree, file) = ("HEAD^{tree}", "HEAD:rototo-workspace.toml");
    for (name, options, object) in
        [("t1", &[][..], tree), ("t2", &[][..], file), ("t3", &["-m", "t"], tree), ("t4", &["-m", "t"], file)]
    {
        repository.git(&[&["tag"], options, &[name, object]].concat());
        let error = read(&reader(), &repository.source(name)).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("not_a_commit", false), "{name}: {error}");
        assert!(error.to_string().contains(&format!("`{name}` names no commit")), "{error}");
    }
}

#[tokio::test]
async fn repositories_on_the_disk_are_refused_where_they_are_switched_off() {
    let repository = Repository::new();
    let options = ReaderOptions { file_sources: FileSources::Refused, ..ReaderOptions::default() };
    let reader = Reader::new(options).unwrap();
    for source in [repository.source("main"), "file:///srv/config".parse().unwrap(), "config".parse().unwrap()] {
        let error = reader.pin(&source).await.unwrap_err();
        assert_eq!(error.code(), "file_sources_off");
        assert!(error.to_string().contains("--allow-file-sources"), "{error}");
    }
}

#[tokio::test]
async fn an_address_without_a_repository_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let source: Source = format!("git+file://{}/none.git#main", directory.path().display()).parse().unwrap();
    let error = reader().pin(&source).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("no_repository", false), "{error}");
    assert!(error.to_string().contains("none.git"), "{error}");
}

#[tokio::test]
async fn an_unreachable_host_is_a_transient_error_without_secrets() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let source: Source = format!("git+https://user:hunter2@127.0.0.1:{port}/r.git#main").parse().unwrap();
    let error = reader().pin(&source).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("unreachable", true), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let limits = Limits { git_timeout: Duration::from_millis(300), ..Limits::default() };
    let reader = Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap();
    let source: Source = format!("git+https://127.0.0.1:{port}/r.git#main").parse().unwrap();
    let error = reader.pin(&source).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("git_timed_out", true), "{error}");
}

#[tokio::test]
async fn a_directory_that_only_resembles_one_of_documents_costs_the_source_nothing() {
    let limits = Limits { entries: 10, ..Limits::default() };
    let reader = Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap();
    for (count, found) in [(2_000, &["error Schemas"][..]), (10_000, &[])] {
        let names: Vec<String> = (0..count).map(|number| format!("Schemas/{number}.json")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "{}")).chain([MANIFEST]).collect();
        let repository = Repository::new();
        repository.commit(&files);
        let tree = read(&reader, &repository.source("main")).await.unwrap();
        assert_eq!((paths(&tree).len(), &*support::beside(&tree)), (1, &*strings(found)), "{count}");
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
