//! A layer that the manifest names: its directory, if it is one of this machine.

use std::path::PathBuf;

use gen_lsp_types as lsp;
use rototo_engine::parse::{Extends, Parse};
use rototo_engine::text::Span;
use rototo_source::Source;

use crate::features::{Site, words};
use crate::position::uri_of;
use crate::workspace::MANIFEST;

/// A layer in the list of a manifest.
pub(super) struct Layer {
    /// The text in the list.
    written: String,
    span: Span,
    /// The directory of this machine.
    directory: Option<PathBuf>,
}

/// Returns the layer that is named at a place.
pub(super) fn at(site: Site<'_>) -> Option<Layer> {
    if site.path != MANIFEST {
        return None;
    }
    let manifest = site.workspace.parsed().manifest.as_ref().and_then(Parse::content)?;
    let Extends::Sources(sources) = &manifest.extends else { return None };
    let mut named = sources.iter().filter_map(|source| source.present());
    let named = named.find(|named| named.span.start <= site.at && site.at <= named.span.end)?;
    let directory = match named.value.parse() {
        Ok(Source::Local(path)) => Some(site.workspace.root().join(path)),
        _ => None,
    };
    let directory = directory.map(|directory| directory.canonicalize().unwrap_or(directory));
    Some(Layer { written: named.value.to_string(), span: named.span, directory })
}

impl Layer {
    /// Returns the manifest of a layer on this machine.
    pub(super) fn definition(&self) -> Option<lsp::Location> {
        let manifest = self.directory.as_ref()?.join(MANIFEST);
        manifest.is_file().then(|| lsp::Location { uri: uri_of(&manifest), range: lsp::Range::default() })
    }

    /// Describes the layer in words, and returns its place.
    pub(super) fn about(&self) -> (String, Span) {
        let found = match (&self.directory, self.definition()) {
            (Some(directory), Some(_)) => format!("the directory {}", words::code(&directory.display().to_string())),
            (Some(directory), None) => {
                format!("the directory {}, which holds no workspace", words::code(&directory.display().to_string()))
            }
            (None, _) => "read when the workspace is opened, and when its manifest is saved".to_owned(),
        };
        (format!("layer {}: {found}\n", words::code(&self.written)), self.span)
    }
}
