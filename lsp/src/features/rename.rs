//! Renames a variable, a qualifier, a resource, a value key, or a resource object everywhere at once: its mentions, and its
//! files.

use std::collections::BTreeMap;

use gen_lsp_types as lsp;
use rototo_engine::mention::{Form, Mention, Name, everywhere};
use rototo_engine::parse::{OBJECT_OF, Schema, quoted};
use rototo_engine::text::{Lines, Span};
use rototo_engine::{DocumentKind, Parsed, parse_after};

use crate::features::{Site, toml_key, uri};
use crate::position::{range_of, uri_of};
use crate::workspace::Workspace;

/// The new texts of spans, by document.
pub(crate) type Edits = BTreeMap<String, Vec<(Span, String)>>;

/// The forms of edits that a client can apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EditForms {
    /// Changes of documents in an order, with their versions.
    pub(crate) ordered: bool,
    /// Changes of the names of files among them.
    pub(crate) moves_files: bool,
}

/// Returns the range of the name that is mentioned at a place, and the name, if it can be renamed.
pub(crate) fn prepare(site: Site<'_>) -> Option<(lsp::Range, String)> {
    let bytes = site.workspace.bytes(site.path)?;
    let Some(mention) = site.mention() else {
        let here = Span { start: site.at, end: site.at };
        return Some((range_of(bytes, here), document(site)?.text().to_string()));
    };
    renamed(&mention.name, "")?;
    Some((range_of(bytes, name_in(bytes, &mention)), mention.name.text().to_string()))
}

/// Returns the variable or the resource that the document is. Nothing in their documents mentions them.
fn document(site: Site<'_>) -> Option<Name> {
    Name::of_document(site.path).filter(|name| matches!(name, Name::Variable { .. } | Name::Resource { .. }))
}

/// Returns the edit that renames the thing that is mentioned at a place; elsewhere in the document of a variable or a
/// resource, the edit that renames these.
///
/// # Errors
/// When there is nothing to rename, or the new name is impossible, with the reason.
pub(crate) fn rename(site: Site<'_>, new: &str, forms: EditForms) -> Result<lsp::WorkspaceEdit, String> {
    let mentioned = site.mention().map(|mention| mention.name);
    let name = mentioned.or_else(|| document(site)).ok_or("there is no name here")?;
    let target = renamed(&name, new)
        .ok_or("only variables, qualifiers, resources, value keys, and resource objects can be renamed")?;
    let edits = edits(site.workspace, &name, &target)?;
    refuse_in_scripts(site.workspace.parsed(), &name)?;
    let files = files(site.workspace, &name, &target)?;
    if !files.is_empty() && !forms.moves_files {
        return Err("this editor can't rename files by an edit: rename the file, and the names of it".to_owned());
    }
    let mut edit = workspace_edit(&[(site.workspace, edits)], forms);
    for (old, new) in files {
        let (old, new) = (uri(site.workspace, &old), uri_of(&site.workspace.root().join(new)));
        let file = lsp::DocumentChange::RenameFile(lsp::RenameFile::new(old, new, None, None));
        edit.document_changes.get_or_insert_default().push(file);
    }
    Ok(edit)
}

/// Returns the edits of the mentions of a thing whose file gets another path, for a client that renames the file
/// itself. Returns `None` if nothing has to change, or nothing can.
pub(crate) fn moved(workspace: &Workspace, old: &str, new: &str) -> Option<Edits> {
    let (name, target) = (Name::of_document(old)?, Name::of_document(new)?);
    let stays = match (&name, &target) {
        (Name::Variable { .. }, Name::Variable { .. }) | (Name::Qualifier { .. }, Name::Qualifier { .. }) => true,
        (Name::Object { resource, .. }, Name::Object { resource: other, .. }) => resource == other,
        _ => false,
    };
    edits(workspace, &name, &target).ok().filter(|edits| stays && !edits.is_empty())
}

/// Adds the new texts of other spans. Of two for one span, the first stays.
pub(crate) fn merge(edits: &mut Edits, others: Edits) {
    for (path, others) in others {
        let edits = edits.entry(path).or_default();
        let others: Vec<_> =
            others.into_iter().filter(|(span, _)| !edits.iter().any(|(taken, _)| taken == span)).collect();
        edits.extend(others);
    }
}

