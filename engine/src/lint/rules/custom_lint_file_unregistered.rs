//! A file of rules that registers none.

use super::super::{Check, LintRule, ScriptFaultKind};
use crate::diagnostic::{Severity, Stage};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/custom-lint-file-unregistered",
    severity: Severity::Warning,
    entity: "workspace",
    stage: Stage::Register,
    title: "a Lua file registers no rule",
    why: "Its functions are never called, though a reader will think that they guard something.",
    help: "call `lint:on` in `register(lint)`, or remove the file",
    bad: &[(
        "lint/limits.lua",
        r#"function register(lint)
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
    checks: &[Check::Scripts(ScriptFaultKind::Unregistered)],
};
