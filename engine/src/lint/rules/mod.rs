//! The lint rules. A rule consists of a `mod` line here, `NAME.rs` with its checks, and the folder `NAME/` with its
//! texts: `doc.md` explains it, `bad/` is a workspace that has the fault, `good/` is the same workspace without it, and
//! `both/` holds the files that the two share. `docs/recipes/add-a-lint-rule.md` adds one step by step.
//!
//! `build.rs` generates the table from these lines, in their order: stage by stage, and by name within a stage. A check
//! of references may rely on the findings of the rules above it.

// Is there a workspace?
mod workspace_manifest_missing;
mod workspace_not_found;
mod workspace_path_misnamed;
mod workspace_path_unread;

// Can each document be read?
mod qualifier_parse_failed;
mod resource_object_parse_failed;
mod resource_parse_failed;
mod schema_key_duplicate;
mod schema_parse_failed;
mod variable_parse_failed;
mod workspace_manifest_parse_failed;

// Has each document the shape of its kind?
mod key_unread;
mod qualifier_predicate_bucket;
mod qualifier_predicate_missing;
mod qualifier_predicate_shape;
mod qualifier_predicate_unknown_op;
mod qualifier_predicate_value;
mod qualifier_schema_version;
mod resource_schema_version;
mod schema_invalid;
mod schema_keyword_unread;
mod schema_required_undeclared;
mod variable_ownership_shape;
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
mod workspace_name_deceptive;

// Are custom rules as they should be?
mod custom_lint_failed;
mod custom_lint_file_unregistered;
mod custom_lint_key_unread;
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
mod qualifier_predicate_constant;
mod qualifier_predicate_duplicate;
mod qualifier_predicate_value_deceptive;
mod qualifier_unreachable;
mod qualifier_unreferenced;
mod variable_rule_selects_default_value;
mod variable_rule_shadowed;
mod variable_value_unused;

use super::check::Check;
use super::rule::LintRule;
use crate::diagnostic::{Severity, Stage};
pub(super) use key_unread::is_note;

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

#[cfg(test)]
mod tests;
