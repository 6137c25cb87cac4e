//! What handlers are asked about: each target as the table `ctx.target`, and where its parts stand.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::diagnostic::Entity;
use crate::document::tree::{DocumentKind, Tree};
use crate::lint::custom::field::TargetField;
use crate::parse::{Extends, Parsed, PathStep, toml_as_json};

/// One thing to ask about.
pub(super) struct Target {
    pub(super) entity: Entity,
    pub(super) path: Arc<str>,
    /// `ctx.target`
    pub(super) data: Value,
}

impl Target {
    /// What leads to a part of it in its document, if that is less than the whole.
    pub(super) fn steps(&self, field: Option<&TargetField>) -> Option<Vec<PathStep>> {
        let key = |name: &str| PathStep::Key(name.to_owned());
        Some(match (&self.entity, field) {
            (Entity::Value { key: name, .. }, field) => {
                let keys = field.map(|field| field.keys.iter().map(|name| key(name))).into_iter().flatten();
                [key("values"), key(name)].into_iter().chain(keys).collect()
            }
            (_, None) | (Entity::Schema { .. }, _) => return None,
            (_, Some(TargetField { name: "id", .. })) => return None,
            (_, Some(TargetField { name: "predicates", .. })) => vec![key("predicate")],
            (_, Some(field)) => vec![key(field.name)],
        })
    }
}

/// All targets of a kind.
pub(super) fn of<'a>(
    parsed: &'a Parsed,
    entity: &str,
    field: Option<&'a TargetField>,
) -> Box<dyn Iterator<Item = Target> + 'a> {
    match entity {
        "workspace" => Box::new(workspace(parsed).into_iter()),
        "qualifier" => Box::new(qualifiers(parsed)),
        "variable" => Box::new(variables(parsed)),
        "value" => Box::new(values(parsed, field)),
        _ => Box::new(schemas(parsed, field)),
    }
}

fn workspace(parsed: &Parsed) -> Option<Target> {
    let document = parsed.manifest.as_ref()?;
    let sources: Vec<&str> = match &document.content()?.extends {
        Extends::Sources(sources) => {
            sources.iter().filter_map(|source| source.value().map(|source| &**source)).collect()
        }
        Extends::Missing | Extends::Invalid(_) => Vec::new(),
    };
    let data = json!({
        "kind": "workspace",
        // The same content gets the same verdict wherever it lies.
        "root": ".",
        "manifest": { "uri": &*document.path, "path": &*document.path, "toml": toml(parsed, &document.path) },
        "extends": sources,
    });
    Some(Target { entity: Entity::Workspace, path: Arc::clone(&document.path), data })
}

fn qualifiers(parsed: &Parsed) -> impl Iterator<Item = Target> {
    parsed.qualifiers.iter().filter(|(_, document)| document.content().is_some()).map(|(id, document)| Target {
        entity: Entity::qualifier(id),
        path: Arc::clone(&document.path),
        data: json!({
            "kind": "qualifier",
            "id": &**id,
            "uri": format!("qualifier://{id}"),
            "path": &*document.path,
            "toml": toml(parsed, &document.path),
        }),
    })
}

fn variables(parsed: &Parsed) -> impl Iterator<Item = Target> {
    parsed.variables.iter().filter_map(|(id, document)| {
        let values = document.content()?.inline_values().map(|(key, named)| (key.to_string(), (*named.value).clone()));
        let mut data = toml(parsed, &document.path);
        if let Value::Object(table) = &mut data {
            table.insert("values".to_owned(), Value::Object(values.collect::<Map<_, _>>()));
        }
        let data = json!({
            "kind": "variable",
            "id": &**id,
            "uri": format!("variable://{id}"),
            "path": &*document.path,
            "toml": data,
        });
        Some(Target { entity: Entity::variable(id), path: Arc::clone(&document.path), data })
    })
}

fn values<'a>(parsed: &'a Parsed, field: Option<&'a TargetField>) -> impl Iterator<Item = Target> + 'a {
    let variables = parsed.variables.iter().filter_map(|(id, document)| Some((id, document, document.content()?)));
    let mut numbers = document_numbers(parsed.tree());
    variables.flat_map(move |(id, document, variable)| {
        let number = numbers.by_ref().find(|(path, _)| *path == &document.path).map(|(_, number)| number);
        variable.inline_values().map(move |(key, named)| Target {
            entity: Entity::value(id, key),
            path: Arc::clone(&document.path),
            data: json!({
                "kind": "value",
                "name": &**key,
                "value": &*named.value,
                "origin": { "kind": "inline", "doc": number },
                "selected": selected(&named.value, field),
                "variable": { "id": &**id, "uri": format!("variable://{id}"), "path": &*document.path },
            }),
        })
    })
}

fn schemas<'a>(parsed: &'a Parsed, field: Option<&'a TargetField>) -> impl Iterator<Item = Target> + 'a {
    parsed.schemas.iter().filter_map(move |(path, document)| {
        let json = &document.content()?.json;
        Some(Target {
            entity: Entity::schema(path),
            path: Arc::clone(path),
            data: json!({
                "kind": "schema",
                "uri": &**path,
                "path": &**path,
                "json": json,
                "selected": selected(json, field),
            }),
        })
    })
}

/// What the keys of a field lead to; `null` where they lead nowhere.
fn selected<'v>(value: &'v Value, field: Option<&TargetField>) -> &'v Value {
    let mut keys = field.map(|field| field.keys.iter()).into_iter().flatten();
    keys.try_fold(value, |value, key| value.get(key)).unwrap_or(&Value::Null)
}

/// The variables in order, with the places of their documents in the order in which documents are read: the manifest,
/// qualifiers, variables.
fn document_numbers(tree: &Tree) -> impl Iterator<Item = (&Arc<str>, usize)> {
    let before =
        tree.iter().filter(|(_, document)| matches!(document.kind, DocumentKind::Manifest | DocumentKind::Qualifier));
    let first = before.count();
    let variables = tree.iter().filter(|(_, document)| document.kind == DocumentKind::Variable);
    variables.map(|(path, _)| path).zip(first..)
}

fn toml(parsed: &Parsed, path: &str) -> Value {
    parsed.tree().get(path).map_or(Value::Null, |document| toml_as_json(&document.bytes))
}
