//! A diff in words: sections of lines. Text and Markdown each write the quoted parts in their own way.

use rototo_engine::Parsed;
use serde_json::Value;

use crate::diff::audience::{AudienceTest as Part, audience};
use crate::diff::change::{ChangeKind, OldAndNew};
use crate::diff::decisions::{Decision, Flip};
use crate::diff::qualifiers::{Effect, PredicateTest, QualifierDiff, TestChange};
use crate::diff::rules::RuleChange;
use crate::diff::values::{FieldChange, ValueChange};
use crate::diff::{Diff, VariableDiff};

/// A heading and its lines.
pub(super) struct Section {
    pub(super) heading: Line,
    pub(super) lines: Vec<(LineKind, Line)>,
}

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    New,
    Gone,
    Different,
}

/// A part of a line: our words, or a quote from the workspaces.
#[derive(Debug, Default)]
pub(super) struct Line(pub(super) Vec<Piece>);

#[derive(Debug)]
pub(super) enum Piece {
    Words(String),
    Quoted(String),
}

/// The visibility of values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueVisibility {
    Shown,
    Redacted,
}

impl Diff {
    /// Returns the same without any value of the workspaces or contexts.
    pub(crate) fn redact(&mut self) {
        let variables = self.variables.iter_mut().flat_map(|variable| &mut variable.values);
        variables.for_each(ValueChange::redact);
        let tests = self.qualifiers.iter_mut().flat_map(|qualifier| &mut qualifier.tests);
        tests.for_each(TestChange::redact);
        self.decisions.iter_mut().for_each(crate::diff::Decisions::redact);
    }
}

/// Returns the sections of a diff between these two workspaces.
pub(super) fn sections(diff: &Diff, old: &Parsed, new: &Parsed, values: ValueVisibility) -> Vec<Section> {
    let writer = SectionWriter { diff, old, new, values };
    let variables = diff.variables.iter().map(|variable| writer.variable(variable));
    let relied_on = |id: &String| diff.variables.iter().any(|variable| variable.qualifiers.contains(id));
    let unused = diff.qualifiers.iter().filter(|qualifier| !relied_on(&qualifier.id));
    let sections = variables.chain(unused.map(|qualifier| writer.unused_qualifier(qualifier)));
    sections.chain(writer.context()).chain(writer.unreadable()).chain(writer.decisions()).collect()
}

struct SectionWriter<'a> {
    diff: &'a Diff,
    old: &'a Parsed,
    new: &'a Parsed,
    values: ValueVisibility,
}

