//! The differences between two workspaces, in terms of variables, rules, and audiences. Pure.
//!
//! [`compare`] finds the differences; [`sections`] puts them into words for text and Markdown; JSON shows them as they
//! are.

mod audience;
mod change;
mod decisions;
mod markdown;
mod qualifiers;
mod rules;
mod sections;
mod text;
mod values;

use std::collections::BTreeSet;

use rototo_engine::parse::{CONTEXT_SCHEMA, Variable};
use rototo_engine::{Parsed, compile};
use serde::Serialize;

use crate::diff::change::{ChangeKind, OldAndNew, variable_of};
pub(crate) use crate::diff::decisions::{Decisions, decisions};
pub(crate) use crate::diff::markdown::markdown;
use crate::diff::qualifiers::QualifierDiff;
use crate::diff::rules::RuleChange;
pub(crate) use crate::diff::sections::ValueVisibility;
pub(crate) use crate::diff::text::text;
use crate::diff::values::ValueChange;

/// All differences. Descriptions and the order of files affect nobody, and are left out.
#[derive(Debug, Serialize)]
pub(crate) struct Diff {
    pub(crate) variables: Vec<VariableDiff>,
    /// Qualifiers whose tests changed, each once, however many variables depend on them.
    pub(crate) qualifiers: Vec<QualifierDiff>,
    pub(crate) context: ContextDiff,
    /// Files that can't be read, so that nothing is known about them.
    pub(crate) unreadable: Vec<String>,
    /// The decisions that flip, for the given contexts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decisions: Option<Decisions>,
}

#[derive(Debug, Serialize)]
pub(crate) struct VariableDiff {
    pub(crate) id: String,
    pub(crate) change: ChangeKind,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) type_name: Option<OldAndNew<String>>,
    /// The key that applies when no rule matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<OldAndNew<Option<String>>>,
    pub(crate) rules: Vec<RuleChange>,
    pub(crate) values: Vec<ValueChange>,
    /// The changed qualifiers that its rules depend on.
    pub(crate) qualifiers: Vec<String>,
}

/// The changes to the attributes that an application sends.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ContextDiff {
    /// Attributes that some rule reads now, and none did before.
    pub(crate) added: BTreeSet<String>,
    /// Attributes that no rule reads any more.
    pub(crate) removed: BTreeSet<String>,
    /// The change of the schema of contexts, which may refuse contexts that it accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<ChangeKind>,
}

/// Compares two workspaces.
pub(crate) fn compare(old: &Parsed, new: &Parsed) -> Diff {
    let qualifiers = qualifiers::compare(old, new);
    let ids: BTreeSet<&str> = old.variables.keys().chain(new.variables.keys()).map(|id| &**id).collect();
    let variables = ids.into_iter().filter_map(|id| variable(id, old, new, &qualifiers)).collect();
    let (reads_old, reads_new) = (audience::attributes(old), audience::attributes(new));
    let context = ContextDiff {
        added: reads_new.difference(&reads_old).cloned().collect(),
        removed: reads_old.difference(&reads_new).cloned().collect(),
        schema: context_schema(old, new),
    };
    Diff { variables, qualifiers, context, unreadable: unreadable(old, new), decisions: None }
}

impl Diff {
    /// Returns whether every context gets the same values as before.
    pub(crate) fn is_empty(&self) -> bool {
        let same = self.variables.is_empty() && self.qualifiers.is_empty() && self.unreadable.is_empty();
        let flips = self.decisions.as_ref().is_some_and(|decisions| !decisions.flipped.is_empty());
        same && self.context.schema.is_none() && !flips
    }
}

fn context_schema(old: &Parsed, new: &Parsed) -> Option<ChangeKind> {
    let schema = |parsed: &Parsed| {
        let content = parsed.schemas.get(CONTEXT_SCHEMA).and_then(|document| document.content());
        content.map(|schema| schema.json.clone())
    };
    match (schema(old), schema(new)) {
        (old, new) if old == new => None,
        (None, _) => Some(ChangeKind::Added),
        (_, None) => Some(ChangeKind::Removed),
        _ => Some(ChangeKind::Changed),
    }
}

fn variable(id: &str, old: &Parsed, new: &Parsed, qualifiers: &[QualifierDiff]) -> Option<VariableDiff> {
    let change = match (old.variables.contains_key(id), new.variables.contains_key(id)) {
        (false, _) => ChangeKind::Added,
        (true, false) => ChangeKind::Removed,
        (true, true) => ChangeKind::Changed,
    };
    let (old_variable, new_variable) = (variable_of(old, id), variable_of(new, id));
    let type_name = |variable: Option<&Variable>| variable.and_then(|v| v.type_name.value()).map(ToString::to_string);
    let default = |variable: Option<&Variable>| {
        variable.and_then(Variable::default).and_then(|default| default.value()).map(ToString::to_string)
    };
    let type_name = match (type_name(old_variable), type_name(new_variable)) {
        (Some(old), Some(new)) if old != new => Some(OldAndNew { old, new }),
        _ => None,
    };
    let default = OldAndNew { old: default(old_variable), new: default(new_variable) };
    let relied_on = audience::qualifiers_of(old, id).into_iter().chain(audience::qualifiers_of(new, id));
    let relied_on: BTreeSet<String> = relied_on.collect();
    let diff = VariableDiff {
        id: id.to_owned(),
        change,
        type_name,
        default: (default.old != default.new).then_some(default),
        rules: rules::compare(id, old, new),
        values: values::compare(id, old, new),
        qualifiers: qualifiers.iter().map(|diff| &diff.id).filter(|id| relied_on.contains(*id)).cloned().collect(),
    };
    let same = change == ChangeKind::Changed
        && diff.type_name.is_none()
        && diff.default.is_none()
        && diff.rules.is_empty()
        && diff.values.is_empty()
        && diff.qualifiers.is_empty();
    (!same).then_some(diff)
}

fn unreadable(old: &Parsed, new: &Parsed) -> Vec<String> {
    let faulty = |parsed: &Parsed| {
        let variables = parsed.variables.values().filter(|document| document.content().is_none());
        let qualifiers = parsed.qualifiers.values().filter(|document| document.content().is_none());
        let objects = parsed.objects.values().flat_map(|objects| objects.values());
        let objects = objects.filter(|document| document.content().is_none());
        let paths = variables.map(|document| document.path.to_string());
        let paths = paths.chain(qualifiers.map(|document| document.path.to_string()));
        let paths = paths.chain(objects.map(|document| document.path.to_string()));
        // Nothing is resolved from a workspace with such a manifest or context schema.
        paths.chain(compile(parsed).err().map(|error| error.path)).collect::<Vec<_>>()
    };
    faulty(old).into_iter().chain(faulty(new)).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests;
