//! Parts of a workspace in words, as Markdown that shows every text as it stands.

use std::fmt::Write;
use std::sync::Arc;

use rototo_engine::Entity;
use rototo_engine::mention::{Form, Mention, Name, in_documents};
use rototo_engine::parse::{CONTEXT_SCHEMA, Field, Object, Op, Ownership, Parse, Parsed, Predicate, Type};
use rototo_engine::text::{Lines, readable, shortened_to};
use serde_json::Value;

use crate::features::uri;
use crate::workspace::Workspace;

/// The most characters of a value.
const LONGEST_VALUE: usize = 1_000;

/// The most places that are listed.
const MOST_PLACES: usize = 20;

/// Writes a text as code, on one line.
pub(super) fn code(text: &str) -> String {
    let text = readable(text);
    let fence = if text.contains('`') { "``" } else { "`" };
    let room = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{room}{text}{room}{fence}")
}

/// Writes a text for people as plain Markdown, on one line.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for letter in readable(text).chars() {
        if "\\`*_{}[]()<>#|!&~".contains(letter) {
            plain.push('\\');
        }
        plain.push(letter);
    }
    plain
}

/// Writes a value as a block of JSON.
fn value(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("```json\n{}\n```\n", shortened_to(&text, LONGEST_VALUE))
}

/// Describes a thing, with its description and its users.
pub(super) fn about(workspace: &Workspace, name: &Name) -> String {
    let parsed = workspace.parsed();
    let mut page = String::new();
    // Writing into a string cannot fail.
    let _ = match name {
        Name::Variable { id } => variable(&mut page, parsed, id),
        Name::Qualifier { id } => qualifier(&mut page, parsed, id),
        Name::Resource { id } => resource(&mut page, parsed, id),
        Name::Object { resource, key } => {
            let object = parsed.objects.get(resource).and_then(|objects| objects.get(key)?.content());
            titled(
                &mut page,
                &format!("object {} of resource {}", code(key), code(resource)),
                object.map(|it| &*it.value),
            )
        }
        Name::Value { variable, key } => {
            let document = parsed.readable_variable(variable);
            let value = document.as_ref().and_then(|it| it.inline_values().find(|(known, _)| *known == key));
            let title = format!("value {} of variable {}", code(key), code(variable));
            let _ = titled(&mut page, &title, value.map(|(_, value)| &*value.value));
            ownership(&mut page, document.as_deref().map(|document| &document.ownership))
        }
        Name::Schema { path } => schema(&mut page, parsed, path),
        Name::Attribute { path } => attribute(&mut page, parsed, path),
    };
    page.push_str(&users(workspace, name));
    page
}

fn titled(page: &mut String, title: &str, content: Option<&Value>) -> std::fmt::Result {
    match content {
        Some(content) => writeln!(page, "{title}\n\n{}", value(content)),
        None => writeln!(page, "{title}, which does not exist\n"),
    }
}

fn variable(page: &mut String, parsed: &Parsed, id: &str) -> std::fmt::Result {
    let Some(variable) = parsed.readable_variable(id) else {
        return writeln!(page, "variable {}, which does not exist\n", code(id));
    };
    writeln!(page, "variable {}\n", code(id))?;
    description(page, &variable.description)?;
    ownership(page, Some(&variable.ownership))
}

/// Writes the owner and the expiry, if there are any.
fn ownership(page: &mut String, ownership: Option<&Ownership>) -> std::fmt::Result {
    let Some(Ownership { owner, expires }) = ownership else { return Ok(()) };
    if let Some(owner) = owner.value() {
        writeln!(page, "Owner: {}\n", plain(&shortened_to(owner, LONGEST_VALUE)))?;
    }
    if let Some(date) = expires.value() {
        writeln!(page, "Expires on {date}\n")?;
    }
    Ok(())
}

