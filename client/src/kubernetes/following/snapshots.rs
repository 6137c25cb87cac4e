//! Loads a snapshot by its fingerprint: fetches, verifies, compiles, and checks it.
//!
//! Content whose fingerprint differs from the requested one never leaves this module.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use rototo_api::names;
use rototo_engine::{Fingerprint, Tree};
use rototo_protocol::Publish;
use rototo_protocol::backoff::Backoff;
use rototo_protocol::follower::ContentSource;
use rototo_protocol::follower::fault::Fault;
use rototo_source::Limits;
use rototo_source::snapshot::{self, SnapshotError};
use tokio::time::{sleep, timeout};

use crate::kubernetes::PATH;
use crate::kubernetes::cluster::endpoint::Endpoint;
use crate::kubernetes::following::cache::{Cache, KeepTurn};
use crate::kubernetes::following::direct::Direct;
use crate::workspace::Workspace;
use crate::workspace::checks::Checks;
use crate::workspace::content::Content;
use crate::workspace::origin::{Origin, SourceFingerprint};

/// The time limit of one fetch.
const LIMIT: Duration = Duration::from_secs(30);
/// The wait after the disk did not take a copy. Until it does, a start without an operator runs what an earlier copy names.
const KEEP_BACKOFF: Backoff = Backoff { first: Duration::from_secs(2), cap: Duration::from_secs(60) };

/// Loads the snapshots of one workspace.
pub(crate) struct SnapshotLoader {
    pub(super) namespace: String,
    pub(super) workspace: String,
    /// The source as the application wrote it.
    pub(super) source: String,
    pub(super) checks: Checks,
    pub(super) cache: Option<Cache>,
    pub(super) direct: Option<Arc<Direct>>,
}

/// The reason why content could not be loaded.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// The content could not be fetched. Another attempt may get it.
    Fetch(Fault),
    /// The content was fetched, and can't run in this process.
    Refused(Fault),
}

/// The result of loading: a workspace, and the place from which its content came.
pub(crate) type Loaded = Result<(Workspace, ContentSource), LoadError>;

impl SnapshotLoader {
    /// Loads the content with this fingerprint, from the disk, from the operator, or from the direct source. Documents
    /// that have not changed since `base` are not compiled again.
    ///
    /// # Errors
    ///
    /// [`LoadError::Fetch`] if no place gives the content, [`LoadError::Refused`] if it can't be compiled or the
    /// application refuses it.
    pub(crate) async fn load(
        self: Arc<Self>,
        endpoint: Result<Arc<Endpoint>, Fault>,
        fingerprint: Fingerprint,
        base: Option<Arc<Content>>,
    ) -> Loaded {
        if let Some(workspace) = self.clone().kept(fingerprint).await {
            return Ok((workspace, ContentSource::Disk));
        }
        let workspace = match (self.clone().served(endpoint, fingerprint, base.clone()).await, self.direct.clone()) {
            (Err(LoadError::Fetch(fault)), Some(direct)) => {
                let tree = direct.read(fingerprint, fault).await.map_err(LoadError::Fetch)?;
                let compile = move |loader: &Self| loader.compile(tree, fingerprint, base.as_deref());
                self.load_blocking(fingerprint, compile).await
            }
            (served, _) => served,
        };
        Ok((workspace?, ContentSource::Current))
    }

    /// Loads the snapshot from the operator. Unpacking and compiling share one blocking task: where a whole fleet loads
    /// at once, each hand-over to another thread waits at the end of the queue for a processor.
    async fn served(
        self: Arc<Self>,
        endpoint: Result<Arc<Endpoint>, Fault>,
        fingerprint: Fingerprint,
        base: Option<Arc<Content>>,
    ) -> Result<Workspace, LoadError> {
        let endpoint = endpoint.map_err(LoadError::Fetch)?;
        let bytes = self.fetch(&endpoint, fingerprint, base.as_deref()).await.map_err(LoadError::Fetch)?;
        tracing::trace!(target: PATH, workspace = self.workspace, "received");
        let load = move |loader: &Self| {
            let tree = loader.unpack(&bytes, fingerprint, base.as_deref())?;
            let loaded = loader.compile(tree, fingerprint, base.as_deref());
            tracing::trace!(target: PATH, workspace = loader.workspace, "loaded");
            loaded
        };
        self.load_blocking(fingerprint, load).await
    }

    /// Runs `load` on a thread where no task of the application waits for it. Content at which it panics is refused.
    pub(super) async fn load_blocking(
        self: Arc<Self>,
        fingerprint: Fingerprint,
        load: impl FnOnce(&Self) -> Result<Workspace, LoadError> + Send + 'static,
    ) -> Result<Workspace, LoadError> {
        let load = move || {
            let loaded = catch_unwind(AssertUnwindSafe(|| load(&self)));
            // The message of the panic may hold a value of the workspace, so it is left out.
            loaded.unwrap_or_else(|_| Err(self.refused(fingerprint, "not_compiled", &"loading it panicked")))
        };
        run_blocking(load).await.unwrap_or_else(|fault| Err(LoadError::Fetch(fault)))
    }

    /// Loads the last applied publish from the disk.
    pub(crate) async fn recall(self: Arc<Self>) -> Option<(Publish, Workspace)> {
        let recalled = run_blocking(move || {
            let (publish, tree) = self.cache.as_ref()?.last()?;
            Some((publish, self.compile(tree, publish.fingerprint, None).ok()?))
        });
        recalled.await.ok()?
    }

