//! The tables that resolution reads. Names are numbers, values are shared, and everything is checked.

use std::sync::Arc;

use serde_json::Value;

use crate::compile::constraint::Constraint;
use crate::compile::paths::Paths;
use crate::compile::table::{NameTable, Named};
use crate::document::fingerprint::Fingerprint;
use crate::document::shared::SharedMap;
use crate::parse::{self, Parse, Parsed, Schema};

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
    /// The parsed workspace that it was compiled from.
    pub(super) parsed: Parsed,
    pub(super) variables: NameTable<CompiledVariable>,
    /// The numbers of qualifiers. A qualifier keeps its number while it exists.
    pub(super) qualifier_numbers: SharedMap<u32>,
    pub(super) qualifiers: Arc<[Arc<CompiledQualifier>]>,
    pub(super) paths: Arc<Paths>,
    pub(super) context_schema: Option<ContextSchema>,
    /// The variables that take their values from the objects of a resource, by resource.
    pub(super) users: SharedMap<SharedMap<()>>,
}

#[derive(Debug)]
pub(crate) struct CompiledVariable {
    pub(crate) id: Arc<str>,
    pub(crate) rules: Box<[CompiledRule]>,
    pub(crate) default: Choice,
}

#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) qualifier: u32,
    pub(crate) choice: Choice,
}

#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) key: Arc<str>,
    pub(crate) value: Arc<Value>,
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
    /// The fingerprint of the content that it was compiled from.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.parsed.fingerprint()
    }

    /// The parsed workspace that it was compiled from.
    #[must_use]
    pub fn parsed(&self) -> &Parsed {
        &self.parsed
    }

    /// The ids of all variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parsed.variables.keys().map(|id| &**id)
    }

    /// The ids of all qualifiers, in order.
    pub fn qualifiers(&self) -> impl Iterator<Item = &str> {
        self.parsed.qualifiers.keys().map(|id| &**id)
    }

    /// The compiled variable of that id.
    pub(crate) fn variable(&self, id: &str) -> Option<&CompiledVariable> {
        self.variables.get(id)
    }

    /// The number of the qualifier of that id.
    pub(crate) fn qualifier_number(&self, id: &str) -> Option<u32> {
        self.qualifier_numbers.get(id).copied()
    }

    /// All compiled qualifiers by number.
    pub(crate) fn compiled_qualifiers(&self) -> &[Arc<CompiledQualifier>] {
        &self.qualifiers
    }

    /// The paths that qualifiers read.
    pub(crate) fn paths(&self) -> &Arc<Paths> {
        &self.paths
    }

    /// The schema that contexts must match, if the workspace has one.
    pub(crate) fn context_schema(&self) -> Option<&ContextSchema> {
        self.context_schema.as_ref()
    }

    /// The qualifier of that number.
    pub(crate) fn qualifier(&self, number: u32) -> Option<&CompiledQualifier> {
        usize::try_from(number).ok().and_then(|number| self.qualifiers.get(number)).map(|qualifier| &**qualifier)
    }

    /// A predicate as it was written.
    pub(crate) fn written(&self, qualifier: u32, predicate: usize) -> Option<&parse::Predicate> {
        let document = self.parsed.qualifiers.get(&self.qualifier(qualifier)?.id)?;
        document.content()?.predicates().get(predicate)
    }
}
