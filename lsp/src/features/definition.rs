//! Go to definition, find references, and highlights.

use gen_lsp_types as lsp;
use rototo_engine::mention::{Form, Name, everywhere, in_document};
use rototo_engine::parse::CONTEXT_SCHEMA;
use rototo_engine::text::Span;

use crate::features::schema_places::declaration;
use crate::features::{Site, layer, location};
use crate::position::range_of;
use crate::workspace::Workspace;

/// Returns the definition of the thing that is mentioned at a place.
pub(crate) fn definition(site: Site<'_>) -> Option<lsp::Location> {
    match site.mention() {
        Some(mention) => defined(site.workspace, &mention.name),
        None => layer::at(site)?.definition(),
    }
}

/// Returns the mentions of the thing that is mentioned at a place; elsewhere, of the thing that the document is.
pub(crate) fn references(site: Site<'_>, with_definition: bool) -> Vec<lsp::Location> {
    let name = site.mention().map(|mention| mention.name).or_else(|| Name::of_document(site.path));
    let Some(name) = name else { return Vec::new() };
    let mentions = everywhere(site.workspace.parsed(), &name);
    let uses = mentions.iter().filter(|mention| mention.form != Form::Key);
    let uses = uses.filter_map(|mention| location(site.workspace, &mention.path, mention.span));
    let definition = with_definition.then(|| defined(site.workspace, &name)).flatten();
    definition.into_iter().chain(uses).collect()
}

/// Returns the mentions in the same document.
pub(crate) fn highlights(site: Site<'_>) -> Vec<lsp::DocumentHighlight> {
    let (Some(mention), Some(bytes)) = (site.mention(), site.workspace.bytes(site.path)) else { return Vec::new() };
    let same = in_document(site.workspace.parsed(), site.path).into_iter();
    let same = same.filter(|other| other.name == mention.name);
    let kind = |form| match form {
        Form::Key => lsp::DocumentHighlightKind::Write,
        Form::ExpectationKey | Form::Text(_) | Form::RelativePath => lsp::DocumentHighlightKind::Read,
    };
    same.map(|other| lsp::DocumentHighlight { range: range_of(bytes, other.span), kind: Some(kind(other.form)) })
        .collect()
}

/// Returns the place where a thing is defined: a key, a part of the context schema, or the start of a document.
fn defined(workspace: &Workspace, name: &Name) -> Option<lsp::Location> {
    match name {
        Name::Value { variable, .. } => {
            let path = format!("variables/{variable}.toml");
            let mut mentions = in_document(workspace.parsed(), &path).into_iter();
            let key = mentions.find(|mention| mention.form == Form::Key && mention.name == *name)?;
            location(workspace, &path, key.span)
        }
        Name::Attribute { path } => {
            let schema = std::str::from_utf8(workspace.bytes(CONTEXT_SCHEMA)?).ok()?;
            location(workspace, CONTEXT_SCHEMA, declaration(schema, path)?)
        }
        _ => location(workspace, &name.document()?, Span::default()),
    }
}
