//! Verifies signatures of real commits and tags with the real programs.
//!
//! `signatures/` has commits that were signed with OpenPGP, and the keys: the private keys are gone. Ssh keys are made by each
//! test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rototo_source::{Access, Reader, ReaderOptions, SignaturePolicy, SignedObject, Source, SourceError};
use support::git_http::serve_git;
use support::https::{HttpsServer, respond};
use support::{MANIFEST, Repository, credentials, reader};

/// An ssh key, and the directory that has it.
struct SshKey {
    _directory: tempfile::TempDir,
    private: PathBuf,
    public: String,
}

impl SshKey {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let private = directory.path().join("key");
        let status = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&private).status();
        assert!(status.unwrap().success());
        let public = std::fs::read_to_string(private.with_extension("pub")).unwrap();
        Self { _directory: directory, private, public }
    }

    fn settings(&self) -> Vec<String> {
        let key = self.private.display();
        ["gpg.format=ssh".to_owned(), format!("user.signingkey={key}"), "tag.gpgsign=false".to_owned()]
            .into_iter()
            .flat_map(|setting| ["-c".to_owned(), setting])
            .collect()
    }

    fn git(&self, repository: &Repository, arguments: &[&str]) {
        let settings = self.settings();
        let all: Vec<&str> = settings.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        repository.git(&all);
    }

    /// Commits with a signature.
    fn commit(&self, repository: &Repository) {
        repository.write(MANIFEST.0, MANIFEST.1);
        repository.git(&["add", "--all"]);
        self.git(repository, &["commit", "--quiet", "--allow-empty", "-S", "-m", "a signed change"]);
    }

    fn tag(&self, repository: &Repository, name: &str) {
        self.git(repository, &["tag", "-s", "-m", "a signed tag", name]);
    }
}

fn policy(objects: SignedObject, keys: &[(&str, &str)]) -> SignaturePolicy {
    let keys: BTreeMap<_, _> = keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    SignaturePolicy::from_keys(objects, &keys).unwrap()
}

/// Reads and verifies a source, and returns the signer.
async fn verify(source: &Source, policy: &SignaturePolicy) -> Result<String, SourceError> {
    let reader = reader();
    let (pinned, _) = reader.read(source).await.unwrap();
    reader.verify(&pinned, policy).await
}

