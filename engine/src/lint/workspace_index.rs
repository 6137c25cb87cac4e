//! A parsed workspace as rules ask about it: the things that a document may refer to, and their content.

use std::cell::OnceCell;
use std::sync::Arc;

use serde_json::Value;

use crate::diagnostic::Entity;
use crate::document::shared::SharedMap;
use crate::document::tree::DocumentKind;
use crate::lint::checking_work::CheckingWork;
use crate::lint::entry::{CheckedDocument, DocumentEntry};
use crate::parse::{
    BadReference, ById, CONTEXT_SCHEMA, Field, Parse, ParseError, Parsed, Schema, Type, Values, Variable, resource_of,
    stem,
};

/// A parsed workspace.
pub(super) struct WorkspaceIndex<'a> {
    pub(super) parsed: &'a Parsed,
    /// The path of the document whose values take the most work to check, if all together take too much: then no value is
    /// checked against a schema.
    pub(super) too_much_work: Option<&'a str>,
    /// Several checks of each qualifier ask for it.
    context_schema: OnceCell<Option<&'a Schema>>,
}

impl<'a> WorkspaceIndex<'a> {
    pub(super) fn new(parsed: &'a Parsed) -> Self {
        Self { parsed, too_much_work: None, context_schema: OnceCell::new() }
    }

    /// The same workspace, whose values take that work.
    pub(super) fn with_work(self, work: &'a CheckingWork) -> Self {
        Self { too_much_work: work.too_much(), ..self }
    }

    /// The document at `path`, if a check of it alone is possible.
    pub(super) fn document(&self, path: &str) -> Option<CheckedDocument<'a>> {
        let parsed: &'a Parsed = self.parsed;
        let kind = DocumentKind::at(path)?;
        let unreadable =
            |entity: Entity, fault: Option<&'a ParseError>| Some(CheckedDocument::Unreadable(kind, entity, fault?));
        match kind {
            DocumentKind::Variable => match readable(&parsed.variables, stem(path))? {
                Ok(entry) => Some(CheckedDocument::Variable(entry)),
                Err(fault) => unreadable(Entity::variable(stem(path)), fault),
            },
            DocumentKind::Qualifier => match readable(&parsed.qualifiers, stem(path))? {
                Ok(entry) => Some(CheckedDocument::Qualifier(entry)),
                Err(fault) => unreadable(Entity::qualifier(stem(path)), fault),
            },
            DocumentKind::Resource => match readable(&parsed.resources, stem(path))? {
                Ok(entry) => Some(CheckedDocument::Resource(entry)),
                Err(fault) => unreadable(Entity::resource(stem(path)), fault),
            },
            DocumentKind::Schema => match readable(&parsed.schemas, path)? {
                // A check of a schema compiles it.
                Ok(_) if parsed.has_too_many_patterns() => None,
                Ok(entry) => Some(CheckedDocument::Schema(entry)),
                Err(fault) => unreadable(Entity::schema(path), fault),
            },
            DocumentKind::ResourceObject => {
                let (resource, objects) = parsed.objects.get_key_value(resource_of(path))?;
                match readable(objects, stem(path))? {
                    Ok((key, path, object)) => Some(CheckedDocument::Object((resource, key, path, object))),
                    Err(fault) => unreadable(Entity::object(resource, stem(path)), fault),
                }
            }
            DocumentKind::Manifest => unreadable(Entity::Manifest, parsed.manifest.as_ref()?.fault()),
            DocumentKind::CustomLint => None,
        }
    }

    /// Returns whether a resource has an object of that key, readable or not.
    pub(super) fn has_object(&self, resource: &str, key: &str) -> bool {
        self.parsed.objects.get(resource).is_some_and(|objects| objects.contains_key(key))
    }

    /// The context schema, if it exists and is a valid schema.
    pub(super) fn context_schema(&self) -> Option<&'a Schema> {
        let parsed: &'a Parsed = self.parsed;
        *self.context_schema.get_or_init(|| {
            if parsed.has_too_many_patterns() {
                return None;
            }
            let schema = parsed.schemas.get(CONTEXT_SCHEMA)?.content()?;
            schema.validator().is_ok().then_some(schema)
        })
    }

    /// The schema that a resource or an `object` variable names, if it exists.
    pub(super) fn named_schema(
        &self,
        path: &str,
        reference: &Field<Arc<str>>,
    ) -> Option<Result<&'a Parse<Schema>, BadReference>> {
        let parsed: &'a Parsed = self.parsed;
        reference.value().map(|reference| parsed.schema_at(path, reference))
    }

    /// Returns whether values are checked against their schemas.
    fn checks_values(&self) -> bool {
        self.too_much_work.is_none() && !self.parsed.has_too_many_patterns()
    }

    /// The schema against which the values of a variable are checked, if it names one that exists.
    pub(super) fn schema_of_values(&self, path: &str, variable: &Variable) -> Option<&'a Parse<Schema>> {
        if !self.checks_values() {
            return None;
        }
        self.named_schema(path, &variable.schema)?.ok()
    }

    /// The schema against which the objects of a resource are checked, if the resource names one that exists.
    pub(super) fn schema_of_objects(&self, resource: &str) -> Option<&'a Parse<Schema>> {
        if !self.checks_values() {
            return None;
        }
        let document = self.parsed.resources.get(resource)?;
        self.named_schema(&document.path, &document.content()?.schema)?.ok()
    }

    /// The keys of values that a variable may select, in order.
    pub(super) fn keys<'v>(&self, variable: &'v Variable) -> Box<dyn Iterator<Item = &'v str> + 'v>
    where
        'a: 'v,
    {
        match variable.value_type() {
            Some(Type::Resource(resource)) => {
                let parsed: &'a Parsed = self.parsed;
                Box::new(parsed.objects.get(resource).into_iter().flat_map(SharedMap::keys).map(|key| &**key))
            }
            _ => Box::new(variable.inline_values().map(|(key, _)| &**key)),
        }
    }

    /// Returns whether a variable may select the value of that key.
    pub(super) fn has_key(&self, variable: &Variable, key: &str) -> bool {
        match (variable.value_type(), &variable.values) {
            (Some(Type::Resource(resource)), _) => self.has_object(resource, key),
            (_, Values::Table(_, values)) => values.contains_key(key),
            (_, Values::Missing | Values::Invalid(_)) => false,
        }
    }
}