impl SectionWriter<'_> {
    fn variable(&self, variable: &VariableDiff) -> Section {
        let heading = Line::words("variable ").quoted(&variable.id).and(match variable.change {
            ChangeKind::Added => " is new",
            ChangeKind::Removed => " is gone",
            ChangeKind::Changed => "",
        });
        let mut lines = Vec::new();
        if let Some(OldAndNew { old, new }) = &variable.type_name {
            lines.push((
                LineKind::Different,
                Line::words("its type is ").quoted(new).and(", not ").quoted(old).and(" any more"),
            ));
        }
        lines.extend(variable.rules.iter().map(|rule| self.rule(rule)));
        if let Some(OldAndNew { old, new }) = &variable.default {
            lines.push(default(old.as_deref(), new.as_deref()));
        }
        let changed = self.diff.qualifiers.iter().filter(|qualifier| qualifier.change == ChangeKind::Changed);
        for qualifier in changed.filter(|qualifier| variable.qualifiers.contains(&qualifier.id)) {
            lines.extend(qualifier.tests.iter().map(|test| self.test(&qualifier.id, test)));
        }
        lines.extend(variable.values.iter().flat_map(|value| self.value(value)));
        Section { heading, lines }
    }

    fn unused_qualifier(&self, qualifier: &QualifierDiff) -> Section {
        let heading = Line::words("qualifier ").quoted(&qualifier.id).and(match qualifier.change {
            ChangeKind::Added => " is new, and decides nothing yet",
            ChangeKind::Removed => " is gone, and decided nothing",
            ChangeKind::Changed => ", which decides nothing",
        });
        let tests = if qualifier.change == ChangeKind::Changed { &qualifier.tests[..] } else { &[] };
        Section { heading, lines: tests.iter().map(|test| self.test(&qualifier.id, test)).collect() }
    }

    fn rule(&self, rule: &RuleChange) -> (LineKind, Line) {
        match rule {
            RuleChange::Added { index, qualifier, value } => {
                let line = Line::words(format!("rule[{index}] is new: ")).quoted(value).and(" for ");
                (LineKind::New, line.join(self.audience(self.new, qualifier)))
            }
            RuleChange::Removed { index, qualifier, value } => {
                let line = Line::words(format!("rule[{index}] is gone: ")).quoted(value).and(" for ");
                (LineKind::Gone, line.join(self.audience(self.old, qualifier)))
            }
            RuleChange::Moved { from, to, qualifier, value } => {
                let line = Line::words(format!("rule[{from}] is tried as rule[{to}] now: ")).quoted(value).and(" for ");
                (LineKind::Different, line.join(self.audience(self.new, qualifier)))
            }
            RuleChange::Selects { index, qualifier, old, new } => {
                let line = Line::words(format!("rule[{index}] gives ")).quoted(new).and(" instead of ").quoted(old);
                (LineKind::Different, line.and(" to ").join(self.audience(self.new, qualifier)))
            }
        }
    }

    /// Returns the audience of a qualifier, and its name.
    fn audience(&self, parsed: &Parsed, qualifier: &str) -> Line {
        let mut line = Line::default();
        for (number, part) in audience(parsed, qualifier).into_iter().enumerate() {
            let line_so_far = if number == 0 { line } else { line.and(" and ") };
            line = match part {
                Part::Compare { attribute, op, value } => {
                    self.compared(line_so_far.quoted(&attribute).and(format!(" {op} ")), &value)
                }
                Part::Bucket { attribute, start, end } => {
                    line_so_far.and(format!("{} of ", share([start, end]))).quoted(&attribute)
                }
                Part::Qualifier { id, op, value } => {
                    self.compared(line_so_far.and("qualifier ").quoted(&id).and(format!(" {op} ")), &value)
                }
                Part::More => line_so_far.and("more"),
            };
        }
        let is_empty = line.0.is_empty();
        let line = if is_empty { line.and("qualifier ") } else { line.and(" (qualifier ") };
        line.quoted(qualifier).and(if is_empty { "" } else { ")" })
    }

    fn compared(&self, line: Line, value: &Value) -> Line {
        match self.values {
            ValueVisibility::Shown => line.quoted(&value.to_string()),
            ValueVisibility::Redacted => line.and("a value"),
        }
    }

    fn test(&self, qualifier: &str, change: &TestChange) -> (LineKind, Line) {
        let subject = || Line::words("qualifier ").quoted(qualifier).and(": ");
        match change {
            TestChange::Added(test) => (LineKind::New, self.tested(subject().and("it also asks for "), test)),
            TestChange::Removed(test) => (LineKind::Gone, self.tested(subject().and("it no longer asks for "), test)),
            TestChange::Changed(OldAndNew { old, new }) => {
                let line = self.tested(subject().and("it asks for "), new);
                (LineKind::Different, self.tested(line.and(" instead of "), old))
            }
            TestChange::Bucket { attribute, effect, old, new } => {
                let what = match effect {
                    Effect::Widened => "widened",
                    Effect::Narrowed => "narrowed",
                    Effect::Moved => "moved",
                };
                let ranges = format!("[{},{}] -> [{},{}]", old[0], old[1], new[0], new[1]);
                let line = subject().and(format!("{what} from {} to {} of ", share(*old), share(*new)));
                (LineKind::Different, line.quoted(attribute).and(format!(" ({ranges})")))
            }
            TestChange::Reordered => {
                let words = "it asks in another order, which decides where an attribute is missing";
                (LineKind::Different, subject().and(words))
            }
            TestChange::Reassigned { attribute, old, new } => {
                let line = subject().and("everybody is assigned anew by another salt: ");
                let line = line.and(format!("{} instead of {} of ", share(*new), share(*old)));
                (LineKind::Different, line.quoted(attribute))
            }
        }
    }

    fn tested(&self, line: Line, test: &PredicateTest) -> Line {
        match (&test.range, &test.value) {
            (Some(range), _) => line.and(format!("{} of ", share(*range))).quoted(&test.attribute),
            (None, Some(value)) => self.compared(line.quoted(&test.attribute).and(format!(" {} ", test.op)), value),
            (None, None) => line.quoted(&test.attribute).and(format!(" {}", test.op)),
        }
    }

    fn value(&self, value: &ValueChange) -> Vec<(LineKind, Line)> {
        let name = |field: &FieldChange| match field.path.as_str() {
            "" => Line::words("value ").quoted(&value.key),
            path => Line::words("value ").quoted(&value.key).and(", ").quoted(path),
        };
        let line = |field: &FieldChange| match (&field.old, &field.new, field.change) {
            (Some(old), Some(new), _) => {
                let line = name(field).and(": ").quoted(&old.to_string()).and(" -> ").quoted(&new.to_string());
                (LineKind::Different, line)
            }
            (None, Some(new), _) => (LineKind::New, name(field).and(" is new: ").quoted(&new.to_string())),
            (Some(old), None, _) => (LineKind::Gone, name(field).and(" is gone: ").quoted(&old.to_string())),
            (None, None, ChangeKind::Added) => (LineKind::New, name(field).and(" is new")),
            (None, None, ChangeKind::Removed) => (LineKind::Gone, name(field).and(" is gone")),
            (None, None, ChangeKind::Changed) => (LineKind::Different, name(field).and(" is different")),
        };
        value.fields.iter().map(line).collect()
    }

    fn context(&self) -> Option<Section> {
        let context = &self.diff.context;
        let added =
            context.added.iter().map(|path| (LineKind::New, Line::words("must hold ").quoted(path).and(" now")));
        let removed = context
            .removed
            .iter()
            .map(|path| (LineKind::Gone, Line::words("need not hold ").quoted(path).and(" any more")));
        let schema = context.schema.map(|change| match change {
            ChangeKind::Added => (LineKind::New, Line::words("a schema is new: it may refuse contexts")),
            ChangeKind::Removed => (LineKind::Gone, Line::words("the schema is gone: nothing refuses a context now")),
            ChangeKind::Changed => {
                let words = "the schema is different: it may refuse contexts that it accepted";
                (LineKind::Different, Line::words(words))
            }
        });
        let lines: Vec<_> = added.chain(removed).chain(schema).collect();
        (!lines.is_empty()).then(|| Section { heading: Line::words("what applications send"), lines })
    }

    fn unreadable(&self) -> Option<Section> {
        let line = |path: &String| (LineKind::Different, Line::default().quoted(path));
        let heading = Line::words("these can't be compared: `rototo lint` shows why");
        let lines: Vec<_> = self.diff.unreadable.iter().map(line).collect();
        (!lines.is_empty()).then_some(Section { heading, lines })
    }

    fn decisions(&self) -> Option<Section> {
        let decisions = self.diff.decisions.as_ref()?;
        let heading = format!("{} of {} decisions flip", decisions.flipped.len(), decisions.compared);
        let line = |flip: &Flip| {
            let line = Line::words("variable ").quoted(&flip.variable).and(" for ").quoted(&flip.context).and(": ");
            let same_key = value_key(&flip.old).is_some() && value_key(&flip.old) == value_key(&flip.new);
            let line = line.join(outcome(&flip.old)).and(" -> ").join(outcome(&flip.new));
            (LineKind::Different, if same_key { line.and(" with another value") } else { line })
        };
        Some(Section { heading: Line::words(heading), lines: decisions.flipped.iter().map(line).collect() })
    }
}