/// Returns the edit of documents of workspaces, in a form that the client can apply. Each document is in it once.
pub(crate) fn workspace_edit(all: &[(&Workspace, Edits)], forms: EditForms) -> lsp::WorkspaceEdit {
    if forms.ordered {
        let changes = all.iter().flat_map(|(workspace, edits)| document_changes(workspace, edits)).collect();
        return lsp::WorkspaceEdit { document_changes: Some(changes), ..lsp::WorkspaceEdit::default() };
    }
    let of = |(workspace, edits): &(&Workspace, Edits)| {
        let changes = edits.iter().map(|(path, edits)| (uri(workspace, path), text_edits(workspace, path, edits)));
        changes.collect::<Vec<_>>()
    };
    lsp::WorkspaceEdit { changes: Some(all.iter().flat_map(of).collect()), ..lsp::WorkspaceEdit::default() }
}

/// Returns the files of a thing, and their new paths. The objects of a resource are in a folder of its name.
fn files(workspace: &Workspace, name: &Name, target: &Name) -> Result<Vec<(String, String)>, String> {
    let mut files: Vec<(String, String)> = name.document().zip(target.document()).into_iter().collect();
    let (Name::Resource { id: old }, Name::Resource { id: new }) = (name, target) else { return Ok(files) };
    let parsed = workspace.parsed();
    let refers = |schema: &Schema| schema.object_keywords().any(|resource| resource == &**old);
    if let Some((path, _)) = parsed.schemas.iter().find(|(_, schema)| schema.content().is_some_and(refers)) {
        return Err(format!("the schema `{path}` refers to objects of it: change `{OBJECT_OF}` there by hand first"));
    }
    let folder = |id: &str| format!("resources/{id}-objects");
    if workspace.root().join(folder(new)).exists() {
        return Err(format!("there is a directory `{}` already", folder(new)));
    }
    let objects = parsed.objects.get(old).into_iter().flat_map(|objects| objects.iter());
    if let Some((_, object)) = objects.into_iter().find(|(_, object)| !workspace.is_own(&object.path)) {
        return Err(format!("`{}` is a document of a layer", object.path));
    }
    if workspace.root().join(folder(old)).exists() {
        files.push((folder(old), folder(new)));
    }
    Ok(files)
}

/// Returns the thing under another name; `None` for a kind that cannot be renamed.
fn renamed(name: &Name, new: &str) -> Option<Name> {
    let mut name = name.clone();
    match &mut name {
        Name::Variable { id: text }
        | Name::Qualifier { id: text }
        | Name::Resource { id: text }
        | Name::Object { key: text, .. }
        | Name::Value { key: text, .. } => *text = new.into(),
        Name::Schema { .. } | Name::Attribute { .. } => return None,
    }
    Some(name)
}

/// Returns the new texts of the mentions, by document.
fn edits(workspace: &Workspace, name: &Name, target: &Name) -> Result<Edits, String> {
    let parsed = workspace.parsed();
    refuse_impossible(workspace, name, target)?;
    let mentions = everywhere(parsed, name);
    let mut edits = Edits::new();
    for mention in &mentions {
        if !workspace.is_own(&mention.path) {
            return Err(format!("`{}` is a document of a layer, and mentions it", mention.path));
        }
        let text = match mention.form {
            Form::Key | Form::ExpectationKey => toml_key(target.text()),
            Form::Text(prefix) => quoted(&format!("{prefix}{}", target.text())),
            Form::RelativePath => continue,
        };
        edits.entry(mention.path.to_string()).or_default().push((mention.span, text));
    }
    let after = applied(parsed, &edits);
    if everywhere(&after, target).len() != mentions.len() || !everywhere(&after, name).is_empty() {
        return Err(format!("`{}` is written in several parts: rename it by hand", name.text()));
    }
    Ok(edits)
}

/// Refuses a name that cannot be, and a workspace in which mentions may be hidden.
fn refuse_impossible(workspace: &Workspace, name: &Name, target: &Name) -> Result<(), String> {
    let parsed = workspace.parsed();
    let new = target.text();
    if new.is_empty() || new.chars().any(char::is_control) {
        return Err("a name is a text on one line, and not empty".to_owned());
    }
    if let (Some(old), Some(path)) = (name.document(), target.document()) {
        if DocumentKind::at(&path) != DocumentKind::at(&old) {
            return Err(format!("a file can't be named `{new}`"));
        }
        if parsed.tree().get(&old).is_none() {
            return Err(format!("there is no `{old}`"));
        }
        if !workspace.is_own(&old) {
            return Err(format!("`{old}` is a document of a layer"));
        }
        if parsed.tree().get(&path).is_some() {
            return Err(format!("there is a `{path}` already"));
        }
    }
    if !everywhere(parsed, target).is_empty() {
        return Err(format!("`{new}` is mentioned already: the two could not be told apart"));
    }
    if let Some((path, _)) = parsed.tree().iter().find(|(path, _)| parsed.fault_of(path).is_some()) {
        return Err(format!("`{path}` has a fault, and may mention it: correct that first"));
    }
    if let Some(reason) = workspace.fault_of_tests() {
        return Err(format!("the tests can't be read, and may mention it: {reason}"));
    }
    let fault = parsed.tree().tests().find_map(|(path, bytes)| Some((path, bytes, parsed.fault_of_test(path)?)));
    let Some((path, bytes, fault)) = fault else { return Ok(()) };
    // The client shows no findings in tests.
    let line = fault.span.map(|span| format!("line {}: ", Lines::of(bytes).range(span).start.line)).unwrap_or_default();
    Err(format!("`{path}` has a fault, and may mention it: correct that first ({line}{})", fault.message))
}