fn qualifier(page: &mut String, parsed: &Parsed, id: &str) -> std::fmt::Result {
    let Some(qualifier) = parsed.readable_qualifier(id) else {
        return writeln!(page, "qualifier {}, which does not exist\n", code(id));
    };
    writeln!(page, "qualifier {}\n", code(id))?;
    description(page, &qualifier.description)?;
    for predicate in qualifier.predicates() {
        writeln!(page, "- {}", comparison(predicate))?;
    }
    writeln!(page)
}

/// Writes a predicate as one line.
fn comparison(predicate: &Predicate) -> String {
    let attribute = code(predicate.attribute.value().map_or("?", |attribute| attribute));
    let op = predicate.op.value().map_or("?", |op| op);
    let operand = match predicate.operator() {
        Some(Op::Bucket) => match predicate.range.as_ref().and_then(|range| range.value.bounds()) {
            Some((start, end)) => format!("{start} to {end} of 10,000"),
            None => "?".to_owned(),
        },
        _ => predicate
            .value
            .as_ref()
            .map_or("?".to_owned(), |value| code(&shortened_to(&value.value.to_string(), LONGEST_VALUE / 10))),
    };
    format!("{attribute} {} {operand}", plain(op))
}

fn resource(page: &mut String, parsed: &Parsed, id: &str) -> std::fmt::Result {
    let Some(resource) = parsed.readable_resource(id) else {
        return writeln!(page, "resource {}, which does not exist\n", code(id));
    };
    let objects = parsed.objects.get(id).map_or(0, |objects| objects.len());
    writeln!(page, "resource {}, {objects} objects\n", code(id))?;
    description(page, &resource.description)
}

fn schema(page: &mut String, parsed: &Parsed, path: &str) -> std::fmt::Result {
    let Some(schema) = parsed.schemas.get(path) else {
        return writeln!(page, "schema {}, which does not exist\n", code(path));
    };
    writeln!(page, "schema {}\n", code(path))?;
    annotations(page, schema.content().map(|schema| &schema.json))
}

fn attribute(page: &mut String, parsed: &Parsed, path: &str) -> std::fmt::Result {
    let schema = parsed.schemas.get(CONTEXT_SCHEMA).and_then(Parse::content).map(|schema| &schema.json);
    let declared =
        schema.and_then(|schema| path.split('.').try_fold(schema, |part, name| part.get("properties")?.get(name)));
    match (schema, declared) {
        (Some(_), None) => writeln!(page, "attribute {}, which the context schema does not declare\n", code(path)),
        _ => {
            writeln!(page, "attribute {}\n", code(path))?;
            annotations(page, declared)
        }
    }
}

/// Writes the title, the description, the type, and the values that a schema declares.
fn annotations(page: &mut String, schema: Option<&Value>) -> std::fmt::Result {
    let Some(schema) = schema else { return Ok(()) };
    for keyword in ["title", "description"] {
        if let Some(text) = schema.get(keyword).and_then(Value::as_str) {
            writeln!(page, "{}\n", plain(&shortened_to(text, LONGEST_VALUE)))?;
        }
    }
    for keyword in ["type", "enum", "const"] {
        if let Some(value) = schema.get(keyword) {
            writeln!(page, "- {keyword}: {}", code(&shortened_to(&value.to_string(), LONGEST_VALUE)))?;
        }
    }
    writeln!(page)
}

/// Returns the description that a thing has.
pub(super) fn description_of(parsed: &Parsed, name: &Name) -> Option<String> {
    let text = |field: &Field<Arc<str>>| field.value().map(|text| readable(text).into_owned());
    match name {
        Name::Qualifier { id } => text(&parsed.qualifiers.get(id)?.content()?.description),
        Name::Resource { id } => text(&parsed.resources.get(id)?.content()?.description),
        _ => None,
    }
}

fn description(page: &mut String, field: &Field<Arc<str>>) -> std::fmt::Result {
    match field.value() {
        Some(text) => writeln!(page, "{}\n", plain(&shortened_to(text, LONGEST_VALUE))),
        None => Ok(()),
    }
}

