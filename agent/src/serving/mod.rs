//! The version of the workspace that answers come from.
//!
//! Every answer comes from the version that the client library has swapped in last, so that a report that it runs is true
//! of the answers too. [`Served`] has what is the same for all answers of a version, and is made anew when the version
//! changes, and every second for the age of its verification.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rototo::{RefreshStatus, RefreshingWorkspace, Workspace};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

/// The time between two updates of the age that answers name.
const TICK: Duration = Duration::from_secs(1);
/// The largest difference between the clocks of two agents, in seconds, at which each still waits for what the other announces.
const CLOCKS: i64 = 60;

/// One version, as it is served.
pub(crate) struct Served {
    pub(crate) workspace: Arc<Workspace>,
    /// The identity of everything on which answers depend, besides the request.
    pub(crate) etag: Arc<str>,
    /// The member `"metadata":{…}` of an answer.
    pub(crate) metadata: Box<[u8]>,
    /// Nothing has confirmed for too long that this version is still what should run.
    pub(crate) stale: bool,
    /// The time at which this version was applied, in seconds since 1970.
    pub(crate) applied: i64,
}

/// The version that event streams announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) etag: Arc<str>,
    pub(crate) applied: i64,
}

/// The workspace, and its current version as it is served.
pub(crate) struct Serving {
    workspace: RefreshingWorkspace,
    served: ArcSwapOption<Served>,
    announced: watch::Sender<Option<Announced>>,
    /// The text that distinguishes the answers of agents with other options.
    settings: String,
}

impl Serving {
    /// Creates the state without a version. `settings` names the options on which answers depend.
    pub(crate) fn new(workspace: RefreshingWorkspace, settings: String) -> Self {
        Self { workspace, served: ArcSwapOption::empty(), announced: watch::Sender::new(None), settings }
    }

    /// Returns the current version. It takes no lock unless the version has just changed.
    pub(crate) fn served(&self) -> rototo::Result<Arc<Served>> {
        let current = self.workspace.current()?;
        match &*self.served.load() {
            Some(served) if Arc::ptr_eq(&served.workspace, &current) => Ok(served.clone()),
            _ => Ok(self.renew(current)),
        }
    }

    /// Returns a receiver of the versions that event streams announce.
    pub(crate) fn announced(&self) -> watch::Receiver<Option<Announced>> {
        self.announced.subscribe()
    }

    /// Waits until the version with this ETag is served, for at most `limit`. One that was served before is waited for, too: it
    /// comes back with a revert. Only one that is over is not: its announcement, of the time `applied`, is older than the
    /// version that is served.
    pub(crate) async fn until_served(&self, etag: &str, applied: Option<i64>, limit: Duration) {
        let mut announced = self.announced.subscribe();
        let is_there = |served: &Option<Announced>| {
            served.as_ref().is_some_and(|served| {
                let is_over = applied.is_some_and(|applied| applied.saturating_add(CLOCKS) < served.applied);
                *served.etag == *etag || is_over
            })
        };
        // Without it, the caller gets what there is.
        let _ = tokio::time::timeout(limit, announced.wait_for(is_there)).await;
    }

    pub(crate) fn workspace(&self) -> &RefreshingWorkspace {
        &self.workspace
    }

    /// Keeps the version that is served, and its announcement, current, for ever.
    pub(crate) async fn keep_current(&self) -> Infallible {
        let mut changes = self.workspace.changes();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if let Ok(current) = self.workspace.current() {
                self.announce(&self.renew(current));
            }
            tokio::select! {
                _ = ticks.tick() => {}
                Some(_) = changes.next() => {}
            }
        }
    }

    fn renew(&self, workspace: Arc<Workspace>) -> Arc<Served> {
        let served = Arc::new(Served::new(workspace, &self.workspace.status(), &self.settings));
        self.served.store(Some(served.clone()));
        served
    }

    fn announce(&self, served: &Served) {
        let announced = Announced { etag: served.etag.clone(), applied: served.applied };
        self.announced.send_if_modified(|before| {
            let is_new = before.as_ref().is_none_or(|before| before.etag != announced.etag);
            if is_new {
                *before = Some(announced);
            }
            is_new
        });
    }
}