/// The document of that id: its content, or the reason for which it has none.
fn readable<'a, T>(documents: &'a ById<T>, id: &str) -> Option<Result<DocumentEntry<'a, T>, Option<&'a ParseError>>> {
    let (id, document) = documents.get_key_value(id)?;
    Some(document.content().map(|content| (id, &document.path, content)).ok_or_else(|| document.fault()))
}

/// The declaration of the context schema at a dotted path.
pub(crate) fn context_field<'s>(schema: &'s Value, path: &str) -> Option<&'s Value> {
    declared_at(schema, path).ok()
}

/// The values that a declaration of the context schema lists, if it does. Beside `$ref` a list may count for nothing.
pub(super) fn listed_values(declared: &Value) -> Option<&[Value]> {
    if declared.get("$ref").is_some() {
        return None;
    }
    let only = declared.get("const").map(std::slice::from_ref);
    only.or_else(|| declared.get("enum")?.as_array().map(Vec::as_slice))
}

/// The declaration of the context schema at a dotted path. If there is none, the keyword that stands where the path ends
/// and that is not followed, if there is one: the attribute may be declared behind it.
pub(super) fn declared_at<'s>(schema: &'s Value, path: &str) -> Result<&'s Value, Option<&'static str>> {
    const NOT_FOLLOWED: [&str; 4] = ["$ref", "allOf", "anyOf", "oneOf"];
    path.split('.').try_fold(schema, |schema, segment| {
        let declared = schema.get("properties").and_then(|properties| properties.as_object()?.get(segment));
        declared.ok_or_else(|| NOT_FOLLOWED.into_iter().find(|keyword| schema.get(keyword).is_some()))
    })
}
