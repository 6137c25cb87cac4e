//! A rule of a variable lacks its qualifier or its value.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Field, Resolve, Rules, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    if let Resolve::Table { rules: Rules::Invalid(span), .. } = variable.resolve {
        let message = "rules must be written as [[resolve.rule]] tables";
        findings.add(Finding::new(Entity::variable(id), path, Some(span), message).key("resolve.rule"));
    }
    for (index, rule) in variable.rules().iter().enumerate() {
        if !rule.is_table {
            findings.add(Finding::new(Entity::rule(id, index), path, Some(rule.span), "a rule must be a table"));
            continue;
        }
        for (key, field) in [("qualifier", &rule.qualifier), ("value", &rule.value)] {
            let message = match field {
                Field::Present(_) => continue,
                Field::Missing(_) => format!("the rule has no `{key}`"),
                Field::Invalid(_) => format!("`{key}` of the rule must be a string"),
            };
            findings.add(Finding::new(Entity::rule(id, index), path, field.span(), message).key(key));
        }
    }
}
