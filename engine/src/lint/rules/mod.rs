//! The rules, one file each, and the table of all of them in the order in which they run.

mod custom_lint_failed;
mod custom_lint_file_unregistered;
mod custom_lint_registration_duplicate;
mod custom_lint_registration_invalid;
mod custom_lint_rule_conflict;
mod qualifier_cycle;
mod qualifier_parse_failed;
mod qualifier_predicate_bucket;
mod qualifier_predicate_context_type_mismatch;
mod qualifier_predicate_duplicate;
mod qualifier_predicate_missing;
mod qualifier_predicate_shape;
mod qualifier_predicate_unknown_op;
mod qualifier_predicate_unknown_qualifier;
mod qualifier_predicate_value;
mod qualifier_schema_version;
mod qualifier_unreachable;
mod qualifier_unreferenced;
mod resource_object_parse_failed;
mod resource_object_schema_mismatch;
mod resource_object_unknown_reference;
mod resource_parse_failed;
mod resource_schema_ref;
mod resource_schema_version;
mod schema_invalid;
mod schema_parse_failed;
mod schema_unreferenced;
mod variable_parse_failed;
mod variable_resolve_missing_default;
mod variable_resolve_shape;
mod variable_rule_selects_default_value;
mod variable_rule_shadowed;
mod variable_rule_shape;
mod variable_rule_unknown_qualifier;
mod variable_schema_version;
mod variable_type_source;
mod variable_unknown_resource;
mod variable_unknown_type;
mod variable_unknown_value;
mod variable_value_type_mismatch;
mod variable_value_unused;
mod variable_values_disallowed;
mod variable_values_missing;
mod workspace_context_schema_attribute;
mod workspace_context_schema_missing;
mod workspace_context_schema_ref;
mod workspace_context_schema_reserved_field;
mod workspace_manifest_missing;
mod workspace_manifest_parse_failed;
mod workspace_manifest_schema_failed;
mod workspace_not_found;

use serde_json::Value;

use super::LintRule;

pub(super) use custom_lint_failed::RULE as CUSTOM_LINT_FAILED;

/// Stage by stage. Of faults at one place, those of earlier rules come first.
pub(super) static ALL: &[&LintRule] = &[
    &workspace_not_found::RULE,
    &workspace_manifest_missing::RULE,
    &workspace_manifest_parse_failed::RULE,
    &qualifier_parse_failed::RULE,
    &variable_parse_failed::RULE,
    &resource_parse_failed::RULE,
    &resource_object_parse_failed::RULE,
    &schema_parse_failed::RULE,
    &workspace_manifest_schema_failed::RULE,
    &workspace_context_schema_ref::RULE,
    &workspace_context_schema_reserved_field::RULE,
    &schema_invalid::RULE,
    &qualifier_schema_version::RULE,
    &qualifier_predicate_missing::RULE,
    &qualifier_predicate_shape::RULE,
    &qualifier_predicate_unknown_op::RULE,
    &qualifier_predicate_bucket::RULE,
    &qualifier_predicate_value::RULE,
    &resource_schema_version::RULE,
    &variable_schema_version::RULE,
    &variable_type_source::RULE,
    &variable_values_disallowed::RULE,
    &variable_values_missing::RULE,
    &variable_resolve_missing_default::RULE,
    &variable_resolve_shape::RULE,
    &variable_rule_shape::RULE,
    &custom_lint_failed::RULE,
    &custom_lint_file_unregistered::RULE,
    &custom_lint_registration_invalid::RULE,
    &custom_lint_rule_conflict::RULE,
    &custom_lint_registration_duplicate::RULE,
    &workspace_context_schema_attribute::RULE,
    &qualifier_predicate_context_type_mismatch::RULE,
    &schema_unreferenced::RULE,
    &qualifier_predicate_unknown_qualifier::RULE,
    &resource_schema_ref::RULE,
    &variable_unknown_resource::RULE,
    &variable_unknown_value::RULE,
    &variable_rule_unknown_qualifier::RULE,
    &workspace_context_schema_missing::RULE,
    &resource_object_schema_mismatch::RULE,
    &resource_object_unknown_reference::RULE,
    &variable_unknown_type::RULE,
    &variable_value_type_mismatch::RULE,
    &qualifier_cycle::RULE,
    &qualifier_unreferenced::RULE,
    &qualifier_unreachable::RULE,
    &variable_rule_shadowed::RULE,
    &variable_rule_selects_default_value::RULE,
    &variable_value_unused::RULE,
    &qualifier_predicate_duplicate::RULE,
];

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
