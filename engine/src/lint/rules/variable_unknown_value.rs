//! A default or a rule selects a value that is not there.

use super::super::{Check, Entry, Facts, Finding, Findings, Rule};
use super::nearest;
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Type, Variable};

pub(super) static RULE: Rule = Rule {
    id: "rototo/variable-unknown-value",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Reference,
    title: "a variable selects a value that does not exist",
    why: "The selected key must be an entry of [values], or an object of the resource; otherwise there is nothing to hand out.",
    help: "add the value, or correct the key",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "int"

[values]
small = 10

[resolve]
default = "smal"
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

fn check(facts: &Facts<'_>, (id, path, variable): Entry<'_, Variable>, findings: &mut Findings<'_>) {
    let what = match variable.value_type() {
        // Other rules say that there is no such resource, or that there are no values at all.
        Some(Type::Resource(resource)) if !facts.parsed.resources.contains_key(resource) => return,
        Some(Type::Resource(resource)) => format!("resource `{resource}` has no object"),
        _ if variable.inline_values().next().is_none() => return,
        _ => format!("[values] of `{id}` has no"),
    };
    let rules = variable.rules().iter().enumerate();
    let rules = rules.map(|(index, rule)| (Entity::rule(id, index), "resolve.rule.value", &rule.value));
    let default = variable.default().map(|default| (Entity::variable(id), "resolve.default", default));
    for (entity, key, field) in default.into_iter().chain(rules) {
        let Some(selected) = field.present().filter(|field| !facts.has_key(variable, &field.value)) else {
            continue;
        };
        let hint = nearest(&selected.value, facts.keys(variable));
        let message = format!("{what} `{}`{hint}", selected.value);
        findings.add(Finding::new(entity, path, Some(selected.span), message).key(key));
    }
}
