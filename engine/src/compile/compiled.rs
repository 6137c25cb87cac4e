//! The tables that resolution reads. Names are numbers, values are shared, and everything is checked.

use std::sync::Arc;

use serde_json::Value;

use crate::compile::constraint::Constraint;
use crate::compile::paths::Paths;
use crate::compile::table::{NameTable, Named};
use crate::document::fingerprint::Fingerprint;
use crate::document::shared::SharedMap;
use crate::document::tree::Tree;
use crate::parse::{self, Parse, Primitive, Schema};

/// A workspace that is ready to resolve. It shares all unchanged parts with the workspace it was compiled after.
///
/// It never changes, and resolving takes no lock: share it between threads behind an [`Arc`]. [`compile`](crate::compile())
/// makes one.
///
/// ```
/// use rototo_engine::{Tree, compile, parse};
///
/// # let files = [
/// #     ("rototo-workspace.toml", "schema_version = 1"),
/// #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10, large = 100 }\n[resolve]\ndefault = \"small\"\nrule = [{ qualifier = \"pro\", value = \"large\" }]"),
/// #     ("qualifiers/pro.toml", "schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]"),
/// # ];
/// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
/// let parsed = parse(tree);
/// let compiled = compile(&parsed)?;
/// assert_eq!(compiled.fingerprint(), parsed.fingerprint());
/// assert_eq!(compiled.qualifiers().collect::<Vec<_>>(), ["pro"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The documents that it was compiled from.
    pub(super) tree: Tree,
    pub(super) variables: NameTable<CompiledVariable>,
    /// The numbers of qualifiers. A qualifier keeps its number while it exists.
    pub(super) qualifier_numbers: SharedMap<u32>,
    pub(super) qualifiers: Arc<[Arc<CompiledQualifier>]>,
    pub(super) paths: Arc<Paths>,
    pub(super) context_schema: Option<ContextSchema>,
    pub(super) resources: SharedMap<CompiledResource>,
}

#[derive(Debug)]
pub(crate) struct CompiledVariable {
    pub(crate) id: Arc<str>,
    pub(crate) value_type: ValueType,
    /// All values of the variable itself, or those objects of its resource that it may choose, in the order of their keys.
    pub(crate) choices: Box<[Choice]>,
    pub(crate) rules: Box<[CompiledRule]>,
    /// The number of the choice if no rule matches.
    pub(crate) default: u32,
}

/// The type of the values of a variable.
#[derive(Debug, PartialEq)]
pub(crate) enum ValueType {
    Primitive(Primitive),
    Resource(Arc<str>),
}

#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) qualifier: u32,
    /// The number of the choice.
    pub(crate) choice: u32,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) key: Arc<str>,
    pub(crate) value: Arc<Value>,
}

/// A resource, or only what refers to one that does not exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct CompiledResource {
    /// True if its own document could be read.
    pub(super) is_readable: bool,
    /// The objects that could be read, by key.
    pub(super) objects: SharedMap<Arc<Value>>,
    /// The variables that take their values from its objects.
    pub(super) users: SharedMap<()>,
}

#[derive(Debug)]
pub(crate) struct CompiledQualifier {
    pub(crate) id: Arc<str>,
    /// All predicates as written, in that order.
    pub(crate) predicates: Box<[CompiledPredicate]>,
}

#[derive(Debug)]
pub(crate) struct CompiledPredicate {
    pub(crate) subject: PredicateSubject,
    pub(crate) negated: bool,
    pub(crate) constraint: Constraint,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum PredicateSubject {
    Path(u32),
    Qualifier(u32),
}

/// The context schema. Its identity is a part of its digest, and never 0.
#[derive(Clone, Debug)]
pub(crate) struct ContextSchema {
    pub(crate) document: Parse<Schema>,
    pub(crate) identity: u64,
}

impl Named for CompiledVariable {
    fn name(&self) -> &str {
        &self.id
    }
}

impl Compiled {
    /// Returns the fingerprint of the content that it was compiled from.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.tree.fingerprint()
    }

    /// Returns the documents that it was compiled from.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns the ids of all variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let mut ids: Vec<&str> = self.variables.iter().map(|variable| &*variable.id).collect();
        ids.sort_unstable();
        ids.into_iter()
    }

    /// Returns the ids of all qualifiers, in order.
    pub fn qualifiers(&self) -> impl Iterator<Item = &str> {
        self.qualifier_numbers.keys().map(|id| &**id)
    }

    /// Returns all values that a variable may have, by key: its own, or all objects of its resource; `None` if there is
    /// no such variable.
    #[must_use]
    pub fn values(&self, variable: &str) -> Option<impl Iterator<Item = (&str, &Value)>> {
        let variable = self.variable(variable)?;
        let (own, objects) = match &variable.value_type {
            ValueType::Primitive(_) => (&*variable.choices, None),
            ValueType::Resource(id) => (&[][..], self.resources.get(id).map(|resource| &resource.objects)),
        };
        let own = own.iter().map(|choice| (&*choice.key, &*choice.value));
        Some(own.chain(objects.into_iter().flatten().map(|(key, value)| (&**key, &**value))))
    }

    /// Returns the compiled variable of that id.
    pub(crate) fn variable(&self, id: &str) -> Option<&CompiledVariable> {
        self.variables.get(id)
    }

    /// Returns the number of the qualifier of that id.
    pub(crate) fn qualifier_number(&self, id: &str) -> Option<u32> {
        self.qualifier_numbers.get(id).copied()
    }

    /// Returns all compiled qualifiers by number.
    pub(crate) fn compiled_qualifiers(&self) -> &[Arc<CompiledQualifier>] {
        &self.qualifiers
    }

    /// Returns the paths that qualifiers read.
    pub(crate) fn paths(&self) -> &Arc<Paths> {
        &self.paths
    }

    /// Returns the schema that contexts must match, if the workspace has one.
    pub(crate) fn context_schema(&self) -> Option<&ContextSchema> {
        self.context_schema.as_ref()
    }

    /// Returns the qualifier of that number.
    pub(crate) fn qualifier(&self, number: u32) -> Option<&CompiledQualifier> {
        usize::try_from(number).ok().and_then(|number| self.qualifiers.get(number)).map(|qualifier| &**qualifier)
    }

    /// Returns what a predicate reads, as a workspace spells it.
    pub(crate) fn subject_name(&self, subject: PredicateSubject) -> Arc<str> {
        let name = match subject {
            PredicateSubject::Path(number) => {
                self.paths.items().get(number as usize).map(|path| Arc::clone(&path.text))
            }
            PredicateSubject::Qualifier(number) => {
                self.qualifier(number).map(|qualifier| format!("qualifier.{}", qualifier.id).into())
            }
        };
        name.unwrap_or_default()
    }

    /// Returns the document of a qualifier. It is read again: a compiled workspace keeps only what decisions need.
    pub(crate) fn written(&self, qualifier: u32) -> Option<Parse<parse::Qualifier>> {
        let id = &self.qualifier(qualifier)?.id;
        let path = Arc::from(format!("qualifiers/{id}.toml"));
        parse::parse_only(&self.tree, [&path]).qualifiers.get(id).cloned()
    }
}

impl CompiledVariable {
    /// Returns the resource whose objects are its values.
    pub(super) fn resource(&self) -> Option<&Arc<str>> {
        match &self.value_type {
            ValueType::Resource(id) => Some(id),
            ValueType::Primitive(_) => None,
        }
    }

    /// Returns the choice of that number.
    #[inline]
    pub(crate) fn choice(&self, number: u32) -> &Choice {
        &self.choices[number as usize]
    }
}
