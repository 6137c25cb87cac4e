//! Lint with the custom rules of a workspace, where this library is built with the feature `lua`.
//!
//! A process that follows the operator's marker does not need the feature: the operator has run the rules.

use rototo_engine::{Linted, Parsed, lint_after_with};

/// Lints. The built-in rules check only documents that have changed since `previous`.
#[cfg(feature = "lua")]
pub(crate) fn lint_after(previous: &Linted, parsed: &Parsed) -> Linted {
    lint_after_with(previous, parsed, &mut rototo_lua::InProcess::new(rototo_lua::ScriptLimits::default()))
}

/// Lints. The built-in rules check only documents that have changed since `previous`. A custom rule is an error that
/// names the missing feature.
#[cfg(not(feature = "lua"))]
pub(crate) fn lint_after(previous: &Linted, parsed: &Parsed) -> Linted {
    let reason = "this program can't run rules in Lua: it is built without the feature `lua` of rototo-client";
    lint_after_with(previous, parsed, &mut rototo_engine::lint::Refuse(reason))
}
