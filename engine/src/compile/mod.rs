//! Compiles a parsed workspace into a [`Compiled`] one. Everything that resolution relies on is checked here, once.
//! Parts that did not change since an earlier workspace are taken from there.
//!
//! ```
//! use rototo_engine::{Context, Tree, compile, parse};
//!
//! # let files = [
//! #     ("rototo-workspace.toml", "schema_version = 1"),
//! #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10, large = 100 }\n[resolve]\ndefault = \"small\"\nrule = [{ qualifier = \"pro\", value = \"large\" }]"),
//! #     ("qualifiers/pro.toml", "schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]"),
//! # ];
//! # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
//! let compiled = compile(&parse(tree))?;
//! assert_eq!(compiled.variables().collect::<Vec<_>>(), ["limit"]);
//! let context = Context::from_json(serde_json::json!({ "plan": "pro" }))?;
//! assert_eq!(compiled.resolve_variable("limit", &context)?.value, 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod changes;
pub(crate) mod compiled;
pub(crate) mod constraint;
pub(crate) mod paths;
pub(crate) mod table;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::compile::compiled::{
    Choice, Compiled, CompiledPredicate, CompiledQualifier, CompiledRule, CompiledVariable, ContextSchema,
    PredicateSubject, ValueType,
};
use crate::compile::constraint::Constraint;
use crate::compile::paths::Paths;
use crate::diagnostic::{Diagnostic, Severity};
use crate::document::kind::MANIFEST;
use crate::document::tree::Tree;
use crate::graph;
pub use crate::graph::MAX_QUALIFIER_CHAIN;
use crate::lint::lint;
use crate::parse;
use crate::parse::{CONTEXT_SCHEMA, ChangedIds, Field, Parse, Parsed, Primitive, Type, parse_only};

/// The error of a workspace that cannot be resolved. Trying again does not help; changing the workspace does. Its text
/// holds no value of the workspace.
#[derive(Clone, Debug, thiserror::Error)]
pub struct CompileError {
    /// The document at which compiling stopped.
    pub path: String,
    /// The errors of lint about the workspace; those of that document come first.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.diagnostics.split_first() {
            None => write!(f, "cannot compile {}", self.path),
            Some((first, more)) => {
                write!(f, "cannot compile: {}: {}", first.location, first.masked_message())?;
                if more.is_empty() { Ok(()) } else { write!(f, ", and {} more", more.len()) }
            }
        }
    }
}

/// The path of the document that cannot be compiled. Everything that is refused here is an error of lint, which has the
/// message.
struct UncompilableDocument(Arc<str>);

/// Makes a workspace ready to resolve. The workspace may have lint errors: only the parts that resolution needs are
/// checked.
///
/// ```
/// use rototo_engine::{Tree, compile, parse};
///
/// let error = compile(&parse(Tree::default())).unwrap_err();
/// assert_eq!(error.to_string(), "cannot compile: .: there is no workspace here");
/// ```
///
/// # Errors
/// When something that resolution needs is missing or inconsistent.
pub fn compile(parsed: &Parsed) -> Result<Compiled, CompileError> {
    compile_after(&Compiled::default(), parsed)
}

/// Compiles like [`compile`], with the same result, and takes unchanged parts from `previous`. The work is proportional
/// to the changes and to everything that depends on them. `previous` stays as it is, and so does everybody who resolves
/// from it.
///
/// ```
/// use rototo_engine::{Context, Tree, compile, compile_after, parse, parse_after};
///
/// # let files = [
/// #     ("rototo-workspace.toml", "schema_version = 1"),
/// #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10, large = 100 }\n[resolve]\ndefault = \"small\"\nrule = [{ qualifier = \"pro\", value = \"large\" }]"),
/// #     ("qualifiers/pro.toml", "schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]"),
/// # ];
/// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
/// let parsed = parse(tree.clone());
/// let first = compile(&parsed)?;
/// let mut tree = tree;
/// tree.insert("qualifiers/pro.toml", *b"schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"max\" }]");
/// let next = compile_after(&first, &parse_after(&parsed, tree))?;
/// let context = Context::from_json(serde_json::json!({ "plan": "pro" }))?;
/// assert_eq!(first.resolve_variable("limit", &context)?.value, 100);
/// assert_eq!(next.resolve_variable("limit", &context)?.value, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`compile`].
pub fn compile_after(previous: &Compiled, parsed: &Parsed) -> Result<Compiled, CompileError> {
    let start = Start::after(previous, parsed.tree());
    Compiler { parsed, start }.compile().map_err(|document| document.explained_by(parsed))
}

