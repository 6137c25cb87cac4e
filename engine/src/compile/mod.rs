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
    PredicateSubject,
};
use crate::compile::constraint::Constraint;
use crate::compile::paths::Paths;
use crate::diagnostic::{Diagnostic, Severity};
use crate::document::shared::SharedMap;
use crate::graph;
pub use crate::graph::MAX_QUALIFIER_CHAIN;
use crate::lint::lint;
use crate::parse;
use crate::parse::{CONTEXT_SCHEMA, ChangedIds, Field, Parse, Parsed, Primitive, Type};

/// The error of a workspace that cannot be resolved. Trying again does not help; changing the workspace does.
#[derive(Clone, Debug, thiserror::Error)]
pub struct CompileError {
    /// The document at which compiling stopped.
    pub path: String,
    /// The errors of lint about the workspace; those of that document come first.
    pub diagnostics: Vec<Diagnostic>,
}

/// The text holds no value of the workspace.
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

/// The document that cannot be compiled. Everything that is refused here is an error of lint, which has the message.
struct UncompilableDocument<'a>(&'a str);

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
/// let first = compile(&parse(tree.clone()))?;
/// let mut tree = tree;
/// tree.insert("qualifiers/pro.toml", *b"schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"max\" }]");
/// let next = compile_after(&first, &parse_after(first.parsed(), tree))?;
/// let context = Context::from_json(serde_json::json!({ "plan": "pro" }))?;
/// assert_eq!(first.resolve_variable("limit", &context)?.value, 100);
/// assert_eq!(next.resolve_variable("limit", &context)?.value, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`compile`].
pub fn compile_after(previous: &Compiled, parsed: &Parsed) -> Result<Compiled, CompileError> {
    Compiler::after(previous, parsed).compile().map_err(|UncompilableDocument(path)| {
        let mut diagnostics = lint(parsed).diagnostics;
        diagnostics.retain(|found| found.severity == Severity::Error);
        diagnostics.sort_by_key(|found| found.location.path != path);
        CompileError { path: path.to_owned(), diagnostics }
    })
}

struct Compiler<'a> {
    parsed: &'a Parsed,
    changes: ChangedIds,
    /// The previous workspace, in which changed parts are replaced.
    compiled: Compiled,
}

impl<'a> Compiler<'a> {
    fn after(previous: &Compiled, parsed: &'a Parsed) -> Self {
        let changes = parsed.changes_since(&previous.parsed);
        // Another qualifier may still refer to a removed one by its number, which has no meaning any more.
        let one_is_gone = changes.qualifiers.iter().any(|id| !parsed.qualifiers.contains_key(id));
        if one_is_gone || previous.paths.too_many_for(parsed.qualifiers.len()) {
            return Self::after(&Compiled::default(), parsed);
        }
        Self { parsed, changes, compiled: previous.clone() }
    }

