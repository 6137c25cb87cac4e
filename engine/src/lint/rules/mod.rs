//! The lint rules. A rule consists of a `mod` line here, `NAME.rs` with its checks, and the folder `NAME/` with its texts:
//! `doc.md` explains it, `bad/` is a workspace that has the fault, `good/` is the same workspace without it, and `both/`
//! holds the files that the two share. `docs/recipes/add-a-lint-rule.md` adds one step by step.
//!
//! `build.rs` generates the table from these lines, in their order: stage by stage, and by name within a stage. A check of
//! references may rely on the findings of the rules above it.

// Is there a workspace?
mod workspace_manifest_missing;
mod workspace_not_found;

// Can each document be read?
mod qualifier_parse_failed;
mod resource_object_parse_failed;
mod resource_parse_failed;
mod schema_parse_failed;
mod variable_parse_failed;
mod workspace_manifest_parse_failed;

// Has each document the shape of its kind?
mod qualifier_predicate_bucket;
mod qualifier_predicate_missing;
mod qualifier_predicate_shape;
mod qualifier_predicate_unknown_op;
mod qualifier_predicate_value;
mod qualifier_schema_version;
mod resource_schema_version;
mod schema_invalid;
mod variable_resolve_missing_default;
mod variable_resolve_shape;
mod variable_rule_shape;
mod variable_schema_version;
mod variable_type_source;
mod variable_values_disallowed;
mod variable_values_missing;
mod workspace_context_schema_ref;
mod workspace_context_schema_reserved_field;
mod workspace_manifest_schema_failed;

// Are custom rules as they should be?
mod custom_lint_failed;
mod custom_lint_file_unregistered;
mod custom_lint_registration_duplicate;
mod custom_lint_registration_invalid;
mod custom_lint_rule_conflict;

// Is what documents name really there?
mod qualifier_predicate_context_type_mismatch;
mod qualifier_predicate_unknown_qualifier;
mod resource_schema_ref;
mod schema_unreferenced;
mod variable_rule_unknown_qualifier;
mod variable_unknown_resource;
mod variable_unknown_value;
mod workspace_context_schema_attribute;
mod workspace_context_schema_missing;

// Do values fit their types and schemas?
mod resource_object_schema_mismatch;
mod resource_object_unknown_reference;
mod variable_unknown_type;
mod variable_value_type_mismatch;

// Do rules and qualifiers make sense together?
mod qualifier_cycle;
mod qualifier_predicate_duplicate;
mod qualifier_unreachable;
mod qualifier_unreferenced;
mod variable_rule_selects_default_value;
mod variable_rule_shadowed;
mod variable_value_unused;

use serde_json::Value;

use crate::diagnostic::{Severity, Stage};
use crate::lint::{Check, LintRule};

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// What the context schema declares at a dotted path.
fn context_field<'s>(schema: &'s Value, path: &str) -> Option<&'s Value> {
    path.split('.').try_fold(schema, |schema, segment| schema.get("properties")?.as_object()?.get(segment))
}

/// Whether something comes twice. Asked first, as it almost never does.
fn repeats<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.windows(2).any(|pair| matches!(pair, [one, two] if one == two))
}

/// A question after what may have been meant instead of `word`; empty if nothing is close, or if there are so many names
/// that looking through them for every mistake would cost more than it helps.
fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    const MANY: usize = 1_000;
    let tolerated = (word.len() / 3).min(3);
    let near = known.take(MANY).filter(|known| known.len().abs_diff(word.len()) <= tolerated);
    let near = near.map(|known| (distance(word, known), known)).filter(|(distance, _)| *distance <= tolerated);
    near.min().map_or_else(String::new, |(_, known)| format!("; is `{known}` meant?"))
}

/// How many characters must be added, removed, or replaced to make one word the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, left) in left.chars().enumerate() {
        let mut next = vec![above + 1];
        for ((right, pair), before) in right.iter().zip(row.windows(2)).zip(1..) {
            let (Some(diagonal), Some(up)) = (pair.first(), pair.last()) else { continue };
            let side = next.get(before - 1).copied().unwrap_or_default();
            next.push((side + 1).min(up + 1).min(diagonal + usize::from(left != *right)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
