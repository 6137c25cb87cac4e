//! Reads the layers of a workspace, on a thread of its own: they may come over the network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use rototo_engine::Tree;
use rototo_engine::parse::extended_by;
use rototo_source::{Limits, MAX_LAYERS, Reader, ReaderOptions, Source, read_directory, read_document};

use crate::workspace::{MANIFEST, WorkspaceEvent};

/// The documents that a workspace has from its layers.
#[derive(Default)]
pub(crate) struct LayerDocuments {
    pub(super) tree: Tree,
    /// The files of those that come from directories of this machine.
    pub(super) files: BTreeMap<String, PathBuf>,
}

/// One reading of the layers of a workspace, among others.
#[derive(Clone, Default)]
pub(super) struct Reading(Arc<()>);

impl PartialEq for Reading {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The result of reading the layers of a workspace.
pub(crate) struct LayersRead {
    /// The workspace.
    pub(crate) root: PathBuf,
    pub(super) reading: Reading,
    /// The documents below the workspace's own ones, or the reason for which there are none.
    pub(super) documents: Result<LayerDocuments, String>,
}

/// Begins to read; the result arrives as an event.
pub(super) fn read(root: PathBuf, events: Sender<WorkspaceEvent>) -> Reading {
    let reading = Reading::default();
    let started = std::thread::Builder::new().name("layers".to_owned()).spawn({
        let (root, reading, events) = (root.clone(), reading.clone(), events.clone());
        move || {
            let documents = documents(&root);
            // The server ends.
            let _ = events.send(WorkspaceEvent::Layers(LayersRead { root, reading, documents }));
        }
    });
    if let Err(error) = started {
        let (reading, documents) = (reading.clone(), Err(error.to_string()));
        let _ = events.send(WorkspaceEvent::Layers(LayersRead { root, reading, documents }));
    }
    reading
}

/// Returns the directories of this machine that are layers of a workspace, or layers of layers, by the manifests that can
/// be read. One that is not there is among them. Only a directory of this machine leads to one, and the reader refuses more
/// than it has layers.
pub(super) fn directories(root: &Path) -> BTreeSet<PathBuf> {
    let root = real_path(root);
    let mut found = BTreeSet::new();
    let mut left = named_in(&root);
    while let Some(directory) = left.pop() {
        if directory != root && found.len() < MAX_LAYERS && found.insert(directory.clone()) {
            left.extend(named_in(&directory));
        }
    }
    found
}

/// Returns the directories that the manifest in a directory names as layers.
fn named_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(Some(manifest)) = read_document(directory, MANIFEST, &Limits::default()) else { return Vec::new() };
    let sources = extended_by(manifest);
    let sources = sources.iter().filter_map(|source| source.value()?.parse().ok());
    let local = sources.filter_map(|source| match source {
        Source::Local(path) => Some(real_path(&directory.join(path))),
        _ => None,
    });
    local.collect()
}

/// Returns a path without links on the way, as far as it exists.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    let real = |known: &Path| Some(known.canonicalize().ok()?.join(path.strip_prefix(known).ok()?));
    path.ancestors().find_map(real).unwrap_or_else(|| path.to_owned())
}

/// Reads the documents that the workspace has from its layers.
fn documents(root: &Path) -> Result<LayerDocuments, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let reader = Reader::new(ReaderOptions::default()).map_err(|error| error.to_string())?;
    let read = runtime.block_on(reader.read(&Source::Local(root.to_owned())));
    let (pinned, mut all) = read.map_err(|error| error.to_string())?;
    let own = read_directory(root, &Limits::default()).map_err(|error| error.to_string())?;
    all.retain(|path| own.get(path).is_none());
    let mut files = BTreeMap::new();
    for layer in pinned.layers() {
        let Source::Local(directory) = layer.source() else { continue };
        let Ok(directory) = directory.canonicalize() else { continue };
        for (path, document) in all.iter() {
            // A layer above it may have replaced the document.
            let read = read_document(&directory, path, &Limits::default());
            if read.ok().flatten().is_some_and(|bytes| *bytes == *document.bytes) {
                files.insert(path.to_string(), directory.join(&**path));
            }
        }
    }
    Ok(LayerDocuments { tree: all, files })
}