/// Lists everything that selects, reads, or names a thing. Applications ask for variables, and no document does.
fn users(workspace: &Workspace, name: &Name) -> String {
    if matches!(name, Name::Variable { .. }) {
        return String::new();
    }
    let mentions = in_documents(workspace.parsed(), name);
    let uses: Vec<&Mention> = mentions.iter().filter(|mention| mention.form != Form::Key).collect();
    let (nobody, somebody) = match name {
        Name::Object { .. } | Name::Value { .. } => ("Nothing selects it.", "It is selected by"),
        Name::Attribute { .. } => ("Nothing reads it.", "It is read by"),
        _ => ("Nothing uses it.", "It is used by"),
    };
    if uses.is_empty() {
        return format!("{nobody}\n");
    }
    let mut list = format!("{somebody}\n\n");
    for mention in uses.iter().take(MOST_PLACES) {
        let _ = writeln!(list, "- {}", user(workspace, mention));
    }
    if let Some(more @ 1..) = uses.len().checked_sub(MOST_PLACES) {
        let _ = writeln!(list, "- {more} more");
    }
    list
}

/// Describes one place that mentions a thing, with a link to it.
fn user(workspace: &Workspace, mention: &Mention) -> String {
    let (label, more) = part(workspace.parsed(), mention);
    let bytes = workspace.bytes(&mention.path).unwrap_or_default();
    let line = Lines::of(bytes).range(mention.span).start.line;
    if workspace.is_own(&mention.path) {
        format!("[{}]({}#L{line}){more}", plain(&label), uri(workspace, &mention.path).0)
    } else {
        format!("{}, in a layer{more}", plain(&label))
    }
}

/// Returns the part of the workspace that has a mention, and the condition or the choice there.
fn part(parsed: &Parsed, mention: &Mention) -> (String, String) {
    match &mention.by {
        Entity::Rule { variable, index } => {
            let document = parsed.readable_variable(variable);
            let rule = document.as_ref().and_then(|document| document.rules().get(*index));
            let named = |field: Option<&Field<Arc<str>>>| code(field.and_then(Field::value).map_or("?", |text| text));
            let more = match &mention.name {
                Name::Qualifier { .. } => format!(", which selects {}", named(rule.map(|rule| &rule.value))),
                _ => format!(", if {} is true", named(rule.map(|rule| &rule.qualifier))),
            };
            let expires = rule.and_then(|rule| rule.ownership.expires.value());
            let expires = expires.map(|date| format!(", expires on {date}")).unwrap_or_default();
            (format!("rule {} of variable {variable}", index + 1), format!("{more}{expires}"))
        }
        Entity::Variable { id } => match &mention.name {
            Name::Value { .. } | Name::Object { .. } => (format!("the default of variable {id}"), String::new()),
            _ => (format!("variable {id}"), String::new()),
        },
        Entity::Predicate { qualifier, index } => {
            (format!("predicate {} of qualifier {qualifier}", index + 1), String::new())
        }
        Entity::Resource { id } => (format!("resource {id}"), String::new()),
        Entity::ResourceObject { resource, key } => (format!("object {key} of resource {resource}"), String::new()),
        Entity::Value { variable, key } => (format!("value {key} of variable {variable}"), String::new()),
        _ => (mention.path.to_string(), String::new()),
    }
}

/// Returns the keys of the values that a variable may select, as far as its document can be read, each with its value.
pub(super) fn value_keys(parsed: &Parsed, variable: &str) -> Vec<(String, Value)> {
    let Some(document) = parsed.readable_variable(variable) else { return Vec::new() };
    match document.value_type() {
        Some(Type::Resource(resource)) => {
            let objects = parsed.objects.get(resource).into_iter().flat_map(|objects| objects.iter());
            let value = |object: &Parse<Object>| object.content().map_or(Value::Null, |it| (*it.value).clone());
            objects.map(|(key, object)| (key.to_string(), value(object))).collect()
        }
        _ => document.inline_values().map(|(key, value)| (key.to_string(), (*value.value).clone())).collect(),
    }
}
