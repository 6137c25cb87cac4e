//! The content of a workspace, apart from its origin: its documents, and, where it was asked for, linted and compiled.
//!
//! Content never changes after it is built. Two versions of a workspace with the same content share one object, so
//! that typed values are deserialized once. Only lint and inspection parse all documents: a process that follows an
//! operator keeps no parsed form.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use rototo_engine::parse::Type;
use rototo_engine::{CompileError, Compiled, Fingerprint, Lint, Linted, Parsed, Tree};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::workspace::custom_rules;
use crate::workspace::typed_values::{TypedValues, TypedVariable};

/// The content of a workspace.
pub(crate) struct Content {
    tree: Tree,
    /// The result of lint, where it ran.
    linted: Option<Linted>,
    /// The compiled form, where the content is resolved from.
    compiled: Option<Compiled>,
    /// The parsed documents, where an inspection without lint asked for them.
    inspected: OnceLock<Parsed>,
    typed: TypedValues,
}

impl Content {
    /// Makes the content of documents, which share with `base` what has not changed.
    pub(crate) fn new(tree: Tree, base: Option<&Self>) -> Self {
        let tree = match base {
            Some(base) => tree.after(&base.tree),
            None => tree,
        };
        Self { tree, linted: None, compiled: None, inspected: OnceLock::new(), typed: TypedValues::default() }
    }

    /// Lints. Documents that have not changed since `base` was linted are neither parsed nor checked again.
    pub(crate) fn lint(&mut self, base: Option<&Self>) -> &Lint {
        let nothing = Linted::default();
        let base = base.and_then(|base| base.linted.as_ref()).unwrap_or(&nothing);
        let parsed = rototo_engine::parse_after(base.parsed(), self.tree.clone());
        self.linted.insert(custom_rules::lint_after(base, &parsed)).lint()
    }

    /// Returns the result of lint, which runs only if it has not run before.
    pub(crate) fn diagnostics(&self) -> Lint {
        match &self.linted {
            Some(linted) => linted.lint().clone(),
            None => {
                let parsed = rototo_engine::parse(self.tree.clone());
                custom_rules::lint_after(&Linted::default(), &parsed).into_lint()
            }
        }
    }

    /// Compiles, so that the content can be resolved from. Parts that have not changed since `base` are taken from
    /// there.
    pub(crate) fn compile(mut self, base: Option<&Self>) -> Result<Self, CompileError> {
        let nothing = Compiled::default();
        let base = base.and_then(|base| base.compiled.as_ref()).unwrap_or(&nothing);
        self.compiled = Some(match &self.linted {
            Some(linted) => rototo_engine::compile_after(base, linted.parsed())?,
            None => rototo_engine::compile_tree_after(base, self.tree.clone())?,
        });
        Ok(self)
    }

    /// Returns whether `other` holds the same documents, and both or neither are compiled.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.compiled.is_some() == other.compiled.is_some() && self.fingerprint() == other.fingerprint()
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.tree.fingerprint()
    }

    /// Returns the documents.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns the compiled form; `None` for content that was loaded for inspection only.
    pub(crate) fn compiled(&self) -> Option<&Compiled> {
        self.compiled.as_ref()
    }

    /// Returns the ids of the variables that may resolve differently here than in `before`, in order.
    pub(crate) fn changed_since(&self, before: &Self) -> Vec<String> {
        match (before.resolvable(), self.resolvable()) {
            (Ok(before), Ok(after)) => after.changed_since(&before),
            // At least one of them has faults, so that nothing resolves from it.
            _ => {
                let ids = [before, self].map(|content| content.parsed().variables.keys().map(ToString::to_string));
                let mut ids: Vec<String> = ids.into_iter().flatten().collect();
                ids.sort_unstable();
                ids.dedup();
                ids
            }
        }
    }

    /// Returns the compiled form. Content that was loaded for inspection only is compiled now.
    fn resolvable(&self) -> Result<Cow<'_, Compiled>, CompileError> {
        match &self.compiled {
            Some(compiled) => Ok(Cow::Borrowed(compiled)),
            None => rototo_engine::compile(self.parsed()).map(Cow::Owned),
        }
    }

    /// Returns all values of a variable by key, inline values first; `None` if there is no such variable.
    pub(crate) fn values(&self, variable: &str) -> Option<impl Iterator<Item = (&str, &Value)>> {
        let (compiled, inspected) = match &self.compiled {
            Some(compiled) => (Some(compiled.values(variable)?), None),
            None => (None, Some(self.inspected_values(variable)?)),
        };
        Some(compiled.into_iter().flatten().chain(inspected.into_iter().flatten()))
    }

    fn inspected_values(&self, variable: &str) -> Option<impl Iterator<Item = (&str, &Value)>> {
        let variable = self.parsed().variables.get(variable)?.content()?;
        let inline = variable.inline_values().map(|(key, named)| (&**key, &*named.value));
        let objects = match variable.value_type() {
            Some(Type::Resource(resource)) => self.parsed().objects.get(resource),
            _ => None,
        };
        let objects = objects.into_iter().flatten();
        Some(inline.chain(objects.filter_map(|(key, object)| Some((&**key, &*object.content()?.value)))))
    }

    /// Returns the parsed documents. Content that was not linted keeps them from the first call on.
    fn parsed(&self) -> &Parsed {
        match &self.linted {
            Some(linted) => linted.parsed(),
            None => self.inspected.get_or_init(|| rototo_engine::parse(self.tree.clone())),
        }
    }

    /// Returns the values of a variable as `T`s; none if there is no such variable. The first call for a type and a
    /// variable deserializes them.
    pub(crate) fn typed_values<T: DeserializeOwned + Send + Sync + 'static>(&self, id: &str) -> Arc<TypedVariable<T>> {
        let place = self.typed.place::<T>(id);
        let read = || Arc::new(TypedVariable::read(self.values(id).into_iter().flatten()));
        Arc::clone(place.get_or_init(read))
    }
}
