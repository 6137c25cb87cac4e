//! What rules ask about a workspace more than once: what refers to what, and what is there to be referred to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::graph;
use crate::parse::{
    BadReference, ById, CONTEXT_SCHEMA, Field, Object, Parse, Parsed, Predicate, Qualifier, Resource, Schema, Type,
    Values, Variable,
};
use crate::shared::SharedMap;

/// A parsed workspace and the references between its qualifiers.
pub(super) struct Facts<'a> {
    pub(super) parsed: &'a Parsed,
    /// For each qualifier, in order of their ids, the numbers of those it refers to.
    pub(super) references: Vec<Vec<usize>>,
    /// The cycles and single qualifiers, each after what it refers to.
    pub(super) components: Vec<Vec<usize>>,
}

/// A readable document: its id, its path, and its content.
pub(super) type Entry<'a, T> = (&'a Arc<str>, &'a Arc<str>, &'a T);

impl<'a> Facts<'a> {
    pub(super) fn of(parsed: &'a Parsed) -> Self {
        let numbers: BTreeMap<&str, usize> = parsed.qualifiers.keys().zip(0..).map(|(id, n)| (&**id, n)).collect();
        let references: Vec<Vec<usize>> = parsed
            .qualifiers
            .values()
            .map(|document| {
                let predicates = document.content().map(Qualifier::predicates).unwrap_or_default();
                let named = predicates.iter().filter_map(Predicate::qualifier_reference);
                named.filter_map(|id| numbers.get(id).copied()).collect()
            })
            .collect();
        let components = graph::components(&references);
        Self { parsed, references, components }
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = Entry<'a, Variable>> {
        readable(&self.parsed.variables)
    }

    pub(super) fn qualifiers(&self) -> impl Iterator<Item = Entry<'a, Qualifier>> {
        readable(&self.parsed.qualifiers)
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = Entry<'a, Resource>> {
        readable(&self.parsed.resources)
    }

    pub(super) fn schemas(&self) -> impl Iterator<Item = Entry<'a, Schema>> {
        readable(&self.parsed.schemas)
    }

    /// The readable objects of a resource.
    pub(super) fn objects(&self, resource: &str) -> impl Iterator<Item = Entry<'a, Object>> {
        self.parsed.objects.get(resource).into_iter().flat_map(readable)
    }

    /// Whether a resource has an object of that key, readable or not.
    pub(super) fn has_object(&self, resource: &str, key: &str) -> bool {
        self.parsed.objects.get(resource).is_some_and(|objects| objects.contains_key(key))
    }

    /// The context schema, if there is one and it is a schema.
    pub(super) fn context_schema(&self) -> Option<&'a Schema> {
        let schema = self.parsed.schemas.get(CONTEXT_SCHEMA)?.content()?;
        schema.validator().is_ok().then_some(schema)
    }

    /// The schema that a resource or an `object` variable names, where that leads to one.
    pub(super) fn named_schema(
        &self,
        path: &str,
        reference: &Field<Arc<str>>,
    ) -> Option<Result<&'a Parse<Schema>, BadReference>> {
        let parsed: &'a Parsed = self.parsed;
        reference.value().map(|reference| parsed.schema_at(path, reference))
    }

    /// The paths of all schemas that something names.
    pub(super) fn named_schemas(&self) -> BTreeSet<&'a Arc<str>> {
        let resources = self.resources().map(|(_, path, resource)| (path, &resource.schema));
        let variables = self.variables().map(|(_, path, variable)| (path, &variable.schema));
        let targets = resources.chain(variables).filter_map(|(path, schema)| self.named_schema(path, schema)?.ok());
        targets.map(|schema| &schema.path).collect()
    }

    /// The keys of values that a variable may select, in order.
    pub(super) fn keys(&self, variable: &'a Variable) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        match variable.value_type() {
            Some(Type::Resource(resource)) => {
                Box::new(self.parsed.objects.get(resource).into_iter().flat_map(SharedMap::keys).map(|key| &**key))
            }
            _ => Box::new(variable.inline_values().map(|(key, _)| &**key)),
        }
    }

    /// Whether a variable may select the value of that key.
    pub(super) fn has_key(&self, variable: &Variable, key: &str) -> bool {
        match (variable.value_type(), &variable.values) {
            (Some(Type::Resource(resource)), _) => self.has_object(resource, key),
            (_, Values::Table(_, values)) => values.contains_key(key),
            (_, Values::Missing | Values::Invalid(_)) => false,
        }
    }

    /// The qualifiers that a rule or another qualifier names.
    pub(super) fn referenced(&self) -> BTreeSet<usize> {
        let pairs = self.references.iter().enumerate();
        let by_qualifiers = pairs.flat_map(|(from, all)| all.iter().copied().filter(move |to| *to != from));
        by_qualifiers.chain(self.selecting()).collect()
    }

    /// The qualifiers that can take part in resolving a variable.
    pub(super) fn reachable(&self) -> BTreeSet<usize> {
        let mut reachable: BTreeSet<usize> = self.selecting().collect();
        let mut open: Vec<usize> = reachable.iter().copied().collect();
        while let Some(from) = open.pop() {
            for to in self.references.get(from).into_iter().flatten() {
                if reachable.insert(*to) {
                    open.push(*to);
                }
            }
        }
        reachable
    }

    /// The numbers of the qualifiers that rules of variables name.
    fn selecting(&self) -> impl Iterator<Item = usize> {
        let named: BTreeSet<&str> = self
            .variables()
            .flat_map(|(_, _, variable)| variable.rules())
            .filter_map(|rule| rule.qualifier.value().map(|id| &**id))
            .collect();
        let ids = self.parsed.qualifiers.keys().enumerate();
        ids.filter(move |(_, id)| named.contains(&***id)).map(|(number, _)| number).collect::<Vec<_>>().into_iter()
    }
}

fn readable<T>(documents: &ById<T>) -> impl Iterator<Item = Entry<'_, T>> {
    documents.iter().filter_map(|(id, document)| Some((id, &document.path, document.content()?)))
}