/// Refuses a name that a custom rule has in quotes: nobody but its author knows what the rule means by it.
fn refuse_in_scripts(parsed: &Parsed, name: &Name) -> Result<(), String> {
    let text = name.text();
    for path in &parsed.custom_lints {
        let bytes = parsed.tree().get(path).map_or(&[][..], |document| &document.bytes);
        let script = String::from_utf8_lossy(bytes);
        if let Some(line) = script.lines().position(|line| has_in_quotes(line, text)) {
            return Err(format!(
                "the custom rule `{path}` has `{text}` in line {}: change it there by hand first",
                line + 1
            ));
        }
    }
    Ok(())
}

/// Returns whether a line of Lua has a name as a text, as the last part of a path or an address, or as that of a file.
fn has_in_quotes(line: &str, name: &str) -> bool {
    let starts = |before: &str| {
        before.ends_with(['"', '\'', '/', ':']) || before.ends_with("[[") || before.ends_with("qualifier.")
    };
    let ends = |after: &str| after.starts_with(['"', '\'']) || after.starts_with("]]");
    let mut places = line.match_indices(name).map(|(start, _)| line.split_at(start));
    places.any(|(before, rest)| {
        let after = rest.get(name.len()..).unwrap_or_default();
        starts(before) && ends(after.strip_prefix(".toml").unwrap_or(after))
    })
}

/// Returns the workspace after the edits.
fn applied(parsed: &Parsed, edits: &Edits) -> Parsed {
    let mut tree = parsed.tree().clone();
    for (path, edits) in edits {
        let document = parsed.tree().get(path).map(|document| &document.bytes);
        let Some(bytes) = document.or_else(|| parsed.tree().test(path)) else { continue };
        let mut edits: Vec<&(Span, String)> = edits.iter().collect();
        edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        let mut bytes = bytes.to_vec();
        for (span, text) in edits {
            let end = span.end.min(bytes.len());
            bytes.splice(span.start.min(end)..end, text.bytes());
        }
        tree.insert(path.as_str(), bytes);
    }
    parse_after(parsed, tree)
}

fn document_changes(workspace: &Workspace, edits: &Edits) -> Vec<lsp::DocumentChange> {
    let change = |(path, edits): (&String, &Vec<(Span, String)>)| lsp::TextDocumentEdit {
        text_document: lsp::OptionalVersionedTextDocumentIdentifier {
            version: workspace.buffers.get(path).map(|buffer| buffer.version),
            text_document_identifier: lsp::TextDocumentIdentifier { uri: uri(workspace, path) },
        },
        edits: text_edits(workspace, path, edits).into_iter().map(lsp::Edit::TextEdit).collect(),
    };
    edits.iter().map(change).map(lsp::DocumentChange::TextDocumentEdit).collect()
}

fn text_edits(workspace: &Workspace, path: &str, edits: &[(Span, String)]) -> Vec<lsp::TextEdit> {
    let bytes = workspace.bytes(path).unwrap_or_default();
    let edit = |(span, text): &(Span, String)| lsp::TextEdit { range: range_of(bytes, *span), new_text: text.clone() };
    edits.iter().map(edit).collect()
}

/// Returns the span of the name itself in a mention: without quotes and prefix, if it is written plainly.
fn name_in(bytes: &[u8], mention: &Mention) -> Span {
    let Span { start, end } = mention.span;
    let name = mention.name.text().as_bytes();
    let written = bytes.get(start..end).unwrap_or_default();
    match written.windows(name.len().max(1)).rposition(|part| part == name) {
        Some(place) => Span { start: start + place, end: start + place + name.len() },
        None => mention.span,
    }
}
