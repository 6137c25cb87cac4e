//! The documents for which a change matters: those that changed, and those that name a changed document.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::document::shared::SharedMap;
use crate::document::tree::DocumentKind;
use crate::lint::uses::schema_path;
use crate::lint::workspace_index::{WorkspaceIndex, declared_at};
use crate::parse::{ById, CONTEXT_SCHEMA, Parse, Parsed, Predicate, Qualifier, Resource, Schema, Type, Variable};
use crate::parse::{refers_to_objects, resource_of, stem};

/// The changes to names and documents that other documents may refer to.
#[derive(Default)]
struct ChangedNames<'a> {
    /// Ids of qualifiers that were added or removed.
    qualifiers: BTreeSet<&'a str>,
    /// Ids of resources that changed in any way.
    resources: BTreeSet<&'a str>,
    /// Ids of resources whose objects were added or removed.
    objects: BTreeSet<&'a str>,
    /// Paths of schemas that changed in any way.
    schemas: BTreeSet<&'a str>,
    /// The context schema before and now, as far as it is usable, if it changed.
    context: Option<[Option<&'a Schema>; 2]>,
}

/// Returns, in order, the paths of the documents to check when those at `changed` differ from `before`. An earlier
/// finding (`found`) may suggest a similar name, so its document is checked again when names were added or removed.
pub(super) fn affected(
    before: &Parsed,
    now: &Parsed,
    changed: &[Arc<str>],
    found: &SharedMap<Arc<[Diagnostic]>>,
) -> Vec<Arc<str>> {
    let mut affected = changed.to_vec();
    // In a new workspace, no other document is left to check.
    if before.summary().documents == 0 {
        return affected;
    }
    let names = ChangedNames::of(before, now, changed);
    if names.is_empty() {
        return affected;
    }
    let had_findings = |path: &str| names.came_or_went() && found.contains_key(path);
    add(&mut affected, &now.variables, |path, variable| {
        names.matter_for_variable(path, variable) || had_findings(path)
    });
    add(&mut affected, &now.qualifiers, |path, qualifier| names.matter_for_qualifier(qualifier) || had_findings(path));
    add(&mut affected, &now.resources, |path, resource| names.matter_for_resource(path, resource));
    for (id, objects) in &now.objects {
        let Some(resource) = now.resources.get(id) else { continue };
        if names.matter_for_objects(now, id, resource) {
            affected.extend(objects.values().map(|object| Arc::clone(&object.path)));
        }
    }
    affected.sort();
    affected.dedup();
    affected
}

fn add<T>(affected: &mut Vec<Arc<str>>, documents: &ById<T>, matters: impl Fn(&Arc<str>, &T) -> bool) {
    let readable = documents.values().filter_map(|document| Some((&document.path, document.content()?)));
    affected.extend(readable.filter(|(path, content)| matters(path, content)).map(|(path, _)| Arc::clone(path)));
}

impl<'a> ChangedNames<'a> {
    fn of(before: &'a Parsed, now: &'a Parsed, changed: &'a [Arc<str>]) -> Self {
        let mut names = Self::default();
        for path in changed {
            let came_or_went = before.tree().counted(path).is_some() != now.tree().counted(path).is_some();
            let (set, name) = match DocumentKind::at(path) {
                Some(DocumentKind::Qualifier) if came_or_went => (&mut names.qualifiers, stem(path)),
                Some(DocumentKind::ResourceObject) if came_or_went => (&mut names.objects, resource_of(path)),
                Some(DocumentKind::Resource) => (&mut names.resources, stem(path)),
                Some(DocumentKind::Schema) => (&mut names.schemas, &**path),
                _ => continue,
            };
            set.insert(name);
        }
        if names.schemas.contains(CONTEXT_SCHEMA) {
            names.context = Some([before, now].map(|parsed| WorkspaceIndex::new(parsed).context_schema()));
        }
        names
    }

    fn is_empty(&self) -> bool {
        [&self.qualifiers, &self.resources, &self.objects, &self.schemas].into_iter().all(BTreeSet::is_empty)
    }

    /// Returns whether names were added or removed.
    fn came_or_went(&self) -> bool {
        !self.qualifiers.is_empty() || self.objects_or_resources()
    }

    fn objects_or_resources(&self) -> bool {
        !self.resources.is_empty() || !self.objects.is_empty()
    }

    fn matter_for_variable(&self, path: &str, variable: &Variable) -> bool {
        let mut selecting = variable.rules().iter().filter_map(|rule| rule.qualifier.value());
        let of_type = matches!(variable.value_type(), Some(Type::Resource(id)) if self.resource(id));
        let schema = schema_path(path, &variable.schema);
        of_type
            || schema.is_some_and(|schema| self.objects_or_resources() || self.schemas.contains(&*schema))
            || !self.qualifiers.is_empty() && selecting.any(|id| self.qualifiers.contains(&**id))
    }

    fn matter_for_qualifier(&self, qualifier: &Qualifier) -> bool {
        let mut named = qualifier.predicates().iter().filter_map(Predicate::qualifier_reference);
        self.context_matters_for(qualifier) || named.any(|id| self.qualifiers.contains(id))
    }

    /// Checks of qualifiers read of the context schema only what it declares for their attributes.
    fn context_matters_for(&self, qualifier: &Qualifier) -> bool {
        let mut attributes = qualifier.predicates().iter().filter_map(|predicate| predicate.attribute.value());
        match self.context {
            None | Some([None, None]) => false,
            Some([Some(before), Some(now)]) => {
                attributes.any(|path| declared_at(&before.json, path) != declared_at(&now.json, path))
            }
            Some(_) => true,
        }
    }

    fn matter_for_resource(&self, path: &str, resource: &Resource) -> bool {
        schema_path(path, &resource.schema).is_some_and(|schema| self.schemas.contains(&*schema))
    }

    fn matter_for_objects(&self, now: &Parsed, id: &str, resource: &Parse<Resource>) -> bool {
        let schema = resource.content().and_then(|content| schema_path(&resource.path, &content.schema));
        let Some(schema) = schema else { return self.resources.contains(id) };
        self.resources.contains(id)
            || self.schemas.contains(&*schema)
            || self.objects_or_resources()
                && now.schemas.get(&schema).and_then(Parse::content).is_some_and(refers_to_objects)
    }

    fn resource(&self, id: &str) -> bool {
        self.resources.contains(id) || self.objects.contains(id)
    }
}
