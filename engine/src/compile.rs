//! A parsed workspace to a [`Compiled`] one. Whatever resolution relies on is checked here, once.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::bucket::Salted;
use crate::compiled::{
    Choice, Compiled, ContextSchema, Names, Numbers, Path, Predicate, Qualifier, Rule, Subject, Test, Variable,
};
use crate::diagnostic::{Diagnostic, Severity};
use crate::graph;
use crate::lint::lint;
use crate::parse::{self, CONTEXT_SCHEMA, Field, Op, Parse, Parsed, Primitive, Type};

/// How many qualifiers may refer to each other in a row. Resolution follows such a chain on its stack.
pub const MAX_QUALIFIER_CHAIN: usize = 128;

/// A workspace that cannot be resolved; trying again does not help, changing the workspace does.
#[derive(Clone, Debug, thiserror::Error)]
pub struct CompileError {
    /// The document at which compiling stopped.
    pub path: String,
    /// What lint says about the workspace: its errors, those of that document first.
    pub diagnostics: Vec<Diagnostic>,
}

/// Holds no value of the workspace.
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

/// The document that cannot be compiled. Lint finds the words: whatever is refused here is an error there.
struct Refused<'a>(&'a str);

/// Makes a workspace ready to resolve. It need not be free of lint errors: only what resolution needs is checked here.
///
/// ```
/// use rototo_engine::{Tree, compile, parse};
///
/// let error = compile(&parse(Tree::default())).unwrap_err();
/// assert_eq!(error.to_string(), "cannot compile: .: there is no workspace here");
/// ```
///
/// # Errors
/// When something that resolution needs is missing or does not hold together.
pub fn compile(parsed: &Parsed) -> Result<Compiled, CompileError> {
    Compiler { parsed, paths: Paths::default() }.compile().map_err(|Refused(path)| {
        let mut diagnostics = lint(parsed).diagnostics;
        diagnostics.retain(|found| found.severity == Severity::Error);
        diagnostics.sort_by_key(|found| found.location.path != path);
        CompileError { path: path.to_owned(), diagnostics }
    })
}

struct Compiler<'a> {
    parsed: &'a Parsed,
    paths: Paths,
}

#[derive(Default)]
struct Paths {
    numbers: Numbers,
    items: Vec<Path>,
}