async fn refused(source: &Source, policy: &SignaturePolicy) -> String {
    let error = verify(source, policy).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("signature_invalid", false), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_commit_counts_only_with_the_signature_of_a_trusted_signer() {
    let (alice, mallory, repository) = (SshKey::new(), SshKey::new(), Repository::new());
    let trusted = policy(SignedObject::Commit, &[("alice.sshpub", &alice.public)]);
    repository.commit(&[MANIFEST]);
    let unsigned = refused(&repository.source("main"), &trusted).await;
    assert!(unsigned.contains("is not signed"), "{unsigned}");

    // Git prints that this signature is good, too.
    mallory.commit(&repository);
    let foreign = refused(&repository.source("main"), &trusted).await;
    assert!(foreign.contains("No principal matched"), "{foreign}");

    alice.commit(&repository);
    let signer = verify(&repository.source("main"), &trusted).await.unwrap();
    assert!(signer.starts_with("alice with ED25519 key SHA256:"), "{signer}");
    // What the newest commit contains counts, whoever wrote the commits before.
    repository.commit(&[("variables/a.toml", "a")]);
    refused(&repository.source("main"), &trusted).await;
}

#[tokio::test]
async fn signers_are_rotated_with_periods() {
    let (old, new, repository) = (SshKey::new(), SshKey::new(), Repository::new());
    old.commit(&repository);
    let allowed = |line: &str| policy(SignedObject::Commit, &[("allowed_signers", line)]);
    let both = format!("old@example.com {}new@example.com {}", old.public, new.public);
    assert!(verify(&repository.source("main"), &allowed(&both)).await.unwrap().starts_with("old@example.com"));
    let ended = format!("old@example.com valid-before=\"20200101\" {}", old.public);
    refused(&repository.source("main"), &allowed(&ended)).await;
    new.commit(&repository);
    assert!(verify(&repository.source("main"), &allowed(&both)).await.unwrap().starts_with("new@example.com"));
    // A key for other purposes does not sign commits.
    let files = format!("new@example.com namespaces=\"file\" {}", new.public);
    refused(&repository.source("main"), &allowed(&files)).await;
}

#[tokio::test]
async fn a_merge_counts_by_its_own_signature() {
    let (alice, repository) = (SshKey::new(), Repository::new());
    let trusted = policy(SignedObject::Commit, &[("alice.sshpub", &alice.public)]);
    alice.commit(&repository);
    repository.git(&["checkout", "--quiet", "-b", "topic"]);
    repository.commit(&[("variables/a.toml", "a")]);
    repository.git(&["checkout", "--quiet", "main"]);
    repository.git(&["merge", "--quiet", "--no-ff", "-m", "merge", "topic"]);
    refused(&repository.source("main"), &trusted).await;
    repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    alice.git(&repository, &["merge", "--quiet", "--no-ff", "-S", "-m", "merge", "topic"]);
    verify(&repository.source("main"), &trusted).await.unwrap();
}

#[tokio::test]
async fn a_tag_counts_under_the_name_that_was_signed() {
    let (alice, mallory, repository) = (SshKey::new(), SshKey::new(), Repository::new());
    let keys = [("alice.sshpub", alice.public.as_str())];
    let (tag, both) = (policy(SignedObject::Tag, &keys), policy(SignedObject::TagAndCommit, &keys));
    repository.commit(&[MANIFEST]);
    alice.tag(&repository, "v1");
    mallory.tag(&repository, "v2");
    repository.git(&["tag", "-a", "-m", "unsigned", "v3"]);
    repository.git(&["tag", "light"]);
    assert!(verify(&repository.source("v1"), &tag).await.unwrap().starts_with("alice"));
    assert!(verify(&repository.source("refs/tags/v1"), &tag).await.unwrap().starts_with("alice"));
    let unsigned = refused(&repository.source("v1"), &both).await;
    assert!(unsigned.contains("the commit") && unsigned.contains("is not signed"), "{unsigned}");
    let foreign = refused(&repository.source("v2"), &tag).await;
    assert!(foreign.contains("the tag `v2`"), "{foreign}");
    assert!(refused(&repository.source("v3"), &tag).await.contains("is not signed"));
    for no_tag in ["light", "main", ""] {
        assert!(refused(&repository.source(no_tag), &tag).await.contains("no annotated tag"), "{no_tag}");
    }
    // An old signed tag under a new name would roll a fleet back.
    repository.git(&["update-ref", "refs/tags/v9", &repository.git(&["rev-parse", "refs/tags/v1"])]);
    let moved = refused(&repository.source("v9"), &tag).await;
    assert!(moved.contains("signed tag object of `v1`"), "{moved}");

    alice.commit(&repository);
    alice.tag(&repository, "v4");
    assert!(verify(&repository.source("v4"), &both).await.unwrap().starts_with("alice"));
}

/// Adds a commit of `signatures/` to the repository as the branch `main`.
fn adopt(repository: &Repository, commit: &[u8]) {
    repository.write(MANIFEST.0, MANIFEST.1);
    repository.git(&["add", "--all"]);
    repository.git(&["write-tree"]);
    let mut hash = Command::new("git");
    let mut hash = hash
        .args(["hash-object", "-t", "commit", "-w", "--stdin"])
        .current_dir(repository.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut hash.stdin.take().unwrap(), commit).unwrap();
    let output = hash.wait_with_output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    repository.git(&["update-ref", "refs/heads/main", id.trim()]);
}

#[tokio::test]
async fn openpgp_signatures_count_by_the_keys_of_the_policy_alone() {
    let repository = Repository::new();
    adopt(&repository, include_bytes!("signatures/openpgp.commit"));
    let signer = include_str!("signatures/signer.asc");
    let expired = include_str!("signatures/expired.asc");
    let trusted = policy(SignedObject::Commit, &[("signer.asc", signer), ("expired.asc", expired)]);
    let named = verify(&repository.source("main"), &trusted).await.unwrap();
    assert_eq!(named, "Test Signer <signer@example.com> with OpenPGP key B742EA5F31811B3A846A3236CB4E309C59D8FF43");
    let other = policy(SignedObject::Commit, &[("expired.asc", expired)]);
    refused(&repository.source("main"), &other).await;
    let ssh = SshKey::new();
    let no_openpgp = policy(SignedObject::Commit, &[("alice.sshpub", &ssh.public)]);
    refused(&repository.source("main"), &no_openpgp).await;

    // A key that has expired no longer counts, also for what it signed before.
    adopt(&repository, include_bytes!("signatures/expired.commit"));
    let ended = refused(&repository.source("main"), &trusted).await;
    assert!(ended.contains("no valid signature"), "{ended}");

    // A changed message no longer fits its signature.
    let text = String::from_utf8(include_bytes!("signatures/openpgp.commit").to_vec()).unwrap();
    adopt(&repository, text.replace("Signed with OpenPGP", "Signed with 0penPGP").as_bytes());
    refused(&repository.source("main"), &trusted).await;
}

#[tokio::test]
async fn every_layer_has_to_be_signed() {
    let (alice, repository) = (SshKey::new(), Repository::new());
    let trusted = policy(SignedObject::Commit, &[("alice.sshpub", &alice.public)]);
    let root = repository.path().to_owned();
    let server = HttpsServer::start(move |request| serve_git(&root, request));
    let address = format!("git+https://{}/.git", server.address());
    repository.commit(&[MANIFEST]);
    repository.git(&["checkout", "--quiet", "-b", "base"]);
    let unsigned = repository.commit(&[("variables/a.toml", "a")]);
    repository.git(&["checkout", "--quiet", "main"]);
    repository.write(MANIFEST.0, &format!("schema_version = 1\nextends = [\"{address}#base\"]\n"));
    repository.git(&["add", "--all"]);
    alice.git(&repository, &["commit", "--quiet", "-S", "-m", "a signed change"]);

    let source: Source = format!("{address}#main").parse().unwrap();
    let access = Access::new(source, credentials(&[("ca.crt", &server.authority.pem())]));
    let reader = reader();
    let verify = async || {
        let (pinned, _) = reader.read(access.clone()).await.unwrap();
        reader.verify(&pinned, &trusted).await
    };
    let error = verify().await.unwrap_err().to_string();
    assert!(error.contains(&unsigned) && error.contains("is not signed"), "{error}");
    repository.git(&["checkout", "--quiet", "base"]);
    alice.git(&repository, &["commit", "--quiet", "--amend", "-S", "-m", "signed now"]);
    verify().await.unwrap();
}

#[tokio::test]
async fn a_signature_counts_also_if_the_kept_copy_of_the_repository_is_gone() {
    let (alice, repository, directory) = (SshKey::new(), Repository::new(), tempfile::tempdir().unwrap());
    let keys = [("alice.sshpub", alice.public.as_str())];
    alice.commit(&repository);
    alice.tag(&repository, "v1");
    let cache_dir = Some(directory.path().to_owned());
    let reader = Reader::new(ReaderOptions { cache_dir, ..ReaderOptions::default() }).unwrap();
    let (pinned, _) = reader.read(&repository.source("v1")).await.unwrap();
    for objects in [SignedObject::Commit, SignedObject::Tag, SignedObject::TagAndCommit] {
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        let signer = reader.verify(&pinned, &policy(objects, &keys)).await.unwrap();
        assert!(signer.starts_with("alice"), "{signer}");
    }
}

#[tokio::test]
async fn a_host_that_fails_is_not_one_without_the_tag() {
    let (alice, repository) = (SshKey::new(), Repository::new());
    let trusted = policy(SignedObject::Tag, &[("alice.sshpub", &alice.public)]);
    repository.commit(&[MANIFEST]);
    alice.tag(&repository, "v1");
    let root = repository.path().to_owned();
    let fails = Arc::<AtomicBool>::default();
    let failing = Arc::clone(&fails);
    let server = HttpsServer::start(move |request| {
        if failing.load(Ordering::SeqCst) { respond(418, &[], "") } else { serve_git(&root, request) }
    });
    let source: Source = format!("git+https://{}/.git#v1", server.address()).parse().unwrap();
    let access = Access::new(source, credentials(&[("ca.crt", &server.authority.pem())]));
    let reader = reader();
    let (pinned, _) = reader.read(access).await.unwrap();
    fails.store(true, Ordering::SeqCst);
    let error = reader.verify(&pinned, &trusted).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("git_failed", true), "{error}");
    fails.store(false, Ordering::SeqCst);
    reader.verify(&pinned, &trusted).await.unwrap();
}

