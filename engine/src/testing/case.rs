//! Resolves one case, and compares the results with the expected ones.

use serde_json::{Map, Value};

use crate::compile::compiled::Compiled;
use crate::diagnostic::Entity;
use crate::document::text::shortened_to;
use crate::lint::similar::{nearest, question};
use crate::parse::{Expected, ExpectedResult, Parsed, Spanned, TestAttributes, TestCase};
use crate::resolve::context::Context;
use crate::resolve::trace::VariableTrace;
use crate::resolve::{ResolveError, ResolveOptions};
use crate::testing::coverage::Coverage;
use crate::testing::findings::{DecidedBy, TestFindings};
use crate::value::number::equal;

/// The most characters of a value in a message.
const MAX_VALUE: usize = 120;

pub(super) struct CaseRunner<'r, 'a> {
    pub(super) parsed: &'a Parsed,
    pub(super) compiled: &'r Compiled,
    pub(super) findings: &'r mut TestFindings<'a>,
    pub(super) coverage: &'r mut Coverage,
}

impl<'a> CaseRunner<'_, 'a> {
    /// Returns the number of expected results before which `keep_going` held.
    pub(super) fn run(
        &mut self,
        shared: &Map<String, Value>,
        case: &TestCase,
        keep_going: &mut dyn FnMut() -> bool,
    ) -> usize {
        let attributes = attributes(shared, &case.attributes);
        let context = match attributes.and_then(|attributes| Context::from_json(Value::Object(attributes)).ok()) {
            Some(context) => context,
            None => {
                let message = format!("{}: two `attributes` of the table contradict each other", case.name);
                self.findings.invalid(case.expected.first().map(|expected| expected.span), &message);
                return case.expected.len();
            }
        };
        for (checked, expected) in case.expected.iter().enumerate() {
            if !keep_going() {
                return checked;
            }
            match &expected.result {
                ExpectedResult::Qualifier(holds) => self.check_qualifier(case, &context, expected, *holds),
                ExpectedResult::Key(_) | ExpectedResult::Value(_) => self.check_variable(case, &context, expected),
            }
        }
        case.expected.len()
    }

    fn check_qualifier(&mut self, case: &TestCase, context: &Context, expected: &Expected, holds: bool) {
        let id = &*expected.id.value;
        let entity = Entity::qualifier(id);
        let trace = match self.compiled.trace_qualifier(id, context, ResolveOptions::default()) {
            Ok(trace) => trace,
            Err(error) => return self.unresolved(case, entity, expected, &error),
        };
        self.coverage.note_qualifiers(std::slice::from_ref(&trace));
        if trace.value != holds {
            let message = format!("{}: qualifier `{id}` is {}, and {holds} is expected", case.name, trace.value);
            self.findings.failed(entity, expected, &message, None);
        }
    }

    fn check_variable(&mut self, case: &TestCase, context: &Context, expected: &Expected) {
        let id = &*expected.id.value;
        let trace = match self.compiled.trace_variable(id, context, ResolveOptions::default()) {
            Ok(trace) => trace,
            Err(error) => return self.unresolved(case, Entity::variable(id), expected, &error),
        };
        self.coverage.note_variable(&trace);
        let resolved = &trace.resolution;
        let wanted = match &expected.result {
            ExpectedResult::Key(Spanned { value: key, .. }) if self.knows_value(id, key) => {
                (**key != *resolved.value_key).then(|| format!("`{key}`"))
            }
            ExpectedResult::Key(Spanned { value: key, .. }) => {
                let keys = self.compiled.values(id).into_iter().flatten().map(|(key, _)| key);
                let meant = question(nearest(key, keys));
                let message = format!("{}: variable `{id}` has no value `{key}`{meant}", case.name);
                return self.findings.invalid(Some(expected.span), &message);
            }
            ExpectedResult::Value(value) => (!equal(value, &resolved.value)).then(|| shown(value)),
            ExpectedResult::Qualifier(_) => None,
        };
        if let Some(wanted) = wanted {
            let (key, value) = (&resolved.value_key, shown(&resolved.value));
            let message = format!("{}: `{id}` is `{key}` ({value}), and {wanted} is expected", case.name);
            let decided = self.decided_by(&trace);
            self.findings.failed(Entity::variable(id), expected, &message, decided);
        }
    }

    fn knows_value(&self, id: &str, key: &str) -> bool {
        self.compiled.values(id).into_iter().flatten().any(|(known, _)| known == key)
    }

    fn unresolved(&mut self, case: &TestCase, entity: Entity, expected: &Expected, error: &ResolveError) {
        let meant = match error {
            ResolveError::UnknownVariable(id) => nearest(id, self.compiled.variables()),
            ResolveError::UnknownQualifier(id) => nearest(id, self.compiled.qualifiers()),
            _ => None,
        };
        let message = format!("{}: {error}{}", case.name, question(meant));
        match error {
            ResolveError::UnknownVariable(_) | ResolveError::UnknownQualifier(_) => {
                self.findings.invalid(Some(expected.span), &message);
            }
            _ => self.findings.failed(entity, expected, &message, None),
        }
    }

    /// Returns the place of the rule or the default that decided, with an explanation.
    fn decided_by(&self, trace: &VariableTrace) -> Option<DecidedBy<'a>> {
        let document = self.parsed.variables.get(&trace.resolution.id)?;
        let variable = document.content()?;
        let (span, message) = match trace.rules.iter().find(|rule| rule.matched) {
            Some(rule) => {
                (variable.rules().get(rule.index).map(|rule| rule.span), format!("rule {} decides", rule.index))
            }
            None => (variable.default().and_then(|default| default.span()), "the default decides".to_owned()),
        };
        Some((&document.path, span, message))
    }
}

fn shown(value: &Value) -> String {
    shortened_to(&value.to_string(), MAX_VALUE).into_owned()
}

/// Returns the attributes of a case on top of those of its file; `None` where a path leads through a value.
fn attributes(shared: &Map<String, Value>, own: &TestAttributes) -> Option<Map<String, Value>> {
    let mut context = shared.clone();
    match own {
        TestAttributes::Object(object) => merge(&mut context, object),
        TestAttributes::Row(paths, values) => {
            for (path, value) in paths.iter().zip(values) {
                set(&mut context, path, value)?;
            }
        }
    }
    Some(context)
}

/// Merges objects, as deep as test files nest them.
fn merge(target: &mut Map<String, Value>, source: &Map<String, Value>) {
    for (key, value) in source {
        match (target.get_mut(key), value) {
            (Some(Value::Object(target)), Value::Object(source)) => merge(target, source),
            _ => drop(target.insert(key.clone(), value.clone())),
        }
    }
}

fn set(context: &mut Map<String, Value>, path: &str, value: &Value) -> Option<()> {
    let mut object = context;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            object.insert(part.to_owned(), value.clone());
            return Some(());
        }
        object = object.entry(part).or_insert_with(|| Value::Object(Map::new())).as_object_mut()?;
    }
    None
}
