//! A `lint:on` that cannot be followed.

use super::super::{Check, LintRule, ScriptFaultKind};
use crate::diagnostic::{Severity, Stage};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/custom-lint-registration-invalid",
    severity: Severity::Error,
    entity: "workspace",
    stage: Stage::Register,
    title: "a registration of a Lua rule names something that does not exist",
    why: "It would never be called, or could not be: the stage, the entity, the field, the handler, and the form of the rule's id and severity are fixed.",
    help: "use a stage, an entity, and a field of the format, a handler of the same file, and an id such as `authority/fault`",
    bad: &[(
        "lint/limits.lua",
        r#"function register(lint)
  lint:on({
    stage = "value",
    entity = "limit",
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
    checks: &[Check::Scripts(ScriptFaultKind::Invalid)],
};
