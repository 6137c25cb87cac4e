//! The members that a JSON Schema declares, in values of object variables and in objects of resources.

use std::collections::BTreeMap;

use gen_lsp_types::CompletionItemKind;
use rototo_engine::Parsed;
use rototo_engine::mention::Name;
use rototo_engine::parse::OBJECT_OF;
use serde_json::Value;

use crate::cursor::Cursor;
use crate::features::completion::Item;
use crate::features::completion::values::{literal, short};
use crate::features::{Site, toml_key};

/// The most parts of a schema that are read for one place. References may lead in circles.
const MOST_PARTS: usize = 1_000;

/// Returns the keys that the table around the cursor may have, those that it must have first.
pub(super) fn keys(site: Site<'_>, cursor: &Cursor) -> Vec<Item> {
    let is_new = |item: &Item| !cursor.siblings.iter().any(|(sibling, _)| *sibling == item.label);
    members(site, cursor).into_iter().filter(is_new).collect()
}

/// Returns the keys that may follow those in front of the cursor in a header.
pub(super) fn headers(site: Site<'_>, cursor: &Cursor) -> Vec<Item> {
    let as_header = |item: Item| Item { text: toml_key(&item.label), kind: CompletionItemKind::Struct, ..item };
    members(site, cursor).into_iter().map(as_header).collect()
}

/// Returns the values that `key` may have, if the schema names them.
pub(super) fn values(site: Site<'_>, key: &str, cursor: &Cursor) -> Vec<Item> {
    let Some((schema, inner)) = schema_at(site, &cursor.table) else { return Vec::new() };
    let of_key = inner.iter().map(String::as_str).chain([key]);
    let parts = declared(schema, of_key);
    let mut items: Vec<Item> = Vec::new();
    for part in parts {
        let allowed = part.get("enum").and_then(Value::as_array).into_iter().flatten().chain(part.get("const"));
        items.extend(allowed.filter_map(literal));
        if part.get("type").is_some_and(|it| it == "boolean") {
            items.extend([Value::Bool(true), Value::Bool(false)].iter().filter_map(literal));
        }
        items.extend(objects(site.workspace.parsed(), part));
    }
    items
}

/// Returns the keys of the objects to which a part of a schema refers.
fn objects(parsed: &Parsed, part: &Value) -> Vec<Item> {
    let resource = part.get(OBJECT_OF).and_then(Value::as_str);
    let objects = resource.and_then(|resource| parsed.objects.get(resource));
    let keys = objects.into_iter().flat_map(|objects| objects.keys());
    keys.map(|key| Item::quoted(&**key, CompletionItemKind::Reference)).collect()
}

fn members(site: Site<'_>, cursor: &Cursor) -> Vec<Item> {
    let Some((schema, inner)) = schema_at(site, &cursor.table) else { return Vec::new() };
    let parts = declared(schema, inner.iter().map(String::as_str));
    let mut members: BTreeMap<&str, &Value> = BTreeMap::new();
    for part in &parts {
        for (key, declared) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
            members.entry(key).or_insert(declared);
        }
    }
    let required = parts.iter().filter_map(|part| part.get("required")?.as_array()).flatten();
    let required: Vec<&str> = required.filter_map(Value::as_str).collect();
    let (first, others): (Vec<_>, Vec<_>) = members.into_iter().partition(|(key, _)| required.contains(key));
    let of = |(key, declared): (&str, &Value), must: bool| {
        let kind = declared.get("type").map(short);
        let detail =
            if must { Some(kind.map_or("required".to_owned(), |kind| format!("{kind}, required"))) } else { kind };
        let description = declared.get("description").and_then(Value::as_str).map(str::to_owned);
        let item = Item::new(key, CompletionItemKind::Property).text(format!("{} = ", toml_key(key)));
        item.detail(detail).documentation(description)
    };
    first.into_iter().map(|member| of(member, true)).chain(others.into_iter().map(|member| of(member, false))).collect()
}

/// Returns the schema of the value around the cursor, and the keys that lead to the table in it.
fn schema_at<'a>(site: Site<'a>, table: &'a [String]) -> Option<(&'a Value, &'a [String])> {
    let parsed = site.workspace.parsed();
    let (path, reference, inner) = match (Name::of_document(site.path)?, table) {
        (Name::Variable { id }, [values, _, inner @ ..]) if values == "values" => {
            (site.path.to_owned(), parsed.readable_variable(&id)?.schema.value()?.clone(), inner)
        }
        (Name::Object { resource, .. }, inner) => {
            let reference = parsed.readable_resource(&resource)?.schema.value()?.clone();
            (Name::Resource { id: resource }.document()?, reference, inner)
        }
        _ => return None,
    };
    Some((&parsed.schema_at(&path, &reference).ok()?.content()?.json, inner))
}

/// Returns the parts of a schema that describe the value at the end of these keys. An item of a list is described as
/// the list is: a table of a list has the same keys in front of it.
fn declared<'s, 'k>(schema: &'s Value, keys: impl Iterator<Item = &'k str>) -> Vec<&'s Value> {
    let mut parts = alternatives(schema, vec![schema]);
    for key in keys {
        let of_key = |part: &&'s Value| {
            part.get("properties")
                .and_then(|properties| properties.get(key))
                .or_else(|| part.get("additionalProperties"))
        };
        parts = alternatives(schema, parts.iter().filter_map(of_key).collect());
    }
    parts
}

/// Returns the given parts of a schema, and those that apply to the same value or to the items of a list.
fn alternatives<'s>(root: &'s Value, mut parts: Vec<&'s Value>) -> Vec<&'s Value> {
    let mut next = 0;
    while let Some(part) = parts.get(next).copied().filter(|_| parts.len() < MOST_PARTS) {
        next += 1;
        let lists = ["allOf", "anyOf", "oneOf"].iter().filter_map(|keyword| part.get(keyword)?.as_array());
        parts.extend(lists.flatten());
        parts.extend(["then", "else", "items"].iter().filter_map(|keyword| part.get(keyword)));
        let pointer = part.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        parts.extend(pointer.and_then(|pointer| root.pointer(pointer)).filter(|known| {
            // A circle adds nothing.
            !parts.iter().any(|part| std::ptr::eq(*part, *known))
        }));
    }
    parts
}
