//! The values that a key may have: operators, types, and the names of other parts of the workspace.

use gen_lsp_types::CompletionItemKind;
use rototo_engine::mention::Name;
use rototo_engine::parse::{CONTEXT_SCHEMA, KeyPlace, Op, Parse, Primitive, quoted};
use rototo_engine::text::shortened_to;
use rototo_engine::{DocumentKind, Parsed};
use serde_json::Value;

use crate::cursor::Cursor;
use crate::features::completion::Item;
use crate::features::schema_places::attributes;
use crate::features::words::{description_of, value_keys};
use crate::features::{Site, key_place};

/// The most characters of a value beside its key.
const LONGEST_DETAIL: usize = 60;

/// Returns the values that `key` may have.
pub(super) fn values(site: Site<'_>, kind: DocumentKind, key: &str, cursor: &Cursor) -> Vec<Item> {
    let parsed = site.workspace.parsed();
    let Some(place) = key_place(kind, &cursor.table) else { return Vec::new() };
    match (place, key) {
        (_, "schema_version") => vec![Item::new("1", CompletionItemKind::Value)],
        (KeyPlace::Variable, "type") => types(parsed),
        (KeyPlace::Variable | KeyPlace::Resource, "schema") => schemas(parsed),
        (KeyPlace::Resolve, "default") | (KeyPlace::Rule(_), "value") => keys_of(parsed, site.path),
        (KeyPlace::Rule(_), "qualifier") => qualifiers(parsed, "", ""),
        (KeyPlace::Predicate(_), "attribute") => {
            let own = Name::of_document(site.path).map(|name| name.text().to_string()).unwrap_or_default();
            let mut items = context_attributes(parsed);
            items.extend(qualifiers(parsed, "qualifier.", &own));
            items
        }
        (KeyPlace::Predicate(_), "op") => operators(),
        (KeyPlace::Predicate(_), "value") => operands(parsed, cursor),
        _ => Vec::new(),
    }
}

fn types(parsed: &Parsed) -> Vec<Item> {
    let primitive = |primitive: Primitive| {
        let explanation = Some(primitive.explanation().to_owned());
        Item::quoted(primitive.name(), CompletionItemKind::Keyword).documentation(explanation)
    };
    let resource = |id: &std::sync::Arc<str>| {
        let description = description_of(parsed, &Name::Resource { id: id.clone() });
        Item::quoted(format!("resource:{id}"), CompletionItemKind::Class).detail(description)
    };
    Primitive::ALL.into_iter().map(primitive).chain(parsed.resources.keys().map(resource)).collect()
}

/// Returns the schemas, relative to documents in `variables` and `resources`, except for that of the context.
fn schemas(parsed: &Parsed) -> Vec<Item> {
    let paths = parsed.schemas.keys().filter(|path| ***path != *CONTEXT_SCHEMA);
    paths.map(|path| Item::quoted(format!("../{path}"), CompletionItemKind::File)).collect()
}

fn keys_of(parsed: &Parsed, path: &str) -> Vec<Item> {
    let Some(Name::Variable { id }) = Name::of_document(path) else { return Vec::new() };
    let keys = value_keys(parsed, &id).into_iter();
    keys.map(|(key, value)| Item::quoted(key, CompletionItemKind::EnumMember).detail(Some(short(&value)))).collect()
}

fn qualifiers(parsed: &Parsed, prefix: &str, without: &str) -> Vec<Item> {
    let ids = parsed.qualifiers.keys().filter(|id| ***id != *without);
    let item = |id: &std::sync::Arc<str>| {
        let description = description_of(parsed, &Name::Qualifier { id: id.clone() });
        Item::quoted(format!("{prefix}{id}"), CompletionItemKind::Reference).detail(description)
    };
    ids.map(item).collect()
}

fn context_schema(parsed: &Parsed) -> Option<&Value> {
    parsed.schemas.get(CONTEXT_SCHEMA).and_then(Parse::content).map(|schema| &schema.json)
}

fn context_attributes(parsed: &Parsed) -> Vec<Item> {
    let found = context_schema(parsed).map(attributes).unwrap_or_default();
    let item = |(path, declared): (String, &Value)| {
        let kind = declared.get("type").map(short);
        let description = declared.get("description").and_then(Value::as_str).map(str::to_owned);
        Item::quoted(path, CompletionItemKind::Field).detail(kind).documentation(description)
    };
    found.into_iter().map(item).collect()
}

fn operators() -> Vec<Item> {
    let item =
        |op: Op| Item::quoted(op.name(), CompletionItemKind::Operator).documentation(Some(op.explanation().to_owned()));
    Op::ALL.into_iter().map(item).collect()
}

/// Returns the values that the context schema declares for the attribute of the same predicate.
fn operands(parsed: &Parsed, cursor: &Cursor) -> Vec<Item> {
    let attribute = cursor.siblings.iter().find(|(key, _)| key == "attribute").and_then(|(_, value)| value.as_deref());
    let is_qualifier = attribute.is_some_and(|attribute| attribute.starts_with("qualifier."));
    let known = context_schema(parsed).map(attributes).unwrap_or_default();
    let declared = known.iter().find(|(path, _)| Some(path.as_str()) == attribute).map(|(_, declared)| *declared);
    let values = match declared.and_then(|declared| declared.get("enum")?.as_array()) {
        Some(values) => values.clone(),
        None if is_qualifier || declared.is_some_and(|declared| declared["type"] == "boolean") => {
            vec![Value::Bool(true), Value::Bool(false)]
        }
        None => Vec::new(),
    };
    values.iter().filter_map(literal).collect()
}

/// Returns the proposal of a value as it is written. TOML has no null, and writes tables in another way.
pub(super) fn literal(value: &Value) -> Option<Item> {
    let text = match value {
        Value::String(text) => quoted(text),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return None,
    };
    Some(Item::new(text, CompletionItemKind::EnumMember))
}

pub(super) fn short(value: &Value) -> String {
    shortened_to(&value.to_string(), LONGEST_DETAIL).into_owned()
}
