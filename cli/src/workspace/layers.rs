//! The files of documents that a workspace has from its layers.

use std::path::Path;

use rototo_engine::Parsed;
use rototo_source::Source;

use crate::workspace::{directory, in_repository_of, percent_encoded, subdirectory};

/// The place of a document of a layer, as a code host sees it from the repository of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LayerPlace {
    /// This file of the same repository; or an absolute path, if it is elsewhere on this machine.
    File(String),
    /// This file of another repository or archive.
    Elsewhere(String),
}

/// Returns the place of a document, if a layer of the workspace at `own` has it.
pub(crate) fn place(own: &Source, parsed: &Parsed, path: &str) -> Option<LayerPlace> {
    let layer = layer_of(parsed, path)?;
    Some(match (own, &layer) {
        (Source::Local(_), Source::Local(_)) => {
            LayerPlace::File(in_repository_of(&directory(own)?, directory(&layer)?.join(path)))
        }
        (Source::Git(one), Source::Git(other))
            if one.remote() == other.remote() && one.reference() == other.reference() =>
        {
            LayerPlace::File(joined(&subdirectory(&layer), path))
        }
        (Source::Archive(one), Source::Archive(other)) if one.url() == other.url() => {
            LayerPlace::File(joined(&subdirectory(&layer), path))
        }
        _ => LayerPlace::Elsewhere(address(&layer, path)),
    })
}

/// Returns the URI of a document, if a layer has it.
pub(crate) fn uri(parsed: &Parsed, path: &str) -> Option<String> {
    let layer = layer_of(parsed, path)?;
    Some(match directory(&layer) {
        Some(directory) => format!("file://{}", percent_encoded(&directory.join(path).to_string_lossy())),
        None => address(&layer, path),
    })
}

/// Returns the path of a document as a person finds it: below the layer that has it, or below `root`.
pub(crate) fn shown(parsed: &Parsed, root: &str, path: &str) -> String {
    match layer_of(parsed, path) {
        Some(layer) => address(&layer, path),
        // Joining an empty path would end in a slash.
        _ if path.is_empty() => root.to_owned(),
        _ => Path::new(root).join(path).display().to_string(),
    }
}

/// Returns the layer that has a document, if it is not the workspace itself.
fn layer_of(parsed: &Parsed, path: &str) -> Option<Source> {
    parsed.tree().layer_of(path)?.parse().ok()
}

/// Returns the address of a document of a layer.
fn address(layer: &Source, path: &str) -> String {
    match layer {
        Source::Local(directory) => directory.join(path).display().to_string(),
        layer => match (subdirectory(layer).is_empty(), layer.to_string()) {
            (false, layer) => format!("{layer}/{path}"),
            (true, layer) if layer.contains('#') => format!("{layer}:{path}"),
            (true, layer) => format!("{layer}#:{path}"),
        },
    }
}

/// Returns the path of a file below a directory, which may be empty.
pub(crate) fn joined(directory: &str, path: &str) -> String {
    if directory.is_empty() { path.to_owned() } else { format!("{directory}/{path}") }
}