#[tokio::test]
async fn a_tag_with_the_name_of_a_branch_has_to_be_named_in_full() {
    let (alice, repository) = (SshKey::new(), Repository::new());
    let trusted = policy(SignedObject::Tag, &[("alice.sshpub", &alice.public)]);
    repository.commit(&[MANIFEST]);
    alice.tag(&repository, "v1");
    repository.commit(&[("variables/a.toml", "a")]);
    repository.git(&["branch", "v1"]);
    let ambiguous = refused(&repository.source("v1"), &trusted).await;
    assert!(ambiguous.contains("`refs/tags/v1`"), "{ambiguous}");
    verify(&repository.source("refs/tags/v1"), &trusted).await.unwrap();
}

#[tokio::test]
async fn a_source_that_was_not_read_has_no_known_layers_to_verify() {
    let (alice, repository) = (SshKey::new(), Repository::new());
    let trusted = policy(SignedObject::Commit, &[("alice.sshpub", &alice.public)]);
    alice.commit(&repository);
    let reader = reader();
    let pinned = reader.pin(&repository.source("main")).await.unwrap();
    let error = reader.verify(&pinned, &trusted).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("signature_invalid", false), "{error}");
    assert!(error.to_string().contains("layers are not known"), "{error}");
}

#[tokio::test]
async fn layers_of_one_commit_are_verified_once() {
    let (alice, repository) = (SshKey::new(), Repository::new());
    let trusted = policy(SignedObject::Tag, &[("alice.sshpub", &alice.public)]);
    let manifest = "schema_version = 1\nextends = [\"../a\", \"../b\"]\n";
    repository.commit(&[
        ("prod/rototo-workspace.toml", manifest),
        ("a/rototo-workspace.toml", MANIFEST.1),
        ("b/rototo-workspace.toml", MANIFEST.1),
    ]);
    alice.tag(&repository, "v1");
    let reader = reader();
    let (pinned, _) = reader.read(&repository.source("v1:prod")).await.unwrap();
    let fetches =
        || reader.git_requests().iter().filter(|(of, _)| of.kind == "fetch").map(|(_, count)| count).sum::<u64>();
    let before = fetches();
    assert!(reader.verify(&pinned, &trusted).await.unwrap().starts_with("alice"));
    assert_eq!(fetches() - before, 1);
}
