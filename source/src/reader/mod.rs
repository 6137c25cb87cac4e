//! Reads sources: first [`Reader::pin`], which finds out what a source is right now, then [`Reader::fetch`], which
//! brings exactly that.

mod cache;
mod layers;
mod local;
mod options;
mod single;

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rototo_engine::Tree;

use crate::credentials::Access;
use crate::error::{Operation, SourceError, SourceFault};
use crate::git::GitRequest;
use crate::hosts::Recent;
use crate::limits::ReadBudget;
use crate::pinned_source::{Layer, PinnedSource};
use crate::reader::layers::{Parent, Walk};
pub use crate::reader::options::{FileSources, ReaderOptions};
use crate::reader::single::SingleReader;
use crate::spec::Source;

/// Reads sources, however many and at once. Share one: it asks a repository once for all who want to know the same,
/// and keeps what it has fetched.
pub struct Reader {
    single: SingleReader,
    /// Which layers the workspace of a source had when it was read last, and at which version.
    layers: Mutex<Recent<Access, (Layer, Vec<Layer>)>>,
}

impl Reader {
    /// A reader. Fails only if its directory can't be made.
    pub fn new(options: ReaderOptions) -> Result<Self, SourceError> {
        Ok(Self { single: SingleReader::new(options)?, layers: Mutex::default() })
    }

    /// Finds out what a source is now. A [`Source`] is opened with the user's own set-up, an [`Access`] with the
    /// credentials in it.
    pub async fn pin(&self, access: impl Into<Access>) -> Result<PinnedSource, SourceError> {
        self.pin_within(access, Duration::ZERO).await
    }

    /// Finds out what a source is, where an answer that another got at most `age` ago will do. So a thousand workspaces
    /// of one repository cost one question per interval.
    ///
    /// Which sources the workspace extends is known once it has been read. From then on they are looked up too.
    pub async fn pin_within(&self, access: impl Into<Access>, age: Duration) -> Result<PinnedSource, SourceError> {
        let access = access.into();
        let failed = |fault| self.failure(Operation::Pin, access.source(), fault);
        let now = Instant::now();
        let since = now.checked_sub(age).unwrap_or(now);
        let own = self.single.pin(&access, since).await.map_err(failed)?;
        let Some(parents) = self.parents_of(&own, now) else { return Ok(PinnedSource::new(own, None)) };
        let mut pinned = Vec::new();
        for parent in parents {
            let layer = self.single.pin(parent.access(), since).await;
            pinned.push(layer.map_err(|fault| failed(layers::of_parent(parent.source(), fault)))?);
        }
        Ok(PinnedSource::new(own, Some(pinned)))
    }

    /// When this reader first got an answer that names what was pinned: the commit of the layer that moved last, whoever
    /// asked for it, and whatever became of the fetch that followed. `None` for sources without commits.
    pub async fn named_since(&self, pinned: &PinnedSource) -> Option<Instant> {
        let mut newest = None;
        for layer in pinned.layers() {
            newest = newest.max(self.single.named_since(layer).await);
        }
        newest
    }

    /// Brings the documents of what was pinned.
    pub async fn fetch(&self, pinned: &PinnedSource) -> Result<Tree, SourceError> {
        self.fetch_layers(pinned).await.map(|(_, tree)| tree)
    }

    /// Brings the documents of what was pinned, and says from which layers they are. Parents that nobody has looked up
    /// so far are what they are now.
    pub async fn fetch_layers(&self, pinned: &PinnedSource) -> Result<(PinnedSource, Tree), SourceError> {
        let failed = |fault| self.failure(Operation::Fetch, pinned.source(), fault);
        let mut descent = LayerReader {
            single: &self.single,
            pinned,
            since: Instant::now(),
            walk: Walk::default(),
            budget: ReadBudget::new(self.single.limits()),
        };
        let tree = descent.read(pinned.own().clone()).await.map_err(failed)?;
        let mut parents = descent.walk.layers();
        let own = parents.pop().unwrap_or_else(|| pinned.own().clone());
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        layers.insert(own.access().clone(), (own.clone(), parents.clone()), now);
        layers.forget(now);
        Ok((PinnedSource::new(own, Some(parents)), tree))
    }

    /// Both at once, for who reads a source a single time.
    pub async fn read(&self, access: impl Into<Access>) -> Result<(PinnedSource, Tree), SourceError> {
        let pinned = self.pin(access).await?;
        self.fetch_layers(&pinned).await
    }

    /// What was asked of git hosts since this reader was made, by kind and outcome.
    #[must_use]
    pub fn git_requests(&self) -> Vec<(GitRequest, u64)> {
        self.single.git_requests()
    }

    /// The parents of `own`, if it is what was read last.
    fn parents_of(&self, own: &Layer, now: Instant) -> Option<Vec<Layer>> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, parents) = layers.touch(own.access(), now)?;
        (read == own).then(|| parents.clone())
    }

    fn failure(&self, operation: Operation, source: &Source, fault: SourceFault) -> SourceError {
        let error = SourceError::new(operation, source, fault);
        let host = source.host().filter(|_| error.is_transient());
        let wait = host.and_then(|host| self.single.wait(host));
        error.with_retry_after(wait)
    }
}

/// Reads the layers of one workspace, from the top down.
struct LayerReader<'a> {
    single: &'a SingleReader,
    pinned: &'a PinnedSource,
    since: Instant,
    walk: Walk,
    budget: ReadBudget<'a>,
}

impl LayerReader<'_> {
    fn read(&mut self, layer: Layer) -> Pin<Box<dyn Future<Output = Result<Tree, SourceFault>> + Send + '_>> {
        Box::pin(async move {
            self.walk.enter(self.single.place(layer.source()).await)?;
            let tree = self.single.read(&layer).await?;
            // Each layer is within the limits by itself; so are all together.
            for (_, document) in tree.iter() {
                self.budget.entry()?;
                self.budget.bytes(u64::try_from(document.bytes.len()).unwrap_or(u64::MAX))?;
            }
            let mut base = Tree::default();
            for parent in layers::parents(&layer, &tree)? {
                let source = parent.access().source().clone();
                let below = self.read_parent(parent).await.map_err(|fault| layers::of_parent(&source, fault))?;
                base = below.over(&base);
            }
            self.walk.leave(layer);
            Ok(tree.over(&base))
        })
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