impl Served {
    fn new(workspace: Arc<Workspace>, status: &RefreshStatus, settings: &str) -> Self {
        let now = Timestamp::now();
        let fingerprint = workspace.fingerprint().to_string();
        let mut metadata = Map::new();
        metadata.insert("fingerprint".to_owned(), json!(fingerprint));
        if let Some(revision) = workspace.revision() {
            metadata.insert("revision".to_owned(), json!(revision));
        }
        if let Some(updated_at) = workspace.updated_at() {
            metadata.insert("updated_at".to_owned(), json!(updated_at.to_string()));
        }
        if let Some(verified) = status.last_success {
            let age = now.duration_since(verified).as_secs().max(0);
            metadata.insert("verified_seconds_ago".to_owned(), json!(age));
        }
        metadata.insert("stale".to_owned(), json!(status.stale));
        let metadata = format!("\"metadata\":{}", Value::Object(metadata)).into_bytes().into_boxed_slice();
        let identity =
            [fingerprint.as_str(), settings, env!("CARGO_PKG_VERSION"), if status.stale { "stale" } else { "" }];
        let applied = status.applied_at.unwrap_or(now).as_second();
        Self { workspace, etag: short_digest(&identity).into(), metadata, stale: status.stale, applied }
    }
}

/// Returns 128 bits of the digest of these texts, in hexadecimal digits.
pub(crate) fn short_digest<T: AsRef<[u8]>>(texts: &[T]) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        let text = text.as_ref();
        digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        digest.update(text);
    }
    digest.finalize().iter().take(16).fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a String never fails.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use futures::FutureExt;
    use rototo::RefreshOptions;

    use super::*;

    /// Longer than any test takes.
    const LIMIT: Duration = Duration::from_secs(300);

    async fn serving(folder: &Path) -> Serving {
        fs::write(folder.join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
        let source = folder.display().to_string();
        let workspace = RefreshingWorkspace::load(source, RefreshOptions::new()).await.unwrap();
        Serving::new(workspace, String::new())
    }

    /// Serves a version with this value.
    async fn serve(serving: &Serving, folder: &Path, value: u8) -> Announced {
        let text =
            format!("schema_version = 1\ntype = \"int\"\nvalues = {{ a = {value} }}\n[resolve]\ndefault = \"a\"\n");
        fs::create_dir_all(folder.join("variables")).unwrap();
        fs::write(folder.join("variables/limit.toml"), text).unwrap();
        serving.workspace.refresh_now().await.unwrap();
        serving.announce(&serving.served().unwrap());
        serving.announced().borrow().clone().unwrap()
    }

    #[tokio::test]
    async fn a_version_that_comes_back_with_a_revert_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (serving, folder) = (serving(folder.path()).await, folder.path());
        let first = serve(&serving, folder, 1).await;
        let second = serve(&serving, folder, 2).await;
        // Another agent has announced the revert already.
        let mut waiting = Box::pin(serving.until_served(&first.etag, Some(second.applied + 1), LIMIT));
        assert!(waiting.as_mut().now_or_never().is_none(), "the second version is still served");
        assert_eq!(serve(&serving, folder, 1).await.etag, first.etag);
        waiting.await;
        assert_eq!(serving.served().unwrap().etag, first.etag);
    }

    #[tokio::test]
    async fn a_version_that_is_over_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (serving, folder) = (serving(folder.path()).await, folder.path());
        let served = serve(&serving, folder, 1).await;
        let waits = |etag: &str, applied| serving.until_served(etag, applied, LIMIT).now_or_never().is_none();
        assert!(!waits("of another version", Some(served.applied - CLOCKS - 1)));
        assert!(waits("of another version", Some(served.applied - CLOCKS)), "the clock of the other may be slow");
        assert!(waits("of another version", None));
        assert!(!waits(&served.etag, None), "it is served");
    }
}
