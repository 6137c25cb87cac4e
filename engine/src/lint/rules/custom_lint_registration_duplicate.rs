//! A registration that is there twice.

use super::super::{Check, LintRule, ScriptFaultKind};
use crate::diagnostic::{Severity, Stage};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/custom-lint-registration-duplicate",
    severity: Severity::Warning,
    entity: "workspace",
    stage: Stage::Register,
    title: "a Lua rule is registered twice for the same",
    why: "Its handler runs twice, and each of its findings is there twice.",
    help: "remove one of the two",
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
end

function check_limit(ctx)
  if ctx.target.variable.id == "limit" and ctx.target.value > 100 then
    return { { message = ctx.target.name .. " is more than 100" } }
  end
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
end

function check_limit(ctx)
  if ctx.target.variable.id == "limit" and ctx.target.value > 100 then
    return { { message = ctx.target.name .. " is more than 100" } }
  end
end
"#,
    )],
    checks: &[Check::Scripts(ScriptFaultKind::Duplicate)],
};
