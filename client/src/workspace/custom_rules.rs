//! Lint with the rules that a workspace brings along in Lua, where this library was built with them.
//!
//! Who follows the operator's marker needs none of it: the operator has run them.

use rototo_engine::{Linted, Parsed, lint_after_with};

/// Asks lint, whose built-in rules look at what has changed since `previous`.
#[cfg(feature = "lua")]
pub(crate) fn lint_after(previous: &Linted, parsed: &Parsed) -> Linted {
    lint_after_with(previous, parsed, &mut rototo_lua::InProcess::new(rototo_lua::ScriptLimits::default()))
}

/// Asks lint, whose built-in rules look at what has changed since `previous`. Rules in Lua are faults, and say so.
#[cfg(not(feature = "lua"))]
pub(crate) fn lint_after(previous: &Linted, parsed: &Parsed) -> Linted {
    let reason = "this program can't run rules in Lua: it is built without the feature `lua` of rototo-client";
    lint_after_with(previous, parsed, &mut rototo_engine::lint::Refuse(reason))
}
