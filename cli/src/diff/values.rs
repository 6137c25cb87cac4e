//! The changes of the values of a variable, field by field.

use std::collections::{BTreeMap, BTreeSet};

use rototo_engine::Parsed;
use rototo_engine::parse::Type;
use serde::Serialize;
use serde_json::Value;

use crate::diff::change::{ChangeKind, variable_of};

/// A value that is new, gone, or different.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ValueChange {
    pub(crate) key: String,
    pub(crate) change: ChangeKind,
    pub(crate) fields: Vec<FieldChange>,
}

/// A changed field of the value; the whole, if the value is no object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FieldChange {
    /// The path of the field, such as `limits.daily`; empty for the value as a whole.
    pub(crate) path: String,
    /// The old value; absent where there was none, or where it is redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) old: Option<Value>,
    /// The new value; absent where there is none, or where it is redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) new: Option<Value>,
    pub(crate) change: ChangeKind,
}

pub(super) fn compare(variable: &str, old: &Parsed, new: &Parsed) -> Vec<ValueChange> {
    let (old, new) = (values(old, variable), values(new, variable));
    let keys: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    keys.into_iter()
        .filter_map(|key| {
            let (before, after) = (old.get(key).copied(), new.get(key).copied());
            let mut fields = Vec::new();
            compare_fields("", before, after, &mut fields);
            (!fields.is_empty()).then(|| ValueChange { key: key.to_owned(), change: change(before, after), fields })
        })
        .collect()
}

/// Returns the values by key, from the variable itself or from the objects of its resource.
fn values<'a>(parsed: &'a Parsed, variable: &str) -> BTreeMap<&'a str, &'a Value> {
    let Some(variable) = variable_of(parsed, variable) else { return BTreeMap::new() };
    match variable.value_type() {
        Some(Type::Resource(resource)) => {
            let objects = parsed.objects.get(resource).into_iter().flat_map(|objects| objects.iter());
            objects.filter_map(|(key, object)| Some((&**key, &*object.content()?.value))).collect()
        }
        _ => variable.inline_values().map(|(key, named)| (&**key, &*named.value)).collect(),
    }
}

fn compare_fields(path: &str, old: Option<&Value>, new: Option<&Value>, fields: &mut Vec<FieldChange>) {
    match (old, new) {
        (old, new) if old == new => {}
        // Values nest at most as deeply as a document may.
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare_fields(&path, before.get(name), after.get(name), fields);
            }
        }
        (old, new) => fields.push(FieldChange {
            path: path.to_owned(),
            change: change(old, new),
            old: old.cloned(),
            new: new.cloned(),
        }),
    }
}

fn change(old: Option<&Value>, new: Option<&Value>) -> ChangeKind {
    match (old, new) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
        _ => ChangeKind::Changed,
    }
}

impl ValueChange {
    /// Returns the same without old and new values.
    pub(super) fn redact(&mut self) {
        for field in &mut self.fields {
            (field.old, field.new) = (None, None);
        }
    }
}
