//! Reads the layers of a workspace, on a thread of its own: they may come over the network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use rototo_engine::Tree;
use rototo_source::{Limits, Reader, ReaderOptions, Source, read_directory, read_document};

use crate::workspace::WorkspaceEvent;

/// The documents that a workspace has from its layers.
#[derive(Default)]
pub(crate) struct LayerDocuments {
    pub(super) tree: Tree,
    /// The files of those that come from directories of this machine.
    pub(super) files: BTreeMap<String, PathBuf>,
}

/// Begins to read; the result arrives as an event.
pub(super) fn read(root: PathBuf, events: Sender<WorkspaceEvent>) {
    let started = std::thread::Builder::new().name("layers".to_owned()).spawn({
        let (root, events) = (root.clone(), events.clone());
        move || {
            let base = documents(&root);
            // The server ends.
            let _ = events.send(WorkspaceEvent::Layers { root, base });
        }
    });
    if let Err(error) = started {
        let _ = events.send(WorkspaceEvent::Layers { root, base: Err(error.to_string()) });
    }
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