/// Compiles the documents of `tree` like [`compile_after`], with the same result, and reads only those that changed or
/// depend on a change. A process that does not lint has no use for the others.
///
/// ```
/// use rototo_engine::{Compiled, Tree, compile_tree_after};
///
/// let mut tree = Tree::default();
/// tree.insert("rototo-workspace.toml", *b"schema_version = 1");
/// let first = compile_tree_after(&Compiled::default(), tree.clone())?;
/// tree.insert("variables/limit.toml", *b"schema_version = 1\ntype = \"int\"\nvalues = { a = 1 }\nresolve = { default = \"a\" }");
/// let next = compile_tree_after(&first, tree)?;
/// assert_eq!(next.variables().collect::<Vec<_>>(), ["limit"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`compile`].
pub fn compile_tree_after(previous: &Compiled, tree: Tree) -> Result<Compiled, CompileError> {
    let start = Start::after(previous, &tree);
    let affected = start.affected.iter().map(|id| Arc::from(format!("variables/{id}.toml")));
    let mut paths: Vec<Arc<str>> = start.changed.iter().cloned().chain(affected).collect();
    paths.push(MANIFEST.into());
    // A variable that changed is affected, too.
    paths.sort();
    paths.dedup();
    let parsed = parse_only(&tree, &paths);
    Compiler { parsed: &parsed, start }.compile().map_err(|document| document.explained_by(&parse::parse(tree)))
}

impl UncompilableDocument {
    fn explained_by(self, parsed: &Parsed) -> CompileError {
        let Self(path) = self;
        let mut diagnostics = lint(parsed).diagnostics;
        diagnostics.retain(|found| found.severity == Severity::Error);
        diagnostics.sort_by_key(|found| found.location.path != *path);
        CompileError { path: path.to_string(), diagnostics }
    }
}

/// The state that compiling begins with.
struct Start {
    /// The previous workspace, in which changed parts are replaced.
    compiled: Compiled,
    /// The paths at which the documents differ from it.
    changed: Vec<Arc<str>>,
    changes: ChangedIds,
    /// The variables that changed, or whose resource or its objects changed.
    affected: BTreeSet<Arc<str>>,
}

impl Start {
    fn after(previous: &Compiled, tree: &Tree) -> Self {
        let changed = tree.changed_since(&previous.tree);
        let changes = ChangedIds::of(&changed);
        // Another qualifier may still refer to a removed one by its number, which has no meaning any more.
        let one_is_gone = changes.qualifiers.iter().any(|id| tree.get(&format!("qualifiers/{id}.toml")).is_none());
        if one_is_gone || previous.paths.too_many_for(previous.qualifier_numbers.len()) {
            return Self::after(&Compiled::default(), tree);
        }
        let resources = changes.resources.iter().chain(changes.objects.iter().map(|(resource, _)| resource));
        let resources: BTreeSet<&Arc<str>> = resources.collect();
        let resources = resources.into_iter().filter_map(|resource| previous.resources.get(resource));
        let mut affected: BTreeSet<Arc<str>> = resources.flat_map(|resource| resource.users.keys()).cloned().collect();
        affected.extend(changes.variables.iter().cloned());
        Self { compiled: previous.clone(), changed, changes, affected }
    }
}

struct Compiler<'a> {
    /// At least the manifest, and the documents that changed or are affected.
    parsed: &'a Parsed,
    start: Start,
}

