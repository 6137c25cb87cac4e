//! One rule with two meanings.

use super::super::{Check, LintRule, ScriptFaultKind};
use crate::diagnostic::{Severity, Stage};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/custom-lint-rule-conflict",
    severity: Severity::Error,
    entity: "workspace",
    stage: Stage::Register,
    title: "two registrations give one rule different titles, helps, or severities",
    why: "The rule would say one thing here and another there. The second registration is left out.",
    help: "give both the same title, help, and severity, or the second another id",
    bad: &[(
        "lint/limits.lua",
        r#"function register(lint)
  lint:on({
    stage = "value",
    entity = "value",
    field = "value",
    rule = {
      id = "capacity/limit-too-high",
      title = "a limit is above what the database bears",
      help = "stay at or below 100",
    },
    handler = "check_limit",
  })
  lint:on({
    stage = "policy",
    entity = "variable",
    rule = {
      id = "capacity/limit-too-high",
      title = "a limit is above what the database bears",
      help = "ask the team of the database",
    },
    handler = "check_description",
  })
end

function check_limit(ctx)
  if ctx.target.variable.id == "limit" and ctx.target.value > 100 then
    return { { message = ctx.target.name .. " is more than 100" } }
  end
end

function check_description(ctx)
end
"#,
    )],
    good: &[(
        "lint/limits.lua",
        r#"function register(lint)
  lint:on({
    stage = "value",
    entity = "value",
    field = "value",
    rule = {
      id = "capacity/limit-too-high",
      title = "a limit is above what the database bears",
      help = "stay at or below 100",
    },
    handler = "check_limit",
  })
  lint:on({
    stage = "policy",
    entity = "variable",
    rule = {
      id = "capacity/limit-too-high",
      title = "a limit is above what the database bears",
      help = "stay at or below 100",
    },
    handler = "check_description",
  })
end

function check_limit(ctx)
  if ctx.target.variable.id == "limit" and ctx.target.value > 100 then
    return { { message = ctx.target.name .. " is more than 100" } }
  end
end

function check_description(ctx)
end
"#,
    )],
    checks: &[Check::Scripts(ScriptFaultKind::Conflict)],
};
