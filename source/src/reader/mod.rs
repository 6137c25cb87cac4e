//! Reads sources: [`Reader::pin`] finds the current version of a source, and [`Reader::fetch`] reads the documents of
//! that version.

mod cache;
mod charged;
mod layers;
mod local;
mod options;
mod single;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rototo_engine::{DocumentKind, Tree};

use crate::credentials::Access;
use crate::error::{LayerFault, Operation, SignatureFault, SourceError, SourceFault};
use crate::git::{CommitInfo, GitRequest};
use crate::hosts::{Recent, charged_to};
use crate::limits::ReadBudget;
use crate::pinned_source::{Layer, PinnedSource};
pub use crate::reader::layers::MAX_LAYERS;
use crate::reader::layers::{Parent, Walk};
pub use crate::reader::local::{read_directory, read_directory_with_tests, read_document};
pub use crate::reader::options::{FileSources, ReaderOptions};
use crate::reader::single::SingleReader;
use crate::signatures::SignaturePolicy;

/// A reader of any number of sources at once. Share one: callers with the same question share one request, and one
/// cache.
pub struct Reader {
    single: SingleReader,
    /// The layers of each source's workspace when it was last read, and the version then.
    layers: Mutex<Recent<Access, (Layer, Vec<Layer>)>>,
}

impl Reader {
    /// Makes a reader. Fails only if its directory can't be made.
    pub fn new(options: ReaderOptions) -> Result<Self, SourceError> {
        Ok(Self { single: SingleReader::new(options)?, layers: Mutex::default() })
    }

    /// Finds the current version of a source. A [`Source`](crate::Source) is opened with the user's own settings, an
    /// [`Access`] with its credentials.
    pub async fn pin(&self, access: impl Into<Access>) -> Result<PinnedSource, SourceError> {
        self.pin_within(access, Duration::ZERO).await
    }

    /// Finds the version of a source, from an answer that is at most `age` old. So a thousand workspaces of one
    /// repository cost one request per interval.
    ///
    /// The layers of a workspace are known once it has been read. From then on they are pinned too.
    pub async fn pin_within(&self, access: impl Into<Access>, age: Duration) -> Result<PinnedSource, SourceError> {
        let access = access.into();
        let failed = |fault| self.failure(Operation::Pin, &access, fault);
        let now = Instant::now();
        let since = now.checked_sub(age).unwrap_or(now);
        let own = self.single.pin(&access, since).await.map_err(failed)?;
        let Some(parents) = self.parents_of(&own, now) else { return Ok(PinnedSource::new(own, None)) };
        let mut pinned = Vec::new();
        for parent in parents {
            let layer = self.single.pin(parent.access(), since).await;
            pinned.push(layer.map_err(|fault| failed(layers::of_parent_without(&access, parent.access(), fault)))?);
        }
        Ok(PinnedSource::new(own, Some(pinned)))
    }

    /// Returns the time when this reader first got an answer that named the pinned version: the commit of the layer
    /// that moved last, for any caller, and also if the fetch failed. `None` for sources without commits.
    pub async fn named_since(&self, pinned: &PinnedSource) -> Option<Instant> {
        let mut newest = None;
        for layer in pinned.layers() {
            newest = newest.max(self.single.named_since(layer).await);
        }
        newest
    }

    /// Returns the time of the request that the oldest answer about a layer belongs to, if git hosts were asked: an
    /// answer may be older than the call that it was good enough for.
    pub async fn asked_at(&self, pinned: &PinnedSource) -> Option<Instant> {
        let mut oldest: Option<Instant> = None;
        for layer in pinned.layers() {
            let asked = self.single.asked_at(layer).await;
            oldest = oldest.into_iter().chain(asked).min();
        }
        oldest
    }

    /// Reads the documents of a pinned source.
    pub async fn fetch(&self, pinned: &PinnedSource) -> Result<Tree, SourceError> {
        self.fetch_layers(pinned).await.map(|(_, tree)| tree)
    }

    /// Reads the documents of a pinned source, and returns them with the versions of its layers. Layers that were not
    /// known are pinned now.
    pub async fn fetch_layers(&self, pinned: &PinnedSource) -> Result<(PinnedSource, Tree), SourceError> {
        let failed = |fault| self.failure(Operation::Fetch, pinned.own().access(), fault);
        let mut descent = LayerReader {
            single: &self.single,
            pinned,
            since: Instant::now(),
            walk: Walk::default(),
            budget: ReadBudget::new(self.single.limits()),
            entry: None,
        };
        let read = descent.read(pinned.own().clone()).await;
        let tree = read.map_err(|fault| failed(fault).with_extends_entry(descent.entry))?;
        let mut parents = descent.walk.layers();
        let own = parents.pop().unwrap_or_else(|| pinned.own().clone());
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        layers.insert(own.access().clone(), (own.clone(), parents.clone()), now);
        layers.forget(now);
        Ok((PinnedSource::new(own, Some(parents)), tree))
    }

    /// Returns the author and the subject of the commit of a source that was read; `None` for sources without commits.
    pub async fn commit_info(&self, pinned: &PinnedSource) -> Option<CommitInfo> {
        self.single.commit_info(pinned.own()).await
    }

    /// Verifies that every layer of a source that [was read](Self::fetch_layers) is signed as `policy` asks, and refuses
    /// one that was only pinned. Returns the signer of the source itself.
    pub async fn verify(&self, pinned: &PinnedSource, policy: &SignaturePolicy) -> Result<String, SourceError> {
        if pinned.parents().is_none() {
            return Err(self.failure(Operation::Verify, pinned.own().access(), SignatureFault::NotRead.into()));
        }
        // Several directories of one commit are one signed object.
        let mut verified: HashMap<Layer, String> = HashMap::new();
        let mut signer = String::new();
        for layer in pinned.layers() {
            let failed = |fault| self.failure(Operation::Verify, layer.access(), fault);
            let signed = layer.at_root();
            signer = match verified.get(&signed) {
                Some(signer) => signer.clone(),
                None => self.single.verify(layer, policy).await.map_err(failed)?,
            };
            verified.insert(signed, signer.clone());
        }
        Ok(signer)
    }

