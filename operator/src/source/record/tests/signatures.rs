//! Commits without a valid signature, of a real repository.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use axum::http::{Request, Response};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::client::Body;
use rototo_source::Limits;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::load::metrics::LoadMetrics;
use crate::source::custom_rules::CustomRules;
use crate::source::snapshots::Snapshots;
use crate::source::sources::{PollLimits, Sources};
use crate::workspace_key::WorkspaceKey;

/// A repository, and an operator that verifies its commits.
pub(crate) struct Repository {
    folder: TempDir,
    sources: Arc<Sources>,
    /// The public key in the Secret.
    trusted: Arc<Mutex<String>>,
    pub(crate) spec: RototoWorkspaceSpec,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trusted = Arc::new(Mutex::new(String::new()));
        let key = trusted.clone();
        let secret = move |_: Request<Body>| {
            let data =
                BTreeMap::from([("alice.sshpub".to_owned(), ByteString(key.lock().unwrap().clone().into_bytes()))]);
            let secret = serde_json::to_vec(&Secret { data: Some(data), ..Secret::default() }).unwrap();
            async move { Ok::<_, Infallible>(Response::new(Body::from(secret))) }
        };
        let client = Client::new(tower::service_fn(secret), "default");
        let options = ReaderOptions {
            cache_dir: Some(folder.path().join("git")),
            file_sources: FileSources::Allowed,
            ..ReaderOptions::default()
        };
        let (reader, snapshots) =
            (Reader::new(options).unwrap(), Snapshots::new(folder.path().join("snapshots"), Limits::default()));
        let (rules, limits) = (CustomRules::off(), PollLimits::default());
        let sources = Arc::new(Sources::new(client, reader, rules, snapshots, limits, LoadMetrics::default()));
        let source = format!("git+file://{}#main", folder.path().join("repository").display());
        let spec = json!({ "source": source, "verify": { "secretRef": { "name": "rototo-signers" } } });
        let repository = Self { sources, trusted, spec: serde_json::from_value(spec).unwrap(), folder };
        std::fs::create_dir(repository.path()).unwrap();
        std::fs::write(repository.path().join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.git(&["add", "--all"]);
        repository
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        let mut git = Command::new("git");
        assert!(git.current_dir(self.path()).args(identity).args(arguments).status().unwrap().success());
    }

    pub(crate) fn commit(&self, signed_by: Option<&Path>) {
        let commit = ["commit", "--quiet", "--allow-empty", "-m", "a change"];
        let Some(key) = signed_by else { return self.git(&commit) };
        let key = format!("user.signingkey={}", key.display());
        self.git(&[&["-c", "gpg.format=ssh", "-c", &key], &commit[..], &["-S"]].concat());
    }

    /// Makes a key. Returns the path of its private part, and its public part.
    pub(crate) fn key(&self, name: &str) -> (PathBuf, String) {
        let key = self.folder.path().join(name);
        let mut keygen = Command::new("ssh-keygen");
        assert!(keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&key).status().unwrap().success());
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        (key, public)
    }

    pub(crate) fn trust(&self, public: &str) {
        *self.trusted.lock().unwrap() = public.to_owned();
    }

    pub(crate) async fn poll(&self, record: &mut SourceRecord) -> Result<(), String> {
        let now = Instant::now();
        record.follow(&self.spec, now);
        record.poll_started(tokio::spawn(std::future::pending()), PollTrigger::default(), now);
        let key = WorkspaceKey { namespace: "prod".to_owned(), name: "policy".to_owned() };
        let polled = self.sources.poll(&self.spec, DuePoll { fresh_since: None, known: None }, &key).await;
        let outcome = polled.as_ref().map(drop).map_err(ToString::to_string);
        let _ = record.poll_ended(now, polled, Verified { at: now, time: Timestamp::now() }, &self.spec, 0.0);
        outcome
    }
}

#[tokio::test]
async fn a_newer_commit_without_a_signature_leaves_a_signed_one_confirmed_by_the_same_signers() {
    let (repository, mut record) = (Repository::new(), SourceRecord::default());
    let ((alice, trusted), (_, other)) = (repository.key("alice"), repository.key("bob"));
    repository.trust(&trusted);
    repository.commit(Some(&alice));
    repository.poll(&mut record).await.unwrap();
    let signed = record.candidate().unwrap().revision.as_ref().unwrap().to_string();
    assert!(record.is_confirmed() && record.unsigned().is_none());

    repository.commit(None);
    repository.poll(&mut record).await.unwrap_err();
    assert!(record.unsigned().is_some() && !record.rejects(&signed));
    assert!(record.is_confirmed(), "whoever may push without a signature stops nothing");

    // The signer is trusted no more, or another mode asks for another signature.
    repository.trust(&other);
    repository.poll(&mut record).await.unwrap_err();
    assert!(record.unsigned().is_some() && !record.is_confirmed());
    repository.trust(&trusted);
    repository.poll(&mut record).await.unwrap_err();
    assert!(record.is_confirmed());
    let tag = json!({ "secretRef": { "name": "rototo-signers" }, "mode": "Tag" });
    let by_tag = RototoWorkspaceSpec { verify: serde_json::from_value(tag).unwrap(), ..repository.spec.clone() };
    record.follow(&by_tag, Instant::now());
    assert!(!record.is_confirmed());

    // The branch has the signed commit again, whose signer is trusted no more.
    repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    repository.trust(&other);
    repository.poll(&mut record).await.unwrap_err();
    assert!(record.rejects(&signed) && !record.is_confirmed());
}
