//! The changes that a difference consists of.

use rototo_engine::Parsed;
use rototo_engine::parse::Variable;
use serde::Serialize;

/// The kind of a change: new, gone, or different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeKind {
    Added,
    Removed,
    Changed,
}

/// A value before and after a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct OldAndNew<T> {
    pub(crate) old: T,
    pub(crate) new: T,
}

pub(crate) fn variable_of<'a>(parsed: &'a Parsed, id: &str) -> Option<&'a Variable> {
    parsed.variables.get(id)?.content()
}
