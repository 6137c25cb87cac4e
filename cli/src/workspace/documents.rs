//! The list of a workspace's documents in reports.

use rototo_engine::{DocumentKind, Parsed};
use serde::Serialize;

use crate::workspace::{Workspace, layers};

/// One document in the shape that scripts read.
#[derive(Serialize)]
pub(crate) struct ReportedDocument<'a> {
    id: usize,
    path: &'a str,
    uri: String,
    // The version that an editor counts; a file has none.
    version: Option<u64>,
    kind: &'static str,
}

/// Returns the documents in the order in which they are read: the targets of references come first.
pub(crate) fn documents<'a>(workspace: &Workspace, parsed: &'a Parsed) -> Vec<ReportedDocument<'a>> {
    let mut documents: Vec<_> = parsed.tree().iter().map(|(path, document)| (&**path, document.kind)).collect();
    documents.sort_by_key(|(path, kind)| (rank(*kind), resource_of(path, *kind), *kind, *path));
    let numbered = documents.into_iter().enumerate();
    numbered
        .map(|(id, (path, kind))| ReportedDocument {
            id,
            path,
            uri: layers::uri(parsed, path).unwrap_or_else(|| workspace.uri(path)),
            version: None,
            kind: name(kind),
        })
        .collect()
}

fn rank(kind: DocumentKind) -> u8 {
    match kind {
        DocumentKind::Manifest => 0,
        DocumentKind::Qualifier => 1,
        DocumentKind::Variable => 2,
        DocumentKind::Resource | DocumentKind::ResourceObject => 3,
        DocumentKind::Schema => 4,
        DocumentKind::CustomLint => 5,
    }
}

/// Returns the resource of a document, after which its objects are listed.
fn resource_of(path: &str, kind: DocumentKind) -> &str {
    match kind {
        DocumentKind::Resource => path.strip_suffix(".toml").unwrap_or(path),
        DocumentKind::ResourceObject => path.rsplit_once("-objects/").map_or(path, |(resource, _)| resource),
        _ => "",
    }
}

fn name(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Manifest => "manifest",
        DocumentKind::Variable => "variable",
        DocumentKind::Qualifier => "qualifier",
        DocumentKind::Resource => "resource",
        DocumentKind::ResourceObject => "resource_object",
        DocumentKind::Schema => "schema",
        DocumentKind::CustomLint => "custom_lint",
    }
}
