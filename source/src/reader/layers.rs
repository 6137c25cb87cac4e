//! Layers of a workspace (`extends`): which parents a manifest names, and which files result.
//!
//! A parent is a source with a version of its own. A relative one is in the same source as its child, at the same
//! version. Files replace each other as a whole, by path; the base comes first, and the workspace itself last.

use std::sync::Arc;

use rototo_engine::Tree;
use rototo_engine::parse::{extended_by, manifest_fault};

use crate::credentials::Access;
use crate::error::{LayerFault, SourceFault};
use crate::pinned_source::Layer;
use crate::spec::{InvalidSubdirectory, RemoteUrl, Source};

/// The most sources of one workspace.
pub const MAX_LAYERS: usize = 32;

/// A parent, relative to its child.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    /// A parent in the same source, so at the same version.
    Inside(Layer),
    /// A source of its own, which has to be pinned.
    Elsewhere(Access),
}

impl Parent {
    pub(crate) fn access(&self) -> &Access {
        match self {
            Self::Inside(layer) => layer.access(),
            Self::Elsewhere(access) => access,
        }
    }
}

/// Returns the parents that the manifest of `tree` names, the base first, each with the index of its entry. A manifest
/// that can't be read has none; lint reports the fault of the workspace's own. The error has the index of the entry that
/// can't be followed.
pub(crate) fn parents(child: &Layer, tree: &Tree) -> Result<Vec<(usize, Parent)>, (usize, LayerFault)> {
    let Some(manifest) = tree.get("rototo-workspace.toml") else { return Ok(Vec::new()) };
    // The engine's parser is safe for any bytes: that of the toml crate alone overflows the stack on nested
    // dotted keys.
    let sources = extended_by(Arc::clone(&manifest.bytes));
    let named = sources.iter().enumerate().filter_map(|(index, source)| Some((index, source.value()?)));
    let followed = |(index, text): (usize, &Arc<str>)| match parent(child, index, text) {
        Ok(parent) => Ok((index, parent)),
        Err(fault) => Err((index, fault)),
    };
    named.map(followed).collect()
}

/// Refuses a layer whose manifest can't be read: without it, everything that the layer extends would be left out.
pub(crate) fn check_manifest(layer: &Layer, tree: &Tree) -> Result<(), LayerFault> {
    let manifest = tree.get("rototo-workspace.toml");
    match manifest.and_then(|manifest| manifest_fault(Arc::clone(&manifest.bytes))) {
        Some(reason) => Err(LayerFault::UnreadableManifest { at: layer.source().to_string(), reason }),
        None => Ok(()),
    }
}

fn parent(child: &Layer, index: usize, text: &str) -> Result<Parent, LayerFault> {
    let source: Source = text.parse().map_err(|reason| LayerFault::NoSource { number: index + 1, reason })?;
    let leaves = || LayerFault::Leaves(source.to_string());
    let inside = |source: Source| {
        let access = Access::new(source, child.access().credentials().clone());
        Ok(Parent::Inside(Layer::new(access, child.version().cloned())))
    };
    match (child.source(), &source) {
        // A directory of this machine may name any other.
        (Source::Local(directory), Source::Local(path)) => inside(Source::Local(directory.join(path))),
        (child, Source::Local(path)) if path.is_relative() => match child.inside(text) {
            Ok(source) => inside(source),
            Err(reason @ InvalidSubdirectory::TooLong { .. }) => {
                Err(LayerFault::NoSource { number: index + 1, reason: reason.into() })
            }
            Err(_) => Err(leaves()),
        },
        // Only a directory of this machine may lead to its disk, so a new kind of source does not either.
        (child, parent) if !matches!(child, Source::Local(_)) && parent.is_on_disk() => Err(leaves()),
        (_, Source::Kubernetes { .. }) => Err(LayerFault::Followed(source.to_string())),
        _ => {
            let credentials = child.access().credentials().for_parent(child.source(), &source);
            Ok(Parent::Elsewhere(Access::new(source, credentials)))
        }
    }
}

/// The layers of one workspace on the way down, and those that are done.
#[derive(Default)]
pub(crate) struct Walk {
    below: Vec<Source>,
    passed: Vec<Layer>,
}

impl Walk {
    /// Enters `source`.
    pub(crate) fn enter(&mut self, source: Source) -> Result<(), LayerFault> {
        if let Some(start) = self.below.iter().position(|below| *below == source) {
            let circle = self.below.iter().skip(start).chain([&source]).map(ToString::to_string);
            return Err(LayerFault::Cycle(circle.collect::<Vec<_>>().join(" → ")));
        }
        if self.below.len() + self.passed.len() >= MAX_LAYERS {
            return Err(LayerFault::TooMany { limit: MAX_LAYERS });
        }
        self.below.push(source);
        Ok(())
    }

    /// Returns the number of sources that have been entered and not left: 1 in the workspace itself.
    pub(crate) fn depth(&self) -> usize {
        self.below.len()
    }

    /// Leaves the innermost source, with its documents.
    pub(crate) fn leave(&mut self, layer: Layer) {
        self.below.pop();
        self.passed.push(layer);
    }

    /// Returns all layers, the base first.
    pub(crate) fn layers(self) -> Vec<Layer> {
        self.passed
    }
}

/// Wraps the fault of a parent with the parent's name.
pub(crate) fn of_parent(parent: &Source, fault: SourceFault) -> SourceFault {
    match fault {
        named @ SourceFault::Parent { .. } => named,
        fault => SourceFault::Parent { at: parent.to_string(), fault: Box::new(fault) },
    }
}

/// Wraps the fault of a parent whose child has credentials that the parent did not get.
pub(crate) fn of_parent_without(child: &Access, parent: &Access, fault: SourceFault) -> SourceFault {
    // The fault of another layer further down already has its name.
    if matches!(fault, SourceFault::Parent { .. }) {
        return fault;
    }
    let place = |access: &Access| access.source().url().map(RemoteUrl::place);
    let withheld =
        place(child) == place(parent) && !child.credentials().is_empty() && child.credentials() != parent.credentials();
    match fault.code() {
        "access_denied" | "no_repository" | "no_archive" if withheld => {
            LayerFault::OtherOwner { at: parent.source().to_string(), reason: fault.to_string() }.into()
        }
        _ => of_parent(parent.source(), fault),
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