impl<'a> Compiler<'a> {
    fn compile(mut self) -> Result<Compiled, Refused<'a>> {
        let manifest = self.parsed.manifest.as_ref().ok_or(Refused("rototo-workspace.toml"))?;
        let content = manifest.content().ok_or(Refused(&manifest.path))?;
        require_version(&content.schema_version, &manifest.path)?;
        let context_schema = self.context_schema()?;
        let qualifiers = self.qualifiers()?;
        let variables = self.variables(&qualifiers)?;
        Ok(Compiled {
            fingerprint: self.parsed.fingerprint(),
            variables,
            qualifiers,
            paths: self.paths.items,
            context_schema,
        })
    }

    fn context_schema(&self) -> Result<Option<ContextSchema>, Refused<'a>> {
        let Some(document) = self.parsed.schemas.get(CONTEXT_SCHEMA) else { return Ok(None) };
        let schema = document.content().ok_or(Refused(CONTEXT_SCHEMA))?;
        schema.validator().map_err(|_| Refused(CONTEXT_SCHEMA))?;
        Ok(Some(ContextSchema { document: document.clone(), identity: document.digest().short_identity() }))
    }

    fn qualifiers(&mut self) -> Result<Names<Qualifier>, Refused<'a>> {
        let parsed = self.parsed;
        let numbers = number(parsed.qualifiers.keys());
        let mut items = Vec::with_capacity(parsed.qualifiers.len());
        for (id, document) in &parsed.qualifiers {
            items.push(self.qualifier(id, document, &numbers).ok_or(Refused(&document.path))?);
        }
        let edges: Vec<Vec<usize>> = items.iter().map(references).collect();
        let components = graph::components(&edges);
        let first_cyclic =
            components.iter().find(|component| graph::is_cycle(component, &edges)).and_then(|c| c.first());
        let too_deep = graph::depths(&edges, &components).iter().position(|depth| *depth > MAX_QUALIFIER_CHAIN);
        match first_cyclic.copied().or(too_deep).and_then(|number| parsed.qualifiers.values().nth(number)) {
            Some(document) => Err(Refused(&document.path)),
            None => Ok(Names { numbers, items }),
        }
    }

    fn qualifier(&mut self, id: &Arc<str>, document: &Parse<parse::Qualifier>, numbers: &Numbers) -> Option<Qualifier> {
        let qualifier = document.content()?;
        require_version(&qualifier.schema_version, &document.path).ok()?;
        let predicates: Box<[Predicate]> =
            qualifier.predicates().iter().map(|predicate| self.predicate(predicate, numbers)).collect::<Option<_>>()?;
        let mut paths = Vec::new();
        for predicate in &predicates {
            if let Subject::Path(path) = predicate.subject
                && !paths.contains(&path)
            {
                paths.push(path);
            }
        }
        (!predicates.is_empty()).then(|| Qualifier { id: Arc::clone(id), paths: paths.into(), predicates })
    }

    fn predicate(&mut self, predicate: &parse::Predicate, numbers: &Numbers) -> Option<Predicate> {
        let attribute = predicate.attribute.value()?;
        let test = Test::of(predicate)?;
        // A bucket hashes something of the context, even where its name looks like a qualifier's.
        let subject = match (predicate.qualifier_reference(), &test) {
            (Some(id), Test::Equal { .. } | Test::OneOf { .. } | Test::Ordered { .. }) => {
                Subject::Qualifier(*numbers.get(id)?)
            }
            _ => Subject::Path(self.paths.number(attribute)?),
        };
        Some(Predicate { subject, test })
    }

    fn variables(&self, qualifiers: &Names<Qualifier>) -> Result<Names<Variable>, Refused<'a>> {
        let parsed = self.parsed;
        let mut items = Vec::with_capacity(parsed.variables.len());
        for (id, document) in &parsed.variables {
            items.push(self.variable(id, document, qualifiers).ok_or(Refused(&document.path))?);
        }
        Ok(Names { numbers: number(parsed.variables.keys()), items })
    }

    fn variable(
        &self,
        id: &Arc<str>,
        document: &Parse<parse::Variable>,
        qualifiers: &Names<Qualifier>,
    ) -> Option<Variable> {
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
            let qualifier = *qualifiers.numbers.get(rule.qualifier.value()?)?;
            Some(Rule { qualifier, choice: choice(&rule.value)? })
        };
        let default = choice(variable.default()?)?;
        let rules = variable.rules().iter().map(rule).collect::<Option<_>>()?;
        Some(Variable { id: Arc::clone(id), rules, default })
    }

    /// The value of that key, if `variable` has it as its type says.
    fn value<'p>(&'p self, variable: &'p parse::Variable, key: &str) -> Option<(&'p Arc<str>, &'p Arc<Value>)> {
        match (variable.value_type()?, &variable.values, &variable.schema) {
            (Type::Resource(resource), parse::Values::Missing, Field::Missing(_)) => {
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

fn require_version<'a>(version: &Field<i64>, path: &'a str) -> Result<(), Refused<'a>> {
    if version.value() == Some(&1) { Ok(()) } else { Err(Refused(path)) }
}

fn number<'a>(ids: impl Iterator<Item = &'a Arc<str>>) -> Numbers {
    ids.zip(0..).map(|(id, number)| (Arc::clone(id), number)).collect()
}

fn references(qualifier: &Qualifier) -> Vec<usize> {
    let target = |predicate: &Predicate| match predicate.subject {
        Subject::Qualifier(number) => usize::try_from(number).ok(),
        Subject::Path(_) => None,
    };
    qualifier.predicates.iter().filter_map(target).collect()
}

impl Test {
    fn of(predicate: &parse::Predicate) -> Option<Self> {
        let op = predicate.operator()?;
        if op == Op::Bucket {
            let salt = predicate.salt.value()?;
            let (start, end) = predicate.range.as_ref()?.value.bounds()?;
            let bucket = Self::Bucket { salt: Arc::clone(salt), salted: Salted::new(salt), start, end };
            return predicate.value.is_none().then_some(bucket);
        }
        let expected = Arc::clone(&predicate.value.as_ref()?.value);
        match op {
            Op::Eq | Op::Neq => Some(Self::Equal { expected, negated: op == Op::Neq }),
            Op::In | Op::NotIn => expected.is_array().then_some(Self::OneOf { expected, negated: op == Op::NotIn }),
            _ => expected.is_number().then(|| Self::Ordered { op, expected: Value::clone(&expected) }),
        }
    }
}

impl Paths {
    fn number(&mut self, text: &Arc<str>) -> Option<u32> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        let number = u32::try_from(self.items.len()).ok()?;
        self.numbers.insert(Arc::clone(text), number);
        self.items.push(Path { text: Arc::clone(text), segments: text.split('.').map(Box::from).collect() });
        Some(number)
    }
}