impl Compiler<'_> {
    fn compile(mut self) -> Result<Compiled, UncompilableDocument> {
        let bad_manifest = || UncompilableDocument(MANIFEST.into());
        let manifest = self.parsed.manifest.as_ref().and_then(Parse::content).ok_or_else(bad_manifest)?;
        require_version(&manifest.schema_version).ok_or_else(bad_manifest)?;
        self.context_schema()?;
        self.qualifiers()?;
        self.resources();
        self.variables()?;
        self.start.compiled.tree = self.parsed.tree().clone();
        Ok(self.start.compiled)
    }

    fn context_schema(&mut self) -> Result<(), UncompilableDocument> {
        if self.start.changed.iter().all(|path| **path != *CONTEXT_SCHEMA) {
            return Ok(());
        }
        let compiled = match self.parsed.schemas.get(CONTEXT_SCHEMA) {
            None => None,
            Some(document) => {
                let bad_schema = || UncompilableDocument(CONTEXT_SCHEMA.into());
                document.content().and_then(|schema| schema.validator().ok()).ok_or_else(bad_schema)?;
                let digest = self.parsed.tree().get(CONTEXT_SCHEMA).ok_or_else(bad_schema)?.digest();
                Some(ContextSchema { document: document.clone(), identity: digest.short_identity() })
            }
        };
        self.start.compiled.context_schema = compiled;
        Ok(())
    }

    fn qualifiers(&mut self) -> Result<(), UncompilableDocument> {
        let parsed = self.parsed;
        let changed = self.start.changes.qualifiers.iter().filter_map(|id| parsed.qualifiers.get_key_value(id));
        let changed: Vec<_> = changed.collect();
        if changed.is_empty() {
            return Ok(());
        }
        let count = self.number_qualifiers(&changed)?;
        let compiled = &self.start.compiled;
        let mut all: Vec<Option<Arc<CompiledQualifier>>> = compiled.qualifiers.iter().cloned().map(Some).collect();
        all.resize(count, None);
        let mut refers = false;
        for (id, document) in changed {
            let qualifier = self.qualifier(id, document).ok_or_else(|| uncompilable(document))?;
            refers |= !references(&qualifier).is_empty();
            let number = self.start.compiled.qualifier_numbers.get(id);
            let number = number.and_then(|number| usize::try_from(*number).ok());
            *number.and_then(|number| all.get_mut(number)).ok_or_else(|| uncompilable(document))? =
                Some(Arc::new(qualifier));
        }
        self.start.compiled.qualifiers = all.into_iter().flatten().collect();
        // Without new references there can be no new cycle.
        if refers { self.require_short_chains() } else { Ok(()) }
    }

    /// Gives each new qualifier the next number. Returns the count of all qualifiers.
    fn number_qualifiers(
        &mut self,
        changed: &[(&Arc<str>, &Parse<parse::Qualifier>)],
    ) -> Result<usize, UncompilableDocument> {
        let numbers = &mut self.start.compiled.qualifier_numbers;
        let mut next = numbers.len();
        for (id, document) in changed {
            if !numbers.contains_key(id) {
                numbers.insert(Arc::clone(id), u32::try_from(next).map_err(|_| uncompilable(document))?);
                next += 1;
            }
        }
        Ok(next)
    }

    fn require_short_chains(&self) -> Result<(), UncompilableDocument> {
        let qualifiers = &self.start.compiled.qualifiers;
        let edges: Vec<Vec<usize>> = qualifiers.iter().map(|qualifier| references(qualifier)).collect();
        let components = graph::components(&edges);
        let first_cyclic =
            components.iter().find(|component| graph::is_cycle(component, &edges)).and_then(|c| c.first());
        let too_deep = graph::depths(&edges, &components).iter().position(|depth| *depth > MAX_QUALIFIER_CHAIN);
        match first_cyclic.copied().or(too_deep).and_then(|number| qualifiers.get(number)) {
            Some(qualifier) => Err(UncompilableDocument(format!("qualifiers/{}.toml", qualifier.id).into())),
            None => Ok(()),
        }
    }

    fn qualifier(&mut self, id: &Arc<str>, document: &Parse<parse::Qualifier>) -> Option<CompiledQualifier> {
        let qualifier = document.content()?;
        require_version(&qualifier.schema_version)?;
        let predicates: Box<[CompiledPredicate]> =
            qualifier.predicates().iter().map(|predicate| self.predicate(predicate)).collect::<Option<_>>()?;
        (!predicates.is_empty()).then(|| CompiledQualifier { id: Arc::clone(id), predicates })
    }

    fn predicate(&mut self, predicate: &parse::Predicate) -> Option<CompiledPredicate> {
        let attribute = predicate.attribute.value()?;
        let (constraint, negated) = Constraint::of(predicate)?;
        let compiled = &mut self.start.compiled;
        // A bucket hashes an attribute of the context, even where its name looks like that of a qualifier.
        let subject = match (predicate.qualifier_reference(), &constraint) {
            (Some(id), Constraint::Equal(_) | Constraint::OneOf(_) | Constraint::Ordered { .. }) => {
                PredicateSubject::Qualifier(*compiled.qualifier_numbers.get(id)?)
            }
            _ => PredicateSubject::Path(Paths::number(&mut compiled.paths, attribute)?),
        };
        Some(CompiledPredicate { subject, negated, constraint })
    }

    fn resources(&mut self) {
        let resources = &mut self.start.compiled.resources;
        for id in &self.start.changes.resources {
            let is_readable = self.parsed.resources.get(id).is_some_and(|document| document.content().is_some());
            if let Some(resource) = resources.get_mut_or_default(id) {
                resource.is_readable = is_readable;
            }
        }
        for (id, key) in &self.start.changes.objects {
            let Some(resource) = resources.get_mut_or_default(id) else { continue };
            match self.parsed.objects.get(id).and_then(|objects| objects.get(key)?.content()) {
                Some(object) => resource.objects.insert(key.clone(), object.value.clone()),
                None => resource.objects.remove(key),
            };
        }
    }

    fn variables(&mut self) -> Result<(), UncompilableDocument> {
        for id in std::mem::take(&mut self.start.affected) {
            let before = self.start.compiled.variables.get(&id).and_then(CompiledVariable::resource).cloned();
            if let Some(resource) = before.and_then(|resource| self.start.compiled.resources.get_mut(&resource)) {
                resource.users.remove(&id);
            }
            match self.parsed.variables.get(&id) {
                None => self.start.compiled.variables.remove(&id),
                Some(document) => {
                    let variable = self.variable(&id, document).ok_or_else(|| uncompilable(document))?;
                    let resource = variable.resource().cloned();
                    self.start.compiled.variables.insert(variable);
                    if let Some(resource) = resource.and_then(|id| self.start.compiled.resources.get_mut(&id)) {
                        resource.users.insert(id, ());
                    }
                }
            }
        }
        Ok(())
    }

    fn variable(&self, id: &Arc<str>, document: &Parse<parse::Variable>) -> Option<CompiledVariable> {
        let variable = document.content()?;
        require_version(&variable.schema_version)?;
        if let parse::Resolve::Table { rules: parse::Rules::Invalid(_), .. } = variable.resolve {
            return None;
        }
        let default = variable.default()?.value()?;
        let rules = variable.rules().iter().map(|rule| Some((rule.qualifier.value()?, rule.value.value()?)));
        let rules: Vec<_> = rules.collect::<Option<_>>()?;
        let (value_type, choices) = self.choices(variable, rules.iter().map(|(_, key)| *key).chain([default]))?;
        let number = |key: &str| {
            let number = choices.binary_search_by(|choice| (*choice.key).cmp(key)).ok()?;
            u32::try_from(number).ok()
        };
        let rule = |(qualifier, key): (&Arc<str>, &Arc<str>)| {
            let qualifier = *self.start.compiled.qualifier_numbers.get(qualifier)?;
            Some(CompiledRule { qualifier, choice: number(key)? })
        };
        let rules = rules.into_iter().map(rule).collect::<Option<_>>()?;
        let default = number(default)?;
        Some(CompiledVariable { id: Arc::clone(id), value_type, choices, rules, default })
    }

    /// Returns the type of a variable and its choices, in the order of their keys: its own values, or those objects of
    /// its resource that are `chosen`.
    fn choices<'p>(
        &self,
        variable: &parse::Variable,
        chosen: impl Iterator<Item = &'p Arc<str>>,
    ) -> Option<(ValueType, Box<[Choice]>)> {
        let choice = |(key, value): (&Arc<str>, &Arc<Value>)| Choice { key: Arc::clone(key), value: Arc::clone(value) };
        match (variable.value_type()?, &variable.values, &variable.schema) {
            (Type::Resource(id), values, Field::Missing(_)) if values.are_none() => {
                let (id, resource) = self.start.compiled.resources.get_key_value(id)?;
                let chosen: BTreeSet<&Arc<str>> = chosen.collect();
                let objects = chosen.into_iter().map(|key| resource.objects.get_key_value(key).map(choice));
                let objects = objects.collect::<Option<_>>()?;
                resource.is_readable.then(|| (ValueType::Resource(Arc::clone(id)), objects))
            }
            (Type::Primitive(of), parse::Values::Table(_, values), schema)
                if of == Primitive::Object || matches!(schema, Field::Missing(_)) =>
            {
                let values = values.iter().map(|(key, named)| choice((key, &named.value)));
                Some((ValueType::Primitive(of), values.collect()))
            }
            _ => None,
        }
    }
}

fn require_version(version: &Field<i64>) -> Option<()> {
    (version.value() == Some(&1)).then_some(())
}

fn uncompilable<T>(document: &Parse<T>) -> UncompilableDocument {
    UncompilableDocument(Arc::clone(&document.path))
}

fn references(qualifier: &CompiledQualifier) -> Vec<usize> {
    let target = |predicate: &CompiledPredicate| match predicate.subject {
        PredicateSubject::Qualifier(number) => usize::try_from(number).ok(),
        PredicateSubject::Path(_) => None,
    };
    qualifier.predicates.iter().filter_map(target).collect()
}