    fn compile(mut self) -> Result<Compiled, UncompilableDocument<'a>> {
        let manifest = self.parsed.manifest.as_ref().ok_or(UncompilableDocument("rototo-workspace.toml"))?;
        let content = manifest.content().ok_or(UncompilableDocument(&manifest.path))?;
        require_version(&content.schema_version, &manifest.path)?;
        self.compiled.context_schema = self.context_schema()?;
        self.qualifiers()?;
        self.variables()?;
        self.compiled.parsed = self.parsed.clone();
        Ok(self.compiled)
    }

    fn context_schema(&self) -> Result<Option<ContextSchema>, UncompilableDocument<'a>> {
        let Some(document) = self.parsed.schemas.get(CONTEXT_SCHEMA) else { return Ok(None) };
        let schema = document.content().ok_or(UncompilableDocument(CONTEXT_SCHEMA))?;
        schema.validator().map_err(|_| UncompilableDocument(CONTEXT_SCHEMA))?;
        let digest = self.parsed.tree().get(CONTEXT_SCHEMA).ok_or(UncompilableDocument(CONTEXT_SCHEMA))?.digest();
        Ok(Some(ContextSchema { document: document.clone(), identity: digest.short_identity() }))
    }

    fn qualifiers(&mut self) -> Result<(), UncompilableDocument<'a>> {
        let parsed = self.parsed;
        let changed: Vec<_> =
            self.changes.qualifiers.iter().filter_map(|id| parsed.qualifiers.get_key_value(id)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let mut next = self.compiled.qualifier_numbers.len();
        for (id, document) in &changed {
            if !self.compiled.qualifier_numbers.contains_key(id) {
                let number = u32::try_from(next).map_err(|_| UncompilableDocument(&document.path))?;
                self.compiled.qualifier_numbers.insert(Arc::clone(id), number);
                next += 1;
            }
        }
        let mut all: Vec<Option<Arc<CompiledQualifier>>> = self.compiled.qualifiers.iter().cloned().map(Some).collect();
        all.resize(next, None);
        let mut refers = false;
        for (id, document) in changed {
            let refused = || UncompilableDocument(&document.path);
            let qualifier = self.qualifier(id, document).ok_or_else(refused)?;
            refers |= !references(&qualifier).is_empty();
            let number = self.compiled.qualifier_numbers.get(id).and_then(|number| usize::try_from(*number).ok());
            *number.and_then(|number| all.get_mut(number)).ok_or_else(refused)? = Some(Arc::new(qualifier));
        }
        self.compiled.qualifiers = all.into_iter().flatten().collect();
        // Without new references there can be no new cycle.
        if refers { self.require_short_chains() } else { Ok(()) }
    }

    fn require_short_chains(&self) -> Result<(), UncompilableDocument<'a>> {
        let qualifiers = &self.compiled.qualifiers;
        let edges: Vec<Vec<usize>> = qualifiers.iter().map(|qualifier| references(qualifier)).collect();
        let components = graph::components(&edges);
        let first_cyclic =
            components.iter().find(|component| graph::is_cycle(component, &edges)).and_then(|c| c.first());
        let too_deep = graph::depths(&edges, &components).iter().position(|depth| *depth > MAX_QUALIFIER_CHAIN);
        let fault = first_cyclic.copied().or(too_deep).and_then(|number| qualifiers.get(number));
        match fault.and_then(|qualifier| self.parsed.qualifiers.get(&qualifier.id)) {
            Some(document) => Err(UncompilableDocument(&document.path)),
            None => Ok(()),
        }
    }

    fn qualifier(&mut self, id: &Arc<str>, document: &Parse<parse::Qualifier>) -> Option<CompiledQualifier> {
        let qualifier = document.content()?;
        require_version(&qualifier.schema_version, &document.path).ok()?;
        let predicates: Box<[CompiledPredicate]> =
            qualifier.predicates().iter().map(|predicate| self.predicate(predicate)).collect::<Option<_>>()?;
        (!predicates.is_empty()).then(|| CompiledQualifier { id: Arc::clone(id), predicates })
    }

    fn predicate(&mut self, predicate: &parse::Predicate) -> Option<CompiledPredicate> {
        let attribute = predicate.attribute.value()?;
        let (constraint, negated) = Constraint::of(predicate)?;
        // A bucket hashes an attribute of the context, even where its name looks like that of a qualifier.
        let subject = match (predicate.qualifier_reference(), &constraint) {
            (Some(id), Constraint::Equal(_) | Constraint::OneOf(_) | Constraint::Ordered { .. }) => {
                PredicateSubject::Qualifier(*self.compiled.qualifier_numbers.get(id)?)
            }
            _ => PredicateSubject::Path(Paths::number(&mut self.compiled.paths, attribute)?),
        };
        Some(CompiledPredicate { subject, negated, constraint })
    }

    fn variables(&mut self) -> Result<(), UncompilableDocument<'a>> {
        let users = self.changes.resources.iter().filter_map(|resource| self.compiled.users.get(resource));
        let mut affected: BTreeSet<Arc<str>> = users.flat_map(SharedMap::keys).cloned().collect();
        affected.extend(self.changes.variables.iter().cloned());
        for id in affected {
            if let Some(before) = self.compiled.parsed.variables.get(&id).and_then(resource_of)
                && let Some(users) = self.compiled.users.get_mut(before)
            {
                users.remove(&id);
            }
            match self.parsed.variables.get(&id) {
                None => self.compiled.variables.remove(&id),
                Some(document) => {
                    let variable = self.variable(&id, document).ok_or(UncompilableDocument(&document.path))?;
                    self.compiled.variables.insert(variable);
                    if let Some(users) =
                        resource_of(document).and_then(|name| self.compiled.users.get_mut_or_default(&Arc::from(name)))
                    {
                        users.insert(id, ());
                    }
                }
            }
        }
        Ok(())
    }

    fn variable(&self, id: &Arc<str>, document: &Parse<parse::Variable>) -> Option<CompiledVariable> {
        let variable = document.content()?;
        require_version(&variable.schema_version, &document.path).ok()?;
        if let parse::Resolve::Table { rules: parse::Rules::Invalid(_), .. } = variable.resolve {
            return None;
        }
        let choice = |field: &Field<Arc<str>>| {
            let (key, value) = self.value(variable, field.value()?)?;
            Some(Choice { key: Arc::clone(key), value: Arc::clone(value) })
        };
        let rule = |rule: &parse::Rule| {
            let qualifier = *self.compiled.qualifier_numbers.get(rule.qualifier.value()?)?;
            Some(CompiledRule { qualifier, choice: choice(&rule.value)? })
        };
        let default = choice(variable.default()?)?;
        let rules = variable.rules().iter().map(rule).collect::<Option<_>>()?;
        Some(CompiledVariable { id: Arc::clone(id), rules, default })
    }

    /// Returns the value of that key, if `variable` has it and its type permits it.
    fn value<'p>(&'p self, variable: &'p parse::Variable, key: &str) -> Option<(&'p Arc<str>, &'p Arc<Value>)> {
        match (variable.value_type()?, &variable.values, &variable.schema) {
            (Type::Resource(resource), values, Field::Missing(_)) if values.are_none() => {
                self.parsed.resources.get(resource)?.content()?;
                let (key, object) = self.parsed.objects.get(resource)?.get_key_value(key)?;
                Some((key, &object.content()?.value))
            }
            (Type::Primitive(Primitive::Object), parse::Values::Table(_, values), _)
            | (Type::Primitive(_), parse::Values::Table(_, values), Field::Missing(_)) => {
                values.get_key_value(key).map(|(key, named)| (key, &named.value))
            }
            _ => None,
        }
    }
}

fn require_version<'a>(version: &Field<i64>, path: &'a str) -> Result<(), UncompilableDocument<'a>> {
    if version.value() == Some(&1) { Ok(()) } else { Err(UncompilableDocument(path)) }
}

/// The resource whose objects are the values of a variable.
fn resource_of(document: &Parse<parse::Variable>) -> Option<&str> {
    match document.content()?.value_type()? {
        Type::Resource(resource) => Some(resource),
        Type::Primitive(_) | Type::Unknown(_) => None,
    }
}

fn references(qualifier: &CompiledQualifier) -> Vec<usize> {
    let target = |predicate: &CompiledPredicate| match predicate.subject {
        PredicateSubject::Qualifier(number) => usize::try_from(number).ok(),
        PredicateSubject::Path(_) => None,
    };
    qualifier.predicates.iter().filter_map(target).collect()
}
