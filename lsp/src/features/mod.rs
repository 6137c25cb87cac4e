//! The answers to requests about a place in a document. Pure but for the workspace that they read.

pub(crate) mod completion;
pub(crate) mod definition;
pub(crate) mod diagnostics;
pub(crate) mod fixes;
pub(crate) mod hover;
mod layer;
pub(crate) mod rename;
mod schema_places;
mod words;

use gen_lsp_types as lsp;
use rototo_engine::DocumentKind;
use rototo_engine::mention::{Mention, in_document};
use rototo_engine::parse::{KeyPlace, quoted};
use rototo_engine::text::Span;

use crate::position::{byte_at, range_of, uri_of};
use crate::workspace::Workspace;

/// A place in a document or a test of a workspace.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) workspace: &'a Workspace,
    /// The document.
    pub(crate) path: &'a str,
    /// The byte in it.
    pub(crate) at: usize,
}

impl<'a> Site<'a> {
    /// Returns the place at a position of the protocol; `None` if there is no such document.
    pub(crate) fn new(workspace: &'a Workspace, path: &'a str, position: lsp::Position) -> Option<Self> {
        Some(Self { workspace, path, at: byte_at(workspace.bytes(path)?, position) })
    }

    /// Returns the mention at this place.
    fn mention(&self) -> Option<Mention> {
        let mentions = in_document(self.workspace.parsed(), self.path);
        mentions.into_iter().find(|mention| mention.span.start <= self.at && self.at <= mention.span.end)
    }

    /// Returns the text of the document, if it is text.
    fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.workspace.bytes(self.path)?).ok()
    }
}

/// Returns the address of a document or a test, as the client knows it.
pub(crate) fn uri(workspace: &Workspace, path: &str) -> lsp::Uri {
    match workspace.buffers.get(path) {
        Some(buffer) => buffer.uri.clone(),
        None => uri_of(&workspace.root().join(path)),
    }
}

/// Returns a span of a document, for the client. A document of a layer has an address only if it is a file of this
/// machine.
fn location(workspace: &Workspace, path: &str, span: Span) -> Option<lsp::Location> {
    let uri = if workspace.is_own(path) { uri(workspace, path) } else { uri_of(workspace.file_in_layer(path)?) };
    Some(lsp::Location { uri, range: range_of(workspace.bytes(path)?, span) })
}

/// Returns the place of a table in a document of this kind.
fn key_place(kind: DocumentKind, table: &[String]) -> Option<KeyPlace> {
    let table: Vec<&str> = table.iter().map(String::as_str).collect();
    Some(match (kind, table.as_slice()) {
        (DocumentKind::Manifest, []) => KeyPlace::Manifest,
        (DocumentKind::Variable, []) => KeyPlace::Variable,
        (DocumentKind::Variable, ["resolve"]) => KeyPlace::Resolve,
        (DocumentKind::Variable, ["resolve", "rule"]) => KeyPlace::Rule(0),
        (DocumentKind::Qualifier, []) => KeyPlace::Qualifier,
        (DocumentKind::Qualifier, ["predicate"]) => KeyPlace::Predicate(0),
        (DocumentKind::Resource, []) => KeyPlace::Resource,
        _ => return None,
    })
}

/// Writes a name as a key of TOML.
pub(crate) fn toml_key(text: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if !text.is_empty() && text.chars().all(is_bare) { text.to_owned() } else { quoted(text) }
}