    /// Pins and fetches a source, for callers that read it once.
    pub async fn read(&self, access: impl Into<Access>) -> Result<(PinnedSource, Tree), SourceError> {
        let pinned = self.pin(access).await?;
        self.fetch_layers(&pinned).await
    }

    /// Runs `work`, which reads with this reader, for `owner`: what is kept on the disk for it is charged to `owner`.
    pub async fn charged_to<T>(&self, owner: &str, work: impl Future<Output = T>) -> T {
        charged_to(Some(owner.into()), work).await
    }

    /// Returns the bytes of all repositories and downloads on the disk for which `owner` has asked within the last hour.
    #[must_use]
    pub fn kept_bytes(&self, owner: &str) -> u64 {
        self.single.kept_bytes(owner)
    }

    /// Returns the bytes of all repositories and downloads on the disk, whoever asked for them, also those of an earlier
    /// process.
    #[must_use]
    pub fn kept_bytes_of_all(&self) -> u64 {
        self.single.kept_bytes_of_all()
    }

    /// Removes repositories and downloads until at most `bytes` are on the disk: those first that an earlier process has left
    /// and nobody has asked for again, then those of the owners who have the most, and of an owner what it has not asked for
    /// for the longest time. Leaves what is being used. Returns their number.
    pub fn evict_of_all(&self, bytes: u64) -> usize {
        self.single.evict_of_all(bytes)
    }

    /// Removes what is kept on the disk for `owner`, beginning with what it has not asked for for the longest time, until
    /// it is charged for at most `bytes`. Leaves what is being used. What others have asked for stays, and is no longer
    /// charged to `owner` until it asks again. Returns the number of repositories and downloads.
    ///
    /// Nothing of it is lost: the next reading that needs it transfers it again.
    pub fn evict(&self, owner: &str, bytes: u64) -> usize {
        self.single.evict(owner, bytes)
    }

    /// Returns the number of requests to git hosts since this reader was made, by kind and outcome.
    #[must_use]
    pub fn git_requests(&self) -> Vec<(GitRequest, u64)> {
        self.single.git_requests()
    }

    /// Returns the parents of `own`, if it is the version that was last read.
    fn parents_of(&self, own: &Layer, now: Instant) -> Option<Vec<Layer>> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, parents) = layers.touch(own.access(), now)?;
        (read == own).then(|| parents.clone())
    }

    fn failure(&self, operation: Operation, access: &Access, fault: SourceFault) -> SourceError {
        let error = SourceError::new(operation, access.source(), fault);
        let wait = error.is_transient().then(|| self.single.wait(access)).flatten();
        error.with_retry_after(wait)
    }
}

/// The reading of the layers of one workspace, from the top down.
struct LayerReader<'a> {
    single: &'a SingleReader,
    pinned: &'a PinnedSource,
    since: Instant,
    walk: Walk,
    budget: ReadBudget<'a>,
    /// The entry of the workspace's own `extends` that is being followed.
    entry: Option<usize>,
}

impl LayerReader<'_> {
    fn read(&mut self, layer: Layer) -> Pin<Box<dyn Future<Output = Result<Tree, SourceFault>> + Send + '_>> {
        Box::pin(async move {
            self.walk.enter(self.single.place(layer.source()).await)?;
            let tree = self.single.read(&layer).await?;
            if self.walk.depth() > 1 && !tree.iter().any(|(path, _)| DocumentKind::at(path).is_some()) {
                return Err(LayerFault::NoWorkspace.into());
            }
            if self.walk.depth() > 1 {
                layers::check_manifest(&layer, &tree)?;
            }
            // Each layer is within the limits by itself, and so are all together.
            for (_, document) in tree.iter() {
                self.budget.entry()?;
                self.budget.bytes(u64::try_from(document.bytes.len()).unwrap_or(u64::MAX))?;
            }
            let mut base = Tree::default();
            let parents = layers::parents(&layer, &tree).map_err(|(entry, fault)| {
                self.follow(entry);
                fault
            })?;
            for (entry, parent) in parents {
                self.follow(entry);
                let access = parent.access().clone();
                let below = self.read_parent(parent).await;
                let below = below.map_err(|fault| layers::of_parent_without(layer.access(), &access, fault))?;
                base = below.over(&base);
            }
            let tree = match self.walk.depth() {
                1 => tree,
                _ => tree.as_layer(layer.source().to_string()),
            };
            self.walk.leave(layer);
            Ok(tree.over(&base))
        })
    }

    /// Takes note of the entry that is followed, unless it is one of a layer.
    fn follow(&mut self, entry: usize) {
        if self.walk.depth() == 1 {
            self.entry = Some(entry);
        }
    }

    async fn read_parent(&mut self, parent: Parent) -> Result<Tree, SourceFault> {
        let layer = match parent {
            Parent::Inside(layer) => layer,
            Parent::Elsewhere(access) => {
                let known = self.pinned.parents().into_iter().flatten().find(|layer| *layer.access() == access);
                match known {
                    Some(layer) => layer.clone(),
                    None => self.single.pin(&access, self.since).await?,
                }
            }
        };
        self.read(layer).await
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("directory", &self.single.directory()).finish_non_exhaustive()
    }
}
