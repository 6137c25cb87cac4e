//! A rule of the workspace's own that cannot be run.

use super::super::{Check, LintRule, ScriptFaultKind};
use crate::diagnostic::{Severity, Stage};

pub(in super::super) static RULE: LintRule = LintRule {
    id: "rototo/custom-lint-failed",
    severity: Severity::Error,
    entity: "workspace",
    stage: Stage::Register,
    title: "a rule of the workspace in Lua could not be run",
    why: "Whoever wrote the rule relies on it. To publish without having run it would be worse than not to publish.",
    help: "mend the script, keep it within its limits, or remove the file; where Lua is turned off, only its removal helps",
    bad: &[(
        "lint/limits.lua",
        r#"function register(lint
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
    checks: &[Check::Scripts(ScriptFaultKind::Failed)],
};