fn value_key(decision: &Decision) -> Option<&str> {
    match decision {
        Decision::Value { value_key, .. } => Some(value_key),
        Decision::Error { .. } | Decision::Nothing => None,
    }
}

fn outcome(decision: &Decision) -> Line {
    match decision {
        Decision::Value { value_key, .. } => Line::default().quoted(value_key),
        Decision::Error { message } => Line::words("an error, ").quoted(message),
        Decision::Nothing => Line::words("no such variable"),
    }
}

fn default(old: Option<&str>, new: Option<&str>) -> (LineKind, Line) {
    match (old, new) {
        (Some(old), Some(new)) => {
            (LineKind::Different, Line::words("everybody else gets ").quoted(new).and(" instead of ").quoted(old))
        }
        (None, Some(new)) => (LineKind::New, Line::words("everybody else gets ").quoted(new)),
        (_, None) => (LineKind::Gone, Line::words("everybody else got ").quoted(old.unwrap_or("?"))),
    }
}

/// Returns `12.5 %` for a range of the ten thousand buckets.
fn share([start, end]: [i64; 2]) -> String {
    let buckets = end.saturating_sub(start);
    match (buckets / 100, buckets % 100) {
        (whole, 0) => format!("{whole} %"),
        (whole, part) if part % 10 == 0 => format!("{whole}.{} %", part / 10),
        (whole, part) => format!("{whole}.{part:02} %"),
    }
}

impl Line {
    fn words(words: impl Into<String>) -> Self {
        Self(vec![Piece::Words(words.into())])
    }

    fn and(mut self, words: impl Into<String>) -> Self {
        self.0.push(Piece::Words(words.into()));
        self
    }

    fn quoted(mut self, text: &str) -> Self {
        self.0.push(Piece::Quoted(text.to_owned()));
        self
    }

    fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}
