//! The context of the SDK, as the workspace reads it.

use open_feature::{EvaluationContext, EvaluationContextFieldValue, StructValue, Value};
use rototo::{Attribute, Attributes};

/// A context, with the attribute that its targeting key fills.
pub(crate) struct SdkContext<'a> {
    pub(crate) context: &'a EvaluationContext,
    pub(crate) targeting_key_attribute: &'a str,
}

impl SdkContext<'_> {
    /// Returns the targeting key. Some applications give an empty text where they have none.
    pub(crate) fn targeting_key(&self) -> Option<&str> {
        self.context.targeting_key.as_deref().filter(|key| !key.is_empty())
    }

    /// Returns the attribute at a path: a field of that name, or a part of the field that the path begins with.
    fn field(&self, path: &str) -> Option<Attribute<'_>> {
        let fields = &self.context.custom_fields;
        if let Some(field) = fields.get(path) {
            return whole(field);
        }
        let ends = path.match_indices('.').map(|(end, _)| end);
        ends.filter_map(|end| part(fields.get(&path[..end])?, &path[end + 1..])).next()
    }

    /// Returns the fault of a path at which the context has what is no attribute: a list, a structure, or a date of the SDK,
    /// or a structure of the application.
    pub(crate) fn fault(&self, path: &str) -> Option<String> {
        let fields = &self.context.custom_fields;
        let mut ends = path.match_indices('.').map(|(end, _)| end).chain([path.len()]);
        ends.find_map(|end| {
            let (field, rest) = (&path[..end], path.get(end + 1..));
            let structure = match fields.get(field)? {
                EvaluationContextFieldValue::DateTime(_) if rest.is_none() => {
                    return Some(format!("`{path}` is a date of the SDK: give it as a text"));
                }
                EvaluationContextFieldValue::Struct(structure) if structure.is::<serde_json::Value>() => return None,
                EvaluationContextFieldValue::Struct(structure) => structure,
                _ => return None,
            };
            let Some(structure) = structure.downcast_ref() else {
                return Some(format!("`{field}` has a type of the application: give it as a serde_json::Value"));
            };
            let kind = match rest {
                Some(rest) => kind(value(structure, rest)?)?,
                None => "structure",
            };
            Some(format!("`{path}` is a {kind} of the SDK: give `{field}` as a serde_json::Value"))
        })
    }
}

impl Attributes for SdkContext<'_> {
    fn attribute(&self, path: &str) -> Option<Attribute<'_>> {
        let key = || self.targeting_key().filter(|_| path == self.targeting_key_attribute).map(Attribute::from);
        self.field(path).or_else(key)
    }
}

fn whole(field: &EvaluationContextFieldValue) -> Option<Attribute<'_>> {
    match field {
        EvaluationContextFieldValue::Bool(value) => Some(Attribute::from(*value)),
        EvaluationContextFieldValue::Int(value) => Some(Attribute::from(*value)),
        EvaluationContextFieldValue::Float(value) => Some(Attribute::from(*value)),
        EvaluationContextFieldValue::String(value) => Some(Attribute::from(value)),
        EvaluationContextFieldValue::DateTime(_) => None,
        EvaluationContextFieldValue::Struct(value) => value.downcast_ref::<serde_json::Value>().map(Attribute::from),
    }
}

fn part<'a>(field: &'a EvaluationContextFieldValue, path: &str) -> Option<Attribute<'a>> {
    let EvaluationContextFieldValue::Struct(field) = field else { return None };
    if let Some(json) = field.downcast_ref::<serde_json::Value>() {
        let found = path.split('.').try_fold(json, |value, part| value.as_object()?.get(part));
        return found.map(Attribute::from);
    }
    match value(field.downcast_ref()?, path)? {
        Value::Bool(value) => Some(Attribute::from(*value)),
        Value::Int(value) => Some(Attribute::from(*value)),
        Value::Float(value) => Some(Attribute::from(*value)),
        Value::String(value) => Some(Attribute::from(value)),
        // The workspace compares lists and objects as JSON, which this is not.
        Value::Array(_) | Value::Struct(_) => None,
    }
}

/// Returns the value at a path in a structure of the SDK.
fn value<'a>(structure: &'a StructValue, path: &str) -> Option<&'a Value> {
    let (parents, last) = path.rsplit_once('.').map_or((None, path), |(parents, last)| (Some(parents), last));
    let mut parents = parents.into_iter().flat_map(|parents| parents.split('.'));
    let object = parents.try_fold(structure, |object, part| object.fields.get(part).and_then(Value::as_struct));
    object?.fields.get(last)
}

/// Returns the name of a kind of value that the workspace compares as JSON alone.
fn kind(value: &Value) -> Option<&'static str> {
    match value {
        Value::Array(_) => Some("list"),
        Value::Struct(_) => Some("structure"),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => None,
    }
}
