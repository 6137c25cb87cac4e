//! No rule and no default selects a value.

use std::sync::Arc;

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Type, Variable};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-value-unused",
    severity: Severity::Warning,
    entity: "value",
    stage: Stage::Graph,
    title: "nothing selects a value",
    why: "It looks as if it could be handed out, but it cannot.",
    help: "select it in a rule or as the default, or remove it",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "int"

[values]
small = 10
large = 50

[resolve]
default = "small"
"#,
    )],
    good: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "int"

[values]
small = 10

[resolve]
default = "small"
"#,
    )],
    checks: &[Check::Variable(check)],
};

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    // Where the values are objects of a resource, what is selected is never one that stands here.
    let inline = !matches!(variable.value_type(), Some(Type::Resource(_)));
    let selected = variable.rules().iter().map(|rule| &rule.value).chain(variable.default());
    let mut selected: Vec<&Arc<str>> = selected.filter(|_| inline).filter_map(|field| field.value()).collect();
    selected.sort_unstable();
    for (key, named) in variable.inline_values().filter(|(key, _)| selected.binary_search(key).is_err()) {
        let message = format!("nothing selects value `{key}`");
        let finding = Finding::new(Entity::value(id, key), path, Some(named.key_span), message);
        findings.add(finding.key(format!("values.{key}")));
    }
}
