//! The references between the parts of a workspace. Pure.

use std::collections::BTreeSet;

use rototo_engine::Parsed;
use rototo_engine::parse::{Field, Type};
use serde::Serialize;

/// A part that refers to another.
#[derive(Clone, Copy, Debug)]
pub(super) enum From<'a> {
    Predicate { qualifier: &'a str, index: usize },
    Rule { variable: &'a str, index: usize },
    Variable(&'a str),
    VariableSchema(&'a str),
    ResourceSchema(&'a str),
}

/// The target of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To<'a> {
    Qualifier(&'a str),
    Context(&'a str),
    Resource(&'a str),
    Schema(&'a str),
}

/// All references with an existing target, or one in the context.
pub(super) struct References<'a>(Vec<(From<'a>, To<'a>)>);

/// A direct or indirect dependency.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Dependencies<'a> {
    pub(super) qualifiers: BTreeSet<&'a str>,
    pub(super) context_paths: BTreeSet<&'a str>,
    pub(super) schemas: BTreeSet<&'a str>,
    pub(super) resources: BTreeSet<&'a str>,
}

/// A part that depends on the subject.
#[derive(Debug, Serialize)]
pub(crate) struct Consumer {
    kind: &'static str,
    pub(super) label: String,
}

impl<'a> References<'a> {
    pub(super) fn of(parsed: &'a Parsed) -> Self {
        let mut references = Self(Vec::new());
        references.of_qualifiers(parsed);
        references.of_resources(parsed);
        references.of_variables(parsed);
        references
    }

    fn of_qualifiers(&mut self, parsed: &'a Parsed) {
        for (id, document) in parsed.qualifiers.iter() {
            let predicates = document.content().map(|qualifier| qualifier.predicates()).unwrap_or_default();
            for (index, predicate) in predicates.iter().enumerate() {
                let from = From::Predicate { qualifier: id, index };
                let named = predicate.qualifier_reference().filter(|named| parsed.qualifiers.contains_key(named));
                self.0.extend(named.map(|named| (from, To::Qualifier(named))));
                self.0.extend(predicate.context_path().map(|path| (from, To::Context(path))));
            }
        }
    }

    fn of_resources(&mut self, parsed: &'a Parsed) {
        for (id, document) in parsed.resources.iter() {
            let schema = document.content().map(|resource| &resource.schema);
            let target = schema.and_then(|schema| schema_path(parsed, &document.path, schema));
            self.0.extend(target.map(|path| (From::ResourceSchema(id), To::Schema(path))));
        }
    }

    fn of_variables(&mut self, parsed: &'a Parsed) {
        for (id, document) in parsed.variables.iter() {
            let Some(variable) = document.content() else { continue };
            for (index, rule) in variable.rules().iter().enumerate() {
                let named = rule.qualifier.value().filter(|named| parsed.qualifiers.contains_key(named));
                self.0.extend(named.map(|named| (From::Rule { variable: id, index }, To::Qualifier(named))));
            }
            if let Some(Type::Resource(resource)) = variable.value_type()
                && parsed.resources.contains_key(resource)
            {
                self.0.push((From::Variable(id), To::Resource(resource)));
            }
            let schema = schema_path(parsed, &document.path, &variable.schema);
            self.0.extend(schema.map(|path| (From::VariableSchema(id), To::Schema(path))));
        }
    }

    /// Returns every part that depends on `target`.
    pub(super) fn consumers(&self, target: To<'_>) -> Vec<Consumer> {
        let named = self.0.iter().filter(|(_, to)| *to == target);
        named.map(|(from, _)| Consumer { kind: from.kind(), label: from.label() }).collect()
    }

    pub(super) fn of_variable(&self, id: &str) -> Dependencies<'a> {
        let mut found = Dependencies::default();
        let own = |from: &From<'_>| match from {
            From::Rule { variable, .. } | From::Variable(variable) | From::VariableSchema(variable) => *variable == id,
            From::Predicate { .. } | From::ResourceSchema(_) => false,
        };
        self.collect(own, &mut found);
        found
    }

    pub(super) fn of_qualifier(&self, id: &str) -> Dependencies<'a> {
        let mut found = Dependencies::default();
        self.collect(|from| matches!(from, From::Predicate { qualifier, .. } if *qualifier == id), &mut found);
        found.qualifiers.remove(id);
        found
    }

    pub(super) fn of_resource(&self, id: &str) -> Dependencies<'a> {
        let mut found = Dependencies::default();
        self.collect(|from| matches!(from, From::ResourceSchema(resource) if *resource == id), &mut found);
        found
    }

    /// Returns the targets of the references that `own` picks, and of those of the qualifiers on the way.
    fn collect(&self, own: impl Fn(&From<'_>) -> bool, found: &mut Dependencies<'a>) {
        let mut open: Vec<To<'a>> = self.0.iter().filter(|(from, _)| own(from)).map(|(_, to)| *to).collect();
        while let Some(target) = open.pop() {
            match target {
                To::Context(path) => drop(found.context_paths.insert(path)),
                To::Resource(id) => drop(found.resources.insert(id)),
                To::Schema(path) => drop(found.schemas.insert(path)),
                To::Qualifier(id) if found.qualifiers.insert(id) => {
                    let of_it = |from: &From<'_>| matches!(from, From::Predicate { qualifier, .. } if *qualifier == id);
                    open.extend(self.0.iter().filter(|(from, _)| of_it(from)).map(|(_, to)| *to));
                }
                To::Qualifier(_) => {}
            }
        }
    }
}

fn schema_path<'a>(parsed: &'a Parsed, path: &str, schema: &'a Field<std::sync::Arc<str>>) -> Option<&'a str> {
    parsed.schema_at(path, schema.value()?).ok().map(|schema| &*schema.path)
}

impl From<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Predicate { .. } => "qualifier",
            Self::Rule { .. } | Self::Variable(_) | Self::VariableSchema(_) => "variable",
            Self::ResourceSchema(_) => "resource",
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Predicate { qualifier, index } => format!("qualifier {qualifier} predicate[{index}]"),
            Self::Rule { variable, index } => format!("variable {variable} resolve.rule[{index}]"),
            Self::Variable(id) => format!("variable {id}"),
            Self::VariableSchema(id) => format!("variable {id} schema"),
            Self::ResourceSchema(id) => format!("resource {id} schema"),
        }
    }
}
