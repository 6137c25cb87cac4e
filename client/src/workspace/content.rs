//! The content of a workspace, apart from its origin: parsed, and, where it was asked for, linted and compiled.
//!
//! Content never changes after it is built. Two versions of a workspace with the same content share one object, so
//! that typed values are deserialized once.

use std::sync::Arc;

use rototo_engine::parse::Type;
use rototo_engine::{Compiled, Fingerprint, Lint, Linted, Parsed, Tree};
use serde::de::DeserializeOwned;

use crate::workspace::custom_rules;
use crate::workspace::typed_values::{TypedValues, TypedVariable};

/// The content of a workspace.
pub(crate) struct Content {
    parsed: Parsed,
    /// The result of lint, where it ran.
    linted: Option<Linted>,
    compiled: Option<Compiled>,
    typed: TypedValues,
}

impl Content {
    /// Parses documents. Documents that have not changed since `base` are taken from there.
    pub(crate) fn parse(tree: Tree, base: Option<&Self>) -> Self {
        let parsed = match base {
            Some(base) => rototo_engine::parse_after(&base.parsed, tree.after(base.parsed.tree())),
            None => rototo_engine::parse(tree),
        };
        Self { parsed, linted: None, compiled: None, typed: TypedValues::default() }
    }

    /// Lints. The built-in rules check only documents that have changed since `base`.
    pub(crate) fn lint(&mut self, base: Option<&Self>) -> &Lint {
        let base = base.and_then(|base| base.linted.as_ref());
        let linted = custom_rules::lint_after(base.unwrap_or(&Linted::default()), &self.parsed);
        self.linted.insert(linted).lint()
    }

    /// Returns the result of lint, which runs only if it has not run before.
    pub(crate) fn diagnostics(&self) -> Lint {
        match &self.linted {
            Some(linted) => linted.lint().clone(),
            None => custom_rules::lint_after(&Linted::default(), &self.parsed).into_lint(),
        }
    }

    /// Compiles, so that the content can be resolved from. Parts that have not changed since `base` are taken from
    /// there.
    pub(crate) fn compile(mut self, base: Option<&Self>) -> Result<Self, rototo_engine::CompileError> {
        self.compiled = Some(match base.and_then(|base| base.compiled.as_ref()) {
            Some(base) => rototo_engine::compile_after(base, &self.parsed)?,
            None => rototo_engine::compile(&self.parsed)?,
        });
        Ok(self)
    }

    /// Returns whether `other` holds the same documents, and both or neither are compiled.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.compiled.is_some() == other.compiled.is_some() && self.fingerprint() == other.fingerprint()
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.parsed.fingerprint()
    }

    pub(crate) fn parsed(&self) -> &Parsed {
        &self.parsed
    }

    /// Returns the compiled form; `None` for content that was loaded for inspection only.
    pub(crate) fn compiled(&self) -> Option<&Compiled> {
        self.compiled.as_ref()
    }

    /// Returns all values of a variable by key, inline values first; `None` if there is no such variable.
    pub(crate) fn values(&self, variable: &str) -> Option<impl Iterator<Item = (&str, &serde_json::Value)>> {
        let variable = self.parsed.variables.get(variable)?.content()?;
        let inline = variable.inline_values().map(|(key, named)| (&**key, &*named.value));
        let objects = match variable.value_type() {
            Some(Type::Resource(resource)) => self.parsed.objects.get(resource),
            _ => None,
        };
        let objects = objects.into_iter().flatten();
        Some(inline.chain(objects.filter_map(|(key, object)| Some((&**key, &*object.content()?.value)))))
    }

    /// Returns the values of a variable as `T`s; none if there is no such variable. The first call for a type and a
    /// variable deserializes them.
    pub(crate) fn typed_values<T: DeserializeOwned + Send + Sync + 'static>(&self, id: &str) -> Arc<TypedVariable<T>> {
        let place = self.typed.place::<T>(id);
        let read = || Arc::new(TypedVariable::read(self.values(id).into_iter().flatten()));
        Arc::clone(place.get_or_init(read))
    }
}