    /// Writes a copy to the disk, if the application named a directory, and tries again until the disk takes it. The copies
    /// of a process end on the last call, also if their threads overtake each other. The copies of a handle take one
    /// thread, also on a disk that hangs.
    pub(crate) fn keep(
        self: Arc<Self>,
        publish: Publish,
        content: Arc<Content>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let turn = self.cache.as_ref().map(Cache::next_turn);
        async move {
            let Some(turn) = turn else { return };
            let mut failures = 0;
            while let Err(fault) = self.clone().keep_once(turn, publish, content.clone()).await {
                failures += 1;
                // Logged once, and again only after a copy was written.
                if failures == 1 {
                    tracing::warn!(code = fault.code, "{}; trying again", fault.message);
                }
                sleep(KEEP_BACKOFF.delay(failures, fastrand::f64())).await;
            }
            if failures > 0 {
                tracing::info!(workspace = self.workspace, "the copy of the workspace on the disk is written now");
            }
        }
    }

    async fn keep_once(self: Arc<Self>, turn: KeepTurn, publish: Publish, content: Arc<Content>) -> Result<(), Fault> {
        let Some(cache) = &self.cache else { return Ok(()) };
        let copying = cache.begin_copy().await;
        let keep = move || {
            let _copying = copying;
            self.cache.as_ref().map_or(Ok(()), |cache| cache.keep(turn, publish, content.tree()))
        };
        run_blocking(keep).await?
    }

    /// Loads the content from the disk, unless the disk has not answered in time.
    async fn kept(self: Arc<Self>, fingerprint: Fingerprint) -> Option<Workspace> {
        let cache = self.cache.as_ref()?;
        let (reading, loader) = (cache.begin_read()?, self.clone());
        let read = run_blocking(move || {
            let _reading = reading;
            loader.cache.as_ref()?.get(fingerprint)
        });
        let Ok(read) = timeout(cache.read_limit, read).await else {
            cache.read_timed_out();
            return None;
        };
        let tree = read.ok()??;
        let compile = move |loader: &Self| loader.compile(tree, fingerprint, None);
        self.load_blocking(fingerprint, compile).await.ok()
    }

    async fn fetch(
        &self,
        endpoint: &Endpoint,
        fingerprint: Fingerprint,
        base: Option<&Content>,
    ) -> Result<Vec<u8>, Fault> {
        let mut path = names::snapshot_path(&self.namespace, &self.workspace, &fingerprint.to_string());
        if let Some(base) = base {
            path = format!("{path}?base={}", base.fingerprint());
        }
        let what = format!("fetching {} of workspace `{}`", fingerprint.short(), self.workspace);
        endpoint.send(&what, Request::get(path), Vec::new(), LIMIT).await
    }

    fn unpack(&self, bytes: &[u8], fingerprint: Fingerprint, base: Option<&Content>) -> Result<Tree, LoadError> {
        let tree = snapshot::unpack(bytes, fingerprint, base.map(|base| base.tree()), &Limits::default());
        tree.map_err(|error| {
            let name = fingerprint.short();
            not_unpacked(&error, format!("unpacking {name} of workspace `{}` failed: {error}", self.workspace))
        })
    }

    fn compile(&self, tree: Tree, fingerprint: Fingerprint, base: Option<&Content>) -> Result<Workspace, LoadError> {
        let refused = |code, reason: &dyn Display| self.refused(fingerprint, code, reason);
        let content = Content::new(tree, base).compile(base).map_err(|error| refused("not_compiled", &error))?;
        let origin = Origin {
            source: self.source.clone(),
            fingerprint: Some(SourceFingerprint::ContentHash(fingerprint.to_string())),
            revision: None,
            immutable: false,
        };
        let workspace = Workspace::new(Arc::new(content), origin);
        self.checks.pass(&workspace).map_err(|reason| refused("check_failed", &reason))?;
        Ok(workspace)
    }

    fn refused(&self, fingerprint: Fingerprint, code: &'static str, reason: &dyn Display) -> LoadError {
        let (name, workspace) = (fingerprint.short(), &self.workspace);
        let message = format!("using {name} of workspace `{workspace}` failed: {reason}");
        LoadError::Refused(Fault::persistent(code, message))
    }
}

fn not_unpacked(error: &SnapshotError, message: String) -> LoadError {
    match error {
        SnapshotError::EngineTooOld(_) => LoadError::Refused(Fault::persistent("engine_too_old", message)),
        SnapshotError::UnknownVersion(_) => LoadError::Refused(Fault::persistent("snapshot_version_unknown", message)),
        SnapshotError::Refused(_) => LoadError::Refused(Fault::persistent("snapshot_too_large", message)),
        // The bytes were altered or cut off on the way. The next fetch may bring others, and has no base.
        SnapshotError::Damaged(_)
        | SnapshotError::Incomplete(_)
        | SnapshotError::Pack(_)
        | SnapshotError::WrongContent { .. } => LoadError::Fetch(Fault::persistent("snapshot_damaged", message)),
    }
}

/// Runs work that takes long, such as compiling, on a thread where no task of the application waits for it.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Fault::transient("load_interrupted", "loading a snapshot was interrupted"))
}
